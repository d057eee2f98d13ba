/* Messages between threads and fibers that wait for them. See shared_wait.h. */
#include "runtime/shared_wait.h"

#include <assert.h>
#include <string.h>

#include "base/inject.h"
#include "runtime/fiber.h"

struct shared_message *shared_message_new(const void *data, size_t size)
{
	struct shared_message *m = mem_alloc(sizeof *m + size);

	if (m == NULL)
		return NULL;
	list_init(&m->link);
	atomic_init(&m->refs, 1);
	m->sequence = 0;
	m->size = size;
	memcpy(m->data, data, size);
	return m;
}

void shared_message_ref(struct shared_message *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
}

void shared_message_unref(struct shared_message *m)
{
	if (m != NULL &&
	    atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
		mem_free(m);
}

void shared_wait_queue(struct shared_wait *w, struct shared_object *o,
		       struct list *queue, struct fiber *self)
{
	assert(w->object == NULL);
	shared_object_ref(o);
	w->object = o;
	wake_begin(&w->wake, self);
	list_add_tail(queue, &w->link);
}

static void undo(struct fiber *f, void *arg)
{
	struct shared_wait *w = arg;

	(void)f;
	pthread_mutex_lock(&w->object->lock);
	if (!list_empty(&w->link)) {
		list_del(&w->link);
		if (w->on_leave != NULL)
			w->on_leave(w->object);
	}
	pthread_mutex_unlock(&w->object->lock);
	/* Now nobody finds it; who did before has posted it. */
	wake_end(&w->wake);
}

void shared_wait_park(struct shared_wait *w, uint64_t timeout_ns)
{
	fiber_park(w->wake.fiber, undo, w, timeout_ns);
}

struct shared_wait *shared_wait_shift(struct list *queue)
{
	struct list *link = list_shift(queue);

	return link == NULL ? NULL : list_entry(link, struct shared_wait, link);
}

void shared_wait_wake_all(struct list *queue, int status)
{
	struct shared_wait *w;

	while ((w = shared_wait_shift(queue)) != NULL)
		wake_post(&w->wake, status);
}

void shared_wait_finish(struct shared_wait *w)
{
	struct shared_object *o = w->object;

	assert(!w->wake.begun && w->message == NULL);
	w->object = NULL;
	shared_object_unref(o);
}
