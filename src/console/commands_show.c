/* Admin commands that show the process and its workers. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "app/app.h"
#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "lua/lua_fiber.h"
#include "runtime/fiber.h"

extern char **environ;

/* --- show env --- */

struct env {
	unsigned next;
};

static enum admin_step next_variable(struct admin_run *run,
				     struct admin_cell *cells)
{
	struct env *e = admin_context(run);
	const struct admin_value *name = admin_arg(run, 0);

	while (environ != NULL && environ[e->next] != NULL) {
		const char *text = environ[e->next++];
		size_t size = strcspn(text, "=");

		if (name->given && (strlen(name->text) != size ||
				    memcmp(name->text, text, size) != 0))
			continue;
		cells[0] = admin_text(text);
		return ADMIN_MORE;
	}
	return ADMIN_DONE;
}

static const struct admin_column env_columns[] = {
	{ "variable", ADMIN_TEXT, -8, "NAME=VALUE" },
	{ .name = NULL },
};

static const struct admin_arg env_args[] = {
	{ "name", ADMIN_TEXT, true, NULL, "of one variable" },
	{ .name = NULL },
};

static const struct admin_command show_env = {
	.words = "show env",
	.level = ADMIN_OPERATOR,
	.help = "the environment",
	.args = env_args,
	.columns = env_columns,
	.context = ADMIN_CONTEXT(struct env),
	.next = next_variable,
};

/* --- show workers --- */

static bool collect_worker(struct worker *w, void *cursor,
			   struct admin_rows *rows)
{
	const struct sched *s = &w->sched;
	const struct lua_memory *m = &w->vm.memory;
	struct admin_cell cells[] = {
		admin_number(s->count),
		admin_number(s->waiting),
		admin_number((double)s->switches),
		admin_number((double)s->preempted),
		admin_number((double)m->used),
		admin_number((double)m->peak),
		admin_number((double)m->limit),
		admin_number((double)m->failures),
		admin_number(w->mailbox.count),
	};

	(void)cursor;
	return !admin_rows_add(rows, cells);
}

static const struct admin_column worker_columns[] = {
	{ "fibers", ADMIN_NUMBER, 8, "alive" },
	{ "waiting", ADMIN_NUMBER, 8, "of them, for something" },
	{ "switches", ADMIN_COUNTER, 12, "from fiber to fiber" },
	{ "forced", ADMIN_COUNTER, 8, "switches because a slice was over" },
	{ "memory", ADMIN_BYTES, 12, "of the Lua state" },
	{ "peak", ADMIN_BYTES, 12, "the most it has had" },
	{ "limit", ADMIN_BYTES, 12, "of it; 0: none" },
	{ "refused", ADMIN_COUNTER, 8, "allocations" },
	{ "mails", ADMIN_NUMBER, 6, "that wait for its thread" },
	{ .name = NULL },
};

static const struct admin_command show_workers = {
	.words = "show workers",
	.help = "each worker: fibers, switches, memory",
	.columns = worker_columns,
	.collect = collect_worker,
};

/* --- show fibers --- */

struct fibers {
	uint64_t last; /* id of the one that was told */
};

static const char *state_of(const struct fiber *f)
{
	switch ((enum fiber_state)f->state) {
	case FIBER_NEW:
		return "new";
	case FIBER_READY:
		return "ready";
	case FIBER_RUNNING:
		return "running";
	case FIBER_WAITING:
		return "waiting";
	default:
		return "ended";
	}
}

/* The place in the list behind the fiber that was told last. */
static struct list *behind(struct sched *s, uint64_t last)
{
	struct fiber *f = last != 0 ? fiber_find(s, last) : NULL;
	struct list *link = s->all.next;

	if (f != NULL)
		return f->all.next;
	/* It has ended meanwhile: they stand by age. */
	while (link != &s->all &&
	       list_entry(link, struct fiber, all)->id <= last)
		link = link->next;
	return link;
}

static bool collect_fibers(struct worker *w, void *cursor,
			   struct admin_rows *rows)
{
	struct fibers *at = ADMIN_CURSOR(struct fibers, cursor);
	struct sched *s = &w->sched;

	for (struct list *link = behind(s, at->last); link != &s->all;
	     link = link->next) {
		const struct fiber *f = list_entry(link, struct fiber, all);
		const struct lua_fiber *lf = (const struct lua_fiber *)f;
		struct admin_cell cells[] = {
			admin_number((double)f->id),
			admin_text(lf->name),
			admin_text(state_of(f)),
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
	{ "state", ADMIN_TEXT, -8, "new, ready, running, waiting" },
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

const struct admin_command *const admin_commands_show[] = {
	&show_env,
	&show_workers,
	&show_fibers,
	NULL,
};
