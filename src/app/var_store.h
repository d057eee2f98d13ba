/*
 * Named values of a request or a connection, that all states see: in number and
 * bytes no more than a limit. Thread-safe.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct var;

enum request_value_kind {
	REQUEST_NIL,
	REQUEST_BOOLEAN,
	REQUEST_NUMBER,
	REQUEST_STRING,
};

/** The value of a variable. A string is immutable and counted. */
struct request_string {
	atomic_uint refs;
	size_t size;
	char data[];
};

struct request_value {
	enum request_value_kind kind;
	union {
		bool boolean;
		double number;
		struct request_string *string;
	};
};

struct request_string *request_string_new(const char *data, size_t size);
void request_string_unref(struct request_string *s); /* NULL is fine */

struct var_limits {
	unsigned count;
	size_t bytes;     /* names and strings of all */
	const char *what; /* whose they are: "request" */
};

struct var_store {
	pthread_mutex_t lock;
	struct var *first;
	unsigned count;
	size_t bytes;
	bool over;
};

void var_store_create(struct var_store *s);
void var_store_destroy(struct var_store *s);

/** All values go, and there will be none any more. */
void var_store_end(struct var_store *s);

/** Set one; nil removes it. Takes over the reference of a string, also on failure.
 * Returns 0, or -1 with diag set: ended, out of a limit, no memory. */
int var_store_set(struct var_store *s, const struct var_limits *limits,
		  const char *name, struct request_value value);

/** Get one, nil when it is not set; with a reference of its own. Returns 0, or -1
 * with diag set: ended. */
int var_store_get(struct var_store *s, const struct var_limits *limits,
		  const char *name, struct request_value *ret_value);
