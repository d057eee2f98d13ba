/* Who uses the processor. See fiber_top.h. */
#include "runtime/fiber_top.h"

#include <uv.h>

#include "runtime/fiber.h"

/* Of the newest round in the moving average: that of the last 16 or so. */
#define WEIGHT (2.0F / 17)

void fiber_top_start(struct sched *s)
{
	list_foreach(link, &s->all) {
		struct fiber *f = list_entry(link, struct fiber, all);

		f->top = (struct fiber_top){ .average = -1 };
	}
	s->top.round_ns = 0;
	s->top.since = uv_hrtime();
	s->top.charged = s->current;
	s->top.on = true;
}

void fiber_top_stop(struct sched *s)
{
	s->top.on = false;
}

void fiber_top_switch(struct sched *s, struct fiber *f)
{
	uint64_t now = uv_hrtime(), ns = now - s->top.since;

	if (s->top.charged != NULL) {
		s->top.charged->top.ns += ns;
		s->top.charged->top.total += ns;
		s->top.round_ns += ns;
	}
	s->top.since = now;
	s->top.charged = f;
}

void fiber_top_round(struct sched *s)
{
	if (s->top.round_ns == 0)
		return;
	list_foreach(link, &s->all) {
		struct fiber_top *t = &list_entry(link, struct fiber, all)->top;

		t->instant = 100.0F * (float)t->ns / (float)s->top.round_ns;
		t->average = t->average < 0
				     ? t->instant
				     : t->average + WEIGHT * (t->instant -
							      t->average);
		t->ns = 0;
	}
	s->top.round_ns = 0;
}
