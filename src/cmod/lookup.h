/*
 * Looking up addresses for C functions: getaddrinfo(), which blocks, as work
 * for a thread. It keeps what it needs itself, so whoever asked may go.
 */
#pragma once

#include "cmod/host.h"

struct addrinfo;
struct lookup;

/** A lookup that is yet to be made, as getaddrinfo() takes it; all is copied.
 * NULL with diag set: out of memory. */
struct lookup *lookup_new(const char *node, const char *service,
			  const struct addrinfo *hints);

/** NULL is fine. */
void lookup_delete(struct lookup *l);

/** Running this makes it. One that is dropped deletes itself. */
struct cmod_job *lookup_job(struct lookup *l);

/** After it was made: returns 0 with *ret_list for freeaddrinfo(), or -1 with
 * diag set. */
int lookup_take(struct lookup *l, struct addrinfo **ret_list);
