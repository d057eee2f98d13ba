/* Admin commands that show the workers and their Lua states. */
#include "app/app.h"
#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "runtime/fiber.h"

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

const struct admin_command *const admin_commands_workers[] = {
	&show_workers,
	NULL,
};
