/* The plans of a configured server's generations. See serve.h. */
#include "main/serve.h"

#include <string.h>

#include "app/supervisor.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "config/config.h"
#include "console/dump.h"
#include "console/lua_command.h"
#include "console/remote.h"
#include "main/options.h"
#include "main/process.h"
#include "main/script_files.h"

struct made_plan {
	struct plan plan;
	struct config *config;
	struct script_files files;
};

static void destroy(struct plan *plan)
{
	struct made_plan *p = (struct made_plan *)plan;

	script_files_destroy(&p->files);
	config_unref(p->config);
	settings_destroy(&p->plan.settings);
	mem_free(p);
}

/* The flags again, then the environment. */
static int read_settings(const struct serve *s, struct settings *settings)
{
	struct options again;

	settings_create(settings);
	if (options_parse(&again, s->argc, s->argv, settings) != 0)
		return -1;
	options_destroy(&again);
	return settings_read_env(settings);
}

static struct plan *make(void *arg)
{
	const struct serve *s = arg;
	struct made_plan *p = mem_zalloc(sizeof *p);

	if (p == NULL) {
		diag_set_oom(sizeof *p, "the server");
		return NULL;
	}
	if (read_settings(s, &p->plan.settings) != 0)
		goto fail;
	p->config = config_load(s->argv[s->options->config], &p->plan.settings);
	if (p->config == NULL)
		goto fail;
	p->plan.script = (struct app_script){
		.argc = s->argc,
		.argv = s->argv,
		.script = s->options->config,
		.config = p->config,
		.opener = "neap.consoles",
		.steps = s->steps,
		.step_count = s->step_count,
	};
	if (script_files_create(&p->files, &p->plan.script, s->options,
				p->config) == 0)
		return &p->plan;
fail : {
	struct error *e = diag_take();

	destroy(&p->plan);
	diag_set_error(e);
	return NULL;
}
}

static void on_reload(const struct plan *plan, const struct plan *before)
{
	process_reconfigure(&plan->settings, &before->settings);
}

/* On the generation's thread. */
static void on_end(struct app *app)
{
	remote_close_all();
	dump_end(app);
	lua_commands_end();
}

int serve_run(const struct serve *s, bool *ret_left_behind, int *ret_handles)
{
	const struct supervisor how = {
		.modules = s->modules,
		.make = make,
		.free = destroy,
		.on_reload = on_reload,
		.on_end = on_end,
		.on_quit = dump_begin,
		.arg = (void *)s,
		.argv = s->argv,
		.env = s->env,
	};
	struct plan *first = make((void *)s);

	if (first == NULL)
		return -1;
	return supervisor_run(&how, first, ret_left_behind, ret_handles);
}
