/*
 * Admin commands: what an operator types at a running server. A command is one
 * declaration; help, completion, checks of level and arguments, JSON and the
 * manual come from it, and so does how its answer is written.
 *
 * Most commands give rows of typed columns, one at a time (next), or have them
 * collected on the thread of each worker (collect). Others write text (io). All are
 * resumable: they are called as often as there is room for more, and keep where they
 * are in their context. A client that vanishes in the middle has the command
 * released like any other.
 *
 *	parse -> next | io, again and again -> release
 *
 * Nothing here runs Lua of users but the commands that say so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/taint.h"

struct admin_rows;
struct admin_run;
struct worker;

enum {
	ADMIN_CONTEXT_MAX = 256, /* bytes of a command's context */
	ADMIN_CURSOR_MAX = 64,   /* of what collect() remembers */
	ADMIN_COLUMNS_MAX = 32,
	ADMIN_ARGS_MAX = 8,
	ADMIN_WORDS_MAX = 64, /* of one command line */
};

/** Who may run it: each may what those before may. */
enum admin_level {
	ADMIN_USER,     /* looks at what tells nothing of requests */
	ADMIN_OPERATOR, /* looks at all, and has small things done */
	ADMIN_ADMIN,    /* all, Lua among it */
	ADMIN_LEVEL_COUNT,
};

extern const char *const admin_level_names[ADMIN_LEVEL_COUNT];

/** What an argument is, and a column. */
enum admin_kind {
	ADMIN_TEXT,    /* a word; of an argument that is the last, the rest */
	ADMIN_NUMBER,  /* a whole one; of a column, what is now */
	ADMIN_COUNTER, /* that only grows */
	ADMIN_BYTES,   /* "64k"; of a column, what is now */
	ADMIN_SECONDS, /* "10s", "100ms"; of a column, a time that was used */
	ADMIN_PERCENT,
	ADMIN_FLAG,    /* of an argument: its name is given, or not */
	ADMIN_COMMAND, /* the last argument: how a command's name begins */
	ADMIN_VERSION, /* "@3", before those that are not optional */
};

struct admin_arg {
	const char *name;
	enum admin_kind kind;
	bool optional;       /* as all behind it are */
	const char *choices; /* "yaml|lua"; NULL: any */
	const char *help;
	bool keyed; /* given as "name value"; they are the last, in any order */
	/** Tell @a fn what there may be, for completion. NULL: any text. */
	void (*each)(void (*fn)(const char *value, void *arg), void *arg);
};

struct admin_column {
	const char *name;
	enum admin_kind kind;
	int width; /* of a table; negative: at the left */
	const char *help;
	bool open; /* text that names nobody: no hash of it with "set anon on" */
	/* What it is beyond its kind, for `typed` and `show metrics`. */
	enum {
		ADMIN_PLAIN,
		ADMIN_LABEL, /* tells rows of a worker apart */
		ADMIN_GROWS, /* a time that only grows */
		ADMIN_FACT,  /* says what the row is: no measure */
	} role;
	bool as_is; /* text for people has its lines; it is safe to be shown */
};

/** What a call of a command has come to. */
enum admin_step {
	ADMIN_DONE,
	ADMIN_MORE,   /* next: here is a row; io: there was no room */
	ADMIN_WAIT,   /* for admin_wake(), or the time of admin_wake_at() */
	ADMIN_FAILED, /* admin_fail() said why */
};

struct admin_value {
	bool given;
	const char *text;
	double number; /* seconds, bytes, .. */
};

/** A cell of a row; its text is valid until the next row. */
struct admin_cell {
	enum { ADMIN_CELL_NONE, ADMIN_CELL_NUMBER, ADMIN_CELL_TEXT } type;
	double number;
	const char *text;
};

struct admin_command {
	const char *words;            /* "show fibers" */
	enum admin_level level;       /* the least */
	const char *help;             /* a line */
	const struct admin_arg *args; /* ends with a name of NULL; or NULL */
	bool payload;                 /* takes lines behind "<<" */
	bool raw;  /* takes its words as they are: admin_words() */
	bool open; /* of text: it names nobody, see admin_column */

	const struct admin_column *columns; /* ends likewise; NULL: text */
	bool single; /* one row, told as lines "name: value" */
	bool plain;  /* text is the last column, a line each, without a head */
	const char *none; /* why it has failed when there was no row */
	/** What it does to the process, from when it begins; what may find nothing to do has
	 * taint_set() where it does it. */
	enum taint taint;

	size_t context; /* bytes of it: ADMIN_CONTEXT(type) */

	/** Look at the arguments, and prepare. Returns 0, or -1: admin_fail()
	 * said why, and what was taken is given back: no release. */
	int (*parse)(struct admin_run *run);
	/** What must be over before rows are made, again and again until
	 * ADMIN_DONE. May be NULL. */
	enum admin_step (*before)(struct admin_run *run);
	/** Exactly one of the three. A row into @a cells. */
	enum admin_step (*next)(struct admin_run *run,
				struct admin_cell *cells);
	/** Add rows of @a w, on its thread, until it has told all (false) or
	 * @a rows has no room (true). @a cursor is what admin_set_cursor() gave,
	 * or zero, at the first time of each worker, and kept between the calls.
	 * Throws: no. */
	bool (*collect)(struct worker *w, void *cursor,
			struct admin_rows *rows);
	/** Write by admin_print(); again when there is room. */
	enum admin_step (*io)(struct admin_run *run);
	/** Once for each parse() that went well, however it ended. */
	void (*release)(struct admin_run *run);
};

/** The size of a context, that it fits checked by the compiler. */
#define ADMIN_CONTEXT(type) \
	(sizeof(type) +     \
	 0 * sizeof(char[sizeof(type) <= ADMIN_CONTEXT_MAX ? 1 : -1]))
#define ADMIN_CURSOR(type, cursor)                                     \
	((type *)((char *)(cursor) +                                   \
		  0 * sizeof(char[sizeof(type) <= ADMIN_CURSOR_MAX ? 1 \
								   : -1])))

/* --- what a command may call --- */

/** Its context: zero before parse(), the command's own until release(). */
void *admin_context(struct admin_run *run);

/** The value of argument @a i of the declaration. */
const struct admin_value *admin_arg(const struct admin_run *run, unsigned i);

/** All words, those of the name among them. */
char *const *admin_words(const struct admin_run *run, unsigned *ret_count);

/** The declaration that runs. */
const struct admin_command *admin_run_command(const struct admin_run *run);

/** The lines behind "<<"; NULL: none were given. */
const char *admin_payload(const struct admin_run *run, size_t *ret_size);

enum admin_level admin_run_level(const struct admin_run *run);

/** What the cursor of collect() begins as, for each worker; from parse(). */
void admin_set_cursor(struct admin_run *run, const void *data, size_t size);

/** That of "worker N" behind the command; NULL: all are asked. */
struct worker *admin_only(const struct admin_run *run);

/** Of argument @a i, a worker's number; NULL: it was not given. Returns 0, or -1: there
 * is none, which admin_fail() said. */
int admin_arg_worker(struct admin_run *run, unsigned i,
		     struct worker **ret_only);

/** May a fiber be told by its id, in the workers that @a only names? Returns 0, or -1:
 * several have such ids, which admin_fail() said. */
int admin_check_fiber(struct admin_run *run, const struct worker *only);

/** As admin_arg.each: the numbers of the workers of this thread's application. */
void admin_each_worker(void (*fn)(const char *value, void *arg), void *arg);

/** The worker of the session. */
struct worker *admin_worker(const struct admin_run *run);

/**
 * Write text: whole, or not at all (false), and then io() returns ADMIN_MORE to be
 * called when there is room. A line that is empty becomes one with a space: an
 * empty one is the end of an answer.
 */
bool admin_print(struct admin_run *run, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** As admin_print(), bytes. */
bool admin_put(struct admin_run *run, const char *text, size_t size);

/** What the answer is instead: why there is none. Returns ADMIN_FAILED. */
enum admin_step admin_fail(struct admin_run *run, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** As admin_fail() with this thread's diag, which is taken. */
enum admin_step admin_fail_diag(struct admin_run *run);

/** Go on with a run that waits; from its session's thread. */
void admin_wake(struct admin_run *run);

/** Be woken at that time of uv_hrtime()'s clock, at the latest. */
void admin_wake_at(struct admin_run *run, uint64_t due_ns);

/** Has somebody typed meanwhile? Ends what follows something. */
bool admin_is_interrupted(const struct admin_run *run);

static inline struct admin_cell admin_number(double number)
{
	return (struct admin_cell){ ADMIN_CELL_NUMBER, number, NULL };
}

/** NULL: none. */
static inline struct admin_cell admin_text(const char *text)
{
	return (struct admin_cell){ text == NULL ? ADMIN_CELL_NONE
						 : ADMIN_CELL_TEXT,
				    0, text };
}
