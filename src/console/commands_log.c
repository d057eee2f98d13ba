/* Admin commands of the log: its last lines, those to come, its level. */
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "base/log_ring.h"
#include "console/admin_commands.h"

enum {
	LINE_ROOM = 4096, /* of a line that is shown */
	FOLLOW_MS = 200,  /* between two looks for new ones */
};

struct events {
	struct log_ring_cursor at; /* behind the line that was told */
	uint64_t end;              /* number of the last one there was */
	bool follow;
	unsigned level;
};

static int begin(struct admin_run *run, unsigned level, bool follow,
		 bool only_new)
{
	struct events *e = admin_context(run);

	struct log_ring_cursor end = log_ring_end();

	e->level = level;
	e->end = end.number;
	e->follow = follow;
	if (only_new)
		e->at = end;
	return 0;
}

static int parse_events(struct admin_run *run)
{
	return begin(run, LOG_LEVEL_COUNT, admin_arg(run, 0)->given,
		     admin_arg(run, 1)->given);
}

static int parse_errors(struct admin_run *run)
{
	return begin(run, LOG_CRIT, false, false);
}

static enum admin_step tell_events(struct admin_run *run)
{
	struct events *e = admin_context(run);
	struct log_ring_cursor next;
	char line[LINE_ROOM + 1];
	unsigned level;
	uint64_t number;
	size_t size;

	for (;;) {
		if (admin_is_interrupted(run))
			return ADMIN_DONE;
		next = e->at;
		number = log_ring_read(&next, e->level, line, LINE_ROOM, &size,
				       &level);
		if (number == 0 || (!e->follow && number > e->end))
			break;
		if (size == 0 || line[size - 1] != '\n')
			line[size++] = '\n';
		if (!admin_put(run, line, size))
			return ADMIN_MORE;
		e->at = next;
	}
	if (!e->follow)
		return ADMIN_DONE;
	admin_wake_at(run, uv_hrtime() + FOLLOW_MS * 1000000ull);
	return ADMIN_WAIT;
}

static const struct admin_arg event_args[] = {
	{ "-w", ADMIN_FLAG, true, NULL,
	  "and those to come, until the client types something" },
	{ "-n", ADMIN_FLAG, true, NULL, "not those that are there" },
	{ .name = NULL },
};

static const struct admin_command show_events = {
	.words = "show events",
	.level = ADMIN_OPERATOR,
	.help = "the last lines of the log, and with -w those to come",
	.args = event_args,
	.context = ADMIN_CONTEXT(struct events),
	.parse = parse_events,
	.io = tell_events,
};

static const struct admin_command show_errors = {
	.words = "show errors",
	.level = ADMIN_OPERATOR,
	.help = "the last lines of the log that tell of errors",
	.context = ADMIN_CONTEXT(struct events),
	.parse = parse_errors,
	.io = tell_events,
};

const struct admin_command *const admin_commands_log[] = {
	&show_events,
	&show_errors,
	NULL,
};
