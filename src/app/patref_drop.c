/* Generations that are freed off the loop. See patref_drop.h. */
#include "app/patref_drop.h"

#include <stdio.h>

#include "app/patref.h"
#include "base/inject.h"
#include "runtime/loop.h"
#include "runtime/pool.h"

enum { FREE_HERE = 5000 }; /* entries; more are freed by another thread */

struct drop_job {
	struct pool_job job;
	struct patref_gen *gen;
};

static void run_drop(struct pool_job *job)
{
	struct drop_job *d = (struct drop_job *)job;

	patref_gen_unref(d->gen);
	d->gen = NULL;
}

static void end_drop(struct pool_job *job)
{
	run_drop(job); /* when it was not run */
	mem_free(job);
}

static void describe_drop(struct pool_job *job, char *buf, size_t size)
{
	(void)job;
	snprintf(buf, size, "the end of a map or ACL that was replaced");
}

void patref_drop(struct loop *loop, struct patref_gen *gen)
{
	struct drop_job *d = NULL;

	if (patref_gen_weight(gen) > FREE_HERE)
		d = mem_zalloc(sizeof *d);
	if (d != NULL) {
		d->job.run = run_drop;
		d->job.done = end_drop;
		d->job.describe = describe_drop;
		d->gen = gen;
		if (pool_submit(&loop->port, &loop->uv, &d->job) == 0)
			return;
		mem_free(d);
	}
	patref_gen_unref(gen);
}
