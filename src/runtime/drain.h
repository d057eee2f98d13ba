/*
 * What must finish its work before the process ends: servers with requests in
 * flight, consoles with clients. Each enters itself while it works; when the
 * end is asked for, each is told once to take no more work, and takes itself
 * out when it is done.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct drain;

/** One of them; embedded in its owner. All zero is one that is not entered. */
struct drainable {
	struct list link;
	struct drain *drain; /* where it is entered; NULL: nowhere */
	const char *name;    /* for the log: "http server" */
	unsigned cut;        /* pieces of work it has cut short and told of;
				add to it before drain_remove() */
	/* Take no more work, finish what there is and call drain_remove(),
	 * now or later; after @a deadline_ms cut short what is left. Called
	 * once, from the loop. */
	void (*start)(struct drainable *d, uint64_t deadline_ms);
};

/** All of a loop; part of struct loop. */
struct drain {
	struct list members;
	bool started;
	unsigned cut; /* of those that have gone */
};

void drain_create(struct drain *drain);

/**
 * Enter @a d, whose name and start are set. Returns 0, or UV_ECANCELED when
 * the end has begun: the owner refuses to start then.
 */
int drain_add(struct drain *drain, struct drainable *d);

/** Take @a d out: it is drained, or was closed. One not entered is fine. */
void drain_remove(struct drainable *d);

/** Tell all of them; those that were idle have gone when this returns. */
void drain_start(struct drain *drain, uint64_t deadline_ms);

static inline bool drain_is_empty(const struct drain *drain)
{
	return list_empty(&drain->members);
}
