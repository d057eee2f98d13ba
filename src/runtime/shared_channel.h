/*
 * Channels between threads: bounded queues of messages, first come first
 * served on both sides, whatever thread a fiber is on. Thread-safe.
 *
 * A message is handed to the reader that has waited longest, who then is woken;
 * one that does not want it any more (it was cancelled meanwhile) gives it back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/shared_wait.h"

struct shared_channel_options {
	uint32_t capacity; /* messages; 0: each put waits for its get */
	size_t bytes;      /* of the messages inside; at least one's cost */
};

struct shared_channel {
	struct shared_object base;
	struct shared_channel_options options;
	/* Under base.lock: */
	struct list messages;
	uint32_t count;
	size_t bytes;
	struct list readers;
	struct list writers; /* each with its message */
	bool closed;
};

/** Its options are a struct shared_channel_options. */
extern const struct shared_kind shared_channel_kind;

/**
 * Put @a m, whose reference goes over unless it fails. Returns 0, UV_EPIPE
 * (closed), UV_EAGAIN (no room) or UV_E2BIG (there will never be room). With @a w
 * the running fiber is queued instead of UV_EAGAIN, and w->message is @a m,
 * taken over: then shared_wait_park(). It wakes with 0 and no message when that
 * was taken, and with UV_EPIPE.
 */
int shared_channel_put(struct shared_channel *ch, struct shared_message *m,
		       struct shared_wait *w, struct fiber *self);

/**
 * Get the oldest message with its reference: 0, UV_EPIPE (closed) or UV_EAGAIN.
 * With @a w the fiber is queued instead, and wakes with w->message (whatever the
 * status: a message that came together with a timeout counts), or UV_EPIPE.
 */
int shared_channel_get(struct shared_channel *ch, struct shared_message **ret,
		       struct shared_wait *w, struct fiber *self);

/** Give back a message that was got and not used: it is the oldest again. */
void shared_channel_give_back(struct shared_channel *ch,
			      struct shared_message *m);

/** Drop what is inside, wake everybody with UV_EPIPE, free the name. */
void shared_channel_close(struct shared_channel *ch);

struct shared_channel_info {
	uint32_t count;
	size_t bytes;
	bool has_readers, has_writers, closed, full;
};

void shared_channel_info(struct shared_channel *ch,
			 struct shared_channel_info *ret);
