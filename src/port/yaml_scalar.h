/* What a plain YAML scalar means: shared by reading and writing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "port/number.h"

enum yaml_kind { YAML_STR, YAML_NIL, YAML_BOOLEAN, YAML_NUMBER };

struct yaml_scalar {
	enum yaml_kind kind;
	union {
		bool boolean;
		struct number number;
	};
};

/**
 * Resolve a plain scalar as Tarantool does: null and ~, true and yes, false
 * and no, decimal and hexadecimal integers, fractions, inf and nan of any case;
 * also .inf and .nan. Nothing else is but a string: y, on, Null, 0o17, dates.
 */
void yaml_resolve(const char *s, size_t size, struct yaml_scalar *ret);

/** Does Tarantool take a plain scalar for something else than a string when it writes
 * one? Also for what LuaJIT alone takes for a number, blanks around it or not; not for .inf
 * and .nan. */
bool yaml_is_no_string(const char *s, size_t size);

/**
 * Must a string be quoted to stay one? By yaml_resolve(), and by what other
 * readers of YAML 1.1 take for booleans and null: y, n, on, off, Yes, Null...
 */
bool yaml_needs_quotes(const char *s, size_t size);
