/*
 * Reloads and upgrades that somebody asks for, on any thread, and what has come of them. Who asks while
 * one is under way gets the next; several who wait get the same.
 */
#pragma once

#include <stdbool.h>

struct reload_ask;

enum reload_kind {
	RELOAD_CONFIGURATION, /* of configuration and scripts: a generation */
	RELOAD_PROGRAM,       /* an upgrade: a process */
	RELOAD_KINDS,
};

enum reload_state {
	RELOAD_WAITS, /* or is under way */
	RELOAD_SERVES,
	RELOAD_HAS_FAILED,
};

/** Ask, with one reference. NULL with diag set: no configuration is served, the server
 * ends, no memory. */
struct reload_ask *reload_ask(enum reload_kind kind);

/** What has come of it. @a ret_why: why it has failed, as long as @a a is there.
 * @a ret_number: of the generation or process that serves. */
enum reload_state reload_ask_state(const struct reload_ask *a,
				   const char **ret_why, unsigned *ret_number);

void reload_ask_unref(struct reload_ask *a); /* NULL is fine */

/* --- for the supervisor, on its thread --- */

/** From here on one may be asked for: @a wake is called then, on any thread. */
void reload_asks_open(void (*wake)(void));

/** Somebody asks who need not be answered. */
void reload_asks_want(enum reload_kind kind);

/** Is one asked for? Then it begins now. */
bool reload_asks_begin(enum reload_kind kind);

/** What has come of the one that has begun. @a why: it has failed; NULL: it has not. */
void reload_asks_answer(enum reload_kind kind, unsigned number,
			const char *why);

/** The server ends: nobody is answered any more but by that. */
void reload_asks_close(void);
