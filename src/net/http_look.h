/*
 * What the HTTP servers of this thread are at, for operators: copies, taken between
 * two turns of the loop. Connections are told by their descriptors, requests by their
 * handles.
 */
#pragma once

#include "net/http_server.h"

enum { HTTP_LOOK_TEXT = 128 };

struct http_server_look {
	uint32_t id;                  /* never given twice on this thread */
	char address[HTTP_LOOK_TEXT]; /* "": it does not listen */
	bool tls, http2, draining;
	struct http_stat stat;
};

struct http_conn_look {
	int fd;
	const char *state; /* what it waits for */
	const char *protocol;
	bool tls;
	uint32_t requests; /* served so far */
	size_t held;       /* bytes of input, not yet served */
	size_t unsent;     /* bytes that the peer does not read */
	char peer[HTTP_LOOK_TEXT];
};

struct http_request_look {
	uint64_t handle;
	int fd; /* of its connection; -1: the peer has gone */
	const char *method;
	char path[HTTP_LOOK_TEXT]; /* its beginning */
	const char *state;
	uint64_t body; /* bytes of it that have come */
	uint64_t sent; /* of the answer */
	void *owner;   /* http_request_owner() */
};

/** The server with the lowest id above @a after. Returns false: there is none. */
bool http_look_server(uint32_t after, struct http_server_look *ret);

/** The connections of server @a id with the lowest descriptors above @a after, @a max at
 * most, in their order. Returns how many. */
unsigned http_look_connections(uint32_t id, int after,
			       struct http_conn_look *ret, unsigned max);

/** The request of server @a id in the first slot from *at on, which is moved
 * behind it. Returns false: there are no more. */
bool http_look_request(uint32_t id, uint32_t *at,
		       struct http_request_look *ret);

/** Close the connection on descriptor @a fd of any server of this thread. Returns false:
 * there is none. */
bool http_look_shut(int fd);
