/* Conditions: fibers wait in a queue until somebody signals. */
#pragma once

#include <stdint.h>

#include "base/list.h"

struct fiber;

struct cond {
	struct list waiters; /* first come, first served */
};

void cond_create(struct cond *c);

/** Nobody may wait any more. */
void cond_destroy(struct cond *c);

/**
 * The running fiber begins to wait: woken with 0 by a signal, UV_ETIMEDOUT or
 * UV_ECANCELED. As fiber_park().
 */
void cond_wait_begin(struct cond *c, struct fiber *self, uint64_t timeout_ns);

void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
