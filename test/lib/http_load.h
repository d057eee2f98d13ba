/*
 * A load client for benchmarks and tests: one thread, epoll, N connections to
 * 127.0.0.1, each with a batch of requests in flight; the next batch leaves when
 * the last reply of the one before has come, or, with an interval, when it is
 * due, however late that is.
 *
 * Every reply is framed, its status looked at, and judged by the caller. A run
 * is bounded in time and, if wanted, in requests; whatever was sent is waited
 * for, so that a request nobody answered is an error and not forgotten.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOAD_CONNECTIONS_MAX = 4096,
	LOAD_DEPTH_MAX = 256,
	LOAD_REQUEST_MAX = 64 << 10, /* bytes of one request */
	LOAD_REPLY_MAX = 128 << 10,  /* bytes of one reply, headers included */
	LOAD_SMALL_MAX = 512,        /* bytes of a body of LOAD_HTTP2 */
	LOAD_ERROR_SIZE = 256,
};

enum load_protocol {
	LOAD_HTTP,      /* HTTP/1.1, replies framed by Content-Length */
	LOAD_HTTP2,     /* begun at once; the requests of a batch are streams */
	LOAD_WEBSOCKET, /* messages; the replies are text messages */
	LOAD_ECHO,      /* what was sent comes back */
};

/** One reply, valid during the call. */
struct load_reply {
	int status;       /* 200 where there is none; LOAD_HTTP2: -1: another */
	const char *body; /* not terminated */
	size_t size;
};

/** What to send and what to expect. */
struct load_cfg {
	int port;
	enum load_protocol protocol;
	bool tls;         /* 1.3, nothing is verified */
	const char *path; /* LOAD_WEBSOCKET: of the request that asks for it */
	unsigned connections;
	unsigned depth;        /* requests of one batch; 1: no pipelining */
	uint64_t max_requests; /* 0: time alone ends the run */
	double seconds;        /* counted time, at most */
	double warm_seconds;   /* before it: sent, judged, not counted */
	double interval; /* seconds from batch to batch of a connection, which
			    begin one after the other; 0: at once */
	bool reconnect;  /* each batch has a new connection */
	double stall_seconds; /* silence of all connections that ends the run */
	uint64_t max_errors;  /* so many end the run */
	bool server_may_end; /* a connection that ends between two replies is no
				 error: counted as closed, not opened again */
	const atomic_bool *stop; /* true ends the run; may be NULL */
	/**
	 * Write request @a id into @a out, at most LOAD_REQUEST_MAX bytes;
	 * returns its size. With same_request it is called once, with id 0;
	 * LOAD_HTTP2 needs that, and gets the block of header fields.
	 */
	size_t (*request)(void *arg, uint64_t id, char *out);
	bool same_request;
	/**
	 * Judge the reply of request @a id: NULL when it is right, else what
	 * is wrong with it, a string that outlives the run.
	 */
	const char *(*check)(void *arg, uint64_t id,
			     const struct load_reply *reply);
	void *arg;
};

/**
 * What came of it. Latency is from the send of a batch, or when it was due, to
 * each reply.
 */
struct load_result {
	uint64_t sent;     /* in the whole run */
	uint64_t answered; /* in the whole run, rightly */
	uint64_t errors;   /* in the whole run */
	uint64_t closed;   /* unanswered: see server_may_end */
	uint64_t counted;  /* right answers in the counted time */
	double seconds;    /* the counted time */
	double p50_us, p99_us, max_us;
	char first_error[LOAD_ERROR_SIZE];
};

/**
 * Run. Returns 0 when it ran to its end, also with errors; -1 when it could
 * not start or gave up (first_error says why).
 */
int load_run(const struct load_cfg *cfg, struct load_result *ret_result);
