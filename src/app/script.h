/* The main fiber: steps of the command line, then the script. */
#pragma once

struct app_script;
struct worker;

/** Start it; it runs until it first waits. Returns 0, or -1 with diag set. */
int script_start(struct worker *w, const struct app_script *script);
