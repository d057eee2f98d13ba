/* The arguments of an admin command, as its declaration wants them. */
#pragma once

#include "console/admin.h"

struct admin_args {
	struct admin_value *values; /* ADMIN_ARGS_MAX of them, zero */
	bool json;
	bool typed;
	bool one;        /* a worker is told: */
	unsigned worker; /* its number */
};

/**
 * Read @a words, what stands behind the name of @a c. Returns 0, or -1 with diag set:
 * IllegalParams. "json" or "typed" at the end, and "worker N", belong to commands that give
 * rows.
 */
int admin_args_read(const struct admin_command *c, char *const *words,
		    unsigned count, struct admin_args *ret);
