/* A new folder of files, made of a template. See scaffold.h. */
#include "main/scaffold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/file.h"
#include "embedded/templates.h"

static const char *const templates = "module/";

/* Text of @a size bytes with @a name for each @a mark, into @a out. */
static int fill_in(struct buf *out, const char *text, size_t size,
		   const char *mark, const char *name)
{
	size_t mark_size = strlen(mark);
	const char *end = text + size;

	while (text < end) {
		const char *at =
			memmem(text, (size_t)(end - text), mark, mark_size);
		size_t n = (size_t)((at != NULL ? at : end) - text);

		if (buf_append(out, text, n) != 0 ||
		    (at != NULL && buf_append(out, name, strlen(name)) != 0)) {
			diag_set_oom(size, "a file");
			return -1;
		}
		text += n + (at != NULL ? mark_size : 0);
	}
	return 0;
}

/* "hello/hello.c" for "module/NAME.c". Each call gives the same for the same. */
static int path_of(const char *name, const struct embedded_file *file,
		   char *path, size_t size)
{
	const char *inside = file->path + strlen(templates);
	struct buf out = { NULL };
	int rc = fill_in(&out, inside, strlen(inside), "NAME", name);

	if (rc == 0)
		snprintf(path, size, "%s/%.*s", name, (int)out.size, out.data);
	buf_destroy(&out);
	return rc;
}

static int write_file(const char *path, const struct buf *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int rc;

	if (fd < 0) {
		diag_set_system(errno, "cannot make '%s'", path);
		return -1;
	}
	rc = file_write_all(fd, text->data, text->size);
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	diag_set_system(rc, "cannot write '%s'", path);
	unlink(path);
	return -1;
}

static int make_file(const char *name, const struct embedded_file *file)
{
	struct buf text = { NULL };
	char path[PATH_MAX];
	int rc = -1;

	if (path_of(name, file, path, sizeof path) == 0 &&
	    fill_in(&text, file->data, file->size, "@NAME@", name) == 0)
		rc = write_file(path, &text);
	buf_destroy(&text);
	return rc;
}

/* The folder is ours: what is in it was made here, by the first @a n files. */
static void take_away(const char *name, const struct embedded_file *files,
		      size_t n)
{
	struct error *e = diag_take();
	char path[PATH_MAX];

	while (n > 0) {
		if (path_of(name, &files[--n], path, sizeof path) == 0)
			unlink(path);
		else
			diag_clear();
	}
	rmdir(name);
	diag_set_error(e);
}

int scaffold_make(const char *name, const struct embedded_file *files,
		  FILE *out)
{
	char path[PATH_MAX];
	size_t n;

	if (mkdir(name, 0777) != 0) {
		if (errno == EEXIST)
			diag_set_system(EEXIST,
					"nothing was written: take another "
					"name, or move '%s' away",
					name);
		else
			diag_set_system(errno, "cannot make the folder '%s'",
					name);
		return -1;
	}
	for (n = 0; files[n].path != NULL; n++) {
		if (make_file(name, &files[n]) != 0) {
			take_away(name, files, n);
			return -1;
		}
	}
	for (n = 0; files[n].path != NULL; n++) {
		if (path_of(name, &files[n], path, sizeof path) == 0)
			fprintf(out, "  %s\n", path);
		else
			diag_clear();
	}
	return 0;
}
