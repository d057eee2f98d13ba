/*
 * Lines to a file. See line_file.h.
 *
 * What is added goes into a buffer; when there is much, or some time has passed,
 * that becomes a job of the pool and another is filled. There is one job at a
 * time, so the disk decides how much one write is.
 *
 * A pipe or a terminal that nobody reads must not keep a thread for ever: the
 * file is opened without blocking, and such a reader waited for a moment.
 */
#include "runtime/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/inject.h"
#include "base/log.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

enum {
	MUCH = 65536,    /* written at once */
	READER_MS = 100, /* for a reader that does not keep up */
};

struct line_file {
	struct pool_job job;
	struct loop *loop;
	struct timers *timers;
	struct line_file_options options;
	struct timer timer; /* to write, or the end of a flush */
	struct buf adding;
	void (*on_flushed)(struct line_file *f, void *arg);
	void *flushed_arg;
	uint64_t lost;
	uint64_t told_lost; /* of those, what on_trouble knows */
	int trouble;        /* what it was told last; 0: all is well */
	int next_fd;        /* for the next job; -1: the same */
	bool busy;          /* the job has, until it is done: */
	bool ran;
	bool closed;
	bool torn; /* the file ends inside a line */
	int fd;
	int err;             /* why the writing failed; 0: it did not */
	int open_err;        /* and the opening */
	unsigned reopenings; /* log_reopenings() when it was opened */
	struct buf writing;
	char path[];
};

static int open_file(const char *path)
{
	int fd = open(path,
		      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK |
			      O_NOCTTY,
		      0640);

	return fd < 0 ? -errno : fd;
}

/* --- on a thread of the pool --- */

/* Write all; how much of it was is returned, f->err says why not the rest. */
static size_t write_all(struct line_file *f, const char *data, size_t size)
{
	struct pollfd p = { .fd = f->fd, .events = POLLOUT };
	size_t done = 0;

	while (done < size) {
		ssize_t n = inject("line_file.write")
				    ? (errno = ENOSPC, -1)
				    : write(f->fd, data + done, size - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN && poll(&p, 1, READER_MS) == 1)
			continue;
		else if (errno != EINTR) {
			f->err = -errno;
			break;
		}
	}
	return done;
}

static void reopen_as_log(struct line_file *f)
{
	unsigned now = log_reopenings();
	int fd;

	f->open_err = 0;
	if (now == f->reopenings)
		return;
	f->reopenings = now;
	fd = open_file(f->path);
	if (fd < 0) {
		f->open_err = fd;
		return;
	}
	close(f->fd);
	f->fd = fd;
	f->torn = false;
}

static void run(struct pool_job *job)
{
	struct line_file *f = list_entry(job, struct line_file, job);
	size_t done;

	f->ran = true;
	f->err = 0;
	reopen_as_log(f);
	if (f->torn && write_all(f, "\n", 1) == 1)
		f->torn = false;
	done = f->err == 0 ? write_all(f, f->writing.data, f->writing.size) : 0;
	if (done > 0)
		f->torn = f->writing.data[done - 1] != '\n';
	buf_consume(&f->writing, done);
}

/* --- on the loop's thread --- */

static void start_timer(struct line_file *f, uint32_t ms);

static void describe(struct pool_job *job, char *buf, size_t size)
{
	struct line_file *f = list_entry(job, struct line_file, job);

	snprintf(buf, size, "writing '%s'", f->path);
}

static unsigned count_lines(const struct buf *b)
{
	const char *p = b->data, *end = p + b->size;
	unsigned n = 0;

	while (p < end && (p = memchr(p, '\n', end - p)) != NULL) {
		p++;
		n++;
	}
	return n;
}

static void free_file(struct line_file *f)
{
	if (f->next_fd >= 0)
		close(f->next_fd);
	close(f->fd);
	buf_destroy(&f->adding);
	buf_destroy(&f->writing);
	mem_free(f);
}

static void tell(struct line_file *f, int err, int64_t lost)
{
	if (f->options.on_trouble != NULL)
		f->options.on_trouble(f, err, lost);
}

/* Lines begin to be lost: told once. */
static void note_loss(struct line_file *f, int err, unsigned lines)
{
	f->lost += lines;
	if (f->trouble != 0)
		return;
	f->trouble = err;
	tell(f, err, 0);
}

/* All that waited has been written. */
static void note_success(struct line_file *f)
{
	if (f->trouble == 0)
		return;
	f->trouble = 0;
	tell(f, 0, (int64_t)(f->lost - f->told_lost));
	f->told_lost = f->lost;
}

/* Give what was added to a thread. */
static void submit(struct line_file *f)
{
	struct buf empty = f->writing;
	int rc;

	if (f->next_fd >= 0) {
		close(f->fd);
		f->fd = f->next_fd;
		f->next_fd = -1;
		f->torn = false;
		f->reopenings = log_reopenings();
	}
	f->writing = f->adding;
	f->adding = empty;
	f->writing.limit = f->adding.limit = f->options.buffer;
	f->busy = true;
	f->ran = false;
	rc = pool_submit(&f->loop->port, &f->loop->uv, &f->job);
	if (rc == 0)
		return;
	f->busy = false;
	note_loss(f, rc, count_lines(&f->writing));
	buf_reset(&f->writing, MUCH);
}

static void flushed(struct line_file *f)
{
	void (*on_flushed)(struct line_file *, void *) = f->on_flushed;

	f->on_flushed = NULL;
	timer_stop(f->timers, &f->timer);
	on_flushed(f, f->flushed_arg); /* may close it */
}

/* It was closed, and maybe the pool, too: what is left is written here. */
static void write_last(struct line_file *f)
{
	if (!f->ran)
		run(&f->job);
	buf_destroy(&f->writing);
	f->writing = f->adding;
	memset(&f->adding, 0, sizeof(f->adding));
	if (f->writing.size > 0)
		run(&f->job);
	free_file(f);
}

/* What is to be done next, while no job is at work. */
static void go_on(struct line_file *f)
{
	if (f->adding.size >= MUCH ||
	    (f->adding.size > 0 && f->on_flushed != NULL))
		submit(f);
	else if (f->adding.size > 0 && !timer_active(&f->timer))
		start_timer(f, f->options.flush_ms);
	if (!f->busy && f->on_flushed != NULL)
		flushed(f);
}

static void done(struct pool_job *job)
{
	struct line_file *f = list_entry(job, struct line_file, job);
	unsigned lines = count_lines(&f->writing);

	f->busy = false;
	if (f->closed) {
		write_last(f);
		return;
	}
	buf_reset(&f->writing, MUCH);
	if (f->open_err != 0)
		tell(f, f->open_err, -1);
	if (!f->ran || f->err != 0)
		note_loss(f, f->ran ? f->err : UV_ECANCELED, lines);
	else if (f->trouble != UV_ENOBUFS || f->adding.size < MUCH)
		note_success(f);
	go_on(f);
}

static void on_timer(struct timer *t)
{
	struct line_file *f = list_entry(t, struct line_file, timer);

	if (f->on_flushed != NULL)
		flushed(f); /* the disk does not answer */
	else if (!f->busy && f->adding.size > 0)
		submit(f);
}

static void start_timer(struct line_file *f, uint32_t ms)
{
	timer_start(f->timers, &f->timer, uv_hrtime() + ms * 1000000ull,
		    on_timer);
}

struct line_file *line_file_open(struct loop *loop, struct timers *timers,
				 const char *path,
				 const struct line_file_options *options,
				 int *ret_err)
{
	struct line_file *f = mem_zalloc(sizeof(*f) + strlen(path) + 1);
	int fd;

	if (f == NULL) {
		*ret_err = UV_ENOMEM;
		return NULL;
	}
	fd = open_file(path);
	if (fd < 0) {
		*ret_err = fd;
		mem_free(f);
		return NULL;
	}
	strcpy(f->path, path);
	f->loop = loop;
	f->timers = timers;
	f->options = *options;
	if (f->options.buffer == 0)
		f->options.buffer = LINE_FILE_BUFFER;
	if (f->options.flush_ms == 0)
		f->options.flush_ms = LINE_FILE_FLUSH_MS;
	f->adding.limit = f->options.buffer;
	f->fd = fd;
	f->next_fd = -1;
	f->reopenings = log_reopenings();
	f->job.run = run;
	f->job.done = done;
	f->job.describe = describe;
	return f;
}

void line_file_add(struct line_file *f, const char *data, size_t size)
{
	if (f->adding.size + size > f->options.buffer ||
	    buf_append(&f->adding, data, size) != 0) {
		struct buf lines = { .data = (char *)data, .size = size };

		note_loss(f, UV_ENOBUFS, count_lines(&lines));
		return;
	}
	if (!f->busy)
		go_on(f);
}

const char *line_file_path(const struct line_file *f)
{
	return f->path;
}

uint64_t line_file_lost(const struct line_file *f)
{
	return f->lost;
}

int line_file_reopen(struct line_file *f)
{
	int fd = open_file(f->path);

	if (fd < 0)
		return fd;
	if (f->next_fd >= 0)
		close(f->next_fd);
	f->next_fd = fd;
	return 0;
}

void line_file_flush(struct line_file *f,
		     void (*on_flushed)(struct line_file *f, void *arg),
		     void *arg)
{
	f->on_flushed = on_flushed;
	f->flushed_arg = arg;
	start_timer(f, LINE_FILE_LAST_MS);
	if (!f->busy)
		go_on(f);
}

void line_file_close(struct line_file *f)
{
	if (f == NULL)
		return;
	timer_stop(f->timers, &f->timer);
	f->closed = true;
	f->on_flushed = NULL;
	f->options.on_trouble = NULL;
	if (!f->busy && f->adding.size > 0)
		submit(f);
	if (!f->busy)
		write_last(f);
}
