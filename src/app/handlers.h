/*
 * Registered functions of the application: one record for each kind and name,
 * with a slot for each Lua state. Written while the states load, then checked
 * and sealed; from then on everybody reads without a lock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { HANDLER_NAME_MAX = 255, HANDLER_NOTE_MAX = 255, HANDLERS_MAX = 65536 };

enum handler_kind {
	HANDLER_ACTION,
	HANDLER_FETCH,
	HANDLER_CONVERTER,
	HANDLER_FILTER,
	HANDLER_SERVICE,
	HANDLER_COMMAND,
	HANDLER_INTERNAL, /* of the application layer itself */
	HANDLER_KIND_COUNT,
};

/** "action", ..; NULL at the end. */
extern const char *const handler_kind_names[HANDLER_KIND_COUNT + 1];

struct handler;

struct handlers {
	pthread_mutex_t lock;    /* until they are sealed */
	struct handler *records; /* a hash, in the order of registration */
	unsigned count;
	unsigned workers; /* states beside the shared one */
	bool sealed;      /* read without the lock */
};

void handlers_create(struct handlers *h, unsigned workers);
void handlers_destroy(struct handlers *h);

/**
 * Put @a ref, a registry reference of state @a state (0: the shared one, else a
 * worker's number), into the record of @a kind and @a name. What was there is
 * in @a ret_old, or LUA_NOREF: it is the caller's again. Returns 0, or -1 with
 * diag set: IllegalParams (the name), ClientError (sealed, too many),
 * OutOfMemory. Any thread.
 */
int handlers_put(struct handlers *h, enum handler_kind kind, const char *name,
		 unsigned state, int ref, int *ret_old);

/**
 * Note at the record of @a kind and @a name what all states must know of it, in
 * place of what was noted there. Cut after HANDLER_NOTE_MAX bytes. Returns 0, or -1
 * with diag set: ClientError (no such record, sealed), OutOfMemory. Any thread.
 */
int handlers_note(struct handlers *h, enum handler_kind kind, const char *name,
		  const char *note);

/**
 * Every record is in the shared state alone, or in each worker and not in the
 * shared one. Returns 0, and the records are sealed; or -1 with diag set, which
 * names each that is not so.
 */
int handlers_seal(struct handlers *h);

static inline bool handlers_are_sealed(const struct handlers *h)
{
	return __atomic_load_n(&h->sealed, __ATOMIC_ACQUIRE);
}

/** The record, or NULL. Sealed records only. Any thread. */
const struct handler *handlers_find(const struct handlers *h,
				    enum handler_kind kind, const char *name);

/** The record of @a kind that was registered after @a before (NULL: the first one), or
 * NULL. Sealed records only. Any thread. */
const struct handler *handlers_next(const struct handlers *h,
				    enum handler_kind kind,
				    const struct handler *before);

/** Of a sealed record. */
bool handler_is_shared(const struct handler *r);
enum handler_kind handler_kind(const struct handler *r);
const char *handler_name(const struct handler *r);
const char *handler_note(const struct handler *r); /* "": nothing */

/** Its function in state @a state: a registry reference. */
int handler_ref(const struct handler *r, unsigned state);
