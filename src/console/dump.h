/*
 * SIGQUIT: the log is told what the process is at, by the admin commands that an
 * operator would type.
 */
#pragma once

struct app;

/** Begin, in worker 1; while one is under way nothing is done. */
void dump_begin(struct app *app);

/** The process ends: what is under way is dropped. */
void dump_end(void);
