/*
 * A connection of a remote console: lines to its session, answers to the client, in
 * turns, until it leaves. See remote_parts.h.
 */
#include <poll.h>
#include <string.h>

#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "console/remote_parts.h"

enum {
	INPUT_MAX = SESSION_INPUT_MAX + 1, /* unread lines of a connection */
	UNSENT_MAX = 1024 * 1024,
	FLUSH_MS = 5000,    /* for the last answer to a client that reads */
	VANISHED_MS = 500,  /* between two looks whether it is still there */
	ROUND_MS = 5,       /* of the loop: when it lasts, others come first */
	TURN_MS = 1,        /* a connection evaluates lines even then */
	REFUSED_MAX = 20,   /* connections too many that are told why */
	STRANGERS_MAX = 20, /* connections that have not told the password */
	STRANGER_INPUT_MAX = 64 * 1024,
};

static struct connection *connection_of(struct stream *s)
{
	return list_entry(s, struct connection, stream);
}

static void on_stream_closed(struct stream *s)
{
	struct connection *c = connection_of(s);
	struct remote *r = c->remote;

	list_del(&c->link);
	buf_destroy(&c->in);
	mem_free(c);
	r->count--;
	if (r->count <= r->connections_max && r->strangers <= STRANGERS_MAX)
		r->told_of_flood = false;
	if (r->closing || r->draining)
		remote__free_when_done(r);
}

void remote__close(struct connection *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (c->stranger)
		c->remote->strangers--;
	timer_stop(&c->remote->worker->sched.timers, &c->timer);
	timer_stop(&c->remote->worker->sched.timers, &c->patience);
	if (c->session.vm != NULL) /* not of a flood, see is_flood() */
		session_destroy(&c->session);
	stream_close(&c->stream);
}

/* --- leaving --- */

static void on_flush_late(struct timer *t)
{
	remote__close(list_entry(t, struct connection, timer));
}

/*
 * Close when the client has everything, or takes too long. After the last
 * answer has left, what it still sends is read and dropped until it ends:
 * closing with unread bytes would make the kernel drop that answer.
 */
void remote__leave(struct connection *c)
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
		remote__close(c);
	else if (sent && (stream_shutdown(&c->stream) != 0 ||
			  stream_read_start(&c->stream) != 0))
		remote__close(c);
}

void remote__write(struct connection *c, const char *data, size_t size)
{
	uv_buf_t buf = uv_buf_init((char *)data, size);

	if (!c->broken && stream_write(&c->stream, &buf, 1) != 0)
		c->broken = true;
}

void remote__write_error(struct connection *c, const char *text)
{
	bool admin = c->begun ? c->session.in_admin : c->remote->admin;
	struct buf answer = { 0 };

	if (buf_printf(&answer,
		       admin ? "error: %s\n\n" : "---\n- error: '%s'\n...\n",
		       text) == 0)
		remote__write(c, answer.data, answer.size);
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
		remote__close(c);
	else
		look_later(c);
}

/* --- lines --- */

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

void remote__begin_session(struct connection *c)
{
	struct error *e;

	c->begun = true;
	if (!c->remote->admin ||
	    session_use_admin(&c->session, c->remote->level) == 0)
		return;
	e = diag_take();
	log_error("console '%s': %s", c->remote->path, e->message);
	error_unref(e);
	remote__leave(c);
}

static void feed(struct connection *c, const char *line, size_t size)
{
	struct error *e;

	if (c->stranger) {
		remote__log_in(c, line == NULL ? "" : line, size);
		return;
	}
	if (session_feed(&c->session, line, size) == 0)
		return;
	e = diag_take();
	remote__write_error(c, e->message);
	error_unref(e);
	if (*c->session.frame !=
	    '\0') /* who waits for the end of an answer is told */
		remote__leave(c);
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
		remote__close(c);
	} else if (c->at_end || c->remote->draining) {
		remote__leave(c);
	} else if (stream_unsent(&c->stream) > UNSENT_MAX) {
		stream_read_stop(&c->stream); /* on_drained() goes on */
	} else if (has_too_much(c)) {
		remote__write_error(c, "the line is too long");
		remote__leave(c);
	} else if (stream_read_start(&c->stream) != 0) {
		remote__close(c);
	}
}

static bool may_evaluate(struct connection *c)
{
	return !c->broken && !c->leaving && !c->closing && !c->denied &&
	       !c->remote->closing && !session_is_busy(&c->session) &&
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

/* While the process ends only an answer is ended. */
static bool is_taken(const struct connection *c, const char *line, size_t size)
{
	return !c->remote->draining ||
	       session_ends_answer(&c->session, line, size);
}

/* Evaluate the lines that are there, one after the other, until the turn is
 * over. Returns whether it is. */
static bool evaluate_lines(struct connection *c)
{
	uint64_t began = uv_hrtime();
	size_t size, used, done = 0;
	bool over = false;

	while (!over && may_evaluate(c) && next_line(c, done, &size, &used) &&
	       is_taken(c, c->in.data + done, size)) {
		feed(c, c->in.data + done, size);
		done += used;
		over = is_turn_over(c, began);
	}
	buf_consume(&c->in, done);
	if (!over && may_evaluate(c) && !c->remote->draining && c->at_end &&
	    session_wants_more(&c->session))
		feed(c, NULL, 0);
	return over && may_evaluate(c);
}

void remote__work(struct connection *c)
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
	remote__work(list_entry(t, struct connection, timer));
}

void remote__drain(struct connection *c)
{
	if (is_pausing(c))
		timer_stop(&c->remote->worker->sched.timers, &c->timer);
	session_end_following(&c->session);
	remote__work(c);
}

/* --- the session --- */

static void on_write(struct session *s, const char *data, size_t size)
{
	remote__write(s->arg, data, size);
}

static void on_ready(struct session *s, const char *entry)
{
	bool shown = s->in_admin && *s->frame == '\0';
	const char *prompt = shown ? admin_session_prompt(s->admin) : "";

	(void)entry;
	remote__note_activity(s->arg);
	if (*prompt != '\0')
		remote__write(s->arg, prompt, strlen(prompt));
	remote__work(s->arg);
}

static bool is_full(struct session *s)
{
	const struct connection *c = s->arg;

	return stream_unsent(&c->stream) > UNSENT_MAX;
}

static void on_leave(struct session *s)
{
	remote__leave(s->arg);
}

static bool set_idle(struct session *s, uint64_t ns)
{
	struct connection *c = s->arg;

	c->idle_ns = ns; /* from the end of this command on */
	return true;
}

static void on_line(struct session *s, const struct session_line *line)
{
	const struct connection *c = s->arg;

	if (!line->admin &&
	    (s->continuing || line->size == 0 || *line->text != '\\'))
		taint_set(TAINT_LUA_RUN);
	if (c->remote->audit)
		remote__audit(c, line);
}

static const struct session_ops session_ops = {
	.write = on_write,
	.ready = on_ready,
	.leave = on_leave,
	.is_full = is_full,
	.set_idle = set_idle,
	.line = on_line,
};

/* --- the stream --- */

static void on_read(struct stream *s, char *data, ssize_t size)
{
	struct connection *c = connection_of(s);

	if (c->leaving) {
		if (size < 0)
			remote__close(c);
		return;
	}
	remote__note_activity(c);
	if (size < 0) {
		c->at_end = true;
		stream_read_stop(s);
		if (has_vanished(c) || size != UV_EOF) {
			remote__close(c);
			return;
		}
	} else if (buf_append(&c->in, data, (size_t)size) != 0) {
		remote__write_error(c, "not enough memory");
		remote__leave(c);
		return;
	} else if (has_too_much(c)) {
		stream_read_stop(s); /* settle() goes on, or refuses */
	}
	if (size > 0)
		session_typed(&c->session, c->in.data, c->in.size);
	remote__work(c);
}

static void on_drained(struct stream *s, int status)
{
	struct connection *c = connection_of(s);

	if (status != 0)
		c->broken = true;
	if (c->closing)
		return;
	if (c->broken)
		remote__close(c);
	else if (c->leaving)
		remote__leave(c);
	else {
		session_drained(&c->session);
		remote__work(c);
	}
}

/* --- a new one --- */

static void greet(struct connection *c)
{
	/* Of admin commands scripts read answers, and nothing else. */
	static const char *const open[] = {
		"neap (Lua console)\ntype '\\help' for help\n",
		"",
	};
	static const char *const locked[] = {
		"neap (Lua console)\ntype '\\login PASSWORD' to log in\n",
		"neap (admin commands)\ntype 'login PASSWORD' to log in\n\n",
	};
	const char *text = (c->stranger ? locked : open)[c->remote->admin];

	if (*text != '\0')
		remote__write(c, text, strlen(text));
}

static void refuse(struct connection *c, const char *why)
{
	remote__write_error(c, why);
	remote__leave(c);
}

/* It is taken. */
static void welcome(struct connection *c)
{
	struct remote *r = c->remote;

	if (stream_is_greeting(&c->stream)) { /* on_greeted() goes on */
		remote__expect_login(c);
		if (r->count > r->connections_max ||
		    r->strangers > STRANGERS_MAX ||
		    stream_read_start(&c->stream) != 0)
			remote__close(c);
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
		remote__expect_login(c);
	} else {
		remote__note_activity(c);
		remote__begin_session(c);
	}
	remote__work(c);
}

static void on_greeted(struct stream *s, int status)
{
	struct connection *c = connection_of(s);

	if (status != 0) {
		log_warn("console '%s': %s: the handshake of TLS has failed",
			 c->remote->path, c->who);
		remote__close(c);
		return;
	}
	timer_stop(&c->remote->worker->sched.timers, &c->patience);
	remote_peer_format(c->who, s);
	welcome(c);
}

/* They are told why as long as they are few: whoever only connects, again and again, is
 * not to have a session and a descriptor for each time. */
static bool is_flood(struct connection *c)
{
	struct remote *r = c->remote;

	if (r->count <= r->connections_max + REFUSED_MAX &&
	    r->strangers <= STRANGERS_MAX + REFUSED_MAX) {
		return false;
	}
	if (!r->told_of_flood)
		log_warn("console '%s': %s: far too many connections: those "
			 "that come now are closed unheard",
			 r->path, c->who);
	r->told_of_flood = true;
	return true;
}

bool remote__accept(struct remote *r)
{
	struct connection *c = mem_zalloc(sizeof *c);
	bool opened;
	int rc;

	if (c == NULL)
		return false;
	c->remote = r;
	c->idle_ns = r->idle_ns;
	c->stranger = r->password[0] != '\0';
	rc = stream_accept(&c->stream, &r->group, &r->listener.uv.stream,
			   &opened);
	if (!opened) {
		mem_free(c);
		return false;
	}
	list_add_tail(&r->connections, &c->link);
	r->count++;
	r->strangers += c->stranger;
	remote_peer_format(c->who, &c->stream);
	if (is_flood(c)) {
		remote__close(c);
		return true;
	}
	if (session_create(&c->session, &r->worker->vm, &session_ops, c) != 0) {
		struct error *e = diag_take();

		log_error("console '%s': %s", r->path, e->message);
		error_unref(e);
		rc = UV_ENOMEM;
	}
	if (rc != 0)
		remote__close(c);
	else
		welcome(c);
	return true;
}

void remote__serve(struct remote *r)
{
	r->group = (struct stream_group){
		.loop = &r->worker->loop.uv,
		.buffer = r->buffer,
		.buffer_size = sizeof r->buffer,
		.on_read = on_read,
		.on_greeted = on_greeted,
		.on_drained = on_drained,
		.on_closed = on_stream_closed,
	};
}
