/* C stacks: their memory, and what sanitizers must be told. See stack.h. */
#include "cmod/stack.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/exceptions.h"
#include "cmod/stack_switch.h"

#ifdef CSTACK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CSTACK_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* A larger frame may jump over it unseen: as the kernel's own for threads' first
 * stacks. Addresses are all that it costs. */
enum { GUARD_SIZE = 1024 * 1024 };

int cstack_create(struct cstack *s, size_t usable)
{
	const size_t size = GUARD_SIZE + usable;
	char *memory;

	*s = (struct cstack){ .size = usable };
	memory = inject("cmod.stack") ? MAP_FAILED
				      : mmap(NULL, size, PROT_NONE,
					     MAP_PRIVATE | MAP_ANONYMOUS |
						     MAP_NORESERVE | MAP_STACK,
					     -1, 0);
	if (memory == MAP_FAILED)
		goto fail;
	if (mprotect(memory + GUARD_SIZE, usable, PROT_READ | PROT_WRITE) != 0)
		goto fail_guard;
	s->base = memory + GUARD_SIZE;
	if (cstack__boot(s) != 0)
		goto fail_guard;
#ifdef CSTACK_TSAN
	s->fiber = __tsan_create_fiber(0);
#endif
	return 0;
fail_guard:
	munmap(memory, size);
fail:
	diag_set_oom(size, "a C stack");
	return -1;
}

void cstack_destroy(struct cstack *s)
{
#ifdef CSTACK_TSAN
	__tsan_destroy_fiber(s->fiber);
#endif
	cstack__unboot(s);
#ifdef CSTACK_ASAN
	/* Frames that never returned have marked what lies around their
	 * variables; the next mapping here knows nothing of that. */
	__asan_unpoison_memory_region(s->base, s->size);
#endif
	munmap(s->base - GUARD_SIZE, GUARD_SIZE + s->size);
	s->base = NULL;
}

bool cstack_in_guard(const struct cstack *s, const void *address)
{
	uintptr_t base = (uintptr_t)s->base, a = (uintptr_t)address;

	return a < base && a >= base - GUARD_SIZE;
}

#if defined(CSTACK_ASAN) || defined(CSTACK_TSAN)

/*
 * None of these is instrumented for threads: each begins in one of the tool's
 * fibers and ends in another, and what the tool notes at both would not match.
 */
#define PLAIN __attribute__((no_sanitize("thread")))

/* Before the stack pointer changes, and right after. */
PLAIN static void entering(struct cstack *s, void **ret_fake)
{
	(void)s, (void)ret_fake;
#ifdef CSTACK_ASAN
	__sanitizer_start_switch_fiber(ret_fake, s->base, s->size);
#endif
#ifdef CSTACK_TSAN
	s->caller = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(s->fiber, 0);
#endif
}

PLAIN static void came_back(void *fake)
{
	(void)fake;
#ifdef CSTACK_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

PLAIN static void entered(struct cstack *s, void *fake)
{
	(void)s, (void)fake;
#ifdef CSTACK_ASAN
	__sanitizer_finish_switch_fiber(fake, &s->caller_base, &s->caller_size);
#endif
}

PLAIN static void leaving(struct cstack *s, void **ret_fake)
{
	(void)s, (void)ret_fake;
#ifdef CSTACK_ASAN
	__sanitizer_start_switch_fiber(ret_fake, s->caller_base,
				       s->caller_size);
#endif
#ifdef CSTACK_TSAN
	__tsan_switch_to_fiber(s->caller, 0);
#endif
}

/* The first frame on the stack. */
PLAIN static int trampoline(struct neap_call *arg, const char *args,
			    const char *args_end)
{
	struct cstack *s = (struct cstack *)(void *)arg;
	int rc;

	(void)args, (void)args_end;
	entered(s, NULL);
	/* (Caught further out it would pass by the line below.) */
	rc = exceptions_border(s->user.code, s->user.call, s->user.args,
			       s->user.args_end);
	leaving(s, NULL); /* for good: no fake stack to keep */
	return rc;
}

PLAIN bool cstack_call(struct cstack *s, cmod_func_f code,
		       struct neap_call *call, const char *args,
		       const char *args_end)
{
	void *fake = NULL;
	bool returned;

	s->user = (struct cstack_entry){ code, call, args, args_end };
	entering(s, &fake);
	returned = cstack__enter(s, trampoline, (struct neap_call *)(void *)s,
				 NULL, NULL);
	came_back(fake);
	return returned;
}

PLAIN bool cstack_resume(struct cstack *s)
{
	void *fake = NULL;
	bool returned;

	entering(s, &fake);
	returned = cstack__resume(s);
	came_back(fake);
	return returned;
}

PLAIN void cstack_leave(struct cstack *s)
{
	void *fake = NULL;

	leaving(s, &fake);
	cstack__leave(s);
	entered(s, fake);
}

#endif
