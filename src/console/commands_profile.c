/* The admin command that tells what Lua spends its time on. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "app/app.h"
#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_everywhere.h"
#include "console/admin_rows.h"
#include "lua/lua_profile.h"

enum {
	DEFAULT_S = 10,
	MAX_S = 300,
	LINE_ROOM = 4096,
};

/* The memory of one is taken from the process: there is one at a time. */
static atomic_bool running;

struct part {
	struct lua_profile *profile;
	bool started;
};

struct profile {
	struct admin_everywhere *all; /* for release() */
	uint64_t end_ns;
};

/* Of collect(). */
struct at {
	struct admin_everywhere *all;
	unsigned next;
};

static void begin(struct worker *w, void *part, void *shared)
{
	const uint64_t *end_ns = shared;
	struct part *p = part;

	p->started = lua_profile_start(&w->vm, p->profile, *end_ns);
}

static void end(struct worker *w, void *part, void *shared)
{
	(void)part;
	(void)shared;
	lua_profile_stop(&w->vm);
}

static void destroy(struct admin_everywhere *e)
{
	for (unsigned i = 0; i < admin_everywhere_count(e); i++) {
		struct part *p = admin_everywhere_part(e, i);

		lua_profile_free(p->profile);
	}
	atomic_store(&running, false);
}

static const struct admin_everywhere_ops ops = { begin, end, destroy };

static struct admin_everywhere *make(struct worker *own,
				     const struct worker *only)
{
	struct admin_everywhere *all = admin_everywhere_new(
		own->app, &ops, sizeof(struct part), sizeof(uint64_t));

	if (all == NULL)
		atomic_store(&running, false);
	for (unsigned i = 0; all != NULL && i < own->app->threads; i++) {
		struct part *p = admin_everywhere_part(all, i);

		if (only != NULL && app_place(only) != i)
			continue;
		p->profile = lua_profile_new();
		if (p->profile == NULL) {
			admin_everywhere_end(all, own);
			return NULL;
		}
	}
	return all;
}

static int parse(struct admin_run *run)
{
	const struct admin_value *time = admin_arg(run, 0);
	double seconds = time->given ? time->number : DEFAULT_S;
	struct worker *own = admin_worker(run);
	struct profile *c = admin_context(run);
	struct at at = { .next = 0 };

	if (seconds > MAX_S) {
		admin_fail(run, "at most %d s", MAX_S);
		return -1;
	}
	if (own->sched.ticker == NULL) {
		admin_fail(run,
			   "there are no ticks to look by: time slices are "
			   "off, or this build has none");
		return -1;
	}
	if (atomic_exchange(&running, true)) {
		admin_fail(
			run,
			"another profile is being taken, or has not ended at "
			"each worker: one at a time");
		return -1;
	}
	c->all = make(own, admin_only(run));
	if (c->all == NULL) {
		admin_fail(run, "not enough memory");
		return -1;
	}
	c->end_ns = uv_hrtime() + (uint64_t)(seconds * 1e9);
	*(uint64_t *)admin_everywhere_shared(c->all) = c->end_ns;
	admin_everywhere_begin(c->all, own, admin_only(run));
	at.all = c->all;
	admin_set_cursor(run, &at, sizeof(at));
	return 0;
}

static enum admin_step wait_for_end(struct admin_run *run)
{
	const struct profile *c = admin_context(run);

	if (uv_hrtime() >= c->end_ns || admin_is_interrupted(run))
		return ADMIN_DONE;
	admin_wake_at(run, c->end_ns);
	return ADMIN_WAIT;
}

static bool collect(struct worker *w, void *cursor, struct admin_rows *rows)
{
	struct at *at = ADMIN_CURSOR(struct at, cursor);
	const struct part *p = admin_everywhere_part(at->all, app_place(w));
	char line[LINE_ROOM];
	const char *text;
	uint64_t us;

	lua_profile_stop(&w->vm);
	for (unsigned next = at->next;
	     p->started && lua_profile_next(p->profile, &next, &text, &us);
	     at->next = next) {
		struct admin_cell cell = admin_text(line);

		snprintf(line, sizeof(line), "%s %llu", text,
			 (unsigned long long)us);
		if (!admin_rows_add(rows, &cell))
			return true;
	}
	return false;
}

static void release(struct admin_run *run)
{
	const struct profile *c = admin_context(run);

	admin_everywhere_end(c->all, admin_worker(run));
}

static const struct admin_arg args[] = {
	{ "time", ADMIN_SECONDS, true, NULL, "to look on; 10s, at most 300s" },
	{ .name = NULL },
};

static const struct admin_column columns[] = {
	{ "stack", ADMIN_TEXT, 0,
	  "frames from the fiber on, parted by ';', and the microseconds spent "
	  "there" },
	{ .name = NULL },
};

static const struct admin_command profile_lua = {
	.words = "profile lua",
	.taint = TAINT_PROFILED,
	.level = ADMIN_OPERATOR,
	.help = "what Lua spends its time on: stacks for flame graphs",
	.args = args,
	.columns = columns,
	.plain = true,
	.context = ADMIN_CONTEXT(struct profile),
	.parse = parse,
	.before = wait_for_end,
	.collect = collect,
	.release = release,
};

const struct admin_command *const admin_commands_profile[] = {
	&profile_lua,
	NULL,
};
