/* Configurations and the environment: what wins, listeners, variables in texts. */
#include "config_rig.h"

/* Flags, the environment, the file, defaults. */
static void what_wins(void **state)
{
	static const char text[] =
		"workers: 2\ncancel_timeout: 7s\ndrain_timeout: 8s\n"
		"offload: {threads: 5}\n";
	struct config *c;
	const struct config_node *n;

	(void)state;
	write_bytes(text, strlen(text));
	settings_destroy(&settings);
	setenv("NEAP_WORKERS", "3", 1);
	setenv("NEAP_CANCEL_TIMEOUT", "4", 1);
	assert_int_equal(settings_read_env(&settings), 0);
	assert_int_equal(
		settings_set(&settings, SETTING_WORKERS, "5", ORIGIN_FLAG), 0);
	c = config_load("c.yaml", &settings);
	assert_non_null(c);
	n = at(c, "workers");
	assert_true(n->number == 5 && n->origin == ORIGIN_FLAG);
	assert_string_equal(n->from, "--workers");
	n = at(c, "cancel_timeout");
	assert_true(n->number == 4 && n->origin == ORIGIN_ENV);
	assert_string_equal(n->from, "NEAP_CANCEL_TIMEOUT");
	n = at(c, "drain_timeout");
	assert_true(n->number == 8 && n->origin == ORIGIN_FILE);
	n = at(c, "offload.queue");
	assert_true(n->number == 4096 && n->origin == ORIGIN_DEFAULT);
	assert_int_equal(settings_number(&settings, SETTING_WORKERS), 5);
	assert_int_equal(settings_number(&settings, SETTING_OFFLOAD_THREADS),
			 5);
	assert_true(settings_seconds(&settings, SETTING_CANCEL_TIMEOUT) == 4);
	config_unref(c);
	unsetenv("NEAP_WORKERS");
	unsetenv("NEAP_CANCEL_TIMEOUT");
}

static const char *first_address(const struct config *c)
{
	return config_find(at(c, "listeners")->first, "address")->first->text;
}

static void listen_variables(void **state)
{
	static const char text[] = "listeners:\n"
				   "- address: ['127.0.0.1:80', ':81']\n"
				   "- address: ':90'\n";
	const struct config_node *n;
	struct config *c;

	(void)state;
	setenv("PORT", "8000", 1);
	c = good(text);
	assert_string_equal(first_address(c), "127.0.0.1:8000");
	n = config_find(at(c, "listeners")->first, "address");
	assert_int_equal(n->first->origin, ORIGIN_ENV);
	assert_string_equal(n->last->text, ":81");
	n = at(c, "listeners")->last;
	assert_string_equal(config_find(n, "address")->first->text, ":90");
	config_unref(c);
	c = good("listeners: [{address: 'unix:/x'}]");
	assert_string_equal(first_address(c), "unix:/x");
	config_unref(c);
	c = good("{}");
	config_unref(c);
	setenv("PORT", "x", 1);
	refused(text,
		"PORT: listeners[0].address[0]: expected HOST:PORT, "
		":PORT, [ADDRESS]:PORT, unix:PATH or fd:NAME, got '127.0.0.1:x'");
	setenv("NEAP_LISTEN", "[::1]:5,:6", 1);
	c = good(text);
	n = config_find(at(c, "listeners")->first, "address");
	assert_int_equal(n->count, 2);
	assert_string_equal(n->first->text, "[::1]:5");
	assert_string_equal(n->last->text, ":6");
	assert_string_equal(n->last->from, "NEAP_LISTEN");
	config_unref(c);
	c = good("listeners: [{name: x}]");
	assert_string_equal(first_address(c), "[::1]:5");
	config_unref(c);
	setenv("NEAP_LISTEN", "y", 1);
	refused(text,
		"NEAP_LISTEN: listeners[0].address[0]: expected "
		"HOST:PORT, :PORT, [ADDRESS]:PORT, unix:PATH or fd:NAME, got "
		"'y'");
	unsetenv("PORT");
	unsetenv("NEAP_LISTEN");
}

static void variables(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{ "a${NEAP_TEST}c", "abc" },
		{ "${NEAP_TEST}${NEAP_TEST}", "bb" },
		{ "'${NEAP_TEST}'", "b" },
		{ "\"${NEAP_TEST}\"", "b" },
		{ "${NEAP_TEST:-x}", "b" },
		{ "${NEAP_TEST_NONE:-x y}", "x y" },
		{ "'${NEAP_TEST_NONE:-}'", "" },
		{ "${NEAP_TEST_EMPTY:-x}", "x" },
		{ "x${NEAP_TEST_EMPTY}", "x" },
		{ "$${NEAP_TEST}", "${NEAP_TEST}" },
		{ "$$${NEAP_TEST}", "$${NEAP_TEST}" },
		{ "a{2}$", "a{2}$" },
		{ "a${2}", "a${2}" },
		{ "$NEAP_TEST", "$NEAP_TEST" },
		{ "'${}'", "${}" },
		{ "${NEAP_TEST_YAML}", "[1, {a: b}]\n- x" },
	};
	char text[256];
	struct config *c;

	(void)state;
	setenv("NEAP_TEST", "b", 1);
	setenv("NEAP_TEST_EMPTY", "", 1);
	setenv("NEAP_TEST_YAML", "[1, {a: b}]\n- x", 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct config_node *n;

		snprintf(text, sizeof text,
			 "load:\n- file: x\n  args:\n  - %s\n", cases[i].text);
		c = good(text);
		n = config_find(at(c, "load")->first, "args")->first;
		assert_string_equal(n->text, cases[i].value);
		is_at(n, 4, 5);
		config_unref(c);
	}
	setenv("NEAP_TEST", "7", 1);
	c = good("workers: ${NEAP_TEST}");
	assert_true(at(c, "workers")->number == 7);
	assert_int_equal(at(c, "workers")->origin, ORIGIN_FILE);
	assert_string_equal(at(c, "workers")->from, "NEAP_TEST");
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_wins),
		cmocka_unit_test(listen_variables),
		cmocka_unit_test(variables),
	};

	return config_rig_run(tests);
}
