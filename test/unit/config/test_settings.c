/* Settings: kinds, precedence, messages. */
#include "unit.h"

#include <stdlib.h>

#include "base/diag.h"
#include "base/inject.h"
#include "config/settings.h"

static void assert_refused(int rc, const char *message)
{
	struct error *e;

	assert_int_equal(rc, -1);
	e = diag_take();
	assert_ptr_equal(e->type, &IllegalParams);
	assert_string_equal(e->message, message);
	error_unref(e);
}

static void test_defaults(void **state)
{
	struct settings s;

	(void)state;
	settings_create(&s);
	assert_string_equal(settings_text(&s, SETTING_LOG_LEVEL), "info");
	assert_null(settings_text(&s, SETTING_LOG_FILE));
	assert_true(settings_seconds(&s, SETTING_DRAIN_TIMEOUT) == 30);
	assert_false(settings_switch(&s, SETTING_CHECK_LEAKS));
	assert_string_equal(settings_origin(&s, SETTING_LOG_LEVEL), "default");
	/* Each default is valid itself, and has a name of its own. */
	for (int i = 0; i < SETTING_COUNT; i++) {
		const struct setting *t = &settings_table[i];

		assert_non_null(t->name);
		assert_non_null(t->help);
		if (t->fallback != NULL)
			assert_int_equal(settings_set(&s, i, t->fallback,
						      ORIGIN_FLAG),
					 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(t->name,
						settings_table[j].name);
	}
	settings_destroy(&s);
}

static void test_precedence(void **state)
{
	struct settings s;

	(void)state;
	settings_create(&s);
	assert_int_equal(
		settings_set(&s, SETTING_LOG_LEVEL, "debug", ORIGIN_FLAG), 0);
	setenv("NEAP_LOG_LEVEL", "warn", 1);
	setenv("NEAP_DRAIN_TIMEOUT", "1.5", 1);
	setenv("NEAP_CANCEL_TIMEOUT", "", 1);
	setenv("NEAP_HISTORY", "", 1);
	assert_int_equal(settings_read_env(&s), 0);
	assert_string_equal(settings_text(&s, SETTING_LOG_LEVEL), "debug");
	assert_string_equal(settings_origin(&s, SETTING_LOG_LEVEL), "flag");
	assert_true(settings_seconds(&s, SETTING_DRAIN_TIMEOUT) == 1.5);
	assert_string_equal(settings_origin(&s, SETTING_DRAIN_TIMEOUT),
			    "environment");
	/* Empty: not set for a number, a value for a text. */
	assert_true(settings_seconds(&s, SETTING_CANCEL_TIMEOUT) == 3);
	assert_string_equal(settings_text(&s, SETTING_HISTORY), "");
	/* The last flag counts. */
	assert_int_equal(
		settings_set(&s, SETTING_LOG_LEVEL, "error", ORIGIN_FLAG), 0);
	assert_string_equal(settings_text(&s, SETTING_LOG_LEVEL), "error");
	unsetenv("NEAP_LOG_LEVEL");
	setenv("NEAP_DRAIN_TIMEOUT", "2m", 1);
	setenv("NEAP_SLICE", "500us", 1);
	assert_int_equal(settings_read_env(&s), 0);
	assert_true(settings_seconds(&s, SETTING_DRAIN_TIMEOUT) == 120);
	assert_true(settings_seconds(&s, SETTING_SLICE) == 0.0005);
	setenv("NEAP_SLICE", "1001ms", 1);
	assert_int_equal(settings_read_env(&s), -1);
	unsetenv("NEAP_SLICE");
	unsetenv("NEAP_DRAIN_TIMEOUT");
	unsetenv("NEAP_CANCEL_TIMEOUT");
	unsetenv("NEAP_HISTORY");
	settings_destroy(&s);
}

static void test_refused(void **state)
{
	static const char *const no_seconds[] = {
		"",    "-1", "x",    "1x", "nan",  "inf",
		"1e5", ".",  "1..2", " 1", "0x10",
	};
	struct settings s;

	(void)state;
	settings_create(&s);
	assert_refused(settings_set(&s, SETTING_LOG_FORMAT, "xml", ORIGIN_FLAG),
		       "--log-format: 'xml' is not one of plain, json");
	setenv("NEAP_CHECK_LEAKS", "perhaps", 1);
	assert_refused(settings_read_env(&s),
		       "NEAP_CHECK_LEAKS: 'perhaps' is not 0 or 1");
	unsetenv("NEAP_CHECK_LEAKS");
	for (size_t i = 0; i < sizeof no_seconds / sizeof *no_seconds; i++) {
		assert_int_equal(settings_set(&s, SETTING_DRAIN_TIMEOUT,
					      no_seconds[i], ORIGIN_FLAG),
				 -1);
		error_unref(diag_take());
	}
	/* What was refused changes nothing. */
	assert_true(settings_seconds(&s, SETTING_DRAIN_TIMEOUT) == 30);
	settings_destroy(&s);
}

static void test_switch_words(void **state)
{
	static const char *const words[][2] = {
		{ "0", "1" },
		{ "no", "yes" },
		{ "off", "on" },
		{ "false", "true" },
	};
	struct settings s;

	(void)state;
	settings_create(&s);
	for (int i = 0; i < 4; i++) {
		for (int on = 0; on < 2; on++) {
			assert_int_equal(settings_set(&s, SETTING_CHECK_LEAKS,
						      words[i][on],
						      ORIGIN_FLAG),
					 0);
			assert_int_equal(
				settings_switch(&s, SETTING_CHECK_LEAKS), on);
		}
	}
	settings_destroy(&s);
}

static void test_flags(void **state)
{
	(void)state;
	assert_int_equal(settings_find_flag("--log-level", 11),
			 SETTING_LOG_LEVEL);
	assert_int_equal(settings_find_flag("--log-level=x", 11),
			 SETTING_LOG_LEVEL);
	assert_int_equal(settings_find_flag("--log-leve", 10), -1);
	assert_int_equal(settings_find_flag("--log-level", 0), -1);
}

static void test_no_memory(void **state)
{
	struct settings s;

	(void)state;
	settings_create(&s);
	if (inject_arm("malloc", 0, 1) != 0)
		skip();
	assert_int_equal(settings_set(&s, SETTING_LOG_FILE, "x", ORIGIN_FLAG),
			 -1);
	inject_reset();
	error_unref(diag_take());
	assert_null(settings_text(&s, SETTING_LOG_FILE));
	settings_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_switch_words),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
