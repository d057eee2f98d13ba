/*
 * Deadlines of connections: one list for each thing to wait for. All in a list
 * have the same time allowed, so each list is in the order of its deadlines
 * and one timer, set for the earliest, serves them all.
 *
 * A deadline must pass twice. The loop reads its sockets after its timers, so
 * after a long stall of ours the bytes that would have been in time are still
 * unread when the first deadline passes.
 */
#include "net/http1.h"

enum { GRACE_MS = 20 };

static uint64_t earliest(const struct http_server *server)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < HTTP1_WAIT_TIMED; i++) {
		const struct list *l = &server->waits[i];
		const struct http1_conn *c;

		if (list_empty(l))
			continue;
		c = list_entry(l->next, struct http1_conn, link);
		if (c->due_ms < due)
			due = c->due_ms;
	}
	return due;
}

static void on_timer(struct timer *t);

static void arm(struct http_server *server)
{
	uint64_t due = earliest(server);

	if (due != UINT64_MAX)
		timer_start(server->timers, &server->timer, due * 1000000,
			    on_timer);
}

/* Back into its list, in order: those with a second chance are few and their
 * deadline is soon, so their place is near the front. */
static void give_grace(struct http1_conn *c, struct list *l, uint64_t now)
{
	struct list *at;

	list_del(&c->link);
	c->late = true;
	c->due_ms = now + GRACE_MS;
	for (at = l->next; at != l; at = at->next) {
		if (list_entry(at, struct http1_conn, link)->due_ms > c->due_ms)
			break;
	}
	list_add_tail(at, &c->link); /* before at */
}

static void expire(struct list *l, uint64_t now)
{
	while (!list_empty(l)) {
		struct http1_conn *c =
			list_entry(l->next, struct http1_conn, link);

		if (c->due_ms > now)
			return;
		if (!c->late) {
			give_grace(c, l, now);
			continue;
		}
		http1__expired(c);
	}
}

static void on_timer(struct timer *t)
{
	struct http_server *server = list_entry(t, struct http_server, timer);
	uint64_t now = http1__now_ms();

	for (unsigned i = 0; i < HTTP1_WAIT_TIMED; i++)
		expire(&server->waits[i], now);
	arm(server);
}

void http1__timeouts_init(struct http_server *server)
{
	const struct http_limits *limits = &server->limits;

	for (unsigned i = 0; i < HTTP1_WAIT_COUNT; i++)
		list_init(&server->waits[i]);
	server->wait_ms[HTTP1_WAIT_IDLE] = limits->idle_ms;
	server->wait_ms[HTTP1_WAIT_HEAD] = limits->header_ms;
	server->wait_ms[HTTP1_WAIT_BODY] = limits->body_ms;
	server->wait_ms[HTTP1_WAIT_SEND] = limits->send_ms;
	server->wait_ms[HTTP1_WAIT_LINGER] = HTTP1_LINGER_MS;
	server->wait_ms[HTTP1_WAIT_GREET] = limits->handshake_ms;
}

void http1__timeouts_stop(struct http_server *server)
{
	timer_stop(server->timers, &server->timer);
}

void http1__wait(struct http1_conn *c, enum http1_wait wait)
{
	struct http_server *server = http1__server_of(c);
	uint64_t due;

	list_del(&c->link);
	list_add_tail(&server->waits[wait], &c->link);
	c->wait = wait;
	c->late = false;
	if (wait >= HTTP1_WAIT_TIMED)
		return;
	/* The loop's time, of this turn: it costs nothing. */
	due = uv_now(server->group.loop) + server->wait_ms[wait];
	c->due_ms = due;
	if (!timer_active(&server->timer) ||
	    server->timer.due_ns > due * 1000000)
		timer_start(server->timers, &server->timer, due * 1000000,
			    on_timer);
}
