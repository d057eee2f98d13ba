/*
 * What may stand in a configuration: declared in server_schema.c, checked by
 * check.c, explained in doc/reference/server.yaml.md.
 */
#pragma once

#include "config/settings.h"

enum schema_kind {
	SCHEMA_TEXT,
	SCHEMA_NAME,       /* a text that is not empty */
	SCHEMA_EXPRESSION, /* texts that others compile */
	SCHEMA_CONDITION,
	SCHEMA_TEMPLATE,
	SCHEMA_CHOICE,
	SCHEMA_SWITCH,
	SCHEMA_NUMBER, /* whole, from min to max */
	SCHEMA_DURATION,
	SCHEMA_SIZE,
	SCHEMA_PATH,    /* relative to the file's folder */
	SCHEMA_PATTERN, /* such a one of package.path */
	SCHEMA_ADDRESS,
	SCHEMA_MODE,
	SCHEMA_SECRET_FILE, /* becomes the name without _file: its first line */
	SCHEMA_SETTING,     /* as a row of settings_table */
	SCHEMA_LIST,        /* of fields[0] */
	SCHEMA_NAMES,       /* any names, each with a fields[0] */
	SCHEMA_MAP,
	SCHEMA_RULE, /* a map with one name of SCHEMA_ACTION */
};

enum {
	SCHEMA_REQUIRED = 1 << 0,
	SCHEMA_SECRET = 1 << 1,
	SCHEMA_ALONE = 1 << 2, /* a list of one may be written without it */
	SCHEMA_FILL = 1 << 3,  /* a map that is there with its defaults */
	SCHEMA_AS_WRITTEN = 1 << 4,
	/* ^ from here on down nothing is put in: no defaults, no lists of one */
	SCHEMA_ACTION = 1 << 5,    /* of a rule */
	SCHEMA_WITH_ARGS = 1 << 6, /* an action that takes `args` */
	SCHEMA_REQUEST = 1 << 7,   /* such rules stand in `rules`, .. */
	SCHEMA_RESPONSE = 1 << 8,  /* .. `response_rules` */
};

struct schema {
	const char *name; /* NULL: the end */
	enum schema_kind kind;
	unsigned flags;
	const char *help;
	const char *fallback; /* the default, as it is written */
	const char *env;      /* what wins over the file, in words */
	const struct schema *fields;
	const char *brief;          /* of a map: one that is not written as a
				       map is the value of this name */
	const char *const *choices; /* ends with NULL */
	double min, max;
	enum setting_id setting;
};

/** All of it: a map. */
extern const struct schema server_schema;
