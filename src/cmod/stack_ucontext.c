/* The switch of C stacks where there is no assembly for the machine: slower,
 * as each switch is a system call. */
#include "cmod/stack_switch.h"

#ifndef CSTACK_X86_64

#include <stdint.h>
#include <ucontext.h>

#include "base/inject.h"
#include "cmod/exceptions.h"

struct context {
	ucontext_t here; /* the stack, while it is left */
	ucontext_t back; /* who entered it */
};

/* makecontext() passes ints only: the pointer comes in two halves. */
static void body(unsigned high, unsigned low)
{
	struct cstack *s =
		(struct cstack *)(((uintptr_t)high << 16 << 16) | low);
	struct context *c = s->context;

	s->result = exceptions_border(s->entry.code, s->entry.call,
				      s->entry.args, s->entry.args_end);
	s->returned = 1;
	setcontext(&c->back);
}

int cstack__boot(struct cstack *s)
{
	s->context = mem_alloc(sizeof(struct context));
	return s->context == NULL ? -1 : 0;
}

void cstack__unboot(struct cstack *s)
{
	mem_free(s->context);
	s->context = NULL;
}

int cstack__enter(struct cstack *s, cmod_func_f code, struct neap_call *call,
		  const char *args, const char *args_end)
{
	uintptr_t p = (uintptr_t)s;
	struct context *c = s->context;

	s->entry = (struct cstack_entry){ code, call, args, args_end };
	s->returned = 0;
	getcontext(&c->here);
	c->here.uc_stack.ss_sp = s->base;
	c->here.uc_stack.ss_size = s->size;
	c->here.uc_link = NULL;
	makecontext(&c->here, (void (*)(void))body, 2,
		    (unsigned)(p >> 16 >> 16), (unsigned)p);
	swapcontext(&c->back, &c->here);
	return s->returned;
}

int cstack__resume(struct cstack *s)
{
	struct context *c = s->context;

	s->returned = 0;
	swapcontext(&c->back, &c->here);
	return s->returned;
}

void cstack__leave(struct cstack *s)
{
	struct context *c = s->context;

	swapcontext(&c->here, &c->back);
}

#else
typedef int stack_ucontext_unused;
#endif
