/* Something that goes on at each worker. See admin_everywhere.h. */
#include "console/admin_everywhere.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/inject.h"
#include "runtime/mailbox.h"

struct place {
	struct mail begin, end;
	struct admin_everywhere *all;
	struct worker *worker;
	bool begun; /* the worker's */
};

struct admin_everywhere {
	const struct admin_everywhere_ops *ops;
	atomic_uint refs; /* places that have not ended */
	unsigned count;
	size_t part_size;
	char *parts, *shared;
	struct place places[];
};

struct admin_everywhere *
admin_everywhere_new(struct app *app, const struct admin_everywhere_ops *ops,
		     size_t part_size, size_t shared_size)
{
	unsigned count = app->threads;
	size_t head = offsetof(struct admin_everywhere, places) +
		      count * sizeof(struct place);
	struct admin_everywhere *e;

	head = (head + 15) & ~(size_t)15;
	part_size = (part_size + 15) & ~(size_t)15;
	e = mem_zalloc(head + count * part_size + shared_size);
	if (e == NULL)
		return NULL;
	e->ops = ops;
	e->refs = e->count = count;
	e->part_size = part_size;
	e->parts = (char *)e + head;
	e->shared = e->parts + count * part_size;
	for (unsigned i = 0; i < e->count; i++) {
		e->places[i].all = e;
		e->places[i].worker = &app->workers[i];
	}
	return e;
}

unsigned admin_everywhere_count(const struct admin_everywhere *e)
{
	return e->count;
}

void *admin_everywhere_shared(struct admin_everywhere *e)
{
	return e->shared;
}

void *admin_everywhere_part(struct admin_everywhere *e, unsigned place)
{
	return e->parts + place * e->part_size;
}

static void unref(struct admin_everywhere *e)
{
	if (atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	e->ops->destroy(e);
	mem_free(e);
}

static void *part_of(const struct place *p)
{
	return admin_everywhere_part(p->all, app_place(p->worker));
}

static void on_begin(struct mail *m, bool delivered)
{
	struct place *p = list_entry(m, struct place, begin);

	p->begun = delivered;
	if (delivered)
		p->all->ops->begin(p->worker, part_of(p), p->all->shared);
}

/* A worker that ends lets go, too: on its own thread. */
static void on_end(struct mail *m, bool delivered)
{
	struct place *p = list_entry(m, struct place, end);

	(void)delivered;
	if (p->begun)
		p->all->ops->end(p->worker, part_of(p), p->all->shared);
	unref(p->all);
}

/* To oneself at once: what is posted would come after what is asked next. False: that one
 * has ended. */
static bool post(struct worker *own, struct worker *to, struct mail *m,
		 mail_f fn)
{
	m->run = fn;
	if (to != own)
		return mailbox_post(&to->mailbox, m, 0) == 0;
	fn(m, true);
	return true;
}

void admin_everywhere_begin(struct admin_everywhere *e, struct worker *own,
			    const struct worker *only)
{
	for (unsigned i = 0; i < e->count; i++) {
		struct place *p = &e->places[i];

		if (only == NULL || only == p->worker)
			(void)post(own, p->worker, &p->begin, on_begin);
	}
}

void admin_everywhere_end(struct admin_everywhere *e, struct worker *own)
{
	unsigned count = e->count;

	/* The last one frees it all. */
	for (unsigned i = 0; i < count; i++) {
		struct place *p = &e->places[i];

		/* One that has ended has let go by itself: see worker_destroy(). */
		if (!post(own, p->worker, &p->end, on_end))
			unref(e);
	}
}
