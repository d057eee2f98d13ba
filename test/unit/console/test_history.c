/* The console's history and its file. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "console/history.h"

static char path[512];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(path, sizeof path, "%s/history.%d", tmp == NULL ? "/tmp" : tmp,
		 (int)getpid());
	unlink(path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void write_file(const char *text, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	fclose(f);
}

static void assert_file(const char *want)
{
	static char got[1 << 20];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(got, 1, sizeof got - 1, f);
	got[n] = '\0';
	fclose(f);
	assert_string_equal(got, want);
}

static void add(struct history *h, const char *entry)
{
	assert_int_equal(history_add(h, entry), 0);
}

static void test_kept(void **state)
{
	struct history h;
	struct stat st;

	(void)state;
	assert_int_equal(history_create(&h, path), 0);
	add(&h, "one");
	add(&h, "two\nlines\\n");
	add(&h, "");
	add(&h, "three");
	history_destroy(&h);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_file("one\ntwo\\nlines\\\\n\nthree\n");

	assert_int_equal(history_create(&h, path), 0);
	assert_int_equal(h.count, 3);
	assert_string_equal(h.entries[1], "two\nlines\\n");
	history_destroy(&h);
}

static void test_no_duplicates(void **state)
{
	struct history h;

	(void)state;
	assert_int_equal(history_create(&h, path), 0);
	add(&h, "a");
	add(&h, "b");
	add(&h, "a");
	add(&h, "a");
	assert_int_equal(h.count, 2);
	assert_string_equal(h.entries[1], "a");
	history_destroy(&h);
	assert_file("b\na\n");
}

/* Two consoles: what the other one wrote stays. */
static void test_two_at_once(void **state)
{
	struct history one, two;

	(void)state;
	assert_int_equal(history_create(&one, path), 0);
	assert_int_equal(history_create(&two, path), 0);
	add(&one, "1");
	add(&two, "2");
	add(&one, "3");
	add(&two, "1");
	add(&one, "3b");
	history_destroy(&one);
	history_destroy(&two);
	assert_file("2\n3\n1\n3b\n");
}

/* The file is a link, as of those who keep such files elsewhere: it stays one. */
static void test_link(void **state)
{
	char link[600], there[600];
	struct history h;
	struct stat st;

	(void)state;
	write_file("a\nb\n", 4);
	snprintf(there, sizeof there, "%s.there", path);
	snprintf(link, sizeof link, "%s.link", path);
	assert_int_equal(rename(path, there), 0);
	/* Relative to where the link is. */
	assert_int_equal(symlink(strrchr(there, '/') + 1, link), 0);
	assert_int_equal(history_create(&h, link), 0);
	add(&h, "a");
	add(&h, "c");
	history_destroy(&h);
	assert_int_equal(lstat(link, &st), 0);
	unlink(link);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(rename(there, path), 0);
	assert_file("b\na\nc\n");
}

/* What has the name of the file's replacement is none, and not written into. */
static void test_stale_replacement(void **state)
{
	char name[600], precious[600];
	struct history h;
	struct stat st;

	(void)state;
	snprintf(name, sizeof name, "%s.new", path);
	snprintf(precious, sizeof precious, "%s.precious", path);
	write_file("precious\n", 9);
	assert_int_equal(rename(path, precious), 0);
	assert_int_equal(symlink(precious, name), 0);
	assert_int_equal(history_create(&h, path), 0);
	add(&h, "a");
	add(&h, "b");
	add(&h, "a");
	history_destroy(&h);
	assert_file("b\na\n");
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(rename(precious, path), 0);
	assert_file("precious\n");
}

static void *add_many(void *arg)
{
	struct history h;
	char entry[32];

	if (history_create(&h, path) != 0)
		return NULL;
	for (int i = 0; i < 100; i++) {
		snprintf(entry, sizeof entry, "%s %d", (char *)arg, i % 60);
		if (history_add(&h, entry) != 0)
			return NULL;
	}
	history_destroy(&h);
	return arg;
}

static void test_threads(void **state)
{
	char *names[] = { "a", "b", "c", "d" };
	pthread_t threads[4];
	struct history h;
	void *ok;

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, add_many, names[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &ok);
		assert_non_null(ok);
	}
	assert_int_equal(history_create(&h, path), 0);
	assert_int_equal(h.count, 4 * 60); /* nothing lost, nothing twice */
	history_destroy(&h);
}

static void test_bounds(void **state)
{
	static char line[HISTORY_ENTRY_MAX + 2];
	struct history h;
	char entry[32];

	(void)state;
	assert_int_equal(history_create(&h, path), 0);
	for (int i = 0; i < 2 * HISTORY_MAX + 50; i++) {
		snprintf(entry, sizeof entry, "entry %d", i);
		add(&h, entry);
	}
	assert_int_equal(h.count, HISTORY_MAX);
	assert_string_equal(h.entries[HISTORY_MAX - 1], entry);
	memset(line, 'x', sizeof line - 1);
	add(&h, line); /* too long: not kept */
	assert_string_equal(h.entries[HISTORY_MAX - 1], entry);
	history_destroy(&h);
	assert_int_equal(history_create(&h, path), 0);
	assert_int_equal(h.count, HISTORY_MAX);
	assert_string_equal(h.entries[HISTORY_MAX - 1], entry);
	history_destroy(&h);
}

static void test_odd_files(void **state)
{
	static char noise[10000];
	struct history h;

	(void)state;
	/* A torn last line, empty lines, a lone backslash. */
	write_file("a\n\n\nb\\\nto\0rn", 12);
	assert_int_equal(history_create(&h, path), 0);
	assert_int_equal(h.count, 3);
	assert_string_equal(h.entries[1], "b\\");
	assert_string_equal(h.entries[2], "to rn");
	add(&h, "new");
	history_destroy(&h);
	assert_int_equal(history_create(&h, path), 0);
	assert_int_equal(h.count, 4);
	assert_string_equal(h.entries[2], "to rn");
	assert_string_equal(h.entries[3], "new");
	history_destroy(&h);

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (char)(i * 7919 >> 3);
	write_file(noise, sizeof noise);
	assert_int_equal(history_create(&h, path), 0);
	add(&h, "after noise");
	assert_string_equal(h.entries[h.count - 1], "after noise");
	history_destroy(&h);
}

static void test_no_file(void **state)
{
	struct history h;

	(void)state;
	assert_int_equal(history_create(&h, NULL), 0);
	add(&h, "kept");
	assert_int_equal(h.count, 1);
	history_destroy(&h);

	assert_int_equal(history_create(&h, "/dev/full"), -1);
	error_unref(diag_take());
	add(&h, "usable all the same");
	assert_int_equal(h.count, 1);
	history_destroy(&h);
	assert_int_equal(history_create(&h, "/proc/nosuch/x"), -1);
	error_unref(diag_take());
	history_destroy(&h);
}

static void assert_failed(int rc, const char *reason)
{
	struct error *e;

	assert_int_equal(rc, -1);
	e = diag_take();
	assert_non_null(strstr(e->message, path));
	assert_non_null(strstr(e->message, reason));
	error_unref(e);
}

/* Who holds the lock for ever holds up no console; it is told of once. */
static void test_locked_by_another(void **state)
{
	struct history h, late;
	int fd;

	(void)state;
	assert_int_equal(history_create(&h, path), 0);
	add(&h, "saved");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_failed(history_add(&h, "not saved"), "locked");
	add(&h, "nor this");
	assert_int_equal(h.count, 3);
	assert_failed(history_create(&late, path), "locked");
	add(&late, "in memory");
	assert_int_equal(late.count, 1);
	close(fd);
	history_destroy(&late);
	history_destroy(&h);
	assert_file("saved\n");
}

/* A file system without locks. */
static void test_no_locks(void **state)
{
	struct history h;

	(void)state;
	if (inject_arm("history.lock", 1, -1) != 0)
		skip();
	assert_int_equal(history_create(&h, path), 0);
	assert_failed(history_add(&h, "not saved"), "lock");
	add(&h, "nor this");
	assert_int_equal(inject_asked("history.lock"), 2);
	inject_reset();
	history_destroy(&h);
	assert_file("");
}

/* Each allocation fails in turn: what was there stays, the file has whole
 * lines, and what is said to be added is there. */
static void test_no_memory(void **state)
{
	struct history h;
	int failed = 0;
	bool added, all_went;
	long asked;

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	for (int after = 0;; after++) {
		write_file("old\n", 4);
		inject_reset();
		inject_arm("malloc", after, 1);
		all_went = history_create(&h, path) == 0;
		if (!all_went)
			error_unref(diag_take());
		added = history_add(&h, "entry") == 0;
		if (!added)
			error_unref(diag_take());
		all_went = all_went && added;
		asked = inject_asked("malloc");
		inject_reset();
		if (all_went)
			assert_file("old\nentry\n");
		else
			failed++;
		history_destroy(&h);
		if (asked <= after)
			break;
		assert_int_equal(history_create(&h, path), 0);
		assert_true(h.count == 1 || h.count == 2);
		assert_string_equal(h.entries[0], "old");
		if (h.count == 2)
			assert_string_equal(h.entries[1], "entry");
		history_destroy(&h);
	}
	assert_true(all_went);
	assert_true(failed > 2);
}

static void test_default_path(void **state)
{
	char *p;

	(void)state;
	assert_null(history_default_path(""));
	p = history_default_path("/x/y");
	assert_string_equal(p, "/x/y");
	mem_free(p);
	setenv("XDG_STATE_HOME", "/state", 1);
	p = history_default_path(NULL);
	assert_string_equal(p, "/state/neap/history");
	mem_free(p);
	setenv("XDG_STATE_HOME", "relative", 1);
	setenv("HOME", "/nowhere/u", 1);
	p = history_default_path(NULL);
	assert_string_equal(p, "/nowhere/u/.local/state/neap/history");
	mem_free(p);
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	assert_null(history_default_path(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_duplicates, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_two_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_replacement, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_by_another, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup,
						teardown),
		cmocka_unit_test(test_default_path),
	};
	int fds = unit_open_fds();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed != 0 || unit_open_fds() != fds;
}
