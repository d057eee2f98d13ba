/* Configurations: places, kinds and forms of values, aliases, files, secrets. */
#include "config_rig.h"

#include "base/buf.h"
#include "config/show.h"
#include "config/values.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_and_values),
		cmocka_unit_test(forms),
		cmocka_unit_test(aliases),
		cmocka_unit_test(files),
		cmocka_unit_test(secrets),
		cmocka_unit_test(values),
		cmocka_unit_test(table),
	};

	return config_rig_run(tests);
}
