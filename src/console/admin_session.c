/* A session of admin commands. See admin_session.h. */
#include "console/admin_session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "console/admin_args.h"
#include "console/admin_commands.h"
#include "console/admin_gather.h"
#include "console/admin_line.h"
#include "console/admin_rows.h"

enum {
	LINE_MAX_SIZE = 16 << 10,
	PAYLOAD_MAX = 128 << 10,
	OUT_ROOM = 16 << 10,   /* of an answer, before it is handed on */
	OUT_MAX = 1 << 20,     /* of one print, or row */
	TURN_NS = 1000000,     /* then others come first */
	IDLE_CALLS_MAX = 1000, /* of a command that neither writes nor waits */
	WHY_MAX = 1024,
};

/** One command that runs. */
struct admin_run {
	struct admin_session *session;
	const struct admin_command *command; /* NULL: nothing runs */
	struct admin_value values[ADMIN_ARGS_MAX];
	bool json;
	unsigned only; /* worker; 0: all */
	struct admin_format format;
	struct admin_gather *gather;
	struct admin_cell cells[ADMIN_COLUMNS_MAX];
	const char *row_error;
	bool has_row;   /* in cells, or row_error, that did not fit */
	bool has_ended; /* all rows are out, but the end */
	unsigned idle_calls;
	char why[WHY_MAX]; /* it failed; "": not */
	_Alignas(16) char context[ADMIN_CONTEXT_MAX];
	_Alignas(16) char cursor[ADMIN_CURSOR_MAX];
};

struct admin_session {
	const struct admin_ops *ops;
	void *arg;
	struct worker *worker;
	struct list link; /* all */
	uint64_t id;
	uint64_t since_ns;
	uint64_t commands;
	enum admin_level level;
	enum admin_prompt mode;
	enum admin_severity severity;
	struct buf line;    /* the one that runs, cut into words */
	struct buf shown;   /* and whole */
	char *at;           /* what of it is to be run */
	struct buf payload; /* lines behind "<<" */
	struct admin_words words;
	struct buf out;
	char mark[ADMIN_MARK_MAX + 1];
	bool collecting; /* those lines */
	bool too_long;   /* they were */
	bool has_payload;
	bool busy;    /* a line runs */
	bool going;   /* inside go() */
	bool waiting; /* the command, for a wake */
	bool woken;   /* since it was called */
	bool interrupted;
	bool full; /* the client's */
	bool leaving;
	bool to_lua;
	bool at_start; /* of a line of the answer */
	struct timer timer;
	struct admin_run run;
	char prompt[48];
};

static struct list all = { &all, &all }; /* worker 1's */

static void go(struct admin_session *a);

static struct timers *timers_of(struct admin_session *a)
{
	return &a->worker->sched.timers;
}

/* --- what is said --- */

static void hand_on(struct admin_session *a)
{
	if (a->out.size == 0)
		return;
	a->ops->write(a->arg, a->out.data, a->out.size);
	buf_reset(&a->out, OUT_ROOM * 2);
	a->full = a->ops->is_full != NULL && a->ops->is_full(a->arg);
}

/* Text into the answer: a line that is empty gets a space. Returns 0 or -1. */
static int put(struct admin_session *a, const char *text, size_t size)
{
	size_t before = a->out.size;
	bool at_start = a->at_start;

	for (const char *p = text, *end = text + size; p < end;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop != NULL ? stop + 1 : end) - p);

		if ((*p == '\n' && a->at_start &&
		     buf_putc(&a->out, ' ') != 0) ||
		    buf_append(&a->out, p, n) != 0) {
			a->out.size = before;
			a->at_start = at_start;
			return -1;
		}
		a->at_start = stop != NULL;
		p += n;
	}
	return 0;
}

/* Behind each answer an empty line, which none has within. */
static void end_answer(struct admin_session *a)
{
	if (!a->at_start)
		buf_putc(&a->out, '\n');
	buf_putc(&a->out, '\n');
	a->at_start = true;
	hand_on(a);
}

static void put_failure(struct admin_session *a, const char *why, bool json)
{
	struct admin_format f = { .json = true, .single = true };
	static const struct admin_column columns[] = {
		{ "error", ADMIN_TEXT, 0, "" }, { .name = NULL }
	};
	struct admin_cell cell = admin_text(why);

	if (!a->at_start)
		put(a, "\n", 1);
	f.columns = columns;
	if (json) {
		if (admin_format_row(&f, &cell, &a->out) == 0)
			a->at_start = false;
		return;
	}
	if (a->severity == ADMIN_SEVERITY_NUMBER)
		put(a, "[3]: ", 5);
	else if (a->severity == ADMIN_SEVERITY_STRING)
		put(a, "[error]: ", 9);
	else
		put(a, "error: ", 7);
	put(a, why, strlen(why));
	put(a, "\n", 1);
}

bool admin_put(struct admin_run *run, const char *text, size_t size)
{
	struct admin_session *a = run->session;

	if (a->out.size >= OUT_ROOM ||
	    (a->out.size > 0 && a->out.size + size > OUT_ROOM))
		return false;
	return put(a, text, size) == 0;
}

bool admin_print(struct admin_run *run, const char *fmt, ...)
{
	struct buf text = { .limit = OUT_MAX };
	bool ok;
	va_list ap;

	va_start(ap, fmt);
	ok = buf_vprintf(&text, fmt, ap) == 0 &&
	     admin_put(run, text.data, text.size);
	va_end(ap);
	buf_destroy(&text);
	return ok;
}

enum admin_step admin_fail(struct admin_run *run, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->why, sizeof(run->why), fmt, ap);
	va_end(ap);
	return ADMIN_FAILED;
}

enum admin_step admin_fail_diag(struct admin_run *run)
{
	struct error *e = diag_take();

	admin_fail(run, "%s", e->message);
	error_unref(e);
	return ADMIN_FAILED;
}

/* --- rows --- */

static enum admin_step next_row(struct admin_run *run)
{
	const struct admin_command *c = run->command;
	unsigned worker;

	if (run->gather == NULL)
		return c->next(run, run->cells);
	run->row_error = NULL;
	switch (admin_gather_next(run->gather, run->cells, &worker,
				  &run->row_error)) {
	case ADMIN_MORE:
		run->format.worker = worker;
		return ADMIN_MORE;
	case ADMIN_WAIT:
		return ADMIN_WAIT;
	case ADMIN_FAILED:
		return ADMIN_FAILED;
	default:
		return ADMIN_DONE;
	}
}

static int write_row(struct admin_run *run, struct buf *out)
{
	if (run->row_error != NULL)
		return admin_format_error(&run->format, run->row_error, out);
	return admin_format_row(&run->format, run->cells, out);
}

/* Rows until there is no room, or there are no more. */
static enum admin_step write_rows(struct admin_run *run)
{
	struct admin_session *a = run->session;
	enum admin_step step;

	for (;;) {
		if (a->out.size >= OUT_ROOM)
			return ADMIN_MORE;
		if (run->has_ended)
			return ADMIN_DONE;
		if (!run->has_row) {
			step = next_row(run);
			if (step == ADMIN_DONE) {
				run->has_ended = true;
				if (admin_format_end(&run->format, &a->out))
					return admin_fail(run, "no memory");
				a->at_start = true;
				continue;
			}
			if (step != ADMIN_MORE)
				return step;
			run->has_row = true;
		}
		if (write_row(run, &a->out) != 0)
			return admin_fail(run, "not enough memory");
		a->at_start = !run->format.json;
		run->has_row = false;
	}
}

/* --- one command --- */

static void end_run(struct admin_run *run)
{
	const struct admin_command *c = run->command;

	if (c == NULL)
		return;
	run->command = NULL;
	admin_gather_free(run->gather);
	run->gather = NULL;
	timer_stop(timers_of(run->session), &run->session->timer);
	if (c->release != NULL)
		c->release(run);
}

static void finish_command(struct admin_session *a)
{
	struct admin_run *run = &a->run;

	if (run->why[0] != '\0')
		put_failure(a, run->why, run->json);
	end_run(run);
	end_answer(a);
	a->has_payload = false;
	buf_reset(&a->payload, 0);
}

static void refuse(struct admin_session *a)
{
	struct error *e = diag_take();

	put_failure(a, e->message, a->run.json);
	error_unref(e);
	end_answer(a);
}

/* How many commands' answers a name that is none is worth: help for it. */
static void explain(struct admin_session *a)
{
	struct buf text = { 0 };

	if (admin_help(a->words.word, a->words.count, a->level, false, &text) ==
	    0)
		put(a, text.data, text.size);
	buf_destroy(&text);
	end_answer(a);
}

static bool may_run(struct admin_session *a, const struct admin_command *c)
{
	if (c->level <= a->level)
		return true;
	diag_set(ClientError,
		 "permission denied: '%s' is for the level %s, this session "
		 "has the level %s",
		 c->words, admin_level_names[c->level],
		 admin_level_names[a->level]);
	return false;
}

/* Begin the command of a->words. False: it has been answered. */
static bool begin_command(struct admin_session *a)
{
	struct admin_run *run = &a->run;
	const struct admin_command *c;
	struct admin_words *w = &a->words;
	struct admin_args args = { 0 };
	unsigned used;

	memset(run, 0, sizeof(*run));
	run->session = a;
	a->interrupted = a->woken = a->waiting = false;
	c = admin_commands_find(w->word, w->count, &used);
	if (c == NULL) {
		explain(a);
		return false;
	}
	a->commands++;
	args.values = run->values;
	if (!may_run(a, c) ||
	    (!c->raw &&
	     admin_args_read(c, w->word + used, w->count - used, &args) != 0)) {
		run->json = args.json;
		refuse(a);
		return false;
	}
	if (a->has_payload && !c->payload) {
		diag_set(IllegalParams, "'%s' takes no lines", c->words);
		refuse(a);
		return false;
	}
	run->json = args.json;
	run->only = args.worker;
	run->format.columns = c->columns;
	run->format.json = args.json;
	run->format.single = c->single;
	run->format.plain = c->plain;
	run->command = c;
	if (run->only > a->worker->app->count) {
		run->command = NULL;
		diag_set(IllegalParams, "there is no worker %u, but 1 to %u",
			 run->only, a->worker->app->count);
		refuse(a);
		return false;
	}
	if (c->parse != NULL && c->parse(run) != 0) {
		run->command = NULL; /* it has nothing to release */
		finish_command(a);
		return false;
	}
	if (c->collect != NULL) {
		run->gather = admin_gather_new(run, c, run->only, run->cursor);
		if (run->gather == NULL) {
			admin_fail(run, "not enough memory");
			finish_command(a);
			return false;
		}
	}
	return true;
}

/* Call the command once. False: it waits, or there is no room for more. */
static bool step_command(struct admin_session *a)
{
	struct admin_run *run = &a->run;
	size_t before = a->out.size;
	enum admin_step step;

	a->woken = a->waiting = false;
	if (run->command->columns != NULL)
		step = write_rows(run);
	else if (run->command->io != NULL)
		step = run->command->io(run);
	else
		step = ADMIN_DONE; /* parse() has done all */
	run->idle_calls = a->out.size > before ? 0 : run->idle_calls + 1;
	if (a->out.size >= OUT_ROOM || step == ADMIN_WAIT || step == ADMIN_MORE)
		hand_on(a);
	switch (step) {
	case ADMIN_MORE:
		if (run->idle_calls < IDLE_CALLS_MAX)
			return true;
		admin_fail(run, "'%s' makes no progress: it was ended",
			   run->command->words);
		finish_command(a);
		return true;
	case ADMIN_WAIT:
		a->waiting = !a->woken;
		return a->woken;
	default:
		finish_command(a);
		return true;
	}
}

/* --- one line --- */

static void finish_line(struct admin_session *a)
{
	timer_stop(timers_of(a), &a->timer);
	a->busy = false;
	a->leaving |= a->mode == ADMIN_PROMPT_ONCE;
	buf_reset(&a->line, 0);
	buf_reset(&a->shown, 0);
	hand_on(a);
	if (a->leaving)
		a->ops->leave(a->arg);
	else if (a->to_lua) {
		a->to_lua = false;
		a->ops->lua(a->arg);
	} else
		a->ops->ready(a->arg);
}

/* The next command of the line. False: there is none. */
static bool next_command(struct admin_session *a)
{
	const char *mark;
	int rc;

	do {
		if (a->leaving || a->to_lua)
			return false;
		rc = admin_line_next(&a->at, &a->words);
		if (rc < 0) {
			a->run.json = false;
			refuse(a);
			return false;
		}
		admin_line_wants_payload(&a->words, &mark);
	} while (rc > 0 && a->words.count == 0);
	return rc > 0;
}

static void on_timer(struct timer *t)
{
	struct admin_session *a = list_entry(t, struct admin_session, timer);

	a->woken = true;
	go(a);
}

static void go_on_later(struct admin_session *a)
{
	timer_start(timers_of(a), &a->timer, uv_hrtime(), on_timer);
}

/* Run what there is, until it waits, the client has to read, or others come first. */
static void go(struct admin_session *a)
{
	uint64_t end_ns = uv_hrtime() + TURN_NS;

	if (a->going || !a->busy || a->full || (a->waiting && !a->woken))
		return;
	a->going = true;
	a->waiting = false;
	while (a->busy && !a->full) {
		if (a->run.command == NULL) {
			if (!next_command(a)) {
				a->going = false;
				finish_line(a);
				return;
			}
			if (begin_command(a))
				continue;
			go_on_later(a); /* each command lets others run */
			break;
		}
		if (!step_command(a))
			break;
		if (a->run.command == NULL || uv_hrtime() > end_ns) {
			go_on_later(a);
			break;
		}
	}
	a->going = false;
}

/* Does a line of commands ask for more lines? */
static bool find_mark(struct admin_session *a)
{
	struct buf copy = { 0 };
	struct admin_words w;
	const char *mark = NULL;
	bool found = false;
	char *at;

	if (buf_append(&copy, a->shown.data, a->shown.size) != 0 ||
	    (at = copy.data) == NULL)
		return false;
	while (admin_line_next(&at, &w) > 0)
		if (w.count > 0)
			found = admin_line_wants_payload(&w, &mark);
	diag_clear(); /* what is wrong is told when it runs */
	if (found)
		snprintf(a->mark, sizeof(a->mark), "%s", mark);
	buf_destroy(&copy);
	return found;
}

static void start_line(struct admin_session *a)
{
	a->busy = true;
	a->at = a->line.data;
	a->at_start = true;
	a->full = a->ops->is_full != NULL && a->ops->is_full(a->arg);
	go(a);
}

static void fail_line(struct admin_session *a, const char *why)
{
	a->at_start = true;
	put_failure(a, why, false);
	end_answer(a);
	finish_line(a);
}

static void feed_payload(struct admin_session *a, const char *line, size_t size)
{
	bool ends = size == strlen(a->mark) && memcmp(line, a->mark, size) == 0;

	if (!ends) {
		a->too_long |= a->payload.size + size + 1 > PAYLOAD_MAX ||
			       buf_append(&a->payload, line, size) != 0 ||
			       buf_putc(&a->payload, '\n') != 0;
		a->ops->ready(a->arg);
		return;
	}
	a->collecting = false;
	if (!a->too_long) {
		a->has_payload = true;
		start_line(a);
		return;
	}
	buf_reset(&a->payload, 0);
	fail_line(a, "the lines behind \"<<\" are more than 128 KiB");
}

void admin_session_feed(struct admin_session *a, const char *line, size_t size)
{
	assert(!a->busy);
	if (line == NULL) {
		a->leaving = true;
		if (a->collecting)
			fail_line(a, "the lines behind \"<<\" have no end");
		else
			finish_line(a);
		return;
	}
	if (a->collecting) {
		feed_payload(a, line, size);
		return;
	}
	a->line.size = a->shown.size = 0;
	if (size > LINE_MAX_SIZE) {
		fail_line(a, "a line of more than 16 KiB");
		return;
	}
	if (buf_append(&a->line, line, size) != 0 ||
	    buf_putc(&a->line, '\0') != 0 ||
	    buf_append(&a->shown, line, size) != 0 ||
	    buf_putc(&a->shown, '\0') != 0) {
		fail_line(a, "not enough memory");
		return;
	}
	if (find_mark(a)) {
		a->collecting = true;
		a->too_long = false;
		a->ops->ready(a->arg);
		return;
	}
	start_line(a);
}

bool admin_session_is_busy(const struct admin_session *a)
{
	return a->busy;
}

bool admin_session_is_collecting(const struct admin_session *a)
{
	return a->collecting;
}

void admin_session_drained(struct admin_session *a)
{
	if (!a->full)
		return;
	a->full = a->ops->is_full(a->arg);
	go(a);
}

void admin_session_interrupt(struct admin_session *a)
{
	if (a->collecting) {
		a->collecting = false;
		buf_reset(&a->payload, 0);
		return;
	}
	if (!a->busy)
		return;
	a->interrupted = true;
	a->at = a->line.data + a->line.size - 1; /* nothing follows */
	if (a->run.command != NULL && !a->going) {
		admin_fail(&a->run, "interrupted");
		finish_command(a);
	}
	go_on_later(a);
	a->waiting = false;
}

/* --- the session itself --- */

struct admin_session *admin_session_new(struct worker *w,
					enum admin_level level,
					const struct admin_ops *ops, void *arg)
{
	static uint64_t last_id;
	struct admin_session *a = mem_zalloc(sizeof(*a));

	if (a == NULL) {
		diag_set_oom(sizeof(*a), "a session of the console");
		return NULL;
	}
	a->ops = ops;
	a->arg = arg;
	a->worker = w;
	a->level = level;
	a->mode = ADMIN_PROMPT_SILENT;
	a->id = ++last_id;
	a->since_ns = uv_hrtime();
	list_add_tail(&all, &a->link);
	return a;
}

void admin_session_free(struct admin_session *a)
{
	if (a == NULL)
		return;
	a->busy = false;
	end_run(&a->run);
	timer_stop(timers_of(a), &a->timer);
	list_del(&a->link);
	buf_destroy(&a->line);
	buf_destroy(&a->shown);
	buf_destroy(&a->payload);
	buf_destroy(&a->out);
	mem_free(a);
}

static void put_time(char *to, size_t room, uint64_t seconds)
{
	snprintf(to, room, "[%u:%02u:%02u:%02u]> ", (unsigned)(seconds / 86400),
		 (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
		 (unsigned)(seconds % 60));
}

const char *admin_session_prompt(struct admin_session *a)
{
	if (a->mode < ADMIN_PROMPT_SHOWN)
		return "";
	if (a->collecting)
		return "+ ";
	if (a->mode == ADMIN_PROMPT_SHOWN)
		return "> ";
	put_time(a->prompt, sizeof(a->prompt),
		 (uv_hrtime() - a->since_ns) / 1000000000);
	return a->prompt;
}

void admin_session_set_mode(struct admin_session *a, enum admin_prompt mode)
{
	a->mode = mode;
}

enum admin_prompt admin_session_mode(const struct admin_session *a)
{
	return a->mode;
}

void admin_session_set_severity(struct admin_session *a, enum admin_severity s)
{
	a->severity = s;
}

void admin_session_set_level(struct admin_session *a, enum admin_level level)
{
	a->level = level;
}

void admin_session_leave(struct admin_session *a)
{
	a->leaving = true;
}

void admin_session_to_lua(struct admin_session *a)
{
	a->to_lua = true;
}

enum admin_level admin_session_level(const struct admin_session *a)
{
	return a->level;
}

bool admin_session_has_lua(const struct admin_session *a)
{
	return a->ops->lua != NULL;
}

uint64_t admin_session_id(const struct admin_session *a)
{
	return a->id;
}

void admin_session_each(bool (*fn)(struct admin_session *a, void *arg),
			void *arg)
{
	list_foreach(link, &all)
		if (!fn(list_entry(link, struct admin_session, link), arg))
			return;
}

void admin_session_look(const struct admin_session *a,
			struct admin_session_info *ret)
{
	*ret = (struct admin_session_info){
		.id = a->id,
		.level = a->level,
		.command = a->run.command != NULL ? a->run.command->words
						  : NULL,
		.commands = a->commands,
		.since_ns = a->since_ns,
	};
}

const char *admin_session_line(const struct admin_session *a)
{
	return a->shown.data != NULL ? a->shown.data : "";
}

/* --- for commands --- */

void *admin_context(struct admin_run *run)
{
	return run->context;
}

const struct admin_value *admin_arg(const struct admin_run *run, unsigned i)
{
	return &run->values[i];
}

char *const *admin_words(const struct admin_run *run, unsigned *ret_count)
{
	*ret_count = run->session->words.count;
	return run->session->words.word;
}

const struct admin_command *admin_run_command(const struct admin_run *run)
{
	return run->command;
}

const char *admin_payload(const struct admin_run *run, size_t *ret_size)
{
	const struct admin_session *a = run->session;

	*ret_size = a->payload.size;
	return a->has_payload ? (a->payload.data != NULL ? a->payload.data : "")
			      : NULL;
}

void admin_set_cursor(struct admin_run *run, const void *data, size_t size)
{
	assert(size <= sizeof(run->cursor));
	memcpy(run->cursor, data, size);
}

unsigned admin_only(const struct admin_run *run)
{
	return run->only;
}

enum admin_level admin_run_level(const struct admin_run *run)
{
	return run->session->level;
}

struct worker *admin_worker(const struct admin_run *run)
{
	return run->session->worker;
}

struct admin_session *admin_run_session(struct admin_run *run)
{
	return run->session;
}

void admin_wake(struct admin_run *run)
{
	struct admin_session *a = run->session;

	a->woken = true;
	if (!a->going && a->busy)
		go_on_later(a);
}

void admin_wake_at(struct admin_run *run, uint64_t due_ns)
{
	timer_start(timers_of(run->session), &run->session->timer, due_ns,
		    on_timer);
}

bool admin_is_interrupted(const struct admin_run *run)
{
	return run->session->interrupted;
}
