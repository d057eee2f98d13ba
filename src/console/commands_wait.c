/* The admin command that waits: for a time, or until something is so. */
#include <string.h>
#include <uv.h>

#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_gather.h"
#include "net/http_look.h"
#include "runtime/fiber.h"

enum {
	MAX_S = 86400,
	LOOK_MS = 100,  /* between two looks */
	LATE_MS = 2000, /* that a worker has for its answer */
};

/* What each worker is asked: how much of it there still is. */
struct what {
	uint64_t fiber; /* 0: requests */
};

struct waiting {
	uint64_t due_ns;
	bool until;          /* something is so */
	struct worker *only; /* NULL: all */
	struct what what;
	struct admin_gather *gather; /* NULL: nobody is being asked */
	double left;                 /* as told so far */
	char cursor[ADMIN_CURSOR_MAX];
};

static bool collect_left(struct worker *w, void *cursor,
			 struct admin_rows *rows)
{
	const struct what *what = ADMIN_CURSOR(struct what, cursor);
	struct http_server_look s = { .id = 0 };
	const struct fiber *f;
	struct admin_cell cell;
	double left = 0;

	if (what->fiber != 0) {
		f = fiber_find(&w->sched, what->fiber);
		left = f != NULL && f->state != FIBER_DEAD;
	} else {
		while (http_look_server(s.id, &s))
			left += s.stat.waiting;
	}
	cell = admin_number(left);
	return !admin_rows_add(rows, &cell);
}

static const struct admin_column left_columns[] = {
	{ "left", ADMIN_NUMBER, 0, "" },
	{ .name = NULL },
};

static const struct admin_command left_command = {
	.words = "wait",
	.columns = left_columns,
	.collect = collect_left,
};

enum { ARG_TIME, ARG_UNTIL, ARG_FIBER, ARG_WORKER, ARG_COUNT };

/* Returns 0, or -1 and it was said why. */
static int check(struct admin_run *run, struct waiting *w)
{
	const struct admin_value *fiber = admin_arg(run, ARG_FIBER);

	if (admin_arg(run, ARG_TIME)->number > MAX_S)
		admin_fail(run, "at most a day");
	else if (admin_arg(run, ARG_UNTIL)->given && fiber->given)
		admin_fail(run,
			   "until idle, or a fiber has ended: one of them");
	else if (admin_arg(run, ARG_WORKER)->given && !w->until)
		admin_fail(run, "a worker is for \"until idle\" and \"fiber\"");
	else if (admin_arg_worker(run, ARG_WORKER, &w->only) != 0)
		return -1;
	else if (fiber->given && fiber->number < 1)
		admin_fail(run, "there is no such fiber");
	else
		return fiber->given ? admin_check_fiber(run, w->only) : 0;
	return -1;
}

static int parse(struct admin_run *run)
{
	struct waiting *w = admin_context(run);

	w->until = admin_arg(run, ARG_UNTIL)->given ||
		   admin_arg(run, ARG_FIBER)->given;
	if (check(run, w) != 0)
		return -1;
	w->due_ns = uv_hrtime() +
		    (uint64_t)(admin_arg(run, ARG_TIME)->number * 1e9);
	w->what.fiber = (uint64_t)admin_arg(run, ARG_FIBER)->number;
	memcpy(w->cursor, &w->what, sizeof(w->what));
	return 0;
}

/* Ask all workers once more. ADMIN_DONE: w->left is what there is. */
static enum admin_step ask(struct admin_run *run, struct waiting *w)
{
	struct admin_cell cell;
	const struct worker *worker;
	const char *error;
	enum admin_step step;

	if (w->gather == NULL) {
		w->left = 0;
		w->gather = admin_gather_new(run, &left_command, w->only,
					     w->cursor);
		if (w->gather == NULL)
			return admin_fail(run, "not enough memory");
	}
	while ((step = admin_gather_next(w->gather, &cell, &worker, &error)) ==
	       ADMIN_MORE)
		w->left += error != NULL ? 1 : cell.number;
	if (step == ADMIN_WAIT)
		return step;
	admin_gather_free(w->gather);
	w->gather = NULL;
	return step;
}

static void wake_in(struct admin_run *run, const struct waiting *w, unsigned ms)
{
	uint64_t at_ns = uv_hrtime() + ms * 1000000ull;

	admin_wake_at(run, at_ns < w->due_ns ? at_ns : w->due_ns);
}

static enum admin_step give_up(struct admin_run *run, const struct waiting *w)
{
	if (w->what.fiber != 0)
		return admin_fail(run, "fiber %llu has not ended",
				  (unsigned long long)w->what.fiber);
	return admin_fail(run, "requests are still being served");
}

static enum admin_step wait_until(struct admin_run *run, struct waiting *w)
{
	bool late = uv_hrtime() >= w->due_ns;
	enum admin_step step;

	if (admin_is_interrupted(run))
		return admin_fail(run, "interrupted");
	step = ask(run, w);
	if (step == ADMIN_FAILED || (step == ADMIN_DONE && w->left == 0))
		return step;
	if (late)
		return give_up(run, w);
	wake_in(run, w, step == ADMIN_WAIT ? LATE_MS : LOOK_MS);
	return ADMIN_WAIT;
}

static enum admin_step wait_on(struct admin_run *run)
{
	struct waiting *w = admin_context(run);

	if (w->until)
		return wait_until(run, w);
	if (admin_is_interrupted(run) || uv_hrtime() >= w->due_ns)
		return ADMIN_DONE;
	admin_wake_at(run, w->due_ns);
	return ADMIN_WAIT;
}

static void release(struct admin_run *run)
{
	struct waiting *w = admin_context(run);

	admin_gather_free(w->gather);
}

static const struct admin_arg args[] = {
	[ARG_TIME] = { "time", ADMIN_SECONDS, false, NULL, "as 500ms or 10s" },
	[ARG_UNTIL] = { "until", ADMIN_TEXT, true, "idle",
			"idle: no request is being served; if that is not so "
			"in time it fails",
			true },
	[ARG_FIBER] = { "fiber", ADMIN_NUMBER, true, NULL,
			"until that one, as show fibers tells it, has ended",
			true },
	[ARG_WORKER] = { "worker", ADMIN_NUMBER, true, NULL,
			 "of that one, instead of all", true,
			 admin_each_worker },
	[ARG_COUNT] = { .name = NULL },
};

static const struct admin_command wait_command = {
	.words = "wait",
	.help = "wait before the next command, for a time or something",
	.args = args,
	.open = true,
	.context = ADMIN_CONTEXT(struct waiting),
	.parse = parse,
	.io = wait_on,
	.release = release,
};

const struct admin_command *const admin_commands_wait[] = {
	&wait_command,
	NULL,
};
