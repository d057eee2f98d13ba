/*
 * Calls and their C stacks, with a host of the test's own instead of fibers:
 * what is put aside goes on when the test says so. With NEAP_CSTACK_UCONTEXT
 * (test_call_ucontext.c) the same over the portable switch.
 */
#include "unit.h"

#include <errno.h>
#include <fenv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod_build.h"
#include "neap/module.h"

static const char *const source =
	"#include <neap/module.h>\n"
	"#include <fenv.h>\n"
	"#include <string.h>\n"
	"#include <unwind.h>\n"
	"#define F(name) int name(neap_call_t *c, const char *a, "
	"const char *e)\n"
	"F(one) { return neap_return_mp(c, \"\\1\", \"\\1\" + 1); }\n"
	"F(nap) { return neap_fiber_sleep(1); }\n"
	"F(nap3) { return neap_fiber_sleep(1) || neap_fiber_yield() || "
	"neap_fiber_sleep(2); }\n"
	"F(wait) { return neap_wait_fd(5, NEAP_READ | NEAP_WRITE, 0.5); }\n"
	"F(bad_wait) { return neap_wait_fd(5, 64, 0.5); }\n"
	"F(results) { static char b[250]; return "
	"neap_return_mp(c, b, b + 100) || neap_return_mp(c, b, b + 250); }\n"
	"F(backwards) { return neap_return_mp(c, e, a); }\n"
	"F(endless) { return neap_return_mp(c, a, a) || "
	"neap_return_mp(c, 0, (char *)-1); }\n"
	"F(err) { return NEAP_ERR(\"no %d\", 1); }\n"
	"F(nap_err) { neap_error_set(\"x.c\", 3, 4, \"kept\"); "
	"neap_fiber_sleep(1); return 1; }\n"
	"F(rounding) { double x = 1, y = 3; volatile double q;\n"
	"fesetround(FE_UPWARD); neap_fiber_sleep(1); q = x / y;\n"
	"x = fegetround() == FE_UPWARD; fesetround(FE_TONEAREST); "
	"return !x; }\n"
	"F(registers) { long v[12]; int i;\n"
	"for (i = 0; i < 12; i++) v[i] = a[i % 3] * 1000 + i;\n"
	"neap_fiber_sleep(1);\n"
	"for (i = 0; i < 12; i++) if (v[i] != a[i % 3] * 1000 + i) return 1;\n"
	"return 0; }\n"
	"static int dig(int n) { volatile char b[1000]; memset((char *)b, n, "
	"1000);\n"
	"return n == 0 ? b[5] : dig(n - 1) + b[n % 1000]; }\n"
	"static _Unwind_Reason_Code frame(struct _Unwind_Context *u, void *w)\n"
	"{ void *ip = (char *)_Unwind_GetIP(u) - 1;\n"
	"if (_Unwind_FindEnclosingFunction(ip) == *(void **)w)\n"
	"*(void **)w = 0;\n"
	"return _URC_NO_REASON; }\n"
	"static int is_below(const char *a) { void *w; memcpy(&w, a, sizeof w);\n"
	"_Unwind_Backtrace(frame, &w); return w == 0; }\n"
	"F(walk) { if (!is_below(a)) return 1; neap_fiber_sleep(1);\n"
	"return is_below(a) || !is_below(a + sizeof a); }\n"
	"F(deep) { return dig(200) == -12345; }\n"
	"F(overflow) { return dig(100000); }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static struct {
	int sleeps, yields, fds;
	uint64_t last_ns;
	int last_fd, last_events;
	int events; /* for end_wait_fd() */
	bool refuse;
} told;

static int begin(void)
{
	if (!told.refuse)
		return 0;
	diag_set(IllegalParams, "refused");
	return -1;
}

static int host_sleep(struct neap_call *c, uint64_t ns, bool deaf)
{
	(void)c, (void)deaf;
	told.sleeps++;
	told.last_ns = ns;
	return begin();
}

static int host_yield(struct neap_call *c, bool deaf)
{
	(void)c, (void)deaf;
	told.yields++;
	return begin();
}

static int host_wait_fd(struct neap_call *c, int fd, int events, uint64_t ns,
			bool deaf)
{
	(void)c, (void)deaf;
	told.fds++;
	told.last_fd = fd;
	told.last_events = events;
	told.last_ns = ns;
	return begin();
}

static int host_end_wait_fd(struct neap_call *c)
{
	(void)c;
	return told.events;
}

static const struct cmod_host test_host = {
	.sleep = host_sleep,
	.yield = host_yield,
	.wait_fd = host_wait_fd,
	.end_wait_fd = host_end_wait_fd,
};

static struct cmod *module;

static int setup_module(void **state)
{
	(void)state;
	build_so("call.so", source, "-O1 -lm");
	cmod_set_host(&test_host);
	module = cmod_load("./call", NULL);
	return module == NULL;
}

static int teardown_module(void **state)
{
	(void)state;
	cmod_unref(module);
	call_empty_pool();
	return cmod_live_count() != 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&told, 0, sizeof told);
	return 0;
}

/* Begin a call of @a name; *ret_use holds the function. */
static struct neap_call *start(const char *name, struct cmod_use *ret_use,
			       bool *ret_ended)
{
	struct neap_call *c = call_get();

	assert_non_null(c);
	assert_int_equal(cmod_use_create(ret_use, module, name, strlen(name)),
			 0);
	buf_append(&c->in, "\x93\x01\x02\x03", 4);
	*ret_ended =
		call_run(c, ret_use, c->in.data, c->in.data + c->in.size, NULL);
	assert_null(call_current);
	return c;
}

static void expect_error(struct neap_call *c, const struct error_type *type,
			 const char *message)
{
	struct error *e;

	assert_false(call_succeeded(c));
	e = call_take_error(c);
	assert_ptr_equal(e->type, type);
	assert_string_equal(e->message, message);
	error_unref(e);
}

static void test_plain(void **state)
{
	struct neap_call *c, *again;
	struct cmod_use use;
	bool ended;

	(void)state;
	c = start("one", &use, &ended);
	assert_true(ended && call_succeeded(c));
	assert_int_equal(c->results, 1);
	assert_int_equal(c->out.size, sizeof(call_size_t) + 1);
	call_put(c);
	cmod_use_destroy(&use);
	again = start("one", &use, &ended);
	assert_ptr_equal(c, again); /* used again, and empty */
	assert_int_equal(c->results, 1);
	call_put(c);
	cmod_use_destroy(&use);
	c = start("deep", &use, &ended);
	assert_true(ended && call_succeeded(c));
	assert_int_equal(c->results, 0);
	call_put(c);
	cmod_use_destroy(&use);
}

#ifdef CSTACK_X86_64

static __attribute__((noinline)) bool
enter(struct neap_call *c, struct cmod_use *use, const char *args, size_t size)
{
	bool ended = call_run(c, use, args, args + size, NULL);

	__asm__ volatile(""); /* no call in place of a return */
	return ended;
}

static __attribute__((noinline)) bool go_on(struct neap_call *c)
{
	bool ended = call_resume(c, 0);

	__asm__ volatile("");
	return ended;
}

/* Who walks the stack of a function finds who runs it: first the one that has
 * entered it, then the one that has resumed it. */
static void test_walk(void **state)
{
	void *runners[2] = { (void *)enter, (void *)go_on };
	struct neap_call *c = call_get();
	struct cmod_use use;

	(void)state;
	assert_int_equal(cmod_use_create(&use, module, "walk", 4), 0);
	assert_false(enter(c, &use, (char *)runners, sizeof runners));
	assert_int_equal(told.sleeps, 1);
	assert_true(go_on(c) && call_succeeded(c));
	call_put(c);
	cmod_use_destroy(&use);
}

#endif

static void test_errors(void **state)
{
	struct cmod_use use;
	struct neap_call *c;
	bool ended;

	(void)state;
	c = start("err", &use, &ended);
	assert_true(ended);
	expect_error(c, &ClientError, "no 1");
	call_put(c);
	cmod_use_destroy(&use);
	c = start("bad_wait", &use, &ended);
	assert_true(ended);
	expect_error(c, &IllegalParams,
		     "wait for a descriptor: events 64 are not NEAP_READ, "
		     "NEAP_WRITE or both");
	call_put(c);
	cmod_use_destroy(&use);
}

/* Results have a limit together; what is too large is named. */
static void test_limits(void **state)
{
	struct cmod_use use;
	struct neap_call *c;
	bool ended;

	(void)state;
	c = call_get();
	assert_non_null(c);
	c->out.limit = 300;
	call_put(c); /* the next one is this one */
	c = start("results", &use, &ended);
	assert_true(ended);
	expect_error(
		c, &ClientError,
		"result 2 has 250 bytes: at most 300 are allowed for all "
		"results of a call, and 104 are taken; give it in parts, by "
		"several calls");
	call_init(c);
	call_put(c);
	cmod_use_destroy(&use);
	c = start("backwards", &use, &ended);
	assert_true(ended);
	expect_error(c, &ClientError,
		     "neap_return_mp: the end of result 1 lies before its "
		     "begin");
	call_put(c);
	cmod_use_destroy(&use);
	/* With its head, so many bytes are three. */
	c = start("endless", &use, &ended);
	assert_true(ended);
	expect_error(c, &ClientError,
		     "result 2 has 18446744073709551615 bytes: at most "
		     "1073741824 are allowed for all results of a call, and 4 "
		     "are taken; give it in parts, by several calls");
	call_put(c);
	cmod_use_destroy(&use);
}

static void test_wait(void **state)
{
	struct neap_call *a, *b;
	struct cmod_use use_a, use_b;
	bool ended;

	(void)state;
	a = start("nap3", &use_a, &ended);
	assert_false(ended);
	assert_int_equal(told.sleeps, 1);
	assert_int_equal(told.last_ns, 1000000000);
	/* Another one meanwhile, on a stack of its own; ends first. */
	b = start("nap", &use_b, &ended);
	assert_false(ended);
	assert_ptr_not_equal(a, b);
	cmod_use_destroy(&use_b); /* the call holds the function */
	cmod_use_destroy(&use_a);
	assert_false(call_resume(a, UV_ETIMEDOUT));
	assert_int_equal(told.yields, 1);
	assert_true(call_resume(b, 0));
	assert_true(call_succeeded(b));
	call_put(b);
	assert_false(call_resume(a, 0));
	assert_int_equal(told.last_ns, 2000000000);
	assert_true(call_resume(a, UV_ETIMEDOUT));
	assert_true(call_succeeded(a));
	call_put(a);
}

static void test_cancel(void **state)
{
	struct cmod_use use;
	struct neap_call *c;
	bool ended;

	(void)state;
	c = start("nap3", &use, &ended);
	assert_true(call_resume(c, UV_ECANCELED));
	expect_error(c, &FiberIsCancelled, "fiber is cancelled");
	call_put(c);
	cmod_use_destroy(&use);
	told.refuse = true;
	c = start("nap", &use, &ended);
	assert_true(ended);
	expect_error(c, &IllegalParams, "refused");
	call_put(c);
	cmod_use_destroy(&use);
	told.refuse = false;
	c = start("nap_err", &use, &ended);
	assert_false(ended);
	assert_true(call_resume(c, 0));
	expect_error(c, &ClientError, "kept");
	call_put(c);
	cmod_use_destroy(&use);
}

static void test_wait_fd(void **state)
{
	struct cmod_use use;
	struct neap_call *c;
	bool ended;

	(void)state;
	c = start("wait", &use, &ended);
	assert_false(ended);
	assert_int_equal(told.last_fd, 5);
	assert_int_equal(told.last_events, NEAP_READ | NEAP_WRITE);
	assert_int_equal(told.last_ns, 500000000);
	told.events = NEAP_WRITE;
	assert_true(call_resume(c, 0));
	assert_int_equal(c->stack.result, NEAP_WRITE);
	call_put(c);
	cmod_use_destroy(&use);
	told.events = 0;
	c = start("wait", &use, &ended);
	assert_true(call_resume(c, UV_ETIMEDOUT));
	assert_int_equal(c->stack.result, 0);
	call_put(c);
	cmod_use_destroy(&use);
}

/* What a function has set of the processor is its own while it waits. */
static void test_state_of_processor(void **state)
{
	struct cmod_use use;
	struct neap_call *c;
	bool ended;

	(void)state;
	assert_int_equal(fegetround(), FE_TONEAREST);
	c = start("rounding", &use, &ended);
	assert_false(ended);
	assert_int_equal(fegetround(), FE_TONEAREST);
	assert_true(call_resume(c, 0));
	assert_true(call_succeeded(c));
	assert_int_equal(fegetround(), FE_TONEAREST);
	call_put(c);
	cmod_use_destroy(&use);
	c = start("registers", &use, &ended);
	assert_false(ended);
	assert_true(call_resume(c, 0));
	assert_true(call_succeeded(c));
	call_put(c);
	cmod_use_destroy(&use);
}

static void test_many(void **state)
{
	enum { COUNT = 600 };
	static struct neap_call *calls[COUNT];
	static struct cmod_use uses[COUNT];
	bool ended;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		calls[i] = start("nap3", &uses[i], &ended);
		assert_false(ended);
		cmod_use_destroy(&uses[i]);
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++)
			assert_false(call_resume(calls[i], 0));
	}
	for (int i = COUNT; i-- > 0;) {
		assert_true(call_resume(calls[i], 0));
		assert_true(call_succeeded(calls[i]));
		call_put(calls[i]);
	}
	/* A burst does not hold its memory for ever. */
	assert_non_null(call_spare);
	assert_in_range(call_idle, 1, 256);
}

static void test_abandon(void **state)
{
	struct cmod_use use;
	struct neap_call *c;
	bool ended;

	(void)state;
	c = start("nap", &use, &ended);
	assert_false(ended);
	cmod_use_destroy(&use);
	call_abandon(c);
}

static void test_no_memory(void **state)
{
	struct error *e;

	(void)state;
	call_empty_pool();
	if (inject_arm("cmod.stack", 0, 1) != 0)
		skip();
	assert_null(call_get());
	e = diag_take();
	assert_ptr_equal(e->type, &OutOfMemory);
	error_unref(e);
	inject_reset();
	inject_arm("malloc", 0, 1);
	assert_null(call_get());
	error_unref(diag_take());
	inject_reset();
}

static void test_outside(void **state)
{
	static const char one[] = "\x01";
	struct error *e;

	(void)state;
	call_outside_begin();
	assert_int_equal(neap_fiber_sleep(1), -1);
	e = call_outside_error();
	assert_ptr_equal(e->type, &IllegalParams);
	error_unref(e);
	assert_int_equal(neap_return_mp(NULL, one, one + 1), -1);
	call_outside_begin();
}

/* The guard ends it by a signal at once, with nothing overwritten. */
static void test_overflow(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct cmod_use use;
		bool ended;

		signal(SIGSEGV, SIG_DFL);
		close(STDERR_FILENO);
		start("overflow", &use, &ended);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_not_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_plain, setup),
#ifdef CSTACK_X86_64
		cmocka_unit_test_setup(test_walk, setup),
#endif
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_wait, setup),
		cmocka_unit_test_setup(test_cancel, setup),
		cmocka_unit_test_setup(test_wait_fd, setup),
		cmocka_unit_test_setup(test_state_of_processor, setup),
		cmocka_unit_test_setup(test_many, setup),
		cmocka_unit_test_setup(test_abandon, setup),
		cmocka_unit_test_setup(test_no_memory, setup),
		cmocka_unit_test_setup(test_outside, setup),
		cmocka_unit_test_setup(test_overflow, setup),
	};

	return cmocka_run_group_tests(tests, setup_module, teardown_module);
}
