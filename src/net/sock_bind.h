/* Sockets that get an address: for themselves, or for the process. */
#pragma once

#include <stdbool.h>

struct sock;
struct sock_address;

/** As bind(2). Returns 0 or UV_E*. */
int sock_bind(struct sock *s, const struct sock_address *addr);

/**
 * Bind one that is to listen: a unix socket's file that nobody answers on is
 * replaced, and removed when the socket is closed; with several workers the
 * same address on different loops is shared, see listen_share.h. @a reuse_port:
 * with other programs, too. @a name: of the listener; NULL: none. Returns 0 or UV_E*.
 */
int sock_bind_server(struct sock *s, const struct sock_address *addr,
		     bool reuse_port, const char *name);

/** As listener_refuse(): who is in the queue may be taken, others do not come in. Returns
 * true: it need only be closed, there is a successor. */
bool sock_bind_refuse(struct sock *s);

/** The address is no longer its own. For sock_close(). */
void sock_bind_leave(struct sock *s);
