/*
 * The module `popen`: children with pipes to them. A child is started by a
 * thread of the pool; what comes and goes through the pipes, and its end, the
 * loop waits for.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "runtime/fd_watch.h"
#include "runtime/process.h"

enum popen_action { POPEN_INHERIT, POPEN_PIPE, POPEN_DEVNULL, POPEN_CLOSE };

enum popen_flag {
	POPEN_SHELL = 1 << 0,
	POPEN_SETSID = 1 << 1,
	POPEN_CLOSE_FDS = 1 << 2,
	POPEN_RESTORE_SIGNALS = 1 << 3,
	POPEN_GROUP_SIGNAL = 1 << 4,
	POPEN_KEEP_CHILD = 1 << 5,
};

/** What a handle in Lua stands for; the userdata itself. */
struct popen {
	struct process child;
	int status;  /* as of waitpid(); once child.pid is 0 */
	int fds[3];  /* our ends of the pipes; -1: none, or closed */
	pid_t group; /* 0: signals go to the child alone */
	bool keep;   /* it lives on without the handle */
	bool closed;
	uint64_t born;       /* the loop's time when it was handed out, in ms */
	struct list waits;   /* of fibers, for a pipe or the end */
	struct fd_watch end; /* of a child whose handle is closed: to reap it */
};

/** new(argv, actions, flags, env): argv and env are arrays of strings, env may be
 * nil. In lua_popen_start.c. */
int lua_popen_new(lua_State *L);

/** Push a handle without a child. Throws: out of memory. */
struct popen *lua_popen_push(lua_State *L);

/** The C half of popen.lua. */
int luaopen_neap_popen(lua_State *L);
