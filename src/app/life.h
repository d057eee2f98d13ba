/*
 * What happens to the server itself, published as events (app/events.h). Layers below
 * tell of their own by callbacks, which are set here; the application calls these.
 */
#pragma once

#include "app/events.h"

struct worker;

/** Have the layers below tell. Again is fine. */
void life_watch(void);

/** The process's end: they tell no more, and nothing is remembered. */
void life_end(void);

/** @a w has begun to serve, or begins to end. On its thread. Of one that has been told to
 * serve already, and one that never was, nothing is told. */
void life_worker_started(struct worker *w);
void life_worker_stops(const struct worker *w);

/** @a w has not turned for so many @a seconds. Any thread. */
void life_worker_stuck(const struct worker *w, double seconds);

/** A reload has begun, is done or has failed; @a generation is what it makes. @a why: of a
 * failure, or NULL. */
void life_reload(enum event_type type, unsigned generation, const char *why);
