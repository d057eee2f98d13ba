/* A file opened with its real path in one step: as realpath() tells, or not. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmod/plain_path.h"

static int setup(void **state)
{
	int fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_int_equal(mkdir("folder/in", 0755), 0);
	assert_int_equal(link("file", "folder/in/file"), 0);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(symlink("folder", "folder_link"), 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(mkfifo("fifo", 0644), 0);
	return 0;
}

static void expect_plain(const char *path)
{
	char got[PATH_MAX], real[PATH_MAX], c;
	int fd = plain_path_open(path, got, sizeof got);

	if (fd < 0)
		fail_msg("%s: not opened", path);
	assert_non_null(realpath(path, real));
	assert_string_equal(got, real);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
}

static void expect_not(const char *path)
{
	char got[PATH_MAX];

	if (plain_path_open(path, got, sizeof got) >= 0)
		fail_msg("%s: opened as %s", path, got);
}

/* Without openat2() nothing is plain, and nothing else is to be seen here. */
static bool is_known_here(void)
{
	char got[PATH_MAX];
	int fd = plain_path_open("file", got, sizeof got);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_plain(void **state)
{
	char cwd[PATH_MAX], path[PATH_MAX + 64];

	(void)state;
	if (!is_known_here())
		skip();
	expect_plain("file");
	expect_plain("./file");
	expect_plain(".//./folder/./in///file");
	assert_non_null(getcwd(cwd, sizeof cwd));
	snprintf(path, sizeof path, "/%s//./folder/in/file", cwd);
	expect_plain(path);
	assert_int_equal(chdir("folder/in"), 0);
	expect_plain("file");
	assert_int_equal(chdir("/"), 0);
	expect_plain(path);
	expect_plain(path + 2); /* from the root on, without its slash */
	assert_int_equal(chdir(cwd), 0);
}

static void test_not_plain(void **state)
{
	char got[8];

	(void)state;
	expect_not("link");
	expect_not("./link");
	expect_not("folder_link/in/file");
	expect_not("folder/in/../../file");
	expect_not("dangling");
	expect_not("nothing");
	expect_not("folder");
	expect_not("file/");
	expect_not("file/x");
	expect_not("fifo");
	expect_not("/dev/null");
	expect_not("/proc/self/exe");
	expect_not("");
	assert_int_equal(plain_path_open("file", got, sizeof got), -1);
	assert_int_equal(plain_path_open("folder/in/file", got, sizeof got),
			 -1);
}

/* A working folder that is gone has no path. */
static void test_no_folder(void **state)
{
	char cwd[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof cwd));
	mkdir("gone", 0755);
	assert_int_equal(chdir("gone"), 0);
	rmdir("../gone");
	expect_not("file");
	assert_int_equal(chdir(cwd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_not_plain),
		cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
