/* Builds of hello.c; see builds.h. */
#include "builds.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW    "new.so"
#define BROKEN "broken.so"

enum { LIBRARY_MAX = 1 << 20 };

/* A library in memory. */
struct image {
	char data[LIBRARY_MAX];
	size_t size;
};

/* Compile build n to a file; returns the compiler's exit code. */
static int compile(const struct builds *b, unsigned n, const char *source,
		   const char *out)
{
	char include[512], build[64];
	int status;
	pid_t pid;

	snprintf(include, sizeof(include), "-I%s", b->include);
	snprintf(build, sizeof(build), "-DHELLO_BUILD=\"b%06u\"", n);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int log = open("compiler.log", O_WRONLY | O_CREAT | O_TRUNC,
			       0644);

		if (log >= 0)
			dup2(log, 2);
		execlp(b->compiler, b->compiler, "-shared", "-fPIC", include,
		       build, "-o", out, source, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("cannot start the compiler: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void must_compile(const struct builds *b, unsigned n, const char *out)
{
	int code = compile(b, n, b->source, out);

	if (code != 0)
		fail("the compiler ended with %d, see compiler.log", code);
}

static void must_rename(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		fail("rename %s: %s", from, strerror(errno));
}

static struct image *read_image(const char *path)
{
	static struct image image;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, image.data, sizeof(image.data));

	if (n <= 0 || n == sizeof(image.data))
		fail("%s cannot be read or is too large", path);
	close(fd);
	image.size = (size_t)n;
	return &image;
}

static void write_part(int fd, const struct image *image, size_t from,
		       size_t to)
{
	if (pwrite(fd, image->data + from, to - from, (off_t)from) !=
	    (ssize_t)(to - from))
		fail("cannot write a library: %s", strerror(errno));
}

static int open_for_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

/* --- the ways --- */

/* The compiler writes the library where the server looks. */
static void by_compiler(const struct builds *b, unsigned n)
{
	must_compile(b, n, b->library);
}

/* Built aside and renamed, as an installer does. */
static void by_rename(const struct builds *b, unsigned n)
{
	must_compile(b, n, NEW);
	must_rename(NEW, b->library);
}

/* Copied over in place, as cp does: the same file is short for a while. */
static void by_copy(const struct builds *b, unsigned n)
{
	struct image *image;
	int fd;

	must_compile(b, n, NEW);
	image = read_image(NEW);
	fd = open_for_write(b->library);
	b->while_broken(b->arg, "empty");
	write_part(fd, image, 0, image->size / 2);
	b->while_broken(b->arg, "copied half");
	write_part(fd, image, image->size / 2, image->size);
	close(fd);
}

/* Copied over in place, its header last and at once: size and file are those
 * of the bad file the server may have seen an instant before. */
static void by_header_last(const struct builds *b, unsigned n)
{
	struct image *image;
	int fd;

	must_compile(b, n, NEW);
	image = read_image(NEW);
	fd = open_for_write(b->library);
	write_part(fd, image, 64, image->size);
	write_part(fd, image, 0, 64);
	close(fd);
}

/* A file of nothing but the first bytes comes before the whole one. */
static void after_truncated(const struct builds *b, unsigned n)
{
	struct image *image;
	int fd;

	must_compile(b, n, NEW);
	image = read_image(NEW);
	fd = open_for_write(BROKEN);
	write_part(fd, image, 0, image->size / 3);
	close(fd);
	must_rename(BROKEN, b->library);
	b->while_broken(b->arg, "truncated");
	must_rename(NEW, b->library);
}

/* Whole in size, but the second half was never written. */
static void after_zeroed(const struct builds *b, unsigned n)
{
	struct image *image;
	int fd;

	must_compile(b, n, NEW);
	image = read_image(NEW);
	fd = open_for_write(BROKEN);
	write_part(fd, image, 0, image->size / 2);
	if (ftruncate(fd, (off_t)image->size) != 0)
		fail("ftruncate: %s", strerror(errno));
	close(fd);
	must_rename(BROKEN, b->library);
	b->while_broken(b->arg, "half of it zeros");
	must_rename(NEW, b->library);
}

/* The compiler refuses the source first: the old library stays. */
static void after_syntax_error(const struct builds *b, unsigned n)
{
	FILE *file = fopen("broken.c", "w");

	if (file == NULL || fputs("int sum( { return }\n", file) < 0 ||
	    fclose(file) != 0)
		fail("broken.c: %s", strerror(errno));
	if (compile(b, n, "broken.c", b->library) == 0)
		fail("the compiler took a syntax error");
	b->while_broken(b->arg, "not built");
	must_compile(b, n, b->library);
}

/* The library is away for a while: make clean, make. */
static void after_missing(const struct builds *b, unsigned n)
{
	if (unlink(b->library) != 0)
		fail("unlink: %s", strerror(errno));
	b->while_broken(b->arg, "missing");
	must_compile(b, n, b->library);
}

/* Something else altogether lies there first. */
static void after_garbage(const struct builds *b, unsigned n)
{
	struct image *image;
	unsigned seed = n;
	int fd;

	must_compile(b, n, NEW);
	image = read_image(NEW);
	for (size_t i = n % 2 == 0 ? 0 : 64; i < image->size; i++) {
		seed = seed * 1103515245 + 12345;
		image->data[i] = (char)(seed >> 16);
	}
	fd = open_for_write(BROKEN);
	write_part(fd, image, 0, image->size);
	close(fd);
	must_rename(BROKEN, b->library);
	b->while_broken(b->arg, "garbage");
	must_rename(NEW, b->library);
}

static const struct {
	const char *name;
	bool in_place;
	void (*go)(const struct builds *b, unsigned n);
} ways[WAYS] = {
	{ "written by the compiler", true, by_compiler },
	{ "renamed", false, by_rename },
	{ "copied over in place", true, by_copy },
	{ "copied over, its header last", true, by_header_last },
	{ "after a truncated one", false, after_truncated },
	{ "after a half of zeros", false, after_zeroed },
	{ "after a syntax error", true, after_syntax_error },
	{ "after it was missing", true, after_missing },
	{ "after garbage", false, after_garbage },
};

bool builds_in_place(unsigned way)
{
	return ways[way].in_place;
}

const char *builds_way(unsigned way)
{
	return ways[way].name;
}

void builds_replace(const struct builds *b, unsigned way, unsigned n)
{
	ways[way].go(b, n);
}
