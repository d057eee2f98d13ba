/*
 * What fibers with a memory limit hold, told from samples of what they allocate:
 * one object stands for all that was allocated since the one before it, until it
 * is freed, in whoever's turn. doc/internals/memory.md tells how, and how exact
 * that is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct lua_sample;
struct lua_vm;

enum { LUA_ACCOUNT_MIN = 65536 }; /* bytes: less would be mostly chance */

/** Of one fiber, or of several that share it. */
struct lua_account {
	struct lua_vm *vm;   /* NULL: there is no limit */
	struct list samples; /* of what it has allocated */
	size_t limit;
	size_t used;     /* bytes that its samples stand for */
	size_t old;      /* the part taken before the check began */
	size_t found;    /* by the last check that was complete */
	size_t check_at; /* used, above which the next check begins */
	size_t interval; /* bytes between samples, about */
	size_t left;     /* until the next one */
	unsigned check;  /* the number of this check, or the last; wraps */
	unsigned cycles; /* of the collector, at its end */
	bool is_checking;
};

/** Part of struct lua_vm: the samples of all accounts. */
struct lua_samples {
	struct lua_sample **buckets; /* by address; NULL: no accounts */
	size_t mask;
	size_t count;
	size_t accounts;
	uint64_t seed;
};

/**
 * Count from now on, and end whoever holds more than @a limit bytes, at least
 * LUA_ACCOUNT_MIN. Returns 0, or -1 with diag set: OutOfMemory.
 */
int lua_account_open(struct lua_account *a, struct lua_vm *vm, size_t limit);

/** Also one that was never opened, all zero. */
void lua_account_close(struct lua_account *a);
