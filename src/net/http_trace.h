/*
 * What happens to requests while somebody looks: each event of those that a trace is
 * for, told at once, on their thread. While there is no trace on a thread an event
 * costs a look at a pointer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct http_request;
struct http_server;
struct http1_conn;

enum http_trace_event {
	HTTP_TRACE_ACCEPTED, /* a connection */
	HTTP_TRACE_REQUEST, /* its head is there, and goes to the handler; number: the
				bytes that have come of it */
	HTTP_TRACE_ROUTE, /* text: where it goes */
	HTTP_TRACE_RULE,  /* text: the rule that is looked at */
	HTTP_TRACE_BODY,  /* the rest of the body has come; number: its bytes */
	HTTP_TRACE_ANSWER,  /* is begun; number: its status */
	HTTP_TRACE_REFUSED, /* by the server; number: the status, text: why */
	HTTP_TRACE_SENT, /* the answer is given up; number: bytes of its body */
	HTTP_TRACE_CUT, /* likewise, and it is not whole: the peer has gone, or it
				was aborted */
	HTTP_TRACE_DONE,   /* its handler lets go of it */
	HTTP_TRACE_CLOSED, /* the connection of one that was told of */
	HTTP_TRACE_COUNT,
};

extern const char *const http_trace_names[HTTP_TRACE_COUNT];

enum { HTTP_TRACE_PATH_MAX = 255, HTTP_TRACE_FDS = 1 << 16 };

struct http_trace_note {
	enum http_trace_event event;
	uint64_t now_ns;
	uint64_t since_ns; /* the first byte of the request; 0: not known */
	uint32_t server;   /* see http_look.h */
	int fd;            /* of the connection; -1: the peer has gone */
	uint64_t handle;   /* of the request */
	bool has_number;
	uint64_t number;
	const char *text;                   /* NULL: none */
	const struct http_request *request; /* NULL: of none; during the call */
};

struct http_trace {
	/* Which: all that are given have to be so. */
	bool by_handle;
	uint64_t handle;
	uint32_t server;                    /* 0: any */
	char path[HTTP_TRACE_PATH_MAX + 1]; /* how it begins; "": any */
	/* On the thread that serves; it stops nothing and starts nothing. */
	void (*on_note)(struct http_trace *t, const struct http_trace_note *n);

	struct list link;
	uint64_t began_ns;
	/* Descriptors whose requests were told of. */
	uint8_t told[HTTP_TRACE_FDS / 8];
};

/** On this thread, from now on. */
void http_trace_start(struct http_trace *t);

/** It is nobody's any more. One that does not run is fine. */
void http_trace_stop(struct http_trace *t);

/** All of this thread, which ends: they run no more. */
void http_trace_stop_all(void);

/** Is one looking on this thread? */
bool http_trace_is_on(void);

/** An event that happens above: HTTP_TRACE_ROUTE or HTTP_TRACE_RULE. */
void http_trace_say(struct http_request *req, enum http_trace_event event,
		    const char *text);

/* --- for the servers --- */

/** The traces of this thread; NULL: none. */
extern __thread struct list *http__traces;

/** Of @a req, or of @a c alone. */
void http__trace_tell(enum http_trace_event event, struct http1_conn *c,
		      struct http_request *req, bool has_number,
		      uint64_t number, const char *text);

static inline void http__trace(enum http_trace_event event,
			       struct http1_conn *c, struct http_request *req)
{
	if (__builtin_expect(http__traces != NULL, 0))
		http__trace_tell(event, c, req, false, 0, NULL);
}

static inline void http__trace_number(enum http_trace_event event,
				      struct http1_conn *c,
				      struct http_request *req, uint64_t number,
				      const char *text)
{
	if (__builtin_expect(http__traces != NULL, 0))
		http__trace_tell(event, c, req, true, number, text);
}
