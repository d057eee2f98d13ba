/*
 * Broadcasts between threads: numbered messages, of which the last few are
 * kept, and any number of readers with a place of their own. Thread-safe.
 */
#pragma once

#include <stdint.h>

#include "runtime/shared_wait.h"

struct shared_broadcast_options {
	uint32_t history; /* messages that are kept, at least 1 */
	size_t bytes;     /* of these together; at least one's cost */
};

struct shared_broadcast {
	struct shared_object base;
	struct shared_broadcast_options options;
	/* Under base.lock: */
	uint32_t count; /* messages that are kept */
	size_t bytes;
	uint64_t next; /* sequence number of the next one; the first is 1 */
	struct list readers;
	struct shared_message *ring[]; /* by sequence modulo history */
};

/** Its options are a struct shared_broadcast_options. */
extern const struct shared_kind shared_broadcast_kind;

/**
 * Publish @a m, whose reference goes over unless it fails; readers wake.
 * Returns 0 and its number, or UV_E2BIG.
 */
int shared_broadcast_publish(struct shared_broadcast *b,
			     struct shared_message *m, uint64_t *ret_sequence);

/**
 * Read message @a sequence, with a reference. Returns 0, UV_EAGAIN (not
 * published yet), or UV_ERANGE: it is not kept any more; *ret_oldest is the
 * first one that is, or will be. With @a w the running fiber is queued instead
 * of UV_EAGAIN; it wakes with 0, or not, and reads again.
 */
int shared_broadcast_read(struct shared_broadcast *b, uint64_t sequence,
			  struct shared_message **ret, uint64_t *ret_oldest,
			  struct shared_wait *w, struct fiber *self);

struct shared_broadcast_info {
	uint64_t next, oldest;
	uint32_t count;
	size_t bytes;
};

void shared_broadcast_info(struct shared_broadcast *b,
			   struct shared_broadcast_info *ret);
