/* What must finish its work before the end. See drain.h. */
#include "runtime/drain.h"

#include <stddef.h>
#include <uv.h>

void drain_create(struct drain *drain)
{
	list_init(&drain->members);
	drain->started = false;
	drain->cut = 0;
	drain->on_done = NULL;
	drain->arg = NULL;
}

int drain_add(struct drain *drain, struct drainable *d)
{
	if (drain->started)
		return UV_ECANCELED;
	list_add_tail(&drain->members, &d->link);
	d->drain = drain;
	return 0;
}

static void tell_if_done(struct drain *drain)
{
	void (*fn)(void *arg) = drain->on_done;

	if (fn == NULL || !list_empty(&drain->members))
		return;
	drain->on_done = NULL;
	fn(drain->arg);
}

void drain_remove(struct drainable *d)
{
	struct drain *drain = d->drain;

	if (drain == NULL)
		return;
	d->drain = NULL;
	if (drain->started)
		drain->cut += d->cut;
	d->cut = 0;
	list_del(&d->link);
	tell_if_done(drain);
}

void drain_start(struct drain *drain, uint64_t deadline_ms,
		 void (*on_done)(void *arg), void *arg)
{
	struct list waiting;

	drain->started = true;
	/* A start() may take out itself and others: each is moved back before
	 * it is told, so that the list in hand loses only what was told. */
	list_init(&waiting);
	list_splice_tail(&waiting, &drain->members);
	while (!list_empty(&waiting)) {
		struct list *link = list_shift(&waiting);
		struct drainable *d = list_entry(link, struct drainable, link);

		list_add_tail(&drain->members, link);
		d->start(d, deadline_ms);
	}
	drain->on_done = on_done;
	drain->arg = arg;
	tell_if_done(drain);
}
