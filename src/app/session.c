/* What the requests of one connection have in common. See session.h. */
#include "app/session.h"

#include "base/diag.h"
#include "base/inject.h"
#include "base/list.h"
#include "net/http_request.h"

struct session {
	struct http_kept kept;
	atomic_uint refs;
	struct var_store vars;
};

static const struct var_limits limits = { SESSION_VARS_MAX,
					  SESSION_VAR_BYTES_MAX, "connection" };

static atomic_uint live;

unsigned session_count(void)
{
	return atomic_load(&live);
}

static void drop(struct http_kept *kept)
{
	session_unref(list_entry(kept, struct session, kept));
}

struct session *session_new(void)
{
	struct session *s = mem_zalloc(sizeof *s);

	if (s == NULL) {
		diag_set_oom(sizeof *s, "the variables of a connection");
		return NULL;
	}
	s->kept.drop = drop;
	atomic_init(&s->refs, 1);
	var_store_create(&s->vars);
	atomic_fetch_add(&live, 1);
	return s;
}

struct session *session_ref(struct session *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void session_unref(struct session *s)
{
	if (s == NULL ||
	    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	var_store_destroy(&s->vars);
	mem_free(s);
	atomic_fetch_sub(&live, 1);
}

bool session_is_there(struct http_request *req)
{
	struct http_kept **place = http_request_kept(req);

	return place != NULL && *place != NULL;
}

struct session *session_of(struct http_request *req)
{
	struct http_kept **place = http_request_kept(req);
	struct session *s;

	if (place != NULL && *place != NULL)
		return session_ref(list_entry(*place, struct session, kept));
	s = session_new();
	if (s != NULL && place != NULL)
		*place = &session_ref(s)->kept;
	return s;
}

int session_set_var(struct session *s, const char *name,
		    struct request_value value)
{
	return var_store_set(&s->vars, &limits, name, value);
}

int session_get_var(struct session *s, const char *name,
		    struct request_value *ret_value)
{
	return var_store_get(&s->vars, &limits, name, ret_value);
}
