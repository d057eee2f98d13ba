/*
 * Fibers made in C: the body runs on the C stack of a call of its own, and
 * waits as any call does. Both public headers make them.
 *
 * The function that makes one is held while it lives, and so is its library:
 * the body's code lies there. What fibers are is the host's matter; it embeds
 * a struct cfiber in each of these.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct error;
struct fiber;
struct neap_call;

/** What one runs: exactly one of the two functions. */
struct cfiber_body {
	int (*with_list)(va_list ap);
	int (*with_arg)(void *arg);
	void *arg;
	va_list *list; /* of who starts it: valid until its first wait */
};

struct cfiber {
	struct neap_call *call; /* runs the body; NULL: it has ended */
	struct cfiber_body body;
	bool started;        /* cfiber_start() was called */
	bool entered;        /* its body has begun */
	bool joinable;       /* is kept after its end for a join from C */
	bool joining;        /* somebody waits for it already */
	int result;          /* when it has ended: what the body gave */
	struct error *error; /* and its error, or NULL */
};

/** Sizes of stacks that may be asked for. */
enum {
	CFIBER_STACK_MIN = 16 * 1024,
	CFIBER_STACK_LEAST = 64 * 1024, /* what less is rounded up to */
	CFIBER_STACK_MAX = 64 * 1024 * 1024,
};

/**
 * Make a fiber that will run @a body on a stack of @a stack_size bytes, or
 * CSTACK_SIZE for 0. Returns NULL with the call's error set: out of memory, or
 * not inside a call or another of these.
 */
struct fiber *cfiber_new(const char *name, size_t stack_size,
			 const struct cfiber_body *body);

/** Start one that is new, with @a list for its body. It runs at once. */
void cfiber_start(struct fiber *f, va_list *list);

/** Keep it after its end for cfiber_join(), or do not. */
void cfiber_set_joinable(struct fiber *f, bool joinable);

/**
 * Wait until @a f has ended and free it. Returns its result; other than 0 with
 * its error set as the caller's. -1 also when it cannot be joined, or has not
 * ended after @a timeout seconds; then it is as before, and *ret_ended false.
 */
int cfiber_join(struct fiber *f, double timeout, bool *ret_ended);

/* ---- for the host ---- */

/** Fill in a new one around @a call. */
void cfiber_create(struct cfiber *f, struct neap_call *call);

/** Run the body, or go on with it, its wait having ended with @a status.
 * Returns true when it has ended; then comes cfiber_end(). */
bool cfiber_run(struct cfiber *f, int status);

/** Give back what only a living one needs. */
void cfiber_end(struct cfiber *f);

/** Free the error of one that has ended. */
void cfiber_destroy(struct cfiber *f);
