/* Settings of the process as a whole. See process.h. */
#include "main/process.h"

#include <string.h>

#include "base/diag.h"
#include "base/log.h"
#include "config/settings.h"
#include "runtime/pool.h"

static void set_level(const struct settings *s)
{
	log_set_level(log_level_parse(settings_text(s, SETTING_LOG_LEVEL)));
}

static void set_format(const struct settings *s)
{
	bool json = strcmp(settings_text(s, SETTING_LOG_FORMAT), "json") == 0;

	log_set_format(json ? LOG_JSON : LOG_PLAIN);
}

static void limit_pool(const struct settings *s)
{
	struct pool_limits limits = pool_get_limits();

	limits.threads = settings_number(s, SETTING_OFFLOAD_THREADS);
	limits.queue = settings_number(s, SETTING_OFFLOAD_QUEUE);
	pool_set_limits(&limits);
}

int process_configure(const struct settings *settings, bool checks)
{
	set_level(settings);
	set_format(settings);
	limit_pool(settings);
	return log_open(checks ? NULL
			       : settings_text(settings, SETTING_LOG_FILE));
}

static bool differs(const struct settings *settings,
		    const struct settings *before, enum setting_id id)
{
	const char *now = settings_text(settings, id);
	const char *then = settings_text(before, id);

	return now == NULL || then == NULL ? now != then
					   : strcmp(now, then) != 0;
}

void process_reconfigure(const struct settings *settings,
			 const struct settings *before)
{
	struct error *e;

	if (differs(settings, before, SETTING_LOG_LEVEL))
		set_level(settings);
	if (differs(settings, before, SETTING_LOG_FORMAT))
		set_format(settings);
	if (differs(settings, before, SETTING_OFFLOAD_THREADS) ||
	    differs(settings, before, SETTING_OFFLOAD_QUEUE))
		limit_pool(settings);
	if (!differs(settings, before, SETTING_LOG_FILE) ||
	    log_open(settings_text(settings, SETTING_LOG_FILE)) == 0)
		return;
	e = diag_take();
	log_error("reload: the log goes on where it was: %s", e->message);
	error_unref(e);
}
