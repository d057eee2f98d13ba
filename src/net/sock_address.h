/*
 * Addresses of sockets: IPv4 and IPv6 by number, files of unix sockets, and
 * abstract names, which begin with a zero byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct sock_address {
	struct sockaddr_storage addr;
	socklen_t size;
};

/** One as text. */
struct sock_address_text {
	char host[80];  /* "unix/" for a unix socket */
	char path[110]; /* of a unix socket; may hold zero bytes */
	size_t path_size;
	int port; /* of the others */
};

/** Text that ends in a zero byte, and may have others in it. */
struct sock_text {
	const char *data;
	size_t size;
};

/**
 * The address of @a host (a number, or "unix/") and @a port (a number, a
 * service of /etc/services, or a path). Returns 0, UV_EINVAL (no such form, or
 * a name), UV_ENOBUFS (the path is too long).
 */
int sock_address_parse(struct sock_address *ret_addr, struct sock_text host,
		       struct sock_text port);

/** False: it is of no kind that is known here, or there is none. */
bool sock_address_format(const struct sock_address *addr,
			 struct sock_address_text *ret_text);
