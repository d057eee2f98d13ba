/* Listening sockets: TCP and unix, over libuv. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

#include "net/unix_file.h"

/** Where to listen. */
struct listen_address {
	struct sockaddr_storage addr;
	socklen_t size;
};

struct listen_options {
	int backlog;      /* 0: 4096 */
	bool reuse_port;  /* several workers may listen on the same port */
	const char *name; /* of the listener; NULL: none. See listen_share.h */
	mode_t mode; /* at most, of a unix socket's file; 0: as umask says */
};

struct listen_hold;

struct listener {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	int fd;
	bool unix_socket;
	struct listen_hold *hold; /* of its address; NULL: given up */
	struct unix_file file;    /* of a unix socket */
	/** A connection waits: take it with stream_accept(), or leave it: no
	 * more are reported until it is taken. A negative status: accepting
	 * failed, another attempt follows. */
	void (*on_connection)(struct listener *l, int status);
	void (*on_closed)(struct listener *l);
	void *arg;
};

/**
 * The address of @a host (IPv4, IPv6 with or without brackets, "localhost",
 * NULL, "" or "*" for every one) and @a port; a unix socket is "unix/:PATH".
 * Returns 0, UV_EINVAL (no such form; a name), UV_ENAMETOOLONG.
 */
int listen_address_parse(struct listen_address *ret_addr, const char *host,
			 unsigned port);

/** The other way: "127.0.0.1:80", "[::1]:80", "unix/:PATH". */
void listen_address_format(const struct listen_address *addr, char *text,
			   size_t size);

/** Whoever is accepted has it from here, without a call of its own: a peer that is
 * silent for a minute is asked whether it is still there. */
void listener_set_keepalive(int fd);

/**
 * How many workers this process has. With more than one, listeners of the same
 * address on different loops share it: see listen_share.h. Before the workers
 * start.
 */
void listener_set_sharers(unsigned count);
unsigned listener_sharers(void);

/**
 * Bind and listen. A unix socket's file that nobody answers on is replaced.
 * The callbacks and arg must be set. Returns 0 or UV_E*; in both cases, when
 * *ret_opened, it must be closed with listener_close().
 */
int listener_open(struct listener *l, uv_loop_t *loop,
		  const struct listen_address *addr,
		  const struct listen_options *opts, bool *ret_opened);

/** The address it got, with the port the system chose. */
int listener_address(const struct listener *l, struct listen_address *ret_addr);

/**
 * Let nobody in any more who is not in the queue yet: closing would throw out
 * those who come between the last look into it and the end. Returns true when
 * there is a successor, to which the queue belongs from now on: just close.
 */
bool listener_refuse(struct listener *l);

/** What that does to a TCP socket: who knocks is not let in, who is half in comes in. */
void listener_drop_knocks(int fd);

/**
 * Take a connection that nobody has been told of yet, past libuv: for the
 * last round before closing. Returns a non-blocking descriptor, or UV_EAGAIN.
 */
int listener_take(struct listener *l);

/** Close; a unix socket's file is removed. on_closed() follows, later. */
void listener_close(struct listener *l);
