/* One admin command that runs. See admin_run.h. */
#include "console/admin_run.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "console/admin_args.h"
#include "console/admin_commands.h"
#include "console/admin_gather.h"
#include "console/admin_session.h"

enum {
	OUT_ROOM = 16 << 10,   /* of an answer, before it is handed on */
	OUT_MAX = 1 << 20,     /* of one print */
	IDLE_CALLS_MAX = 1000, /* of a command that neither writes nor waits */
};

static struct timers *timers_of(const struct admin_run *run)
{
	return &run->worker->sched.timers;
}

/* --- what is said --- */

/* A line that is empty gets a space. Returns 0, or -1 and nothing was added. */
static int put(struct admin_run *run, const char *text, size_t size)
{
	struct buf *out = &run->out;
	size_t before = out->size;
	bool at_start = run->at_start;

	for (const char *p = text, *end = text + size; p < end;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop != NULL ? stop + 1 : end) - p);

		if ((*p == '\n' && run->at_start && buf_putc(out, ' ') != 0) ||
		    buf_append(out, p, n) != 0) {
			out->size = before;
			run->at_start = at_start;
			return -1;
		}
		run->at_start = stop != NULL;
		p += n;
	}
	return 0;
}

/* Behind each answer an empty line, which none has within. */
static void end_answer(struct admin_run *run)
{
	if (!run->at_start)
		buf_putc(&run->out, '\n');
	buf_putc(&run->out, '\n');
	run->at_start = true;
}

/* In the place of a row, when there are some: the whole stays JSON. */
static void put_json_failure(struct admin_run *run, const char *why)
{
	static const struct admin_column columns[] = {
		{ "error", ADMIN_TEXT, 0, "" }, { .name = NULL }
	};
	struct admin_format alone = { .columns = columns,
				      .json = true,
				      .single = true };
	struct admin_format *f = &run->format;
	struct admin_cell cell = admin_text(why);

	if (f->count > 0) {
		admin_format_error(f, why, &run->out);
		admin_format_end(f, &run->out);
	} else {
		admin_format_row(&alone, &cell, &run->out);
		buf_putc(&run->out, '\n');
	}
	run->at_start = true;
}

static void put_failure(struct admin_run *run, const char *why)
{
	static const char *const marks[] = {
		[ADMIN_SEVERITY_NONE] = "error: ",
		[ADMIN_SEVERITY_NUMBER] = "[3]: ",
		[ADMIN_SEVERITY_STRING] = "[error]: ",
	};
	const char *mark = marks[run->severity];
	size_t size = strlen(why);

	run->failed = true;
	while (size > 0 && why[size - 1] == '\n')
		size--;
	if (run->json) {
		put_json_failure(run, why);
		return;
	}
	if (!run->at_start)
		put(run, "\n", 1);
	put(run, mark, strlen(mark));
	put(run, why, size);
	put(run, "\n", 1);
}

/* Is there enough to be handed on before more comes? */
static bool is_full(const struct admin_run *run)
{
	return run->out.size >= OUT_ROOM;
}

bool admin_put(struct admin_run *run, const char *text, size_t size)
{
	if (is_full(run) ||
	    (run->out.size > 0 && run->out.size + size > OUT_ROOM))
		return false;
	return put(run, text, size) == 0;
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

/* The texts of the cells are the command's, or the batch's: they are written before
 * either is asked again. */
static enum admin_step write_row(struct admin_run *run)
{
	struct admin_cell cells[ADMIN_COLUMNS_MAX];
	const struct worker *worker = NULL;
	const char *error = NULL;
	enum admin_step step;
	int rc;

	if (run->gather == NULL)
		step = run->command->next(run, cells);
	else
		step = admin_gather_next(run->gather, cells, &worker, &error);
	if (step != ADMIN_MORE)
		return step;
	if (worker != NULL)
		run->format.worker = worker->id;
	run->failed |= error != NULL;
	if (error != NULL)
		rc = admin_format_error(&run->format, error, &run->out);
	else
		rc = admin_format_row(&run->format, cells, &run->out);
	if (rc != 0)
		return admin_fail(run, "not enough memory");
	run->at_start = !run->format.json;
	return ADMIN_MORE;
}

/* Rows until there is no room, or there are no more. */
static enum admin_step write_rows(struct admin_run *run)
{
	enum admin_step step = ADMIN_MORE;

	if (run->command->before != NULL && !run->prepared) {
		step = run->command->before(run);
		if (step != ADMIN_DONE)
			return step;
		run->prepared = true;
		step = ADMIN_MORE;
	}
	while (step == ADMIN_MORE && !is_full(run))
		step = write_row(run);
	if (step != ADMIN_DONE)
		return step;
	if (run->format.count == 0 && run->command->none != NULL)
		return admin_fail(run, "%s", run->command->none);
	if (admin_format_end(&run->format, &run->out) != 0)
		return admin_fail(run, "not enough memory");
	run->at_start = true;
	return ADMIN_DONE;
}

/* --- from the beginning to the end --- */

/* Commands that hold what their release() gives back; all threads' together. */
static atomic_int held;

int admin_run_held(void)
{
	return atomic_load(&held);
}

static void release(struct admin_run *run)
{
	const struct admin_command *c = run->command;

	timer_stop(timers_of(run), &run->timer);
	run->command = NULL;
	if (c == NULL)
		return;
	atomic_fetch_sub(&held, 1);
	admin_gather_free(run->gather);
	run->gather = NULL;
	if (c->release != NULL)
		c->release(run);
}

static void finish(struct admin_run *run)
{
	if (run->why[0] != '\0')
		put_failure(run, run->why);
	release(run);
	end_answer(run);
}

void admin_run_abort(struct admin_run *run, const char *why)
{
	admin_fail(run, "%s", why);
	finish(run);
}

void admin_run_refuse(struct admin_run *run, const char *why)
{
	struct error *e = NULL;

	if (why == NULL)
		e = diag_take();
	put_failure(run, e != NULL ? e->message : why);
	if (e != NULL)
		error_unref(e);
	end_answer(run);
}

/* A script reads refusals too. */
static bool wants_json(const struct admin_run *run)
{
	const struct admin_words *w = &run->words;

	return w->count > 0 && strcmp(w->word[w->count - 1], "json") == 0;
}

/* What is no command is worth help. */
static void explain(struct admin_run *run, enum admin_level level)
{
	struct buf text = { 0 };
	bool told;

	run->json = wants_json(run);
	told = admin_explain(run->words.word, run->words.count - run->json,
			     level, &text) == 0 &&
	       buf_putc(&text, '\0') == 0;
	admin_run_refuse(run, told ? text.data : "no such command");
	buf_destroy(&text);
}

/* Returns NULL with diag set: there is none. */
static struct worker *find_worker(const struct admin_run *run, double id)
{
	struct app *app = run->worker->app;
	struct worker *w = app_worker(app, id);

	if (w == NULL)
		diag_set(IllegalParams, "there is no worker %.0f, but %d to %u",
			 id, app->threads > app->count ? 0 : 1, app->count);
	return w;
}

/* May the command run as it was typed? Returns 0, or -1 with diag set. */
static int check(struct admin_run *run, const struct admin_command *c,
		 enum admin_level level, unsigned used)
{
	struct admin_args args = { .values = run->values };
	unsigned count = run->words.count;

	run->json = c->columns != NULL && count > used && wants_json(run);
	if (c->level > level) {
		diag_set(ClientError,
			 "permission denied: '%s' is for the level %s, this "
			 "session has the level %s",
			 c->words, admin_level_names[c->level],
			 admin_level_names[level]);
		return -1;
	}
	if (!c->raw && admin_args_read(c, run->words.word + used, count - used,
				       &args) != 0)
		return -1;
	run->typed = args.typed;
	if (run->anon && (c->io != NULL || c->plain) && !c->open) {
		diag_set(ClientError,
			 "'%s' tells names within its text: not while anon "
			 "is on",
			 c->words);
		return -1;
	}
	if (run->payload != NULL && !c->payload) {
		diag_set(IllegalParams, "'%s' takes no lines", c->words);
		return -1;
	}
	if (!args.one)
		return 0;
	run->only = find_worker(run, args.worker);
	return run->only != NULL ? 0 : -1;
}

/* Nothing of the command before is left. */
static void clear(struct admin_run *run)
{
	size_t from = offsetof(struct admin_run, command);

	assert(run->command == NULL);
	memset((char *)run + from, 0, sizeof(*run) - from);
}

bool admin_run_begin(struct admin_run *run, enum admin_level level)
{
	const struct admin_command *c;
	unsigned used;

	clear(run);
	c = admin_commands_find(run->words.word, run->words.count, &used);
	if (c == NULL) {
		explain(run, level);
		return false;
	}
	run->commands++;
	if (check(run, c, level, used) != 0) {
		admin_run_refuse(run, NULL);
		return false;
	}
	run->format = (struct admin_format){
		.columns = c->columns,
		.json = run->json,
		.typed = run->typed,
		.single = c->single,
		.plain = c->plain,
		.of_worker = c->collect != NULL,
		.anon_key = run->anon ? &run->anon_key : NULL,
	};
	run->command = c;
	if (c->parse != NULL && c->parse(run) != 0) {
		run->command = NULL; /* it has nothing to release */
		finish(run);
		return false;
	}
	atomic_fetch_add(&held, 1);
	taint_set(c->taint);
	if (c->collect == NULL)
		return true;
	run->gather = admin_gather_new(run, c, run->only, run->cursor);
	if (run->gather != NULL)
		return true;
	admin_run_abort(run, "not enough memory");
	return false;
}

bool admin_run_step(struct admin_run *run)
{
	const struct admin_command *c = run->command;
	size_t before = run->out.size;
	enum admin_step step = ADMIN_DONE; /* parse() has done all */

	run->woken = run->waiting = false;
	if (c->columns != NULL)
		step = write_rows(run);
	else if (c->io != NULL)
		step = c->io(run);
	run->idle_calls = run->out.size > before ? 0 : run->idle_calls + 1;
	switch (step) {
	case ADMIN_MORE:
		if (run->idle_calls < IDLE_CALLS_MAX)
			return true;
		admin_fail(run, "'%s' makes no progress: it was ended",
			   c->words);
		break;
	case ADMIN_WAIT:
		run->waiting = !run->woken;
		return run->woken;
	default:
		break;
	}
	finish(run);
	return true;
}

static void on_timer(struct timer *t)
{
	struct admin_run *run = list_entry(t, struct admin_run, timer);

	run->woken = true;
	run->go_on(run);
}

void admin_run_later(struct admin_run *run)
{
	timer_start(timers_of(run), &run->timer, uv_hrtime(), on_timer);
}

void admin_run_create(struct admin_run *run, struct admin_session *session,
		      struct worker *w, void (*go_on)(struct admin_run *run))
{
	run->session = session;
	run->worker = w;
	run->go_on = go_on;
	run->at_start = true;
}

void admin_run_destroy(struct admin_run *run)
{
	release(run);
	buf_destroy(&run->out);
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
	*ret_count = run->words.count;
	return run->words.word;
}

const struct admin_command *admin_run_command(const struct admin_run *run)
{
	return run->command;
}

const char *admin_payload(const struct admin_run *run, size_t *ret_size)
{
	if (run->payload == NULL)
		return NULL;
	*ret_size = run->payload->size;
	return run->payload->data != NULL ? run->payload->data : "";
}

void admin_set_cursor(struct admin_run *run, const void *data, size_t size)
{
	assert(size <= sizeof(run->cursor));
	memcpy(run->cursor, data, size);
}

struct worker *admin_only(const struct admin_run *run)
{
	return run->only;
}

int admin_arg_worker(struct admin_run *run, unsigned i,
		     struct worker **ret_only)
{
	const struct admin_value *v = &run->values[i];

	*ret_only = v->given ? find_worker(run, v->number) : NULL;
	if (!v->given || *ret_only != NULL)
		return 0;
	admin_fail_diag(run);
	return -1;
}

int admin_check_fiber(struct admin_run *run, const struct worker *only)
{
	if (only != NULL || run->worker->app->threads == 1)
		return 0;
	admin_fail(run, "each worker has its own ids of fibers: say which, as "
			"worker 1");
	return -1;
}

void admin_each_worker(void (*fn)(const char *value, void *arg), void *arg)
{
	const struct worker *own = worker_self();
	char number[16];

	for (unsigned i = 0; own != NULL && i < own->app->threads; i++) {
		snprintf(number, sizeof(number), "%u", own->app->workers[i].id);
		fn(number, arg);
	}
}

enum admin_level admin_run_level(const struct admin_run *run)
{
	return admin_session_level(run->session);
}

struct worker *admin_worker(const struct admin_run *run)
{
	return run->worker;
}

struct admin_session *admin_run_session(struct admin_run *run)
{
	return run->session;
}

void admin_wake(struct admin_run *run)
{
	run->woken = true;
	if (run->waiting)
		admin_run_later(run);
}

void admin_wake_at(struct admin_run *run, uint64_t due_ns)
{
	timer_start(timers_of(run), &run->timer, due_ns, on_timer);
}

bool admin_is_interrupted(const struct admin_run *run)
{
	return run->interrupted;
}
