/* test_call.c over the switch for machines without assembly of ours: the
 * stacks and the calls are compiled into this program, in that form. */
#if defined(__SANITIZE_THREAD__)

/* The thread sanitizer takes setcontext() for the end of a signal handler. */
int main(void)
{
	return 77;
}

#else

#ifndef NEAP_CSTACK_UCONTEXT
#define NEAP_CSTACK_UCONTEXT
#endif

#include "../../../src/cmod/api.c"
#include "../../../src/cmod/call.c"
#include "../../../src/cmod/offload.c"
#include "../../../src/cmod/stack.c"
#include "../../../src/cmod/stack_ucontext.c"
#include "../../../src/cmod/wait.c"

#include "test_call.c"

#endif
