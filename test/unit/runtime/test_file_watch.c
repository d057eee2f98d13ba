/*
 * A file followed by its path: by the kernel's word, by stat when the kernel has
 * none to give, through folders that go and come. Nothing is measured: what must
 * be told is waited for long enough for any machine.
 *
 * test: timeout 120
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/inject.h"
#include "runtime/file_watch.h"
#include "runtime/loop.h"

enum { LONG_MS = 30000 };

static struct loop loop;
static struct file_watch *watch;
static char folder[512], file[600];
static int told;
static bool close_when_told;

static void on_change(void *arg)
{
	assert_ptr_equal(arg, &told);
	told++;
	if (close_when_told) {
		file_watch_close(watch);
		watch = NULL;
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void on_late(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing was told");
}

/* Until it is told of once more than @a before. */
static void expect_told(int before)
{
	uv_timer_t late;

	uv_timer_init(&loop.uv, &late);
	uv_timer_start(&late, on_late, LONG_MS, 0);
	while (told <= before)
		loop_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&late, NULL);
	loop_run(&loop, UV_RUN_NOWAIT);
}

/* How many folders the kernel tells this process of; of @a inode, or any (0). */
static int count_watches(unsigned long inode)
{
	char path[64], line[256];
	unsigned long of;
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		FILE *f;

		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
		f = fopen(path, "r");
		while (f != NULL && fgets(line, sizeof line, f) != NULL)
			count += sscanf(line, "inotify wd:%*x ino:%lx", &of) ==
					 1 &&
				 (inode == 0 || of == inode);
		if (f != NULL)
			fclose(f);
	}
	return count;
}

static int kernel_watches(void)
{
	return count_watches(0);
}

static bool is_watched(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return count_watches(st.st_ino) == 1;
}

/* What was told of and not yet heard. */
static void drain(void)
{
	for (int i = 0; i < 20; i++) {
		loop_run(&loop, UV_RUN_NOWAIT);
		uv_sleep(5);
	}
}

static void open_watch(void)
{
	watch = file_watch_open(&loop, file, on_change, &told);
	assert_non_null(watch);
	drain(); /* the first stat is in */
}

static int set_up(void **state)
{
	(void)state;
	told = 0;
	close_when_told = false;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(system("rm -rf folder other third"), 0);
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_non_null(realpath("folder", folder));
	snprintf(file, sizeof file, "%s/file", folder);
	put(file, "first");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	if (watch != NULL)
		file_watch_close(watch);
	watch = NULL;
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	return 0;
}

static void kernel_tells(void **state)
{
	int before;

	(void)state;
	open_watch();
	assert_int_equal(file_watch_error(watch), 0);
	assert_int_equal(kernel_watches(), 1);
	assert_int_equal(told, 0);
	put(file, "other");
	expect_told(0);
	drain();
	before = told;
	put("folder/new", "renamed");
	assert_int_equal(rename("folder/new", file), 0);
	expect_told(before);
	drain();
	before = told;
	assert_int_equal(unlink(file), 0);
	expect_told(before);
	drain();
	before = told;
	put(file, "back");
	expect_told(before);
}

/* Neighbours are not told of, however alike their names. */
static void neighbours_are_quiet(void **state)
{
	(void)state;
	open_watch();
	put("folder/fil", "x");
	put("folder/file2", "x");
	put("folder/xfile", "x");
	assert_int_equal(unlink("folder/file2"), 0);
	drain();
	assert_int_equal(told, 0);
	put(file, "it");
	expect_told(0);
}

/* The folder goes, and comes back with another file: the kernel is asked about
 * the new one then. */
static void folder_is_made_anew(void **state)
{
	int before;

	(void)state;
	open_watch();
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir("folder"), 0);
	expect_told(0);
	drain();
	assert_int_equal(file_watch_error(watch), 0);
	assert_int_equal(kernel_watches(), 0);
	before = told;
	assert_int_equal(mkdir("folder", 0755), 0);
	put(file, "in a new folder");
	expect_told(before); /* by stat: nobody can tell of it */
	drain();
	assert_int_equal(kernel_watches(), 1);
	before = told;
	put(file, "told by the kernel again");
	expect_told(before);
	/* Moved away whole, another in its place. */
	drain();
	before = told;
	assert_int_equal(mkdir("other", 0755), 0);
	put("other/file", "of the other");
	assert_int_equal(rename("folder", "gone"), 0);
	assert_int_equal(rename("other", "folder"), 0);
	expect_told(before);
	drain();
	assert_true(is_watched("folder"));
	before = told;
	put(file, "in the other");
	expect_told(before);
	assert_int_equal(system("rm -r gone"), 0);
}

/* What is not there yet, nor its folder. */
static void nothing_there_yet(void **state)
{
	int before;

	(void)state;
	assert_int_equal(system("rm -r folder"), 0);
	open_watch();
	assert_int_equal(file_watch_error(watch), 0);
	before = told; /* of nothing there */
	assert_int_equal(mkdir("folder", 0755), 0);
	put(file, "now");
	expect_told(before);
	drain();
	assert_int_equal(kernel_watches(), 1);
}

/* Both folders are watched: the link's, and that of what it leads to. */
static void links_are_followed(void **state)
{
	int before;

	(void)state;
	assert_int_equal(mkdir("other", 0755), 0);
	assert_int_equal(mkdir("third", 0755), 0);
	put("other/a", "a");
	put("third/b", "b");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("../other/a", file), 0);
	open_watch();
	assert_int_equal(kernel_watches(), 2);
	assert_true(is_watched("folder") && is_watched("other"));
	put("other/a", "written behind the link");
	expect_told(0);
	drain();
	before = told;
	assert_int_equal(symlink("../third/b", "folder/turned"), 0);
	assert_int_equal(rename("folder/turned", file), 0);
	expect_told(before);
	assert_int_equal(kernel_watches(), 2);
	assert_true(is_watched("folder") && is_watched("third"));
	drain();
	before = told;
	put("third/b", "written behind the turned one");
	expect_told(before);
}

/* No watches left: stat finds what changes, and the kernel is asked again. */
static void no_watches_left(void **state)
{
	(void)state;
	if (inject_arm("fs_event", 0, 1) != 0)
		skip();
	open_watch();
	assert_int_equal(file_watch_error(watch), UV_ENOSPC);
	assert_int_equal(kernel_watches(), 0);
	put(file, "found by stat");
	expect_told(0);
	assert_int_equal(file_watch_error(watch), 0);
	assert_int_equal(kernel_watches(), 1);
}

/* The same, truly, for want of a descriptor. */
static void no_descriptors_left(void **state)
{
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	watch = file_watch_open(&loop, file, on_change, &told);
	assert_non_null(watch);
	assert_int_equal(file_watch_error(watch), UV_EMFILE);
	drain();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	put(file, "found by stat");
	expect_told(0);
	assert_int_equal(file_watch_error(watch), 0);
	assert_int_equal(kernel_watches(), 1);
}

/* Each allocation fails once: no watch, or one that works. */
static void no_memory(void **state)
{
	bool reached = true;
	int none = 0, by_stat = 0;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	for (int k = 0; reached; k++) {
		inject_arm("malloc", k, 1);
		watch = file_watch_open(&loop, file, on_change, &told);
		reached = inject_asked("malloc") > k;
		inject_reset();
		none += watch == NULL;
		if (watch == NULL)
			continue;
		by_stat += file_watch_error(watch) == UV_ENOMEM;
		drain();
		told = 0;
		put(file, reached ? "with less" : "with all");
		expect_told(0);
		assert_int_equal(file_watch_error(watch), 0);
		file_watch_close(watch);
		watch = NULL;
		drain();
	}
	assert_int_equal(none, 1);
	assert_int_equal(by_stat, 1);
}

/* The one who is told may be the one to end it. */
static void closed_when_told(void **state)
{
	(void)state;
	open_watch();
	close_when_told = true;
	put(file, "the end");
	expect_told(0);
	put(file, "nobody listens");
	drain();
	assert_int_equal(told, 1);
	assert_int_equal(kernel_watches(), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(kernel_tells),        test(neighbours_are_quiet),
		test(folder_is_made_anew), test(nothing_there_yet),
		test(links_are_followed),  test(no_watches_left),
		test(no_descriptors_left), test(no_memory),
		test(closed_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
