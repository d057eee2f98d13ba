/* Time slices. See ticker.h. */
#include "runtime/ticker.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
	BACKOFF_MIN_NS = 50000,
	BACKOFF_MAX_NS = 200000,
	TICK_APART_MAX_NS = 1000000, /* because of what a tick takes */
	IDLE_MAX = 2,                /* ticks */
};

/* The timer of this thread. A signal that comes late finds NULL. */
static __thread struct ticker *ticker_self;

/* In slices. */
enum {
	QUIET_FAR = 1, /* nobody has waited for so long: ticks are far apart */
	FAR = 16,      /* as far as that */
	QUIET_WATCH = 4, /* give way so that the watch can be started, once */
	QUIET_MAX = 66,  /* give way all the same: a worker has other duties */
};

/* The next tick after @a first_ns, then one each period; 0: none any more. */
static void set_timer(struct ticker *t, uint64_t first_ns)
{
	struct itimerspec it = { { 0 } };

	it.it_value.tv_sec = (time_t)(first_ns / 1000000000);
	it.it_value.tv_nsec = (long)(first_ns % 1000000000);
	if (first_ns != 0) {
		it.it_interval.tv_sec = (time_t)(t->period / 1000000000);
		it.it_interval.tv_nsec = (long)(t->period % 1000000000);
	}
	timer_settime(t->timer, 0, &it, NULL);
}

static uint64_t charge(struct ticker *t, struct fiber *f)
{
	uint64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID), ns = now - t->cpu;

	if (f != NULL)
		fiber_charge(f, ns);
	t->cpu = now;
	return ns;
}

static void take_sample(struct ticker *t, const void *ucontext, uint64_t now,
			uint64_t cpu_ns)
{
	uint64_t from = t->seen > t->begun ? t->seen : t->begun;
	uint64_t blocked_ns = 0;
	struct rusage used;
	bool has_waited;

	getrusage(RUSAGE_THREAD, &used);
	has_waited = used.ru_nvcsw != t->waits;
	t->waits = used.ru_nvcsw;
	/* Of a turn that was not there at the tick before nothing is known. */
	if (has_waited && t->sched->current != NULL &&
	    t->turn == t->sched->turns && now - from > cpu_ns)
		blocked_ns = now - from - cpu_ns;
	t->sample(t->arg, ucontext, cpu_ns, blocked_ns);
}

/*
 * How often to look. A tick costs as much as a hundred switches, on a virtual
 * machine a thousand. Of a turn whose beginning is not known two ticks see the
 * same one when it is between half a slice and a whole one old. Where the clock
 * was read, as it is for those that compute all the time, one tick for each slice
 * is enough.
 */
static uint64_t period_of(const struct ticker *t)
{
	return t->exact || t->quiet > 0 ? t->slice_ns : t->slice_ns / 2;
}

static void set_period(struct ticker *t, uint64_t period)
{
	if (t->period == period)
		return;
	t->period = period;
	set_timer(t, period);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When @a f may be over a limit, or its deadline; about a slice is exact enough. */
static uint64_t ends_in(const struct ticker *t, const struct fiber *f,
			uint64_t now)
{
	const struct fiber_limits *l = f->limits;
	uint64_t in = UINT64_MAX;

	/* It is not over them: that was looked at. */
	if (l != NULL && l->burst_ns != 0)
		in = least(in, l->burst_ns - f->burst_ns);
	if (l != NULL && l->total_ns != 0)
		in = least(in, l->total_ns - f->total_ns);
	if (f->deadline_ns > now && !(f->deadline_ns & FIBER_DEADLINE_TOLD))
		in = least(in, f->deadline_ns - now);
	return in < t->slice_ns ? t->slice_ns : in;
}

/* Nobody waits for the turn to end. Who comes next is seen by the watch, which
 * starts when this turn is over; without it he waits for a slice at most. */
static void stay(struct ticker *t, struct fiber *f, uint64_t now,
		 uint64_t timer_in)
{
	t->since = now;
	t->cpu_since = t->cpu;
	t->backoff = BACKOFF_MIN_NS;
	t->quiet++;
	if (t->quiet < QUIET_FAR || (f->flags & FIBER_CANCELLED)) {
		set_period(t, period_of(t));
	} else if (t->sample != NULL) {
		set_period(t, period_of(t));
	} else if (!t->watch.started) {
		if (t->watch_wish == TICKER_WATCH_NOT_WANTED)
			t->watch_wish = TICKER_WATCH_WANTED;
		set_period(t, period_of(t));
	} else {
		t->quiet += FAR - 1;
		t->period = 0;
		t->sched->far = true;
		ticker_watch_arm(&t->watch);
		timer_in = least(timer_in, FAR * t->slice_ns);
		set_timer(t, least(timer_in, ends_in(t, f, now)));
		return;
	}
	if (timer_in < t->period)
		set_timer(t, timer_in);
}

/* Ticks come as if nobody had been alone. */
static void leave_far(struct ticker *t)
{
	t->sched->far = false;
	ticker_watch_disarm(&t->watch);
	t->period = 0;
	set_period(t, t->slice_ns / 2);
}

/* The turn is to end. */
static void end_turn(struct ticker *t, const void *ucontext)
{
	t->asked++;
	if (t->ask(t->arg, ucontext)) {
		if (t->backoff != BACKOFF_MIN_NS)
			t->period = 0; /* the timer is set for less */
		t->backoff = BACKOFF_MIN_NS;
		if (t->quiet >= QUIET_MAX)
			t->quiet = QUIET_FAR;
		set_period(t, period_of(t));
		return;
	}
	if (t->backoff >= t->period)
		return;
	/* Most of what cannot be interrupted is over soon. What consists of it
	 * is rarely found between two such calls: the question is asked often. */
	set_timer(t, t->backoff);
	if (t->backoff < BACKOFF_MAX_NS)
		t->backoff *= 2;
}

/* How long it may stay, though nobody waits. */
static unsigned quiet_max(const struct ticker *t)
{
	return t->watch_wish == TICKER_WATCH_WANTED ? QUIET_WATCH : QUIET_MAX;
}

static void tick(struct ticker *t, const void *ucontext)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), timer_in;
	struct sched *s = t->sched;
	struct fiber *f = s->current;
	uint64_t cpu_ns;
	bool wanted;

	t->ticks++;
	cpu_ns = charge(t, f);
	if (t->sample != NULL)
		take_sample(t, ucontext, now, cpu_ns);
	t->seen = now;
	if (s->turns != t->turn) {
		t->turn = s->turns;
		t->begun = t->since = now;
		t->cpu_begun = t->cpu_since = t->cpu;
		t->idle = t->quiet = 0;
		t->backoff = BACKOFF_MIN_NS;
		t->exact = false;
		set_period(t, t->slice_ns / 2);
		return;
	}
	if (f == NULL) {
		if (s->depth != 0)
			return; /* one inside another has just ended */
		if (++t->idle < IDLE_MAX)
			return;
		set_timer(t, 0);
		t->ticking = 0;
		return;
	}
	if (t->exact && now - t->begun < t->slice_ns / 2)
		return;
	wanted = t->insistent || f->over != FIBER_OVER_NONE ||
		 fiber_has_news(f) || fiber_is_late(f, now) ||
		 sched_is_wanted(s, &timer_in);
	if (!wanted && t->quiet < quiet_max(t)) {
		stay(t, f, now, timer_in);
		return;
	}
	if (wanted)
		t->quiet = 0;
	if (s->far) {
		t->since = now; /* whoever wants it has just come */
		t->cpu_since = t->cpu;
		leave_far(t);
	}
	end_turn(t, ucontext);
}

/* What was interrupted gets on: where a slice is very short, or the machine very busy, a
 * tick may take longer than the time to the next one. */
static void leave_time(struct ticker *t)
{
	uint64_t spent = clock_ns(CLOCK_MONOTONIC) - t->seen;

	if (t->ticking && t->period != 0 && spent > t->period / 2)
		set_timer(t, least(4 * spent, TICK_APART_MAX_NS));
}

static void on_signal(int signo, siginfo_t *info, void *ucontext)
{
	int saved = errno;

	(void)signo;
	(void)info;
	if (ticker_self != NULL && !ticker_self->busy) {
		tick(ticker_self, ucontext);
		leave_time(ticker_self);
	}
	errno = saved;
}

/* Once for the process: the handler finds its thread's ticker itself. */
static void install_handler(void)
{
	struct sigaction sa = { 0 };

	/* On the alternate stack where the thread has one: a C module's stack
	 * may be nearly full. */
	sa.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
	sa.sa_sigaction = on_signal;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGRTMIN, &sa, NULL);
}

int ticker_create(struct ticker *t, struct sched *s, uint64_t slice_ns,
		  ticker_ask_f ask, void *arg)
{
#ifdef __SANITIZE_THREAD__
	(void)t, (void)s, (void)slice_ns, (void)ask, (void)arg;
	(void)install_handler;
	return UV_ENOTSUP;
#else
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sigevent se = { 0 };

	memset(t, 0, sizeof *t);
	t->sched = s;
	t->ask = ask;
	t->arg = arg;
	ticker_set_slice(t, slice_ns);
	pthread_once(&once, install_handler);
	se.sigev_notify = SIGEV_THREAD_ID;
	se.sigev_signo = SIGRTMIN;
	se.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &se, &t->timer) != 0)
		return -errno;
	ticker_self = t;
	s->ticker = t;
	return 0;
#endif
}

void ticker_destroy(struct ticker *t)
{
	t->sched->ticker = NULL;
	t->sched->far = false;
	ticker_watch_stop(&t->watch);
	timer_delete(t->timer);
	ticker_self = NULL;
}

/* Until the next tick; 0: the timer is not set. */
static uint64_t time_left(const struct ticker *t)
{
	struct itimerspec it;

	if (timer_gettime(t->timer, &it) != 0)
		return 0;
	return (uint64_t)it.it_value.tv_sec * 1000000000 +
	       (uint64_t)it.it_value.tv_nsec;
}

/* Who sets it again and again does not so put off the tick. */
void ticker_set_slice(struct ticker *t, uint64_t slice_ns)
{
	sigset_t ticks, before;
	uint64_t left;

	sigemptyset(&ticks);
	sigaddset(&ticks, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &ticks, &before);
	t->slice_ns = slice_ns < TICKER_SLICE_MIN_NS ? TICKER_SLICE_MIN_NS
						     : slice_ns;
	t->period = t->slice_ns / 2;
	if (t->ticking) {
		t->sched->far = false;
		ticker_watch_disarm(&t->watch);
		left = time_left(t);
		set_timer(t, left == 0 ? t->period : least(left, t->period));
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void ticker_set_sample(struct ticker *t, ticker_sample_f sample)
{
	t->sample = sample;
	ticker_set_slice(t, t->slice_ns);
}

void ticker_run(struct ticker *t)
{
	t->idle = 0;
	t->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	t->ticking = 1;
	t->period = t->slice_ns / 2;
	set_timer(t, t->period);
}

void ticker_begin(struct ticker *t)
{
	if (t->watch_wish == TICKER_WATCH_WANTED) {
		t->watch_wish = TICKER_WATCH_TRIED;
		/* Without it ticks are no further apart than slices. */
		(void)!ticker_watch_start(
			&t->watch, t->sched->loop->uv.backend_fd, SIGRTMIN);
	}
	t->begun = t->since = clock_ns(CLOCK_MONOTONIC);
	t->cpu_begun = t->cpu_since = t->cpu;
	t->idle = 0;
	t->backoff = BACKOFF_MIN_NS;
	t->exact = true;
	__asm__ volatile("" ::: "memory"); /* a tick may come between */
	t->turn = t->sched->turns;
}

void ticker_near(struct ticker *t)
{
	t->busy = true;
	charge(t, t->sched->current);
	leave_far(t);
	t->busy = false;
}

uint64_t ticker_turn_ns(const struct ticker *t)
{
	return t->turn == t->sched->turns ? clock_ns(CLOCK_MONOTONIC) - t->since
					  : 0;
}

uint64_t ticker_turn_age_cpu_ns(const struct ticker *t)
{
	return t->turn == t->sched->turns
		       ? clock_ns(CLOCK_THREAD_CPUTIME_ID) - t->cpu_begun
		       : 0;
}

uint64_t ticker_turn_cpu_ns(const struct ticker *t)
{
	return t->turn == t->sched->turns
		       ? clock_ns(CLOCK_THREAD_CPUTIME_ID) - t->cpu_since
		       : 0;
}
