/*
 * What all threads of the process share under a name: dictionaries, channels,
 * broadcasts. Each is counted; the list of names holds one reference.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/list.h"

struct shared_object;

enum {
	SHARED_NAME_MAX = 255,     /* bytes of a name */
	SHARED_OBJECTS_MAX = 1024, /* of one kind, with a name */
};

/** A kind of objects; compared by address. */
struct shared_kind {
	const char *name; /* for messages: "dictionary" */
	/** Make one by @a options; the caller sets its base. NULL: no memory. */
	struct shared_object *(*make)(const void *options);
	/** Nobody holds it any more. */
	void (*destroy)(struct shared_object *o);
};

/** The first field of each. */
struct shared_object {
	struct list link; /* in the list of names; under its lock */
	const struct shared_kind *kind;
	atomic_uint refs;
	pthread_mutex_t lock; /* of the kind's own data */
	char name[SHARED_NAME_MAX + 1];
};

/**
 * The object of that kind and name, made by @a options when there is none: who
 * asked for something else compares. The reference is the caller's.
 * Returns 0, UV_ENOMEM, or UV_ENOSPC (there are SHARED_OBJECTS_MAX).
 */
int shared_object_open(const struct shared_kind *kind, const char *name,
		       const void *options, struct shared_object **ret);

/** The same without making one: NULL when there is none. */
struct shared_object *shared_object_find(const struct shared_kind *kind,
					 const char *name);

/** Its name is free for another one; who holds it keeps it. */
void shared_object_forget(struct shared_object *o);

void shared_object_ref(struct shared_object *o);
void shared_object_unref(struct shared_object *o); /* NULL is fine */

/** The end of the process: no name is known any more. */
void shared_object_forget_all(void);

/** Objects that are alive, for tests. */
unsigned shared_object_count(void);
