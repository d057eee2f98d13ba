/*
 * Do the workers turn? Somebody else's thread asks each of them now and then, by a mail
 * that costs a turn of its loop; one that has not answered when it would be asked again
 * is stuck: in C code, or where nothing may wait. Fibers that compute are put aside and
 * are no reason.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/mailbox.h"

struct app;

/** Of a worker; all zero is one that was never asked. */
struct pulse {
	struct mail mail;
	bool asked;        /* and has not answered; atomic */
	bool told;         /* that it is stuck */
	uint64_t asked_ns; /* on uv_hrtime()'s clock */
};

/** Look at all workers of @a app and ask them again. Always on the same thread, while the
 * application is there. Returns whether all have answered; the log and an event tell of
 * one that has not, once, and it writes where it stands. */
bool pulse_beat(struct app *app);

/** Have those that are stuck write once more where they stand. As pulse_beat(). */
void pulse_ask_stuck(struct app *app);

/** Have all write where they stand. On any thread, while the application is there. */
void pulse_ask_all(struct app *app);
