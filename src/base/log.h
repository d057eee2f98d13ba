/*
 * The server's log: levels, plain or JSON lines, to standard error or a file.
 *
 * Only the outermost caller logs, once; library code returns errors. A line
 * that cannot be written (full disk, closed pipe, a pipe nobody reads) is
 * counted, not waited for; the count is logged when writing works again.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_FATAL,
	LOG_SYSERROR, /* an error with errno */
	LOG_ERROR,
	LOG_CRIT,
	LOG_WARN,
	LOG_INFO,
	LOG_VERBOSE,
	LOG_DEBUG,
	LOG_LEVEL_COUNT,
};

enum log_format { LOG_PLAIN, LOG_JSON };

/** Lines above this level are dropped. Read by the macros below. */
extern enum log_level log_level;

/** The level of a name ("info"), or -1; and the name of a level. */
int log_level_parse(const char *name);
const char *log_level_name(enum log_level level);

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);

/**
 * Log into the file @a path, appending; NULL goes back to standard error.
 * Returns 0, or -1 with diag set and the old target kept.
 */
int log_open(const char *path);

/** Open the file again under its name, after a rotation. As log_open(). */
int log_reopen(void);

/** How often that was called: files beside the log are opened again, too, when
 * it has changed. On any thread. */
unsigned log_reopenings(void);

/** Close the file; standard error from now on. */
void log_close(void);

/** Lines that could not be written since the start. */
uint64_t log_lost(void);

/** A function that names the running fiber for each line; 0 is none. */
typedef uint64_t (*log_fiber_id_f)(void);
void log_set_fiber_id(log_fiber_id_f fn);

enum { LOG_NO_WORKER = -1 };

/** The number that lines of this thread carry, LOG_NO_WORKER at the start. */
void log_set_worker(int id);

/**
 * Write one line, whatever the level set. Text may hold newlines: plain lines
 * show them indented, JSON escapes them. Thread-safe, does not yield.
 */
void log_write(enum log_level level, const char *file, unsigned line,
	       const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void log_writev(enum log_level level, const char *file, unsigned line,
		const char *fmt, va_list ap);

/** Inside a signal handler: a line of printable text, without a time, where the log goes. It
 * may stand in the midst of another; what cannot be written at once is lost. */
void log_signal(const char *text);

#define log_at(level, ...)                                                    \
	do {                                                                  \
		if ((level) <= __atomic_load_n(&log_level, __ATOMIC_RELAXED)) \
			log_write(level, __FILE__, __LINE__, __VA_ARGS__);    \
	} while (0)
#define log_error(...)   log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)    log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)    log_at(LOG_INFO, __VA_ARGS__)
#define log_verbose(...) log_at(LOG_VERBOSE, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_DEBUG, __VA_ARGS__)
