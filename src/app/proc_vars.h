/*
 * Variables of the process: named values that all states see. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct request_value;

enum {
	PROC_VARS_MAX = 65536,
	PROC_VARS_BYTES_MAX = 16 << 20, /* names and strings of all */
};

/**
 * Set one; nil removes it. With @a only_if_there nothing else is done when there
 * is none. Takes over the reference of a string, also on failure. Returns whether
 * it was there in *ret_there, and 0; or -1 with diag set: too many, no memory.
 */
int proc_vars_set(const char *name, struct request_value value,
		  bool only_if_there, bool *ret_there);

/**
 * A configuration names it: with only_if_there it is there, even while it has no value.
 * When there is no room for it nothing is done.
 */
void proc_vars_declare(const char *name);

/** Get one, with a reference of its own; nil when it is not set. */
void proc_vars_get(const char *name, struct request_value *ret_value);

/** The end of the process: none is left. */
void proc_vars_end(void);
