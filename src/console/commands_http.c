/* Admin commands of the HTTP servers. */
#include <limits.h>
#include <stdio.h>

#include "app/app.h"
#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "lua/lua_fiber.h"
#include "net/http_look.h"

/* --- show listeners, show stat --- */

struct servers {
	uint32_t last; /* id of the one that was told */
};

static bool collect_listeners(struct worker *w, void *cursor,
			      struct admin_rows *rows)
{
	struct servers *at = ADMIN_CURSOR(struct servers, cursor);
	struct http_server_look s;

	(void)w;
	while (http_look_server(at->last, &s)) {
		struct admin_cell cells[] = {
			admin_number(s.id),
			admin_text(*s.address != '\0' ? s.address : NULL),
			admin_text(s.http2 ? "http/1, http/2" : "http/1"),
			admin_number(s.tls),
			admin_number(s.draining),
			admin_number(s.stat.connections),
			admin_number(s.stat.waiting),
		};

		if (!admin_rows_add(rows, cells))
			return true;
		at->last = s.id;
	}
	return false;
}

static const struct admin_column listener_columns[] = {
	{ "server", ADMIN_NUMBER, 6, "its number" },
	{ "address", ADMIN_TEXT, -22, "where it listens; none: no more" },
	{ "protocols", ADMIN_TEXT, -14, "that it speaks", true },
	{ "tls", ADMIN_FLAG, -3, "connections are encrypted" },
	{ "ending", ADMIN_FLAG, -6, "no new ones are taken" },
	{ "connections", ADMIN_NUMBER, 11, "open" },
	{ "requests", ADMIN_NUMBER, 8, "without an answer" },
	{ .name = NULL },
};

static const struct admin_command show_listeners = {
	.words = "show listeners",
	.help = "the HTTP servers of each worker",
	.columns = listener_columns,
	.collect = collect_listeners,
};

static bool collect_stat(struct worker *w, void *cursor,
			 struct admin_rows *rows)
{
	struct servers *at = ADMIN_CURSOR(struct servers, cursor);
	struct http_server_look s;

	(void)w;
	while (http_look_server(at->last, &s)) {
		const struct http_stat *t = &s.stat;
		struct admin_cell cells[] = {
			admin_number(s.id),
			admin_text(*s.address != '\0' ? s.address : NULL),
			admin_number((double)t->accepted),
			admin_number(t->connections),
			admin_number((double)t->requests),
			admin_number(t->waiting),
			admin_number((double)t->refused_connections),
			admin_number((double)t->refused_requests),
			admin_number((double)t->timeouts),
			admin_number((double)t->gone),
			admin_number((double)t->cut),
			admin_number((double)t->handshakes),
			admin_number((double)t->handshakes_failed),
			admin_number((double)t->http2),
			admin_number((double)t->bytes_in),
			admin_number((double)t->bytes_out),
		};

		if (!admin_rows_add(rows, cells))
			return true;
		at->last = s.id;
	}
	return false;
}

static const struct admin_column stat_columns[] = {
	{ "server", ADMIN_NUMBER, 0, "its number", false, ADMIN_LABEL },
	{ "address", ADMIN_TEXT, 0, "where it listens", false, ADMIN_LABEL },
	{ "accepted", ADMIN_COUNTER, 0, "connections" },
	{ "connections", ADMIN_NUMBER, 0, "open" },
	{ "requests", ADMIN_COUNTER, 0, "given to handlers" },
	{ "waiting", ADMIN_NUMBER, 0, "requests without an answer" },
	{ "refused_connections", ADMIN_COUNTER, 0,
	  "over the limit: answered 503" },
	{ "refused_requests", ADMIN_COUNTER, 0,
	  "answered 4xx or 5xx by the server itself" },
	{ "timeouts", ADMIN_COUNTER, 0, "connections that were too slow" },
	{ "gone", ADMIN_COUNTER, 0, "peers that left before their answer" },
	{ "cut", ADMIN_COUNTER, 0, "by the deadline of a drain" },
	{ "handshakes", ADMIN_COUNTER, 0, "of TLS, done" },
	{ "handshakes_failed", ADMIN_COUNTER, 0, "of TLS" },
	{ "http2", ADMIN_COUNTER, 0, "connections that spoke HTTP/2" },
	{ "bytes_in", ADMIN_COUNTER, 0, "read" },
	{ "bytes_out", ADMIN_COUNTER, 0, "handed over to be written" },
	{ .name = NULL },
};

static const struct admin_command show_stat = {
	.words = "show stat",
	.help = "what the HTTP servers have counted",
	.columns = stat_columns,
	.single = true,
	.collect = collect_stat,
};

/* --- show connections --- */

struct connections {
	uint32_t server;
	int after; /* descriptor */
	bool begun;
};

/* The server at hand, or the first one. */
static bool next_server(uint32_t *server, bool move)
{
	struct http_server_look s;

	if (!move && *server != 0)
		return true;
	if (!http_look_server(*server, &s))
		return false;
	*server = s.id;
	return true;
}

static bool add_connection(struct admin_rows *rows, uint32_t server,
			   const struct http_conn_look *c)
{
	struct admin_cell cells[] = {
		admin_number(c->fd),
		admin_number(server),
		admin_text(*c->peer != '\0' ? c->peer : NULL),
		admin_text(c->protocol),
		admin_number(c->tls),
		admin_text(c->state),
		admin_number(c->requests),
		admin_number((double)c->held),
		admin_number((double)c->unsent),
	};

	return admin_rows_add(rows, cells);
}

static bool collect_connections(struct worker *w, void *cursor,
				struct admin_rows *rows)
{
	enum { BATCH = 128 };
	struct connections *at = ADMIN_CURSOR(struct connections, cursor);
	struct http_conn_look looks[BATCH];

	(void)w;
	while (next_server(&at->server, false)) {
		unsigned n;

		if (!at->begun)
			at->after = -1;
		at->begun = true;
		n = http_look_connections(at->server, at->after, looks, BATCH);
		for (unsigned i = 0; i < n; i++) {
			if (!add_connection(rows, at->server, &looks[i]))
				return true;
			at->after = looks[i].fd;
		}
		if (n == BATCH)
			return true; /* others have their turn before the rest */
		if (!next_server(&at->server, true))
			return false;
		at->after = -1;
	}
	return false;
}

static const struct admin_column connection_columns[] = {
	{ "id", ADMIN_NUMBER, 6, "its descriptor" },
	{ "server", ADMIN_NUMBER, 6, "as show listeners numbers them" },
	{ "peer", ADMIN_TEXT, -22, "its address, or what a PROXY header says" },
	{ "protocol", ADMIN_TEXT, -9, "http/1, http/2, websocket", true },
	{ "tls", ADMIN_FLAG, -3, "it is encrypted" },
	{ "state", ADMIN_TEXT, -9,
	  "idle, head, body: a request is coming; handler: it is being served; "
	  "send: the peer reads; turn, linger, handshake",
	  true },
	{ "requests", ADMIN_COUNTER, 8, "served on it" },
	{ "held", ADMIN_BYTES, 8, "of input, not yet served" },
	{ "unsent", ADMIN_BYTES, 8, "that the peer has not read" },
	{ .name = NULL },
};

static const struct admin_command show_connections = {
	.words = "show connections",
	.level = ADMIN_OPERATOR,
	.help = "the HTTP connections of each worker",
	.columns = connection_columns,
	.collect = collect_connections,
};

/* --- shut connection --- */

struct shut {
	int fd;
};

static int parse_shut(struct admin_run *run)
{
	double id = admin_arg(run, 0)->number;
	struct shut s = { .fd = id <= INT_MAX ? (int)id : INT_MAX };

	admin_set_cursor(run, &s, sizeof(s));
	return 0;
}

/* Descriptors are the process's: one worker at most has it. */
static bool collect_shut(struct worker *w, void *cursor,
			 struct admin_rows *rows)
{
	const struct shut *s = ADMIN_CURSOR(struct shut, cursor);
	struct admin_cell cells[] = { admin_number(s->fd),
				      admin_text("closed") };

	(void)w;
	if (!http_look_shut(s->fd))
		return false;
	taint_set(TAINT_CONNECTION_SHUT);
	admin_rows_add(rows, cells);
	return false;
}

static const struct admin_arg shut_args[] = {
	{ "id", ADMIN_NUMBER, false, NULL, "as show connections tells it" },
	{ .name = NULL },
};

static const struct admin_column shut_columns[] = {
	{ "id", ADMIN_NUMBER, 6, "of the connection" },
	{ "what", ADMIN_TEXT, -8, "closed", true },
	{ .name = NULL },
};

static const struct admin_command shut_connection = {
	.words = "shut connection",
	.level = ADMIN_ADMIN,
	.help = "close an HTTP connection at once",
	.args = shut_args,
	.columns = shut_columns,
	.none = "there is no such connection",
	.parse = parse_shut,
	.collect = collect_shut,
};

/* --- show requests --- */

struct requests {
	uint32_t server;
	uint32_t slot;
};

static bool add_request(struct admin_rows *rows, uint32_t server,
			const struct http_request_look *r)
{
	const struct lua_fiber *f = r->owner;
	struct admin_cell cells[] = {
		admin_number((double)r->handle),
		admin_number(server),
		r->fd < 0 ? admin_text(NULL) : admin_number(r->fd),
		f == NULL ? admin_text(NULL) : admin_number((double)f->base.id),
		admin_text(r->state),
		f == NULL ? admin_text(NULL)
			  : admin_number((double)f->base.total_ns / 1e9),
		admin_number((double)r->body),
		admin_number((double)r->sent),
		admin_text(r->method),
		admin_text(r->path),
	};

	return admin_rows_add(rows, cells);
}

static bool collect_requests(struct worker *w, void *cursor,
			     struct admin_rows *rows)
{
	struct requests *at = ADMIN_CURSOR(struct requests, cursor);
	struct http_request_look r;

	(void)w;
	if (!next_server(&at->server, false))
		return false;
	do {
		for (uint32_t next = at->slot;
		     http_look_request(at->server, &next, &r); at->slot = next)
			if (!add_request(rows, at->server, &r))
				return true;
		at->slot = 0;
	} while (next_server(&at->server, true));
	return false;
}

static const struct admin_column request_columns[] = {
	{ "id", ADMIN_NUMBER, 14, "of the request" },
	{ "server", ADMIN_NUMBER, 6, "as show listeners numbers them" },
	{ "connection", ADMIN_NUMBER, 10,
	  "as show connections tells it; none: the peer has gone" },
	{ "fiber", ADMIN_NUMBER, 8, "that serves it" },
	{ "state", ADMIN_TEXT, -9,
	  "handler, receiving, streaming, websocket, gone", true },
	{ "time", ADMIN_SECONDS, 9, "CPU time of the fiber" },
	{ "body", ADMIN_BYTES, 9, "that has come" },
	{ "sent", ADMIN_BYTES, 9, "of the answer's body" },
	{ "method", ADMIN_TEXT, -7, "of the request", true },
	{ "path", ADMIN_TEXT, -20, "its beginning" },
	{ .name = NULL },
};

static const struct admin_command show_requests = {
	.words = "show requests",
	.level = ADMIN_OPERATOR,
	.help = "the requests that are being served",
	.columns = request_columns,
	.collect = collect_requests,
};

const struct admin_command *const admin_commands_http[] = {
	&show_listeners,  &show_stat,     &show_connections,
	&shut_connection, &show_requests, NULL,
};
