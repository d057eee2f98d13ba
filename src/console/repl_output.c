/* The console's way to standard output. See repl_output.h. */
#include "console/repl_output.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inject.h"
#include "base/log.h"
#include "runtime/loop.h"
#include "runtime/pool.h"

enum { FULL = 1024 * 1024 };

struct output_job {
	struct pool_job base;      /* comes first */
	struct repl_output *owner; /* NULL: gone */
	struct buf text;
};

static void put(const char *data, size_t size)
{
	fwrite(data, 1, size, stdout);
	fflush(stdout);
}

static void run(struct pool_job *job)
{
	const struct buf *text = &((struct output_job *)job)->text;

	put(text->data, text->size);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	(void)job;
	snprintf(buf, size, "output of the console");
}

static void destroy(struct output_job *j)
{
	buf_destroy(&j->text);
	mem_free(j);
}

static void start(struct repl_output *o);

static void on_done(struct pool_job *job)
{
	struct output_job *j = (struct output_job *)job;
	struct repl_output *o = j->owner;

	destroy(j);
	if (o == NULL)
		return;
	o->job = NULL;
	if (o->waiting.size > 0)
		start(o);
	if (o->job == NULL)
		o->on_written(o->arg);
}

/* A thread writes what waits; where there is none, this one has to. */
static void start(struct repl_output *o)
{
	struct output_job *j = mem_zalloc(sizeof *j);

	if (j != NULL) {
		j->base.run = run;
		j->base.done = on_done;
		j->base.describe = describe;
		j->owner = o;
		j->text = o->waiting;
		o->job_size = j->text.size;
		o->waiting = (struct buf){ 0 };
		if (pool_submit(&o->loop->port, &o->loop->uv, &j->base) == 0) {
			o->job = j;
			return;
		}
		o->waiting = j->text;
		mem_free(j);
	}
	put(o->waiting.data, o->waiting.size);
	buf_destroy(&o->waiting);
}

void repl_output_create(struct repl_output *o, struct loop *loop,
			void (*on_written)(void *arg), void *arg)
{
	struct stat st;
	bool known = fstat(STDOUT_FILENO, &st) == 0;

	*o = (struct repl_output){
		.loop = loop,
		.may_block = known && !S_ISREG(st.st_mode),
		.is_pipe = known && S_ISFIFO(st.st_mode),
		.on_written = on_written,
		.arg = arg,
	};
}

/* A pipe with room takes a page without blocking. */
static bool fits(const struct repl_output *o, size_t size)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return o->is_pipe && size <= PIPE_BUF && __fpending(stdout) == 0 &&
	       poll(&p, 1, 0) == 1;
}

void repl_output_write(struct repl_output *o, const char *data, size_t size)
{
	if (size == 0)
		return;
	if (o->job == NULL && (!o->may_block || fits(o, size))) {
		put(data, size);
		return;
	}
	if (buf_append(&o->waiting, data, size) != 0) {
		log_error("console: no memory for %zu bytes of output", size);
		return;
	}
	if (o->job == NULL)
		start(o);
}

bool repl_output_is_full(const struct repl_output *o)
{
	return o->job != NULL && o->waiting.size + o->job_size > FULL;
}

void repl_output_end(struct repl_output *o)
{
	struct output_job *j = o->job;

	buf_destroy(&o->waiting);
	if (j == NULL)
		return;
	o->job = NULL;
	j->owner = NULL;
	if (pool_abandon(&j->base)) {
		put(j->text.data, j->text.size);
		destroy(j);
	}
}
