/*
 * What tells a load that the file is as it was: one stat of its path, or that
 * nothing was told of what is watched, which both must miss nothing; and the
 * hash of its bytes while it is young.
 * test: timeout 120
 */
#include "unit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmod/cmod.h"
#include "cmod/image.h"
#include "cmod_build.h"
#include "neap/module.h"

static const char *const source =
	"#include <neap/module.h>\n"
	"int version(neap_call_t *c, const char *a, const char *e)\n"
	"{ return VERSION; }\n";

static void make(const char *so, int version)
{
	char flags[32];

	snprintf(flags, sizeof flags, "-DVERSION=%d", version);
	build_so(so, source, flags);
}

static int version_of(struct cmod *m)
{
	struct cmod_use use;
	int version;

	assert_int_equal(cmod_use_create(&use, m, "version", 7), 0);
	version = use.code(NULL, NULL, NULL);
	cmod_use_destroy(&use);
	return version;
}

static struct cmod *load_cached(const char *path)
{
	return cmod_load_cached(path, strlen(path));
}

static int setup_files(void **state)
{
	(void)state;
	make("v1.so", 1);
	make("v2.so", 2);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	file_copy("v1.so", "m.so");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(cmod_live_count(), 0);
	return 0;
}

static void test_quick_load(void **state)
{
	struct cmod *a, *b;
	char cwd[4096];

	(void)state;
	file_age("m.so");
	assert_null(load_cached("./m"));
	a = cmod_load("./m", NULL);
	b = load_cached("./m");
	assert_ptr_equal(a, b);
	cmod_unref(b);
	assert_null(load_cached("m")); /* not asked for before */
	cmod_unref(cmod_load("m", NULL));
	b = load_cached("m");
	assert_ptr_equal(a, b);
	cmod_unref(b);

	/* Another folder: the same path is another file, or none. */
	assert_non_null(getcwd(cwd, sizeof cwd));
	mkdir("sub", 0755);
	assert_int_equal(chdir("sub"), 0);
	assert_null(load_cached("./m"));
	file_copy("../v2.so", "m.so");
	assert_null(load_cached("./m"));
	b = cmod_load("./m", NULL);
	assert_int_equal(version_of(b), 2);
	cmod_unref(b);
	unlink("m.so");
	/* And the same file by another way is found again. */
	assert_int_equal(symlink("../m.so", "m.so"), 0);
	b = cmod_load("./m", NULL);
	assert_ptr_equal(a, b);
	cmod_unref(b);
	unlink("m.so");
	assert_int_equal(chdir(cwd), 0);
	rmdir("sub");
	cmod_unref(a);
	assert_null(load_cached("./m"));
}

/* What the quick load must not miss, each on a library it knew just before. */
enum change {
	OVERWRITTEN,
	TOUCHED,
	REPLACED,
	REMOVED,
	LINK_OF_FILE,
	LINK_OF_FOLDER,
	FOLDER_RENAMED,
	FOLDER_ABOVE_RENAMED,
	FOLDER_CLOSED,
	CHANGES,
};

/* a/b/m.so, also as l/b/m.so by a link, and n.so, a link beside it; version 1.
 * other/b/m.so is version 2. All settled. */
static void build_tree(void)
{
	system("rm -rf a other l");
	mkdir("a", 0755);
	mkdir("a/b", 0755);
	mkdir("other", 0755);
	mkdir("other/b", 0755);
	file_copy("v1.so", "a/b/m.so");
	file_copy("v2.so", "other/b/m.so");
	file_age("a/b/m.so");
	file_age("other/b/m.so");
	assert_int_equal(symlink("m.so", "a/b/n.so"), 0);
	assert_int_equal(symlink("a", "l"), 0);
}

static void turn_link(const char *target, const char *link)
{
	assert_int_equal(symlink(target, "new"), 0);
	assert_int_equal(rename("new", link), 0);
}

static void change_tree(enum change change)
{
	size_t size;
	char *data;
	FILE *f;

	switch (change) {
	case OVERWRITTEN:
		data = file_read("v2.so", &size);
		f = fopen("a/b/m.so", "r+");
		assert_int_equal(fwrite(data, 1, size, f), size);
		fclose(f);
		free(data);
		break;
	case TOUCHED:
		assert_int_equal(utimensat(AT_FDCWD, "a/b/m.so", NULL, 0), 0);
		break;
	case REPLACED:
		assert_int_equal(rename("other/b/m.so", "a/b/m.so"), 0);
		break;
	case REMOVED:
		assert_int_equal(unlink("a/b/m.so"), 0);
		break;
	case LINK_OF_FILE:
		turn_link("../../other/b/m.so", "a/b/n.so");
		break;
	case LINK_OF_FOLDER:
		turn_link("other", "l");
		break;
	case FOLDER_RENAMED:
		assert_int_equal(rename("a/b", "a/c"), 0);
		break;
	case FOLDER_ABOVE_RENAMED:
		assert_int_equal(rename("a", "c"), 0);
		assert_int_equal(rename("other", "a"), 0);
		break;
	case FOLDER_CLOSED:
	case CHANGES:
		assert_int_equal(chmod("a", 0), 0);
		break;
	}
}

/* A path that is loaded often is watched (path_watch.c), if it is absolute. */
static void load_often(const char *path, struct cmod *m)
{
	bool watched = path[0] == '/' && folder_can_be_watched();
	int before = unit_open_fds();

	for (int i = 0; i < 200; i++) {
		struct cmod *again = load_cached(path);

		assert_ptr_equal(again, m);
		cmod_unref(again);
	}
	assert_int_equal(unit_open_fds(), before + (watched ? 3 : 0));
}

static void test_quick_misses_nothing(void **state)
{
	static const char *const paths[CHANGES] = {
		"a/b/m", "a/b/m", "l/b/m", "l/b/m", "a/b/n",
		"l/b/m", "a/b/m", "a/b/m", "a/b/m",
	};
	char absolute[PATH_MAX];
	struct cmod *a;

	(void)state;
	for (int i = 0; i < 4 * CHANGES; i++) {
		const char *path = paths[i / 4];

		if (i / 4 == FOLDER_CLOSED && geteuid() == 0)
			break; /* root may go everywhere */
		build_tree();
		if (i % 2 == 1) {
			assert_non_null(getcwd(absolute, sizeof absolute));
			strcat(absolute, "/");
			path = strcat(absolute, path);
		}
		a = cmod_load(path, NULL);
		assert_non_null(a);
		cmod_unref(load_cached(path));
		assert_ptr_equal(load_cached(path), a);
		if (i % 4 >= 2)
			load_often(path, a);
		change_tree(i / 4);
		assert_null(load_cached(path));
		cmod_unref(a);
		cmod_unref(a);
		system("rm -rf c");
	}
	system("chmod 755 a; rm -rf a other l");
}

/* The bytes of a young file are told apart by their hash. */
static void test_hash(void **state)
{
	uint64_t before, after;
	char data[200];

	(void)state;
	for (size_t size = 1; size <= sizeof data; size += 13) {
		memset(data, 0, sizeof data);
		file_replace("bytes", data, size);
		assert_int_equal(image_hash_file("bytes", &before), 0);
		for (size_t i = 0; i < size; i++) {
			data[i] ^= 1;
			file_replace("bytes", data, size);
			assert_int_equal(image_hash_file("bytes", &after), 0);
			assert_true(after != before);
			data[i] ^= 1;
		}
		file_replace("bytes", data, size - 1);
		if (size > 1) {
			assert_int_equal(image_hash_file("bytes", &after), 0);
			assert_true(after != before);
		}
	}
	unlink("bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_quick_load, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_quick_misses_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
	};

	return cmocka_run_group_tests(tests, setup_files, NULL);
}
