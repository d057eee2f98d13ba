/*
 * Where each worker stands, told inside signal handlers: what is left to say of a process
 * that was asked by SIGQUIT and does not answer, because its first worker is kept by C code, and
 * of a worker that has not turned for long.
 */
#pragma once

struct worker;

/** The thread of @a w, which has its loop and its Lua state: it can be asked. */
void stuck_enter(struct worker *w);

/** Have @a w, which does not turn, write where it stands. It must not end meanwhile. */
void stuck_ask(const struct worker *w);

/** Have it note for lua_preempt_look() what runs there, if it does not turn: what ticks do, where
 * there are some. As stuck_ask(). */
void stuck_note(const struct worker *w);

/** They go. Nothing, if it did not enter. */
void stuck_leave(void);
