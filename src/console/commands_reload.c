/* The admin commands that have a configured server read its configuration again, or a new
 * process take its place. */
#include <uv.h>

#include "app/reload_ask.h"
#include "console/admin_commands.h"

enum { LOOK_MS = 20 };

struct asking {
	struct reload_ask *ask;
};

static int ask(struct admin_run *run, enum reload_kind kind)
{
	struct asking *a = admin_context(run);

	a->ask = reload_ask(kind);
	if (a->ask != NULL)
		return 0;
	admin_fail_diag(run);
	return -1;
}

static int ask_reload(struct admin_run *run)
{
	return ask(run, RELOAD_CONFIGURATION);
}

static int ask_upgrade(struct admin_run *run)
{
	return ask(run, RELOAD_PROGRAM);
}

/* It is the worker's end, too, if it goes well: that waits for this answer. */
static enum admin_step tell(struct admin_run *run, const char *what)
{
	const struct asking *a = admin_context(run);
	const char *why = NULL;
	unsigned number = 0;

	switch (reload_ask_state(a->ask, &why, &number)) {
	case RELOAD_WAITS:
		admin_wake_at(run, uv_hrtime() + LOOK_MS * 1000000ull);
		return ADMIN_WAIT;
	case RELOAD_HAS_FAILED:
		return admin_fail(run, "%s", why);
	case RELOAD_SERVES:
		break;
	}
	return admin_print(run, "%s %u serves\n", what, number) ? ADMIN_DONE
								: ADMIN_MORE;
}

static enum admin_step tell_reload(struct admin_run *run)
{
	return tell(run, "generation");
}

static enum admin_step tell_upgrade(struct admin_run *run)
{
	return tell(run, "process");
}

static void release(struct admin_run *run)
{
	const struct asking *a = admin_context(run);

	reload_ask_unref(a->ask);
}

static const struct admin_command reload = {
	.words = "reload",
	.level = ADMIN_ADMIN,
	.help = "read configuration and scripts again, and say what came of it",
	.open = true,
	.context = ADMIN_CONTEXT(struct asking),
	.parse = ask_reload,
	.io = tell_reload,
	.release = release,
};

static const struct admin_command upgrade = {
	.words = "upgrade",
	.level = ADMIN_ADMIN,
	.help = "have a new process of the program take the server's place, and "
		"say what came of it",
	.open = true,
	.context = ADMIN_CONTEXT(struct asking),
	.parse = ask_upgrade,
	.io = tell_upgrade,
	.release = release,
};

const struct admin_command *const admin_commands_reload[] = {
	&reload,
	&upgrade,
	NULL,
};
