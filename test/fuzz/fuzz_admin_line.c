/*
 * Fuzzes lines of admin commands: taken apart, found, their arguments read, explained and
 * completed, as a session does it, without running anything.
 *
 * fuzz: layer console
 */
#include "fuzz.h"

#include "console/admin_args.h"
#include "console/admin_commands.h"
#include "console/admin_line.h"

static void check_values(const struct admin_command *c,
			 const struct admin_value *values, const char *line,
			 size_t size)
{
	for (unsigned i = 0; c->args != NULL && c->args[i].name != NULL; i++) {
		const char *text = values[i].text;

		FUZZ_CHECK(values[i].number >= 0);
		FUZZ_CHECK(values[i].given || c->args[i].optional);
		FUZZ_CHECK(
			text == NULL ||
			(text >= line && text + strlen(text) <= line + size));
	}
}

static void look_at(struct admin_words *w, const char *line, size_t size)
{
	struct admin_value values[ADMIN_ARGS_MAX] = { 0 };
	struct admin_args args = { .values = values };
	const struct admin_command *c;
	struct buf text = { 0 };
	const char *mark = "";
	unsigned used;

	if (admin_line_wants_payload(w, &mark))
		FUZZ_CHECK(mark >= line && mark + strlen(mark) <= line + size);
	c = admin_commands_find(w->word, w->count, &used);
	FUZZ_CHECK(used <= w->count && (c != NULL) == (used > 0));
	FUZZ_CHECK(admin_help(w->word, w->count, ADMIN_OPERATOR, w->count & 1,
			      &text) >= 0);
	text.size = 0;
	FUZZ_CHECK(admin_explain(w->word, w->count, ADMIN_OPERATOR, &text) ==
		   0);
	FUZZ_CHECK(text.size > 0);
	buf_destroy(&text);
	if (c != NULL &&
	    fuzz_result(admin_args_read(c, w->word + used, w->count - used,
					&args)) == 0)
		check_values(c, values, line, size);
}

static void ignore(const char *candidate, void *arg)
{
	(void)arg;
	FUZZ_CHECK(*candidate != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size < 4096 ? size : 4096;
	char *line = malloc(n + 1), *at = line;
	struct admin_words w;
	int rc;

	memcpy(line, data, n);
	line[n] = '\0';
	FUZZ_CHECK(admin_complete(line, strlen(line), ADMIN_ADMIN, ignore,
				  NULL) <= n);
	while ((rc = admin_line_next(&at, &w)) > 0) {
		FUZZ_CHECK(at > line && at <= line + n);
		for (unsigned i = 0; i < w.count; i++)
			FUZZ_CHECK(w.word[i] >= line &&
				   w.word[i] + strlen(w.word[i]) <= line + n);
		if (w.count > 0)
			look_at(&w, line, n);
	}
	fuzz_result(rc);
	free(line);
	return 0;
}
