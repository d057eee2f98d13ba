/* The command line. */
#include "unit.h"

#include "base/diag.h"
#include "config/settings.h"
#include "main/options.h"

enum { ARGS_MAX = 16 };

static struct settings settings;
static struct options o;

/* Parse "neap" and the arguments, which end with NULL. */
static int parse(const char *first, ...)
{
	static char *argv[ARGS_MAX];
	int argc = 1;
	va_list ap;

	argv[0] = "neap";
	va_start(ap, first);
	for (const char *a = first; a != NULL; a = va_arg(ap, const char *))
		argv[argc++] = (char *)a;
	va_end(ap);
	argv[argc] = NULL;
	return options_parse(&o, argc, argv, &settings);
}

static int setup(void **state)
{
	(void)state;
	settings_create(&settings);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	options_destroy(&o);
	settings_destroy(&settings);
	return 0;
}

static void assert_step(int i, enum option_kind kind, const char *text)
{
	assert_true(i < o.step_count);
	assert_int_equal(o.steps[i].kind, kind);
	assert_string_equal(o.steps[i].text, text);
}

static void assert_refused(int rc, const char *message)
{
	struct error *e;

	assert_int_equal(rc, -1);
	e = diag_take();
	assert_string_equal(e->message, message);
	error_unref(e);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL), 0);
	assert_int_equal(o.step_count, 0);
	assert_int_equal(o.script, 0);
	assert_false(o.interactive || o.version || o.help || o.quiet);
}

static void test_steps_in_order(void **state)
{
	(void)state;
	assert_int_equal(parse("-e", "a", "-lm", "--eval=b", "--require", "g=m",
			       "-j", "off", "-eXY", NULL),
			 0);
	assert_int_equal(o.step_count, 6);
	assert_step(0, OPTION_EVAL, "a");
	assert_step(1, OPTION_REQUIRE, "m");
	assert_step(2, OPTION_EVAL, "b");
	assert_step(3, OPTION_REQUIRE, "g=m");
	assert_step(4, OPTION_JIT, "off");
	assert_step(5, OPTION_EVAL, "XY");
	assert_true(o.has_eval);
}

static void test_grouped_letters(void **state)
{
	(void)state;
	assert_int_equal(parse("-iqe", "x", NULL), 0);
	assert_true(o.interactive && o.quiet);
	assert_step(0, OPTION_EVAL, "x");
	options_destroy(&o);
	assert_int_equal(parse("-ieval", NULL), 0);
	assert_step(0, OPTION_EVAL, "val");
}

/* What follows the script is the script's. */
static void test_script(void **state)
{
	(void)state;
	assert_int_equal(parse("-i", "app.lua", "-v", "--nosuch", "--", NULL),
			 0);
	assert_int_equal(o.script, 2);
	assert_false(o.version);
	options_destroy(&o);
	assert_int_equal(parse("-", "-v", NULL), 0);
	assert_int_equal(o.script, 1);
	options_destroy(&o);
	assert_int_equal(parse("--", "-v", NULL), 0);
	assert_int_equal(o.script, 2);
	assert_false(o.version);
	options_destroy(&o);
	assert_int_equal(parse("-i", "--", NULL), 0);
	assert_int_equal(o.script, 0);
	options_destroy(&o);
	/* Behind "--" nothing is a verb. */
	assert_int_equal(parse("--", "rocks", NULL), 0);
	assert_int_equal(o.script, 2);
	options_destroy(&o);
	assert_int_equal(parse("", NULL), 0);
	assert_int_equal(o.script, 1);
}

static void test_settings(void **state)
{
	(void)state;
	assert_int_equal(parse("--log-level", "debug", "--log-file=", "s.lua",
			       "--log-level", "fatal", NULL),
			 0);
	assert_string_equal(settings_text(&settings, SETTING_LOG_LEVEL),
			    "debug");
	assert_string_equal(settings_text(&settings, SETTING_LOG_FILE), "");
	assert_int_equal(o.script, 4);
}

static void test_configuration(void **state)
{
	(void)state;
	assert_int_equal(parse("-i", "a.yml", NULL), 0);
	assert_int_equal(o.config, 2);
	assert_int_equal(o.script, 0);
	assert_int_equal(o.config_use, OPTION_CONFIG_SERVE);
	options_destroy(&o);
	assert_int_equal(parse("--", "check.yaml", NULL), 0);
	assert_int_equal(o.config, 2);
	options_destroy(&o);
	assert_int_equal(parse("check", "any", NULL), 0);
	assert_int_equal(o.config, 2);
	assert_int_equal(o.config_use, OPTION_CONFIG_CHECK);
	options_destroy(&o);
	assert_int_equal(parse("config", "show", "--json", "x", NULL), 0);
	assert_int_equal(o.config, 4);
	assert_true(o.json);
	assert_int_equal(o.config_use, OPTION_CONFIG_SHOW);
	options_destroy(&o);
	assert_int_equal(parse("config", "schema", NULL), 0);
	assert_int_equal(o.config, 0);
	assert_int_equal(o.config_use, OPTION_CONFIG_SCHEMA);
	options_destroy(&o);
	assert_int_equal(parse("./check", "x", NULL), 0);
	assert_int_equal(o.script, 1);
}

static void test_refused(void **state)
{
	(void)state;
	assert_refused(parse("-z", NULL), "-z: there is no such option");
	assert_refused(parse("-iz", NULL), "-iz: there is no such option");
	assert_refused(parse("--eva", NULL), "--eva: there is no such option");
	assert_refused(parse("-e", NULL), "-e: a value is missing");
	assert_refused(parse("--eval", NULL), "--eval: a value is missing");
	assert_refused(parse("--help=1", NULL), "--help takes no value");
	assert_refused(parse("--log-format", "x", NULL),
		       "--log-format: 'x' is not one of plain, json");
	assert_refused(parse("-q", "test", NULL),
		       "'neap test' is not there yet "
		       "(to run a file of that name: ./test)");
	assert_refused(parse("a.yaml", "x", NULL),
		       "a.yaml: a configuration has its scripts' arguments, "
		       "'x' is too much");
	assert_refused(parse("check", NULL),
		       "usage: neap check FILE (to run a file of that name: "
		       "./check)");
	assert_refused(parse("config", "show", "--yaml", "x", NULL),
		       "usage: neap config schema | config show [--json] FILE "
		       "(to run a file of that name: ./config)");
	assert_refused(parse("-=", NULL), "-=: there is no such option");
	assert_refused(parse("--=", NULL), "--: there is no such option");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps_in_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_grouped_letters, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_script, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_configuration, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
