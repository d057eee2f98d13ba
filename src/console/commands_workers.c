/* Admin commands that show the workers and their Lua states. */
#include "app/app.h"
#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "lua/lua_look.h"
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
		admin_number(mailbox_count(&w->mailbox)),
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

/* --- show lua --- */

static bool collect_lua(struct worker *w, void *cursor, struct admin_rows *rows)
{
	const struct lua_memory *m = &w->vm.memory;
	const uint64_t *over = w->vm.ended_over;
	struct lua_look look;

	(void)cursor;
	lua_look(&w->vm, &look);
	{
		struct admin_cell cells[] = {
			admin_number((double)m->used),
			admin_number((double)m->peak),
			admin_number((double)m->limit),
			admin_number((double)m->failures),
			admin_text(look.phase),
			admin_number(m->cycles),
			admin_number((double)m->soft),
			admin_number((double)m->longest_ns / 1e9),
			admin_number(look.strings),
			admin_number(w->sched.count),
			admin_number((double)w->sched.preempted),
			admin_number(look.traces),
			admin_number((double)look.machine_code),
			admin_number(look.coroutines),
			admin_number((double)(over[FIBER_OVER_BURST] +
					      over[FIBER_OVER_TOTAL] +
					      over[FIBER_OVER_MEMORY])),
			admin_number((double)over[FIBER_OVER_BURST]),
			admin_number((double)over[FIBER_OVER_TOTAL]),
			admin_number((double)over[FIBER_OVER_MEMORY]),
		};

		return !admin_rows_add(rows, cells);
	}
}

static const struct admin_column lua_columns[] = {
	{ "memory", ADMIN_BYTES, 0, "of the state" },
	{ "peak", ADMIN_BYTES, 0, "the most it has had" },
	{ "limit", ADMIN_BYTES, 0, "of it; 0: none" },
	{ "refused", ADMIN_COUNTER, 0, "allocations, at the limit" },
	{ "phase", ADMIN_TEXT, 0, "of the collector", true },
	{ "collections", ADMIN_COUNTER, 0, "that marked all, near the limit" },
	{ "early", ADMIN_COUNTER, 0, "collections begun for the limit's sake" },
	{ "longest_step", ADMIN_SECONDS, 0, "of a collection, near the limit" },
	{ "strings", ADMIN_NUMBER, 0, "different ones" },
	{ "fibers", ADMIN_NUMBER, 0, "alive" },
	{ "forced", ADMIN_COUNTER, 0, "switches because a slice was over" },
	{ "traces", ADMIN_NUMBER, 0, "pieces of compiled code" },
	{ "machine_code", ADMIN_BYTES, 0, "set aside for them" },
	{ "coroutines", ADMIN_NUMBER, 0,
	  "those of fibers, and of scripts until they are collected" },
	{ "timeouts", ADMIN_COUNTER, 0, "fibers that a limit has ended" },
	{ "timeouts_burst", ADMIN_COUNTER, 0,
	  "of them: by CPU time since the last wait" },
	{ "timeouts_in_all", ADMIN_COUNTER, 0, "of them: by CPU time in all" },
	{ "timeouts_memory", ADMIN_COUNTER, 0, "of them: by memory" },
	{ .name = NULL },
};

static const struct admin_command show_lua = {
	.words = "show lua",
	.help = "each Lua state: memory, collector, coroutines, time-outs, "
		"compiled code",
	.columns = lua_columns,
	.single = true,
	.collect = collect_lua,
};

const struct admin_command *const admin_commands_workers[] = {
	&show_workers,
	&show_lua,
	NULL,
};
