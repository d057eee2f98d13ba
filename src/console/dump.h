/*
 * SIGQUIT: the log is told what the process is at, by the admin commands that an
 * operator would type.
 */
#pragma once

struct app;

/** Begin, in worker 1 of @a app, from any thread while it lives; while one is under way
 * nothing is done. */
void dump_begin(struct app *app);

/** @a app ends: what is under way is dropped. On the thread of its worker 1. */
void dump_end(const struct app *app);
