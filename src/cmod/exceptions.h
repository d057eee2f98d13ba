/*
 * Exceptions of C++ in modules. One that leaves a function must not go on into
 * the server, whose code is not made for that: locks would stay held, calls
 * unfinished. It ends at the border, as an error; where the system's loader lies
 * between, which cannot be left in the middle either, it ends the process, as in
 * any program that does not catch it.
 *
 * And what the language keeps for each thread, the exceptions being handled, is
 * kept for each stack here: a function may wait inside a `catch`.
 *
 * (Borders are made in assembly for x86-64; elsewhere a stack of ucontext has
 * nothing below it that would catch one.)
 */
#pragma once

#include "cmod/cmod.h"

/** What the ABI of C++ keeps for each thread, and the function that tells
 * where. */
struct exceptions {
	void *caught;
	unsigned uncaught;
};

typedef struct exceptions *(*exceptions_f)(void);

/** What was kept there until now is the caller's, and nothing is kept. NULL, as
 * of modules in C, is fine. */
static inline struct exceptions exceptions_take(exceptions_f place)
{
	struct exceptions e = { NULL, 0 };

	if (place != NULL) {
		e = *place();
		*place() = (struct exceptions){ NULL, 0 };
	}
	return e;
}

static inline void exceptions_put(exceptions_f place, struct exceptions e)
{
	if (place != NULL)
		*place() = e;
}

#ifdef __x86_64__

/** Call @a code. When an exception leaves it: -1, with the error of the call or
 * of the thread set. */
int exceptions_border(cmod_func_f code, struct neap_call *call,
		      const char *args, const char *args_end);

/** Call @a code(arg). When an exception leaves it, the process ends. */
void exceptions_wall(void (*code)(void *arg), void *arg);

#else

static inline int exceptions_border(cmod_func_f code, struct neap_call *call,
				    const char *args, const char *args_end)
{
	return code(call, args, args_end);
}

static inline void exceptions_wall(void (*code)(void *arg), void *arg)
{
	code(arg);
}

#endif
