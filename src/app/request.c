/* A request: contexts and variables. See request.h. */
#include "app/request.h"

#include <lauxlib.h>
#include <string.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"

struct request_var {
	struct request_var *next;
	struct request_value value;
	char name[];
};

static atomic_uint live_requests, live_contexts;

struct request_counts request_counts(void)
{
	return (struct request_counts){ atomic_load(&live_requests),
					atomic_load(&live_contexts) };
}

void request_count_context(int change)
{
	atomic_fetch_add(&live_contexts, (unsigned)change);
}

static struct worker *next_worker(struct app *app)
{
	unsigned n = __atomic_fetch_add(&app->next_worker, 1, __ATOMIC_RELAXED);

	return &app->workers[n % app->count];
}

struct request *request_new(struct worker *w)
{
	struct request *r = mem_zalloc(sizeof *r);

	if (r == NULL) {
		diag_set_oom(sizeof *r, "a request");
		return NULL;
	}
	atomic_init(&r->refs, 1);
	r->worker = worker_is_shared(w) ? next_worker(w->app) : w;
	for (int kind = 0; kind < CONTEXT_KINDS; kind++) {
		r->contexts[kind].request = r;
		r->contexts[kind].ref = LUA_NOREF;
	}
	pthread_mutex_init(&r->lock, NULL); /* plain: cannot fail */
	atomic_fetch_add(&live_requests, 1);
	return r;
}

struct request *request_ref(struct request *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

static void var_free(struct request_var *v)
{
	if (v->value.kind == REQUEST_STRING)
		request_string_unref(v->value.string);
	mem_free(v);
}

static void free_vars(struct request_var *v)
{
	while (v != NULL) {
		struct request_var *next = v->next;

		var_free(v);
		v = next;
	}
}

void request_unref(struct request *r)
{
	if (r == NULL ||
	    atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	free_vars(r->vars);
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
	atomic_fetch_sub(&live_requests, 1);
}

struct worker *request_state(const struct request *r, enum context_kind kind)
{
	return kind == CONTEXT_SHARED ? app_shared(r->worker->app) : r->worker;
}

static int fail_over(void)
{
	diag_set(ClientError, "the request is over");
	return -1;
}

int request_enter(struct request *r, enum context_kind kind)
{
	bool over;

	pthread_mutex_lock(&r->lock);
	over = r->over;
	if (!over)
		r->used[kind] = true;
	pthread_mutex_unlock(&r->lock);
	return over ? fail_over() : 0;
}

/* On the thread of its state. */
static void release(struct worker *w, struct context *c)
{
	c->released = true;
	/* A state that is closing frees what it has itself. */
	if (!w->vm.closing)
		request_release_object(w, c);
	request_unref(c->request);
}

static void run_release(struct mail *m, bool delivered)
{
	struct context *c = list_entry(&m->link, struct context, mail.link);

	if (delivered)
		release(worker_self(), c);
	else
		request_unref(c->request);
}

void request_end(struct request *r, struct worker *w)
{
	struct request_var *vars;
	bool used[CONTEXT_KINDS];

	pthread_mutex_lock(&r->lock);
	vars = r->vars;
	r->vars = NULL;
	r->over = true;
	memcpy(used, r->used, sizeof used);
	memset(r->used, 0, sizeof r->used);
	pthread_mutex_unlock(&r->lock);
	free_vars(vars);
	for (int kind = 0; kind < CONTEXT_KINDS; kind++) {
		struct context *c = &r->contexts[kind];
		struct worker *state = request_state(r, kind);

		if (!used[kind])
			continue;
		request_ref(r);
		if (state == w) {
			release(w, c);
			continue;
		}
		c->mail.run = run_release;
		if (mailbox_post(&state->mailbox, &c->mail, 0) != 0)
			request_unref(r); /* it has been closed */
	}
	request_unref(r);
}

bool request_is_over(struct request *r)
{
	bool over;

	pthread_mutex_lock(&r->lock);
	over = r->over;
	pthread_mutex_unlock(&r->lock);
	return over;
}

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

static size_t cost(const struct request_var *v)
{
	size_t size = sizeof *v + strlen(v->name);

	if (v->value.kind == REQUEST_STRING)
		size += v->value.string->size;
	return size;
}

static struct request_var **find(struct request *r, const char *name)
{
	struct request_var **at = &r->vars;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

/* With the lock held; @a v is NULL to remove. Returns what is to be freed: the
 * old one, or @a v with diag set. */
static struct request_var *put(struct request *r, const char *name,
			       struct request_var *v, bool *ret_failed)
{
	struct request_var **at = find(r, name), *old = *at;
	size_t bytes = r->var_bytes - (old == NULL ? 0 : cost(old)) +
		       (v == NULL ? 0 : cost(v));
	unsigned count = r->var_count - (old != NULL) + (v != NULL);

	*ret_failed = true;
	if (r->over) {
		fail_over();
		return v;
	}
	if (count > REQUEST_VARS_MAX || bytes > REQUEST_VAR_BYTES_MAX) {
		diag_set(ClientError,
			 "variable '%s': a request has at most %d variables "
			 "with %d bytes in all",
			 name, REQUEST_VARS_MAX, REQUEST_VAR_BYTES_MAX);
		return v;
	}
	*ret_failed = false;
	if (old != NULL)
		*at = old->next;
	if (v != NULL) {
		v->next = r->vars;
		r->vars = v;
	}
	r->var_bytes = bytes;
	r->var_count = count;
	return old;
}

int request_set_var(struct request *r, const char *name,
		    struct request_value value)
{
	size_t size = strlen(name) + 1;
	struct request_var *v = NULL, *old;
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
	pthread_mutex_lock(&r->lock);
	old = put(r, name, v, &failed);
	pthread_mutex_unlock(&r->lock);
	if (old != NULL)
		var_free(old);
	return failed ? -1 : 0;
}

int request_get_var(struct request *r, const char *name,
		    struct request_value *ret_value)
{
	struct request_value value = { REQUEST_NIL, { 0 } };
	struct request_var *v;
	bool over;

	pthread_mutex_lock(&r->lock);
	over = r->over;
	v = *find(r, name);
	if (v != NULL)
		value = v->value;
	if (value.kind == REQUEST_STRING)
		atomic_fetch_add_explicit(&value.string->refs, 1,
					  memory_order_relaxed);
	pthread_mutex_unlock(&r->lock);
	if (over)
		return fail_over();
	*ret_value = value;
	return 0;
}
