/* Fibers made in C. See cfiber.h. */
#include "cmod/cfiber.h"

#include <assert.h>
#include <fenv.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/cpu.h"
#include "cmod/exceptions.h"
#include "cmod/host.h"
#include "cmod/stack.h"
#include "cmod/wait.h"

static struct neap_call *get_call(size_t stack_size)
{
	const size_t page = 4096;

	if (stack_size == 0 || stack_size == CSTACK_SIZE)
		return call_get();
	if (stack_size < CFIBER_STACK_LEAST)
		stack_size = CFIBER_STACK_LEAST;
	if (stack_size > CFIBER_STACK_MAX)
		stack_size = CFIBER_STACK_MAX;
	return call_new_sized((stack_size + page - 1) & ~(page - 1));
}

static struct fiber *make(struct neap_call *maker, const char *name,
			  size_t stack_size, const struct cfiber_body *body)
{
	struct neap_call *c = get_call(stack_size);
	struct fiber *f;

	if (c == NULL)
		return NULL;
	c->func = cmod_func_ref(maker->func);
	c->flags = CALL_WAITED | CALL_FIBER;
	c->host = c->host_wait = NULL;
	f = wait_host()->fiber_new(maker, c, name);
	if (f == NULL) {
		call_put(c);
		return NULL;
	}
	wait_host()->fiber_of(f)->body = *body;
	return f;
}

struct fiber *cfiber_new(const char *name, size_t stack_size,
			 const struct cfiber_body *body)
{
	struct neap_call *maker = call_current;
	struct fiber *f = NULL;

	if (maker == NULL || wait_host() == NULL || wait_host()->self() == NULL)
		diag_set(IllegalParams,
			 "cannot make a fiber here: not inside a call of a "
			 "function, nor in a fiber; init and fini of a module "
			 "and other threads make none");
	else
		f = make(maker, name, stack_size, body);
	if (f == NULL)
		call_set_error(diag_take());
	return f;
}

void cfiber_start(struct fiber *f, va_list *list)
{
	struct cfiber *cf = wait_host() == NULL ? NULL
						: wait_host()->fiber_of(f);

	/* A fiber starts once; what else it may be has started long ago. */
	if (cf == NULL || cf->started)
		return;
	cf->started = true;
	cf->body.list = list;
	wait_host()->fiber_start(f);
}

void cfiber_set_joinable(struct fiber *f, bool joinable)
{
	struct cfiber *cf = wait_host() == NULL ? NULL
						: wait_host()->fiber_of(f);

	if (cf == NULL)
		return;
	cf->joinable = joinable;
	/* It was kept for a join that will not come. */
	if (!joinable && cf->call == NULL && !cf->joining)
		wait_host()->fiber_free(f);
}

static int refuse(const char *why)
{
	diag_set(IllegalParams, "cannot join this fiber: %s", why);
	return call_set_error(diag_take());
}

int cfiber_join(struct fiber *f, double timeout, bool *ret_ended)
{
	struct cfiber *cf = wait_host() == NULL ? NULL
						: wait_host()->fiber_of(f);
	int result;

	*ret_ended = false;
	if (cf == NULL)
		return refuse("it was not made in C");
	if (!cf->joinable)
		return refuse("it is not joinable");
	if (cf->joining)
		return refuse("somebody else joins it");
	if (cf->call != NULL && cf->call == call_current)
		return refuse("it is the one that runs");
	if (cf->call != NULL) {
		cf->joining = true;
		result = wait_end(f, timeout);
		cf->joining = false;
		/* At the same moment as the timeout it may have ended. */
		if (result != 0 && cf->call != NULL)
			return -1;
		if (result != 0)
			call_set_error(NULL);
	}
	result = cf->result;
	if (result != 0) {
		call_set_error(cf->error);
		cf->error = NULL;
	}
	*ret_ended = true;
	wait_host()->fiber_free(f);
	return result;
}

void cfiber_create(struct cfiber *f, struct neap_call *call)
{
	*f = (struct cfiber){ .call = call };
	call->fiber = f;
}

/* The first frame on the stack. */
static int run_body(struct neap_call *c, const char *args, const char *args_end)
{
	const struct cfiber_body *body = &c->fiber->body;

	(void)args, (void)args_end;
	if (body->with_arg != NULL)
		return body->with_arg(body->arg);
	return body->with_list(*body->list);
}

/* It begins as the server has floating point; who starts it, in the middle of a
 * call, finds that and exceptions as they were. */
static bool enter(struct neap_call *c, const struct neap_call *outer)
{
	exceptions_f place = outer == NULL ? NULL
					   : cmod_func_exceptions(outer->func);
	struct exceptions of_outer = exceptions_take(place);
	fenv_t floating;
	bool ended;

	fegetenv(&floating);
	fesetenv(FE_DFL_ENV);
	ended = cstack_call(&c->stack, run_body, c, NULL, NULL);
	fesetenv(&floating);
	exceptions_put(place, of_outer);
	return ended;
}

bool cfiber_run(struct cfiber *f, int status)
{
	/* When it starts, who starts it is in the middle of a call. */
	struct neap_call *outer = call_current, *c = f->call;
	uint64_t begin = outer == NULL ? cpu_begin() : 0;
	bool ended;

	call_current = c;
	if (!f->entered) {
		f->entered = true;
		ended = enter(c, outer);
	} else {
		c->status = status;
		ended = cstack_resume(&c->stack);
	}
	call_current = outer;
	/* Inside a call it is part of that one. */
	if (outer == NULL)
		cmod_func_count_cpu(c->func, cpu_end(begin));
	if (!ended)
		return false;
	f->result = c->stack.result;
	if (f->result != 0)
		f->error = call_take_error(c);
	return true;
}

void cfiber_end(struct cfiber *f)
{
	struct neap_call *c = f->call;

	assert(c != NULL);
	f->call = NULL;
	call_put(c);
}

void cfiber_destroy(struct cfiber *f)
{
	error_unref(f->error);
	f->error = NULL;
}
