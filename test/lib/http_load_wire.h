/*
 * The connections of the load client: TCP, TLS where that is wanted, and what a
 * protocol says once at the beginning. They are opened by waiting, one after
 * the other, and do not wait afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "http_load.h"

struct ssl_st;
struct ssl_ctx_st;

/** One connection. */
struct load_wire {
	int fd; /* -1: closed */
	struct ssl_st *ssl;
};

/** What clients of TLS share; NULL on errors. */
struct ssl_ctx_st *load_tls_new(void);

void load_tls_delete(struct ssl_ctx_st *tls);

/**
 * Connect to cfg->port, greet by @a tls unless that is NULL, and say what the
 * protocol begins with. On errors -1, with the wire closed and *ret_why set.
 */
int load_wire_open(struct load_wire *w, const struct load_cfg *cfg,
		   struct ssl_ctx_st *tls, const char **ret_why);

void load_wire_close(struct load_wire *w);

/** As send(): -1 with errno EAGAIN when it has to wait. */
ssize_t load_wire_send(struct load_wire *w, const char *data, size_t size);

/** As recv(): -1 with errno EAGAIN when there is nothing yet. */
ssize_t load_wire_recv(struct load_wire *w, char *out, size_t size);

/** There is more to receive, which epoll cannot see. */
bool load_wire_pending(const struct load_wire *w);
