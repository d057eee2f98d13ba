/* Conditions. See cond.h. */
#include "runtime/cond.h"

#include <assert.h>

#include "runtime/fiber.h"

void cond_create(struct cond *c)
{
	list_init(&c->waiters);
}

void cond_destroy(struct cond *c)
{
	assert(list_empty(&c->waiters));
	(void)c;
}

void cond_wait_begin(struct cond *c, struct fiber *self, uint64_t timeout_ns)
{
	fiber_park(self, NULL, NULL, timeout_ns);
	self->flags |= FIBER_WAKEABLE;
	list_add_tail(&c->waiters, &self->link);
}

void cond_signal(struct cond *c)
{
	if (!list_empty(&c->waiters))
		fiber_wakeup(list_entry(c->waiters.next, struct fiber, link),
			     0);
}

void cond_broadcast(struct cond *c)
{
	while (!list_empty(&c->waiters))
		cond_signal(c);
}
