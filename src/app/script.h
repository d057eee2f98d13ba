/* The main fiber: steps of the command line, then the script. */
#pragma once

struct app;
struct app_script;

/** Start it; it runs until it first waits. Returns 0, or -1 with diag set. */
int script_start(struct app *app, const struct app_script *script);
