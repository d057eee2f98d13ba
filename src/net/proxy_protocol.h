/*
 * The PROXY protocol, versions 1 and 2: a proxy tells in the first bytes of a
 * connection whose it is. Only bytes in, addresses out.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
	/* The longest header that is taken; of version 1 it is 107 bytes. What
	 * version 2 adds to addresses is skipped. */
	PROXY_HEADER_MAX = 4096,
};

struct proxy_header {
	/** Who connected to the proxy, and to which address of the proxy's;
	 * ss_family AF_UNSPEC: the proxy does not say, or speaks for itself,
	 * and the connection's own addresses hold. */
	struct sockaddr_storage source;
	struct sockaddr_storage target;
};

/**
 * Read the header at @a data, all that has come. Returns its size, and it is in
 * *ret; 0: it goes on; UV_EPROTO: there is none.
 */
ssize_t proxy_header_parse(const char *data, size_t size,
			   struct proxy_header *ret);
