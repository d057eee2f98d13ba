/* Waking a fiber from another thread. See wake.h. */
#include "runtime/wake.h"

#include <assert.h>

#include "base/inject.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

/* On the fiber's thread. */
static void finish(struct wake *w)
{
	struct wake_port *port = w->port;

	w->begun = false;
	if (--port->waiting == 0)
		uv_unref((uv_handle_t *)&port->async);
}

static void on_async(uv_async_t *async)
{
	struct wake_port *port = async->data;
	struct list due, *link;

	list_init(&due);
	pthread_mutex_lock(&port->lock);
	list_splice_tail(&due, &port->due);
	pthread_mutex_unlock(&port->lock);
	/* No fiber runs in between: what was due stays so. */
	while ((link = list_shift(&due)) != NULL) {
		struct wake *w = list_entry(link, struct wake, link);

		finish(w);
		fiber_wakeup(w->fiber, w->status);
	}
}

int wake_port_open(struct wake_port *port, struct loop *loop)
{
	int rc;

	if (port->open)
		return 0;
	rc = inject("wake.port")
		     ? UV_EMFILE
		     : uv_async_init(&loop->uv, &port->async, on_async);
	if (rc != 0)
		return rc;
	port->async.data = port;
	uv_unref((uv_handle_t *)&port->async);
	pthread_mutex_init(&port->lock, NULL); /* plain: cannot fail */
	list_init(&port->due);
	port->waiting = 0;
	port->open = true;
	return 0;
}

void wake_port_close(struct wake_port *port)
{
	if (!port->open)
		return;
	assert(port->waiting == 0 && list_empty(&port->due));
	/* Who posted last may still be inside uv_async_send(). */
	pthread_mutex_lock(&port->lock);
	port->open = false;
	pthread_mutex_unlock(&port->lock);
	pthread_mutex_destroy(&port->lock);
	uv_close((uv_handle_t *)&port->async, NULL);
}

void wake_begin(struct wake *w, struct fiber *self)
{
	struct wake_port *port = &self->sched->loop->wakes;

	assert(port->open && !w->begun);
	list_init(&w->link);
	w->port = port;
	w->fiber = self;
	w->begun = true;
	if (port->waiting++ == 0)
		uv_ref((uv_handle_t *)&port->async);
}

void wake_post(struct wake *w, int status)
{
	struct wake_port *port = w->port;

	if (sched_self == w->fiber->sched) {
		finish(w);
		fiber_wakeup(w->fiber, status);
		return;
	}
	pthread_mutex_lock(&port->lock);
	w->status = status;
	/* Under the lock: the port cannot be closed meanwhile. */
	if (list_empty(&port->due))
		uv_async_send(&port->async);
	list_add_tail(&port->due, &w->link);
	pthread_mutex_unlock(&port->lock);
}

void wake_end(struct wake *w)
{
	if (!w->begun)
		return;
	pthread_mutex_lock(&w->port->lock);
	list_del(&w->link);
	pthread_mutex_unlock(&w->port->lock);
	finish(w);
}
