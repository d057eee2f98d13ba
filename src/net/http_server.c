/*
 * The server: limits, accepting, and the way down.
 *
 * A drain ends in the callback only when the listener, every connection and
 * the turn handle have closed, so that the loop owes nothing any more.
 */
#include "net/http_server.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/http2.h"
#include "runtime/loop.h"

enum {
	MAX_HEADER = 1 << 24,
	FRESH_MS = 500,  /* for a connection's first request, draining */
	GREET_MS = 2000, /* for its handshake before that */
	RETRY_MS = 100,  /* to accept again after a failure */
	BUSY_MS = 1000,  /* since the last connection came: more are coming */
	LATE_MS = 100,   /* for who has knocked to come in, before closing */
};

static void set_limit(uint32_t *limit, uint32_t normal, uint32_t max)
{
	if (*limit == 0)
		*limit = normal;
	if (*limit > max)
		*limit = max;
}

static void set_limits(struct http_limits *l)
{
	set_limit(&l->header_bytes, 16384, MAX_HEADER);
	set_limit(&l->uri_bytes, 8192, MAX_HEADER);
	if (l->body_bytes == 0)
		l->body_bytes = 8 << 20;
	set_limit(&l->connections, 0,
		  HTTP1_CONNECTIONS_MAX); /* 0: set_room() */
	set_limit(&l->streams, HTTP2_STREAMS, HTTP2_STREAMS_MAX);
	set_limit(&l->idle_ms, 60000, INT32_MAX);
	set_limit(&l->header_ms, 10000, INT32_MAX);
	set_limit(&l->body_ms, 60000, INT32_MAX);
	set_limit(&l->send_ms, 60000, INT32_MAX);
	set_limit(&l->handshake_ms, 10000, INT32_MAX);
}

struct list *http1__servers(void)
{
	static __thread struct list servers;

	if (servers.next == NULL)
		list_init(&servers);
	return &servers;
}

static uint32_t next_id(void)
{
	static __thread uint32_t last;

	return ++last;
}

struct http_server *http_server_new(struct loop *loop, struct timers *timers,
				    const struct http_limits *limits,
				    http_request_f on_request, void *arg)
{
	struct http_server *server = mem_zalloc(sizeof(*server));

	if (server == NULL)
		return NULL;
	server->group.buffer = mem_alloc(HTTP1_READ_SIZE);
	server->group.buffer_size = HTTP1_READ_SIZE;
	if (server->group.buffer == NULL ||
	    stream_group_set_batch(&server->group) != 0) {
		mem_free(server->group.buffer);
		mem_free(server);
		return NULL;
	}
	list_add_tail(http1__servers(), &server->link);
	server->id = next_id();
	server->loop = loop;
	server->timers = timers;
	server->limits = *limits;
	set_limits(&server->limits);
	server->on_request = on_request;
	server->arg = arg;
	server->group.loop = &loop->uv;
	server->date_second = -1;
	http1__conn_init(&server->group);
	http1__parse_init(server);
	http1__timeouts_init(server);
	return server;
}

static void check_drained(struct http_server *server);

static void on_handle_closed(uv_handle_t *handle)
{
	struct http_server *server = handle->data;

	server->handles_open--;
	check_drained(server);
}

static void check_drained(struct http_server *server)
{
	void (*on_drained)(struct http_server *, void *) = server->on_drained;

	if (!server->draining || server->listening ||
	    server->stat.connections > 0)
		return;
	if (server->handles_open > 0) { /* nobody needs them any more */
		if (uv_is_closing((uv_handle_t *)&server->turn))
			return;
		uv_close((uv_handle_t *)&server->turn, on_handle_closed);
		uv_close((uv_handle_t *)&server->polled, on_handle_closed);
		return;
	}
	timer_stop(server->timers, &server->drain_timer);
	http1__timeouts_stop(server);
	buf_destroy(&server->out);
	server->draining = false;
	server->running = false;
	http1__room_leave(server);
	server->on_drained = NULL;
	if (server->disposed) {
		http_server_free(server);
		return;
	}
	if (on_drained != NULL)
		on_drained(server, server->drained_arg); /* may free it */
}

/* Accept what the listener has announced, if there is room. */
static void accept_next(struct http_server *server)
{
	int rc;

	server->accept_paused = http1__room_is_over(server);
	if (server->accept_paused)
		return;
	rc = http1__accept(server, -1, http1__room_is_full(server));
	if (rc == 0)
		return;
	server->stat.accept_failed++;
	server->accept_paused = rc == UV_ENOMEM; /* it still waits there */
	if (server->accept_paused)
		timer_start(server->timers, &server->accept_timer,
			    uv_hrtime() + RETRY_MS * 1000000ull,
			    server->accept_timer.fn);
}

static void on_accept_timer(struct timer *t)
{
	struct http_server *server =
		list_entry(t, struct http_server, accept_timer);

	if (server->accept_paused && server->listening)
		accept_next(server);
}

/* Those who wait in the listener's queue have been told that they are
 * connected: they are served like the others. @a announced: libuv holds one. */
static void let_in(struct http_server *server, bool announced)
{
	int fd;

	if (announced)
		http1__accept(server, -1, http1__room_is_full(server));
	while ((fd = listener_take(&server->listener)) >= 0) {
		if (http1__accept(server, fd, http1__room_is_full(server)) != 0)
			close(fd);
	}
}

static void on_connection(struct listener *l, int status)
{
	struct http_server *server = l->arg;

	if (status != 0)
		server->stat.accept_failed++;
	else if (!server->draining)
		accept_next(server);
	else
		let_in(server, true);
}

void http1__room_given(struct http_server *server)
{
	if (server->accept_paused && !server->draining)
		accept_next(server);
}

void http1__left(struct http_server *server)
{
	if (server->draining)
		check_drained(server);
}

static void on_turn(uv_idle_t *idle)
{
	struct http_server *server = idle->data;
	struct list *turn = &server->waits[HTTP1_WAIT_TURN];
	unsigned count = 0;

	/* Those who are here now; who comes back waits for the next round. */
	list_foreach(link, turn)
		count++;
	for (; count > 0 && !list_empty(turn); count--)
		http1__resume(list_entry(turn->next, struct http1_conn, link));
	if (list_empty(turn))
		uv_idle_stop(&server->turn);
}

void http1__want_turn(struct http_server *server)
{
	uv_idle_start(&server->turn, on_turn); /* again is harmless */
}

static void on_polled(uv_check_t *check)
{
	struct http_server *server = check->data;

	stream_group_serve(&server->group);
}

/* For as long as it runs; none of this can fail. */
static void open_handles(struct http_server *server)
{
	uv_idle_init(&server->loop->uv, &server->turn);
	uv_check_init(&server->loop->uv, &server->polled);
	server->turn.data = server->polled.data = server;
	uv_check_start(&server->polled, on_polled);
	uv_unref((uv_handle_t *)&server->polled);
	server->handles_open = 2;
}

static void on_listener_closed(struct listener *l)
{
	struct http_server *server = l->arg;

	server->listening = false;
	check_drained(server);
}

int http_server_listen(struct http_server *server,
		       const struct listen_address *addr,
		       const struct listen_options *opts)
{
	struct listener *l = &server->listener;
	bool opened;
	int rc;

	if (server->running)
		return UV_EALREADY;
	l->on_connection = on_connection;
	l->on_closed = on_listener_closed;
	l->arg = server;
	rc = listener_open(l, &server->loop->uv, addr, opts, &opened);
	if (!opened)
		return rc;
	open_handles(server);
	server->accept_timer.fn = on_accept_timer;
	server->listening = server->running = true;
	http1__room_join(server); /* what the server itself needs is open */
	server->wait_ms[HTTP1_WAIT_IDLE] = server->limits.idle_ms;
	server->wait_ms[HTTP1_WAIT_GREET] = server->limits.handshake_ms;
	if (rc != 0)
		http_server_drain(server, 0, NULL, NULL);
	return rc;
}

int http_server_address(const struct http_server *server,
			struct listen_address *ret_addr)
{
	if (!server->listening || server->draining)
		return UV_ENOTCONN;
	return listener_address(&server->listener, ret_addr);
}

/* Every connection, wherever it waits; @a fn may close it or move it. */
static void for_each(struct http_server *server,
		     void (*fn)(struct http1_conn *c))
{
	struct list all, *link;

	list_init(&all);
	for (unsigned i = 0; i < HTTP1_WAIT_COUNT; i++)
		list_splice_tail(&all, &server->waits[i]);
	while ((link = list_shift(&all)) != NULL) {
		struct http1_conn *c =
			list_entry(link, struct http1_conn, link);

		/* Back where it was: a connection is always in a list. */
		list_add_tail(&server->waits[c->wait], link);
		fn(c);
	}
}

static void cut_short(struct http1_conn *c)
{
	stream_flush(&c->stream);
	if (http2__is_busy(c))
		http1__server_of(c)->stat.cut += c->h2->open;
	else if (c->req != NULL || stream_unsent(&c->stream) > 0)
		http1__server_of(c)->stat.cut++;
	http1__close(c);
}

static void on_drain_deadline(struct timer *t)
{
	struct http_server *server =
		list_entry(t, struct http_server, drain_timer);

	/* Who came in later would have no deadline. */
	if (timer_active(&server->accept_timer)) {
		timer_stop(server->timers, &server->accept_timer);
		listener_close(&server->listener);
	}
	for_each(server, cut_short);
}

static void set_drain_deadline(struct http_server *server, uint64_t ms)
{
	uint64_t now = uv_hrtime(), due = UINT64_MAX - 1;

	if (ms < (due - now) / 1000000)
		due = now + ms * 1000000;
	if (!timer_active(&server->drain_timer) ||
	    due < server->drain_timer.due_ns)
		timer_start(server->timers, &server->drain_timer, due,
			    on_drain_deadline);
}

static void on_late_timer(struct timer *t)
{
	struct http_server *server =
		list_entry(t, struct http_server, accept_timer);

	let_in(server, false);
	listener_close(&server->listener);
}

/* Who has knocked may be half in: while connections come all the time one is,
 * nearly always, and a moment later is in the queue. */
static void end_listening(struct http_server *server, uint64_t deadline_ms)
{
	uint64_t wait_ms = deadline_ms < LATE_MS ? deadline_ms : LATE_MS;
	bool busy = server->accepted_ms != 0 &&
		    http1__now_ms() - server->accepted_ms < BUSY_MS;

	timer_stop(server->timers, &server->accept_timer);
	if (listener_refuse(&server->listener)) {
		/* Who waits there is the successor's from now on. */
		server->accept_paused = false;
		listener_close(&server->listener);
		return;
	}
	let_in(server, server->accept_paused);
	server->accept_paused = false;
	if (busy && !server->listener.unix_socket)
		timer_start(server->timers, &server->accept_timer,
			    uv_hrtime() + wait_ms * 1000000, on_late_timer);
	else
		listener_close(&server->listener);
}

int http_server_drain(struct http_server *server, uint64_t deadline_ms,
		      void (*on_drained)(struct http_server *server, void *arg),
		      void *arg)
{
	if (!server->running)
		return UV_ENOTCONN;
	set_drain_deadline(server, deadline_ms);
	if (server->draining)
		return UV_EALREADY;
	server->draining = true;
	server->on_drained = on_drained;
	server->drained_arg = arg;
	end_listening(server, deadline_ms);
	server->wait_ms[HTTP1_WAIT_IDLE] = FRESH_MS;
	if (server->wait_ms[HTTP1_WAIT_GREET] > GREET_MS)
		server->wait_ms[HTTP1_WAIT_GREET] = GREET_MS;
	for_each(server, http1__retire);
	return 0;
}

void http_server_set_streaming(struct http_server *server, bool on)
{
	server->streaming = on;
}

int http_server_set_tls(struct http_server *server, struct tls_context *context)
{
	return stream_group_set_tls(&server->group, context);
}

void http_server_set_proxied(struct http_server *server, bool on)
{
	server->group.proxied = on;
}

bool http_server_is_running(const struct http_server *server)
{
	return server->running;
}

void http_server_free(struct http_server *server)
{
	if (server == NULL)
		return;
	assert(!server->running);
	list_del(&server->link);
	http1__request_pool_free(server);
	http2__shared_free(server);
	buf_destroy(&server->out);
	stream_group_drop_tls(&server->group);
	stream_group_drop_batch(&server->group);
	mem_free(server->group.buffer);
	mem_free(server);
}

void http_server_dispose(struct http_server *server)
{
	if (server == NULL)
		return;
	if (!server->running) {
		http_server_free(server);
		return;
	}
	server->disposed = true;
	server->on_drained = NULL;
	for_each(server, http1__close);
	if (!server->draining || timer_active(&server->accept_timer))
		listener_close(&server->listener);
	server->draining = true;
	http1__timeouts_stop(server);
	timer_stop(server->timers, &server->drain_timer);
	timer_stop(server->timers, &server->accept_timer);
}

void *http_server_arg(const struct http_server *server)
{
	return server->arg;
}

void http_server_stat(const struct http_server *server, struct http_stat *ret)
{
	*ret = server->stat;
	ret->reads = server->group.reads;
	ret->writes = server->group.writes;
	ret->bytes_in = server->group.bytes_in;
	ret->bytes_out = server->group.bytes_out;
}
