/*
 * Thousands of replacements and loads while calls wait inside the builds before:
 * mappings, descriptors and instances stay level to the last one, memory to less
 * than a byte a cycle: the names that the loader keeps differ in length. A twin
 * leaks on purpose, and is seen.
 *
 * test: timeout 120, soak 1800
 */
#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod_build.h"
#include "leak.h"
#include "neap/module.h"

enum { WAITING = 8, BUILDS = 3, WARM = 64, SLACK = 1024 };

static const char *const source =
	"#include <neap/module.h>\n"
	"int nap(neap_call_t *c, const char *a, const char *e)\n"
	"{ char n = VERSION; return neap_fiber_sleep(1) ||\n"
	"	neap_return_mp(c, &n, &n + 1); }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static char *build[BUILDS];
static size_t build_size[BUILDS];

/* Calls in progress, the oldest first, and what they must answer. */
static struct neap_call *waiting[WAITING];
static int version[WAITING];

struct level {
	size_t bytes;
	int maps;
	int fds;
	unsigned instances;
};

static int host_sleep(struct neap_call *c, uint64_t ns, bool deaf)
{
	(void)c, (void)ns, (void)deaf;
	return 0;
}

static const struct cmod_host test_host = { .sleep = host_sleep };

static struct level measure(void)
{
	return (struct level){
		.bytes = leak_bytes(),
		.maps = unit_count_maps(),
		.fds = unit_open_fds(),
		.instances = cmod_live_count(),
	};
}

static void end_oldest(int i)
{
	struct neap_call *c = waiting[i];

	if (c == NULL)
		return;
	waiting[i] = NULL;
	assert_true(call_resume(c, 0));
	assert_true(call_succeeded(c));
	assert_int_equal(c->out.data[sizeof(call_size_t)], version[i]);
	call_put(c);
}

/* Replace, load, begin a call, let go of all handles; end the oldest call. */
static void cycle(int n)
{
	struct cmod_use use;
	struct cmod *m;
	int i = n % WAITING;

	end_oldest(i);
	if (n % 2 == 0)
		file_replace("m.so", build[n % BUILDS], build_size[n % BUILDS]);
	else
		file_overwrite("m.so", build[n % BUILDS],
			       build_size[n % BUILDS]);
	m = cmod_load("./m", NULL);
	assert_non_null(m);
	assert_int_equal(cmod_use_create(&use, m, "nap", 3), 0);
	waiting[i] = call_get();
	assert_int_equal(buf_append(&waiting[i]->in, "\x90", 1), 0);
	assert_false(call_run(waiting[i], &use, NULL, NULL, NULL));
	version[i] = n % BUILDS + 1;
	cmod_use_destroy(&use);
	cmod_unref(m);
}

static void run(int cycles)
{
	for (int n = 0; n < cycles; n++)
		cycle(n);
}

static int setup(void **state)
{
	char flags[32];

	(void)state;
	cmod_set_host(&test_host);
	for (int i = 0; i < BUILDS; i++) {
		snprintf(flags, sizeof flags, "-DVERSION=%d", i + 1);
		build_so("m.so", source, flags);
		build[i] = file_read("m.so", &build_size[i]);
	}
	run(WARM * BUILDS * WAITING / 8);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < WAITING; i++)
		end_oldest(i);
	for (int i = 0; i < BUILDS; i++)
		free(build[i]);
	call_empty_pool();
	assert_int_equal(cmod_live_count(), 0);
	return 0;
}

static void test_level(void **state)
{
	/* A whole number of turns: each place holds what it held before. */
	int cycles =
		(getenv("NEAP_SOAK") != NULL ? 450 : 45) * WAITING * BUILDS;
	struct level before, after;

	(void)state;
	before = measure();
	run(cycles);
	after = measure();
	print_message("%d cycles: %zu bytes, %d mappings, %d descriptors, %u "
		      "instances\n",
		      cycles, after.bytes, after.maps, after.fds,
		      after.instances);
	assert_in_range(after.bytes, before.bytes - SLACK,
			before.bytes + SLACK);
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.instances, before.instances);
	assert_int_equal(after.instances, WAITING);
#ifndef LEAK_SANITIZED /* which map as they like */
	assert_int_equal(after.maps, before.maps);
#endif
}

/* One unit of each, leaked on purpose. */
static void test_twin(void **state)
{
	const int turn = WAITING * BUILDS;
	struct level before = measure(), after;
	struct cmod *m;
	void *bytes[100], *map;
	int fd;

	(void)state;
	for (int i = 0; i < 100; i++) { /* the smallest, each turn */
		run(turn);
		bytes[i] = mem_alloc(24);
	}
	assert_true(measure().bytes > before.bytes + SLACK);
	for (int i = 0; i < 100; i++)
		mem_free(bytes[i]);

	fd = dup(0);
	run(turn);
	assert_int_not_equal(measure().fds, before.fds);
	close(fd);

	map = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(map, 4096, PROT_READ);
	assert_int_not_equal(unit_count_maps(), before.maps);
	munmap(map, 4096);

	m = cmod_load("./m", NULL);
	run(turn);
	after = measure();
	assert_int_equal(after.instances, before.instances + 1);
	assert_true(after.bytes > before.bytes + SLACK);
	assert_int_not_equal(after.fds, before.fds);
	assert_int_not_equal(after.maps, before.maps);
	cmod_unref(m);
	assert_in_range(measure().bytes, before.bytes - SLACK,
			before.bytes + SLACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_twin),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
