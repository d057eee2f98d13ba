/* Named values of a request or a connection. See var_store.h. */
#include "app/var_store.h"

#include <string.h>

#include "base/diag.h"
#include "base/inject.h"

struct var {
	struct var *next;
	struct request_value value;
	char name[];
};

struct request_string *request_string_new(const char *data, size_t size)
{
	struct request_string *s = mem_alloc(sizeof *s + size);

	if (s == NULL) {
		diag_set_oom(size, "a variable");
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->size = size;
	memcpy(s->data, data, size);
	return s;
}

void request_string_unref(struct request_string *s)
{
	if (s != NULL &&
	    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		mem_free(s);
}

static size_t cost(const struct var *v)
{
	size_t size = sizeof *v + strlen(v->name);

	if (v->value.kind == REQUEST_STRING)
		size += v->value.string->size;
	return size;
}

static struct var **find(struct var_store *s, const char *name)
{
	struct var **at = &s->first;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static void var_free(struct var *v)
{
	if (v->value.kind == REQUEST_STRING)
		request_string_unref(v->value.string);
	mem_free(v);
}

static void free_all(struct var *v)
{
	while (v != NULL) {
		struct var *next = v->next;

		var_free(v);
		v = next;
	}
}

void var_store_create(struct var_store *s)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL); /* plain: cannot fail */
}

void var_store_destroy(struct var_store *s)
{
	free_all(s->first);
	pthread_mutex_destroy(&s->lock);
}

void var_store_end(struct var_store *s)
{
	struct var *vars;

	pthread_mutex_lock(&s->lock);
	vars = s->first;
	s->first = NULL;
	s->over = true;
	pthread_mutex_unlock(&s->lock);
	free_all(vars);
}

static int fail_over(const struct var_limits *limits)
{
	diag_set(ClientError, "the %s is over", limits->what);
	return -1;
}

/* With the lock held; @a v is NULL to remove. Returns what is to be freed: the
 * old one, or @a v with diag set. */
static struct var *put(struct var_store *s, const struct var_limits *limits,
		       const char *name, struct var *v, bool *ret_failed)
{
	struct var **at = find(s, name), *old = *at;
	size_t bytes = s->bytes - (old == NULL ? 0 : cost(old)) +
		       (v == NULL ? 0 : cost(v));
	unsigned count = s->count - (old != NULL) + (v != NULL);

	*ret_failed = true;
	if (s->over) {
		fail_over(limits);
		return v;
	}
	if (count > limits->count || bytes > limits->bytes) {
		diag_set(ClientError,
			 "variable '%s': a %s has at most %u variables with "
			 "%zu bytes in all",
			 name, limits->what, limits->count, limits->bytes);
		return v;
	}
	*ret_failed = false;
	if (old != NULL)
		*at = old->next;
	if (v != NULL) {
		v->next = s->first;
		s->first = v;
	}
	s->bytes = bytes;
	s->count = count;
	return old;
}

int var_store_set(struct var_store *s, const struct var_limits *limits,
		  const char *name, struct request_value value)
{
	size_t size = strlen(name) + 1;
	struct var *v = NULL, *old;
	bool failed;

	if (value.kind != REQUEST_NIL) {
		v = mem_zalloc(sizeof *v + size);
		if (v == NULL) {
			diag_set_oom(sizeof *v + size, "a variable");
			if (value.kind == REQUEST_STRING)
				request_string_unref(value.string);
			return -1;
		}
		memcpy(v->name, name, size);
		v->value = value;
	}
	pthread_mutex_lock(&s->lock);
	old = put(s, limits, name, v, &failed);
	pthread_mutex_unlock(&s->lock);
	if (old != NULL)
		var_free(old);
	return failed ? -1 : 0;
}

int var_store_get(struct var_store *s, const struct var_limits *limits,
		  const char *name, struct request_value *ret_value)
{
	struct request_value value = { REQUEST_NIL, { 0 } };
	struct var *v;
	bool over;

	pthread_mutex_lock(&s->lock);
	over = s->over;
	v = *find(s, name);
	if (v != NULL)
		value = v->value;
	if (value.kind == REQUEST_STRING)
		atomic_fetch_add_explicit(&value.string->refs, 1,
					  memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
	if (over)
		return fail_over(limits);
	*ret_value = value;
	return 0;
}
