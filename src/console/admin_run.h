/*
 * One admin command that runs, and its answer until the session hands it on. There is
 * one for each session, used again and again: what belongs to a command is zero at its
 * beginning.
 *
 *	admin_run_begin -> admin_run_step, again and again -> (it has ended)
 *
 * Whatever ends it, what follows has command == NULL, and the context released.
 */
#pragma once

#include "base/buf.h"
#include "base/siphash.h"
#include "console/admin_line.h"
#include "console/admin_rows.h"
#include "runtime/timer.h"

struct admin_gather;

/** How a failure is marked: "error: ", "[3]: " or "[error]: ". */
enum admin_severity {
	ADMIN_SEVERITY_NONE,
	ADMIN_SEVERITY_NUMBER,
	ADMIN_SEVERITY_STRING,
};

struct admin_run {
	/* The session's. */
	struct admin_session *session;
	struct worker *worker;
	void (*go_on)(struct admin_run *run); /* woken, or its turn again */
	struct timer timer;
	struct buf out; /* of the answer, not yet handed on */
	bool at_start;  /* of a line of it */
	enum admin_severity severity;
	bool anon; /* names are told as hashes */
	struct siphash_key anon_key;
	uint64_t commands; /* so far */
	bool failed;       /* one of them; see admin_session_take_failed() */
	struct admin_words words;
	const struct buf *payload; /* NULL: none */

	/* The command's, zero before it. */
	const struct admin_command *command; /* NULL: nothing runs */
	bool waiting;                        /* for a wake */
	bool woken;                          /* since it was called */
	bool interrupted;
	bool prepared; /* command->before() is done */
	bool json, typed;
	struct worker *only; /* NULL: all */
	struct admin_value values[ADMIN_ARGS_MAX];
	struct admin_format format;
	struct admin_gather *gather;
	unsigned idle_calls;
	char why[1024]; /* it failed; "": not */
	_Alignas(16) char context[ADMIN_CONTEXT_MAX];
	_Alignas(16) char cursor[ADMIN_CURSOR_MAX];
};

/** Of @a run, zero before: @a go_on is called out of the loop's turn. */
void admin_run_create(struct admin_run *run, struct admin_session *session,
		      struct worker *w, void (*go_on)(struct admin_run *run));

/** What runs is released. */
void admin_run_destroy(struct admin_run *run);

/** Begin the command of run->words. False: it has been answered, refused or
 * explained. */
bool admin_run_begin(struct admin_run *run, enum admin_level level);

/** Call the command once; run->out is handed on behind it. False: it waits for a
 * wake. It has ended when run->command is NULL. */
bool admin_run_step(struct admin_run *run);

/** End what runs, for the reason @a why, which is the end of its answer. */
void admin_run_abort(struct admin_run *run, const char *why);

/** An answer that is a failure: @a why, or this thread's diag, which is taken. */
void admin_run_refuse(struct admin_run *run, const char *why);

/** Call go_on() in the next turn of the loop. */
void admin_run_later(struct admin_run *run);

/** How many commands of this process have begun and are not released; 0 at its end. */
int admin_run_held(void);
