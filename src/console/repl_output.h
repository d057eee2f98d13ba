/*
 * What the console on standard input and output says, on its way to standard output: a
 * pipe that is full, or a terminal that was told to stop, holds up a thread of the pool, and
 * not the loop. What was written is written to its end, in order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct loop;
struct output_job;

struct repl_output {
	struct loop *loop;
	bool may_block;         /* it is no file */
	bool is_pipe;           /* which says how much it takes */
	struct buf waiting;     /* for the job to be done */
	struct output_job *job; /* NULL: all is written */
	size_t job_size;
	void (*on_written)(void *arg); /* all is, again; from the loop */
	void *arg;
};

void repl_output_create(struct repl_output *o, struct loop *loop,
			void (*on_written)(void *arg), void *arg);

/** Write, soon. A failure is seen by ferror(stdout) when nothing is busy. */
void repl_output_write(struct repl_output *o, const char *data, size_t size);

/** Is something not written yet? Then on_written() comes. */
static inline bool repl_output_is_busy(const struct repl_output *o)
{
	return o->job != NULL;
}

/** Is it so much that no more should come for now? */
bool repl_output_is_full(const struct repl_output *o);

/** Nobody is told any more; what is being written goes on, and the end of the process waits
 * for it as long as for other work on threads. */
void repl_output_end(struct repl_output *o);
