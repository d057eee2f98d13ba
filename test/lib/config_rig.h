/*
 * For tests of configurations: a text is written as c.yaml and loaded, for which the
 * settings of the process are made anew.
 */
#pragma once

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "config/config.h"
#include "config/schema.h"

static struct settings settings;

static inline void write_bytes(const char *text, size_t size)
{
	FILE *file = fopen("c.yaml", "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static inline struct config *load(const char *text)
{
	write_bytes(text, strlen(text));
	settings_destroy(&settings);
	return config_load("c.yaml", &settings);
}

static inline struct config *good(const char *text)
{
	struct config *c = load(text);

	if (c == NULL)
		fail_msg("%s", diag_last()->message);
	return c;
}

static inline void refused(const char *text, const char *message)
{
	struct config *c = load(text);
	struct error *e;

	if (c != NULL)
		fail_msg("not refused: %s", text);
	e = diag_take();
	assert_string_equal(e->message, message);
	assert_ptr_equal(e->type, &ClientError);
	error_unref(e);
}

static inline const struct config_node *at(const struct config *c,
					   const char *names)
{
	const struct config_node *n = config_at(config_root(c), names);

	if (n == NULL)
		fail_msg("there is no %s", names);
	return n;
}

static inline void is_at(const struct config_node *n, unsigned line,
			 unsigned column)
{
	assert_int_equal(n->place.line, line);
	assert_int_equal(n->place.column, column);
}

/* All of @a tests, in an environment that says nothing about listeners. */
#define config_rig_run(tests) \
	(config_rig_begin(),  \
	 config_rig_end(cmocka_run_group_tests(tests, NULL, NULL)))

static inline void config_rig_begin(void)
{
	unsetenv("PORT");
	unsetenv("NEAP_LISTEN");
	settings_create(&settings);
}

static inline int config_rig_end(int rc)
{
	settings_destroy(&settings);
	return rc;
}
