/* Named objects of the process. See shared_object.h. */
#include "runtime/shared_object.h"

#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "base/inject.h"

/* Opening by name is rare, and names are few: a list will do. */
static struct {
	pthread_mutex_t lock;
	struct list objects;
} names = { PTHREAD_MUTEX_INITIALIZER, { &names.objects, &names.objects } };

static atomic_uint alive;

/* With the lock held. Counts those of the kind. */
static struct shared_object *find(const struct shared_kind *kind,
				  const char *name, unsigned *ret_count)
{
	*ret_count = 0;
	list_foreach(link, &names.objects) {
		struct shared_object *o =
			list_entry(link, struct shared_object, link);

		if (o->kind != kind)
			continue;
		if (strcmp(o->name, name) == 0)
			return o;
		++*ret_count;
	}
	return NULL;
}

static struct shared_object *make(const struct shared_kind *kind,
				  const char *name, const void *options)
{
	struct shared_object *o = kind->make(options);

	if (o == NULL)
		return NULL;
	o->kind = kind;
	atomic_init(&o->refs, 1);
	pthread_mutex_init(&o->lock, NULL); /* plain: cannot fail */
	strncpy(o->name, name, SHARED_NAME_MAX);
	o->name[SHARED_NAME_MAX] = '\0';
	list_add_tail(&names.objects, &o->link);
	atomic_fetch_add(&alive, 1);
	return o;
}

int shared_object_open(const struct shared_kind *kind, const char *name,
		       const void *options, struct shared_object **ret)
{
	struct shared_object *o;
	unsigned count;
	int rc = 0;

	pthread_mutex_lock(&names.lock);
	o = find(kind, name, &count);
	if (o == NULL && count >= SHARED_OBJECTS_MAX)
		rc = UV_ENOSPC;
	else if (o == NULL && (o = make(kind, name, options)) == NULL)
		rc = UV_ENOMEM;
	if (rc == 0) {
		shared_object_ref(o);
		*ret = o;
	}
	pthread_mutex_unlock(&names.lock);
	return rc;
}

struct shared_object *shared_object_find(const struct shared_kind *kind,
					 const char *name)
{
	struct shared_object *o;
	unsigned count;

	pthread_mutex_lock(&names.lock);
	o = find(kind, name, &count);
	if (o != NULL)
		shared_object_ref(o);
	pthread_mutex_unlock(&names.lock);
	return o;
}

void shared_object_forget(struct shared_object *o)
{
	bool known;

	pthread_mutex_lock(&names.lock);
	known = !list_empty(&o->link);
	list_del(&o->link);
	pthread_mutex_unlock(&names.lock);
	if (known)
		shared_object_unref(o);
}

void shared_object_ref(struct shared_object *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

void shared_object_unref(struct shared_object *o)
{
	if (o == NULL ||
	    atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&o->lock);
	atomic_fetch_sub(&alive, 1);
	o->kind->destroy(o);
}

void shared_object_forget_all(void)
{
	struct list *link;

	do {
		pthread_mutex_lock(&names.lock);
		link = list_shift(&names.objects);
		pthread_mutex_unlock(&names.lock);
		if (link != NULL)
			shared_object_unref(
				list_entry(link, struct shared_object, link));
	} while (link != NULL);
}

unsigned shared_object_count(void)
{
	return atomic_load(&alive);
}
