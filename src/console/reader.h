/*
 * Lines of standard input, from a thread of their own: with the editor on a
 * terminal, plain otherwise. The loop keeps turning while somebody types, also
 * in the middle of an escape sequence or a search through the history, where
 * the editor waits for bytes deep inside its library.
 *
 * The thread runs no Lua and touches nothing of the loop but the async handle;
 * for a completion it asks the loop's thread and waits for the answer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>

#include "base/buf.h"
#include "console/input.h"

struct loop;
struct reader;

/** What became of a reader_ask(). */
enum reader_result {
	READER_LINE,
	READER_EOF,
	READER_CANCELLED, /* reader_cancel(): the line was thrown away */
	READER_TOO_LONG,  /* a line over READER_LINE_MAX was passed over */
};

enum { READER_LINE_MAX = 1024 * 1024 };

struct reader_ops {
	/** The answer to reader_ask(); @a line may hold newlines. */
	void (*on_line)(struct reader *r, enum reader_result result,
			const char *line, size_t size);
	/**
	 * What could stand at the end of @a text? reader_complete() follows, perhaps
	 * from inside. In the loop's thread.
	 */
	void (*complete)(struct reader *r, const char *text, size_t size);
};

/** What the loop's thread wants of the reading one; a set. */
enum {
	READER_WANT_STOP = 1 << 0,
	READER_WANT_CANCEL = 1 << 1,
	READER_WANT_RESIZE = 1 << 2,
	READER_WANT_REDRAW = 1 << 3,
};

struct reader {
	const struct reader_ops *ops;
	void *arg;
	void (*on_closed)(struct reader *r);
	uv_async_t async;
	uv_thread_t thread;
	struct input input;
	bool use_editor;
	FILE *out;          /* where the editor draws */
	char *history_path; /* NULL: none */

	uv_mutex_t lock; /* of all below */
	uv_cond_t changed;
	unsigned wants; /* READER_WANT_* */
	bool asked;     /* a line is wanted */
	bool answered;  /* result and line are there */
	enum reader_result result;
	char prompt[64];
	char *remember; /* for the history, before the next line */
	struct buf line;
	bool completing;       /* the thread waits for candidates */
	bool told_to_complete; /* the carrier looks for them */
	struct buf to_complete;
	struct buf candidates;
	size_t complete_start;
	char warning[160]; /* for the log, from the thread; "" is none */
};

struct reader_options {
	bool use_editor;
	FILE *out;
	const char *history_path; /* NULL: none */
};

/** Start the thread. Returns 0, or -1 with diag set. */
int reader_start(struct reader *r, struct loop *loop,
		 const struct reader_options *opts,
		 const struct reader_ops *ops, void *arg);

/**
 * Ask for a line. @a remember (may be NULL) goes into the history first. One
 * answer comes for each.
 */
void reader_ask(struct reader *r, const char *prompt, const char *remember);

/** The @a candidates, each with a NUL behind, which replace the text from @a start
 * on. */
void reader_complete(struct reader *r, size_t start,
		     const struct buf *candidates);

/** Throw away the line that is being typed. */
void reader_cancel(struct reader *r);

/** The terminal has another size, or was used by others. */
void reader_redraw(struct reader *r, bool resized);

/** End the thread and wait for it; the terminal is as before. @a on_closed is
 * called from the loop when the memory is the caller's again. */
void reader_stop(struct reader *r, void (*on_closed)(struct reader *r));

/* For the thread's two halves, reader.c and editor.c. */

/** The wants, taken. */
unsigned reader__take_wants(struct reader *r);

/** Candidates for @a text, from the loop's thread, in r->candidates. Returns
 * false when there are none. */
bool reader__complete(struct reader *r, const char *text, size_t size);

/** Lines with the editor, until a want to stop. */
void reader__run_editor(struct reader *r);

/** Wait until a line is asked for. Returns false: stop. The caller frees
 * @a ret_remember. */
bool reader__wait_asked(struct reader *r, char *ret_prompt, size_t size,
			char **ret_remember);

/** Answer with what is in r->line. */
void reader__answer(struct reader *r, enum reader_result result);

/** Have the loop's thread log a warning. */
void reader__warn(struct reader *r, const char *text);
