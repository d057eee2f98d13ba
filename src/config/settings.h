/*
 * The settings of the process: one table says for each its name, kind, default,
 * environment variable and command line flag. A flag wins over the
 * environment, which wins over the configuration's file, which wins over the
 * default; where a value came from is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum setting_id {
	SETTING_LOG_LEVEL,
	SETTING_LOG_FORMAT,
	SETTING_LOG_FILE,
	SETTING_WORKERS,
	SETTING_DRAIN_TIMEOUT,
	SETTING_CANCEL_TIMEOUT,
	SETTING_START_TIMEOUT,
	SETTING_OFFLOAD_THREADS,
	SETTING_OFFLOAD_QUEUE,
	SETTING_SLICE,
	SETTING_STALL,
	SETTING_MEMORY,
	SETTING_HISTORY,
	SETTING_CONSOLE_INIT,
	SETTING_CHECK_LEAKS,
	SETTING_COUNT,
};

enum setting_kind {
	SETTING_TEXT,
	SETTING_CHOICE,       /* one of a few words */
	SETTING_SECONDS,      /* a number, not negative */
	SETTING_MILLISECONDS, /* the same; up to its largest */
	SETTING_SWITCH,       /* 0 or 1, in words too */
	SETTING_NUMBER,       /* whole, from 1 to its largest */
	SETTING_SIZE,         /* bytes; K, M and G multiply */
};

/** Where a value came from; the larger wins. */
enum setting_origin {
	ORIGIN_DEFAULT,
	ORIGIN_FILE, /* of the configuration */
	ORIGIN_ENV,
	ORIGIN_FLAG,
};

/** A row of the table. */
struct setting {
	const char *name; /* "log.level" */
	enum setting_kind kind;
	const char *fallback;       /* the default, as text; NULL: none */
	const char *env;            /* NULL: none */
	const char *flag;           /* long flag with its dashes; NULL: none */
	const char *const *choices; /* of a SETTING_CHOICE; ends with NULL */
	const char *value_name;     /* for the help: "LEVEL" */
	const char *help;
	unsigned largest; /* of a SETTING_NUMBER, SETTING_MILLISECONDS */
};

extern const struct setting settings_table[SETTING_COUNT];

/** The values in force. */
struct settings {
	struct {
		char *text; /* NULL: the default */
		enum setting_origin origin;
	} values[SETTING_COUNT];
};

/** All defaults. */
void settings_create(struct settings *s);
void settings_destroy(struct settings *s);

/**
 * Set @a id unless a stronger origin has. Returns 0, or -1 with diag set
 * (IllegalParams: the message names the flag or variable and what it takes).
 */
int settings_set(struct settings *s, enum setting_id id, const char *text,
		 enum setting_origin origin);

/** Does @a id take @a text? */
bool settings_take(enum setting_id id, const char *text);

/** Append what @a id takes, in words, and a zero byte. */
void settings_put_wanted(enum setting_id id, struct buf *b);

/** Take what the environment says. As settings_set(). */
int settings_read_env(struct settings *s);

/** The setting with this flag ("--log-level"; @a size bytes), or -1. */
int settings_find_flag(const char *flag, size_t size);

/** The value as text; NULL: none. Valid until it is set again. */
const char *settings_text(const struct settings *s, enum setting_id id);

/** Values by their kind; a wrong kind is the caller's bug. */
/** Also of milliseconds, as seconds. */
double settings_seconds(const struct settings *s, enum setting_id id);
unsigned settings_number(const struct settings *s, enum setting_id id);
uint64_t settings_size(const struct settings *s, enum setting_id id);
bool settings_switch(const struct settings *s, enum setting_id id);

/** How values are written: 0 or 1, -1 for what is no switch; bytes, UINT64_MAX
 * for what is no size. */
int settings_parse_switch(const char *text);
uint64_t settings_parse_size(const char *text);

/** "default", "file", "environment" or "flag". */
const char *settings_origin(const struct settings *s, enum setting_id id);
