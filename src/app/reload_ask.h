/*
 * Reloads that somebody asks for, on any thread, and what has come of them. Who asks while
 * one is under way gets the next; several who wait get the same.
 */
#pragma once

#include <stdbool.h>

struct reload_ask;

enum reload_state {
	RELOAD_WAITS, /* or is under way */
	RELOAD_SERVES,
	RELOAD_HAS_FAILED,
};

/** Ask, with one reference. NULL with diag set: no configuration is served, the server
 * ends, no memory. */
struct reload_ask *reload_ask(void);

/** What has come of it. @a ret_why: why it has failed, as long as @a a is there.
 * @a ret_generation: what it has made. */
enum reload_state reload_ask_state(const struct reload_ask *a,
				   const char **ret_why,
				   unsigned *ret_generation);

void reload_ask_unref(struct reload_ask *a); /* NULL is fine */

/* --- for the supervisor, on its thread --- */

/** From here on one may be asked for: @a wake is called then, on any thread. */
void reload_asks_open(void (*wake)(void));

/** Somebody asks who need not be answered. */
void reload_asks_want(void);

/** Is one asked for? Then it begins now. */
bool reload_asks_begin(void);

/** What has come of the one that has begun. @a why: it has failed; NULL: it has not. */
void reload_asks_answer(unsigned generation, const char *why);

/** The server ends: nobody is answered any more but by that. */
void reload_asks_close(void);
