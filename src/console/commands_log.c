/* Admin commands of the log: its last lines, those to come, its level. */
#include <stdio.h>
#include <uv.h>

#include "base/inject.h"
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
	char *line;
	bool read;           /* there is one that is to be told */
	unsigned line_level; /* whose this is */
	uint64_t lost;       /* of those that were lost, told */
	char lost_text[48];
};

static int begin(struct admin_run *run, unsigned level, bool follow,
		 bool only_new)
{
	struct events *e = admin_context(run);
	struct log_ring_cursor end = log_ring_end();

	e->line = mem_alloc(LINE_ROOM + 1);
	if (e->line == NULL) {
		admin_fail(run, "not enough memory");
		return -1;
	}
	e->level = level;
	e->end = end.number;
	e->follow = follow;
	if (only_new)
		e->at = end;
	return 0;
}

static void release_events(struct admin_run *run)
{
	struct events *e = admin_context(run);

	mem_free(e->line);
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

/* The next line, if there is one that is to be told. */
static void read_line(struct events *e)
{
	struct log_ring_cursor next = e->at;
	size_t size;
	uint64_t number = log_ring_read(&next, e->level, e->line, LINE_ROOM,
					&size, &e->line_level);

	if (number == 0 || (!e->follow && number > e->end))
		return;
	while (size > 0 && e->line[size - 1] == '\n')
		size--;
	e->line[size] = '\0';
	e->at = next;
	e->read = true;
}

static enum admin_step tell_events(struct admin_run *run,
				   struct admin_cell *cells)
{
	struct events *e = admin_context(run);

	if (admin_is_interrupted(run))
		return ADMIN_DONE;
	if (!e->read)
		read_line(e);
	if (e->read && e->at.lost > e->lost) {
		snprintf(e->lost_text, sizeof(e->lost_text),
			 "%llu lines were lost",
			 (unsigned long long)(e->at.lost - e->lost));
		e->lost = e->at.lost;
		cells[0] = cells[1] = admin_text(NULL);
		cells[2] = admin_text(e->lost_text);
		return ADMIN_MORE;
	}
	if (e->read) {
		e->read = false;
		cells[0] = admin_number((double)e->at.number);
		cells[1] = admin_text(log_level_name(e->line_level));
		cells[2] = admin_text(e->line);
		return ADMIN_MORE;
	}
	if (!e->follow)
		return ADMIN_DONE;
	admin_wake_at(run, uv_hrtime() + FOLLOW_MS * 1000000ull);
	return ADMIN_WAIT;
}

static const struct admin_column event_columns[] = {
	{ "number", ADMIN_NUMBER, 0,
	  "of the line, since the start; none: it says how many were lost" },
	{ "level", ADMIN_TEXT, 0, "of the line", true },
	{ .name = "line",
	  .kind = ADMIN_TEXT,
	  .help = "of the log, and those that go on with it",
	  .as_is = true },
	{ .name = NULL },
};

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
	.columns = event_columns,
	.plain = true,
	.context = ADMIN_CONTEXT(struct events),
	.parse = parse_events,
	.next = tell_events,
	.release = release_events,
};

static const struct admin_command show_errors = {
	.words = "show errors",
	.level = ADMIN_OPERATOR,
	.help = "the last lines of the log that tell of errors",
	.columns = event_columns,
	.plain = true,
	.context = ADMIN_CONTEXT(struct events),
	.parse = parse_errors,
	.next = tell_events,
	.release = release_events,
};

const struct admin_command *const admin_commands_log[] = {
	&show_events,
	&show_errors,
	NULL,
};
