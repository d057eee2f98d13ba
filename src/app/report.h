/* What the main script's failure looks like to the user: told once. */
#pragma once

struct lua_fiber;
struct worker;

/**
 * "neap: text" on stderr; a log of JSON lines gets it as a line of its own.
 * With several workers the text names this one, and what others tell later is
 * for the verbose log.
 */
void report_error(struct worker *w, const char *text);

/** What is wrong with the configuration: lines that begin with their places. */
void report_config(struct worker *w, const char *text);

/** The error value at the top of @a f's coroutine, with its traceback. */
void report_uncaught(struct worker *w, struct lua_fiber *f);
