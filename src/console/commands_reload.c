/* The admin command that has a configured server read its configuration again. */
#include <uv.h>

#include "app/reload_ask.h"
#include "console/admin_commands.h"

enum { LOOK_MS = 20 };

struct asking {
	struct reload_ask *ask;
};

static int ask(struct admin_run *run)
{
	struct asking *a = admin_context(run);

	a->ask = reload_ask();
	if (a->ask != NULL)
		return 0;
	admin_fail_diag(run);
	return -1;
}

/* It is the worker's end, too, if it goes well: that waits for this answer. */
static enum admin_step tell(struct admin_run *run)
{
	const struct asking *a = admin_context(run);
	const char *why = NULL;
	unsigned generation = 0;

	switch (reload_ask_state(a->ask, &why, &generation)) {
	case RELOAD_WAITS:
		admin_wake_at(run, uv_hrtime() + LOOK_MS * 1000000ull);
		return ADMIN_WAIT;
	case RELOAD_HAS_FAILED:
		return admin_fail(run, "%s", why);
	case RELOAD_SERVES:
		break;
	}
	return admin_print(run, "generation %u serves\n", generation)
		       ? ADMIN_DONE
		       : ADMIN_MORE;
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
	.parse = ask,
	.io = tell,
	.release = release,
};

const struct admin_command *const admin_commands_reload[] = {
	&reload,
	NULL,
};
