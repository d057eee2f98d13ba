/* The console over sockets. See remote.h. */
#include "console/remote.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "console/remote_peer.h"
#include "console/session.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/tls_context.h"

enum {
	INPUT_MAX = SESSION_INPUT_MAX + 1, /* unread lines of a connection */
	UNSENT_MAX = 1024 * 1024,
	READ_SIZE = 64 * 1024,
	FLUSH_MS = 5000,    /* for the last answer to a client that reads */
	VANISHED_MS = 500,  /* between two looks whether it is still there */
	RETRY_MS = 100,     /* until a connection is tried again */
	ROUND_MS = 5,       /* of the loop: when it lasts, others come first */
	TURN_MS = 1,        /* a connection evaluates lines even then */
	LOGIN_MS = 10000,   /* for the handshake of TLS and the password */
	DENY_MS = 1000,     /* until a wrong password is told */
	ATTEMPTS_MAX = 3,   /* of a connection */
	STRANGERS_MAX = 20, /* connections that have not told the password */
	STRANGER_INPUT_MAX = 64 * 1024,
};

struct remote {
	struct worker *worker;
	struct listener listener;
	struct stream_group group;
	struct list connections;
	unsigned count;
	struct drainable drainable;
	struct timer deadline; /* of the drain */
	struct timer retry;    /* of a connection there was no memory for */
	struct list link;      /* in the list of all */
	bool listening;        /* the listener's handle is open */
	bool draining;
	bool closing;
	bool told_of_memory; /* since the last connection that was taken */
	bool audit;
	unsigned connections_max;
	unsigned strangers;
	uint64_t idle_ns;
	bool admin; /* see struct remote_options */
	enum admin_level level;
	char password[REMOTE_PASSWORD_MAX + 1]; /* "": none is wanted */
	void (*on_close)(void *arg);
	void *on_close_arg;
	char path[128]; /* or "HOST:PORT" */
	char buffer[READ_SIZE];
};

struct connection {
	struct stream stream;
	struct session session;
	struct remote *remote;
	struct list link;
	struct timer timer; /* FLUSH_MS, VANISHED_MS, or its next turn */
	struct buf in;      /* lines not yet evaluated */
	bool working;       /* inside work() */
	bool at_end;        /* the client sends no more */
	bool broken;        /* it cannot be written to */
	bool leaving;       /* to be closed when all is sent; see leave() */
	bool closing;       /* the handle is being closed */
	bool stranger;      /* the password is not told yet */
	bool denied;        /* a wrong password will be told */
	unsigned attempts;
	struct timer
		patience; /* LOGIN_MS, or the time a client may be silent */
	char who[REMOTE_PEER_SIZE];
};

static struct list all = { &all, &all };

static struct connection *connection_of(struct stream *s)
{
	return list_entry(s, struct connection, stream);
}

/* The remote goes when nothing of it is open any more. */
static void free_when_done(struct remote *r)
{
	if (r->listening || r->count > 0)
		return;
	drain_remove(&r->drainable);
	timer_stop(&r->worker->sched.timers, &r->deadline);
	list_del(&r->link);
	stream_group_drop_tls(&r->group);
	explicit_bzero(r->password, sizeof r->password);
	mem_free(r);
}

static void on_stream_closed(struct stream *s)
{
	struct connection *c = connection_of(s);
	struct remote *r = c->remote;

	list_del(&c->link);
	buf_destroy(&c->in);
	mem_free(c);
	r->count--;
	if (r->closing || r->draining)
		free_when_done(r);
}

static void close_connection(struct connection *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (c->stranger)
		c->remote->strangers--;
	timer_stop(&c->remote->worker->sched.timers, &c->timer);
	timer_stop(&c->remote->worker->sched.timers, &c->patience);
	session_destroy(&c->session);
	stream_close(&c->stream);
}

static void on_flush_late(struct timer *t)
{
	close_connection(list_entry(t, struct connection, timer));
}

/*
 * Close when the client has everything, or takes too long. After the last
 * answer has left, what it still sends is read and dropped until it ends:
 * closing with unread bytes would make the kernel drop that answer.
 */
static void leave(struct connection *c)
{
	struct timers *timers = &c->remote->worker->sched.timers;
	bool sent = stream_unsent(&c->stream) == 0;

	if (!c->leaving) {
		c->leaving = true;
		c->denied = false;
		stream_read_stop(&c->stream);
		timer_start(timers, &c->timer,
			    uv_hrtime() + FLUSH_MS * 1000000ull, on_flush_late);
	}
	if (c->broken || (sent && c->at_end))
		close_connection(c);
	else if (sent && (stream_shutdown(&c->stream) != 0 ||
			  stream_read_start(&c->stream) != 0))
		close_connection(c);
}

static void write_text(struct connection *c, const char *data, size_t size)
{
	uv_buf_t buf = uv_buf_init((char *)data, size);

	if (!c->broken && stream_write(&c->stream, &buf, 1) != 0)
		c->broken = true;
}

static void write_error(struct connection *c, const char *text)
{
	struct buf answer = { 0 };

	if (buf_printf(&answer, "---\n- error: '%s'\n...\n", text) == 0)
		write_text(c, answer.data, answer.size);
	buf_destroy(&answer);
}

/* Whether the peer has closed both ways, which an end of its data alone does
 * not tell. */
static bool has_vanished(struct connection *c)
{
	struct pollfd p = { .fd = -1 };

	return uv_fileno(&c->stream.uv.handle, &p.fd) != 0 ||
	       (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)));
}

static void on_look(struct timer *t);

static void look_later(struct connection *c)
{
	timer_start(&c->remote->worker->sched.timers, &c->timer,
		    uv_hrtime() + VANISHED_MS * 1000000ull, on_look);
}

/* While a line is evaluated for a client that sends no more: it may go. */
static void on_look(struct timer *t)
{
	struct connection *c = list_entry(t, struct connection, timer);

	if (has_vanished(c))
		close_connection(c);
	else
		look_later(c);
}

/* The next line of the input, behind @a done bytes that are dealt with; it
 * takes *ret_used bytes. */
static bool next_line(struct connection *c, size_t done, size_t *ret_size,
		      size_t *ret_used)
{
	size_t rest = c->in.size - done;
	char *begin = c->in.data + done, *end;

	if (rest == 0)
		return false;
	end = memchr(begin, '\n', rest);
	if (end == NULL && !c->at_end)
		return false;
	*ret_size = end == NULL ? rest : (size_t)(end - begin);
	*ret_used = end == NULL ? rest : *ret_size + 1;
	if (*ret_size > 0 && begin[*ret_size - 1] == '\r')
		(*ret_size)--;
	return true;
}

/* --- who may, and what he does --- */

static void work(struct connection *c);

static void on_silent(struct timer *t)
{
	struct connection *c = list_entry(t, struct connection, patience);

	if (session_is_busy(&c->session))
		return; /* on_ready() begins to count again */
	if (!c->stranger)
		log_info("console '%s': %s: idle for too long", c->remote->path,
			 c->who);
	close_connection(c);
}

static void expect_within(struct connection *c, uint64_t ns)
{
	if (ns != 0)
		timer_start(&c->remote->worker->sched.timers, &c->patience,
			    uv_hrtime() + ns, on_silent);
}

static void note_activity(struct connection *c)
{
	if (!c->stranger && !c->closing)
		expect_within(c, c->remote->idle_ns);
}

static void audit(struct connection *c, const char *line, size_t size)
{
	if (c->remote->audit && line != NULL &&
	    !session_is_frame(&c->session, line, size))
		remote_audit(c->remote->path, c->who, line, size);
}

static void on_denied(struct timer *t)
{
	struct connection *c = list_entry(t, struct connection, timer);

	c->denied = false;
	write_error(c, "wrong password");
	if (++c->attempts >= ATTEMPTS_MAX)
		leave(c);
	else
		work(c);
}

/* Who it is is known: the session speaks what the console is for. */
static void begin_session(struct connection *c)
{
	struct error *e;

	if (!c->remote->admin ||
	    session_use_admin(&c->session, c->remote->level) == 0)
		return;
	e = diag_take();
	log_error("console '%s': %s", c->remote->path, e->message);
	error_unref(e);
	leave(c);
}

/* "\login PASSWORD", and nothing else, until it is right. A wrong one is told
 * late: guessing takes its time. */
static void log_in(struct connection *c, const char *line, size_t size)
{
	static const char word[] = "\\login ";
	static const char good[] = "---\n- true\n...\n";
	size_t n = sizeof word - 1;

	if (size >= n && memcmp(line, word, n) == 0 &&
	    remote_secret_is(c->remote->password, line + n, size - n)) {
		c->stranger = false;
		c->remote->strangers--;
		timer_stop(&c->remote->worker->sched.timers, &c->patience);
		note_activity(c);
		log_info("console '%s': %s has logged in", c->remote->path,
			 c->who);
		write_text(c, good, sizeof good - 1);
		begin_session(c);
		return;
	}
	log_warn("console '%s': %s: wrong password", c->remote->path, c->who);
	c->denied = true;
	timer_start(&c->remote->worker->sched.timers, &c->timer,
		    uv_hrtime() + DENY_MS * 1000000ull, on_denied);
}

static void feed(struct connection *c, const char *line, size_t size)
{
	struct error *e;

	if (c->stranger) {
		log_in(c, line == NULL ? "" : line, size);
		return;
	}
	audit(c, line, size);
	if (session_feed(&c->session, line, size) == 0)
		return;
	e = diag_take();
	write_error(c, e->message);
	error_unref(e);
	if (c->session.framed) /* who waits for the end of an answer is told */
		leave(c);
}

static bool has_too_much(const struct connection *c)
{
	return c->in.size >= (c->stranger ? STRANGER_INPUT_MAX : INPUT_MAX);
}

/* What is to be done when no line is being evaluated. */
static void settle(struct connection *c)
{
	bool idle = stream_unsent(&c->stream) == 0 &&
		    !stream_has_input(&c->stream);

	if (c->broken || c->remote->closing || (c->remote->draining && idle)) {
		close_connection(c);
	} else if (c->at_end || c->remote->draining) {
		leave(c);
	} else if (stream_unsent(&c->stream) > UNSENT_MAX) {
		stream_read_stop(&c->stream); /* on_drained() goes on */
	} else if (has_too_much(c)) {
		write_error(c, "the line is too long");
		leave(c);
	} else if (stream_read_start(&c->stream) != 0) {
		close_connection(c);
	}
}

static bool may_evaluate(struct connection *c)
{
	return !c->broken && !c->leaving && !c->closing && !c->denied &&
	       !c->remote->draining && !c->remote->closing &&
	       !session_is_busy(&c->session) &&
	       stream_unsent(&c->stream) <= UNSENT_MAX;
}

static void on_turn(struct timer *t);

/* It has lines to evaluate, and lets others run first. */
static bool is_pausing(const struct connection *c)
{
	return timer_active(&c->timer) && c->timer.fn == on_turn;
}

static void wait_turn(struct connection *c)
{
	timer_start(&c->remote->worker->sched.timers, &c->timer, uv_hrtime(),
		    on_turn);
}

/* Whether what else the loop has to do comes first now. */
static bool is_turn_over(struct connection *c, uint64_t began_ns)
{
	uint64_t now = uv_hrtime();

	return now - began_ns >= TURN_MS * 1000000ull &&
	       now / 1000000 >= uv_now(&c->remote->worker->loop.uv) + ROUND_MS;
}

/* Evaluate the lines that are there, one after the other, until the turn is
 * over. Returns whether it is. */
static bool evaluate_lines(struct connection *c)
{
	uint64_t began = uv_hrtime();
	size_t size, used, done = 0;
	bool over = false;

	while (!over && may_evaluate(c) && next_line(c, done, &size, &used)) {
		feed(c, c->in.data + done, size);
		done += used;
		over = is_turn_over(c, began);
	}
	buf_consume(&c->in, done);
	if (!over && may_evaluate(c) && c->at_end &&
	    session_wants_more(&c->session))
		feed(c, NULL, 0);
	return over && may_evaluate(c);
}

static void work(struct connection *c)
{
	bool over;

	if (c->working || c->closing || c->leaving || c->denied ||
	    is_pausing(c))
		return;
	timer_stop(&c->remote->worker->sched.timers, &c->timer);
	c->working = true;
	over = evaluate_lines(c);
	c->working = false;
	if (c->closing)
		return;
	if (c->denied)
		stream_read_stop(&c->stream);
	else if (over)
		wait_turn(c);
	else if (!session_is_busy(&c->session) && !c->leaving)
		settle(c);
	else if (session_is_busy(&c->session) && c->at_end)
		look_later(c);
}

static void on_turn(struct timer *t)
{
	work(list_entry(t, struct connection, timer));
}

static void on_write(struct session *s, const char *data, size_t size)
{
	write_text(s->arg, data, size);
}

static void on_ready(struct session *s, const char *entry)
{
	const char *prompt = s->in_admin ? admin_session_prompt(s->admin) : "";

	(void)entry;
	note_activity(s->arg);
	if (*prompt != '\0')
		write_text(s->arg, prompt, strlen(prompt));
	work(s->arg);
}

static bool is_full(struct session *s)
{
	const struct connection *c = s->arg;

	return stream_unsent(&c->stream) > UNSENT_MAX;
}

static void on_leave(struct session *s)
{
	leave(s->arg);
}

static const struct session_ops session_ops = {
	.write = on_write,
	.ready = on_ready,
	.leave = on_leave,
	.is_full = is_full,
};

static void on_read(struct stream *s, char *data, ssize_t size)
{
	struct connection *c = connection_of(s);

	if (c->leaving) {
		if (size < 0)
			close_connection(c);
		return;
	}
	note_activity(c);
	if (size < 0) {
		c->at_end = true;
		stream_read_stop(s);
		if (has_vanished(c) || size != UV_EOF) {
			close_connection(c);
			return;
		}
	} else if (buf_append(&c->in, data, (size_t)size) != 0) {
		write_error(c, "not enough memory");
		leave(c);
		return;
	} else if (has_too_much(c)) {
		stream_read_stop(s); /* settle() goes on, or refuses */
	}
	if (size > 0)
		session_typed(&c->session);
	work(c);
}

static void on_drained(struct stream *s, int status)
{
	struct connection *c = connection_of(s);

	if (status != 0)
		c->broken = true;
	if (c->closing)
		return;
	if (c->broken)
		close_connection(c);
	else if (c->leaving)
		leave(c);
	else {
		session_drained(&c->session);
		work(c);
	}
}

static void greet(struct connection *c)
{
	static const char text[] = "neap (Lua console)\n"
				   "type '\\help' for help\n";
	static const char locked[] = "neap (Lua console)\n"
				     "type '\\login PASSWORD' to log in\n";

	if (c->stranger)
		write_text(c, locked, sizeof locked - 1);
	else if (!c->remote->admin) /* scripts read answers, and nothing else */
		write_text(c, text, sizeof text - 1);
}

static void refuse(struct connection *c, const char *why)
{
	write_error(c, why);
	leave(c);
}

/* It is taken. */
static void welcome(struct connection *c)
{
	struct remote *r = c->remote;

	if (stream_is_greeting(&c->stream)) { /* on_greeted() goes on */
		expect_within(c, LOGIN_MS * 1000000ull);
		if (r->count > r->connections_max ||
		    r->strangers > STRANGERS_MAX ||
		    stream_read_start(&c->stream) != 0)
			close_connection(c);
		return;
	}
	if (r->count > r->connections_max) {
		refuse(c, "too many connections");
		return;
	}
	if (r->strangers > STRANGERS_MAX) {
		refuse(c, "too many connections that have not logged in");
		return;
	}
	greet(c);
	if (c->stranger) {
		expect_within(c, LOGIN_MS * 1000000ull);
	} else {
		note_activity(c);
		begin_session(c);
	}
	work(c);
}

static void on_greeted(struct stream *s, int status)
{
	struct connection *c = connection_of(s);

	if (status != 0) {
		log_warn("console '%s': %s: the handshake of TLS has failed",
			 c->remote->path, c->who);
		close_connection(c);
		return;
	}
	timer_stop(&c->remote->worker->sched.timers, &c->patience);
	remote_peer_format(c->who, s);
	welcome(c);
}

static void on_retry(struct timer *t);

/* The connection stays with the listener, which tells of no other one until it
 * is taken. */
static void accept_later(struct remote *r)
{
	if (!r->told_of_memory)
		log_error("console '%s': not enough memory", r->path);
	r->told_of_memory = true;
	timer_start(&r->worker->sched.timers, &r->retry,
		    uv_hrtime() + RETRY_MS * 1000000ull, on_retry);
}

/* Take the connection that the listener has announced. */
static void accept_next(struct remote *r)
{
	struct connection *c = mem_zalloc(sizeof *c);
	bool opened;
	int rc;

	if (c == NULL) {
		accept_later(r);
		return;
	}
	c->remote = r;
	c->stranger = r->password[0] != '\0';
	rc = stream_accept(&c->stream, &r->group, &r->listener.uv.stream,
			   &opened);
	if (!opened) {
		mem_free(c);
		accept_later(r);
		return;
	}
	r->told_of_memory = false;
	list_add_tail(&r->connections, &c->link);
	r->count++;
	r->strangers += c->stranger;
	remote_peer_format(c->who, &c->stream);
	if (session_create(&c->session, &r->worker->vm, &session_ops, c) != 0) {
		struct error *e = diag_take();

		log_error("console '%s': %s", r->path, e->message);
		error_unref(e);
		rc = UV_ENOMEM;
	}
	if (rc != 0)
		close_connection(c);
	else
		welcome(c);
}

static void on_retry(struct timer *t)
{
	accept_next(list_entry(t, struct remote, retry));
}

static void on_connection(struct listener *l, int status)
{
	struct remote *r = l->arg;

	if (status != 0)
		log_error("console '%s': %s", r->path, uv_strerror(status));
	else
		accept_next(r);
}

/* No more connections; the file goes at once. */
static void stop_listening(struct remote *r)
{
	timer_stop(&r->worker->sched.timers, &r->retry);
	listener_close(&r->listener);
}

static void on_listener_closed(struct listener *l)
{
	struct remote *r = l->arg;

	r->listening = false;
	free_when_done(r);
}

static void tell_closed(struct remote *r)
{
	void (*fn)(void *arg) = r->on_close;

	r->on_close = NULL;
	if (fn != NULL)
		fn(r->on_close_arg);
}

/* A command that still runs is not counted as cut: an operator who looks at a
 * server that ends has not lost a request. */
static void on_drain_late(struct timer *t)
{
	struct remote *r = list_entry(t, struct remote, deadline);

	list_foreach_safe(link, next, &r->connections)
		close_connection(list_entry(link, struct connection, link));
}

/* What is being evaluated may finish; lines that wait for a turn are not. */
static void end_idle(struct connection *c)
{
	if (is_pausing(c))
		timer_stop(&c->remote->worker->sched.timers, &c->timer);
	work(c);
}

static void on_drain(struct drainable *d, uint64_t deadline_ms)
{
	struct remote *r = list_entry(d, struct remote, drainable);

	if (r->closing)
		return;
	r->draining = true;
	tell_closed(r);
	timer_start(&r->worker->sched.timers, &r->deadline,
		    uv_hrtime() + deadline_ms * 1000000, on_drain_late);
	list_foreach_safe(link, next, &r->connections)
		end_idle(list_entry(link, struct connection, link));
	stop_listening(r);
}

void remote_close(struct remote *r)
{
	if (r->closing)
		return;
	r->closing = true;
	timer_stop(&r->worker->sched.timers, &r->deadline);
	tell_closed(r);
	list_foreach_safe(link, next, &r->connections)
		close_connection(list_entry(link, struct connection, link));
	if (!r->draining)
		stop_listening(r);
}

void remote_close_all(void)
{
	list_foreach_safe(link, next, &all)
		remote_close(list_entry(link, struct remote, link));
}

const char *remote_path(const struct remote *r)
{
	return r->path;
}

void remote_set_on_close(struct remote *r, void (*fn)(void *arg), void *arg)
{
	r->on_close = fn;
	r->on_close_arg = arg;
}

/* Returns 0, or UV_E*; when *ret_opened the listener must be closed. */
static int open_listener(struct remote *r, const struct remote_options *o,
			 bool *ret_opened)
{
	struct listen_options opts = { .mode = o->mode };
	struct listen_address addr;
	char text[128];
	int rc;

	*ret_opened = false;
	if (o->path != NULL)
		snprintf(text, sizeof text, "unix/:%s", o->path);
	else
		snprintf(text, sizeof text, "%s", o->host);
	rc = listen_address_parse(&addr, text, o->port);
	if (rc != 0)
		return rc;
	r->listener.on_connection = on_connection;
	r->listener.on_closed = on_listener_closed;
	r->listener.arg = r;
	rc = listener_open(&r->listener, &r->worker->loop.uv, &addr, &opts,
			   ret_opened);
	if (rc == 0 && o->path == NULL &&
	    listener_address(&r->listener, &addr) == 0)
		listen_address_format(&addr, r->path, sizeof r->path);
	return rc;
}

static struct remote *make(struct worker *w, const struct remote_options *o)
{
	struct remote *r = mem_zalloc(sizeof *r);

	if (r == NULL) {
		diag_set_oom(sizeof *r, "a console");
		return NULL;
	}
	r->worker = w;
	r->group = (struct stream_group){
		.loop = &w->loop.uv,
		.buffer = r->buffer,
		.buffer_size = sizeof r->buffer,
		.on_read = on_read,
		.on_greeted = on_greeted,
		.on_drained = on_drained,
		.on_closed = on_stream_closed,
	};
	if (o->tls != NULL && stream_group_set_tls(&r->group, o->tls) != 0) {
		diag_set_oom(0, "a console");
		mem_free(r);
		return NULL;
	}
	r->audit = o->audit;
	r->admin = o->admin;
	r->level = o->level;
	r->connections_max = o->connections;
	r->idle_ns = o->idle_ns;
	if (o->password != NULL)
		snprintf(r->password, sizeof r->password, "%s", o->password);
	if (o->path != NULL)
		snprintf(r->path, sizeof r->path, "%s", o->path);
	else
		snprintf(r->path, sizeof r->path, "%s:%u", o->host, o->port);
	list_init(&r->connections);
	list_add_tail(&all, &r->link);
	r->drainable.name = "console";
	r->drainable.start = on_drain;
	return r;
}

struct remote *remote_listen(struct worker *w, const struct remote_options *o)
{
	struct remote *r;
	int rc;

	if (remote_options_check(o) != 0)
		return NULL;
	r = make(w, o);
	if (r == NULL)
		return NULL;
	rc = drain_add(&w->loop.drain, &r->drainable);
	if (rc != 0) {
		diag_set(ClientError,
			 "console.listen('%s'): the process is "
			 "ending",
			 r->path);
		free_when_done(r);
		return NULL;
	}
	rc = open_listener(r, o, &r->listening);
	if (rc == 0)
		return r;
	diag_set_system(rc, "console.listen('%s')", r->path);
	if (r->listening)
		remote_close(r);
	else
		free_when_done(r);
	return NULL;
}
