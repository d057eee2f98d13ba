/*
 * Dictionaries between threads: keys to values with a time to live, within a
 * fixed number of bytes. Thread-safe; no lock is held outside these functions.
 *
 * A dictionary is cut into shards, each with a lock, a table of chains and a
 * list by last use. The bytes are counted for all of them together, and the
 * entry that goes when there is no room is the one that was used least lately
 * in any of them.
 *
 * Times are nanoseconds of uv_hrtime()'s clock; the caller says what time it
 * is. An entry that is due is not seen any more. It is taken out when somebody
 * comes across it, and each change looks at a few more places.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/shared_object.h"

struct buf;

enum {
	SHARED_KEY_MAX = 65535, /* bytes */
	SHARED_DICT_MIN = 16 * 1024,
};

#define SHARED_DICT_MAX   ((size_t)1 << 40)
#define SHARED_DICT_NEVER UINT64_MAX /* due: it stays */

enum shared_type {
	SHARED_BOOLEAN,
	SHARED_NUMBER,
	SHARED_SINT,
	SHARED_UINT,
	SHARED_STRING,
	SHARED_PACKED, /* bytes that mean something to the caller */
};

struct shared_value {
	enum shared_type type;
	union {
		bool boolean;
		double number;
		int64_t sint;
		uint64_t uint;
		struct {
			const char *data;
			size_t size;
		};
	};
};

struct shared_key {
	const char *data;
	size_t size; /* at most SHARED_KEY_MAX */
};

struct shared_dict;

/** Its options are a size_t: the bytes, from SHARED_DICT_MIN. */
extern const struct shared_kind shared_dict_kind;

/** Bytes it was made with, and those that are left for entries. */
size_t shared_dict_size(const struct shared_dict *d);
size_t shared_dict_free(const struct shared_dict *d);

/** Bytes of the largest entry, and of one with such a key and value. */
size_t shared_dict_capacity(const struct shared_dict *d);
size_t shared_dict_cost(size_t key_size, size_t value_size);

/**
 * Get a value: 0 or UV_ENOENT. Strings and packed bytes are copied into the
 * @a *size bytes of @a room, where *ret points; UV_ENOBUFS when these are too
 * few: *size is then how many there were to copy.
 */
int shared_dict_get(struct shared_dict *d, struct shared_key key, uint64_t now,
		    char *room, size_t *size, struct shared_value *ret);

enum shared_store {
	SHARED_SET,
	SHARED_ADD,     /* UV_EEXIST when it is there */
	SHARED_REPLACE, /* UV_ENOENT when it is not */
	SHARED_SWAP,    /* only if it equals @a old: UV_ENOENT, UV_EAGAIN */
};

/**
 * Store a value that is due at @a due. Others go when there is no room. Returns
 * 0, UV_E2BIG (more than shared_dict_capacity()), UV_ENOMEM (all is as it was),
 * or why not, as above.
 */
int shared_dict_store(struct shared_dict *d, struct shared_key key,
		      enum shared_store how, const struct shared_value *old,
		      const struct shared_value *value, uint64_t now,
		      uint64_t due);

/** Take it out; with @a old only if it equals that. 0, UV_ENOENT, UV_EAGAIN. */
int shared_dict_remove(struct shared_dict *d, struct shared_key key,
		       const struct shared_value *old, uint64_t now);

/**
 * Add @a by, a number of any type, to a number: *ret is the sum, of the type
 * that the number had. Where there is none it is made from @a init, due at
 * @a due; without init UV_ENOENT. UV_EINVAL: the value is no number; UV_ERANGE:
 * the sum or @a by does not fit the type; and as shared_dict_store().
 */
int shared_dict_incr(struct shared_dict *d, struct shared_key key,
		     const struct shared_value *by,
		     const struct shared_value *init, uint64_t now,
		     uint64_t due, struct shared_value *ret);

/** When it is due; UV_ENOENT. */
int shared_dict_due(struct shared_dict *d, struct shared_key key, uint64_t now,
		    uint64_t *ret_due);

/** Change that; UV_ENOENT. */
int shared_dict_expire(struct shared_dict *d, struct shared_key key,
		       uint64_t now, uint64_t due);

/**
 * Append up to @a limit keys to @a out, each as its size (uint32_t, of this
 * machine) and its bytes, in no order. A key that is there all the time is
 * told once. Returns 0 or UV_ENOMEM.
 */
int shared_dict_keys(struct shared_dict *d, uint64_t now, size_t limit,
		     struct buf *out);

/** Take out all that are due, at most @a limit. Returns how many. */
size_t shared_dict_sweep(struct shared_dict *d, uint64_t now, size_t limit);

/** How many there are. Sweeps before, when some have a time to live. */
size_t shared_dict_count(struct shared_dict *d, uint64_t now);

/** Take out all that are there when it begins. */
void shared_dict_flush(struct shared_dict *d);

struct shared_dict_stat {
	uint64_t hits, misses, stores, evictions, expired;
};

void shared_dict_stat(struct shared_dict *d, struct shared_dict_stat *ret);
