/* Lines to a file, off the loop: none is torn, none too many, and what is lost is
 * counted and told of once. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "runtime/line_file.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

static struct loop loop;
static struct timers timers;
static char folder[] = "line_file.XXXXXX";
static char path[100], other[100];
static unsigned troubles, flushes;
static int trouble;
static int64_t trouble_lost;

static void on_trouble(struct line_file *f, int err, int64_t lost)
{
	assert_non_null(line_file_path(f));
	troubles++;
	trouble = err;
	trouble_lost = lost;
}

static int start(void **state)
{
	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(timers_create(&timers, &loop), 0);
	troubles = flushes = 0;
	trouble = 1;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	timers_close(&timers);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	unlink(path);
	unlink(other);
	return 0;
}

static struct line_file *open_it(const char *name, size_t buffer)
{
	struct line_file_options options = { .buffer = buffer,
					     .flush_ms = 1,
					     .on_trouble = on_trouble };
	int err = 0;
	struct line_file *f =
		line_file_open(&loop, &timers, name, &options, &err);

	assert_int_equal(err, 0);
	assert_non_null(f);
	return f;
}

static void on_flushed(struct line_file *f, void *arg)
{
	assert_ptr_equal(arg, &flushes);
	assert_non_null(f);
	flushes++;
}

static void flush(struct line_file *f)
{
	unsigned before = flushes;

	line_file_flush(f, on_flushed, &flushes);
	while (flushes == before)
		loop_run(&loop, UV_RUN_ONCE);
}

static size_t content(const char *name, char *to, size_t size)
{
	int fd = open(name, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, to, size - 1);
	assert_true(n >= 0);
	to[n] = '\0';
	close(fd);
	return (size_t)n;
}

static void test_written(void **state)
{
	struct line_file *f = open_it(path, 0);
	struct stat st = { 0 };
	char text[100];

	(void)state;
	line_file_add(f, "one\n", 4);
	while (st.st_size == 0) { /* by itself */
		loop_run(&loop, UV_RUN_ONCE);
		assert_int_equal(stat(path, &st), 0);
	}
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	line_file_add(f, "two\n", 4);
	line_file_add(f, "three\n", 6);
	flush(f);
	content(path, text, sizeof(text));
	assert_string_equal(text, "one\ntwo\nthree\n");
	flush(f); /* nothing */
	line_file_add(f, "four\n", 5);
	line_file_close(f); /* what waits is still written */
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	content(path, text, sizeof(text));
	assert_string_equal(text, "one\ntwo\nthree\nfour\n");
	assert_int_equal(troubles, 0);
	line_file_close(NULL);
}

/* Closed with a job at work, and then the loop, too. */
static void test_closed_at_once(void **state)
{
	static char big[65536];
	struct stat st = { 0 };

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\n';
	for (int i = 0; i < 2; i++) {
		struct line_file *f = open_it(path, 0);

		line_file_add(f, big, sizeof(big));
		line_file_add(f, "last\n", 5);
		line_file_close(f);
		if (i == 0)
			continue;
		timers_close(&timers);
		assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
		assert_int_equal(loop_create(&loop), 0);
		assert_int_equal(timers_create(&timers, &loop), 0);
	}
	/* The job may have run on, on its thread. */
	for (int i = 0; i < 10000 && st.st_size < 2 * (65536 + 5); i++) {
		assert_int_equal(stat(path, &st), 0);
		usleep(1000);
	}
	assert_int_equal(st.st_size, 2 * (65536 + 5));
}

static void test_no_file(void **state)
{
	struct line_file_options options = { 0 };
	int err = 0;

	(void)state;
	assert_null(
		line_file_open(&loop, &timers, "none/such", &options, &err));
	assert_int_equal(err, UV_ENOENT);
	assert_null(line_file_open(&loop, &timers, ".", &options, &err));
	assert_int_equal(err, UV_EISDIR);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(line_file_open(&loop, &timers, path, &options, &err));
	assert_int_equal(err, UV_ENXIO); /* and nobody has waited */
}

static void test_reopened(void **state)
{
	struct line_file *f = open_it(path, 0);
	char text[100];

	(void)state;
	line_file_add(f, "a\n", 2);
	flush(f);
	assert_int_equal(rename(path, other), 0);
	line_file_add(f, "b\n", 2);
	flush(f);
	line_file_add(f, "c\n", 2);
	assert_int_equal(line_file_reopen(f), 0);
	flush(f);
	content(other, text, sizeof(text));
	assert_string_equal(text, "a\nb\n");
	content(path, text, sizeof(text));
	assert_string_equal(text, "c\n");
	/* With the log: at the next line. */
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(log_reopen(), 0);
	line_file_add(f, "d\n", 2);
	flush(f);
	content(path, text, sizeof(text));
	assert_string_equal(text, "d\n");
	/* A name that cannot be had leaves the old file. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(line_file_reopen(f), UV_EISDIR);
	assert_int_equal(troubles, 0);
	assert_int_equal(log_reopen(), 0);
	line_file_add(f, "e\n", 2);
	flush(f);
	assert_int_equal(troubles, 1);
	assert_int_equal(trouble, UV_EISDIR);
	assert_int_equal(trouble_lost, -1);
	assert_int_equal(line_file_lost(f), 0);
	line_file_close(f);
	assert_int_equal(rmdir(path), 0);
}

static void test_full_disk(void **state)
{
	struct line_file *f = open_it(path, 0);
	char text[100];

	(void)state;
	unlink(path);
	assert_int_equal(symlink("/dev/full", path), 0);
	assert_int_equal(line_file_reopen(f), 0);
	for (int i = 0; i < 3; i++) {
		line_file_add(f, "a\nb\n", 4);
		flush(f);
	}
	assert_int_equal(troubles, 1);
	assert_int_equal(trouble, UV_ENOSPC);
	assert_int_equal(line_file_lost(f), 6);
	unlink(path);
	assert_int_equal(line_file_reopen(f), 0);
	line_file_add(f, "c\n", 2);
	flush(f);
	assert_int_equal(troubles, 2);
	assert_int_equal(trouble, 0);
	assert_int_equal(trouble_lost, 6);
	content(path, text, sizeof(text));
	assert_string_equal(text, "c\n");
	line_file_close(f);
}

/* A reader that does not read: what does not fit is lost, nobody waits. */
static void test_slow(void **state)
{
	static char text[1 << 20];
	struct line_file *f;
	size_t have, lines = 0;
	ssize_t n;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	f = open_it(path, 1000);
	for (unsigned i = 0; i < 2000; i++)
		line_file_add(f, "123456789\n", 10);
	assert_int_equal(troubles, 1);
	assert_int_equal(trouble, UV_ENOBUFS);
	assert_in_range(line_file_lost(f), 1800, 1999);
	flush(f);
	assert_int_equal(troubles, 2);
	assert_int_equal(trouble, 0);
	have = 0;
	while ((n = read(fd, text + have, sizeof(text) - have)) > 0)
		have += (size_t)n;
	lines = have / 10;
	assert_int_equal(have % 10, 0);
	assert_int_equal(lines + line_file_lost(f), 2000);
	for (size_t i = 0; i < lines; i++)
		assert_memory_equal(text + 10 * i, "123456789\n", 10);
	line_file_close(f);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	close(fd);
}

/* Two append to one file. */
static void test_shared(void **state)
{
	static char text[1 << 20];
	struct line_file *f = open_it(path, 0), *g = open_it(path, 0);
	unsigned a = 0, b = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		line_file_add(f, "aaaaaaaaaaa\n", 12);
		line_file_add(g, "bbbbbbbbbbb\n", 12);
		if (i % 100 == 0)
			loop_run(&loop, UV_RUN_NOWAIT);
	}
	flush(f);
	flush(g);
	assert_int_equal(content(path, text, sizeof(text)), 480000);
	for (char *p = text; *p != '\0'; p += 12) {
		a += memcmp(p, "aaaaaaaaaaa\n", 12) == 0;
		b += memcmp(p, "bbbbbbbbbbb\n", 12) == 0;
	}
	assert_int_equal(a, 20000);
	assert_int_equal(b, 20000);
	line_file_close(f);
	line_file_close(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_written),   TEST(test_closed_at_once),
		TEST(test_no_file),   TEST(test_reopened),
		TEST(test_full_disk), TEST(test_slow),
		TEST(test_shared),
	};
	int failed;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(other, sizeof(other), "%s/log.1", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
