/*
 * $ORIGIN in a runpath: dependencies are found beside the user's file, again and
 * again with level memory.
 * test: timeout 120, soak 900
 */
#include "unit.h"

#include <elf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "cmod/elf_check.h"
#include "cmod_build.h"
#include "leak.h"

enum { WARM = 64, SLACK = 4096 };

/* Of what an appended segment could spoil: zeroed data behind the last one,
 * thread-local data, relocated data, a constructor. */
static const char *const source =
	"int dep(void);\n"
	"static char zeros[50000]; static __thread int local = 3;\n"
	"static int (*table[])(void) = { dep }; static int up;\n"
	"__attribute__((constructor)) static void start(void) { up = 1; }\n"
	"int f(void) { for (int i = 0; i < sizeof zeros; i++)\n"
	"	if (zeros[i]++ != 0) return -1;\n"
	"	return up * 10 * local++ + table[0](); }\n";

/* Makes sub/m.so, which needs sub/deps/libdep.so. */
static int setup(void **state)
{
	(void)state;
	mkdir("sub", 0755);
	mkdir("sub/deps", 0755);
	build_so("sub/deps/libdep.so", "int dep(void) { return 7; }", "");
	return 0;
}

static void build(const char *flags)
{
	char all[300];

	snprintf(all, sizeof all, "-Lsub/deps -ldep %s", flags);
	build_so("sub/m.so", source, all);
}

/* Returns what the function does. */
static int call(const char *path)
{
	struct cmod *m = cmod_load(path, NULL);
	struct cmod_use use;
	int rc;

	if (m == NULL)
		fail_msg("%s", diag_last()->message);
	assert_int_equal(cmod_use_create(&use, m, "f", 1), 0);
	rc = use.code(NULL, NULL, NULL);
	cmod_use_destroy(&use);
	cmod_unref(m);
	return rc;
}

static void expect_error(const char *path, const char *part)
{
	struct error *e;

	assert_null(cmod_load(path, NULL));
	e = diag_take();
	assert_ptr_equal(e->type, &ClientError);
	assert_int_equal(e->code, ER_LOAD_MODULE);
	if (strstr(e->message, part) == NULL)
		fail_msg("'%s' says nothing of '%s'", e->message, part);
	error_unref(e);
}

static void test_spellings(void **state)
{
	static const char *const flags[] = {
		"'-Wl,-rpath,$ORIGIN/deps'",
		"'-Wl,-rpath,${ORIGIN}/deps'",
		"'-Wl,-rpath,/none:$ORIGIN:$ORIGIN/../sub/deps:$ORIGINAL'",
		"'-Wl,-rpath,$ORIGIN/deps' -Wl,--disable-new-dtags",
		/* program headers that name themselves */
		"'-Wl,-rpath,$ORIGIN/deps' -include interp.h",
		"'-Wl,-rpath,$ORIGIN/deps' -Wl,-z,noseparate-code",
	};
	const char *const interp = "static const char interp[] "
				   "__attribute__((section(\".interp\"), "
				   "used)) = \"/lib/ld.so\";\n";

	(void)state;
	file_overwrite("interp.h", interp, strlen(interp));
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		build(flags[i]);
		assert_int_equal(call("./sub/m"), 37);
	}
	unlink("interp.h");
}

/* A dependency that is named, not sought. */
static void test_needed(void **state)
{
	(void)state;
	build_so("sub/deps/libnamed.so", "int dep(void) { return 8; }",
		 "'-Wl,-soname,$ORIGIN/deps/libnamed.so'");
	build_so("sub/m.so", source, "-Lsub/deps -lnamed");
	assert_int_equal(call("./sub/m"), 38);
	unlink("sub/deps/libnamed.so");
}

static void test_missing(void **state)
{
	(void)state;
	build("'-Wl,-rpath,$ORIGIN/nothing'");
	expect_error("./sub/m", "/sub/m.so': libdep.so: cannot open");
}

static void test_folder_names(void **state)
{
	(void)state;
	build("'-Wl,-rpath,$ORIGIN/deps'");
	assert_int_equal(rename("sub", "s:b"), 0);
	expect_error("./s:b/m", "$ORIGIN, and its folder's name has a ':'");
	assert_int_equal(rename("s:b", "s$LIB"), 0);
	expect_error("./s$LIB/m", "$ORIGIN, and its folder's name has a ':'");
	assert_int_equal(rename("s$LIB", "sub"), 0);
}

static void test_amended(void **state)
{
	struct elf_facts facts;
	char *data, *large, reason[256];
	size_t size;

	(void)state;
	build("'-Wl,-rpath,$ORIGIN/deps:${ORIGIN}'");
	data = file_read("sub/m.so", &size);
	assert_int_equal(elf_check(data, size, &facts, reason, sizeof reason),
			 0);
	assert_true(facts.origin);
	assert_int_equal(elf_set_origin(&data, &size, "/folder"), 0);
	assert_non_null(memmem(data, size, "/folder/deps:/folder", 21));
	free(data);
	/* More than the names may take. */
	data = file_read("sub/m.so", &size);
	large = calloc(1, 65536 + 1);
	memset(large, 'x', 65536);
	assert_int_not_equal(elf_set_origin(&data, &size, large), 0);
	free(large);
	free(data);
}

static void test_memory_short(void **state)
{
	size_t size;
	char *data;
	int rc, n = 0;

	(void)state;
	build("'-Wl,-rpath,$ORIGIN/deps'");
	do {
		data = file_read("sub/m.so", &size);
		if (inject_arm("malloc", n, 1) != 0) {
			free(data);
			skip();
		}
		rc = elf_set_origin(&data, &size, "/folder");
		inject_reset();
		free(data);
		n++;
	} while (rc != 0);
	assert_true(n > 2);
}

static void loads(int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(call("./sub/m"), 37);
}

/* Each load would leave a folder in the loader's list, or two. */
static void test_level(void **state)
{
	int count = getenv("NEAP_SOAK") != NULL ? 20000 : 500;
	size_t before, after;

	(void)state;
	build("'-Wl,-rpath,$ORIGIN/deps'");
	loads(WARM);
	before = leak_bytes();
	loads(count);
	after = leak_bytes();
	print_message("%d loads: %zd bytes\n", count,
		      (ssize_t)(after - before));
	assert_in_range(after, before - SLACK, before + SLACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_folder_names),
		cmocka_unit_test(test_amended),
		cmocka_unit_test(test_memory_short),
		cmocka_unit_test(test_level),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
