/*
 * What is said when the process dies of a signal: which one, and, when a C
 * function of a module was running, its name and its file. A function that
 * overflowed its stack is told from one that wrote somewhere else.
 */
#pragma once

/**
 * Report fatal signals on standard error from now on, for the calling thread
 * on a stack of its own; the process then dies of the signal as it would have.
 * Once a process, from its main thread. (Not under sanitizers, which report
 * better.)
 */
void crash_install(void);
