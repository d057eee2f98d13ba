/* A lock for what is read by many threads. See read_lock.h. */
#include "app/read_lock.h"

/* The slot of this thread, and 1. */
static __thread unsigned own;

static unsigned next_slot;

void read_lock_create(struct read_lock *l)
{
	for (int i = 0; i < READ_LOCK_SLOTS; i++)
		pthread_mutex_init(&l->slots[i].lock, NULL); /* cannot fail */
}

void read_lock_destroy(struct read_lock *l)
{
	for (int i = 0; i < READ_LOCK_SLOTS; i++)
		pthread_mutex_destroy(&l->slots[i].lock);
}

unsigned read_lock_enter(struct read_lock *l)
{
	if (own == 0)
		own = __atomic_fetch_add(&next_slot, 1, __ATOMIC_RELAXED) %
			      READ_LOCK_SLOTS +
		      1;
	pthread_mutex_lock(&l->slots[own - 1].lock);
	return own - 1;
}

void read_lock_leave(struct read_lock *l, unsigned slot)
{
	pthread_mutex_unlock(&l->slots[slot].lock);
}

void read_lock_stop(struct read_lock *l)
{
	for (int i = 0; i < READ_LOCK_SLOTS; i++)
		pthread_mutex_lock(&l->slots[i].lock);
}

void read_lock_go_on(struct read_lock *l)
{
	for (int i = READ_LOCK_SLOTS; i > 0; i--)
		pthread_mutex_unlock(&l->slots[i - 1].lock);
}
