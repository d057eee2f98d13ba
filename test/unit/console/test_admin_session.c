/*
 * A session of admin commands without a carrier: a context is zero at first and no other
 * command's, and released exactly once, whatever ends the command; turns, back-pressure,
 * lines behind "<<", and the carrier that frees the session in its own callbacks.
 *
 * test: timeout 60
 */
#include "unit.h"

#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "console/admin_commands.h"
#include "console/admin_session.h"

static struct worker worker; /* as much of it as a session needs */

static struct {
	struct admin_session *session;
	struct buf out;
	bool full;          /* the client does not read */
	bool free_on_ready; /* and frees the session as it is told */
	unsigned ready, left;
	unsigned parsed, released, called;
	struct admin_run *run; /* the one that runs */
} t;

static void on_write(void *arg, const char *data, size_t size)
{
	assert_ptr_equal(arg, &t);
	if (buf_append(&t.out, data, size) != 0)
		t.out.size = 0; /* as one that has lost it */
}

static bool is_full(void *arg)
{
	(void)arg;
	return t.full;
}

static void on_ready(void *arg)
{
	(void)arg;
	t.ready++;
	if (!t.free_on_ready)
		return;
	admin_session_free(t.session);
	t.session = NULL;
}

static void on_leave(void *arg)
{
	on_ready(arg);
	t.left++;
}

static const struct admin_ops ops = { on_write, is_full, on_ready,
				      on_leave, NULL,    NULL };

/* --- commands that look at what they get --- */

struct whole { /* all that a command may have */
	char bytes[ADMIN_CONTEXT_MAX];
};

static void assert_zero(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
}

static int parse(struct admin_run *run)
{
	struct whole *w = admin_context(run);

	assert_zero(w->bytes, sizeof(w->bytes));
	assert_int_equal((uintptr_t)w % 16, 0);
	memset(w->bytes, 0x5a, sizeof(w->bytes));
	if (admin_arg(run, 0)->given &&
	    strcmp(admin_arg(run, 0)->text, "refused") == 0) {
		admin_fail(run, "refused");
		return -1;
	}
	t.run = run;
	t.parsed++;
	return 0;
}

static enum admin_step io(struct admin_run *run)
{
	struct whole *w = admin_context(run);
	const char *how = admin_arg(run, 0)->given ? admin_arg(run, 0)->text
						   : "";
	const char *payload;
	size_t size;

	t.called++;
	for (size_t i = 0; i < sizeof(w->bytes); i++)
		assert_int_equal(w->bytes[i], 0x5a);
	payload = admin_payload(run, &size);
	if (payload != NULL)
		admin_put(run, payload, size);
	if (strcmp(how, "waits") == 0 && !admin_is_interrupted(run))
		return ADMIN_WAIT;
	if (strcmp(how, "fails") == 0)
		return admin_fail(run, "failed");
	if (strcmp(how, "idles") == 0)
		return ADMIN_MORE;
	while (strcmp(how, "endless") == 0)
		if (!admin_print(run, "and so on\n"))
			return ADMIN_MORE;
	return admin_print(run, "done\n") ? ADMIN_DONE : ADMIN_MORE;
}

static void release(struct admin_run *run)
{
	struct whole *w = admin_context(run);

	/* Until here nobody else has touched it. */
	for (size_t i = 0; i < sizeof(w->bytes); i++)
		assert_int_equal(w->bytes[i], 0x5a);
	t.released++;
	t.run = NULL;
}

static const struct admin_arg args[] = { { "how", ADMIN_TEXT, true, NULL, "" },
					 { .name = NULL } };

static const struct admin_command probe = {
	.words = "probe",
	.help = "looks",
	.args = args,
	.payload = true,
	.context = ADMIN_CONTEXT(struct whole),
	.parse = parse,
	.io = io,
	.release = release,
};

/* The same, and what it has is never given back: what counts must see it. */
static const struct admin_command leaky = {
	.words = "leaky",
	.help = "forgets",
	.args = args,
	.context = ADMIN_CONTEXT(struct whole),
	.parse = parse,
	.io = io,
};

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	assert_int_equal(loop_create(&worker.loop), 0);
	assert_int_equal(sched_create(&worker.sched, &worker.loop), 0);
	t.session = admin_session_new(&worker, ADMIN_ADMIN, &ops, &t);
	assert_non_null(t.session);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inject_reset();
	admin_session_free(t.session);
	buf_destroy(&t.out);
	sched_close(&worker.sched);
	assert_int_equal(loop_destroy(&worker.loop, NULL, NULL), 0);
	return 0;
}

static void feed(const char *line)
{
	admin_session_feed(t.session, line, strlen(line));
}

/* Timers are of milliseconds. */
static void turn(void)
{
	uv_sleep(1);
	loop_run(&worker.loop, UV_RUN_NOWAIT);
}

#define until(condition)                                           \
	do {                                                       \
		for (int n_ = 0; !(condition) && n_ < 10000; n_++) \
			turn();                                    \
		assert_true(condition);                            \
	} while (0)

static void run_line(const char *line)
{
	unsigned was = t.ready;

	feed(line);
	until(t.ready > was);
	assert_int_equal(t.ready, was + 1);
}

static void assert_said(const char *want)
{
	assert_int_equal(buf_putc(&t.out, '\0'), 0);
	assert_string_equal(t.out.data, want);
	t.out.size = 0;
}

/* Has each that was begun been released, and once? */
static bool is_balanced(void)
{
	return t.parsed == t.released;
}

/* --- the tests --- */

static void test_contexts(void **state)
{
	(void)state;
	run_line("probe; probe fails; probe; echo x; probe");
	assert_said("done\n\nerror: failed\n\ndone\n\nx\n\ndone\n\n");
	assert_int_equal(t.parsed, 4);
	assert_true(is_balanced());
	run_line("probe refused; probe");
	assert_said("error: refused\n\ndone\n\n");
	assert_int_equal(t.parsed, 5);
	assert_true(is_balanced());
	run_line("nosuch; probe; probe");
	assert_int_equal(t.parsed, 7);
	assert_true(is_balanced());
}

/* A count that could not tell would be worth nothing. */
static void test_what_leaks_is_seen(void **state)
{
	(void)state;
	run_line("leaky");
	assert_int_equal(t.parsed, 1);
	assert_false(is_balanced());
}

static void test_vanishing(void **state)
{
	static const char *const lines[] = { "probe waits",
					     "probe waits; probe",
					     "probe; probe waits",
					     "probe endless" };
	/* When it has begun, how many had. */
	static const unsigned parsed[] = { 1, 2, 4, 5 };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		unsigned called;

		t.full = false;
		feed(lines[i]);
		until(t.run != NULL && t.parsed == parsed[i]);
		assert_int_equal(t.parsed, t.released + 1);
		admin_session_free(t.session);
		assert_true(is_balanced());
		called = t.called;
		turn();
		assert_int_equal(t.called, called);
		t.session = admin_session_new(&worker, ADMIN_ADMIN, &ops, &t);
	}
}

static void test_interrupted(void **state)
{
	(void)state;
	feed("probe waits; probe");
	until(t.called > 0);
	admin_session_interrupt(t.session);
	assert_true(is_balanced());
	until(t.ready == 1);
	assert_said("error: interrupted\n\n");
	assert_int_equal(t.parsed, 1);
	feed("probe waits");
	until(t.called > 1);
	admin_session_typed(t.session);
	until(t.ready == 2);
	assert_said("done\n\n");
	assert_true(is_balanced());
	run_line("probe idles");
	assert_said("error: 'probe' makes no progress: it was ended\n\n");
	assert_true(is_balanced());
}

static void test_back_pressure(void **state)
{
	unsigned called;

	(void)state;
	t.full = true;
	feed("probe endless");
	turn();
	assert_int_equal(t.called, 0);
	t.full = false;
	admin_session_drained(t.session);
	until(t.called > 0);
	t.full = true;
	turn();
	turn();
	called = t.called;
	for (int i = 0; i < 10; i++)
		turn();
	assert_int_equal(t.called, called);
	assert_true(t.out.size < 10 << 20);
	admin_session_interrupt(t.session);
	t.full = false;
	admin_session_drained(t.session);
	until(t.ready == 1);
	assert_true(is_balanced());
}

/* Others run between two commands of a line. */
static void test_turns(void **state)
{
	(void)state;
	feed("probe; probe; probe");
	assert_true(t.parsed < 3);
	assert_int_equal(t.ready, 0);
	until(t.ready == 1);
	assert_int_equal(t.parsed, 3);
}

static void test_payload(void **state)
{
	char mark[ADMIN_MARK_MAX + 2] = "", line[128];

	(void)state;
	feed("probe <<END");
	assert_true(admin_session_is_collecting(t.session));
	feed("one");
	feed("");
	run_line("END");
	assert_said("one\n \ndone\n\n");
	run_line("probe");
	assert_said("done\n\n");
	/* A mark that is too long has its lines all the same, and they are no
	 * commands. */
	memset(mark, 'm', ADMIN_MARK_MAX + 1);
	snprintf(line, sizeof(line), "probe <<%s", mark);
	feed(line);
	feed("probe");
	run_line(mark);
	assert_int_equal(t.parsed, 2);
	assert_false(admin_session_is_collecting(t.session));
	assert_int_equal(t.left, 0);
	t.out.size = 0;
	run_line("probe 'x <<");
	assert_int_equal(t.left, 1);
}

static void test_freed_by_the_carrier(void **state)
{
	static const char *const lines[] = { "probe",    "probe; probe",
					     "nosuch",   "quit",
					     "probe 'x", "probe 'x <<",
					     "prompt n" };

	(void)state;
	t.free_on_ready = true;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run_line(lines[i]);
		assert_null(t.session);
		assert_true(is_balanced());
		t.session = admin_session_new(&worker, ADMIN_ADMIN, &ops, &t);
	}
	t.free_on_ready = false;
}

/* Each allocation fails once: what was begun is released, and the next line runs. */
static void test_no_memory(void **state)
{
	static const char line[] =
		"probe; show env; help; probe endless; nosuch";

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	for (long after = 0;; after++) {
		long asked;

		t.out.size = 0;
		inject_reset();
		inject_arm("malloc", after, 1);
		feed(line);
		for (int i = 0; i < 30; i++)
			turn();
		asked = inject_asked("malloc");
		inject_reset();
		admin_session_interrupt(t.session);
		for (int i = 0; i < 5; i++)
			turn();
		assert_false(admin_session_is_busy(t.session));
		assert_true(is_balanced());
		assert_null(diag_last());
		run_line("probe");
		assert_true(is_balanced());
		if (asked <= after || after == 300)
			break;
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_contexts),      TEST(test_what_leaks_is_seen),
		TEST(test_vanishing),     TEST(test_interrupted),
		TEST(test_back_pressure), TEST(test_turns),
		TEST(test_payload),       TEST(test_freed_by_the_carrier),
		TEST(test_no_memory),
	};

	if (admin_commands_add(&probe) != 0 || admin_commands_add(&leaky) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
