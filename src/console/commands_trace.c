/*
 * The admin command that follows requests.
 *
 * Each worker tells what happens into one buffer, which has room for so much; what comes
 * while it is full is counted, and lost. The session swaps it for an empty one, and has
 * rows of it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/inject.h"
#include "console/admin_commands.h"
#include "console/admin_everywhere.h"
#include "lua/lua_fiber.h"
#include "net/http_request.h"
#include "net/http_trace.h"

enum {
	ROOM = 256 << 10, /* of events that wait */
	TEXT_MAX = 255,   /* of each */
	DEFAULT_S = 10,
	MAX_S = 3600,
	LOOK_MS = 100, /* between two looks for new ones */
	AT_ONCE_MAX = 8,
	EVENT_ROOM = 48,
};

/* How many are running, of the process. */
static atomic_uint running;

/* In the buffer; its text lies behind it, with a zero byte. */
struct event {
	uint64_t at_ns;
	uint64_t since_ns;
	uint64_t handle;
	uint64_t fiber;
	uint64_t number;
	uint32_t server;
	int fd;
	uint16_t worker;
	uint16_t size; /* with all of it */
	uint8_t event;
	bool has_request; /* handle is one */
	bool has_number;
	bool has_text;
};

struct events {
	char *data;
	size_t size;
};

struct shared {
	pthread_mutex_t lock; /* of the next two */
	struct events told;
	uint64_t lost;
	struct events read; /* the session's */
	bool by_handle;
	uint64_t handle;
	uint32_t server;
	char path[HTTP_TRACE_PATH_MAX + 1];
};

/* A worker's. */
struct part {
	struct http_trace trace;
	struct shared *shared;
	unsigned worker;
};

struct trace {
	struct admin_everywhere *all;
	uint64_t began_ns, end_ns;
	size_t at;     /* in what is read */
	uint64_t lost; /* that was told of */
	bool last;     /* what is read is the last */
	char event[EVENT_ROOM];
};

/* --- on the threads of the workers --- */

static uint64_t fiber_of(const struct http_trace_note *n)
{
	const struct lua_fiber *f =
		n->request != NULL ? http_request_owner(n->request) : NULL;

	return f != NULL ? f->base.id : 0;
}

static void on_note(struct http_trace *t, const struct http_trace_note *n)
{
	struct part *p = list_entry(t, struct part, trace);
	size_t text = n->text != NULL ? strnlen(n->text, TEXT_MAX) : 0;
	size_t size = (sizeof(struct event) + text + 1 + 7) & ~(size_t)7;
	struct shared *s = p->shared;
	struct event e = {
		.at_ns = n->now_ns,
		.since_ns = n->since_ns,
		.handle = n->handle,
		.fiber = fiber_of(n),
		.number = n->number,
		.server = n->server,
		.fd = n->fd,
		.worker = (uint16_t)p->worker,
		.size = (uint16_t)size,
		.event = (uint8_t)n->event,
		.has_request = n->request != NULL,
		.has_number = n->has_number,
		.has_text = n->text != NULL,
	};
	char *to;

	pthread_mutex_lock(&s->lock);
	if (s->told.size + size > ROOM) {
		s->lost++;
	} else {
		to = s->told.data + s->told.size;
		memcpy(to, &e, sizeof(e));
		if (text > 0)
			memcpy(to + sizeof(e), n->text, text);
		to[sizeof(e) + text] = '\0';
		s->told.size += size;
	}
	pthread_mutex_unlock(&s->lock);
}

static void begin(struct worker *w, void *part, void *shared)
{
	struct shared *s = shared;
	struct part *p = part;

	p->shared = s;
	p->worker = w->id;
	p->trace.by_handle = s->by_handle;
	p->trace.handle = s->handle;
	p->trace.server = s->server;
	memcpy(p->trace.path, s->path, sizeof(s->path));
	p->trace.on_note = on_note;
	http_trace_start(&p->trace);
}

static void end(struct worker *w, void *part, void *shared)
{
	struct part *p = part;

	(void)w;
	(void)shared;
	http_trace_stop(&p->trace);
}

static void destroy(struct admin_everywhere *e)
{
	struct shared *s = admin_everywhere_shared(e);

	pthread_mutex_destroy(&s->lock);
	mem_free(s->told.data);
	mem_free(s->read.data);
	atomic_fetch_sub(&running, 1);
}

static const struct admin_everywhere_ops ops = { begin, end, destroy };

/* --- on that of the session --- */

static struct admin_everywhere *make(struct worker *own)
{
	struct admin_everywhere *all = admin_everywhere_new(
		own->app, &ops, sizeof(struct part), sizeof(struct shared));
	struct shared *s;

	if (all == NULL) {
		atomic_fetch_sub(&running, 1);
		return NULL;
	}
	s = admin_everywhere_shared(all);
	pthread_mutex_init(&s->lock, NULL);
	s->told.data = mem_alloc(ROOM);
	s->read.data = mem_alloc(ROOM);
	if (s->told.data != NULL && s->read.data != NULL)
		return all;
	admin_everywhere_end(all, own);
	return NULL;
}

enum { ARG_PATH, ARG_ID, ARG_SERVER, ARG_WORKER, ARG_FOR };

static const struct admin_arg args[] = {
	{ "path", ADMIN_TEXT, true, NULL, "how it begins: /shop", true },
	{ "id", ADMIN_NUMBER, true, NULL, "as show requests tells it", true },
	{ "server", ADMIN_NUMBER, true, NULL, "as show listeners numbers them",
	  true },
	{ "worker", ADMIN_NUMBER, true, NULL, "one, instead of all", true,
	  admin_each_worker },
	{ "for", ADMIN_SECONDS, true, NULL, "so long; 10s, at most 1h", true },
	{ .name = NULL },
};

/* What is asked for, checked. Returns 0, or -1 and it was said why. */
static int read_args(struct admin_run *run, struct trace *c,
		     struct worker **ret_only)
{
	const struct admin_value *path = admin_arg(run, ARG_PATH);
	const struct admin_value *time = admin_arg(run, ARG_FOR);
	double seconds = time->given ? time->number : DEFAULT_S;

	if (seconds > MAX_S)
		admin_fail(run, "at most %d s", MAX_S);
	else if (path->given && strlen(path->text) > HTTP_TRACE_PATH_MAX)
		admin_fail(run, "at most %d bytes of a path",
			   HTTP_TRACE_PATH_MAX);
	else if (admin_arg_worker(run, ARG_WORKER, ret_only) != 0)
		return -1;
	else if (admin_arg(run, ARG_SERVER)->number > UINT32_MAX)
		admin_fail(run, "there is no such server");
	else {
		c->began_ns = uv_hrtime();
		c->end_ns = c->began_ns + (uint64_t)(seconds * 1e9);
		return 0;
	}
	return -1;
}

static int parse(struct admin_run *run)
{
	const struct admin_value *path = admin_arg(run, ARG_PATH);
	struct worker *own = admin_worker(run);
	struct trace *c = admin_context(run);
	struct worker *only;
	struct shared *s;

	if (read_args(run, c, &only) != 0)
		return -1;
	if (atomic_fetch_add(&running, 1) >= AT_ONCE_MAX) {
		atomic_fetch_sub(&running, 1);
		admin_fail(run, "%d traces are running already", AT_ONCE_MAX);
		return -1;
	}
	c->all = make(own);
	if (c->all == NULL) {
		admin_fail(run, "not enough memory");
		return -1;
	}
	s = admin_everywhere_shared(c->all);
	s->by_handle = admin_arg(run, ARG_ID)->given;
	s->handle = (uint64_t)admin_arg(run, ARG_ID)->number;
	s->server = (uint32_t)admin_arg(run, ARG_SERVER)->number;
	if (path->given)
		snprintf(s->path, sizeof(s->path), "%s", path->text);
	admin_everywhere_begin(c->all, own, only);
	return 0;
}

/* What was told meanwhile is to be read; *ret_lost: events so far. False: it is
 * nothing. */
static bool take(struct trace *c, struct shared *s, uint64_t *ret_lost)
{
	struct events free = { s->read.data, 0 };

	pthread_mutex_lock(&s->lock);
	s->read = s->told;
	s->told = free;
	*ret_lost = s->lost;
	pthread_mutex_unlock(&s->lock);
	c->at = 0;
	return s->read.size > 0;
}

static bool is_status(unsigned event)
{
	return event == HTTP_TRACE_ANSWER || event == HTTP_TRACE_REFUSED;
}

static struct admin_cell some(double number)
{
	return number > 0 ? admin_number(number) : admin_text(NULL);
}

/* A time of a worker may be a little before that of the session. */
static double seconds(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static void fill(const struct trace *c, const struct event *e, const char *text,
		 struct admin_cell *cells)
{
	struct admin_cell none = admin_text(NULL);
	struct admin_cell number = admin_number((double)e->number);
	bool status = e->has_number && is_status(e->event);

	cells[0] = admin_number(seconds(c->began_ns, e->at_ns));
	cells[1] = admin_number(e->worker);
	cells[2] = admin_number(e->server);
	cells[3] = e->fd >= 0 ? admin_number(e->fd) : none;
	cells[4] = e->has_request ? admin_number((double)e->handle) : none;
	cells[5] = some((double)e->fiber);
	cells[6] = admin_text(http_trace_names[e->event]);
	cells[7] = e->since_ns != 0
			   ? admin_number(seconds(e->since_ns, e->at_ns))
			   : none;
	cells[8] = status ? number : none;
	cells[9] = e->has_number && !status ? number : none;
	cells[10] = e->has_text ? admin_text(text) : none;
}

static void fill_lost(struct trace *c, uint64_t lost, struct admin_cell *cells)
{
	for (int i = 0; i <= 10; i++)
		cells[i] = admin_text(NULL);
	snprintf(c->event, sizeof(c->event), "lost %llu events",
		 (unsigned long long)(lost - c->lost));
	cells[0] = admin_number(seconds(c->began_ns, uv_hrtime()));
	cells[6] = admin_text(c->event);
	c->lost = lost;
}

static enum admin_step next(struct admin_run *run, struct admin_cell *cells)
{
	struct trace *c = admin_context(run);
	struct shared *s = admin_everywhere_shared(c->all);
	uint64_t lost, now_ns, wake_ns;
	struct event e;

	if (c->at == s->read.size) {
		now_ns = uv_hrtime();
		if (c->last)
			return ADMIN_DONE;
		c->last = admin_is_interrupted(run) || now_ns >= c->end_ns;
		if (!take(c, s, &lost) && lost == c->lost) {
			if (c->last)
				return ADMIN_DONE;
			wake_ns = now_ns + LOOK_MS * 1000000ull;
			admin_wake_at(run, wake_ns < c->end_ns ? wake_ns
							       : c->end_ns);
			return ADMIN_WAIT;
		}
		if (lost != c->lost) {
			fill_lost(c, lost, cells);
			return ADMIN_MORE;
		}
	}
	memcpy(&e, s->read.data + c->at, sizeof(e));
	fill(c, &e, s->read.data + c->at + sizeof(e), cells);
	c->at += e.size;
	return ADMIN_MORE;
}

static void release(struct admin_run *run)
{
	const struct trace *c = admin_context(run);

	admin_everywhere_end(c->all, admin_worker(run));
}

static const struct admin_column columns[] = {
	{ "at", ADMIN_SECONDS, 9, "since the trace began" },
	{ "worker", ADMIN_NUMBER, 6, "that serves it" },
	{ "server", ADMIN_NUMBER, 6, "as show listeners numbers them" },
	{ "connection", ADMIN_NUMBER, 10,
	  "as show connections tells it; none: the peer has gone" },
	{ "request", ADMIN_NUMBER, 12,
	  "as show requests tells it; none: the event is of the connection" },
	{ "fiber", ADMIN_NUMBER, 8, "that serves it; none: none yet" },
	{ "event", ADMIN_TEXT, -8,
	  "accepted: the connection; request: its head is there, and a handler "
	  "gets it; rule: one of the configuration is looked at; route: its "
	  "handler is known; body: the rest of its body has come; answer: is "
	  "begun; refused: by the server itself; sent: all of the answer was "
	  "handed over; cut: it was not, and will not be; done: the handler "
	  "has let go of it; closed: the connection",
	  true },
	{ "since", ADMIN_SECONDS, 9,
	  "since its first byte; none: that was before the trace" },
	{ "status", ADMIN_NUMBER, 6, "of the answer" },
	{ "bytes", ADMIN_BYTES, 9,
	  "request: of it that have come; body: of the body; sent, cut: of the "
	  "answer's body" },
	{ "what", ADMIN_TEXT, -20,
	  "accepted: the peer; request: method and target; rule, route: which; "
	  "refused: why" },
	{ .name = NULL },
};

static const struct admin_command trace_request = {
	.words = "trace request",
	.taint = TAINT_TRACED,
	.level = ADMIN_OPERATOR,
	.help = "follow requests from their first byte to their end",
	.args = args,
	.columns = columns,
	.context = ADMIN_CONTEXT(struct trace),
	.parse = parse,
	.next = next,
	.release = release,
};

const struct admin_command *const admin_commands_trace[] = {
	&trace_request,
	NULL,
};
