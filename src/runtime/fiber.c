/* The scheduler of one worker. See fiber.h for the states. */
#include "runtime/fiber.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "runtime/loop.h"
#include "runtime/ticker.h"

__thread struct sched *sched_self;

enum {
	DEPTH_MAX = 32,    /* fibers that start fibers at once, inside */
	BATCH = 32,        /* resumes between two looks at the clock */
	BATCH_NS = 500000, /* then the loop polls, ready fibers or not */
	CANCEL_GRACE_NS = 100000000,
	HOLD_SLICES = 4, /* a fiber keeps those it made from starting */
};

/* The loop must not block in its poll while fibers are ready. */
static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

static void on_check(uv_check_t *check)
{
	sched_run_ready(check->data);
}

int sched_create(struct sched *s, struct loop *loop)
{
	int rc;

	s->loop = loop;
	s->ticker = NULL;
	list_init(&s->ready);
	list_init(&s->late);
	list_init(&s->spent);
	list_init(&s->held);
	list_init(&s->all);
	s->current = NULL;
	s->top = (struct sched_top){ 0 };
	s->next_id = SCHED_FIRST_ID;
	s->switches = s->turns = s->rounds = 0;
	s->preempted = s->polled = 0;
	s->cancel_grace_ns = CANCEL_GRACE_NS;
	s->count = s->depth = s->waiting = 0;
	s->idling = s->late_turn = s->in_round = false;
	s->far = false;
	s->end_id = s->ending_id = 0;
	rc = timers_create(&s->timers, loop);
	if (rc != 0)
		return rc;
	uv_idle_init(&loop->uv, &s->idle); /* these two cannot fail */
	uv_check_init(&loop->uv, &s->check);
	s->check.data = s;
	uv_check_start(&s->check, on_check);
	uv_unref((uv_handle_t *)&s->check);
	sched_self = s;
	return 0;
}

void sched_close(struct sched *s)
{
	assert(s->count == 0 && list_empty(&s->ready));
	assert(list_empty(&s->late));
	assert(list_empty(&s->spent) && list_empty(&s->held));
	timers_close(&s->timers);
	uv_close((uv_handle_t *)&s->idle, NULL);
	uv_close((uv_handle_t *)&s->check, NULL);
	if (sched_self == s)
		sched_self = NULL;
}

static void enqueue(struct fiber *f, struct list *queue)
{
	struct sched *s = f->sched;

	f->state = FIBER_READY;
	list_add_tail(queue, &f->link);
	sched_changed(s);
	if (!s->idling) {
		s->idling = true;
		uv_idle_start(&s->idle, on_idle);
	}
}

static void make_ready(struct fiber *f)
{
	enqueue(f, &f->sched->ready);
}

/* Move what @a f has made, and what has not begun, to the front of @a to. */
static void move_made(const struct fiber *f, struct list *from, struct list *to)
{
	struct list *last = to, *link = from->next;

	while (link != from) {
		struct fiber *made = list_entry(link, struct fiber, link);

		link = link->next;
		if (made->switches == 0 && made->undo_arg == f) {
			list_del(&made->link);
			list_add(last, &made->link);
			last = &made->link;
		}
	}
}

static void run(struct fiber *f)
{
	struct sched *s = f->sched;
	struct fiber *outer = s->current;

	sched_changed(s);
	if (__builtin_expect(f->made > 1, 0))
		move_made(f, &s->held, &s->ready);
	f->state = FIBER_RUNNING;
	f->switches++;
	s->switches++;
	s->current = f;
	if (s->depth++ == 0) {
		s->turns++;
		__asm__ volatile("" ::: "memory"); /* a tick sees it */
		ticker_turn(s->ticker);
		if (__builtin_expect(f->flags & FIBER_PUT_ASIDE, 0) &&
		    s->ticker != NULL)
			ticker_begin(s->ticker);
	}
	if (__builtin_expect(s->top.on, 0))
		fiber_top_switch(s, f);
	f->resume(f); /* f may be gone after this */
	if (__builtin_expect(s->top.on, 0))
		fiber_top_switch(s, outer);
	s->depth--;
	s->current = outer;
}

/* Run what is in @a queue until one has used up a slice, which is told, or the
 * time is over. */
static bool run_queue(struct sched *s, struct list *queue)
{
	uint64_t end = 0, preempted = s->preempted;
	struct list *link;

	for (unsigned n = 1; (link = list_shift(queue)) != NULL; n++) {
		run(list_entry(link, struct fiber, link));
		if (s->preempted != preempted)
			return true; /* that was long enough */
		if (n % BATCH != 0)
			continue;
		if (end == 0)
			end = uv_hrtime() + BATCH_NS;
		else if (uv_hrtime() > end)
			break;
	}
	return false;
}

/* The poll may block, and the loop is not kept busy by us. */
static void stop_idling(struct sched *s)
{
	if (s->idling && list_empty(&s->ready) && list_empty(&s->late) &&
	    list_empty(&s->spent) && list_empty(&s->held)) {
		s->idling = false;
		uv_idle_stop(&s->idle);
	}
}

void sched_run_ready(struct sched *s)
{
	bool spent = !list_empty(&s->spent);
	bool slice, another = false;
	struct list *link;

	s->rounds++;
	s->in_round = true;
	slice = run_queue(s, &s->ready);
	/* Many that compute became ready at once: whoever the next poll wakes
	 * does not wait for a slice of each. */
	if (slice)
		list_splice_tail(&s->late, &s->ready);
	/* They go on even when each poll brings more of their kind. */
	s->late_turn = !s->late_turn;
	if (!slice || s->late_turn)
		another = run_queue(s, &s->late);
	/* One of those that compute in each round: whoever waited for the loop
	 * waits for one slice at most, however many they are. */
	if (spent && !(slice && another) &&
	    (link = list_shift(&s->spent)) != NULL) {
		stop_idling(s); /* alone, it may go on for longer */
		run(list_entry(link, struct fiber, link));
	}
	s->in_round = false;
	if (__builtin_expect(s->top.on, 0))
		fiber_top_round(s);
	s->polled = s->preempted;
	stop_idling(s);
}

void fiber_init(struct sched *s, struct fiber *f, fiber_resume_f resume)
{
	list_init(&f->link);
	list_init(&f->joiners);
	list_add_tail(&s->all, &f->all);
	f->timer = (struct timer){ 0 };
	f->sched = s;
	f->resume = resume;
	f->undo = NULL;
	f->undo_arg = NULL;
	f->id = s->next_id++;
	f->switches = 0;
	f->burst_ns = f->total_ns = f->cancel_ns = 0;
	f->slice_warn = f->slice_err = 0;
	f->deadline_ns = 0;
	f->top = (struct fiber_top){ .average = -1 };
	f->limits = NULL;
	f->preempted = 0;
	f->over = FIBER_OVER_NONE;
	f->status = 0;
	f->state = FIBER_NEW;
	f->flags = 0;
	f->made = 0;
	f->born = (uint32_t)(uv_now(&s->loop->uv) >> FIBER_BORN_BITS);
	s->count++;
}

double fiber_age(const struct fiber *f)
{
	uint64_t now = uv_now(&f->sched->loop->uv) >> FIBER_BORN_BITS;

	/* Of what has been counted over: seventeen years. */
	return (double)((uint32_t)now - f->born) * (1 << FIBER_BORN_BITS) / 1e3;
}

void fiber_start(struct fiber *f)
{
	const struct sched *s = f->sched;

	assert(f->state == FIBER_NEW);
	/* Many requests in one poll, each of which computes: their slices must
	 * not add up. */
	if (s->depth >= DEPTH_MAX ||
	    (s->depth == 0 && s->polled != s->preempted))
		make_ready(f);
	else
		run(f);
}

void fiber_start_now(struct fiber *f)
{
	assert(f->state == FIBER_NEW);
	run(f);
}

void fiber_start_later(struct fiber *f)
{
	struct fiber *maker = f->sched->current;

	assert(f->state == FIBER_NEW);
	f->undo_arg = maker;
	if (maker != NULL && maker->made == 0)
		maker->made = 1;
	make_ready(f);
}

static void end_by_timer(struct fiber *f, int status)
{
	if (f->undo != NULL)
		f->undo(f, f->undo_arg);
	fiber_wakeup(f, status);
}

static void on_own_timeout(struct timer *t)
{
	end_by_timer(list_entry(t, struct fiber, timer), UV_ETIMEDOUT);
}

static void on_timeout(struct timer *t)
{
	struct fiber *f = list_entry(t, struct fiber, timer);
	bool deadline = f->deadline_ns != 0 && f->deadline_ns <= f->due_ns;

	if (deadline && (f->flags & FIBER_UNCANCELLABLE)) {
		/* Not this wait; it may have a time of its own. */
		if (f->due_ns != UINT64_MAX)
			timer_start(&f->sched->timers, t, f->due_ns,
				    on_own_timeout);
		return;
	}
	end_by_timer(f, deadline ? FIBER_EDEADLINE : UV_ETIMEDOUT);
}

void fiber_park_until(struct fiber *f, uint64_t timeout_ns)
{
	uint64_t due_ns = UINT64_MAX;

	if (timeout_ns == UINT64_MAX ||
	    __builtin_add_overflow(uv_hrtime(), timeout_ns, &due_ns))
		due_ns = UINT64_MAX;
	f->due_ns = due_ns;
	if (f->deadline_ns != 0 && f->deadline_ns < due_ns)
		due_ns = f->deadline_ns;
	timer_start(&f->sched->timers, &f->timer, due_ns, on_timeout);
}

void fiber_yield_begin(struct fiber *f)
{
	assert(f->state == FIBER_RUNNING);
	f->status = 0;
	if (f->deadline_ns != 0 && uv_hrtime() >= f->deadline_ns)
		f->status = FIBER_EDEADLINE;
	f->flags |= FIBER_YIELDED;
	f->made = 0;
	make_ready(f);
}

void fiber_preempt_begin(struct fiber *f)
{
	assert(f->state == FIBER_RUNNING);
	f->flags &= ~FIBER_YIELDED;
	f->flags |= FIBER_PUT_ASIDE;
	f->preempted++;
	f->sched->preempted++;
	if (f->made != 0 && f->made <= HOLD_SLICES) {
		f->made++;
		move_made(f, &f->sched->ready, &f->sched->held);
	}
	enqueue(f, &f->sched->spent);
}

void sched_end_computing(struct sched *s, uint64_t id)
{
	s->end_id = id;
}

/* It is wanted to end, and computes. */
static void charge_ending(struct fiber *f)
{
	struct sched *s = f->sched;

	if (s->ending_id != f->id) {
		s->ending_id = f->id;
		if (!(f->flags & FIBER_CANCELLED))
			f->cancel_ns = f->total_ns;
	} else if (f->total_ns > f->cancel_ns + s->cancel_grace_ns) {
		f->over = FIBER_OVER_CANCEL;
	}
}

void fiber_charge(struct fiber *f, uint64_t ns)
{
	const struct fiber_limits *l = f->limits;

	f->burst_ns += ns;
	f->total_ns += ns;
	if (l != NULL && l->burst_ns != 0 && f->burst_ns > l->burst_ns)
		f->over = FIBER_OVER_BURST;
	if (l != NULL && l->total_ns != 0 && f->total_ns > l->total_ns)
		f->over = FIBER_OVER_TOTAL;
	if ((f->flags & FIBER_CANCELLED) &&
	    f->total_ns > f->cancel_ns + f->sched->cancel_grace_ns)
		f->over = FIBER_OVER_CANCEL;
	if (atomic_load_explicit(&f->sched->end_id, memory_order_relaxed) ==
	    f->id)
		charge_ending(f);
}

void fiber_tell_cancel(struct fiber *f)
{
	f->flags |= FIBER_CANCEL_TOLD;
	f->cancel_ns = f->total_ns;
}

/* Out of whatever it waits in. */
static void leave_wait(struct fiber *f)
{
	f->sched->waiting--;
	if (timer_active(&f->timer))
		timer_stop(&f->sched->timers, &f->timer);
	list_del(&f->link);
	f->undo = NULL;
}

bool fiber_wakeup(struct fiber *f, int status)
{
	if (f->state != FIBER_WAITING)
		return false;
	leave_wait(f);
	f->status = status;
	make_ready(f);
	return true;
}

void fiber_unpark(struct fiber *f)
{
	if (f->state == FIBER_WAITING) {
		if (f->undo != NULL)
			f->undo(f, f->undo_arg);
		leave_wait(f);
	} else {
		list_del(&f->link);
	}
	f->state = FIBER_RUNNING;
}

bool fiber_interrupt(struct fiber *f, int status)
{
	if (f->state != FIBER_WAITING)
		return false;
	if (status == 0 && !(f->flags & FIBER_WAKEABLE))
		return false;
	if (status == UV_ECANCELED && (f->flags & FIBER_UNCANCELLABLE))
		return false;
	if (f->undo != NULL)
		f->undo(f, f->undo_arg);
	return fiber_wakeup(f, status);
}

void fiber_cancel(struct fiber *f)
{
	if (f->state == FIBER_DEAD)
		return;
	if (!(f->flags & FIBER_CANCELLED))
		f->cancel_ns = f->total_ns;
	f->flags |= FIBER_CANCELLED;
	sched_changed(f->sched);
	if (f->state == FIBER_READY && (f->flags & FIBER_YIELDED))
		f->status = UV_ECANCELED;
	else if (!fiber_interrupt(f, UV_ECANCELED))
		return;
	/* By the status of its wait; not once more while it cleans up. */
	if (fiber_has_news(f))
		fiber_tell_cancel(f);
}

void fiber_finish(struct fiber *f, bool failed)
{
	struct sched *s = f->sched;

	assert(f->state == FIBER_RUNNING || f->state == FIBER_NEW);
	sched_changed(s);
	f->state = FIBER_DEAD;
	/* Its memory may go before its resume function returns: a tick that
	 * comes then must not find it. */
	if (s->current == f)
		s->current = NULL;
	if (failed)
		f->flags |= FIBER_FAILED;
	if (f->made > 1)
		move_made(f, &s->held, &s->ready);
	list_del(&f->all);
	s->count--;
	if (s->top.charged == f)
		fiber_top_switch(s, NULL);
	while (!list_empty(&f->joiners))
		fiber_wakeup(list_entry(f->joiners.next, struct fiber, link),
			     0);
}

void fiber_join_begin(struct fiber *self, struct fiber *f, uint64_t timeout_ns)
{
	fiber_park(self, NULL, NULL, timeout_ns);
	list_add_tail(&f->joiners, &self->link);
}

bool sched_has_others(const struct sched *s)
{
	return s->count > 1 || s->loop->uv.active_handles > s->idling;
}

bool sched_is_wanted(const struct sched *s, uint64_t *ret_timer_in)
{
	/* Outside of a round a callback of the loop runs it, and may have more
	 * in hand that no poll shows: other mail, other finished work. */
	return !s->in_round || s->depth > 1 || !list_empty(&s->ready) ||
	       !list_empty(&s->late) || !list_empty(&s->spent) ||
	       !list_empty(&s->held) || loop_is_wanted(s->loop, ret_timer_in);
}

struct fiber *fiber_find(struct sched *s, uint64_t id)
{
	list_foreach(link, &s->all) {
		struct fiber *f = list_entry(link, struct fiber, all);

		if (f->id == id)
			return f;
	}
	return NULL;
}

struct list *sched_behind(struct sched *s, uint64_t id)
{
	struct list *link = s->all.next;

	while (link != &s->all && list_entry(link, struct fiber, all)->id <= id)
		link = link->next;
	return link;
}

const char *fiber_state_name(const struct fiber *f)
{
	switch ((enum fiber_state)f->state) {
	case FIBER_NEW:
		return "new";
	case FIBER_READY:
		return "ready";
	case FIBER_RUNNING:
		return "running";
	case FIBER_WAITING:
		return "waiting";
	default:
		return "ended";
	}
}
