/* Admin commands of what fibers may use of the processor. */
#include <math.h>
#include <string.h>

#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"
#include "lua/lua_limits.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

static const struct admin_column limit_columns[] = {
	{ "group", ADMIN_TEXT, -10, "what a fiber runs", true },
	{ "burst", ADMIN_SECONDS, 12, "CPU time since it last waited; 0: any" },
	{ "total", ADMIN_SECONDS, 12, "CPU time since it began; 0: any" },
	{ .name = NULL },
};

static bool add_limits(struct admin_rows *rows, const struct fiber_limits *l)
{
	struct admin_cell cells[] = {
		admin_text(l->group),
		admin_number((double)l->burst_ns / 1e9),
		admin_number((double)l->total_ns / 1e9),
	};

	return admin_rows_add(rows, cells);
}

/* --- show limits --- */

static bool collect_limits(struct worker *w, void *cursor,
			   struct admin_rows *rows)
{
	unsigned *at = ADMIN_CURSOR(unsigned, cursor);

	for (; *at < LUA_LIMIT_COUNT; ++*at)
		if (!add_limits(rows, &w->vm.limits[*at]))
			return true;
	return false;
}

static const struct admin_command show_limits = {
	.words = "show limits",
	.help = "the CPU time that fibers may use, by what they run",
	.columns = limit_columns,
	.collect = collect_limits,
};

/* --- set limits --- */

struct change {
	unsigned group;
	uint64_t burst_ns, total_ns;
};

static unsigned find_group(const struct lua_vm *vm, const char *name)
{
	unsigned i = 0;

	while (i < LUA_LIMIT_COUNT && strcmp(vm->limits[i].group, name) != 0)
		i++;
	return i;
}

static int parse_limits(struct admin_run *run)
{
	struct change c = {
		.group = find_group(&admin_worker(run)->vm,
				    admin_arg(run, 0)->text),
		.burst_ns = (uint64_t)(admin_arg(run, 1)->number * 1e9),
		.total_ns = (uint64_t)(admin_arg(run, 2)->number * 1e9),
	};

	if (fmax(admin_arg(run, 1)->number, admin_arg(run, 2)->number) > 1e6) {
		admin_fail(run, "at most 1000000 s; 0 is any");
		return -1;
	}
	admin_set_cursor(run, &c, sizeof(c));
	return 0;
}

static bool collect_change(struct worker *w, void *cursor,
			   struct admin_rows *rows)
{
	const struct change *c = ADMIN_CURSOR(struct change, cursor);
	struct fiber_limits *l = &w->vm.limits[c->group];

	l->burst_ns = c->burst_ns;
	l->total_ns = c->total_ns;
	sched_changed(&w->sched);
	return !add_limits(rows, l);
}

static const struct admin_arg limit_args[] = {
	{ "group", ADMIN_TEXT, false,
	  "main|action|fetch|converter|filter|command|service|task",
	  "what a fiber runs" },
	{ "burst", ADMIN_SECONDS, false, NULL, "since it last waited; 0: any" },
	{ "total", ADMIN_SECONDS, false, NULL, "since it began; 0: any" },
	{ .name = NULL },
};

static const struct admin_command set_limits = {
	.words = "set limits",
	.taint = TAINT_LIMITS_SET,
	.level = ADMIN_ADMIN,
	.help = "the CPU time that fibers may use, also those that run",
	.args = limit_args,
	.columns = limit_columns,
	.parse = parse_limits,
	.collect = collect_change,
};

const struct admin_command *const admin_commands_limits[] = {
	&show_limits,
	&set_limits,
	NULL,
};
