/* The helpers of one function, and its calls that wait for one. See
 * lua_cmod_pool.h. */
#include "lua/lua_cmod_pool.h"

#include <assert.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "cmod/cpu.h"
#include "lua/lua_cmod_helper.h"
#include "lua/lua_cmod_options.h"
#include "runtime/fiber.h"

enum {
	QUEUE_MAX = 1024, /* calls that wait for a helper */
	KEEP = 64 * 1024, /* of an answer's buffer */
	RETRY_MS = 50,    /* after the first start that failed; doubles */
	RETRY_MAX_MS = 5000,
};

static const uint64_t MEMORY = (uint64_t)1 << 30;
static const uint64_t ANSWER_MAX = (uint64_t)1 << 30;
static const uint64_t TIMEOUT_NS = 30000000000;
static const uint64_t LOAD_TIMEOUT_NS = 30000000000;

struct lua_cmod_pool {
	unsigned refs;
	struct sched *sched;
	struct cmod_func *func; /* held: its instance is what is run */
	unsigned workers;       /* at most so many helpers */
	uint64_t memory;
	uint64_t timeout_ns;
	struct list helpers;
	unsigned count;    /* of them, dying ones included */
	struct list queue; /* struct lua_cmod_isolated */
	unsigned queued;
	/* A library that dies when it is loaded is not tried again at once. */
	struct error *broken; /* why the last start failed, or NULL */
	unsigned failures;    /* starts in a row that failed */
	uint64_t retry_ns;
};

static void dispatch(struct lua_cmod_pool *p);

/* --- calls --- */

struct lua_cmod_isolated *lua_cmod_isolated_new(struct lua_cmod_pool *p)
{
	struct lua_cmod_isolated *ic = mem_zalloc(sizeof *ic);

	if (ic == NULL) {
		diag_set_oom(sizeof *ic, "an isolated call");
		return NULL;
	}
	call_init(&ic->call);
	list_init(&ic->link);
	ic->pool = p;
	p->refs++;
	return ic;
}

void lua_cmod_isolated_delete(struct lua_cmod_isolated *ic)
{
	if (ic == NULL)
		return;
	assert(ic->fiber == NULL && ic->helper == NULL);
	buf_destroy(&ic->call.in);
	buf_destroy(&ic->call.out);
	error_unref(ic->call.error);
	lua_cmod_pool_unref(ic->pool);
	mem_free(ic);
}

/* It has its results, or its error. */
static void finish(struct lua_cmod_isolated *ic)
{
	struct fiber *f = ic->fiber;

	if (ic->helper != NULL)
		ic->helper->work = NULL;
	ic->helper = NULL;
	ic->fiber = NULL;
	fiber_wakeup(f, 0);
}

/* Takes over @a e. */
static void finish_failed(struct lua_cmod_isolated *ic, struct error *e)
{
	ic->call.stack.result = -1;
	ic->call.error = e;
	finish(ic);
}

static struct lua_cmod_isolated *first(struct lua_cmod_pool *p)
{
	return list_entry(p->queue.next, struct lua_cmod_isolated, link);
}

static void dequeue(struct lua_cmod_isolated *ic)
{
	list_del(&ic->link);
	ic->pool->queued--;
}

int lua_cmod_pool_check(const struct lua_cmod_pool *p)
{
	if (p->queued < QUEUE_MAX)
		return 0;
	diag_set_code(ClientError, ER_PROC_C,
		      "function '%s': %u calls wait for its helper processes "
		      "already; let it have more of them (option 'workers') "
		      "or call it less",
		      cmod_func_symbol(p->func), p->queued);
	return -1;
}

void lua_cmod_isolated_begin(struct lua_cmod_isolated *ic, struct fiber *fiber)
{
	struct lua_cmod_pool *p = ic->pool;

	ic->fiber = fiber;
	list_add_tail(&p->queue, &ic->link);
	p->queued++;
	dispatch(p);
}

/*
 * A helper whose call is cancelled is killed: it would be at work, up to the
 * whole timeout, for nobody, and those behind in the queue would pay for that;
 * nothing else could ever stop it. Starting another takes a few milliseconds.
 */
void lua_cmod_isolated_undo(struct fiber *fiber, void *arg)
{
	struct lua_cmod_isolated *ic = arg;

	(void)fiber;
	ic->fiber = NULL;
	if (ic->helper != NULL) {
		ic->helper->work = NULL;
		lua_cmod_helper_kill(ic->helper);
		ic->helper = NULL;
	} else if (!list_empty(&ic->link)) {
		dequeue(ic);
	}
}

/* --- helpers --- */

static void note_failure(struct lua_cmod_pool *p, struct error *e)
{
	uint64_t ms = RETRY_MAX_MS;

	error_unref(p->broken);
	p->broken = e;
	if (p->failures < 7)
		ms = (uint64_t)RETRY_MS << p->failures;
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	p->failures++;
	p->retry_ns = uv_hrtime() + ms * 1000000;
}

static void on_ready(struct lua_cmod_helper *h)
{
	struct lua_cmod_pool *p = h->arg;

	error_unref(p->broken);
	p->broken = NULL;
	p->failures = 0;
	h->told_ns = h->cpu_ns; /* so far it has not called anything */
	dispatch(p);
}

static void take_answer(struct lua_cmod_isolated *ic, struct isolate_reader *in)
{
	size_t limit = ic->call.out.limit;
	struct error *e;

	if (in->head.kind == ISOLATE_ERROR) {
		e = isolate_get_error(in->body.data, in->body.size);
		if (e == NULL)
			e = error_new(&ClientError, ER_PROC_C, NULL, 0,
				      "function '%s': its helper process has "
				      "sent an error that is none",
				      cmod_func_symbol(ic->pool->func));
		finish_failed(ic, e);
		return;
	}
	/* A small one is copied, so that the memory stays where it is. */
	if (in->body.size > KEEP) {
		ic->call.out = in->body;
		ic->call.out.limit = limit;
		in->body = (struct buf){ NULL };
	} else if (buf_append(&ic->call.out, in->body.data, in->body.size) !=
		   0) {
		diag_set_oom(in->body.size, "results");
		finish_failed(ic, diag_take());
		return;
	}
	ic->call.results = in->head.count;
	finish(ic);
}

static void count_cpu(struct lua_cmod_helper *h)
{
	const struct lua_cmod_pool *p = h->arg;

	cmod_func_count_cpu(p->func, cpu_ticks_of_ns(h->cpu_ns - h->told_ns));
	h->told_ns = h->cpu_ns;
}

static void on_answer(struct lua_cmod_helper *h)
{
	count_cpu(h);
	take_answer(h->work, &h->in);
	dispatch(h->arg);
}

static void on_failed(struct lua_cmod_helper *h, struct error *e)
{
	struct lua_cmod_pool *p = h->arg;

	if (h->work != NULL)
		finish_failed(h->work, e);
	else
		note_failure(p, e);
	dispatch(p);
}

static void on_gone(struct lua_cmod_helper *h)
{
	struct lua_cmod_pool *p = h->arg;

	count_cpu(h);
	list_del(&h->link);
	p->count--;
	dispatch(p);
}

static struct lua_cmod_helper *start(struct lua_cmod_pool *p)
{
	static const struct lua_cmod_helper_owner owner = { on_ready, on_answer,
							    on_failed,
							    on_gone };
	const struct lua_cmod_helper_job job = {
		.library = cmod_sealed(cmod_func_module(p->func)),
		.symbol = cmod_func_symbol(p->func),
		.memory = p->memory,
		.answer_max = p->memory < ANSWER_MAX ? p->memory : ANSWER_MAX,
		.timeout_ns = LOAD_TIMEOUT_NS,
	};
	struct lua_cmod_helper *h =
		lua_cmod_helper_start(p->sched, &job, &owner, p);

	if (h == NULL) {
		note_failure(p, diag_take());
		return NULL;
	}
	list_add_tail(&p->helpers, &h->link);
	p->count++;
	return h;
}

/* The idle one that was at work last: its memory is warm. */
static struct lua_cmod_helper *idle(const struct lua_cmod_pool *p,
				    unsigned *ret_starting, unsigned *ret_busy)
{
	struct lua_cmod_helper *found = NULL;

	*ret_starting = *ret_busy = 0;
	list_foreach(link, &p->helpers) {
		struct lua_cmod_helper *h =
			list_entry(link, struct lua_cmod_helper, link);

		*ret_starting += h->state == HELPER_STARTING;
		*ret_busy += h->state == HELPER_BUSY;
		if (found == NULL && h->state == HELPER_IDLE)
			found = h;
	}
	return found;
}

static void ask(struct lua_cmod_pool *p, struct lua_cmod_helper *h)
{
	struct lua_cmod_isolated *ic = first(p);
	int rc;

	dequeue(ic);
	rc = lua_cmod_helper_ask(h, &ic->call.in, p->timeout_ns);
	if (rc == 0) {
		h->work = ic;
		ic->helper = h;
		list_del(&h->link);
		list_add(&p->helpers, &h->link);
	} else if (rc == UV_EPIPE && !ic->tried) {
		/* It died before: the call was not made. */
		ic->tried = true;
		list_add(&p->queue, &ic->link);
		p->queued++;
	} else {
		diag_set_system(rc, "cannot ask the helper process of '%s'",
				cmod_func_symbol(p->func));
		finish_failed(ic, diag_take());
	}
}

/* Calls that nobody is there for get the reason at once. */
static void fail_queue(struct lua_cmod_pool *p)
{
	while (!list_empty(&p->queue)) {
		struct lua_cmod_isolated *ic = first(p);

		dequeue(ic);
		finish_failed(ic, error_ref(p->broken));
	}
}

/* Idle helpers get calls; when there are none, more are started. */
static void dispatch(struct lua_cmod_pool *p)
{
	struct lua_cmod_helper *h;
	unsigned starting, busy;

	while (!list_empty(&p->queue)) {
		h = idle(p, &starting, &busy);
		if (h != NULL) {
			ask(p, h);
			continue;
		}
		if (starting >= p->queued)
			return;
		if (p->broken != NULL && uv_hrtime() < p->retry_ns) {
			if (starting + busy == 0)
				fail_queue(p);
			return;
		}
		if (p->count >= p->workers)
			return;
		start(p);
	}
}

/* --- the pool --- */

struct lua_cmod_pool *lua_cmod_pool_new(struct sched *sched,
					struct cmod_func *func,
					const struct lua_cmod_options *o)
{
	struct lua_cmod_pool *p = mem_zalloc(sizeof *p);

	if (p == NULL) {
		diag_set_oom(sizeof *p, "the helpers of a function");
		return NULL;
	}
	p->refs = 1;
	p->sched = sched;
	p->func = cmod_func_ref(func);
	p->workers = o->workers != 0 ? o->workers : 1;
	p->memory = o->memory != 0 ? o->memory : MEMORY;
	p->timeout_ns = o->timeout_ns != UINT64_MAX ? o->timeout_ns
						    : TIMEOUT_NS;
	list_init(&p->helpers);
	list_init(&p->queue);
	return p;
}

struct cmod_func *lua_cmod_pool_func(const struct lua_cmod_pool *p)
{
	return p->func;
}

void lua_cmod_pool_unref(struct lua_cmod_pool *p)
{
	struct list *link;

	if (p == NULL || --p->refs > 0)
		return;
	assert(list_empty(&p->queue));
	while ((link = list_shift(&p->helpers)) != NULL) {
		struct lua_cmod_helper *h =
			list_entry(link, struct lua_cmod_helper, link);

		lua_cmod_helper_disown(h);
		lua_cmod_helper_close(h);
	}
	error_unref(p->broken);
	cmod_func_unref(p->func);
	mem_free(p);
}
