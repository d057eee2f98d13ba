/*
 * Timers behind one handle: a pairing heap. See timer.h.
 *
 * Insertion and merging are O(1); taking the earliest, or any, is O(log n)
 * amortised. Most timers are timeouts that never fire: cheap to start and stop
 * is what counts.
 */
#include "runtime/timer.h"

#include <assert.h>

#include "runtime/loop.h"

/* The earlier of two heaps becomes the parent of the other. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *late;

	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->due_ns < a->due_ns) {
		late = a;
		a = b;
	} else {
		late = b;
	}
	late->prev = a;
	late->sibling = a->child;
	if (a->child != NULL)
		a->child->prev = late;
	a->child = late;
	a->sibling = a->prev = NULL;
	return a;
}

/* Make one heap of a list of siblings: pair from the left, meld backwards. */
static struct timer *meld_siblings(struct timer *first)
{
	struct timer *pairs = NULL, *heap = NULL, *a, *b;

	while (first != NULL) {
		a = first;
		b = a->sibling;
		first = b == NULL ? NULL : b->sibling;
		a->sibling = a->prev = NULL;
		if (b != NULL) {
			b->sibling = b->prev = NULL;
			a = meld(a, b);
		}
		a->sibling = pairs; /* a list through the roots */
		pairs = a;
	}
	while (pairs != NULL) {
		a = pairs;
		pairs = a->sibling;
		a->sibling = NULL;
		heap = meld(heap, a);
	}
	return heap;
}

static void take_out(struct timers *ts, struct timer *t)
{
	struct timer *below = meld_siblings(t->child);

	if (t == ts->root) {
		ts->root = below;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->sibling;
		else
			t->prev->sibling = t->sibling;
		if (t->sibling != NULL)
			t->sibling->prev = t->prev;
		ts->root = meld(ts->root, below);
	}
	t->child = t->sibling = t->prev = NULL;
	t->due_ns = 0;
}

enum { LATE_MS = 5 };

static void on_tick(uv_timer_t *handle);

/* Set the handle for the earliest timer. uv counts in whole milliseconds of
 * its cached time: round up, so that no timer fires early. */
static void arm(struct timers *ts)
{
	uint64_t due_ms, now_ms;

	if (ts->firing_ns != 0)
		return;
	if (ts->root == NULL) {
		uv_timer_stop(&ts->handle);
		ts->armed_ns = UINT64_MAX;
		return;
	}
	ts->armed_ns = ts->root->due_ns;
	due_ms = ts->root->due_ns / 1000000 + 1;
	now_ms = uv_now(ts->handle.loop);
	ts->tick_ms = due_ms > now_ms ? due_ms : now_ms;
	uv_timer_start(&ts->handle, on_tick, ts->tick_ms - now_ms, 0);
}

/* A loop that comes late does not know yet what came in time: libuv runs timers
 * before it polls. What somebody waited for, and not the end of his patience, is
 * told then. Returns whether the tick comes again behind the poll. */
static bool poll_first(struct timers *ts)
{
	ts->polled = !ts->polled &&
		     uv_now(ts->handle.loop) > ts->tick_ms + LATE_MS;
	if (ts->polled)
		uv_timer_start(&ts->handle, on_tick, 1, 0);
	return ts->polled;
}

static void on_tick(uv_timer_t *handle)
{
	struct timers *ts = handle->data;
	uint64_t now = uv_hrtime();
	struct timer *t;

	if (poll_first(ts))
		return;
	ts->firing_ns = now;
	while ((t = ts->root) != NULL && t->due_ns <= now) {
		take_out(ts, t);
		t->fn(t);
	}
	ts->firing_ns = 0;
	arm(ts);
}

int timers_create(struct timers *ts, struct loop *loop)
{
	ts->root = NULL;
	ts->armed_ns = UINT64_MAX;
	ts->firing_ns = 0;
	ts->polled = false;
	ts->handle.data = ts;
	return uv_timer_init(&loop->uv, &ts->handle);
}

void timers_close(struct timers *ts)
{
	assert(ts->root == NULL);
	if (!uv_is_closing((uv_handle_t *)&ts->handle))
		uv_close((uv_handle_t *)&ts->handle, NULL);
}

void timer_start(struct timers *ts, struct timer *t, uint64_t due_ns,
		 timer_f fn)
{
	if (timer_active(t))
		take_out(ts, t);
	/* One that is started overdue by a callback has its turn in the next
	 * round of the loop: others want theirs. */
	if (due_ns <= ts->firing_ns)
		due_ns = ts->firing_ns + 1;
	t->due_ns = due_ns;
	t->fn = fn;
	ts->root = meld(ts->root, t);
	if (t->due_ns < ts->armed_ns)
		arm(ts);
}

void timer_stop(struct timers *ts, struct timer *t)
{
	if (!timer_active(t))
		return;
	take_out(ts, t);
	/* An early tick does no harm, but an idle handle keeps the loop up. */
	if (ts->root == NULL)
		arm(ts);
}
