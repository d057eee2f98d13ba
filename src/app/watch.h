/*
 * Signals come to the loop of worker 1. So that the others drain and end also
 * when its thread is kept by C code, a thread that does nothing else hears of the
 * first request to end, too. Only where there are several workers: with one there
 * is nobody to tell, and the process stays single-threaded.
 */
#pragma once

struct app;

/** Start it. Returns 0, or -1 with diag set. */
int watch_start(struct app *app);

/** The application has ended. Nothing, when it was not started. */
void watch_stop(void);
