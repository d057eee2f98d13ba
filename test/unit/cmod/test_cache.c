/*
 * The cache: what reloads and what does not, orphans, references, failures.
 * test: timeout 120
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "cmod_build.h"
#include "neap/module.h"

static const char *const source =
	"#include <neap/module.h>\n"
	"#include <stdio.h>\n"
	"int data_symbol = 5;\n"
	"static int counter;\n"
	"int version(neap_call_t *c, const char *a, const char *e)\n"
	"{ return VERSION; }\n"
	"int count(neap_call_t *c, const char *a, const char *e)\n"
	"{ if (counter < 0) printf(\"%d\", counter); return ++counter; }\n";

/* What modules call must be linked into this program, and exported. */
int (*const exported)(const char *, unsigned, uint32_t, const char *,
		      ...) = neap_error_set;

static void make(const char *so, int version)
{
	char flags[32];

	snprintf(flags, sizeof flags, "-DVERSION=%d", version);
	build_so(so, source, flags);
}

static int call(const struct cmod_use *use)
{
	return use->code(NULL, NULL, NULL);
}

static int version_of(struct cmod *m)
{
	struct cmod_use use;
	int version;

	assert_int_equal(cmod_use_create(&use, m, "version", 7), 0);
	version = call(&use);
	cmod_use_destroy(&use);
	return version;
}

/* Takes the error of a failed call and checks what it says. */
static void expect_error(const struct error_type *type, uint32_t code,
			 const char *part)
{
	struct error *e = diag_take();

	if (e->type != type || e->code != code ||
	    strstr(e->message, part) == NULL)
		fail_msg("got %s %u: %s", e->type->name, e->code, e->message);
	error_unref(e);
}

static int setup_files(void **state)
{
	(void)state;
	make("v1.so", 1);
	make("v2.so", 2);
	make("v3.so", 3);
	return 0;
}

static int setup(void **state)
{
	file_copy("v1.so", "m.so");
	*state = (void *)(intptr_t)unit_open_fds();
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(cmod_live_count(), 0);
	assert_int_equal(unit_open_fds(), (intptr_t)*state);
	inject_reset();
	return 0;
}

static void test_same_instance(void **state)
{
	struct cmod *a, *b, *c, *d;

	(void)state;
	a = cmod_load("./m", NULL);
	assert_non_null(a);
	b = cmod_load("./m", NULL);
	c = cmod_load("m", NULL);
	assert_int_equal(symlink("m.so", "link.so"), 0);
	d = cmod_load("./link", NULL);
	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	assert_ptr_equal(a, d);
	assert_int_equal(cmod_live_count(), 1);
	assert_true(cmod_is_cached(a));
	cmod_unref(a);
	cmod_unref(b);
	cmod_unref(c);
	assert_int_equal(version_of(d), 1);
	cmod_unref(d);
	unlink("link.so");
}

static void test_reload(void **state)
{
	struct cmod *a, *b, *c;
	struct cmod_use use;

	(void)state;
	a = cmod_load("./m", NULL);
	assert_int_equal(cmod_use_create(&use, a, "count", 5), 0);
	assert_int_equal(call(&use), 1);

	assert_int_equal(chmod("m.so", 0700), 0);
	b = cmod_load("./m", NULL);
	assert_ptr_equal(a, b);
	cmod_unref(b);

	file_copy("v2.so", "m.so");
	b = cmod_load("./m", NULL);
	assert_ptr_not_equal(a, b);
	assert_false(cmod_is_cached(a));
	assert_true(cmod_is_cached(b));
	assert_int_equal(version_of(a), 1);
	assert_int_equal(version_of(b), 2);
	assert_int_equal(call(&use), 2); /* the orphan's own data */

	/* A new instance has data of its own, and the orphan's end does not
	 * take it out of the cache. */
	cmod_use_destroy(&use);
	cmod_unref(a);
	assert_int_equal(cmod_live_count(), 1);
	c = cmod_load("./m", NULL);
	assert_ptr_equal(b, c);
	cmod_unref(c);

	file_age("m.so"); /* as touch(1) does */
	c = cmod_load("./m", NULL);
	assert_ptr_not_equal(b, c);
	cmod_unref(b);
	cmod_unref(c);
}

/* Overwritten in place while its functions are in use: the copy is ours. */
static void test_overwrite(void **state)
{
	struct cmod_use use;
	struct cmod *a, *b;
	size_t size;
	char *data;

	(void)state;
	a = cmod_load("./m", NULL);
	assert_int_equal(cmod_use_create(&use, a, "version", 7), 0);
	data = file_read("v2.so", &size);
	file_overwrite("m.so", data, size);
	assert_int_equal(call(&use), 1);
	b = cmod_load("./m", NULL);
	assert_int_equal(version_of(b), 2);
	memset(data, 0, size);
	file_overwrite("m.so", data, size);
	assert_int_equal(truncate("m.so", 100), 0);
	assert_int_equal(call(&use), 1);
	assert_int_equal(version_of(b), 2);
	free(data);
	cmod_use_destroy(&use);
	cmod_unref(a);
	cmod_unref(b);
}

/* Nothing but the bytes tells the file from what was loaded. */
static bool same_identity(struct cmod *m, const char *path)
{
	struct identity id;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	id = identity_of(&st);
	return identity_equal(&id, cmod_identity(m));
}

/* Same size, same inode, and a time put back: young, so its bytes decide. */
static void test_same_time(void **state)
{
	struct timespec t[2];
	struct cmod *a, *b;
	struct stat st;
	size_t size;
	char *data;

	(void)state;
	a = cmod_load("./m", NULL);
	assert_int_equal(stat("m.so", &st), 0);
	data = file_read("v2.so", &size);
	assert_int_equal(size, st.st_size);
	file_overwrite("m.so", data, size);
	t[0] = t[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, "m.so", t, 0), 0);
	usleep(60000); /* comparisons are made that far apart */
	b = cmod_load("./m", NULL);
	assert_int_equal(version_of(b), 2);
	free(data);
	cmod_unref(a);
	cmod_unref(b);
}

/* Young when its bytes were read, though not any more when the load is over. */
static void test_slow_load(void **state)
{
	static const char slow[] =
		"#include <unistd.h>\n"
		"__attribute__((constructor)) static void nap(void)\n"
		"{ usleep(VERSION == 1 ? 2100000 : 0); }\n"
		"int version(void) { return VERSION; }\n";
	struct timespec t[2] = { 0 };
	struct cmod *a, *b;
	size_t size;
	char *data;

	(void)state;
	build_so("m.so", slow, "-DVERSION=2");
	data = file_read("m.so", &size);
	build_so("m.so", slow, "-DVERSION=1");
	t[0].tv_sec = t[1].tv_sec = time(NULL) - 1;
	assert_int_equal(utimensat(AT_FDCWD, "m.so", t, 0), 0);
	a = cmod_load("./m", NULL);
	assert_int_equal(version_of(a), 1);
	file_overwrite("m.so", data, size);
	assert_int_equal(utimensat(AT_FDCWD, "m.so", t, 0), 0);
	assert_true(same_identity(a, "m.so"));
	usleep(60000); /* comparisons are made that far apart */
	b = cmod_load("./m", NULL);
	assert_int_equal(version_of(b), 2);
	free(data);
	cmod_unref(a);
	cmod_unref(b);
}

static void test_bad_file_changes_nothing(void **state)
{
	struct cmod *a, *b;
	size_t size;
	char *data;

	(void)state;
	a = cmod_load("./m", NULL);
	data = file_read("v2.so", &size);
	file_replace("m.so", data, size / 2);
	assert_null(cmod_load("./m", NULL));
	expect_error(&ClientError, ER_LOAD_MODULE, "truncated");
	assert_true(cmod_is_cached(a));
	assert_int_equal(version_of(a), 1);
	file_replace("m.so", data, size);
	b = cmod_load("./m", NULL);
	assert_int_equal(version_of(b), 2);
	assert_false(cmod_is_cached(a));
	free(data);
	cmod_unref(a);
	cmod_unref(b);
}

/* Each load answers its own version, every descriptor closed before the next:
 * the loader must not mistake a path it has seen for the library it was. */
static void test_ten_versions(void **state)
{
	char so[16];

	(void)state;
	for (int i = 1; i <= 10; i++) {
		struct cmod *m;

		snprintf(so, sizeof so, "t%d.so", i);
		make(so, 100 + i);
		file_copy(so, "m.so");
		m = cmod_load("./m", NULL);
		assert_non_null(m);
		assert_int_equal(version_of(m), 100 + i);
		cmod_unref(m);
		unlink(so);
	}
}

struct told {
	int count;
	struct cmod_info last;
	unsigned unloaded;
};

static void tell(const struct cmod_info *info, void *arg)
{
	struct told *told = arg;

	if (info->unloaded) {
		assert_true(info->never_closes);
		assert_false(info->cached);
		assert_int_equal(info->refs, 0);
		assert_string_equal(info->path, "./m");
		told->unloaded++;
		return;
	}
	told->count++;
	told->last = *info;
}

/* A library that the loader keeps for good keeps its path, too: a descriptor
 * that is used again must not lead to it. */
static void test_never_closes(void **state)
{
	struct told told = { 0 };
	char flags[64];
	unsigned before;

	(void)state;
	cmod_list(tell, &told);
	before = told.unloaded;
	for (int i = 1; i <= 3; i++) {
		struct cmod *m;

		snprintf(flags, sizeof flags, "-DVERSION=%d -Wl,-z,nodelete",
			 200 + i);
		build_so("m.so", source, flags);
		m = cmod_load("./m", NULL);
		assert_int_equal(version_of(m), 200 + i);
		cmod_list(tell, &told);
		assert_true(told.last.never_closes);
		cmod_unref(m);
		told.unloaded = told.count = 0;
		cmod_list(tell, &told);
		assert_int_equal(told.count, 0);
		assert_int_equal(told.unloaded, before + i);
	}
}

/* A unique symbol that is bound keeps its library; one that nothing refers to
 * does not. */
static void test_unique(void **state)
{
	static const char *const text =
		"asm(\".globl u; .type u, @gnu_unique_object; .data;\"\n"
		"    \".size u, 4; u: .long 1; .text\"); extern int u;\n"
		"int f(void) { return BODY; }\n";
	struct told told = { 0 };
	unsigned before;

	(void)state;
	cmod_list(tell, &told);
	before = told.unloaded;
	for (int bound = 0; bound <= 1; bound++) {
		struct cmod *m;

		build_so("m.so", text, bound ? "-DBODY=u" : "-DBODY=1");
		m = cmod_load("./m", NULL);
		assert_non_null(m);
		told.unloaded = 0;
		cmod_list(tell, &told);
		assert_true(told.last.never_closes);
		assert_int_equal(told.unloaded, before);
		cmod_unref(m);
		told.unloaded = 0;
		cmod_list(tell, &told);
		assert_int_equal(told.unloaded, before + bound);
	}
}

/* Linked for another address than 0, as some old build systems have it. */
static void test_base_address(void **state)
{
	struct cmod_use use;
	struct cmod *m;

	(void)state;
	build_so("m.so", source, "-DVERSION=9 -Wl,-Ttext-segment=0x400000 -lm");
	m = cmod_load("./m", NULL);
	if (m == NULL)
		fail_msg("%s", diag_last()->message);
	assert_int_equal(version_of(m), 9);
	assert_int_equal(cmod_use_create(&use, m, "data_symbol", 11), -1);
	expect_error(&ClientError, ER_NO_SUCH_FUNCTION, "data");
	assert_int_equal(cmod_use_create(&use, m, "printf", 6), -1);
	expect_error(&ClientError, ER_NO_SUCH_FUNCTION, "another library");
	cmod_unref(m);
}

static void test_functions(void **state)
{
	char longest[CMOD_NAME_MAX + 1], longer[CMOD_NAME_MAX + 2];
	struct cmod_use a, b;
	struct cmod *m;

	(void)state;
	m = cmod_load("./m", NULL);
	assert_int_equal(cmod_use_create(&a, m, "count", 5), 0);
	assert_int_equal(cmod_use_create(&b, m, "count", 5), 0);
	assert_ptr_equal(a.func, b.func);
	assert_string_equal(cmod_func_symbol(a.func), "count");
	assert_ptr_equal(cmod_func_module(a.func), m);
	cmod_use_destroy(&b);
	cmod_use_destroy(&b); /* twice is fine */
	assert_int_equal(cmod_use_create(&b, m, "", 0), -1);
	expect_error(&IllegalParams, ER_ILLEGAL_PARAMS, "empty");
	assert_int_equal(cmod_use_create(&b, m, "count\0x", 7), -1);
	expect_error(&IllegalParams, ER_ILLEGAL_PARAMS, "NUL");
	memset(longer, 'x', sizeof longer);
	longer[CMOD_NAME_MAX + 1] = '\0';
	assert_int_equal(cmod_use_create(&b, m, longer, CMOD_NAME_MAX + 1), -1);
	expect_error(&IllegalParams, ER_ILLEGAL_PARAMS, "at most 256");
	memset(longest, 'x', sizeof longest);
	longest[CMOD_NAME_MAX] = '\0';
	assert_int_equal(cmod_use_create(&b, m, longest, CMOD_NAME_MAX), -1);
	expect_error(&ClientError, ER_NO_SUCH_FUNCTION, "no function 'xxx");
	assert_int_equal(cmod_use_create(&b, m, "data_symbol", 11), -1);
	expect_error(&ClientError, ER_NO_SUCH_FUNCTION, "data");
	assert_int_equal(cmod_use_create(&b, m, "printf", 6), -1);
	expect_error(&ClientError, ER_NO_SUCH_FUNCTION, "another library");
	assert_null(b.func);
	/* The function alone holds the module. */
	cmod_unref(m);
	assert_int_equal(cmod_live_count(), 1);
	assert_int_equal(call(&a), 1);
	cmod_use_destroy(&a);
	assert_int_equal(cmod_live_count(), 0);
}

static void test_missing_symbol(void **state)
{
	(void)state;
	build_so("m.so",
		 "int nowhere(void); int f(void) "
		 "{ return nowhere(); }",
		 "");
	assert_null(cmod_load("./m", NULL));
	expect_error(&ClientError, ER_LOAD_MODULE, "undefined symbol: nowhere");
	assert_null(cmod_load("./m", NULL));
	expect_error(&ClientError, ER_LOAD_MODULE, "/m.so': undefined");
}

static const char *const block = "#include <neap/module.h>\n"
				 "static int up(void) { return INIT; }\n"
				 "static void down(void) {}\n"
				 "FIELDS\n";

static void test_abi_block(void **state)
{
	static const struct {
		const char *flags, *wanted;
	} cases[] = {
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE(\"m\",\"1\",up,down);'",
		  NULL },
		{ "-DINIT=-1 '-DFIELDS=NEAP_MODULE(\"m\",\"1\",up,down);'",
		  "init function failed: unknown error" },
		{ "'-DINIT=NEAP_ERR(\"no %d\",7)' "
		  "'-DFIELDS=NEAP_MODULE(\"m\",\"1\",up,down);'",
		  "init function failed: no 7" },
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE(\"\",\"1\",up,down);'",
		  "name is missing" },
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE(\"m\",0,up,down);'",
		  "version is missing" },
		{ "-DINIT=0 '-DFIELDS=NEAP_EXPORT struct neap_module "
		  "neap_module_info={NEAP_MODULE_MAGIC,48,77};'",
		  "abi_version is 77 in the module and 1 here" },
		{ "-DINIT=0 '-DFIELDS=NEAP_EXPORT struct neap_module "
		  "neap_module_info={NEAP_MODULE_MAGIC,40,1};'",
		  "size is 40 in the module and 48 here" },
		{ "-DINIT=0 '-DFIELDS=NEAP_EXPORT struct neap_module "
		  "neap_module_info={123};'",
		  "magic is 123" },
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE((char*)8,\"1\",up,down);'",
		  "name is missing" },
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE(\"m\",(char*)-8,up,down);'",
		  "version is missing" },
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE(\"m\",\"1\",(void*)16,down);'",
		  "init lies in no library" },
		{ "-DINIT=0 '-DFIELDS=NEAP_MODULE(\"m\",\"1\",up,(void*)16);'",
		  "fini lies in no library" },
		{ "-DINIT=0 '-DFIELDS=NEAP_EXPORT struct neap_module "
		  "neap_module_info={NEAP_MODULE_MAGIC,48,1,7,\"m\",\"1\"};'",
		  "reserved is 7 in the module and 0 here" },
		{ "-DINIT=0 '-DFIELDS=NEAP_EXPORT short neap_module_info=1;'",
		  "the symbol's size is 2 in the module and 48 here" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct cmod *m;

		build_so("m.so", block, cases[i].flags);
		m = cmod_load("./m", NULL);
		if (cases[i].wanted == NULL) {
			assert_non_null(m);
			cmod_unref(m);
		} else {
			assert_null(m);
			expect_error(&ClientError, ER_LOAD_MODULE,
				     cases[i].wanted);
		}
	}
}

static void test_list(void **state)
{
	struct cmod_use a, b;
	struct told told = { 0 };
	struct cmod *m;

	(void)state;
	m = cmod_load("./m", NULL);
	assert_int_equal(cmod_use_create(&a, m, "count", 5), 0);
	assert_int_equal(cmod_use_create(&b, m, "count", 5), 0);
	a.calls = 3;
	b.calls = 4;
	b.errors = 1;
	cmod_use_destroy(&b);
	cmod_list(tell, &told);
	assert_int_equal(told.count, 1);
	assert_string_equal(told.last.path, "./m");
	assert_true(told.last.cached);
	assert_int_equal(told.last.functions, 1);
	assert_int_equal(told.last.refs, 2);
	assert_int_equal(told.last.calls, 7);
	assert_int_equal(told.last.errors, 1);
	cmod_use_destroy(&a);
	cmod_unref(m);
}

static void load_thrice(void)
{
	for (int i = 0; i < 3; i++) {
		struct cmod *m = cmod_load("./m", NULL);

		assert_non_null(m);
		assert_int_equal(version_of(m), 1);
		cmod_unref(m);
	}
}

/* Without memory files: a folder, of which nothing is left on any path. */
static void test_folder(void **state)
{
	(void)state;
	if (inject_arm("cmod.memfd", 0, -1) != 0)
		skip();
	load_thrice();
	build_so("m.so",
		 "int nowhere(void); int f(void) "
		 "{ return nowhere(); }",
		 "");
	assert_null(cmod_load("./m", NULL));
	expect_error(&ClientError, ER_LOAD_MODULE, "/m.so': undefined");
	inject_arm("cmod.write", 0, -1);
	assert_null(cmod_load("./m", NULL));
	expect_error(&SystemError, ER_SYSTEM, "No space left");
	/* run.sh fails the test when something stays in TMPDIR. */
}

/* Without /proc the loader cannot reach memory: a folder again. */
static void test_hidden(void **state)
{
	(void)state;
	if (inject_arm("cmod.proc", 0, -1) != 0)
		skip();
	load_thrice();
	inject_arm("cmod.write", 1, -1);
	assert_null(cmod_load("./m", NULL));
	expect_error(&SystemError, ER_SYSTEM, "No space left");
}

static void test_failures(void **state)
{
	struct cmod *m;
	long asked;

	(void)state;
	if (inject_arm("malloc", 1000, 0) != 0)
		skip();
	inject_reset();
	for (long i = 0;; i++) {
		inject_arm("malloc", i, 1);
		m = cmod_load("./m", NULL);
		asked = inject_asked("malloc");
		inject_reset();
		if (asked <= i)
			break;
		if (m == NULL) {
			expect_error(&OutOfMemory, ER_MEMORY_ISSUE, "");
			assert_int_equal(cmod_live_count(), 0);
		}
		cmod_unref(m);
		assert_true(i < 100);
	}
	for (long i = 0;; i++) {
		struct cmod_use use;
		int rc;

		inject_arm("malloc", i, 1);
		rc = cmod_use_create(&use, m, "count", 5);
		asked = inject_asked("malloc");
		inject_reset();
		if (rc != 0)
			expect_error(&OutOfMemory, ER_MEMORY_ISSUE, "");
		cmod_use_destroy(&use);
		if (asked <= i)
			break;
		assert_true(i < 100);
	}
	cmod_unref(m);
	inject_arm("cmod.read", 0, 1);
	assert_null(cmod_load("./m", NULL));
	expect_error(&SystemError, ER_SYSTEM, "cannot read");
	inject_reset();
	inject_arm("cmod.changed", 0, 3);
	m = cmod_load("./m", NULL); /* the fourth try is whole */
	assert_non_null(m);
	cmod_unref(m);
	inject_reset();
	inject_arm("cmod.changed", 0, -1);
	assert_null(cmod_load("./m", NULL));
	expect_error(&SystemError, ER_SYSTEM, "keeps changing");
}

static void replace_and_load(int times, struct cmod **leak)
{
	size_t size[2];
	char *data[2] = { file_read("v1.so", &size[0]),
			  file_read("v2.so", &size[1]) };

	for (int i = 0; i < times; i++) {
		struct cmod *m;

		file_replace("m.so", data[i % 2], size[i % 2]);
		m = cmod_load("./m", NULL);
		assert_int_equal(version_of(m), i % 2 + 1);
		if (leak != NULL && i == times / 2)
			*leak = m;
		else
			cmod_unref(m);
	}
	free(data[0]);
	free(data[1]);
}

static void test_cycles(void **state)
{
	int times = getenv("NEAP_SOAK") != NULL ? 10000 : 1000;
	struct cmod *leak = NULL;
	int fds, maps;

	(void)state;
	replace_and_load(10, NULL);
	fds = unit_open_fds();
	maps = unit_count_maps();
	replace_and_load(times, NULL);
	assert_int_equal(cmod_live_count(), 0);
	assert_int_equal(unit_open_fds(), fds);
	assert_in_range(unit_count_maps(), 1, (unsigned)maps + 8);

	/* The same with one instance left open must be seen by each count. */
	replace_and_load(10, &leak);
	assert_int_equal(cmod_live_count(), 1);
	assert_int_not_equal(unit_open_fds(), fds);
	cmod_unref(leak);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_instance, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overwrite, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_same_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_slow_load, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_bad_file_changes_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_ten_versions, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_never_closes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_unique, setup, teardown),
		cmocka_unit_test_setup_teardown(test_base_address, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_functions, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_missing_symbol, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_abi_block, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cycles, setup, teardown),
	};

	return cmocka_run_group_tests(tests, setup_files, NULL);
}
