/* The functions of neap/compat/module.h: fibers and conditions. */
#include "cmod/compat.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/call.h"
#include "cmod/cfiber.h"
#include "cmod/host.h"
#include "cmod/wait.h"

struct fiber_attr {
	size_t stack_size;
};

bool compat_is_deaf(void)
{
	return wait_is_cancelled() ||
	       (call_current != NULL && (call_current->flags & CALL_DEAF));
}

void neap_compat_fiber_sleep(double s)
{
	wait_sleep(s, compat_is_deaf());
}

void neap_compat_fiber_yield(void)
{
	wait_wakeup(compat_is_deaf());
}

void neap_compat_fiber_reschedule(void)
{
	wait_yield(compat_is_deaf());
}

struct fiber *neap_compat_fiber_self(void)
{
	return wait_host() == NULL ? NULL : wait_host()->self();
}

void neap_compat_fiber_wakeup(struct fiber *f)
{
	if (wait_host() != NULL)
		wait_host()->wakeup(f);
}

void neap_compat_fiber_cancel(struct fiber *f)
{
	if (wait_host() != NULL)
		wait_host()->cancel(f);
}

bool neap_compat_fiber_is_cancelled(void)
{
	return wait_is_cancelled();
}

bool neap_compat_fiber_set_cancellable(bool yes)
{
	bool before;

	if (call_current == NULL)
		return true;
	before = !(call_current->flags & CALL_DEAF);
	if (yes)
		call_current->flags &= ~(unsigned)CALL_DEAF;
	else
		call_current->flags |= CALL_DEAF;
	return before;
}

struct fiber *neap_compat_fiber_new_ex(const char *name,
				       const struct fiber_attr *attr,
				       int (*f)(va_list ap))
{
	struct cfiber_body body = { .with_list = f };

	return cfiber_new(name, attr == NULL ? 0 : attr->stack_size, &body);
}

struct fiber *neap_compat_fiber_new(const char *name, int (*f)(va_list ap))
{
	return neap_compat_fiber_new_ex(name, NULL, f);
}

void neap_compat_fiber_start(struct fiber *f, ...)
{
	va_list ap;

	/* The list is good as long as this frame is: until the new fiber first
	 * waits, which is when this goes on. */
	va_start(ap, f);
	cfiber_start(f, &ap);
	va_end(ap);
}

void neap_compat_fiber_set_joinable(struct fiber *f, bool yes)
{
	cfiber_set_joinable(f, yes);
}

int neap_compat_fiber_join(struct fiber *f)
{
	bool ended;

	return cfiber_join(f, -1, &ended);
}

int neap_compat_fiber_join_timeout(struct fiber *f, double timeout)
{
	bool ended;

	return cfiber_join(f, timeout < 0 ? 0 : timeout, &ended);
}

struct fiber_attr *neap_compat_fiber_attr_new(void)
{
	struct fiber_attr *a = mem_alloc(sizeof *a);

	if (a == NULL) {
		diag_set_oom(sizeof *a, "attributes of fibers");
		call_set_error(diag_take());
		return NULL;
	}
	a->stack_size = CSTACK_SIZE;
	return a;
}

void neap_compat_fiber_attr_delete(struct fiber_attr *a)
{
	mem_free(a);
}

int neap_compat_fiber_attr_setstacksize(struct fiber_attr *a, size_t size)
{
	if (size >= CFIBER_STACK_MIN && size <= CFIBER_STACK_MAX) {
		a->stack_size = size;
		return 0;
	}
	diag_set(IllegalParams,
		 "a fiber's stack of %zu bytes: it may have from %d to %d",
		 size, CFIBER_STACK_MIN, CFIBER_STACK_MAX);
	return call_set_error(diag_take());
}

size_t neap_compat_fiber_attr_getstacksize(struct fiber_attr *a)
{
	return a == NULL ? CSTACK_SIZE : a->stack_size;
}

struct cond *neap_compat_fiber_cond_new(void)
{
	struct cond *c = NULL;

	if (wait_host() == NULL)
		diag_set(IllegalParams, "no conditions here: there are no "
					"fibers");
	else
		c = wait_host()->cond_new();
	if (c == NULL)
		call_set_error(diag_take());
	return c;
}

void neap_compat_fiber_cond_delete(struct cond *c)
{
	if (c != NULL && wait_host() != NULL)
		wait_host()->cond_delete(c);
}

void neap_compat_fiber_cond_signal(struct cond *c)
{
	if (wait_host() != NULL)
		wait_host()->cond_signal(c);
}

void neap_compat_fiber_cond_broadcast(struct cond *c)
{
	if (wait_host() != NULL)
		wait_host()->cond_broadcast(c);
}

/* A cancel is a wakeup without a reason here: whoever waits looks at what it
 * waits for, and at fiber_is_cancelled(). */
static int cond_wait(struct cond *c, double timeout)
{
	bool deaf = compat_is_deaf();

	if (wait_cond(c, timeout, deaf) == 0)
		return 0;
	if (deaf || !wait_is_cancelled())
		return -1;
	call_set_error(NULL);
	return 0;
}

int neap_compat_fiber_cond_wait_timeout(struct cond *c, double timeout)
{
	return cond_wait(c, timeout < 0 ? 0 : timeout);
}

int neap_compat_fiber_cond_wait(struct cond *c)
{
	return cond_wait(c, -1);
}
