/*
 * A lock for what is read by many threads all the time and changed now and then: a
 * reader takes the lock of its own slot, which nobody else wants, and a writer takes
 * all of them. While a slot is held no other thread has it.
 */
#pragma once

#include <pthread.h>

enum { READ_LOCK_SLOTS = 16 };

struct read_lock {
	struct {
		pthread_mutex_t lock;
	} __attribute__((aligned(64))) slots[READ_LOCK_SLOTS];
};

void read_lock_create(struct read_lock *l);
void read_lock_destroy(struct read_lock *l);

/** For a reader: the slot that it has until read_lock_leave(). */
unsigned read_lock_enter(struct read_lock *l);
void read_lock_leave(struct read_lock *l, unsigned slot);

/** For a writer. */
void read_lock_stop(struct read_lock *l);
void read_lock_go_on(struct read_lock *l);
