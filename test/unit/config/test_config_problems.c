/* Configurations that are refused: the lines that tell of it. */
#include "config_rig.h"

#include "base/buf.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(problems),
		cmocka_unit_test(many_problems),
	};

	return config_rig_run(tests);
}
