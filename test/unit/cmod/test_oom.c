/*
 * No memory, at every allocation of a load, a function, a call, a call that
 * waits, a live function and a list, one after the other until all succeed:
 * the error says so, and nothing is left, neither memory nor a descriptor nor
 * an instance.
 *
 * Without sanitizers the C library's own allocations fail as well, those of
 * its loader among them.
 *
 * test: timeout 120, soak 600
 */
#include "unit.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod/live.h"
#include "cmod_build.h"
#include "neap/module.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { ROUNDS_MAX = 10000 };

#ifdef SANITIZED

size_t __sanitizer_get_current_allocated_bytes(void);

static bool arm(long after)
{
	return inject_arm("malloc", after, 1) == 0;
}

static bool disarm(long after)
{
	bool reached = inject_asked("malloc") > after;

	inject_reset();
	return reached;
}

static size_t allocated(void)
{
	return __sanitizer_get_current_allocated_bytes();
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

#define SEEN __attribute__((visibility("default")))

static long countdown = -1; /* allocations until one fails; -1: none does */
static size_t counted;

static bool is_due(void)
{
	if (countdown < 0 || countdown-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

SEEN void *malloc(size_t size)
{
	void *p = is_due() ? NULL : __libc_malloc(size);

	counted += malloc_usable_size(p);
	return p;
}

SEEN void *calloc(size_t count, size_t size)
{
	void *p = is_due() ? NULL : __libc_calloc(count, size);

	counted += malloc_usable_size(p);
	return p;
}

SEEN void *realloc(void *ptr, size_t size)
{
	size_t old_size = malloc_usable_size(ptr);
	void *p = is_due() ? NULL : __libc_realloc(ptr, size);

	if (p != NULL)
		counted += malloc_usable_size(p) - old_size;
	return p;
}

SEEN void free(void *ptr)
{
	counted -= malloc_usable_size(ptr);
	__libc_free(ptr);
}

static bool arm(long after)
{
	countdown = after;
	return true;
}

static bool disarm(long after)
{
	bool reached = countdown < 0;

	(void)after;
	countdown = -1;
	return reached;
}

static size_t allocated(void)
{
	return counted;
}

#endif

static const char *const source =
	"#include <neap/module.h>\n"
	"#include <stdlib.h>\n"
	"static int up(void) { return 0; }\n"
	"NEAP_MODULE(\"oom\", \"1\", up, 0);\n"
	"static char bytes[100000];\n"
	"int echo(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_return_mp(c, a, e) ||\n"
	"	neap_return_mp(c, bytes, bytes + sizeof bytes); }\n"
	"int nap(neap_call_t *c, const char *a, const char *e)\n"
	"{ return neap_fiber_sleep(1) || neap_return_mp(c, a, e); }\n"
	"int fail(neap_call_t *c, const char *a, const char *e)\n"
	"{ return NEAP_ERR(\"%s\", \"bad luck\"); }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static char *build[2];
static size_t build_size[2];

static int host_sleep(struct neap_call *c, uint64_t ns, bool deaf)
{
	(void)c, (void)ns, (void)deaf;
	return 0;
}

static const struct cmod_host test_host = { .sleep = host_sleep };

static int setup(void **state)
{
	(void)state;
	cmod_set_host(&test_host);
	for (int i = 0; i < 2; i++) {
		build_so("m.so", source, i == 0 ? "-O0" : "-O1");
		build[i] = file_read("m.so", &build_size[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		free(build[i]);
	return 0;
}

/* Each returns 0, or -1 with diag set; leaves nothing behind. */

static int do_load(void)
{
	struct cmod *m = cmod_load("./m", NULL);

	cmod_unref(m);
	return m == NULL ? -1 : 0;
}

static int do_load_by_name(void)
{
	struct cmod *m = cmod_load("m", "/nowhere/?.so;./?.so");

	cmod_unref(m);
	return m == NULL ? -1 : 0;
}

static int run_call(const struct cmod_use *use, bool waits)
{
	struct neap_call *c = call_get();
	bool ended;

	if (c == NULL)
		return -1;
	if (buf_append(&c->in, "\x93\x01\x02\x03", 4) != 0) {
		diag_set_oom(4, "arguments");
		call_put(c);
		return -1;
	}
	ended = call_run(c, use, c->in.data, c->in.data + c->in.size, NULL);
	if (!ended) {
		assert_true(waits);
		ended = call_resume(c, 0);
	}
	assert_true(ended);
	if (!call_succeeded(c)) {
		diag_set_error(call_take_error(c));
		call_put(c);
		return -1;
	}
	call_put(c);
	return 0;
}

static int do_call(const char *name)
{
	struct cmod *m = cmod_load("./m", NULL);
	struct cmod_use use;
	int rc;

	if (m == NULL)
		return -1;
	rc = cmod_use_create(&use, m, name, strlen(name));
	cmod_unref(m);
	if (rc == 0)
		rc = run_call(&use, strcmp(name, "nap") == 0);
	cmod_use_destroy(&use);
	call_empty_pool();
	return rc;
}

static int do_echo(void)
{
	return do_call("echo");
}

static int do_nap(void)
{
	return do_call("nap");
}

/* Fails in any case. */
static int do_fail(void)
{
	int rc = do_call("fail");

	assert_int_equal(rc, -1);
	if (strcmp(diag_last()->message, "bad luck") != 0)
		return -1;
	diag_clear();
	return 0;
}

/* A live function bears it: at worst it stays with the build it has. */
static int do_live(void)
{
	static int turn;
	struct cmod_live live;
	int rc;

	rc = cmod_live_create(&live, "./m", NULL, "echo", 4, NULL);
	if (rc != 0)
		return -1;
	turn = !turn;
	file_replace("m.so", build[turn], build_size[turn]);
	for (int i = 0; i < 3; i++)
		cmod_live_follow(&live);
	assert_non_null(live.use.func);
	rc = run_call(&live.use, false);
	cmod_live_destroy(&live);
	call_empty_pool();
	return rc;
}

static void count(const struct cmod_info *info, void *arg)
{
	(void)info;
	++*(int *)arg;
}

static int do_list(void)
{
	struct cmod *m = cmod_load("./m", NULL);
	int n = 0;

	if (m == NULL)
		return -1;
	cmod_list(count, &n);
	assert_int_equal(n, 1);
	cmod_unref(m);
	return 0;
}

static void expect_out_of_memory(long k)
{
	const struct error *e = diag_last();

	assert_non_null(e);
	if (e->type != &OutOfMemory)
		fail_msg("allocation %ld: %s: %s", k, e->type->name,
			 e->message);
	diag_clear();
}

static void sweep(int (*work)(void))
{
	int fds, maps = unit_count_maps(), failed = 0;
	bool reached = true;
	size_t bytes;

	if (!arm(0))
		skip();
	disarm(0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(work(), 0);
		/* The loader frees some of a failed load with the next. */
		assert_null(cmod_load("./nothing", NULL));
		diag_clear();
	}
	fds = unit_open_fds();
	maps = unit_count_maps();
	bytes = allocated();
	for (long k = 0; reached; k++) {
		int rc;

		assert_in_range(k, 0, ROUNDS_MAX);
		arm(k);
		rc = work();
		reached = disarm(k);
		if (rc != 0)
			expect_out_of_memory(k);
		failed += rc != 0;
		assert_int_equal(cmod_live_count(), 0);
		assert_int_equal(unit_open_fds(), fds);
		/* It works at once when there is memory again. */
		assert_int_equal(work(), 0);
		if (allocated() > bytes + 200)
			fail_msg("allocation %ld leaves %zu bytes", k,
				 allocated() - bytes);
	}
#ifndef SANITIZED /* which map as they like */
	assert_int_equal(unit_count_maps(), maps);
#endif
	assert_in_range(maps, 1, 100000);
	assert_int_not_equal(failed, 0);
	print_message("%d failures\n", failed);
}

#define SWEEP(what)                           \
	static void test_##what(void **state) \
	{                                     \
		(void)state;                  \
		sweep(do_##what);             \
	}

SWEEP(load)
SWEEP(load_by_name)
SWEEP(echo)
SWEEP(nap)
SWEEP(fail)
SWEEP(live)
SWEEP(list)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_load_by_name),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_nap),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
