/*
 * What the requests of one connection have in common: its variables. It is kept with the
 * connection, and by requests that are still served when that is closed. Its worker
 * makes it; any thread may use it.
 */
#pragma once

#include <stddef.h>

#include "app/var_store.h"

/** How the names of its variables begin. */
#define SESSION_SCOPE "sess."

enum {
	SESSION_VARS_MAX = 64,
	SESSION_VAR_BYTES_MAX = 64 << 10, /* names and strings */
};

struct http_request;
struct session;

/** How many there are, in all threads. */
unsigned session_count(void);

/** A new one of no connection. Returns NULL with diag set: OutOfMemory. One reference. */
struct session *session_new(void);
struct session *session_ref(struct session *s);
void session_unref(struct session *s); /* NULL is fine */

/** Has the connection of @a req one? */
bool session_is_there(struct http_request *req);

/**
 * That of the connection of @a req, which has it, too, from then on; when the peer has gone
 * one of no connection. One reference. Returns NULL with diag set: OutOfMemory.
 */
struct session *session_of(struct http_request *req);

/** As var_store_set() and var_store_get(). */
int session_set_var(struct session *s, const char *name,
		    struct request_value value);
int session_get_var(struct session *s, const char *name,
		    struct request_value *ret_value);
