/* What must finish its work before the end. See drain.h. */
#include "runtime/drain.h"

#include <stddef.h>
#include <uv.h>

void drain_create(struct drain *drain)
{
	list_init(&drain->members);
	drain->started = false;
	drain->cut = 0;
}

int drain_add(struct drain *drain, struct drainable *d)
{
	if (drain->started)
		return UV_ECANCELED;
	list_add_tail(&drain->members, &d->link);
	d->drain = drain;
	return 0;
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
}

void drain_start(struct drain *drain, uint64_t deadline_ms)
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
}
