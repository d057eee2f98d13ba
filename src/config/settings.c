/* The settings of the process. See settings.h. */
#include "config/settings.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "config/values.h"

static const char *const log_levels[] = {
	"fatal", "syserror", "error", "crit", "warn",
	"info",  "verbose",  "debug", NULL,
};

static const char *const log_formats[] = { "plain", "json", NULL };

/* clang-format off */
const struct setting settings_table[SETTING_COUNT] = {
	[SETTING_LOG_LEVEL] = {
		"log.level", SETTING_CHOICE, "info",
		"NEAP_LOG_LEVEL", "--log-level", log_levels, "LEVEL",
		"drop log lines above this level",
	},
	[SETTING_LOG_FORMAT] = {
		"log.format", SETTING_CHOICE, "plain",
		"NEAP_LOG_FORMAT", "--log-format", log_formats, "FORMAT",
		"plain, or json: an object a line",
	},
	[SETTING_LOG_FILE] = {
		"log.file", SETTING_TEXT, NULL,
		"NEAP_LOG_FILE", "--log-file", NULL, "PATH",
		"append the log to this file, not to stderr",
	},
	[SETTING_WORKERS] = {
		"workers", SETTING_NUMBER, "1",
		"NEAP_WORKERS", "--workers", NULL, "COUNT",
		"threads that each run the script", 256,
	},
	[SETTING_DRAIN_TIMEOUT] = {
		"drain.timeout", SETTING_SECONDS, "30",
		"NEAP_DRAIN_TIMEOUT", "--drain-timeout", NULL, "SECONDS",
		"how long servers may finish their requests at the end",
	},
	[SETTING_CANCEL_TIMEOUT] = {
		"cancel.timeout", SETTING_SECONDS, "3",
		"NEAP_CANCEL_TIMEOUT", "--cancel-timeout", NULL, "SECONDS",
		"how long cancelled fibers and shutdown hooks may take",
	},
	[SETTING_START_TIMEOUT] = {
		"start.timeout", SETTING_SECONDS, "120",
		"NEAP_START_TIMEOUT", "--start-timeout", NULL, "SECONDS",
		"how long a reload or an upgrade may take to serve; 0: any time",
	},
	[SETTING_OFFLOAD_THREADS] = {
		"offload.threads", SETTING_NUMBER, "16",
		"NEAP_OFFLOAD_THREADS", "--offload-threads", NULL, "COUNT",
		"threads for calls of C functions off the loop", 1024,
	},
	[SETTING_OFFLOAD_QUEUE] = {
		"offload.queue", SETTING_NUMBER, "4096",
		"NEAP_OFFLOAD_QUEUE", "--offload-queue", NULL, "COUNT",
		"such calls that may wait for a thread", 1000000,
	},
	[SETTING_SLICE] = {
		"fiber.slice", SETTING_MILLISECONDS, "2",
		"NEAP_SLICE", "--slice", NULL, "MS",
		"a fiber that computes gives way after this; 0: never", 1000,
	},
	[SETTING_STALL] = {
		"fiber.stall", SETTING_MILLISECONDS, "100",
		"NEAP_STALL", "--stall", NULL, "MS",
		"log who keeps the others waiting for this; 0: never", 60000,
	},
	[SETTING_MEMORY] = {
		"memory.max", SETTING_SIZE, "0",
		"NEAP_MAX_MEMORY", "--max-memory", NULL, "SIZE",
		"limit of a Lua state: bytes, or with K, M, G; 0: none",
	},
	[SETTING_HISTORY] = {
		"console.history", SETTING_TEXT, NULL,
		"NEAP_HISTORY", NULL, NULL, "PATH",
		"the console's history; empty: none",
	},
	[SETTING_CONSOLE_INIT] = {
		"console.init", SETTING_TEXT, NULL,
		"NEAP_INIT", "--init", NULL, "FILE",
		"Lua that a console on a terminal runs first; empty: none",
	},
	[SETTING_CHECK_LEAKS] = {
		"check.leaks", SETTING_SWITCH, "0",
		"NEAP_CHECK_LEAKS", NULL, NULL, "0|1",
		"at the end, fail with code 3 if anything is left",
	},
};
/* clang-format on */

void settings_create(struct settings *s)
{
	memset(s, 0, sizeof *s);
}

void settings_destroy(struct settings *s)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		mem_free(s->values[i].text);
		s->values[i].text = NULL;
		s->values[i].origin = ORIGIN_DEFAULT;
	}
}

int settings_parse_switch(const char *text)
{
	static const char *const words[] = { "0",   "1",  "no",    "yes",
					     "off", "on", "false", "true" };

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(text, words[i]) == 0)
			return i % 2;
	}
	return -1;
}

enum { SECONDS_MAX = 1000000000 }; /* thirty years; nanoseconds fit */

/* A number of seconds, or milliseconds, or a duration with its unit: seconds. Returns a
 * negative number when it is none that @a t takes. */
static double parse_seconds(const struct setting *t, const char *text)
{
	double by = t->kind == SETTING_MILLISECONDS ? 1e3 : 1, v;
	double most = t->largest == 0 ? SECONDS_MAX : t->largest / by;
	char *end;

	if (*text != '\0' && strspn(text, "0123456789.") == strlen(text)) {
		v = strtod(text, &end) / by;
		if (*end != '\0')
			return -1;
	} else {
		v = config_duration(text);
	}
	return v <= most ? v : -1;
}

/* Returns 0 when it is not one that @a t takes. */
static unsigned parse_number(const struct setting *t, const char *text)
{
	unsigned long v;

	if (*text == '\0' || strlen(text) > 9 ||
	    strspn(text, "0123456789") != strlen(text))
		return 0;
	v = strtoul(text, NULL, 10);
	return v <= t->largest ? (unsigned)v : 0;
}

enum { SIZE_SHIFT_MAX = 44 }; /* 16 TiB, more than LuaJIT can use */

uint64_t settings_parse_size(const char *text)
{
	static const char suffixes[] = "kmg";
	size_t digits = strspn(text, "0123456789");
	const char *suffix = "";
	unsigned shift = 0;
	uint64_t v;

	if (digits == 0 || digits > 14)
		return UINT64_MAX;
	if (text[digits] != '\0') {
		suffix = strchr(suffixes, text[digits] | 0x20);
		if (suffix == NULL || text[digits + 1] != '\0')
			return UINT64_MAX;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	v = strtoull(text, NULL, 10);
	return v <= (UINT64_C(1) << SIZE_SHIFT_MAX) >> shift ? v << shift
							     : UINT64_MAX;
}

void settings_put_wanted(enum setting_id id, struct buf *b)
{
	const struct setting *t = &settings_table[id];

	switch (t->kind) {
	case SETTING_CHOICE:
		for (int i = 0; t->choices[i] != NULL; i++)
			buf_printf(b, "%s%s", i == 0 ? "one of " : ", ",
				   t->choices[i]);
		break;
	case SETTING_SECONDS:
		buf_puts(
			b,
			"a number of seconds, or a duration such as 500ms or 2m");
		break;
	case SETTING_MILLISECONDS:
		buf_printf(
			b,
			"a number of milliseconds up to %u, or a duration such "
			"as 500us or 1s",
			t->largest);
		break;
	case SETTING_SWITCH:
		buf_puts(b, "0 or 1");
		break;
	case SETTING_NUMBER:
		buf_printf(b, "a whole number from 1 to %u", t->largest);
		break;
	case SETTING_SIZE:
		buf_puts(b, "a size in bytes, such as 512K, 64M or 2G");
		break;
	case SETTING_TEXT:
		buf_puts(b, "a text");
		break;
	}
	buf_putc(b, '\0');
}

bool settings_take(enum setting_id id, const char *text)
{
	const struct setting *t = &settings_table[id];

	switch (t->kind) {
	case SETTING_CHOICE:
		for (int i = 0; t->choices[i] != NULL; i++) {
			if (strcmp(t->choices[i], text) == 0)
				return true;
		}
		return false;
	case SETTING_SECONDS:
	case SETTING_MILLISECONDS:
		return parse_seconds(t, text) >= 0;
	case SETTING_SWITCH:
		return settings_parse_switch(text) >= 0;
	case SETTING_NUMBER:
		return parse_number(t, text) > 0;
	case SETTING_SIZE:
		return settings_parse_size(text) != UINT64_MAX;
	case SETTING_TEXT:
		return true;
	}
	return false;
}

int settings_set(struct settings *s, enum setting_id id, const char *text,
		 enum setting_origin origin)
{
	const struct setting *t = &settings_table[id];
	struct buf wanted = { 0 };
	char *copy;

	if (!settings_take(id, text)) {
		settings_put_wanted(id, &wanted);
		diag_set(IllegalParams, "%s: '%s' is not %s",
			 origin == ORIGIN_ENV    ? t->env
			 : origin == ORIGIN_FLAG ? t->flag
						 : t->name,
			 text, wanted.data == NULL ? "valid" : wanted.data);
		buf_destroy(&wanted);
		return -1;
	}
	if (origin < s->values[id].origin)
		return 0;
	copy = mem_strdup(text);
	if (copy == NULL) {
		diag_set_oom(strlen(text), t->name);
		return -1;
	}
	mem_free(s->values[id].text);
	s->values[id].text = copy;
	s->values[id].origin = origin;
	return 0;
}

int settings_read_env(struct settings *s)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		const char *text = settings_table[i].env == NULL
					   ? NULL
					   : getenv(settings_table[i].env);

		/* Set to nothing is not set, but where a text may be empty. */
		if (text == NULL ||
		    (*text == '\0' && settings_table[i].kind != SETTING_TEXT))
			continue;
		if (settings_set(s, i, text, ORIGIN_ENV) != 0)
			return -1;
	}
	return 0;
}

int settings_find_flag(const char *flag, size_t size)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		const char *known = settings_table[i].flag;

		if (known != NULL && strlen(known) == size &&
		    memcmp(known, flag, size) == 0)
			return i;
	}
	return -1;
}

const char *settings_text(const struct settings *s, enum setting_id id)
{
	if (s->values[id].text != NULL)
		return s->values[id].text;
	return settings_table[id].fallback;
}

double settings_seconds(const struct settings *s, enum setting_id id)
{
	const struct setting *t = &settings_table[id];

	assert(t->kind == SETTING_SECONDS || t->kind == SETTING_MILLISECONDS);
	return parse_seconds(t, settings_text(s, id));
}

unsigned settings_number(const struct settings *s, enum setting_id id)
{
	assert(settings_table[id].kind == SETTING_NUMBER);
	return parse_number(&settings_table[id], settings_text(s, id));
}

uint64_t settings_size(const struct settings *s, enum setting_id id)
{
	assert(settings_table[id].kind == SETTING_SIZE);
	return settings_parse_size(settings_text(s, id));
}

bool settings_switch(const struct settings *s, enum setting_id id)
{
	assert(settings_table[id].kind == SETTING_SWITCH);
	return settings_parse_switch(settings_text(s, id)) == 1;
}

const char *settings_origin(const struct settings *s, enum setting_id id)
{
	static const char *const names[] = {
		[ORIGIN_DEFAULT] = "default",
		[ORIGIN_FILE] = "file",
		[ORIGIN_ENV] = "environment",
		[ORIGIN_FLAG] = "flag",
	};

	return names[s->values[id].origin];
}
