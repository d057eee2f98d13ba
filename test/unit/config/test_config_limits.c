/* Configurations that are too much: limits, no memory. */
#include "config_rig.h"

#include "base/buf.h"
#include "base/inject.h"
#include "config/show.h"

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
	FILE *file;

	(void)state;
	inject_reset();
	if (inject_arm("x", 0, 0) != 0)
		skip();
	file = fopen("secret", "w");
	assert_true(fputs("hidden word\n", file) > 0);
	assert_int_equal(fclose(file), 0);
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
		cmocka_unit_test(limits),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(broken_text_no_memory),
	};

	return config_rig_run(tests);
}
