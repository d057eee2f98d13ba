/* A request: contexts and variables. See request.h. */
#include "app/request.h"

#include <lauxlib.h>
#include <string.h>

#include "app/app.h"
#include "app/session.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"

static const struct var_limits limits = { REQUEST_VARS_MAX,
					  REQUEST_VAR_BYTES_MAX, "request" };

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
	var_store_create(&r->vars);
	atomic_fetch_add(&live_requests, 1);
	return r;
}

struct request *request_ref(struct request *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void request_unref(struct request *r)
{
	if (r == NULL ||
	    atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	var_store_destroy(&r->vars);
	session_unref(r->session);
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
	bool used[CONTEXT_KINDS];

	pthread_mutex_lock(&r->lock);
	r->over = true;
	memcpy(used, r->used, sizeof used);
	memset(r->used, 0, sizeof r->used);
	pthread_mutex_unlock(&r->lock);
	var_store_end(&r->vars);
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

void request_set_session(struct request *r, struct session *session)
{
	if (r->session == NULL)
		r->session = session_ref(session);
}

/* Of another place: a request that no connection has brought has none. */
static struct session *session_for(struct request *r, const char *name)
{
	return strncmp(name, SESSION_SCOPE, strlen(SESSION_SCOPE)) == 0
		       ? r->session
		       : NULL;
}

int request_set_var(struct request *r, const char *name,
		    struct request_value value)
{
	struct session *session = session_for(r, name);

	return session == NULL ? var_store_set(&r->vars, &limits, name, value)
			       : session_set_var(session, name, value);
}

int request_get_var(struct request *r, const char *name,
		    struct request_value *ret_value)
{
	struct session *session = session_for(r, name);

	return session == NULL
		       ? var_store_get(&r->vars, &limits, name, ret_value)
		       : session_get_var(session, name, ret_value);
}
