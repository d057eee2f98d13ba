/* Admin commands of the console itself: who is here, where it listens, time-outs. */
#include <uv.h>

#include "console/admin_commands.h"
#include "console/admin_session.h"
#include "console/remote.h"

/* --- this session --- */

static enum admin_step tell_level(struct admin_run *run)
{
	return admin_print(run, "%s\n", admin_level_names[admin_run_level(run)])
		       ? ADMIN_DONE
		       : ADMIN_MORE;
}

static const struct admin_command show_level = {
	.words = "show cli level",
	.help = "the level of this session",
	.open = true,
	.io = tell_level,
};

static int parse_timeout(struct admin_run *run)
{
	double seconds = admin_arg(run, 0)->number;

	if (seconds < 1 || seconds > 86400) {
		admin_fail(run, "a second to a day");
		return -1;
	}
	if (admin_session_set_idle(admin_run_session(run),
				   (uint64_t)(seconds * 1e9)))
		return 0;
	admin_fail(run, "this session has no such time-out");
	return -1;
}

static const struct admin_arg timeout_args[] = {
	{ "time", ADMIN_SECONDS, false, NULL, "as 30s or 10m" },
	{ .name = NULL },
};

static const struct admin_command set_timeout = {
	.words = "set timeout cli",
	.help = "how long this client may be silent",
	.args = timeout_args,
	.parse = parse_timeout,
};

/* --- who is here --- */

struct sessions {
	uint64_t last; /* that was told */
};

struct find_session {
	uint64_t above;
	struct admin_session *found;
};

static bool find_session(struct admin_session *a, void *arg)
{
	struct find_session *f = arg;

	if (admin_session_id(a) <= f->above)
		return true;
	f->found = a; /* they stand in the order of their ids */
	return false;
}

static enum admin_step next_session(struct admin_run *run,
				    struct admin_cell *cells)
{
	struct sessions *s = admin_context(run);
	struct find_session f = { .above = s->last };
	struct admin_session_info info;

	admin_session_each(find_session, &f);
	if (f.found == NULL)
		return ADMIN_DONE;
	admin_session_look(f.found, &info);
	s->last = info.id;
	cells[0] = admin_number((double)info.id);
	cells[1] = admin_text(admin_level_names[info.level]);
	cells[2] = admin_number((double)(uv_hrtime() - info.since_ns) / 1e9);
	cells[3] = admin_number((double)info.commands);
	cells[4] = admin_text(info.command);
	return ADMIN_MORE;
}

static const struct admin_column session_columns[] = {
	{ "id", ADMIN_NUMBER, 4, "of the session" },
	{ "level", ADMIN_TEXT, -8, "what it may do", true },
	{ "age", ADMIN_SECONDS, 10, "since it began" },
	{ "commands", ADMIN_COUNTER, 8, "run so far" },
	{ "runs", ADMIN_TEXT, -20, "the command that runs now" },
	{ .name = NULL },
};

static const struct admin_command show_sessions = {
	.words = "show cli sessions",
	.level = ADMIN_OPERATOR,
	.help = "the sessions of admin commands",
	.columns = session_columns,
	.context = ADMIN_CONTEXT(struct sessions),
	.next = next_session,
};

/* --- where it listens --- */

struct sockets {
	uint64_t last; /* that was told */
};

static enum admin_step next_socket(struct admin_run *run,
				   struct admin_cell *cells)
{
	struct sockets *s = admin_context(run);
	struct remote_info info;

	if (!remote_look(s->last, &info))
		return ADMIN_DONE;
	s->last = info.id;
	cells[0] = admin_number((double)info.id);
	cells[1] = admin_text(info.path);
	cells[2] = admin_text(info.admin ? "admin" : "lua");
	cells[3] = admin_text(admin_level_names[info.level]);
	cells[4] = admin_number(info.connections);
	cells[5] = admin_number(info.connections_max);
	cells[6] = admin_number(info.strangers);
	return ADMIN_MORE;
}

static const struct admin_column socket_columns[] = {
	{ "id", ADMIN_NUMBER, 4, "of the socket" },
	{ "address", ADMIN_TEXT, -32, "its path, or host and port" },
	{ "language", ADMIN_TEXT, -8, "of its sessions: lua or admin", true },
	{ "level", ADMIN_TEXT, -8, "what they may do at most", true },
	{ "connections", ADMIN_NUMBER, 11, "now" },
	{ "limit", ADMIN_NUMBER, 6, "of connections" },
	{ "strangers", ADMIN_NUMBER, 9,
	  "of them, that have not told the password" },
	{ .name = NULL },
};

static const struct admin_command show_sockets = {
	.words = "show cli sockets",
	.level = ADMIN_OPERATOR,
	.help = "where consoles listen",
	.columns = socket_columns,
	.context = ADMIN_CONTEXT(struct sockets),
	.next = next_socket,
};

const struct admin_command *const admin_commands_cli[] = {
	&show_level, &set_timeout, &show_sessions, &show_sockets, NULL,
};
