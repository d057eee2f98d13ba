/*
 * Reading a library. By read(), never by mapping the user's file: that file
 * may be cut while we look at it, and a mapping would then be SIGBUS.
 */
#include "cmod/library_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"

enum { TRIES = 4 };

static const off_t SIZE_MAX_BYTES = (off_t)1 << 30;

static int check_kind(const struct stat *st, const char *file)
{
	if (S_ISDIR(st->st_mode)) {
		diag_set_system(EISDIR, "cannot load '%s'", file);
		return -1;
	}
	if (!S_ISREG(st->st_mode)) {
		diag_set_code(ClientError, ER_LOAD_MODULE,
			      "cannot load '%s': not a regular file", file);
		return -1;
	}
	if (st->st_size == 0) {
		diag_set_code(ClientError, ER_LOAD_MODULE,
			      "cannot load '%s': the file is empty", file);
		return -1;
	}
	if (st->st_size > SIZE_MAX_BYTES) {
		diag_set_code(ClientError, ER_LOAD_MODULE,
			      "cannot load '%s': larger than %lld bytes", file,
			      (long long)SIZE_MAX_BYTES);
		return -1;
	}
	return 0;
}

/* Reads what is there, up to @a size. Returns the bytes read or -errno. */
static ssize_t read_all(int fd, char *data, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = inject("cmod.read")
			    ? (errno = EIO, -1)
			    : pread(fd, data + done, size - done, (off_t)done);
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)done;
}

/* One try. Returns 1 when read in one state, 0 when it changed meanwhile. */
static int read_once(struct library_file *lf, int fd, const char *file)
{
	struct stat before, after;
	struct identity now;
	char *data;
	ssize_t n;

	if (fstat(fd, &before) != 0) {
		diag_set_system(errno, "cannot stat '%s'", file);
		return -1;
	}
	if (check_kind(&before, file) != 0)
		return -1;
	data = mem_realloc(lf->data, (size_t)before.st_size);
	if (data == NULL) {
		diag_set_oom(before.st_size, "a library's file");
		return -1;
	}
	lf->data = data;
	lf->size = (size_t)before.st_size;
	n = read_all(fd, data, lf->size);
	if (n < 0) {
		diag_set_system((int)-n, "cannot read '%s'", file);
		return -1;
	}
	if (fstat(fd, &after) != 0) {
		diag_set_system(errno, "cannot stat '%s'", file);
		return -1;
	}
	lf->id = identity_of(&before);
	now = identity_of(&after);
	return (size_t)n == lf->size && identity_equal(&lf->id, &now) &&
	       !inject("cmod.changed");
}

int library_file_read(struct library_file *lf, const char *file, int fd)
{
	int opened = -1, rc = 0;

	*lf = (struct library_file){ .data = NULL };
	/* Not blocking: opening a FIFO must not wait for a writer. */
	if (fd < 0)
		fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		diag_set_system(errno, "cannot open '%s'", file);
		return -1;
	}
	for (int i = 0; rc == 0 && i < TRIES; i++)
		rc = read_once(lf, fd, file);
	if (opened >= 0)
		close(opened);
	if (rc == 1)
		return 0;
	if (rc == 0)
		diag_set_system(EBUSY,
				"cannot load '%s': it keeps changing "
				"while it is read",
				file);
	library_file_free(lf);
	return -1;
}

void library_file_free(struct library_file *lf)
{
	mem_free(lf->data);
	lf->data = NULL;
	lf->size = 0;
}

static uint64_t mix(uint64_t h, const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof word);
	h ^= word;
	return (h << 27 | h >> 37) * UINT64_C(0x9e3779b97f4a7c15);
}

/*
 * Exclusive or, turn and multiply, a word at a time: tells an accident, not an
 * attack. No step loses anything, so one changed word always tells. In four
 * lanes, as a step has to wait for the one before it in its lane.
 */
uint64_t library_file_hash(const struct library_file *lf)
{
	uint64_t a = lf->size, b = 1, c = 2, d = 3;
	const char *p = lf->data, *end = p + lf->size;
	char rest[32] = { 0 };

	for (; end - p >= 32; p += 32) {
		a = mix(a, p);
		b = mix(b, p + 8);
		c = mix(c, p + 16);
		d = mix(d, p + 24);
	}
	memcpy(rest, p, (size_t)(end - p));
	a = mix(a, rest);
	b = mix(b, rest + 8);
	c = mix(c, rest + 16);
	d = mix(d, rest + 24);
	a = mix(a, (const char *)&b);
	a = mix(a, (const char *)&c);
	return mix(a, (const char *)&d);
}
