/*
 * TLS under a stream: what stream.c hands over when a stream has it. Inside net
 * only.
 */
#pragma once

#include "net/stream.h"

/** Begin the handshake of a stream that was opened, as its group says. Returns 0
 * or UV_ENOMEM. */
int stream__tls_begin(struct stream *s);

/** A read of the socket, as libuv gave it. */
void stream__tls_read(struct stream *s, const char *data, ssize_t size);

/** As stream_write(). */
int stream__tls_write(struct stream *s, const uv_buf_t *bufs, unsigned count);

/** Announce our end. Returns 0 or UV_E*. */
int stream__tls_end(struct stream *s);

/** Is the handshake at work? */
bool stream__tls_is_greeting(const struct stream *s);

/** Bytes of a record that is not whole. */
bool stream__tls_has_input(const struct stream *s);

void stream__tls_free(struct stream *s);

/* stream.c */

/** stream_write() to the socket, past TLS. */
int stream__write_raw(struct stream *s, const uv_buf_t *bufs, unsigned count);
