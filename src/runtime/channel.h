/*
 * Channels: bounded queues between fibers of one worker, fair to both sides.
 *
 * A channel counts and queues; the values lie with the layer above, in the
 * places that these functions name: a ring slot (0 .. size-1), or the fiber a
 * value is handed to or waits with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/fiber.h"

struct channel {
	uint32_t size;  /* ring slots; 0: every put waits for a get */
	uint32_t head;  /* ring slot of the oldest value */
	uint32_t count; /* values in the ring */
	bool closed;
	struct list readers; /* fibers that wait for a value */
	struct list writers; /* fibers that wait with a value */
};

/** There is no value, nor one to come of who waits: a get has to wait. */
static inline bool channel_is_idle(const struct channel *ch)
{
	return ch->count == 0 && !ch->closed && list_empty(&ch->writers);
}

/** Who has waited longest for a value; NULL: nobody does. Let it know by
 * fiber_wakeup() with 0, and the value is its. */
static inline struct fiber *channel_reader(const struct channel *ch)
{
	return list_empty(&ch->readers)
		       ? NULL
		       : list_entry(ch->readers.next, struct fiber, link);
}

enum channel_result {
	CHANNEL_RING, /* ret_slot: store to, or load from, this ring slot */
	CHANNEL_PEER, /* ret_peer: the fiber whose place has the value */
	CHANNEL_WAIT, /* the caller may wait: channel_put/get_wait_begin() */
	CHANNEL_CLOSED,
};

void channel_create(struct channel *ch, uint32_t size);

/** No fiber may wait any more. */
void channel_destroy(struct channel *ch);

/**
 * Put one value. RING: store it to the slot. PEER: a reader waited; store it
 * to the reader's place, it has been woken.
 */
enum channel_result channel_put(struct channel *ch, uint32_t *ret_slot,
				struct fiber **ret_peer);

/**
 * Take one value. RING: load it from the slot; when then *ret_peer is not
 * NULL, a writer waited: move its value to ring slot *ret_refill; it has been
 * woken. PEER (size 0): take the value from the writer's place, it has been
 * woken.
 */
enum channel_result channel_get(struct channel *ch, uint32_t *ret_slot,
				struct fiber **ret_peer, uint32_t *ret_refill);

/**
 * Wait after CHANNEL_WAIT. The fiber wakes with 0 when its value was taken or
 * given, UV_EPIPE when the channel was closed, UV_ETIMEDOUT, UV_ECANCELED.
 */
static inline void channel_put_wait_begin(struct channel *ch,
					  struct fiber *self,
					  uint64_t timeout_ns)
{
	fiber_park(self, NULL, NULL, timeout_ns);
	list_add_tail(&ch->writers, &self->link);
}

static inline void channel_get_wait_begin(struct channel *ch,
					  struct fiber *self,
					  uint64_t timeout_ns)
{
	fiber_park(self, NULL, NULL, timeout_ns);
	list_add_tail(&ch->readers, &self->link);
}

/** Wake everybody with UV_EPIPE; values in the ring are forgotten. */
void channel_close(struct channel *ch);
