/*
 * TLS over a socket: once it is begun, all that is sent and received goes
 * through it. As with the rest of sock.h nothing waits: see sock_tls_wants().
 */
#pragma once

#include <poll.h>
#include <stddef.h>
#include <sys/types.h>

struct sock;
struct tls_context;

/**
 * Begin, as tls_new(): what was read ahead belongs to the handshake. 0, or -1
 * with diag set; then it is as before. It must be open and have no TLS yet.
 */
int sock_tls_start(struct sock *s, struct tls_context *context,
		   const char *name);

/** As tls_handshake(). */
int sock_tls_handshake(struct sock *s);

/** Without another word. */
void sock_tls_drop(struct sock *s);

/** As sock_recv() and sock_send(): UV_EINVAL for flags but MSG_PEEK. */
ssize_t sock_tls_recv(struct sock *s, void *to, size_t size, int flags);
ssize_t sock_tls_send(struct sock *s, const void *data, size_t size, int flags);

/** All that was taken has left; or UV_EAGAIN, or why it cannot. */
int sock_tls_flush(struct sock *s);

/** Announce our end, and then end the descriptor's direction, too. UV_EAGAIN:
 * again, when there is room. */
int sock_tls_shutdown(struct sock *s);

/** What of IO_IN and IO_OUT is ready now. */
int sock_tls_ready(struct sock *s, int what);

/** What to wait for when @a what is wanted: also room, if bytes are kept. */
int sock_tls_wants(const struct sock *s, int what);

/* Below TLS; of sock.c and sock_tls.c alone. */
ssize_t sock__recv(struct sock *s, void *to, size_t size, int flags);
ssize_t sock__send(struct sock *s, const void *data, size_t size, int flags);
