/*
 * What channels and broadcasts between threads have in common: messages, and
 * fibers that wait for them.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "runtime/shared_object.h"
#include "runtime/wake.h"

struct fiber;

/** Bytes that go from thread to thread. Immutable once it was handed over. */
struct shared_message {
	struct list link;
	atomic_uint refs;
	uint64_t sequence; /* of a broadcast's */
	size_t size;
	char data[];
};

/** With one reference; NULL: no memory. */
struct shared_message *shared_message_new(const void *data, size_t size);
void shared_message_ref(struct shared_message *m);
void shared_message_unref(struct shared_message *m); /* NULL is fine */

/** What it counts for where bytes are limited. */
static inline size_t shared_message_cost(const struct shared_message *m)
{
	return sizeof *m + m->size;
}

/** A fiber's wait for an object. All zero is none. While it is queued or has a
 * message, it has a reference on the object. */
struct shared_wait {
	struct wake wake;
	struct list link; /* in the object's queue; under the object's lock */
	struct shared_object *object;   /* NULL: none */
	struct shared_message *message; /* waits to be put, or was got */
	/* Told when the fiber leaves the queue by itself, with the object's
	 * lock held: others may have been behind it. NULL: nobody cares. */
	void (*on_leave)(struct shared_object *o);
};

/**
 * Queue the running fiber, with the object's lock held: then unlock and
 * shared_wait_park(). Its loop's port is open.
 */
void shared_wait_queue(struct shared_wait *w, struct shared_object *o,
		       struct list *queue, struct fiber *self);

/** Park it. What undoes the wait leaves w->message to its owner. */
void shared_wait_park(struct shared_wait *w, uint64_t timeout_ns);

/** Take the first of @a queue, with the object's lock held; NULL: none. */
struct shared_wait *shared_wait_shift(struct list *queue);

/** Wake all of @a queue with @a status, with the object's lock held. */
void shared_wait_wake_all(struct list *queue, int status);

/** It is over, and its message was taken or dropped: none again. */
void shared_wait_finish(struct shared_wait *w);
