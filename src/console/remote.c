/*
 * The console over sockets: listening, until the process ends or it is closed. See
 * remote.h.
 */
#include "console/remote.h"

#include <errno.h>
#include <string.h>

#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "console/remote_parts.h"
#include "net/tls.h"
#include "net/tls_context.h"

enum { RETRY_MS = 100 }; /* until a connection is tried again */

/* Of the thread that serves them: while a server reloads there are two. */
static __thread struct list all_here;

static struct list *all(void)
{
	if (all_here.next == NULL)
		list_init(&all_here);
	return &all_here;
}

void remote__free_when_done(struct remote *r)
{
	if (r->listening || r->count > 0)
		return;
	drain_remove(&r->drainable);
	timer_stop(&r->worker->sched.timers, &r->deadline);
	list_del(&r->link);
	stream_group_drop_tls(&r->group);
	explicit_bzero(r->password, sizeof r->password);
	mem_free(r);
}

static void accept_next(struct remote *r);

static void on_retry(struct timer *t)
{
	accept_next(list_entry(t, struct remote, retry));
}

/* The connection stays with the listener, which tells of no other one until it
 * is taken. */
static void accept_later(struct remote *r)
{
	if (!r->told_of_memory)
		log_error("console '%s': not enough memory", r->path);
	r->told_of_memory = true;
	timer_start(&r->worker->sched.timers, &r->retry,
		    uv_hrtime() + RETRY_MS * 1000000ull, on_retry);
}

static void accept_next(struct remote *r)
{
	if (remote__accept(r))
		r->told_of_memory = false;
	else
		accept_later(r);
}

static void on_connection(struct listener *l, int status)
{
	struct remote *r = l->arg;

	if (status != 0)
		log_error("console '%s': %s", r->path, uv_strerror(status));
	else
		accept_next(r);
}

/* No more connections; the file goes at once. */
static void stop_listening(struct remote *r)
{
	timer_stop(&r->worker->sched.timers, &r->retry);
	listener_close(&r->listener);
}

static void on_listener_closed(struct listener *l)
{
	struct remote *r = l->arg;

	r->listening = false;
	remote__free_when_done(r);
}

static void tell_closed(struct remote *r)
{
	void (*fn)(void *arg) = r->on_close;

	r->on_close = NULL;
	if (fn != NULL)
		fn(r->on_close_arg);
}

/* A command that still runs is not counted as cut: an operator who looks at a
 * server that ends has not lost a request. */
static void on_drain_late(struct timer *t)
{
	struct remote *r = list_entry(t, struct remote, deadline);

	list_foreach_safe(link, next, &r->connections)
		remote__close(list_entry(link, struct connection, link));
}

static void on_drain(struct drainable *d, uint64_t deadline_ms)
{
	struct remote *r = list_entry(d, struct remote, drainable);

	if (r->closing)
		return;
	r->draining = true;
	tell_closed(r);
	timer_start(&r->worker->sched.timers, &r->deadline,
		    uv_hrtime() + deadline_ms * 1000000, on_drain_late);
	list_foreach_safe(link, next, &r->connections)
		remote__drain(list_entry(link, struct connection, link));
	stop_listening(r);
}

void remote_close(struct remote *r)
{
	if (r->closing)
		return;
	r->closing = true;
	timer_stop(&r->worker->sched.timers, &r->deadline);
	tell_closed(r);
	list_foreach_safe(link, next, &r->connections)
		remote__close(list_entry(link, struct connection, link));
	if (!r->draining)
		stop_listening(r);
}

void remote_close_all(void)
{
	list_foreach_safe(link, next, all())
		remote_close(list_entry(link, struct remote, link));
}

const char *remote_path(const struct remote *r)
{
	return r->path;
}

bool remote_look(uint64_t above, struct remote_info *ret)
{
	list_foreach(link, all()) {
		const struct remote *r = list_entry(link, struct remote, link);

		if (r->id <= above || !r->listening)
			continue;
		*ret = (struct remote_info){
			.id = r->id,
			.path = r->path,
			.admin = r->admin,
			.level = r->level,
			.connections = r->count,
			.connections_max = r->connections_max,
			.strangers = r->strangers,
		};
		return true;
	}
	return false;
}

void remote_set_on_close(struct remote *r, void (*fn)(void *arg), void *arg)
{
	r->on_close = fn;
	r->on_close_arg = arg;
}

/* Returns 0, or UV_E*; when *ret_opened the listener must be closed. */
static int open_listener(struct remote *r, const struct remote_options *o,
			 bool *ret_opened)
{
	struct listen_options opts = { .mode = o->mode, .name = "console" };
	struct listen_address addr;
	char text[128];
	int rc;

	*ret_opened = false;
	if (o->path != NULL)
		snprintf(text, sizeof text, "unix/:%s", o->path);
	else
		snprintf(text, sizeof text, "%s", o->host);
	rc = listen_address_parse(&addr, text, o->port);
	if (rc != 0)
		return rc;
	r->listener.on_connection = on_connection;
	r->listener.on_closed = on_listener_closed;
	r->listener.arg = r;
	rc = listener_open(&r->listener, &r->worker->loop.uv, &addr, &opts,
			   ret_opened);
	if (rc == 0 && o->path == NULL &&
	    listener_address(&r->listener, &addr) == 0)
		listen_address_format(&addr, r->path, sizeof r->path);
	return rc;
}

static struct remote *make(struct worker *w, const struct remote_options *o)
{
	static _Atomic uint64_t last_id; /* generations have threads each */
	struct remote *r = mem_zalloc(sizeof *r);

	if (r == NULL) {
		diag_set_oom(sizeof *r, "a console");
		return NULL;
	}
	r->worker = w;
	remote__serve(r);
	if (o->tls != NULL && stream_group_set_tls(&r->group, o->tls) != 0) {
		diag_set_oom(0, "a console");
		mem_free(r);
		return NULL;
	}
	r->id = ++last_id;
	r->audit = o->audit;
	r->admin = o->admin;
	r->level = o->level;
	r->connections_max = o->connections;
	r->idle_ns = o->idle_ns;
	if (o->password != NULL)
		snprintf(r->password, sizeof r->password, "%s", o->password);
	if (o->path != NULL)
		snprintf(r->path, sizeof r->path, "%s", o->path);
	else
		snprintf(r->path, sizeof r->path, "%s:%u", o->host, o->port);
	list_init(&r->connections);
	list_add_tail(all(), &r->link);
	r->drainable.name = "console";
	r->drainable.start = on_drain;
	return r;
}

struct remote *remote_listen(struct worker *w, const struct remote_options *o)
{
	struct remote *r;
	int rc;

	if (remote_options_check(o) != 0)
		return NULL;
	r = make(w, o);
	if (r == NULL)
		return NULL;
	rc = drain_add(&w->loop.drain, &r->drainable);
	if (rc != 0) {
		diag_set(ClientError,
			 "console.listen('%s'): the process is "
			 "ending",
			 r->path);
		remote__free_when_done(r);
		return NULL;
	}
	rc = open_listener(r, o, &r->listening);
	if (rc == 0)
		return r;
	diag_set_system(rc, "console.listen('%s')", r->path);
	if (r->listening)
		remote_close(r);
	else
		remote__free_when_done(r);
	return NULL;
}
