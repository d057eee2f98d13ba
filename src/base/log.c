/* The server's log. See log.h. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/escape.h"
#include "base/inject.h"
#include "base/log_ring.h"

enum log_level log_level = LOG_INFO;

static const struct {
	const char *name;
	char letter;
} levels[LOG_LEVEL_COUNT] = {
	[LOG_FATAL] = { "fatal", 'F' },
	[LOG_SYSERROR] = { "syserror", '!' },
	[LOG_ERROR] = { "error", 'E' },
	[LOG_CRIT] = { "crit", 'C' },
	[LOG_WARN] = { "warn", 'W' },
	[LOG_INFO] = { "info", 'I' },
	[LOG_VERBOSE] = { "verbose", 'V' },
	[LOG_DEBUG] = { "debug", 'D' },
};

static struct {
	pthread_mutex_t lock;
	enum log_format format;
	int fd;     /* STDERR_FILENO, or the file's */
	char *path; /* NULL: standard error */
	unsigned reopenings;
	uint64_t lost;     /* lines that were not written */
	uint64_t reported; /* how many of these the log has told of */
	struct buf line;   /* kept between lines; at most LINE_KEEP bytes */
	bool torn;         /* the last write ended inside a line */
	bool stalled;      /* the reader was waited for in vain */
	log_fiber_id_f fiber_id;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO };

static __thread int worker = LOG_NO_WORKER;

enum { LOG_SIGNAL_ROOM = 2048, LINE_MAX_SIZE = 64 * 1024, LINE_KEEP = 4096 };

enum { READER_MS = 100 }; /* waited once for a reader that does not keep up */

int log_level_parse(const char *name)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (strcmp(levels[i].name, name) == 0)
			return i;
	}
	return -1;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_level, level, __ATOMIC_RELAXED);
}

void log_set_format(enum log_format format)
{
	pthread_mutex_lock(&sink.lock);
	sink.format = format;
	pthread_mutex_unlock(&sink.lock);
}

void log_set_fiber_id(log_fiber_id_f fn)
{
	pthread_mutex_lock(&sink.lock);
	sink.fiber_id = fn;
	pthread_mutex_unlock(&sink.lock);
}

void log_set_worker(int id)
{
	worker = id;
}

uint64_t log_lost(void)
{
	return __atomic_load_n(&sink.lost, __ATOMIC_RELAXED);
}

static void log_use(int fd, char *path)
{
	int old_fd;
	char *old_path;

	pthread_mutex_lock(&sink.lock);
	old_fd = sink.fd;
	old_path = sink.path;
	sink.fd = fd;
	sink.path = path;
	sink.torn = false;
	sink.stalled = false;
	pthread_mutex_unlock(&sink.lock);
	if (old_fd != STDERR_FILENO)
		close(old_fd);
	mem_free(old_path);
}

int log_open(const char *path)
{
	char *copy;
	int fd;

	if (path == NULL) {
		log_close();
		return 0;
	}
	copy = mem_strdup(path);
	if (copy == NULL) {
		diag_set_oom(strlen(path), "the log's path");
		return -1;
	}
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0) {
		diag_set_system(errno, "log file '%s'", path);
		mem_free(copy);
		return -1;
	}
	log_use(fd, copy);
	return 0;
}

int log_reopen(void)
{
	char *path = NULL;
	bool is_file;
	int rc;

	__atomic_fetch_add(&sink.reopenings, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&sink.lock);
	is_file = sink.path != NULL;
	if (is_file)
		path = mem_strdup(sink.path);
	pthread_mutex_unlock(&sink.lock);
	if (!is_file)
		return 0;
	if (path == NULL) {
		diag_set(OutOfMemory, "not enough memory for the log's path");
		return -1;
	}
	rc = log_open(path);
	mem_free(path);
	return rc;
}

unsigned log_reopenings(void)
{
	return __atomic_load_n(&sink.reopenings, __ATOMIC_RELAXED);
}

void log_close(void)
{
	log_use(STDERR_FILENO, NULL);
	pthread_mutex_lock(&sink.lock);
	buf_destroy(&sink.line);
	pthread_mutex_unlock(&sink.lock);
}

static void put_line(struct buf *b, enum log_level level, const char *file,
		     unsigned line, const char *text, size_t size)
{
	uint64_t fiber = sink.fiber_id == NULL ? 0 : sink.fiber_id();
	char when[32], zone[8];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof when,
		 sink.format == LOG_JSON ? "%Y-%m-%dT%H:%M:%S" : "%F %T", &tm);
	if (sink.format == LOG_JSON) {
		strftime(zone, sizeof zone, "%z", &tm);
		buf_printf(b,
			   "{\"time\":\"%s.%03ld%s\",\"level\":\"%s\","
			   "\"pid\":%d",
			   when, now.tv_nsec / 1000000, zone,
			   levels[level].name, (int)getpid());
		if (worker != LOG_NO_WORKER)
			buf_printf(b, ",\"worker\":%d", worker);
		if (fiber != 0)
			buf_printf(b, ",\"fiber\":%llu",
				   (unsigned long long)fiber);
		if (file != NULL) {
			buf_puts(b, ",\"file\":\"");
			escape_json(b, file, strlen(file));
			buf_printf(b, "\",\"line\":%u", line);
		}
		buf_puts(b, ",\"message\":\"");
		escape_json(b, text, size);
		buf_puts(b, "\"}\n");
		return;
	}
	buf_printf(b, "%s.%03ld [%d]", when, now.tv_nsec / 1000000,
		   (int)getpid());
	if (worker != LOG_NO_WORKER)
		buf_printf(b, " w%d", worker);
	if (fiber != 0)
		buf_printf(b, "/%llu", (unsigned long long)fiber);
	buf_printf(b, " %c> ", levels[level].letter);
	escape_plain(b, text, size);
	buf_putc(b, '\n');
}

static void count_lost(int lines)
{
	__atomic_fetch_add(&sink.lost, lines, __ATOMIC_RELAXED);
}

/*
 * Whether a pipe, socket or terminal takes a piece now. A reader that is only
 * slower than a burst of lines gets a moment; one that let it pass is not
 * waited for again until it has read.
 */
static bool has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int rc;

	do {
		rc = poll(&p, 1, sink.stalled ? 0 : READER_MS);
	} while (rc < 0 && errno == EINTR);
	sink.stalled = rc == 0;
	return rc != 0;
}

/*
 * As write(), but nobody who does not read keeps the process from going on.
 * O_NONBLOCK would do it for all who share the pipe. Room is told of for
 * PIPE_BUF bytes, thus such pieces.
 */
static ssize_t write_some(int fd, const char *data, size_t size)
{
	struct stat st;
	size_t done = 0;

	if (fstat(fd, &st) != 0 || S_ISREG(st.st_mode))
		return write(fd, data, size);
	while (done < size) {
		size_t piece = size - done < PIPE_BUF ? size - done : PIPE_BUF;
		ssize_t n = has_room(fd) ? write(fd, data + done, piece)
					 : (errno = EAGAIN, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done > 0 ? (ssize_t)done : -1;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* The log's file cannot be written: standard error hears of it once, before
 * lines begin to be lost. */
static void tell_of_failure(int err)
{
	char why[128];

	if (sink.path != NULL && has_room(STDERR_FILENO))
		dprintf(STDERR_FILENO,
			"neap: cannot write the log '%s': %s: lines are lost "
			"until it can be written again\n",
			sink.path, strerror_r(err, why, sizeof why));
}

/* One write for the line: lines of several processes into one file do not mix.
 * A line cut short by a full disk is ended when writing works again. */
static void emit(const struct buf *b)
{
	size_t done = 0;
	ssize_t n;

	if (sink.torn && write_some(sink.fd, "\n", 1) == 1)
		sink.torn = false;
	while (done < b->size) {
		n = inject("log.write") ? (errno = ENOSPC, -1)
					: write_some(sink.fd, b->data + done,
						     b->size - done);
		if (n >= 0)
			done += (size_t)n; /* the rest fails, and says why */
		else if (errno != EINTR)
			break;
	}
	if (done == b->size)
		return;
	sink.torn |= done > 0;
	if (sink.lost == sink.reported)
		tell_of_failure(errno);
	count_lost(1);
}

void log_signal(const char *text)
{
	char line[LOG_SIGNAL_ROOM];
	int fd = __atomic_load_n(&sink.fd, __ATOMIC_RELAXED);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	bool json = sink.format == LOG_JSON;
	size_t n = 0;

	for (const char *s = json ? "{\"message\":\"" : "neap: "; *s != '\0';)
		line[n++] = *s++;
	for (; *text != '\0' && n < sizeof(line) - 8; text++) {
		if (json && (*text == '"' || *text == '\\'))
			line[n++] = '\\';
		line[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
	}
	for (const char *s = json ? "\"}\n" : "\n"; *s != '\0';)
		line[n++] = *s++;
	if (poll(&p, 1, 0) > 0 && write(fd, line, n) < 0)
		return; /* as is said */
}

/* Make the line and write it. Room for it comes first: half a line is worse
 * than none. */
static void write_line(enum log_level level, const char *file, unsigned line,
		       const char *text, size_t size)
{
	size_t names = file == NULL ? 0 : strlen(file);

	buf_reset(&sink.line, LINE_KEEP);
	if (buf_reserve(&sink.line, 256 + ESCAPE_MAX * (size + names)) ==
	    NULL) {
		count_lost(1);
		return;
	}
	put_line(&sink.line, level, file, line, text, size);
	log_ring_put(level, sink.line.data, sink.line.size);
	emit(&sink.line);
}

/* The text of a message; of one longer than the log allows, its beginning. */
static int put_text(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t over;
	char *to;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return buf_puts(b, "(a message that cannot be formatted)");
	over = n > LINE_MAX_SIZE ? (size_t)n - LINE_MAX_SIZE : 0;
	to = buf_reserve(b, (size_t)n - over + 1);
	if (to == NULL)
		return -ENOMEM;
	vsnprintf(to, (size_t)n - over + 1, fmt, ap);
	b->size = (size_t)n - over;
	return over == 0 ? 0 : buf_printf(b, " (%zu more bytes)", over);
}

void log_writev(enum log_level level, const char *file, unsigned line,
		const char *fmt, va_list ap)
{
	struct buf text = { 0 };
	int saved_errno = errno;
	const char *base;
	char lost[80];
	int rc;

	rc = put_text(&text, fmt, ap);
	if (file != NULL && (base = strrchr(file, '/')) != NULL)
		file = base + 1;
	pthread_mutex_lock(&sink.lock);
	if (sink.lost > sink.reported) {
		uint64_t before = sink.lost;

		snprintf(lost, sizeof lost,
			 "%llu log lines were lost: writing failed",
			 (unsigned long long)(before - sink.reported));
		write_line(LOG_WARN, NULL, 0, lost, strlen(lost));
		if (sink.lost == before)
			sink.reported = before;
		else
			count_lost(-1); /* the report itself is no line */
	}
	if (rc == 0)
		write_line(level, file, line, text.data, text.size);
	else
		count_lost(1);
	pthread_mutex_unlock(&sink.lock);
	buf_destroy(&text);
	errno = saved_errno;
}

void log_write(enum log_level level, const char *file, unsigned line,
	       const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_writev(level, file, line, fmt, ap);
	va_end(ap);
}
