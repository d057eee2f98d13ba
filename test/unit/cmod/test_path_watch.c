/*
 * Whatever makes a path lead elsewhere, or its file another, ends the trust in
 * it at once, whoever did it; what does not, leaves it.
 * test: timeout 120, threads
 */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/inject.h"
#include "cmod/path_watch.h"
#include "cmod_build.h"

static char root[PATH_MAX / 2];

static void sh(const char *command)
{
	assert_int_equal(system(command), 0);
}

static const char *at(const char *path)
{
	static _Thread_local char full[PATH_MAX];

	snprintf(full, sizeof full, "%s/%s", root, path);
	return full;
}

/* one/a/b/m is the file; `in` leads there by a link, whose folder is reached by
 * another; other/a/b/m and spare are other ones of the same size. */
static void build_tree(void)
{
	sh("rm -rf one other links in spare");
	sh("mkdir -p one/a/b other/a/b links/x");
	sh("echo 1 >one/a/b/m; echo 2 >other/a/b/m; echo 3 >spare");
	sh("ln -s ../../one links/x/current; ln -s links/x in");
}

static struct identity identity_at(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return identity_of(&st);
}

static uint64_t begin(const char *path)
{
	struct identity id = identity_at(at(path));

	return path_watch_begin(at(path), &id);
}

static uint64_t begin_well(const char *path)
{
	uint64_t since = begin(path);

	assert_true(since != 0);
	assert_true(path_watch_is_still(since));
	assert_true(path_watch_is_still(since));
	return since;
}

static const char link_path[] = "in/current/a/./b//m";
static const char plain_path[] = "one/a/b/m";

static void exchange(const char *a, const char *b)
{
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b,
				 2 /* RENAME_EXCHANGE */),
			 0);
}

static void write_to(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | flags);

	assert_int_equal(write(fd, "4\n", 2), 2);
	close(fd);
}

static void map_and_write(const char *path)
{
	int fd = open(path, O_RDWR);
	char *p = mmap(NULL, 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(p != MAP_FAILED);
	close(fd);
	p[0] = '5';
	munmap(p, 2);
}

/* Returns false when there is no such change. */
static bool change(int n)
{
	switch (n) {
	case 0:
		return write_to("one/a/b/m", 0), true;
	case 1:
		return write_to("one/a/b/m", O_TRUNC), true;
	case 2:
		return write_to("one/a/b/m", O_APPEND), true;
	case 3:
		return map_and_write("one/a/b/m"), true;
	case 4:
		return truncate("one/a/b/m", 1) == 0;
	case 5:
		return utimensat(AT_FDCWD, "one/a/b/m", NULL, 0) == 0;
	case 6:
		return rename("spare", "one/a/b/m") == 0;
	case 7:
		return unlink("one/a/b/m") == 0;
	case 8:
		return rename("one/a/b/m", "gone") == 0;
	case 9: /* by a hard link */
		return link("spare", "new") == 0 &&
		       rename("new", "one/a/b/m") == 0;
	case 10:
		return exchange("spare", "one/a/b/m"), true;
	case 11:
		return rename("one/a/b", "one/a/c") == 0;
	case 12:
		return rename("one/a", "one/c") == 0;
	case 13:
		return rename("one", "two") == 0 && rename("two", "one") == 0;
	case 14:
		return exchange("one", "other"), true;
	case 15:
		return exchange("one/a/b", "other/a/b"), true;
	case 16:
		return chmod("one/a", 0700) == 0;
	case 17:
		return rename(root, "../moved") == 0 &&
		       rename("../moved", root) == 0;
	case 18:
		return link("one/a/b/m", "one/a/b/n") == 0 &&
		       unlink("one/a/b/m") == 0;
	case 19:
		return system("rm -r one") == 0;
	default:
		return false;
	}
}

/* The same for what only the path with links has. */
static bool change_links(int n)
{
	switch (n) {
	case 0:
		return symlink("../../other", "new") == 0 &&
		       rename("new", "links/x/current") == 0;
	case 1:
		return unlink("links/x/current") == 0 &&
		       symlink("../../other", "links/x/current") == 0;
	case 2:
		return rename("links/x/current", "links/x/old") == 0;
	case 3:
		return symlink("../../other", "new") == 0 &&
		       (exchange("new", "links/x/current"), true);
	case 4:
		return unlink("in") == 0;
	case 5:
		return rename("links/x", "links/y") == 0;
	case 6:
		return rename("links", "l") == 0 && rename("l", "links") == 0;
	case 7: /* to where it led */
		return symlink("../../one", "new") == 0 &&
		       rename("new", "links/x/current") == 0;
	default:
		return change(n - 8);
	}
}

/* Changed by this process, or by another. */
static bool change_by(bool (*fn)(int), int n, bool other)
{
	int status;
	pid_t pid;

	if (!other)
		return fn(n);
	pid = fork();
	if (pid == 0)
		_exit(fn(n) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static int check_changes(const char *path, bool (*fn)(int), bool other)
{
	for (int n = 0;; n++) {
		uint64_t since, neighbour;

		sh("rm -rf new gone l");
		build_tree();
		neighbour = begin("spare");
		since = begin_well(path);
		if (!change_by(fn, n, other))
			return n;
		if (path_watch_is_still(since))
			fail_msg("change %d is not noticed", n);
		assert_false(path_watch_is_still(since));
		assert_false(path_watch_is_still(neighbour));
		assert_int_equal(chdir(root), 0);
	}
}

static void test_changes(void **state)
{
	(void)state;
	for (int other = 0; other < 2; other++) {
		assert_int_equal(check_changes(plain_path, change, other), 20);
		assert_int_equal(check_changes(link_path, change_links, other),
				 28);
	}
}

static void test_what_is_no_change(void **state)
{
	uint64_t since, other;
	struct stat st;

	(void)state;
	build_tree();
	since = begin_well(link_path);
	sh("echo >one/a/b/n; mkdir one/a/d; mv one/a/b/n one/a/d; ls -lR >l;"
	   "rm -r one/a/d; ln -s m one/a/b/m2; touch new; rm new");
	assert_int_equal(stat(at(plain_path), &st), 0);
	assert_true(path_watch_is_still(since));
	/* Nor is another path to the same, or to another file. */
	other = begin_well(plain_path);
	assert_true(path_watch_is_still(since));
	begin_well("spare");
	begin_well(link_path);
	assert_true(path_watch_is_still(other));
	/* An old one stays so, others begin anew. */
	write_to("spare", 0);
	assert_false(path_watch_is_still(other));
	assert_true(path_watch_is_still(begin_well(plain_path)));
	assert_false(path_watch_is_still(other));
	assert_false(path_watch_is_still(since));
	assert_false(path_watch_is_still(0));
}

static void test_refused(void **state)
{
	struct identity id;

	(void)state;
	build_tree();
	id = identity_at("spare");
	assert_int_equal(path_watch_begin(at(plain_path), &id), 0);
	assert_int_equal(path_watch_begin("spare", &id), 0);
	assert_int_equal(path_watch_begin("", &id), 0);
	assert_int_equal(path_watch_begin(at("nothing"), &id), 0);
	assert_int_equal(path_watch_begin(at("spare/x"), &id), 0);
	id = identity_at(root);
	assert_int_equal(path_watch_begin(root, &id), 0);
	id = identity_at("/proc/version"); /* not what is local */
	assert_int_equal(path_watch_begin("/proc/version", &id), 0);
	sh("ln -s loop loop");
	assert_int_equal(path_watch_begin(at("loop"), &id), 0);
	sh("rm loop");
}

/* A folder that the way only passes by may be empty, so it goes alone; and who
 * has it open keeps the kernel from telling. */
static void test_folder_passed_by(void **state)
{
	static const char *const paths[] = { "one/empty/../a/b/m",
					     "one/empty/./../a/b/m", "by/a/b/m",
					     "back/../a/b/m" };
	uint64_t since;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		build_tree();
		sh("mkdir one/empty other/x; rm -f by back;"
		   "ln -s one/empty/.. by; ln -s one/empty back");
		fd = open("one/empty", O_RDONLY | O_DIRECTORY);
		since = begin(paths[i]);
		assert_int_equal(rmdir("one/empty"), 0);
		assert_int_equal(symlink("../other/x", "one/empty"), 0);
		close(fd);
		if (path_watch_is_still(since))
			fail_msg("%s", paths[i]);
	}
}

/* By a way that no event tells of, but it was opened. */
static void test_writers(void **state)
{
	uint64_t since;
	char *p;
	int fd;

	(void)state;
	build_tree();
	since = begin_well("spare");
	fd = open("one/a/b/m", O_RDWR);
	assert_int_equal(begin(plain_path), 0);
	p = mmap(NULL, 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_int_equal(begin(plain_path), 0);
	/* And to try was no event for others. */
	assert_true(path_watch_is_still(since));
	munmap(p, 2);
	since = begin_well(plain_path);
	fd = open("one/a/b/m", O_RDWR);
	assert_false(path_watch_is_still(since));
	assert_int_equal(begin(plain_path), 0);
	close(fd);
	begin_well(plain_path);
	if (geteuid() != 0)
		return;
	/* Whether somebody writes to it is told to the owner only. */
	path_watch_end();
	assert_int_equal(seteuid(65534), 0);
	since = begin(plain_path);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(since, 0);
	begin_well(plain_path);
}

/* More events than the kernel keeps. */
static void test_overflow(void **state)
{
	uint64_t since;
	int count = 0;
	FILE *f;

	(void)state;
	build_tree();
	f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &count), 1);
	fclose(f);
	since = begin_well(plain_path);
	for (int i = 0; i < count && i < 1000000; i++) {
		chmod("one/a", 0755);
		chmod("one/a/b", 0755);
	}
	assert_int_equal(rename("spare", "one/a/b/m"), 0);
	assert_false(path_watch_is_still(since));
	assert_false(path_watch_is_still(since));
	since = begin_well(plain_path);
	assert_int_equal(rename("other/a/b/m", "one/a/b/m"), 0);
	assert_false(path_watch_is_still(since));
}

/* Watches of this process. */
static int watches(void)
{
	FILE *f = popen("cat /proc/$PPID/fdinfo/* 2>/dev/null | "
			"grep -c '^inotify wd:'",
			"r");
	int count = -1;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &count), 1);
	pclose(f);
	return count;
}

/* To watch a folder anew may take long: those on the way stay watched, as long
 * as there are not too many, and what else was watched does not. */
static void test_folders_stay(void **state)
{
	uint64_t since;
	int folders, few;
	char name[32];

	(void)state;
	path_watch_end();
	build_tree();
	since = begin_well(link_path);
	folders = watches() - 3; /* two links, a file */
	assert_true(folders >= 5);
	write_to("one/a/b/m", 0);
	assert_false(path_watch_is_still(since));
	assert_int_equal(watches(), folders);
	begin_well(link_path);
	assert_int_equal(watches(), folders + 3);
	/* Gone ones do not count. */
	sh("rm -r one/a");
	begin_well("spare");
	assert_int_equal(watches(), folders - 2 + 1);
	few = watches();
	sh("mkdir many; cd many; seq 400 | xargs mkdir;"
	   "for i in *; do echo $i >$i/m; done");
	for (int i = 1; i <= 400; i++) {
		snprintf(name, sizeof name, "many/%d/m", i);
		begin_well(name);
	}
	assert_true(watches() >= few + 400);
	write_to("spare", 0);
	begin_well("many/400/m");
	assert_in_range(watches(), 256, 256 + 10);
	sh("rm -r many");
	begin_well("spare");
	assert_int_equal(watches(), few);
}

/* More paths than are watched at once: some begin anew, none is missed. */
static void test_many(void **state)
{
	enum { MANY = 1500 };
	static uint64_t since[MANY];
	char name[32];

	(void)state;
	build_tree();
	sh("mkdir many; cd many; seq 1500 | xargs touch");
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "many/%d", i + 1);
		since[i] = begin(name);
		assert_true(since[i] != 0);
	}
	assert_false(path_watch_is_still(since[0]));
	assert_true(path_watch_is_still(since[MANY - 1]));
	assert_true(path_watch_is_still(since[MANY - 100]));
	sh("rm many/1450");
	assert_false(path_watch_is_still(since[MANY - 1]));
	sh("rm -r many");
}

static bool mount_by(bool on, bool other)
{
	pid_t pid;
	int status;

	if (!other)
		return on ? mount("other", "one", NULL, MS_BIND, NULL) == 0
			  : umount2("one", MNT_DETACH) == 0;
	pid = fork();
	if (pid == 0)
		_exit(mount_by(on, false) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static void *check_mounts(void *arg)
{
	uint64_t since;

	(void)arg;
	/* Of this thread alone. */
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return "skip";
	for (int other = 0; other < 2; other++) {
		since = begin_well(plain_path);
		if (!mount_by(true, other))
			return "mount";
		if (path_watch_is_still(since))
			return "a mount is not noticed";
		since = begin_well(plain_path);
		if (!mount_by(false, other))
			return "umount";
		if (path_watch_is_still(since))
			return "an unmount is not noticed";
	}
	return NULL;
}

static void test_mounts(void **state)
{
	pthread_t thread;
	void *text;

	(void)state;
	build_tree();
	path_watch_end();
	pthread_create(&thread, NULL, check_mounts, NULL);
	pthread_join(thread, &text);
	if (text != NULL && strcmp(text, "skip") == 0)
		skip();
	if (text != NULL)
		fail_msg("%s", (char *)text);
}

/* A thread that did not see a mount does not trust what was before. */
static void *begin_here(void *arg)
{
	*(uint64_t *)arg = begin(plain_path);
	return NULL;
}

static void test_threads_differ(void **state)
{
	pthread_t thread;
	uint64_t mine, theirs = 0;

	(void)state;
	build_tree();
	path_watch_end();
	mine = begin_well("spare");
	pthread_create(&thread, NULL, begin_here, &theirs);
	pthread_join(thread, NULL);
	assert_true(theirs != 0);
	assert_false(path_watch_is_still(mine));
	assert_true(path_watch_is_still(theirs));
}

static void test_fork(void **state)
{
	struct identity id;
	uint64_t since;
	int status;
	pid_t pid;

	(void)state;
	build_tree();
	since = begin_well(plain_path);
	id = identity_at(plain_path);
	pid = fork();
	if (pid == 0) {
		write_to("one/a/b/m", 0);
		/* The event is the parent's, the child must not take it. */
		_exit(path_watch_is_still(since) ||
		      path_watch_begin(at(plain_path), &id) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(path_watch_is_still(since));
}

static void test_descriptors(void **state)
{
	uint64_t since;
	pthread_t thread;
	int before;

	(void)state;
	build_tree();
	path_watch_end();
	path_watch_end();
	before = unit_open_fds();
	since = begin_well(plain_path);
	assert_int_equal(unit_open_fds(), before + 3);
	pthread_create(&thread, NULL, begin_here, &since);
	pthread_join(thread, NULL);
	assert_int_equal(unit_open_fds(), before + 3);
	path_watch_end();
	assert_int_equal(unit_open_fds(), before);
	assert_false(path_watch_is_still(since));
	pthread_create(&thread, NULL, begin_here, &since);
	pthread_join(thread, NULL);
	assert_int_equal(unit_open_fds(), before);
	begin_well(plain_path);
	sh("test $(ls -l /proc/self/fd | grep -c inotify) = 0");
}

/* Fails where it is said to; nothing is left open. */
static void test_failures(void **state)
{
	static const char *const places[] = { "path_watch.inotify",
					      "path_watch.mounts",
					      "path_watch.add" };
	int before;

	(void)state;
	build_tree();
	path_watch_end();
	if (inject_arm(places[0], 0, 0) != 0)
		skip();
	before = unit_open_fds();
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		inject_arm(places[i], 0, -1);
		assert_int_equal(begin(plain_path), 0);
		inject_reset();
		path_watch_end();
		assert_int_equal(unit_open_fds(), before);
	}
	for (long after = 0; after < 5; after++) {
		inject_arm("path_watch.add", after, 1);
		assert_int_equal(begin(plain_path), 0);
		inject_reset();
		begin_well(plain_path);
	}
}

/* A user of no watches, or too few: this program anew, with such limits. */
static int without(const char *limit)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "/proc/sys/user/max_inotify_%s", limit);
	if (unshare(CLONE_NEWUSER) != 0 || (f = fopen(path, "w")) == NULL)
		return 77;
	fprintf(f, "%d\n", strcmp(limit, "watches") == 0 ? 3 : 0);
	if (fclose(f) != 0)
		return 77;
	if (begin(plain_path) != 0)
		return 1;
	path_watch_end();
	return 0;
}

static void test_limits(void **state)
{
	static const char *const limits[] = { "instances", "watches" };
	char command[PATH_MAX + 64], self[PATH_MAX] = "";

	(void)state;
	build_tree();
	assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	for (int i = 0; i < 2; i++) {
		int status;

		snprintf(command, sizeof command, "'%s' %s", self, limits[i]);
		status = WEXITSTATUS(system(command));
		if (status == 77)
			skip();
		assert_int_equal(status, 0);
	}
}

/* Many ask, one turns a link: trust in where it led is never given after. */
enum { ASKERS = 4, TURNS = 2000 };

static atomic_uint turns_begun, turns_done;
static atomic_uint trusted, mistaken;
static atomic_bool all_done;
static struct identity ids[2];

static void *ask(void *arg)
{
	char path[PATH_MAX];

	(void)arg;
	snprintf(path, sizeof path, "%s", at("turning/a/b/m"));
	while (!atomic_load(&all_done)) {
		unsigned which = atomic_load(&turns_done) % 2, done;
		uint64_t since = path_watch_begin(path, &ids[which]);

		for (int i = 0; i < 20; i++) {
			done = atomic_load(&turns_done);
			if (!path_watch_is_still(since))
				break;
			atomic_fetch_add(&trusted, 1);
			/* Nothing began meanwhile. */
			if (atomic_load(&turns_begun) == done &&
			    done % 2 != which)
				atomic_fetch_add(&mistaken, 1);
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	static const char *const targets[] = { "one", "other" };
	pthread_t threads[ASKERS];

	(void)state;
	build_tree();
	ids[0] = identity_at("one/a/b/m");
	ids[1] = identity_at("other/a/b/m");
	assert_int_equal(symlink("one", "turning"), 0);
	for (int i = 0; i < ASKERS; i++)
		pthread_create(&threads[i], NULL, ask, NULL);
	for (unsigned i = 1; i <= TURNS; i++) {
		assert_int_equal(symlink(targets[i % 2], "new"), 0);
		atomic_fetch_add(&turns_begun, 1);
		assert_int_equal(rename("new", "turning"), 0);
		atomic_fetch_add(&turns_done, 1);
		while (atomic_load(&trusted) < i)
			sched_yield();
	}
	atomic_store(&all_done, true);
	for (int i = 0; i < ASKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&mistaken), 0);
	unlink("turning");
}

static int setup(void **state)
{
	(void)state;
	sh("rm -rf tree; mkdir tree");
	return chdir("tree") == 0 && getcwd(root, sizeof root) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	path_watch_end();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_what_is_no_change),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_folder_passed_by),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_folders_stay),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_threads_differ),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_threads),
	};

	if (argc > 1)
		return getcwd(root, sizeof root) != NULL ? without(argv[1]) : 1;
	if (!folder_can_be_watched()) {
		puts("nothing can be watched on this file system");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
