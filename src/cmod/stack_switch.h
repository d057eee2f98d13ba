/* The switch itself, in assembly or over ucontext; for stack.c alone. */
#pragma once

#include "cmod/stack.h"

/** Make a fresh stack ready. Returns 0, or -1 when out of memory. */
int cstack__boot(struct cstack *s);
void cstack__unboot(struct cstack *s);

/** Call on the stack, go on with it, leave it. As their namesakes of stack.h,
 * without a word to sanitizers. Results are 0 or 1. */
int cstack__enter(struct cstack *s, cmod_func_f code, struct neap_call *call,
		  const char *args, const char *args_end);
int cstack__resume(struct cstack *s);
void cstack__leave(struct cstack *s);
