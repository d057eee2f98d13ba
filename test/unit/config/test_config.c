/* Configurations: places, kinds of values, problems and their lines, what wins,
 * variables, aliases, limits, no memory. */
#include "unit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "config/config.h"
#include "config/schema.h"
#include "config/show.h"
#include "config/values.h"

static struct settings settings;

static void write_bytes(const char *text, size_t size)
{
	FILE *file = fopen("c.yaml", "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static struct config *load(const char *text)
{
	write_bytes(text, strlen(text));
	settings_destroy(&settings);
	return config_load("c.yaml", &settings);
}

static struct config *good(const char *text)
{
	struct config *c = load(text);

	if (c == NULL)
		fail_msg("%s", diag_last()->message);
	return c;
}

static void refused(const char *text, const char *message)
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

static const struct config_node *at(const struct config *c, const char *names)
{
	const struct config_node *n = config_at(config_root(c), names);

	if (n == NULL)
		fail_msg("there is no %s", names);
	return n;
}

static void is_at(const struct config_node *n, unsigned line, unsigned column)
{
	assert_int_equal(n->place.line, line);
	assert_int_equal(n->place.column, column);
}

static void places_and_values(void **state)
{
	struct config *c = good("# a comment\n"
				"workers: 3\n"
				"limits: {slice: 5ms, memory: 2M,\n"
				"  action: {total: 1.5m}}\n"
				"log:\n"
				"  level: 'debug'\n"
				"  \"scripts\": no\n"
				"listeners:\n"
				"- address: :80\n"
				"  name: \xc3\xa4\n"
				"  rules:\n"
				"  - {set-header: {x-a: '%[src]'}, if: b}\n");
	const struct config_node *n;
	struct buf path = { 0 };

	(void)state;
	assert_string_equal(config_path(c), "c.yaml");
	assert_true(config_folder(c)[0] == '/');
	assert_null(config_root(c)->parent);
	n = at(c, "workers");
	assert_true(n->number == 3 && n->origin == ORIGIN_FILE);
	is_at(n, 2, 10);
	assert_int_equal(n->name_place.line, 2);
	assert_int_equal(n->name_place.column, 1);
	assert_int_equal(settings_number(&settings, SETTING_WORKERS), 3);
	assert_string_equal(settings_origin(&settings, SETTING_WORKERS),
			    "file");
	assert_true(at(c, "limits.slice")->number == 0.005);
	assert_true(settings_seconds(&settings, SETTING_SLICE) == 0.005);
	assert_true(at(c, "limits.memory")->number == 2 << 20);
	assert_true(at(c, "limits.action.total")->number == 90);
	is_at(at(c, "limits.action.total"), 4, 19);
	assert_true(at(c, "limits.action.burst")->number == 1);
	assert_int_equal(at(c, "limits.action.burst")->origin, ORIGIN_DEFAULT);
	assert_string_equal(at(c, "log.level")->text, "debug");
	is_at(at(c, "log.level"), 6, 10);
	assert_int_equal(at(c, "log.scripts")->type, CONFIG_BOOLEAN);
	assert_false(at(c, "log.scripts")->boolean);
	assert_int_equal(at(c, "log.file")->type, CONFIG_NIL);
	n = at(c, "listeners")->first;
	assert_int_equal(config_find(n, "address")->type, CONFIG_LIST);
	assert_string_equal(config_find(n, "address")->first->text, ":80");
	is_at(config_find(n, "address")->first, 9, 12);
	assert_string_equal(config_find(n, "protocol")->text, "http");
	assert_string_equal(config_find(n, "name")->text, "\xc3\xa4");
	n = config_find(n, "rules")->first;
	assert_string_equal(config_at(n, "set-header.x-a")->text, "%[src]");
	is_at(config_at(n, "set-header.x-a"), 12, 24);
	assert_int_equal(config_node_path(config_at(n, "if"), &path), 0);
	assert_int_equal(path.size, strlen("listeners[0].rules[0].if"));
	assert_memory_equal(path.data, "listeners[0].rules[0].if", path.size);
	buf_destroy(&path);
	assert_ptr_equal(config_ref(c), c);
	config_unref(c);
	config_unref(c);
	config_unref(NULL);
}

/* Each kind of mistake has a line, and that is exact. */
static void problems(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "", "c.yaml:1:1: expected a map of settings, got an empty "
		      "file" },
		{ "# nothing\n", "c.yaml:1:1: expected a map of settings, got "
				 "an empty file" },
		{ "~", "c.yaml:1:1: expected a map of settings, got nothing" },
		{ "[]", "c.yaml:1:1: expected a map of settings, got a list" },
		{ "a text", "c.yaml:1:1: expected a map of settings, got "
			    "'a text'" },
		{ "a: 1\n---\nb: 2\n",
		  "c.yaml:2:1: one document is wanted, here begins another" },
		{ "wokers: 1", "c.yaml:1:1: wokers: there is no such key; the "
			       "nearest is 'workers'" },
		{ "xyzzyplugh: 1",
		  "c.yaml:1:1: xyzzyplugh: there is no such key" },
		{ "log: {levle: info}",
		  "c.yaml:1:7: log.levle: there is no such key; the nearest "
		  "is 'level'" },
		{ "workers: 1\nworkers: 2\n",
		  "c.yaml:2:1: 'workers' stands here twice, first at 1:1" },
		{ "? [a]\n: b", "c.yaml:1:3: a name is wanted before the "
				"colon" },
		{ "workers: 257", "c.yaml:1:10: workers: expected a whole "
				  "number from 1 to 256, got '257'" },
		{ "workers: [1]", "c.yaml:1:10: workers: expected a whole "
				  "number from 1 to 256, got a list" },
		{ "workers:", "c.yaml:1:9: workers: expected a whole number "
			      "from 1 to 256, got nothing" },
		{ "workers: {}", "c.yaml:1:10: workers: expected a whole "
				 "number from 1 to 256, got a map" },
		{ "drain_timeout: 30",
		  "c.yaml:1:16: drain_timeout: expected a duration such as "
		  "500ms, 2s or 1m, got '30'" },
		{ "limits: {slice: 2s}",
		  "c.yaml:1:17: limits.slice: expected a duration such as "
		  "500ms, 2s or 1m, up to 1000ms, got '2s'" },
		{ "limits: {memory: 12T}",
		  "c.yaml:1:18: limits.memory: expected a size in bytes, such "
		  "as 512K, 64M or 2G, got '12T'" },
		{ "check_leaks: maybe",
		  "c.yaml:1:14: check_leaks: expected true or false, got "
		  "'maybe'" },
		{ "log: {scripts: 2}",
		  "c.yaml:1:16: log.scripts: expected true or false, got "
		  "'2'" },
		{ "log: {format: xml}",
		  "c.yaml:1:15: log.format: expected one of plain, json, got "
		  "'xml'" },
		{ "log: {format: \"x\\nml\"}",
		  "c.yaml:1:15: log.format: expected one of plain, json, got "
		  "'x\\x0aml'" },
		{ "limits: {fetch: {burst: 5}}",
		  "c.yaml:1:25: limits.fetch.burst: expected a duration such "
		  "as 500ms, 2s or 1m, got '5'" },
		{ "load: {args: [1]}", "c.yaml:1:7: load[0]: 'file' is "
				       "missing" },
		{ "load: [[x]]", "c.yaml:1:8: load[0]: expected a path, or a "
				 "map with it as 'file', got a list" },
		{ "load: ''", "c.yaml:1:7: load[0].file: expected a path, got "
			      "''" },
		{ "paths: {lua: lib/x.lua}",
		  "c.yaml:1:14: paths.lua[0]: expected a path with a ? for "
		  "the module's name, got 'lib/x.lua'" },
		{ "\"a\\nb\": 1", "c.yaml:1:1: a\\x0ab: there is no such key" },
		{ "listeners: x", "c.yaml:1:12: listeners: expected a list, "
				  "got 'x'" },
		{ "listeners: [{address: 80x}]",
		  "c.yaml:1:23: listeners[0].address[0]: expected HOST:PORT, "
		  ":PORT, [ADDRESS]:PORT, unix:PATH or fd:NAME, got '80x'" },
		{ "listeners: [{address: []}]",
		  "c.yaml:1:23: listeners[0].address: expected a list that is "
		  "not empty, got a list" },
		{ "listeners:\n- address: [':1', ':2']\n- address: ':2'\n",
		  "c.yaml:3:12: listeners[1].address[0]: ':2' has a listener "
		  "at 2:19 already" },
		{ "listeners:\n- name: x\n",
		  "c.yaml:2:3: listeners[0]: 'address' is missing" },
		{ "listeners:\n- {address: ':1', protocol: ftp}",
		  "c.yaml:2:29: listeners[0].protocol: expected one of http, "
		  "tcp, got 'ftp'" },
		{ "listeners:\n- {address: ':1', tls: {}}",
		  "c.yaml:2:24: listeners[0].tls: 'cert_file' is missing" },
		{ "listeners:\n- {address: ':1', options: {backlog: 0}}",
		  "c.yaml:2:38: listeners[0].options.backlog: expected a "
		  "whole number from 1 to 999999999, got '0'" },
		{ "listeners:\n- {address: ':1', rules: [x]}",
		  "c.yaml:2:27: listeners[0].rules[0]: expected a map with an "
		  "action, got 'x'" },
		{ "listeners:\n- {address: ':1', rules: [{if: x}]}",
		  "c.yaml:2:27: listeners[0].rules[0]: a rule has exactly one "
		  "action: expected one of action, set-header, add-header, "
		  "del-header, set-var, unset-var, set-method, set-path, "
		  "set-query, set-uri, deny, redirect, return, use-service, "
		  "set-log-level, log, static, filter, stop" },
		{ "listeners:\n- {address: ':1', rules: [{stop: 1, log: x}]}",
		  "c.yaml:2:37: listeners[0].rules[0].log: a rule has exactly "
		  "one action, this one has 'stop' already" },
		{ "listeners:\n- {address: ':1', rules: [{set-status: 404}]}",
		  "c.yaml:2:28: listeners[0].rules[0].set-status: this action "
		  "has its place in response_rules" },
		{ "listeners:\n- {address: ':1', response_rules: "
		  "[{deny: 404}]}",
		  "c.yaml:2:37: listeners[0].response_rules[0].deny: this "
		  "action has its place in rules" },
		{ "listeners:\n- {address: ':1', rules: "
		  "[{stop: 1, args: [a]}]}",
		  "c.yaml:2:37: listeners[0].rules[0].args: 'stop' takes no "
		  "arguments" },
		{ "listeners:\n- {address: ':1', rules: "
		  "[{stop: 1, if: {a: b}}]}",
		  "c.yaml:2:41: listeners[0].rules[0].if: expected a "
		  "condition as a text (one that begins with { needs quotes), "
		  "got a map" },
		{ "listeners:\n- {address: ':1', rules: "
		  "[{stop: 1, on_error: stop}]}",
		  "c.yaml:2:47: listeners[0].rules[0].on_error: expected one "
		  "of continue, deny, got 'stop'" },
		{ "console: x", "c.yaml:1:10: console[0].address: expected "
				"HOST:PORT, :PORT, [ADDRESS]:PORT, "
				"unix:PATH or fd:NAME, got 'x'" },
		{ "console: {address: ':1', mode: 999}",
		  "c.yaml:1:32: console[0].mode: expected a mode such as "
		  "'0600', got '999'" },
		{ "console: {address: ':1', password: [x]}",
		  "c.yaml:1:36: console[0].password: expected a text, got a "
		  "list" },
		{ "console: {address: ':1'}",
		  "c.yaml:1:10: console[0]: over TCP a password is wanted, or "
		  "tls with `verify: required`: who gets in may run "
		  "anything" },
		{ "console: {address: ':1', password: short}",
		  "c.yaml:1:36: console[0].password: a password has 8 to 256 "
		  "bytes, not 5" },
		{ "console: {address: ':1', mode: '0600', password: "
		  "longenough}",
		  "c.yaml:1:26: console[0].mode: this is of a unix socket's "
		  "file" },
		{ "console: {address: 'unix:x', language: lua, level: user}",
		  "c.yaml:1:52: console[0].level: who may run Lua may do "
		  "anything: a lower level is of `language: admin`" },
		{ "console: {address: ':1', password_file: /nosuch}",
		  "c.yaml:1:41: console[0].password_file: cannot read "
		  "'/nosuch': No such file or directory" },
		{ "console: {address: ':1', password: x, password_file: y}",
		  "c.yaml:1:39: console[0].password_file: there is "
		  "'password' already" },
		{ "log: {file: '${NEAP_TEST_NONE}'}",
		  "c.yaml:1:13: the environment has no NEAP_TEST_NONE (a "
		  "default is written ${NEAP_TEST_NONE:-value})" },
		{ "log: {file: '${NEAP_TEST'}",
		  "c.yaml:1:13: ${NEAP_TEST: expected ${NAME} or "
		  "${NAME:-default}" },
		{ "log: *x", "c.yaml:1:6: '*x': there is no value '&x' that "
			     "ends before" },
		{ "log: &x {file: *x}",
		  "c.yaml:1:16: '*x': there is no value '&x' that ends "
		  "before" },
		{ "log: !x y", "c.yaml:1:6: there are no tags such as '!x' (a "
			       "text that begins with ! needs quotes)" },
		{ "log: \"a\\0b\"",
		  "c.yaml:1:6: a text without zero bytes is wanted" },
		{ "log: [a,\nb: c\n",
		  "c.yaml:3:1: did not find expected ',' or ']', while "
		  "parsing a flow sequence that begins at 1:6" },
		{ "log:\n\tlevel: info\n",
		  "c.yaml:2:1: found character that cannot start any token (a "
		  "tab: indent with spaces)" },
		{ "log: %x\n", "c.yaml:1:6: found character that cannot start "
			       "any token (a text that begins so needs "
			       "quotes)" },
		{ "log:\n  \xc3\xa4\xff", "c.yaml:2:4: invalid leading UTF-8 "
					  "octet" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		refused(cases[i].text, cases[i].message);
}

static void many_problems(void **state)
{
	struct buf text = { 0 };
	struct error *e;
	unsigned lines = 0;

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(buf_printf(&text, "key%d: 1\n", i), 0);
	buf_putc(&text, '\0');
	assert_null(load(text.data));
	e = diag_take();
	for (const char *p = e->message; p != NULL; lines++) {
		p = strchr(p, '\n');
		p = p == NULL ? NULL : p + 1;
	}
	assert_int_equal(lines, 21);
	assert_string_equal(strrchr(e->message, '\n'), "\nc.yaml: and 30 more");
	error_unref(e);
	buf_destroy(&text);
}

static void forms(void **state)
{
	struct config *c =
		good("load: a.lua\n"
		     "load_per_thread:\n"
		     "- b.lua\n"
		     "- {file: /c.lua, args: [1, x, 'y z']}\n"
		     "libraries: []\n"
		     "paths: {lua: [./l/?.lua, /m/?.lua], c: '?.so'}\n"
		     "console: unix:run/x\n"
		     "listeners:\n"
		     "- address: [a:1, '[::1]:2', '*:3', unix:/y]\n"
		     "  rules:\n"
		     "  - deny: 403\n"
		     "  - redirect: /x\n"
		     "  - return: {status: 204}\n"
		     "  - stop: yes\n");
	const struct config_node *n;
	char path[4200];

	(void)state;
	n = at(c, "load");
	assert_int_equal(n->type, CONFIG_LIST);
	snprintf(path, sizeof path, "%s/a.lua", config_folder(c));
	assert_string_equal(config_find(n->first, "file")->text, path);
	is_at(n, 1, 7);
	is_at(n->first, 1, 7);
	n = at(c, "load_per_thread");
	assert_int_equal(n->count, 2);
	n = n->last;
	assert_string_equal(config_find(n, "file")->text, "/c.lua");
	assert_string_equal(config_find(n, "args")->first->text, "1");
	assert_string_equal(config_find(n, "args")->last->text, "y z");
	assert_int_equal(at(c, "libraries")->count, 0);
	snprintf(path, sizeof path, "%s/l/?.lua", config_folder(c));
	assert_string_equal(at(c, "paths.lua")->first->text, path);
	assert_string_equal(at(c, "paths.lua")->last->text, "/m/?.lua");
	snprintf(path, sizeof path, "unix:%s/run/x", config_folder(c));
	n = at(c, "console")->first;
	assert_string_equal(config_find(n, "address")->text, path);
	assert_true(config_find(n, "connections")->number == 100);
	n = config_find(at(c, "listeners")->first, "rules");
	/* Rules stay as they are written. */
	assert_true(config_find(n->first, "deny")->number == 403);
	n = n->first->next;
	assert_string_equal(config_find(n, "redirect")->text, "/x");
	n = n->next;
	assert_int_equal(config_find(n, "return")->count, 1);
	assert_true(config_find(n->next, "stop")->boolean);
	config_unref(c);
	c = good("{}");
	assert_null(config_at(config_root(c), "load"));
	assert_null(config_at(config_root(c), "listeners"));
	assert_string_equal(at(c, "libraries")->first->text, "all");
	assert_true(at(c, "limits.service.total")->number == 4);
	config_unref(c);
}

static void aliases(void **state)
{
	struct config *c = good("listeners:\n"
				"- address: [':1', ':2']\n"
				"  static: &a {/a: /b, /c: /d}\n"
				"  rules: &r\n"
				"  - &s {stop: true}\n"
				"- {address: [':4', ':5'], rules: *r}\n"
				"- {address: ':3', rules: [*s, *s], static: "
				"*a}\n");
	const struct config_node *first = at(c, "listeners")->first;
	const struct config_node *second = first->next;

	(void)state;
	assert_string_equal(config_find(second->next, "static")->last->text,
			    "/d");
	assert_ptr_not_equal(config_find(second->next, "static"),
			     config_find(first, "static"));
	is_at(config_find(second, "rules")->first, 5, 5);
	assert_int_equal(config_find(second->next, "rules")->count, 2);
	config_unref(c);
}

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

static void secrets(void **state)
{
	struct buf b = { 0 };
	struct config *c;
	const struct config_node *n;
	FILE *file = fopen("secret", "w");

	(void)state;
	assert_true(fputs("hidden word\nmore\n", file) > 0);
	assert_int_equal(fclose(file), 0);
	c = good("console: {address: ':1', password_file: secret}\n"
		 "listeners:\n- {address: ':2', tls: {cert_file: x, "
		 "key_password: hidden too}}\n");
	n = config_find(at(c, "console")->first, "password");
	assert_string_equal(n->text, "hidden word");
	assert_null(config_find(n->parent, "password_file"));
	assert_int_equal(config_show(c, false, &b), 0);
	assert_int_equal(config_show(c, true, &b), 0);
	buf_putc(&b, '\0');
	assert_null(strstr(b.data, "hidden"));
	assert_non_null(strstr(b.data, "console[0].password: \"(secret)\"  "
				       "# c.yaml:1:41\n"));
	buf_destroy(&b);
	config_unref(c);
}

static void is_refused(const struct buf *text, const char *part)
{
	struct error *e;

	write_bytes(text->data, text->size);
	settings_destroy(&settings);
	assert_null(config_load("c.yaml", &settings));
	e = diag_take();
	if (strstr(e->message, part) == NULL)
		fail_msg("%s", e->message);
	error_unref(e);
}

static void limits(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 33; i++)
		buf_puts(&b, "[");
	is_refused(&b, "c.yaml:1:33: nested too deep");
	b.size = 0;
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "{a: ");
	is_refused(&b, "nested too deep");
	b.size = 0;
	buf_puts(&b, "load: [");
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "a,\n");
	buf_puts(&b, "]");
	is_refused(&b, "100000 values are the most there can be");
	b.size = 0;
	for (int i = 0; i < 1001; i++)
		buf_printf(&b, "a%d: 1\n", i);
	is_refused(&b, "c.yaml:1001:1: 1000 names are the most a map can "
		       "have");
	b.size = 0;
	for (int i = 0; i < 1001; i++)
		buf_printf(&b, "- &a%d x\n", i);
	is_refused(&b, "1000 anchors are the most there can be");
	b.size = 0; /* aliases of aliases */
	buf_puts(&b, "- &a0 x\n");
	for (int i = 1; i < 20; i++) {
		buf_printf(&b, "- &a%d [", i);
		for (int j = 0; j < 9; j++)
			buf_printf(&b, "*a%d, ", i - 1);
		buf_puts(&b, "]\n");
	}
	is_refused(&b, "100000 values are the most there can be");
	b.size = 0;
	for (int i = 0; i < CONFIG_FILE_MAX + 1; i++)
		buf_putc(&b, '#');
	is_refused(&b, "c.yaml: 4194304 bytes are the most it can have");
	b.size = 0;
	buf_append(&b, "workers: 1\n\0\0", 13);
	is_refused(&b, "c.yaml:2:1: control characters are not allowed");
	b.size = 0;
	buf_puts(&b, "workers: 1\nlog: {level: in");
	is_refused(&b, "c.yaml:3:1: did not find expected ',' or '}', while "
		       "parsing a flow mapping that begins at 2:6");
	buf_destroy(&b);
}

static void files(void **state)
{
	static const struct {
		const char *path, *message;
	} cases[] = {
		{ "nosuch.yaml", "nosuch.yaml: No such file or directory" },
		{ ".", ".: Is a directory" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error *e;

		assert_null(config_load(cases[i].path, &settings));
		e = diag_take();
		assert_ptr_equal(e->type, &SystemError);
		if (strstr(e->message, cases[i].message) == NULL)
			fail_msg("%s", e->message);
		error_unref(e);
	}
}

static void values(void **state)
{
	static const struct {
		const char *text;
		double seconds;
	} durations[] = {
		{ "0", 0 },       { "0s", 0 },      { "500ms", 0.5 },
		{ "1.5s", 1.5 },  { "20us", 2e-5 }, { "2m", 120 },
		{ "1h", 3600 },   { "1d", 86400 },  { "1", -1 },
		{ "", -1 },       { "s", -1 },      { "1 s", -1 },
		{ "-1s", -1 },    { "1.s", -1 },    { ".5s", -1 },
		{ "1e3s", -1 },   { "0x1s", -1 },   { "1S", -1 },
		{ "99999d", -1 }, { "1sm", -1 },    { "nan", -1 },
	};
	static const char *const addresses[] = {
		"a:1",       ":1",
		"*:0",       "127.0.0.1:65535",
		"[::]:1",    "[fe80::1%eth0]:1",
		"unix:a",    "unix:@a",
		"a-b.c_d:1",
	};
	static const char *const none[] = {
		"",       "1",     "a",      ":",     "a:",      ":x",
		"::1:80", "a:b:1", ":65536", ":-1",   "[1]:1",   "[::1]",
		"[::1:1", "[]:1",  "unix:",  "a b:1", ":000001", "[::1]1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
		assert_true(config_duration(durations[i].text) ==
			    durations[i].seconds);
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
		assert_true(config_is_address(addresses[i]));
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_false(config_is_address(none[i]));
	assert_true(config_size("3K") == 3072);
	assert_true(config_size("3X") == UINT64_MAX);
}

/* Every row says what it is for, has a form that its default has, and a name of
 * its own. */
static void look_at_row(const struct schema *s)
{
	if (s->kind == SCHEMA_SETTING)
		assert_in_range(s->setting, 0, SETTING_COUNT - 1);
	else
		assert_non_null(s->help);
	if (s->kind == SCHEMA_CHOICE)
		assert_non_null(s->choices);
	if (s->kind == SCHEMA_NUMBER)
		assert_true(s->max > s->min);
	if (s->kind >= SCHEMA_LIST)
		assert_non_null(s->fields);
}

static void look_at_fields(const struct schema *fields, unsigned *used)
{
	for (const struct schema *f = fields; f->name != NULL; f++) {
		if (*f->name != '\0')
			look_at_row(f);
		for (const struct schema *g = fields; g != f; g++)
			assert_string_not_equal(f->name, g->name);
		if (f->kind == SCHEMA_SETTING)
			*used |= 1u << f->setting;
		if (f->fields != NULL)
			look_at_fields(f->fields, used);
	}
}

static void table(void **state)
{
	unsigned used = 0;

	(void)state;
	look_at_fields(server_schema.fields, &used);
	assert_int_equal(used, (1u << SETTING_COUNT) - 1);
}

static void no_memory(void **state)
{
	static const char text[] =
		"workers: ${NEAP_TEST:-2}\n"
		"load: {file: a.lua, args: [x, &y z, *y]}\n"
		"limits: {slice: 3ms}\n"
		"log: {file: x.log}\n"
		"console: {address: unix:x, password_file: secret}\n"
		"listeners: [{address: ':80', rules: [{deny: 403}]}]\n";
	struct buf b = { 0 };
	struct config *c = NULL;
	int failed = 0;

	(void)state;
	inject_reset();
	if (inject_arm("x", 0, 0) != 0)
		skip();
	setenv("PORT", "1", 1);
	write_bytes(text, strlen(text));
	for (long i = 0; c == NULL; i++) {
		settings_destroy(&settings);
		inject_reset();
		inject_arm("malloc", i, 1);
		c = config_load("c.yaml", &settings);
		inject_reset();
		if (c == NULL) {
			struct error *e = diag_take();

			assert_ptr_equal(e->type, &OutOfMemory);
			error_unref(e);
			failed++;
		}
	}
	assert_true(failed > 5);
	inject_arm("malloc", 0, -1);
	assert_int_equal(config_show(c, true, &b), -1);
	inject_reset();
	diag_clear();
	buf_destroy(&b);
	config_unref(c);
	unsetenv("PORT");
}

static void broken_text_no_memory(void **state)
{
	struct config *c;

	(void)state;
	inject_reset();
	if (inject_arm("x", 0, 0) != 0)
		skip();
	write_bytes("a: 1\nb: [\n", 10);
	for (long i = 0; i < 30; i++) {
		settings_destroy(&settings);
		inject_reset();
		inject_arm("malloc", i, 1);
		c = config_load("c.yaml", &settings);
		inject_reset();
		assert_null(c);
		diag_clear();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_and_values),
		cmocka_unit_test(problems),
		cmocka_unit_test(many_problems),
		cmocka_unit_test(forms),
		cmocka_unit_test(aliases),
		cmocka_unit_test(what_wins),
		cmocka_unit_test(listen_variables),
		cmocka_unit_test(variables),
		cmocka_unit_test(secrets),
		cmocka_unit_test(limits),
		cmocka_unit_test(files),
		cmocka_unit_test(values),
		cmocka_unit_test(table),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(broken_text_no_memory),
	};
	int rc;

	unsetenv("PORT");
	unsetenv("NEAP_LISTEN");
	settings_create(&settings);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	settings_destroy(&settings);
	return rc;
}
