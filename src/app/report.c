/* What the main script's failure looks like. See report.h. */
#include "app/report.h"

#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "config/settings.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"

void report_error(struct worker *w, const char *text)
{
	const struct app *app = w->app;
	const char *format = settings_text(app->settings, SETTING_LOG_FORMAT);

	if (!app_claim_report(w->app, text)) {
		log_verbose("%s", text);
		return;
	}
	fflush(stdout); /* what the script printed comes first */
	if (strcmp(format, "json") == 0)
		log_error("%s", text);
	else if (worker_is_shared(w))
		fprintf(stderr, "neap: shared state: %s\n", text);
	else if (app->count > 1)
		fprintf(stderr, "neap: worker %u: %s\n", w->id, text);
	else
		fprintf(stderr, "neap: %s\n", text);
}

void report_config(struct worker *w, const char *text)
{
	const char *format =
		settings_text(w->app->settings, SETTING_LOG_FORMAT);

	if (!app_claim_report(w->app, text))
		return; /* it is the same for all */
	fflush(stdout);
	if (strcmp(format, "json") == 0)
		log_error("%s", text);
	else
		fprintf(stderr, "%s\n", text);
}

struct report {
	struct worker *worker;
	struct lua_fiber *fiber;
};

static void push_report(lua_State *L, void *arg)
{
	static const char *const bodies[] = { "\n\tneap/script.lua:",
					      "\n\tneap/neap.states.lua:" };
	struct report *r = arg;
	const char *text, *own;

	lua_push_traceback(L, r->fiber->co);
	text = lua_tostring(L, -1);
	/* The frames that called the script are of no use to its author. */
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		own = strstr(text, bodies[i]);
		if (own == NULL)
			continue;
		lua_pushlstring(L, text, own - text);
		text = lua_tostring(L, -1);
	}
	report_error(r->worker, text);
}

void report_uncaught(struct worker *w, struct lua_fiber *f)
{
	struct report r = { w, f };
	struct error *e;

	if (lua_vm_protect(&w->vm, push_report, &r) == 0)
		return;
	e = diag_take();
	report_error(w, e->message);
	error_unref(e);
}
