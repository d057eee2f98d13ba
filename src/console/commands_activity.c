/* Admin commands of what goes on: what workers do all day, and the fibers that work in the
 * background. */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "lua/lua_fiber.h"
#include "lua/lua_limits.h"
#include "net/http_look.h"

/* --- show activity --- */

/* Of all HTTP servers of this thread, also of those that listen no more. */
static struct http_stat add_servers(void)
{
	struct http_stat sum = { 0 };
	struct http_server_look s = { 0 };

	while (http_look_server(s.id, &s)) {
		sum.accepted += s.stat.accepted;
		sum.requests += s.stat.requests;
		sum.reads += s.stat.reads;
		sum.writes += s.stat.writes;
		sum.bytes_in += s.stat.bytes_in;
		sum.bytes_out += s.stat.bytes_out;
	}
	return sum;
}

static bool collect_activity(struct worker *w, void *cursor,
			     struct admin_rows *rows)
{
	const struct sched *s = &w->sched;
	const struct ticker *t = &w->vm.ticker;
	const struct http_stat sum = add_servers();
	struct admin_cell cells[] = {
		admin_number((double)s->rounds),
		admin_number((double)s->turns),
		admin_number((double)s->switches),
		admin_number((double)s->preempted),
		admin_number((double)t->ticks),
		admin_number((double)t->asked),
		admin_number((double)(s->next_id - SCHED_FIRST_ID)),
		admin_number((double)mailbox_taken(&w->mailbox)),
		admin_number((double)sum.accepted),
		admin_number((double)sum.requests),
		admin_number((double)sum.reads),
		admin_number((double)sum.writes),
		admin_number((double)sum.bytes_in),
		admin_number((double)sum.bytes_out),
	};

	(void)cursor;
	return !admin_rows_add(rows, cells);
}

static const struct admin_column activity_columns[] = {
	{ "rounds", ADMIN_COUNTER, 0, "of the loop: polls" },
	{ "turns", ADMIN_COUNTER, 0, "of fibers that the loop has resumed" },
	{ "switches", ADMIN_COUNTER, 0, "all resumes of fibers" },
	{ "forced", ADMIN_COUNTER, 0, "switches because a slice was over" },
	{ "ticks", ADMIN_COUNTER, 0, "looks at what runs" },
	{ "asked", ADMIN_COUNTER, 0, "of them: had it asked to give way" },
	{ "fibers", ADMIN_COUNTER, 0, "that were made" },
	{ "mails", ADMIN_COUNTER, 0, "from other threads, done" },
	{ "accepted", ADMIN_COUNTER, 0, "connections of HTTP" },
	{ "requests", ADMIN_COUNTER, 0, "given to handlers" },
	{ "reads", ADMIN_COUNTER, 0, "of connections of HTTP" },
	{ "writes", ADMIN_COUNTER, 0, "to them" },
	{ "bytes_in", ADMIN_COUNTER, 0, "read" },
	{ "bytes_out", ADMIN_COUNTER, 0, "handed over to be written" },
	{ .name = NULL },
};

static const struct admin_command show_activity = {
	.words = "show activity",
	.help = "what each worker has done since its start",
	.columns = activity_columns,
	.single = true,
	.collect = collect_activity,
};

/* --- show tasks --- */

enum { PLACE_ROOM = 160 };

struct tasks {
	uint64_t last; /* id of the one that was told */
};

/*
 * Who answers somebody is none: a request, a console, another state. What they start
 * works in the background, like what the script has started.
 */
static bool is_task(const struct lua_fiber *f)
{
	const struct fiber_limits *of = f->vm->limits;
	const struct fiber_limits *l = f->base.limits;

	return f->on_end == NULL || l == NULL || l == &of[LUA_LIMIT_MAIN] ||
	       l == &of[LUA_LIMIT_TASK];
}

static struct admin_cell wakes_in(const struct fiber *f)
{
	uint64_t now = uv_hrtime();

	if (f->state != FIBER_WAITING || !timer_active(&f->timer))
		return admin_text(NULL);
	return admin_number(f->timer.due_ns > now
				    ? (double)(f->timer.due_ns - now) / 1e9
				    : 0);
}

static bool add_task(struct admin_rows *rows, const struct lua_fiber *f)
{
	char place[PLACE_ROOM];
	struct admin_cell cells[] = {
		admin_number((double)f->base.id),
		admin_text(f->name),
		admin_text(f->base.limits != NULL ? f->base.limits->group
						  : NULL),
		admin_text(fiber_state_name(&f->base)),
		admin_number(fiber_age(&f->base)),
		admin_number((double)f->base.total_ns / 1e9),
		admin_number((double)f->base.switches),
		wakes_in(&f->base),
		admin_text(lua_fiber_place(f, place, sizeof(place)) ? place
								    : NULL),
	};

	return admin_rows_add(rows, cells);
}

static bool collect_tasks(struct worker *w, void *cursor,
			  struct admin_rows *rows)
{
	struct tasks *at = ADMIN_CURSOR(struct tasks, cursor);
	struct sched *s = &w->sched;

	for (struct list *link = sched_behind(s, at->last); link != &s->all;
	     link = link->next) {
		struct fiber *f = list_entry(link, struct fiber, all);

		if (is_task(lua_fiber_of(f)) &&
		    !add_task(rows, lua_fiber_of(f)))
			return true;
		at->last = f->id;
	}
	return false;
}

static const struct admin_column task_columns[] = {
	{ "id", ADMIN_NUMBER, 8, "as show fibers tells it" },
	{ "name", ADMIN_TEXT, -16, "fiber.name()" },
	{ "group", ADMIN_TEXT, -8,
	  "whose limits it has: see show limits; none: it has none", true },
	{ "state", ADMIN_TEXT, -8, "new, ready, running, waiting", true },
	{ "age", ADMIN_SECONDS, 12, "since it was made" },
	{ "time", ADMIN_SECONDS, 10, "CPU time, as ticks have found it" },
	{ "switches", ADMIN_COUNTER, 10, "how often it was resumed" },
	{ "wakes_in", ADMIN_SECONDS, 12,
	  "when its wait ends at the latest; none: no such time" },
	{ "place", ADMIN_TEXT, -16, "where it stands in Lua" },
	{ .name = NULL },
};

static const struct admin_command show_tasks = {
	.words = "show tasks",
	.level = ADMIN_OPERATOR,
	.help = "the fibers that work in the background",
	.columns = task_columns,
	.collect = collect_tasks,
};

const struct admin_command *const admin_commands_activity[] = {
	&show_activity,
	&show_tasks,
	NULL,
};
