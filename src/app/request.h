/*
 * A request, as the functions that serve it see it: two contexts, one in the
 * shared state and one in its worker's, each made when it is first needed and
 * both there until the request ends; and variables that both see.
 *
 * A context has the object that handlers of its state get, and their private
 * data. It is touched on the thread of its state alone; the rest has a lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/var_store.h"
#include "runtime/mailbox.h"

struct app;
struct request;
struct session;
struct worker;

enum context_kind {
	CONTEXT_SHARED,
	CONTEXT_WORKER,
	CONTEXT_KINDS,
};

enum {
	REQUEST_VARS_MAX = 256,
	REQUEST_VAR_NAME_MAX = 255,
	REQUEST_VAR_BYTES_MAX = 1 << 20, /* names and strings of a request */
};

struct context {
	struct request *request;
	int ref;          /* registry of its state: the object; LUA_NOREF: not
			     made yet */
	bool released;    /* and never made again */
	struct mail mail; /* tells its state of the end */
};

struct request {
	atomic_uint refs;
	struct worker *worker; /* whose state the per-worker functions run in */
	struct context contexts[CONTEXT_KINDS];
	struct var_store vars;
	struct session *session;  /* of its connection; NULL: none yet */
	pthread_mutex_t lock;     /* of the rest */
	bool used[CONTEXT_KINDS]; /* its state has been, or will be, entered */
	bool over;
};

/** How many requests and contexts there are now, in all threads. */
struct request_counts {
	unsigned requests, contexts;
};

struct request_counts request_counts(void);

/**
 * A new request of @a w; one of the shared state gets a worker, by turns.
 * Returns NULL with diag set: OutOfMemory. One reference.
 */
struct request *request_new(struct worker *w);
struct request *request_ref(struct request *r);
void request_unref(struct request *r); /* NULL is fine */

/**
 * It is over: its contexts and variables go, and nothing begins in it any more.
 * What runs in it meets an error when it uses it. @a w is the thread that
 * calls. Drops the caller's reference.
 */
void request_end(struct request *r, struct worker *w);

/** It belongs to that connection, which lives at least as long. Once, by who began it and
 * before others know of it. */
void request_set_session(struct request *r, struct session *session);

/** Where functions of @a kind run. */
struct worker *request_state(const struct request *r, enum context_kind kind);

/** That state is going to be entered. Returns 0, or -1 with diag set: it is
 * over. */
int request_enter(struct request *r, enum context_kind kind);

/** From any thread. */
bool request_is_over(struct request *r);

/** Set a variable, of the connection if its name begins so; nil removes it. Takes over
 * the reference of a string, also on failure. Returns 0, or -1 with diag set: over, out
 * of a limit, no memory. */
int request_set_var(struct request *r, const char *name,
		    struct request_value value);

/** Get one, nil when it is not set; with a reference of its own. Returns 0, or
 * -1 with diag set: it is over. */
int request_get_var(struct request *r, const char *name,
		    struct request_value *ret_value);

/* What request_object.c gives. */

/** Release the object of @a c: on the thread of its state, which is not
 * closing. Throws: no. */
void request_release_object(struct worker *w, struct context *c);

/** Counts contexts. */
void request_count_context(int change);
