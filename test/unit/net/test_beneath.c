/* Files that lie in a folder: what is found there by the kernel's own way, and
 * by the walk where there is none. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/inject.h"
#include "net/beneath.h"

static char root[] = "/tmp/neap-beneath-XXXXXX";
static char inside[64];

static void put(const char *path)
{
	char full[128];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(path, f);
	fclose(f);
}

static void lead(const char *path, const char *to)
{
	char full[128];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(symlink(to, full), 0);
}

static int start(void **state)
{
	char full[128];

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(inside, sizeof(inside), "%s/in", root);
	assert_int_equal(mkdir(inside, 0700), 0);
	snprintf(full, sizeof(full), "%s/sub", inside);
	assert_int_equal(mkdir(full, 0700), 0);
	put("out");
	put("in/a");
	put("in/sub/b");
	lead("in/near", "sub/b");
	lead("in/sub/back", "../a");
	lead("in/far", "../out");
	lead("in/up", "..");
	lead("in/loop", "loop");
	return 0;
}

static int stop(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

/* 'f': a file that says @a want; 'd': a folder; '-': nothing. */
static void check(const char *path, enum beneath_links links, const char *want)
{
	int fd = beneath_open(inside, path, links);
	char text[32] = "";
	struct stat st;

	if (want == NULL) {
		assert_true(fd < 0);
		return;
	}
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISREG(st.st_mode))
		assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	else
		strcpy(text, "folder");
	assert_string_equal(text, want);
	close(fd);
}

static void check_all(bool follows)
{
	for (int links = 0; links <= BENEATH_LINKS_ANYWHERE; links++) {
		bool follow = links == BENEATH_LINKS_ANYWHERE ||
			      (links == BENEATH_LINKS_INSIDE && follows);
		bool any = links == BENEATH_LINKS_ANYWHERE;

		check("a", links, "in/a");
		check("sub/b", links, "in/sub/b");
		check("sub", links, "folder");
		check("", links, "folder");
		check("no", links, NULL);
		check("a/b", links, NULL);
		check("near", links, follow ? "in/sub/b" : NULL);
		check("sub/back", links, follow ? "in/a" : NULL);
		check("far", links, any ? "out" : NULL);
		check("up/out", links, any ? "out" : NULL);
		check("loop", links, NULL);
		if (any)
			continue; /* its caller has seen to these */
		check("../out", links, NULL);
		check("..", links, NULL);
		check("sub/../../out", links, NULL);
	}
	assert_int_equal(beneath_open("/nowhere", "a", 0), UV_ENOENT);
}

static void test_kernel(void **state)
{
	(void)state;
	check_all(true);
}

static void test_walk(void **state)
{
	(void)state;
	if (inject_arm("openat2", 0, -1) != 0)
		skip();
	check_all(false);
	assert_true(inject_asked("openat2") > 0);
	inject_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
