/*
 * C stacks: a function of a module runs on one of its own, so that it can be
 * put aside in the middle and go on later, like a fiber.
 *
 * The way there is a *call on another stack*: the stack pointer is changed and
 * the function called, so that one that does not wait comes back by an
 * ordinary return, and the processor's prediction of returns stays in step.
 * Only one that waits is left and entered by a switch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmod/cmod.h"

/** Whether tools that watch stacks must be told of switches. */
#if defined(__SANITIZE_ADDRESS__)
#define CSTACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CSTACK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CSTACK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CSTACK_TSAN 1
#endif
#endif

/** Whether the stacks are switched by our assembly or by ucontext. */
#if defined(__x86_64__) && !defined(NEAP_CSTACK_UCONTEXT)
#define CSTACK_X86_64 1
#endif

#ifdef CSTACK_X86_64
/* What else a call changes. */
#ifdef __AVX512F__
#define CSTACK_VECTORS_MORE                                                    \
	"xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",         \
		"xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", \
		"xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#else
#define CSTACK_VECTORS_MORE
#endif
#define CSTACK_VECTORS                                                        \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",       \
		"xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",  \
		"xmm15", CSTACK_VECTORS_MORE "st", "st(1)", "st(2)", "st(3)", \
		"st(4)", "st(5)", "st(6)", "st(7)",
#endif

/** A function and what it is called with. */
struct cstack_entry {
	cmod_func_f code;
	struct neap_call *call;
	const char *args;
	const char *args_end;
};

struct cstack {
	/* The assembly knows the places of these. */
	void *parked;        /* 0: where the stack stands while it is left */
	void *back;          /* 8: where the one who entered it stands */
	void *top;           /* 16: where a call begins */
	int result;          /* 24: of the function, when it has returned */
	int returned;        /* 28: it has */
	unsigned fp_default; /* 32: control words of floating point, as the */
	unsigned short x87_default; /* 36: server has them */

	char *base; /* lowest usable byte; the guard lies below */
	size_t size;
#ifndef CSTACK_X86_64
	struct cstack_entry entry; /* what entering the stack calls */
	void *context;
#endif
#if defined(CSTACK_ASAN) || defined(CSTACK_TSAN)
	struct cstack_entry user; /* what the trampoline calls */
#endif
#ifdef CSTACK_ASAN
	void *fake; /* the tool's own stack, while this one is left */
	const void *caller_base;
	size_t caller_size;
#endif
#ifdef CSTACK_TSAN
	void *fiber; /* what the tool knows the stack as */
	void *caller;
#endif
};

/** Bytes of each stack unless another size is wanted; what is not used costs
 * no memory. */
enum { CSTACK_SIZE = 256 * 1024 };

/** Of @a size bytes, whole pages. Returns 0, or -1 with diag set (out of
 * memory, or of mappings). */
int cstack_create(struct cstack *s, size_t size);

/** The stack must not be in use, or never be entered again. */
void cstack_destroy(struct cstack *s);

/* The switch itself, in assembly or over ucontext. Results are 0 or 1. */
#ifdef CSTACK_X86_64

/* Of the registers that a function keeps, those in use are saved here by the
 * caller, who has saved his own caller's just before: once, not twice. (Not
 * instrumented for threads: see stack.c.) */
#ifdef CSTACK_TSAN
__attribute__((no_sanitize("thread")))
#endif
static inline int
cstack__enter(struct cstack *s, cmod_func_f code, struct neap_call *call,
	      const char *args, const char *args_end)
{
	/* Named as changed, so that nothing lies below it: a call is made. */
	register void *sp __asm__("rsp");
	uintptr_t result = (uintptr_t)code, returned = (uintptr_t)args_end;

	__asm__ volatile("call cstack__call"
			 : "+r"(sp), "+a"(result), "+d"(returned), "+D"(call),
			   "+S"(args)
			 : "b"(s)
			 : "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15", CSTACK_VECTORS "memory", "cc");
	s->result = (int)result;
	return (int)returned;
}

#else
int cstack__enter(struct cstack *s, cmod_func_f code, struct neap_call *call,
		  const char *args, const char *args_end);
#endif
int cstack__resume(struct cstack *s);
void cstack__leave(struct cstack *s);

#if defined(CSTACK_ASAN) || defined(CSTACK_TSAN)

/**
 * Call @a code(call, args, args_end) on @a s. Returns true when it has
 * returned, with s->result; false when it has left by cstack_leave().
 */
bool cstack_call(struct cstack *s, cmod_func_f code, struct neap_call *call,
		 const char *args, const char *args_end);

/** Go on with a stack that was left. Returns as cstack_call(). */
bool cstack_resume(struct cstack *s);

/** On the stack: back to who called or resumed it, until it is resumed. */
void cstack_leave(struct cstack *s);

#else

static inline bool cstack_call(struct cstack *s, cmod_func_f code,
			       struct neap_call *call, const char *args,
			       const char *args_end)
{
	return cstack__enter(s, code, call, args, args_end);
}

static inline bool cstack_resume(struct cstack *s)
{
	return cstack__resume(s);
}

static inline void cstack_leave(struct cstack *s)
{
	cstack__leave(s);
}

#endif

/** True when @a address lies in the guard below the stack: it overflowed. */
bool cstack_in_guard(const struct cstack *s, const void *address);
