/* The table of admin commands: found, added, explained, completed. */
#include "unit.h"

#include "base/buf.h"
#include "base/diag.h"
#include "console/admin_commands.h"
#include "console/admin_line.h"

static struct buf out;

static int tear_down(void **state)
{
	(void)state;
	buf_destroy(&out);
	return 0;
}

static const struct admin_command *find(const char *text, unsigned *used)
{
	char copy[256], *at = copy;
	struct admin_words w;

	snprintf(copy, sizeof(copy), "%s", text);
	assert_true(admin_line_next(&at, &w) >= 0);
	return admin_commands_find(w.word, w.count, used);
}

static void assert_found(const char *text, const char *want, unsigned used)
{
	unsigned n = 99;
	const struct admin_command *c = find(text, &n);

	if (want == NULL) {
		assert_null(c);
		return;
	}
	assert_non_null(c);
	assert_string_equal(c->words, want);
	assert_int_equal(n, used);
}

/* What every declaration keeps to: it is all there is to help and manual. */
static bool check(const struct admin_command *c, void *arg)
{
	unsigned *count = arg;
	int ways = (c->next != NULL) + (c->collect != NULL) + (c->io != NULL);
	const struct admin_arg *a = c->args;
	unsigned args = 0;
	bool optional = false;

	++*count;
	assert_true(strlen(c->words) > 0 && strlen(c->words) < 64);
	assert_true(c->help != NULL && strlen(c->help) > 0);
	assert_true(ways <= 1 && (ways == 1 || c->parse != NULL));
	assert_int_equal(c->columns != NULL, c->next || c->collect);
	assert_true(c->context <= ADMIN_CONTEXT_MAX);
	for (; a != NULL && a->name != NULL; a++, args++) {
		assert_true(a->help != NULL && strlen(a->help) > 0);
		assert_true(!optional || a->optional);
		optional = a->optional && a->kind != ADMIN_VERSION;
	}
	assert_true(args <= ADMIN_ARGS_MAX);
	for (const struct admin_column *k = c->columns;
	     k != NULL && k->name != NULL; k++) {
		assert_true(k - c->columns < ADMIN_COLUMNS_MAX);
		assert_true(k->help != NULL && strlen(k->help) > 0);
	}
	return true;
}

static void test_declarations(void **state)
{
	unsigned all = 0, user = 0;

	(void)state;
	admin_commands_each(ADMIN_ADMIN, check, &all);
	admin_commands_each(ADMIN_USER, check, &user);
	assert_true(all > 20);
	assert_true(user > 0 && user < all);
}

static int parse_nothing(struct admin_run *run)
{
	(void)run;
	return 0;
}

static bool is_mine(const struct admin_command *c)
{
	return c->parse == parse_nothing;
}

static unsigned remove_mine(void)
{
	unsigned n = 0;

	while (admin_commands_remove(is_mine) != NULL)
		n++;
	return n;
}

static void test_find(void **state)
{
	static const struct admin_command longer = {
		.words = "show info of mine",
		.help = "x",
		.parse = parse_nothing,
	};

	(void)state;
	assert_found("show info", "show info", 2);
	assert_found("show info json", "show info", 2);
	assert_found("show", NULL, 0);
	assert_found("show inf", NULL, 0);
	assert_found("show infos", NULL, 0);
	assert_found("Show info", NULL, 0);
	assert_found("", NULL, 0);
	assert_found("'show info'", NULL, 0);
	assert_found("show info of mine", "show info", 2);
	assert_int_equal(admin_commands_add(&longer), 0);
	assert_found("show info of mine x", "show info of mine", 4);
	assert_found("show info of", "show info", 2);
	assert_int_equal(admin_commands_add(&longer), -1); /* twice */
	assert_non_null(strstr(diag_last()->message, "already"));
	diag_clear();
	assert_int_equal(remove_mine(), 1);
	assert_found("show info of mine", "show info", 2);
	assert_int_equal(admin_commands_add(&longer), 0);
	assert_int_equal(remove_mine(), 1);
}

/* There is a limit, and behind it nothing is harmed. */
static void test_too_many(void **state)
{
	enum { MANY = 400 };
	static struct admin_command many[MANY];
	static char names[MANY][16];
	unsigned added = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "mine %u", i);
		many[i] = (struct admin_command){ .words = names[i],
						  .help = "x",
						  .parse = parse_nothing };
		if (admin_commands_add(&many[i]) == 0) {
			assert_int_equal(added, i);
			added++;
		} else {
			diag_clear();
		}
	}
	assert_true(added > 100 && added < MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_found(names[i], i < added ? names[i] : NULL, 2);
	assert_int_equal(remove_mine(), added);
	assert_found("show info", "show info", 2);
}

static const char *help(const char *text, enum admin_level level, bool json)
{
	char copy[256], *at = copy;
	struct admin_words w = { 0 };

	snprintf(copy, sizeof(copy), "%s", text);
	assert_true(admin_line_next(&at, &w) >= 0);
	buf_reset(&out, 0);
	assert_true(admin_help(w.word, w.count, level, json, &out) >= 0);
	assert_int_equal(buf_putc(&out, '\0'), 0);
	return out.data;
}

static const char *explain(const char *text, enum admin_level level)
{
	char copy[256], *at = copy;
	struct admin_words w = { 0 };

	snprintf(copy, sizeof(copy), "%s", text);
	assert_true(admin_line_next(&at, &w) >= 0);
	buf_reset(&out, 0);
	assert_int_equal(admin_explain(w.word, w.count, level, &out), 0);
	assert_int_equal(buf_putc(&out, '\0'), 0);
	return out.data;
}

static void test_help(void **state)
{
	const char *text;

	(void)state;
	text = help("", ADMIN_ADMIN, false);
	assert_non_null(strstr(text, "  help "));
	assert_non_null(
		strstr(text, "  kill fiber <id> [worker <n>] [json|typed]"));
	assert_null(strstr(help("", ADMIN_USER, false), "kill fiber"));
	text = help("show f", ADMIN_OPERATOR, false);
	assert_non_null(strstr(text, "show fibers"));
	assert_non_null(strstr(text, "show functions"));
	assert_null(strstr(text, "show info"));
	assert_null(strstr(help("fibers", ADMIN_ADMIN, false), "  help"));
	/* One word too many is not the beginning of a name. */
	assert_string_equal(help("show info x", ADMIN_ADMIN, false), "");
	assert_non_null(strstr(explain("show info x", ADMIN_ADMIN),
			       "no such command; do you mean:\n  show info"));
	assert_non_null(
		strstr(explain("show fibbers", ADMIN_ADMIN), "  show fibers"));
	assert_non_null(strstr(explain("show f", ADMIN_ADMIN),
			       "more words are wanted:\n  show fibers"));
	/* What the level may not have is not offered either. */
	assert_null(strstr(explain("kill fibre", ADMIN_USER), "kill"));
	assert_string_equal(explain("qqqqqqqqqqqqqqqqqqqq", ADMIN_ADMIN),
			    "no such command: see help");
	assert_string_equal(help("qqqqqqqqqqqqqqqqqqqq", ADMIN_ADMIN, true),
			    "[]\n");
	assert_int_equal(help("", ADMIN_ADMIN, true)[0], '[');
}

/* Words as long as the line may be are compared, and no more. */
static void test_long_words(void **state)
{
	static char word[16 << 10];
	char *words[ADMIN_WORDS_MAX];
	unsigned used;

	(void)state;
	memset(word, 's', sizeof(word) - 1);
	for (unsigned i = 0; i < ADMIN_WORDS_MAX; i++)
		words[i] = word;
	buf_reset(&out, 0);
	assert_null(admin_commands_find(words, ADMIN_WORDS_MAX, &used));
	assert_int_equal(
		admin_explain(words, ADMIN_WORDS_MAX, ADMIN_ADMIN, &out), 0);
}

static void add_candidate(const char *candidate, void *arg)
{
	(void)arg;
	assert_int_equal(buf_printf(&out, "%s,", candidate), 0);
}

static void assert_completed(const char *text, enum admin_level level,
			     size_t start, const char *want)
{
	buf_reset(&out, 0);
	assert_int_equal(admin_complete(text, strlen(text), level,
					add_candidate, NULL),
			 start);
	assert_int_equal(buf_putc(&out, '\0'), 0);
	assert_string_equal(out.data, want);
}

static void test_completion(void **state)
{
	(void)state;
	assert_completed("hel", ADMIN_ADMIN, 0, "help,");
	assert_completed("show inf", ADMIN_ADMIN, 5, "info,");
	assert_completed("show info;hel", ADMIN_ADMIN, 10, "help,");
	assert_completed("show info; hel", ADMIN_ADMIN, 11, "help,");
	assert_completed("show cli ", ADMIN_OPERATOR, 9,
			 "level,sessions,sockets,");
	assert_completed("show cli ", ADMIN_USER, 9, "level,");
	assert_completed("ki", ADMIN_USER, 0, "");
	assert_completed("ki", ADMIN_ADMIN, 0, "kill,");
	assert_completed("trace request p", ADMIN_ADMIN, 14, "path,");
	assert_completed("trace request path / id 1 ", ADMIN_ADMIN, 26,
			 "server,worker,for,json,typed,");
	assert_completed("sh", ADMIN_ADMIN, 0, "show,shut,");
	/* Arguments, as they are declared. */
	assert_completed("show info ", ADMIN_ADMIN, 10, "json,typed,");
	assert_completed("show info json ", ADMIN_ADMIN, 15, "");
	assert_completed("show fibers ", ADMIN_ADMIN, 12, "worker,json,typed,");
	assert_completed("show fibers w", ADMIN_ADMIN, 12, "worker,");
	assert_completed("show fibers worker ", ADMIN_ADMIN, 19, "");
	assert_completed("show fibers worker 2 ", ADMIN_ADMIN, 21,
			 "json,typed,");
	assert_completed("show fibers worker 2 json ", ADMIN_ADMIN, 26, "");
	assert_completed("show fibers ", ADMIN_USER, 12, "");
	assert_completed("kill fiber ", ADMIN_ADMIN, 11, "");
	assert_completed("kill fiber 7 ", ADMIN_ADMIN, 13,
			 "worker,json,typed,");
	assert_completed("show events ", ADMIN_ADMIN, 12, "-w,-n,json,");
	assert_completed("show events -w ", ADMIN_ADMIN, 15, "-n,json,");
	assert_completed("prompt ", ADMIN_ADMIN, 7, "p,i,timed,n,");
	assert_completed("prompt t", ADMIN_ADMIN, 7, "timed,");
	assert_completed("prompt p ", ADMIN_ADMIN, 9, "");
	assert_completed("set anon ", ADMIN_ADMIN, 9, "on,off,");
	assert_completed("set log level ", ADMIN_ADMIN, 14,
			 "fatal,syserror,error,crit,warn,info,verbose,debug,");
	assert_completed("echo a; set sev", ADMIN_ADMIN, 12,
			 "severity-output,");
	assert_completed("set severity-output n", ADMIN_ADMIN, 20,
			 "none,number,");
	/* Of help they are names. */
	assert_completed("help ki", ADMIN_ADMIN, 5, "kill,");
	assert_completed("help kill ", ADMIN_ADMIN, 10, "fiber,");
	assert_completed("help ki", ADMIN_USER, 5, "");
	assert_completed("'show ", ADMIN_ADMIN, 6, "");
	assert_completed("nosuch ", ADMIN_ADMIN, 7, "");
	/* An empty place offers all first words. */
	buf_reset(&out, 0);
	assert_int_equal(
		admin_complete("", 0, ADMIN_ADMIN, add_candidate, NULL), 0);
	assert_int_equal(buf_putc(&out, '\0'), 0);
	assert_non_null(strstr(out.data, "help,"));
	buf_reset(&out, 0);
	admin_complete("help;", 5, ADMIN_ADMIN, add_candidate, NULL);
	assert_int_equal(buf_putc(&out, '\0'), 0);
	assert_non_null(strstr(out.data, "help,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declarations),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test_teardown(test_help, tear_down),
		cmocka_unit_test_teardown(test_long_words, tear_down),
		cmocka_unit_test_teardown(test_completion, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
