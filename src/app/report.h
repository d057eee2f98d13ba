/* What the main script's failure looks like to the user: told once. */
#pragma once

struct app;
struct lua_fiber;

/** "neap: text" on stderr; a log of JSON lines gets it as a line of its own. */
void report_error(const struct app *app, const char *text);

/** The error value at the top of @a f's coroutine, with its traceback. */
void report_uncaught(struct app *app, struct lua_fiber *f);
