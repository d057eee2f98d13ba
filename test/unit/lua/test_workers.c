/*
 * Workers as the server will have them: threads, each with a loop, a scheduler
 * and a Lua state of its own, that load, call, wait, offload, isolate, follow,
 * watch, list and unload one library at once while it is replaced. Each call
 * must answer the version that its handle's file had; afterwards no instance is
 * left, and descriptors, mappings and memory are what they were.
 *
 * Under the thread sanitizer, also: no race. workers.lua is what they do.
 *
 * test: timeout 180, soak 3600, threads
 */
#include "lua_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cmod/cmod.h"
#include "cmod/isolate_child.h"
#include "cmod_build.h"
#include "leak.h"
#include "neap/module.h"
#include "runtime/pool.h"
#include "tsan_libc.h"

enum {
	WORKERS = 8,
	KINDS = 32,
	/* Stacks of threads that were, arenas, names that the loader keeps:
	 * one lost instance in a hundred is more. */
	SLACK_MAPS = 64,
	SLACK_BYTES = 256 * 1024,
};

static const char *const source =
	"#include <neap/module.h>\n"
	"#include <stdint.h>\n"
	/* The test writes the version behind each of these. */
	"#define MARK { \"version is next\", 0 }\n"
	"struct mark { char text[16]; uint32_t version; };\n"
	"static const volatile struct mark mark_in_text = MARK;\n"
	"volatile struct mark mark_in_data = MARK;\n"
	"static int ups;\n"
	"static int up(void) { return ++ups != 1; }\n"
	"NEAP_MODULE(\"workers\", \"1\", up, 0);\n"
	"static int give(neap_call_t *c, uint32_t n)\n"
	"{ char b[5] = { (char)0xce, n >> 24, n >> 16, n >> 8, n };\n"
	"  return neap_return_mp(c, b, b + 5); }\n"
	"#define F(name) int name(neap_call_t *c, const char *a, const char *e)\n"
	"F(version) { if (mark_in_text.version != mark_in_data.version)\n"
	"	return NEAP_ERR(\"two builds in one\");\n"
	"  return give(c, mark_in_text.version); }\n"
	"F(sum) { uint32_t sum = 0;\n"
	"  while (a < e) sum = sum * 31 + (unsigned char)*a++;\n"
	"  return version(c, a, e) || give(c, sum); }\n"
	"F(nap) { double s = a[1] == (char)0xcb ? 0.001 : 1000;\n"
	"  return neap_fiber_sleep(s) || version(c, a, e); }\n"
	"F(fails) { return NEAP_ERR(\"version %u\", mark_in_data.version); }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(neap_call_t *, const char *,
		      const char *) = neap_return_mp;

static char script[32768];
static char *library;
static size_t library_size;

static atomic_int begun, done, version_written;
static atomic_bool over, failed;
static pthread_barrier_t all;

/* What was done, by name. */
static struct {
	char name[32];
	unsigned count;
} kinds[KINDS];
static pthread_mutex_t kinds_lock = PTHREAD_MUTEX_INITIALIZER;

static int l_begun(lua_State *L)
{
	lua_pushinteger(L, atomic_load(&begun));
	return 1;
}

static int l_done(lua_State *L)
{
	lua_pushinteger(L, atomic_load(&done));
	return 1;
}

static int l_over(lua_State *L)
{
	bool has_failed = atomic_load(&failed);

	lua_pushboolean(L, has_failed || atomic_load(&over));
	lua_pushboolean(L, has_failed);
	return 2;
}

static int l_meet(lua_State *L)
{
	pthread_barrier_wait(&all);
	lua_pushboolean(L, !atomic_load(&failed));
	return 1;
}

static int l_counted(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	int i = 0;

	pthread_mutex_lock(&kinds_lock);
	while (i < KINDS - 1 && kinds[i].name[0] != '\0' &&
	       strcmp(kinds[i].name, name) != 0)
		i++;
	snprintf(kinds[i].name, sizeof kinds[i].name, "%s", name);
	kinds[i].count++;
	pthread_mutex_unlock(&kinds_lock);
	return 0;
}

static unsigned count_of(const char *name)
{
	for (int i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].count;
	}
	return 0;
}

/* What a run is of. */
struct run {
	const char *mode;
	int handles; /* that are made at once */
	int isolate; /* one in so many */
	int rounds;
	int replacements;
	int worker; /* its number */
};

static void push_arguments(lua_State *L, void *arg)
{
	const struct {
		const struct run *run;
		lua_State *to;
	} *a = arg;
	static const luaL_Reg functions[] = {
		{ "begun", l_begun },     { "done", l_done },
		{ "over", l_over },       { "meet", l_meet },
		{ "counted", l_counted },
	};

	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		lua_pushcfunction(L, functions[i].func);
		lua_setglobal(L, functions[i].name);
	}
	lua_pushstring(L, a->run->mode);
	lua_pushinteger(L, a->run->worker);
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, a->run->handles);
	lua_setfield(L, -2, "handles");
	lua_pushinteger(L, a->run->isolate);
	lua_setfield(L, -2, "isolate");
	lua_pushinteger(L, a->run->rounds);
	lua_setfield(L, -2, "rounds");
	lua_xmove(L, a->to, 3);
}

/* Whoever is left would wait for this one for ever. */
static void check_told(const struct run *run)
{
	if (world_told[0] == '\0')
		return;
	fprintf(stderr, "worker %d: %s", run->worker, world_told);
	if (strcmp(run->mode, "race") == 0)
		_exit(1);
	atomic_store(&failed, true);
}

static void *run_worker(void *arg)
{
	const struct run *run = arg;
	struct lua_fiber *f;
	struct {
		const struct run *run;
		lua_State *to;
	} arguments = { run, NULL };

	if (world_create() != 0)
		abort();
	f = world_fiber(script);
	if (f == NULL)
		abort();
	arguments.to = f->co;
	if (lua_vm_protect(&world_vm, push_arguments, &arguments) != 0)
		abort();
	lua_fiber_start(f, 3);
	world_run();
	check_told(run);
	world_destroy();
	return NULL;
}

/* A library whose functions answer that version. */
static void set_version(uint32_t version)
{
	static const char mark[16] = "version is next";
	char *end = library + library_size, *at = library;
	int found = 0;

	while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark)) !=
	       NULL) {
		at += sizeof mark;
		memcpy(at, &version, sizeof version);
		found++;
	}
	assert_int_equal(found, 2);
}

/* A new file in its place, of a time that no other one has. */
static void replace(void)
{
	struct timespec now;
	struct timespec times[2];
	int version = atomic_load(&begun) + 1;

	set_version((uint32_t)version);
	file_overwrite("next", library, library_size);
	clock_gettime(CLOCK_REALTIME, &now);
	times[0] = times[1] = now;
	assert_int_equal(utimensat(AT_FDCWD, "next", times, 0), 0);
	atomic_store(&begun, version);
	assert_int_equal(rename("next", "m.so"), 0);
	atomic_store(&done, version);
}

/* The other one is written into, at times slowly. */
static void write_into(void)
{
	int fd = open("w.so", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	size_t half = library_size / 2;

	set_version((uint32_t)atomic_fetch_add(&version_written, 1));
	assert_true(fd >= 0);
	if (atomic_load(&version_written) % 2 == 0)
		assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(write(fd, library, half), half);
	usleep(500);
	assert_int_equal(write(fd, library + half, library_size - half),
			 library_size - half);
	close(fd);
}

static void replace_many(const struct run *run)
{
	for (int i = 0; i < run->replacements && !atomic_load(&failed); i++) {
		replace();
		if (i % 5 == 0)
			write_into();
		usleep(1000);
	}
	atomic_store(&over, true);
}

static void race(const struct run *run)
{
	for (int i = 1; i <= run->rounds; i++) {
		replace();
		pthread_barrier_wait(&all);
		if (i % 2 == 1)
			replace();
		pthread_barrier_wait(&all);
		pthread_barrier_wait(&all);
	}
}

/* All workers and, in this thread, who replaces the file. */
static void run_all(const struct run *run, void (*replacer)(const struct run *))
{
	pthread_t threads[WORKERS];
	struct run runs[WORKERS];

	atomic_store(&over, false);
	for (int i = 0; i < WORKERS; i++) {
		runs[i] = *run;
		runs[i].worker = i;
		assert_int_equal(pthread_create(&threads[i], NULL, run_worker,
						&runs[i]),
				 0);
	}
	replacer(run);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(pool_stop(30000000000u, NULL, NULL), 0);
	assert_false(atomic_load(&failed));
	assert_int_equal(cmod_live_count(), 0);
}

struct level {
	size_t bytes;
	int maps;
	int fds;
};

static struct level measure(void)
{
	return (struct level){ leak_bytes(), unit_count_maps(),
			       unit_open_fds() };
}

static void expect_level(const struct level *before)
{
	struct level after = measure();

	print_message("%zu bytes, %d mappings, %d descriptors; before: %zu, "
		      "%d, %d\n",
		      after.bytes, after.maps, after.fds, before->bytes,
		      before->maps, before->fds);
	assert_int_equal(after.fds, before->fds);
	assert_true(after.bytes < before->bytes + SLACK_BYTES);
#ifndef LEAK_SANITIZED /* which map as they like */
	assert_true(after.maps < before->maps + SLACK_MAPS);
#endif
}

/* At once, in each of 32 fibers. (With 10,000 the thread sanitizer comes to
 * nothing else in the time there is.) */
#ifdef __SANITIZE_THREAD__
enum { HANDLES = 1000 };
#else
enum { HANDLES = 10000 };
#endif

static bool soak(void)
{
	return getenv("NEAP_SOAK") != NULL;
}

static void test_all_at_once(void **state)
{
	static const char *const wanted[] = {
		"loads",     "cached", "orphan",      "many handles",
		"sleeps",    "errors", "overwritten", "live",
		"cancelled", "listed", "offloaded",   "isolated",
	};
	struct run run = {
		.mode = "attack",
		.handles = soak() ? HANDLES : 200,
		.isolate = 4,
		.replacements = 50,
	};
	struct level before;

	(void)state;
	run_all(&run, replace_many); /* caches and threads */
	before = measure();
	run.replacements = soak() ? 20000 : 1000;
	run_all(&run, replace_many);
	for (int i = 0; i < KINDS && kinds[i].count > 0; i++)
		print_message("%u %s, ", kinds[i].count, kinds[i].name);
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		if (count_of(wanted[i]) == 0)
			fail_msg("none %s", wanted[i]);
	}
	expect_level(&before);
}

static void test_race(void **state)
{
	struct run run = { .mode = "race", .rounds = 20 };
	struct level before;

	(void)state;
	assert_false(atomic_load(&failed)); /* nobody would come */
	pthread_barrier_init(&all, NULL, WORKERS + 1);
	run_all(&run, race);
	before = measure();
	run.rounds = soak() ? 20000 : 400;
	run_all(&run, race);
	assert_int_equal(count_of("races"), WORKERS * (20 + run.rounds));
	expect_level(&before);
	pthread_barrier_destroy(&all);
}

static int setup(void **state)
{
	const char *dir = getenv("NEAP_SOURCE_DIR");
	char path[512];
	size_t size;
	char *text;

	(void)state;
	snprintf(path, sizeof path, "%s/test/unit/lua/workers.lua",
		 dir == NULL ? "." : dir);
	text = file_read(path, &size);
	assert_in_range(size, 1, sizeof script - 1);
	memcpy(script, text, size);
	free(text);
	build_so("library", source, "-O1");
	library = file_read("library", &library_size);
	file_overwrite("bad.so", library, library_size / 2);
	replace();
	write_into();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(library);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_race),
	};

	/* A helper process is this program anew. */
	if (isolate_is_child(argc, argv))
		return isolate_child_run();
	return cmocka_run_group_tests(tests, setup, teardown);
}
