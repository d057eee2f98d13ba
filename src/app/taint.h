/*
 * What has been done to this process that may explain later what it does: told by `show info`
 * to an operator who wonders, and to who reads his report. Of the whole process, and for as long
 * as it lives: nothing takes it back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** X(id, name), in the order in which they are told; doc/guide-console.md explains each. */
#define TAINTS(X)                                                             \
	X(LUA_RUN, "lua_run")                 /* typed at a remote console */ \
	X(FIBER_KILLED, "fiber_killed")       /* kill fiber */                \
	X(CONNECTION_SHUT, "connection_shut") /* shut connection */           \
	X(LIMITS_SET, "limits_set")           /* set limits */                \
	X(PROFILED, "profiled")               /* profile lua */               \
	X(TRACED, "traced")                   /* trace request */             \
	X(MODULE_REPLACED,                                                    \
	  "module_replaced")              /* a C module, by a newer file */   \
	X(WORKER_STUCK, "worker_stuck")   /* it did not turn for long */      \
	X(RELOAD_FAILED, "reload_failed") /* the one before serves on */

enum taint {
	TAINT_NONE,
#define X(id, name) TAINT_##id,
	TAINTS(X)
#undef X
};

/** Any thread. TAINT_NONE: nothing. */
void taint_set(enum taint t);

/** Was anything? */
bool taint_is_any(void);

enum { TAINT_TEXT = 160 };

/** Their names with commas between, "" for none; TAINT_TEXT bytes at most. */
void taint_text(char *to);
