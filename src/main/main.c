/* Start-up order, and its reverse. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/report.h"
#include "app/upgrade.h"
#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "cmod/crash.h"
#include "cmod/isolate_child.h"
#include "config/config.h"
#include "config/explain.h"
#include "config/settings.h"
#include "config/show.h"
#include "console/console_module.h"
#include "console/dump.h"
#include "console/lua_command.h"
#include "console/remote.h"
#include "console/repl.h"
#include "lua/lua_state.h"
#include "main/leaks.h"
#include "main/module_command.h"
#include "main/options.h"
#include "main/process.h"
#include "main/reload_command.h"
#include "main/script_files.h"
#include "main/serve.h"
#include "main/version.h"
#include "net/inherit.h"
#include "runtime/notify.h"
#include "runtime/pool.h"

enum { EXIT_USAGE = 2, EXIT_LEAK = 3 };

/* Tell the error in the diag, and give back the exit code for it. */
static int fail(int code)
{
	struct error *e = diag_take();

	fprintf(stderr, "neap: %s\n", e->message);
	upgrade_say_failed(e->message);
	if (code == EXIT_USAGE)
		fputs("Try 'neap --help'.\n", stderr);
	error_unref(e);
	return code;
}

/* A descriptor opened later must not become standard output. */
static void open_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* The parts below open what they need at their start, and not all of them
 * tell of a failure. */
static int check_descriptors(void)
{
	enum { WANTED = 12 };
	int fds[WANTED], n = 0, rc;

	while (n < WANTED && (fds[n] = dup(STDERR_FILENO)) >= 0)
		n++;
	rc = n == WANTED ? 0 : errno;
	while (n > 0)
		close(fds[--n]);
	if (rc == 0)
		return 0;
	diag_set_system(rc, "cannot open %d descriptors (ulimit -n)", WANTED);
	return -1;
}

/* Standard input can be read once. */
static int check_workers(const struct options *o, char **argv,
			 const struct settings *settings)
{
	unsigned count = settings_number(settings, SETTING_WORKERS);

	if (count == 1 || o->script == 0 || strcmp(argv[o->script], "-") != 0)
		return 0;
	diag_set(IllegalParams,
		 "a script from standard input cannot run in "
		 "%u workers: put it into a file",
		 count);
	return -1;
}

static bool reader_is_gone(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

/* What was printed must have arrived, now and before; a reader that left is no
 * error. */
static int flush_output(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return 0;
	if (errno == EPIPE || reader_is_gone(STDOUT_FILENO))
		return 0;
	/* Of a failure from before only the fact is known. */
	fprintf(stderr, "neap: standard output: %s\n",
		errno != 0 ? strerror(errno) : "not all could be written");
	return -1;
}

/* Steps of @a o without the files to load. */
static struct app_step *steps_of(const struct options *o, int *ret_count)
{
	static const enum app_step_kind kinds[] = {
		[OPTION_EVAL] = APP_STEP_EVAL,
		[OPTION_REQUIRE] = APP_STEP_REQUIRE,
		[OPTION_JIT] = APP_STEP_JIT,
	};
	struct app_step *steps = mem_alloc((o->step_count + 2) * sizeof *steps);

	if (steps == NULL) {
		diag_set_oom(o->step_count * sizeof *steps, "the command line");
		return NULL;
	}
	*ret_count = 0;
	for (int i = 0; i < o->step_count; i++) {
		enum option_kind kind = o->steps[i].kind;

		if (kind == OPTION_LOAD || kind == OPTION_LOAD_PER_THREAD)
			continue;
		steps[(*ret_count)++] =
			(struct app_step){ kinds[kind], o->steps[i].text };
	}
	return steps;
}

static void on_work_stuck(const char *what, void *arg)
{
	const struct settings *settings = arg;

	log_error("%s does not end: the process leaves it after %g s", what,
		  settings_seconds(settings, SETTING_CANCEL_TIMEOUT));
}

/* Wait for work on other threads. Returns false when some does not end. */
static bool stop_pool(const struct settings *settings)
{
	double seconds = settings_seconds(settings, SETTING_CANCEL_TIMEOUT);

	return pool_stop((uint64_t)(seconds * 1e9), on_work_stuck,
			 (void *)settings) == 0;
}

/* Leave at once: nothing may be torn down under threads that run on, and one of
 * them may hold a stream for ever. */
static void leave(int code)
{
	if (ftrylockfile(stdout) == 0)
		fflush_unlocked(stdout);
	_exit(code);
}

static void on_repl_left(struct repl *repl, void *arg)
{
	(void)repl;
	app_end(arg, APP_END_CONSOLE);
}

/* The console, when it was asked for, opens after the script. */
static void open_console(struct app *app, void *arg)
{
	struct worker *w = &app->workers[0];
	const struct options *o = arg;
	struct error *e;

	if (repl_start(w,
		       o->quiet || o->connect > 0 ? NULL : version_greeting(),
		       on_repl_left, app) != NULL)
		return;
	e = diag_take();
	report_error(w, e->message);
	error_unref(e);
	w->main_failed = true;
	app_end(app, APP_END_FAILED);
}

/* A check that was cut short has found nothing wrong, but has not found all right
 * either. */
static int check_code(const struct app *app, const struct config *config,
		      int code)
{
	enum app_end why = app_end_reason(app);

	if (why == APP_END_CHECKED || why == APP_END_FAILED)
		return code;
	fprintf(stderr, "%s: %s has ended the check\n", config_path(config),
		why == APP_END_EXIT ? "os.exit() in a script" : "a signal");
	return 1;
}

static bool opens_console(const struct options *o)
{
	return o->interactive || (o->reload == 0 && o->script == 0 &&
				  o->config == 0 && !o->has_eval);
}

/* What is wrong with a configuration has its places before it. */
static int fail_config(void)
{
	struct error *e = diag_take();

	fprintf(stderr, "%s%s\n",
		e->type == &ClientError ? "" : "neap: ", e->message);
	upgrade_say_failed(e->message);
	error_unref(e);
	return 1;
}

static const struct lua_module *const modules[] = {
	&console_module,
	&consoles_module,
	NULL,
};

/* What is to be closed behind everything else. Returns the exit code. */
static int finish(int code, struct leaks *leaks, int handles,
		  const struct settings *settings)
{
	leaks_set_handles(leaks, handles);
	if (!stop_pool(settings))
		leave(code);
	if (flush_output() != 0 && code == 0)
		code = 1;
	if (settings_switch(settings, SETTING_CHECK_LEAKS) &&
	    leaks_report(leaks) != 0)
		code = EXIT_LEAK;
#ifndef NDEBUG
	if (leaks->handles != 0 && code == 0)
		code = 1;
#endif
	return code;
}

/* A copy of the environment as it is now. NULL with diag set: no memory. */
static char **copy_environment(void)
{
	size_t count = 0, size = 0;
	char **copy, *p;

	for (; environ[count] != NULL; count++)
		size += strlen(environ[count]) + 1;
	copy = mem_alloc((count + 1) * sizeof *copy + size);
	if (copy == NULL) {
		diag_set_oom(size, "the environment");
		return NULL;
	}
	p = (char *)(copy + count + 1);
	for (size_t i = 0; i < count; i++) {
		copy[i] = p;
		p = stpcpy(p, environ[i]) + 1;
	}
	copy[count] = NULL;
	return copy;
}

/* The server of a configuration, through its reloads. */
static int serve(const struct options *o, int argc, char **argv,
		 const struct settings *settings)
{
	struct serve s = {
		.options = o, .argc = argc, .argv = argv, .modules = modules
	};
	struct app_step *steps = steps_of(o, &s.step_count);
	bool left_behind = false;
	struct leaks leaks;
	int handles = 0, code;

	if (steps == NULL)
		return fail(1);
	s.steps = steps;
	s.env = copy_environment();
	if (s.env == NULL) {
		mem_free(steps);
		return fail(1);
	}
	notify_start();
	leaks_note(&leaks);
	repl_set_locale();
	code = serve_run(&s, &left_behind, &handles);
	if (left_behind)
		leave(code);
	code = code < 0 ? fail_config()
			: finish(code, &leaks, handles, settings);
	mem_free(s.env);
	mem_free(steps);
	return code;
}

/* What is run to speak with another program, if that is wanted. Returns 0 or -1. */
static int put_client(const struct options *o, char **argv,
		      const struct config *config, struct buf *text)
{
	if (o->reload > 0)
		return reload_put_text(o, argv[o->reload], config, text);
	if (o->connect == 0)
		return 0;
	return buf_printf(text, "require('console')._connect_command(%d, %s)%c",
			  o->connect, isatty(STDIN_FILENO) ? "true" : "false",
			  '\0');
}

static int run(const struct options *o, int argc, char **argv,
	       const struct settings *settings, struct config *config)
{
	struct app_script script = {
		.argc = argc,
		.argv = argv,
		.script = o->config > 0 ? o->config : o->script,
		.config = o->reload > 0 ? NULL : config,
		.opener = "neap.consoles",
		.check_only = o->config_use == OPTION_CONFIG_CHECK,
	};
	struct app_step *steps = steps_of(o, &script.step_count);
	struct script_files files = { 0 };
	struct leaks leaks;
	struct app app;
	struct buf connect = { 0 };
	int code = 1;

	if (steps == NULL ||
	    script_files_create(&files, &script, o, script.config) != 0) {
		code = fail(1);
		goto out;
	}
	script.steps = steps;
	if (put_client(o, argv, config, &connect) != 0) {
		code = fail(EXIT_USAGE);
		goto out;
	}
	leaks_note(&leaks);
	if (settings_number(settings, SETTING_WORKERS) > 1)
		repl_set_locale();
	if (app_create(&app, settings, modules, 0) != 0) {
		code = fail(1);
		goto out;
	}
	if (connect.size > 0)
		steps[script.step_count++] =
			(struct app_step){ APP_STEP_EVAL, connect.data };
	if (opens_console(o) && !script.check_only) {
		app.on_main_end = open_console;
		app.on_main_end_arg = (void *)o;
	}
	app.on_quit = dump_begin;
	code = app_run(&app, &script);
	if (script.check_only)
		code = check_code(&app, config, code);
	if (app.left_behind > 0)
		leave(code);
	repl_stop(repl_running());
	remote_close_all();
	dump_end(&app);
	lua_commands_end();
	code = finish(code, &leaks, app_destroy(&app), settings);
out:
	buf_destroy(&connect);
	script_files_destroy(&files);
	mem_free(steps);
	return code;
}

/* Its values; without one, what may stand there. */
static int show_config(const struct config *config, bool json)
{
	struct buf text = { 0 };
	int rc = config == NULL ? config_explain(&text)
				: config_show(config, json, &text);

	if (rc == 0)
		fwrite(text.data, 1, text.size, stdout);
	buf_destroy(&text);
	if (rc != 0)
		return fail(1);
	return flush_output() == 0 ? 0 : 1;
}

/* The script, the console or the server of @a config. */
static int start(const struct options *o, int argc, char **argv,
		 const struct settings *settings, struct config *config)
{
	bool checks = o->config_use == OPTION_CONFIG_CHECK;
	int code;

	if (check_workers(o, argv, settings) != 0)
		return fail(EXIT_USAGE);
	if (check_descriptors() != 0 ||
	    process_configure(settings, checks) != 0)
		return fail(1);
	if (!checks && o->reload == 0 && o->connect == 0 &&
	    inherit_read_given() != 0)
		return fail(1);
	code = o->config > 0 && !checks && !o->interactive && o->reload == 0
		       ? serve(o, argc, argv, settings)
		       : run(o, argc, argv, settings, config);
	inherit_end();
	if (checks && code == 0) {
		printf("%s: OK\n", config_path(config));
		code = flush_output() == 0 ? 0 : 1;
	}
	log_close();
	return code;
}

static int configure_and_run(const struct options *o, int argc, char **argv,
			     struct settings *settings)
{
	struct config *config = NULL;
	int code;

	if (o->help || o->version) {
		if (o->help)
			options_print_help(stdout);
		else
			version_print(stdout);
		return flush_output() == 0 ? 0 : 1;
	}
	if (o->module > 0) {
		code = module_command(argc - o->module - 1,
				      argv + o->module + 1);
		if (code != 0)
			return fail(code);
		return flush_output() == 0 ? 0 : 1;
	}
	if (o->config_use == OPTION_CONFIG_SCHEMA)
		return show_config(NULL, true);
	if (settings_read_env(settings) != 0)
		return fail(EXIT_USAGE);
	if (o->reload > 0) {
		code = reload_by_pid(o, argc, argv, settings, &config);
		if (code > 0)
			return fail(code);
		if (code == 0)
			return flush_output() == 0 ? 0 : 1;
	}
	if (o->config > 0) {
		config = config_load(argv[o->config], settings);
		if (config == NULL)
			return fail_config();
	}
	code = o->config_use == OPTION_CONFIG_SHOW
		       ? show_config(config, o->json)
		       : start(o, argc, argv, settings, config);
	config_unref(config);
	return code;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct options options;
	int code;

	if (isolate_is_child(argc, argv))
		return isolate_child_run();
	open_standard_files();
	crash_install();
	settings_create(&settings);
	if (upgrade_read_environment() != 0) {
		code = fail(1);
	} else if (options_parse(&options, argc, argv, &settings) != 0) {
		code = fail(EXIT_USAGE);
	} else {
		code = configure_and_run(&options, argc, argv, &settings);
		options_destroy(&options);
	}
	settings_destroy(&settings);
	return code;
}
