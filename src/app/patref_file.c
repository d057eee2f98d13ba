/*
 * The files of maps and ACLs: a line has a key and, in a map, a value behind blanks,
 * which may have blanks itself; '#' begins a comment.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/patref.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"

enum {
	FILE_MAX = 1 << 30,
	PIECE = 256 * 1024,
	FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int read_all(int fd, const char *path, struct buf *out)
{
	ssize_t n;
	char *to;

	for (;;) {
		to = buf_reserve(out, PIECE);
		if (to == NULL) {
			diag_set(OutOfMemory,
				 "not enough memory for the file '%s', or it "
				 "is longer than %d bytes",
				 path, FILE_MAX);
			return -1;
		}
		n = read(fd, to, PIECE);
		if (n == 0)
			return 0;
		if (n > 0) {
			out->size += (size_t)n;
		} else if (errno != EINTR) {
			diag_set_system(errno, "cannot read '%s'", path);
			return -1;
		}
	}
}

/* Returns a descriptor, or -1 with errno set. */
static int open_file(const char *path, const char *folder)
{
	char whole[PATH_MAX];
	int size;

	if (folder == NULL || path[0] == '/')
		return open(path, FLAGS);
	size = snprintf(whole, sizeof whole, "%s/%s", folder, path);
	if (size >= (int)sizeof whole) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(whole, FLAGS);
}

static int read_file(const char *path, bool optional, const char *folder,
		     struct buf *out)
{
	int fd = open_file(path, folder);
	struct stat st;
	int rc = -1;

	if (fd < 0) {
		if (optional && errno == ENOENT)
			return 0;
		diag_set_system(errno, "cannot open the map or ACL '%s'", path);
		return -1;
	}
	if (fstat(fd, &st) != 0)
		diag_set_system(errno, "cannot read '%s'", path);
	else if (!S_ISREG(st.st_mode)) /* it might never end */
		diag_set(IllegalParams, "'%s' is no regular file", path);
	else
		rc = read_all(fd, path, out);
	close(fd);
	return rc;
}

static int fail_line(const char *path, unsigned line)
{
	struct error *e = diag_take();

	diag_set_error(error_new(e->type, e->code, __FILE__, __LINE__,
				 "%s:%u: %s", path, line, e->message));
	error_unref(e);
	return -1;
}

bool patref_read_line(const struct patref *r, const char *line, size_t size,
		      struct patref_line *ret)
{
	const char *p = line, *end = line + size, *key_end, *value;

	if (end > p && end[-1] == '\r')
		end--;
	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	if (p == end || *p == '#')
		return false;
	key_end = p;
	while (key_end < end && (!patref_is_map(r) || !is_blank(*key_end)))
		key_end++;
	value = key_end;
	while (value < end && is_blank(*value))
		value++;
	*ret = (struct patref_line){ p, value, (size_t)(key_end - p),
				     (size_t)(end - value) };
	return true;
}

/* From @a p to before @a end, without the line's end. */
static int read_line(struct patref *r, struct patref_gen *gen, const char *p,
		     const char *end, unsigned line)
{
	struct patref_line l;

	if (!patref_read_line(r, p, (size_t)(end - p), &l))
		return 0;
	return patref__load(r, gen, l.key, l.key_size, l.value, l.value_size,
			    line);
}

int patref__read_file(struct patref *r, struct patref_gen *gen,
		      const char *folder)
{
	const char *path = patref_name(r), *p, *end, *line_end;
	struct buf text = { .limit = FILE_MAX };
	bool optional = strncmp(path, "opt@", 4) == 0;
	unsigned line = 0;
	int rc;

	if (strncmp(path, "virt@", 5) == 0)
		return 0;
	if (optional)
		path += 4;
	rc = read_file(path, optional, folder, &text);
	end = text.data + text.size;
	for (p = text.data; rc == 0 && p < end; p = line_end + 1) {
		line_end = memchr(p, '\n', (size_t)(end - p));
		if (line_end == NULL)
			line_end = end;
		line++;
		if (read_line(r, gen, p, line_end, line) != 0)
			rc = fail_line(path, line);
	}
	buf_destroy(&text);
	return rc;
}
