/*
 * The console's history. See history.h.
 *
 * A new entry is one write at the end of the file; for one that was there
 * before, or when the file has become long, the file is replaced. A lock keeps
 * consoles from writing at once, and a look at the inode after locking keeps
 * them from writing into a file that was replaced.
 */
#include "console/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/inject.h"

/* More than this is not read: the end of the file has the newest entries. */
enum { FILE_READ_MAX = 4 * 1024 * 1024 };

/* How long another console may hold the lock: a second in all. The end of the
 * process waits as long. */
enum { LOCK_TRIES = 200, LOCK_PAUSE_MS = 5 };

char *history_default_path(const char *setting)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	struct buf path = { 0 };
	int rc;

	if (setting != NULL)
		return *setting == '\0' ? NULL : mem_strdup(setting);
	/* A relative XDG path is invalid and to be ignored. */
	if (state != NULL && *state == '/')
		rc = buf_printf(&path, "%s/neap/history", state);
	else if (home != NULL && *home == '/')
		rc = buf_printf(&path, "%s/.local/state/neap/history", home);
	else
		return NULL;
	if (rc != 0 || buf_putc(&path, '\0') != 0) {
		buf_destroy(&path);
		return NULL;
	}
	return path.data;
}

static int make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		int rc;

		*p = '\0';
		rc = mkdir(path, 0700);
		*p = '/';
		if (rc != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

/* The file, made when it is missing; not locked yet. */
static int open_file(char *path)
{
	int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
	struct stat st;
	int fd;

	fd = open(path, flags, 0600);
	if (fd < 0 && errno == ENOENT && make_folders(path) == 0)
		fd = open(path, flags, 0600);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

static bool has_name(int fd, const char *path)
{
	struct stat by_fd, by_name;

	return fstat(fd, &by_fd) == 0 && stat(path, &by_name) == 0 &&
	       by_fd.st_dev == by_name.st_dev && by_fd.st_ino == by_name.st_ino;
}

/*
 * Open and lock the file that has the name now. Never waits for long, nor for
 * ever: who ends the console waits for the thread that is in here. Returns -1
 * with diag set.
 */
static int open_locked(char *path)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	int saved_errno;
	int fd;

	for (int i = 0; i < LOCK_TRIES; i++) {
		fd = open_file(path);
		if (fd < 0) {
			diag_set_system(errno, "history file '%s'", path);
			return -1;
		}
		if (inject("history.lock")) {
			errno = ENOLCK;
		} else if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (has_name(fd, path))
				return fd;
			errno = EWOULDBLOCK; /* replaced: the new one then */
		}
		saved_errno = errno;
		close(fd);
		if (saved_errno != EWOULDBLOCK && saved_errno != EINTR) {
			diag_set_system(saved_errno, "lock history file '%s'",
					path);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	diag_set(ClientError,
		 "history file '%s': another process keeps it "
		 "locked",
		 path);
	return -1;
}

/* Append the line of an entry. */
static int put_entry(struct buf *b, const char *entry)
{
	for (const char *p = entry; *p != '\0'; p++) {
		int rc = *p == '\n'   ? buf_puts(b, "\\n")
			 : *p == '\\' ? buf_puts(b, "\\\\")
				      : buf_putc(b, *p);

		if (rc != 0)
			return rc;
	}
	return buf_putc(b, '\n');
}

/* The entry of a line, in place. */
static void take_entry(char *line)
{
	char *to = line;

	for (char *p = line; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			*to++ = *++p == 'n' ? '\n' : *p;
		else
			*to++ = *p;
	}
	*to = '\0';
}

/* Keep a copy as the newest; the same text from before goes. */
static int remember(struct history *h, const char *entry)
{
	char *copy = mem_strdup(entry);

	if (copy == NULL) {
		diag_set_oom(strlen(entry), "the history");
		return -1;
	}
	for (size_t i = 0; i < h->count; i++) {
		if (strcmp(h->entries[i], entry) != 0)
			continue;
		mem_free(h->entries[i]);
		memmove(&h->entries[i], &h->entries[i + 1],
			(h->count - i - 1) * sizeof *h->entries);
		h->count--;
		break;
	}
	if (h->count == HISTORY_MAX) {
		mem_free(h->entries[0]);
		memmove(&h->entries[0], &h->entries[1],
			(h->count - 1) * sizeof *h->entries);
		h->count--;
	}
	h->entries[h->count++] = copy;
	return 0;
}

static int read_tail(int fd, struct buf *text)
{
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > FILE_READ_MAX ? size - FILE_READ_MAX : 0;
	char *room = buf_reserve(text, (size_t)(size - from) + 1);
	ssize_t n;

	if (room == NULL) {
		diag_set_oom((size_t)size, "the history");
		return -1;
	}
	while ((n = pread(fd, room + text->size,
			  (size_t)(size - from) - text->size,
			  from + (off_t)text->size)) > 0)
		text->size += (size_t)n;
	room[text->size] = '\0';
	/* What crashed machines leave at the end of files. */
	for (char *p = room;
	     (p = memchr(p, '\0', text->size - (size_t)(p - room))) != NULL;)
		*p = ' ';
	/* The first line may be the rest of a longer one. */
	if (from > 0) {
		char *end = memchr(room, '\n', text->size);

		buf_consume(text, end == NULL ? text->size
					      : (size_t)(end - room) + 1);
		text->data[text->size] = '\0';
	}
	return 0;
}

/* The entries of the file's text, which is taken apart. Returns 0, or -1 with
 * diag set. */
static int remember_lines(struct history *h, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (*line == '\0')
			continue;
		take_entry(line);
		if (remember(h, line) != 0)
			return -1;
	}
	return 0;
}

static int load(struct history *h, int fd)
{
	struct buf text = { 0 };
	int rc = read_tail(fd, &text);

	if (rc == 0)
		rc = remember_lines(h, text.data);
	buf_destroy(&text);
	return rc;
}

/* From now on: a file that failed once is not tried, nor waited for, with each
 * entry. */
static void keep_no_file(struct history *h)
{
	mem_free(h->path);
	h->path = NULL;
}

/* The file itself is what is replaced, not a link to it. */
static void follow_links(struct history *h)
{
	char *real = realpath(h->path, NULL);
	char *copy = real == NULL ? NULL : mem_strdup(real);

	free(real);
	if (copy == NULL)
		return;
	mem_free(h->path);
	h->path = copy;
}

int history_create(struct history *h, const char *path)
{
	int fd, rc;

	*h = (struct history){ 0 };
	h->entries = mem_alloc(HISTORY_MAX * sizeof *h->entries);
	if (h->entries == NULL)
		goto no_memory;
	if (path == NULL)
		return 0;
	h->path = mem_strdup(path);
	if (h->path == NULL)
		goto no_memory;
	fd = open_locked(h->path);
	if (fd < 0) {
		keep_no_file(h);
		return -1;
	}
	follow_links(h);
	rc = load(h, fd);
	close(fd);
	return rc;
no_memory:
	diag_set_oom(HISTORY_MAX * sizeof *h->entries, "the history");
	return -1;
}

void history_destroy(struct history *h)
{
	for (size_t i = 0; i < h->count; i++)
		mem_free(h->entries[i]);
	mem_free(h->entries);
	mem_free(h->path);
	*h = (struct history){ 0 };
}

/*
 * Put a file with @a text in the place of the history's. It is a new one, of our own: what
 * somebody has left, or laid, under the name goes. The lock keeps others away.
 */
static int replace_file(const struct history *h, const struct buf *text)
{
	struct buf name = { 0 };
	int fd, rc;

	if (buf_printf(&name, "%s.new%c", h->path, '\0') != 0)
		return -ENOMEM;
	unlink(name.data);
	fd = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = -errno;
		goto out;
	}
	rc = file_write_all(fd, text->data, text->size);
	close(fd);
	if (rc == 0 && rename(name.data, h->path) != 0)
		rc = -errno;
	if (rc != 0)
		unlink(name.data);
out:
	buf_destroy(&name);
	return rc;
}

/* Take every line that is @a line out of @a text; returns whether there was
 * one, and how many others there are. */
static bool drop_line(struct buf *text, const struct buf *line,
		      size_t *ret_others)
{
	char *from = text->data, *to = text->data;
	char *end = text->data + text->size;

	*ret_others = 0;
	while (from < end) {
		char *next = memchr(from, '\n', (size_t)(end - from));
		size_t size = next == NULL ? (size_t)(end - from)
					   : (size_t)(next - from) + 1;

		if (size != line->size || memcmp(from, line->data, size) != 0) {
			memmove(to, from, size);
			to += size;
			(*ret_others)++;
		}
		from += size;
	}
	text->size = (size_t)(to - text->data);
	return to != end;
}

/* Into the locked file: as its last line, and its only one of that text. What
 * other consoles have written meanwhile stays. */
static int write_entry(struct history *h, int fd, const struct buf *line)
{
	struct buf text = { 0 };
	size_t others;
	bool torn;
	int rc;

	if (read_tail(fd, &text) != 0) {
		buf_destroy(&text);
		return -1;
	}
	/* A full disk may have cut the last line short. */
	torn = text.size > 0 && text.data[text.size - 1] != '\n';
	if (torn && buf_putc(&text, '\n') != 0) {
		diag_set_oom(1, "the history");
		buf_destroy(&text);
		return -1;
	}
	if (drop_line(&text, line, &others) || torn ||
	    others > 2 * HISTORY_MAX) {
		if (others > 2 * HISTORY_MAX) {
			char *from = text.data;

			for (size_t n = others; n > HISTORY_MAX; n--)
				from = strchr(from, '\n') + 1;
			buf_consume(&text, (size_t)(from - text.data));
		}
		rc = buf_append(&text, line->data, line->size);
		if (rc == 0)
			rc = replace_file(h, &text);
		else
			rc = -ENOMEM;
	} else {
		rc = file_write_all(fd, line->data, line->size);
	}
	if (rc != 0)
		diag_set_system(rc, "history file '%s'", h->path);
	buf_destroy(&text);
	return rc == 0 ? 0 : -1;
}

static int append(struct history *h, const char *entry)
{
	struct buf line = { 0 };
	int fd, rc = -1;

	if (put_entry(&line, entry) != 0) {
		diag_set_oom(strlen(entry), "the history");
		goto out;
	}
	fd = open_locked(h->path);
	if (fd < 0) {
		keep_no_file(h);
		goto out;
	}
	rc = write_entry(h, fd, &line);
	close(fd);
out:
	buf_destroy(&line);
	return rc;
}

int history_add(struct history *h, const char *entry)
{
	if (h->entries == NULL || *entry == '\0' ||
	    strlen(entry) > HISTORY_ENTRY_MAX)
		return 0;
	/* Typed again at once: nothing to write. */
	if (h->count > 0 && strcmp(h->entries[h->count - 1], entry) == 0)
		return 0;
	if (remember(h, entry) != 0)
		return -1;
	return h->path == NULL ? 0 : append(h, entry);
}
