/*
 * The PROXY protocol in front of a stream: what stream.c hands over until its
 * header has come. Inside net only.
 */
#pragma once

#include "net/stream.h"

/** Wait for the header of a stream that was opened, if its group says so.
 * Returns 0 or UV_ENOMEM. */
int stream__proxy_begin(struct stream *s);

/** A read of the socket, while stream__proxy_is_waiting(). Returns 0 while the
 * header goes on; 1: it has come, *data and *size are what follows it; or why the
 * stream ends. */
int stream__proxy_read(struct stream *s, char **data, ssize_t *size);

bool stream__proxy_is_waiting(const struct stream *s);

/** What it said of the peer; false: nothing. */
bool stream__proxy_peer(const struct stream *s,
			struct sockaddr_storage *ret_addr);

/** The same of the address that the peer has connected to. */
bool stream__proxy_own(const struct stream *s,
		       struct sockaddr_storage *ret_addr);

void stream__proxy_free(struct stream *s);
