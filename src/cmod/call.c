/* Calls: the pool, running, waiting, errors. */
#include "cmod/call.h"

#include <assert.h>
#include <pthread.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/exceptions.h"

enum {
	POOL_MAX = 256, /* idle calls: a burst holds no memory */
};

static const size_t BYTES_MAX = (size_t)1 << 30;

__thread struct neap_call *call_current;
__thread struct neap_call *call_spare;
static __thread struct neap_call *pool;
__thread unsigned call_idle;
static __thread struct error *outside_error;

static void call_delete(struct neap_call *c)
{
	buf_destroy(&c->in);
	buf_destroy(&c->out);
	cstack_destroy(&c->stack);
	mem_free(c);
}

void call_init(struct neap_call *c)
{
	c->in.limit = c->out.limit = BYTES_MAX;
}

struct neap_call *call_new_sized(size_t stack_size)
{
	struct neap_call *c = mem_zalloc(sizeof *c);

	if (c == NULL) {
		diag_set_oom(sizeof *c, "a call");
		return NULL;
	}
	if (cstack_create(&c->stack, stack_size) != 0) {
		mem_free(c);
		return NULL;
	}
	call_init(c);
	return c;
}

struct neap_call *call_new(void)
{
	struct neap_call *c = pool;

	if (c == NULL)
		return call_new_sized(CSTACK_SIZE);
	pool = c->next;
	call_idle--;
	return c;
}

/* What only calls have that waited, failed or were large. */
static void clean(struct neap_call *c)
{
	error_unref(c->error);
	c->error = NULL;
	if (c->flags & CALL_WAITED)
		cmod_func_unref(c->func);
	c->flags = 0;
	buf_reset(&c->in, CALL_KEEP);
	buf_reset(&c->out, CALL_KEEP);
}

void call_put(struct neap_call *c)
{
	if (__builtin_expect(c->error != NULL || c->flags != 0 ||
				     (c->in.capacity | c->out.capacity) >
					     CALL_KEEP,
			     0))
		clean(c);
	if (__builtin_expect(
		    call_idle >= POOL_MAX || c->stack.size != CSTACK_SIZE, 0)) {
		call_delete(c);
		return;
	}
	c->in.size = c->out.size = 0;
	c->results = 0;
	/* The last one first: its stack and buffers are in the cache. */
	if (call_spare == NULL) {
		call_spare = c;
		return;
	}
	c->next = pool;
	pool = c;
	call_idle++;
}

void call_empty_pool(void)
{
	struct neap_call *c;

	while (call_spare != NULL || pool != NULL) {
		c = call_get();
		call_delete(c);
	}
	cpu_end_thread();
}

bool call_run_measured(struct neap_call *c, struct cmod_use *use,
		       const char *args, const char *args_end, void *host)
{
	uint64_t begin = cpu_use_begin(&use->cpu, use->calls);
	bool ended = call_run(c, use, args, args_end, host);

	cpu_use_end(&use->cpu, use->calls, begin);
	return ended;
}

bool call_resume(struct neap_call *c, int status)
{
	uint64_t begin = cpu_begin();
	bool ended;

	assert((c->flags & CALL_WAITED) && call_current == NULL);
	c->status = status;
	call_current = c;
	ended = cstack_resume(&c->stack);
	call_current = NULL;
	cmod_func_count_cpu(c->func, cpu_end(begin));
	return ended;
}

int call_wait(struct neap_call *c)
{
	exceptions_f place = cmod_func_exceptions(c->func);
	struct exceptions own;

	assert(call_current == c);
	/* Whoever called may let go of the function meanwhile. */
	if (!(c->flags & CALL_WAITED)) {
		cmod_func_ref(c->func);
		c->flags |= CALL_WAITED;
	}
	own = exceptions_take(place);
	cstack_leave(&c->stack);
	exceptions_put(place, own);
	return c->status;
}

void call_abandon(struct neap_call *c)
{
	clean(c);
	call_delete(c);
}

/* A module's own thread may set an error, and ends without a word to us. */
static pthread_key_t outside_key;
static pthread_once_t outside_once = PTHREAD_ONCE_INIT;

static void end_of_thread(void *arg)
{
	error_unref(call_take_outside_error());
	(void)arg;
}

static void make_outside_key(void)
{
	if (pthread_key_create(&outside_key, end_of_thread) != 0)
		outside_key = (pthread_key_t)-1; /* then it is lost */
}

static struct error **outside_place(void)
{
	pthread_once(&outside_once, make_outside_key);
	if (outside_key != (pthread_key_t)-1)
		pthread_setspecific(outside_key, &outside_error);
	return &outside_error;
}

int call_set_error(struct error *e)
{
	struct error **place = call_current != NULL ? &call_current->error
						    : outside_place();

	error_unref(*place);
	*place = e;
	return -1;
}

void call_set_errorv(const char *file, unsigned line, uint32_t code,
		     const char *format, va_list ap)
{
	call_set_error(error_newv(&ClientError, code, file, line, format, ap));
}

struct error *call_last_error(void)
{
	return call_current != NULL ? call_current->error : outside_error;
}

static struct error *unknown_error(void)
{
	return error_new(&ClientError, ER_PROC_C, NULL, 0, "unknown error");
}

struct error *call_take_error(struct neap_call *c)
{
	struct error *e = c->error;

	c->error = NULL;
	return e != NULL ? e : unknown_error();
}

void call_outside_begin(void)
{
	error_unref(outside_error);
	outside_error = NULL;
}

struct error *call_take_outside_error(void)
{
	struct error *e = outside_error;

	outside_error = NULL;
	return e;
}

struct error *call_outside_error(void)
{
	struct error *e = call_take_outside_error();

	return e != NULL ? e : unknown_error();
}
