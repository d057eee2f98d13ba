/* Admin commands of the process as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "app/app.h"
#include "app/process_info.h"
#include "app/worker.h"
#include "base/buf.h"
#include "base/environment.h"
#include "base/log.h"
#include "config/settings.h"
#include "console/admin_commands.h"
#include "runtime/pool.h"
#include "versions.h"

/* --- show env --- */

struct env {
	struct buf entries; /* texts with their zeros; only those wanted */
	const char *name;   /* NULL: all */
	size_t at;
	bool failed;
};

static void collect_entry(const char *entry, void *arg)
{
	struct env *e = arg;
	size_t size = strcspn(entry, "=");

	if (e->name != NULL &&
	    (strlen(e->name) != size || memcmp(e->name, entry, size) != 0))
		return;
	if (buf_append(&e->entries, entry, strlen(entry) + 1) != 0)
		e->failed = true;
}

/* A copy: others may change the environment meanwhile. */
static int begin_env(struct admin_run *run)
{
	struct env *e = admin_context(run);
	const struct admin_value *name = admin_arg(run, 0);

	e->name = name->given ? name->text : NULL;
	environment_each(collect_entry, e);
	if (!e->failed)
		return 0;
	buf_destroy(&e->entries);
	admin_fail(run, "no memory for a copy of the environment");
	return -1;
}

static enum admin_step next_variable(struct admin_run *run,
				     struct admin_cell *cells)
{
	struct env *e = admin_context(run);
	const char *text = e->entries.data + e->at;

	if (e->at == e->entries.size)
		return ADMIN_DONE;
	e->at += strlen(text) + 1;
	cells[0] = admin_text(text);
	return ADMIN_MORE;
}

static void end_env(struct admin_run *run)
{
	struct env *e = admin_context(run);

	buf_destroy(&e->entries);
}

static const struct admin_column env_columns[] = {
	{ "variable", ADMIN_TEXT, -8, "NAME=VALUE" },
	{ .name = NULL },
};

static const struct admin_arg env_args[] = {
	{ "name", ADMIN_TEXT, true, NULL, "of one variable" },
	{ .name = NULL },
};

static const struct admin_command show_env = {
	.words = "show env",
	.level = ADMIN_OPERATOR,
	.help = "the environment",
	.args = env_args,
	.columns = env_columns,
	.context = ADMIN_CONTEXT(struct env),
	.parse = begin_env,
	.release = end_env,
	.next = next_variable,
};

/* --- show version, show libs --- */

struct nth {
	unsigned next;
};

struct part {
	const char *name, *version, *licence, *origin;
};

static const struct part parts[] = {
#define X(name, version, licence, origin) { name, version, licence, origin },
	NEAP_PARTS(X)
#undef X
};

static enum admin_step next_part(struct admin_run *run,
				 struct admin_cell *cells)
{
	struct nth *n = admin_context(run);
	const struct part *p = &parts[n->next++];

	if (p == parts + sizeof(parts) / sizeof(parts[0]))
		return ADMIN_DONE;
	cells[0] = admin_text(p->name);
	cells[1] = admin_text(p->version);
	cells[2] = admin_text(p->licence);
	cells[3] = admin_text(p->origin);
	return ADMIN_MORE;
}

static const struct admin_column lib_columns[] = {
	{ "name", ADMIN_TEXT, -12, "of the outside part", true },
	{ "version", ADMIN_TEXT, -26, "that neap was built with", true },
	{ "licence", ADMIN_TEXT, -14, "SPDX", true },
	{ "origin", ADMIN_TEXT, -20, "where it came from", true },
	{ .name = NULL },
};

static const struct admin_command show_libs = {
	.words = "show libs",
	.help = "the libraries that neap was built with",
	.columns = lib_columns,
	.context = ADMIN_CONTEXT(struct nth),
	.next = next_part,
};

static enum admin_step next_version(struct admin_run *run,
				    struct admin_cell *cells)
{
	struct nth *n = admin_context(run);

	if (n->next++ > 0)
		return ADMIN_DONE;
	cells[0] = admin_text("neap");
	cells[1] = admin_text(NEAP_VERSION);
	cells[2] = admin_text(NEAP_BUILD);
	cells[3] = admin_text(NEAP_COMPILER);
	return ADMIN_MORE;
}

static const struct admin_column version_columns[] = {
	{ "name", ADMIN_TEXT, 0, "of the program", true },
	{ "version", ADMIN_TEXT, 0, "of it", true },
	{ "build", ADMIN_TEXT, 0, "how it was built", true },
	{ "compiler", ADMIN_TEXT, 0, "and by what", true },
	{ .name = NULL },
};

static const struct admin_command show_version = {
	.words = "show version",
	.help = "the version, and how it was built",
	.columns = version_columns,
	.single = true,
	.context = ADMIN_CONTEXT(struct nth),
	.next = next_version,
};

/* --- show info --- */

static struct admin_cell known(double number)
{
	return number < 0 ? admin_text(NULL) : admin_number(number);
}

struct info {
	bool told;
	char taints[TAINT_TEXT];
};

static enum admin_step next_info(struct admin_run *run,
				 struct admin_cell *cells)
{
	struct info *told = admin_context(run);
	struct process_info info;

	if (told->told)
		return ADMIN_DONE;
	told->told = true;
	taint_text(told->taints);
	info = process_info(admin_worker(run)->app);
	cells[0] = admin_text(NEAP_VERSION);
	cells[1] = admin_number(info.pid);
	cells[2] = admin_number(info.uptime);
	cells[3] = admin_number(info.workers);
	cells[4] = known(info.memory);
	cells[5] = admin_number(info.memory_peak);
	cells[6] = known(info.descriptors);
	cells[7] = known(info.descriptors_limit);
	cells[8] = admin_number(info.cpu_user);
	cells[9] = admin_number(info.cpu_system);
	cells[10] = admin_number(info.switches);
	cells[11] = admin_number(info.switches_forced);
	cells[12] = admin_number(info.log_lost);
	cells[13] = admin_number(info.ending);
	cells[14] = admin_number(taint_is_any());
	cells[15] = admin_text(told->taints);
	return ADMIN_MORE;
}

static const struct admin_column info_columns[] = {
	{ "version", ADMIN_TEXT, 0, "of neap", true },
	{ "pid", ADMIN_NUMBER, 0, "of the process" },
	{ "uptime", ADMIN_SECONDS, 0, "since the start" },
	{ "workers", ADMIN_NUMBER, 0, "threads that serve" },
	{ "memory", ADMIN_BYTES, 0, "resident" },
	{ "memory_peak", ADMIN_BYTES, 0, "the most that was" },
	{ "descriptors", ADMIN_NUMBER, 0, "open" },
	{ "descriptors_limit", ADMIN_NUMBER, 0, "ulimit -n" },
	{ "cpu_user", ADMIN_SECONDS, 0, "of all threads, in the program", false,
	  ADMIN_GROWS },
	{ "cpu_system", ADMIN_SECONDS, 0, "and in the kernel", false,
	  ADMIN_GROWS },
	{ "switches", ADMIN_COUNTER, 0, "of threads, that waited" },
	{ "switches_forced", ADMIN_COUNTER, 0, "of threads, by the kernel" },
	{ "log_lost", ADMIN_COUNTER, 0, "lines that could not be written" },
	{ "ending", ADMIN_FLAG, 0, "the process has been told to end" },
	{ "tainted", ADMIN_FLAG, 0,
	  "something was done to it that may explain what it does" },
	{ "taints", ADMIN_TEXT, 0, "what: names with commas between", true },
	{ .name = NULL },
};

static const struct admin_command show_info = {
	.words = "show info",
	.help = "the process: age, memory, descriptors, CPU time, what was done to it",
	.columns = info_columns,
	.single = true,
	.context = ADMIN_CONTEXT(struct info),
	.next = next_info,
};

/* --- show config --- */

static enum admin_step next_setting(struct admin_run *run,
				    struct admin_cell *cells)
{
	struct nth *n = admin_context(run);
	const struct settings *s = admin_worker(run)->app->settings;
	unsigned id = n->next++;

	if (id == SETTING_COUNT)
		return ADMIN_DONE;
	cells[0] = admin_text(settings_table[id].name);
	cells[1] = admin_text(settings_text(s, (enum setting_id)id));
	cells[2] = admin_text(settings_origin(s, (enum setting_id)id));
	cells[3] = admin_text(settings_table[id].help);
	return ADMIN_MORE;
}

static const struct admin_column config_columns[] = {
	{ "name", ADMIN_TEXT, -18, "of the setting", true },
	{ "value", ADMIN_TEXT, -12, "as it was given" },
	{ "origin", ADMIN_TEXT, -12, "where that came from", true },
	{ "help", ADMIN_TEXT, -20, "what it is", true },
	{ .name = NULL },
};

static const struct admin_command show_config = {
	.words = "show config",
	.level = ADMIN_OPERATOR,
	.help = "the settings, and where each came from",
	.columns = config_columns,
	.context = ADMIN_CONTEXT(struct nth),
	.next = next_setting,
};

/* --- show pools --- */

static enum admin_step next_pool(struct admin_run *run,
				 struct admin_cell *cells)
{
	struct nth *n = admin_context(run);
	struct pool_limits limits = pool_get_limits();

	if (n->next++ > 0)
		return ADMIN_DONE;
	cells[0] = admin_text("offload");
	cells[1] = admin_number(pool_threads());
	cells[2] = admin_number(limits.threads);
	cells[3] = admin_number(pool_queued());
	cells[4] = admin_number(limits.queue);
	return ADMIN_MORE;
}

static const struct admin_column pool_columns[] = {
	{ "pool", ADMIN_TEXT, -10, "of threads for what blocks", true,
	  ADMIN_LABEL },
	{ "threads", ADMIN_NUMBER, 8, "alive" },
	{ "threads_limit", ADMIN_NUMBER, 13, "at once" },
	{ "queued", ADMIN_NUMBER, 8, "jobs that wait for a thread" },
	{ "queue_limit", ADMIN_NUMBER, 11, "of those" },
	{ .name = NULL },
};

static const struct admin_command show_pools = {
	.words = "show pools",
	.help = "the threads for work off the loop",
	.columns = pool_columns,
	.context = ADMIN_CONTEXT(struct nth),
	.next = next_pool,
};

/* --- set log level --- */

static int parse_log_level(struct admin_run *run)
{
	log_set_level((enum log_level)log_level_parse(admin_arg(run, 0)->text));
	return 0;
}

static const struct admin_arg log_level_args[] = {
	{ "level", ADMIN_TEXT, false,
	  "fatal|syserror|error|crit|warn|info|verbose|debug",
	  "the least important that is" },
	{ .name = NULL },
};

static const struct admin_command set_log_level = {
	.words = "set log level",
	.level = ADMIN_ADMIN,
	.help = "what is logged from now on, by all workers",
	.args = log_level_args,
	.parse = parse_log_level,
};

const struct admin_command *const admin_commands_process[] = {
	&show_env,    &show_libs,     &show_version, &show_info,
	&show_config, &set_log_level, &show_pools,   NULL,
};
