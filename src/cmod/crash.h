/*
 * What is said when the process dies of a signal: which one, and, when a C
 * function of a module was running, its name and its file, or in what else of a
 * module it was. A function that overflowed its stack is told from one that
 * wrote somewhere else.
 */
#pragma once

#include <stddef.h>

enum { CRASH_STACK_SIZE = 32 * 1024 };

/**
 * Report fatal signals on standard error from now on, for the calling thread
 * on a stack of its own; the process then dies of the signal as it would have.
 * Once a process, from its main thread. (Not under sanitizers, which report
 * better.)
 */
void crash_install(void);

/** Report on this thread as well, on @a stack, until crash_leave_thread(). */
void crash_enter_thread(void *stack, size_t size);
void crash_leave_thread(void);

/** Code of the module @a file runs on this thread, outside a call: @a place
 * tells what, as in "the init function". Both stay as they are until
 * crash_leave_module(). */
void crash_enter_module(const char *place, const char *file);
void crash_leave_module(void);
