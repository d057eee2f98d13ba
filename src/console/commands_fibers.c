/* Admin commands of fibers: who is there, what they are at, and their end. */
#include <stdio.h>
#include <string.h>

#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "lua/lua_fiber.h"
#include "runtime/fiber.h"

/* --- show fibers --- */

struct fibers {
	uint64_t last; /* id of the one that was told */
};

static bool collect_fibers(struct worker *w, void *cursor,
			   struct admin_rows *rows)
{
	struct fibers *at = ADMIN_CURSOR(struct fibers, cursor);
	struct sched *s = &w->sched;

	for (struct list *link = sched_behind(s, at->last); link != &s->all;
	     link = link->next) {
		const struct fiber *f = list_entry(link, struct fiber, all);
		const struct lua_fiber *lf = (const struct lua_fiber *)f;
		struct admin_cell cells[] = {
			admin_number((double)f->id),
			admin_text(lf->name),
			admin_text(fiber_state_name(f)),
			admin_number((double)f->switches),
			admin_number(f->preempted),
			admin_number((double)f->total_ns / 1e9),
		};

		if (!admin_rows_add(rows, cells))
			return true;
		at->last = f->id;
	}
	return false;
}

static const struct admin_column fiber_columns[] = {
	{ "id", ADMIN_NUMBER, 8, "never given twice in a worker" },
	{ "name", ADMIN_TEXT, -16, "fiber.name()" },
	{ "state", ADMIN_TEXT, -8, "new, ready, running, waiting", true },
	{ "switches", ADMIN_COUNTER, 10, "how often it was resumed" },
	{ "forced", ADMIN_COUNTER, 8, "how often it was made to give way" },
	{ "time", ADMIN_SECONDS, 10, "CPU time, as ticks have found it" },
	{ .name = NULL },
};

static const struct admin_command show_fibers = {
	.words = "show fibers",
	.level = ADMIN_OPERATOR,
	.help = "the fibers of each worker",
	.columns = fiber_columns,
	.collect = collect_fibers,
};

/* --- kill fiber --- */

struct kill {
	uint64_t id;
};

static int parse_kill(struct admin_run *run)
{
	struct kill k = { .id = (uint64_t)admin_arg(run, 0)->number };

	if (admin_check_fiber(run, admin_only(run)) != 0)
		return -1;
	admin_set_cursor(run, &k, sizeof(k));
	return 0;
}

static bool collect_kill(struct worker *w, void *cursor,
			 struct admin_rows *rows)
{
	struct kill *k = ADMIN_CURSOR(struct kill, cursor);
	struct fiber *f = fiber_find(&w->sched, k->id);
	struct admin_cell cells[3] = { admin_number((double)k->id) };

	if (f == NULL || f->state == FIBER_DEAD)
		return false;
	cells[1] = admin_text(((const struct lua_fiber *)f)->name);
	cells[2] = admin_text(f->flags & FIBER_CANCELLED
				      ? "it was cancelled before"
				      : "cancelled");
	if (!admin_rows_add(rows, cells))
		return true;
	fiber_cancel(f);
	taint_set(TAINT_FIBER_KILLED);
	return false;
}

static const struct admin_arg kill_args[] = {
	{ "id", ADMIN_NUMBER, false, NULL, "as show fibers tells it" },
	{ .name = NULL },
};

static const struct admin_column kill_columns[] = {
	{ "id", ADMIN_NUMBER, 8, "of the fiber" },
	{ "name", ADMIN_TEXT, -16, "fiber.name()" },
	{ "what", ADMIN_TEXT, -24, "what was done", true },
	{ .name = NULL },
};

static const struct admin_command kill_fiber = {
	.words = "kill fiber",
	.level = ADMIN_ADMIN,
	.help = "cancel a fiber; one that goes on computing is ended",
	.args = kill_args,
	.columns = kill_columns,
	.none = "there is no such fiber",
	.parse = parse_kill,
	.collect = collect_kill,
};

/* --- dump state --- */

enum { LEVELS_MAX = 40, LINE_ROOM = 256 };

struct dump {
	uint64_t last;  /* the fiber that is told */
	unsigned level; /* lines of it that were */
};

/* Line @a level of what is told of @a f. False: there are no more. */
static bool dump_line(unsigned worker, const struct lua_fiber *f,
		      unsigned level, char *to)
{
	lua_Debug ar;

	if (level == 0) {
		snprintf(to, LINE_ROOM,
			 "worker %u fiber %llu '%s' %s, %.3f s of CPU time, "
			 "resumed %llu times",
			 worker, (unsigned long long)f->base.id, f->name,
			 fiber_state_name(&f->base),
			 (double)f->base.total_ns / 1e9,
			 (unsigned long long)f->base.switches);
		return true;
	}
	if (f->co == NULL || level > LEVELS_MAX ||
	    !lua_getstack(f->co, (int)level - 1, &ar) ||
	    !lua_getinfo(f->co, "nSl", &ar))
		return false;
	if (*ar.what == 'C')
		snprintf(to, LINE_ROOM, "    [C] in %s",
			 ar.name == NULL ? "?" : ar.name);
	else
		snprintf(to, LINE_ROOM, "    %s:%d in %s", ar.short_src,
			 ar.currentline,
			 ar.name != NULL   ? ar.name
			 : *ar.what == 'm' ? "main chunk"
					   : "?");
	return true;
}

/* All lines of @a f from at->level on. False: there is no room. */
static bool dump_fiber(unsigned worker, const struct fiber *f, struct dump *at,
		       struct admin_rows *rows)
{
	char line[LINE_ROOM];

	while (dump_line(worker, (const struct lua_fiber *)f, at->level,
			 line)) {
		struct admin_cell cell = admin_text(line);

		if (!admin_rows_add(rows, &cell))
			return false;
		at->level++;
	}
	return true;
}

static bool collect_dump(struct worker *w, void *cursor,
			 struct admin_rows *rows)
{
	struct dump *at = ADMIN_CURSOR(struct dump, cursor);
	struct sched *s = &w->sched;
	struct list *link = sched_behind(s, at->last);

	for (; link != &s->all; link = link->next) {
		const struct fiber *f = list_entry(link, struct fiber, all);

		if (!dump_fiber(w->id, f, at, rows))
			return true;
		at->last = f->id;
		at->level = 0;
	}
	return false;
}

static const struct admin_column dump_columns[] = {
	{ "line", ADMIN_TEXT, 0, "a fiber, or a level of its stack" },
	{ .name = NULL },
};

static const struct admin_command dump_state = {
	.words = "dump state",
	.level = ADMIN_OPERATOR,
	.help = "each fiber of each worker, with its Lua stack",
	.columns = dump_columns,
	.plain = true,
	.collect = collect_dump,
};

const struct admin_command *const admin_commands_fibers[] = {
	&show_fibers,
	&kill_fiber,
	&dump_state,
	NULL,
};
