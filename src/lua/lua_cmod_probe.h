/*
 * A library that a helper process loads and closes, to see whether it survives
 * that: for cmod.load() and for live functions.
 */
#pragma once

#include <stdint.h>

struct cmod_sealed;
struct error;
struct lua_cmod_helper;
struct sched;

/** All zero is none. */
struct lua_cmod_probe {
	struct lua_cmod_helper *helper; /* NULL: it has ended */
	struct error *error;            /* why it is not to be loaded */
	/** It has ended; from the loop. Lua is not to be run. */
	void (*on_end)(struct lua_cmod_probe *p);
};

/**
 * Start one. @a memory and @a timeout_ns are its limits; 0 and UINT64_MAX: the
 * usual ones. Returns 0, or -1 with diag set.
 */
int lua_cmod_probe_start(struct lua_cmod_probe *p, struct sched *sched,
			 const struct cmod_sealed *library, uint64_t memory,
			 uint64_t timeout_ns);

/** Give it up: on_end() is not called any more. None is fine. */
void lua_cmod_probe_stop(struct lua_cmod_probe *p);
