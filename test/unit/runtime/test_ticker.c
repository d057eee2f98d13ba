/*
 * Time slices: a turn that lasts is asked to end, one that does not is left
 * alone, an idle thread takes no ticks, CPU time is charged to who used it, and
 * limits are found. Fibers are C functions; what would be a hook is a flag here.
 *
 * test: timeout 60
 */
#include "fake_fiber.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/inject.h"
#include "runtime/ticker.h"

static struct ticker ticker;
static volatile sig_atomic_t asked; /* gcc reads a bool once under UBSan */
static volatile unsigned asks, refusals, asked_quiet;

/* Signal context. */
static bool ask(void *arg, const void *ucontext)
{
	if (arg != &ticker || ucontext == NULL)
		abort();
	asks++;
	if (refusals > 0) {
		refusals--;
		return false;
	}
	asked_quiet = ticker.quiet;
	asked = true;
	return true;
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Computes until it is asked to stop. */
static void burn(void)
{
	asked = false;
	while (!asked)
		;
}

static bool start(uint64_t slice_ns)
{
	int rc = ticker_create(&ticker, &fake_sched, slice_ns, ask, &ticker);

#ifdef __SANITIZE_THREAD__
	assert_int_equal(rc, UV_ENOTSUP);
	return false;
#else
	asks = refusals = 0;
	assert_int_equal(rc, 0);
	return true;
#endif
}

static void burn_body(struct fake *f)
{
	if (f->step <= 3) {
		burn();
		fiber_preempt_begin(&f->base);
		return;
	}
	fiber_finish(&f->base, false);
}

static void gives_way(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	fake_init(&f, burn_body);
	fiber_start(&f.base);
	assert_int_equal(f.base.preempted, 1);
	assert_int_equal(f.base.state, FIBER_READY);
	while (!fiber_is_dead(&f.base))
		sched_run_ready(&fake_sched);
	assert_int_equal(f.base.preempted, 3);
	assert_int_equal(fake_sched.preempted, 3);
	assert_true(asks >= 3);
	assert_true(f.base.total_ns > 0);
	assert_int_equal(f.base.total_ns, f.base.burst_ns);
	ticker_destroy(&ticker);
	assert_null(fake_sched.ticker);
}

/* Asked again, soon, when it is not possible at once. */
static void asks_again(void **state)
{
	struct fake f;

	(void)state;
	if (!start(2000000))
		return;
	refusals = 10;
	fake_init(&f, burn_body);
	fiber_start(&f.base);
	assert_int_equal(refusals, 0);
	assert_true(asks >= 11);
	while (!fiber_is_dead(&f.base))
		sched_run_ready(&fake_sched);
	ticker_destroy(&ticker);
}

static void nap(unsigned ms)
{
	struct timespec ts = { 0, ms * 1000000L };

	while (nanosleep(&ts, &ts) != 0)
		;
}

static void short_body(struct fake *f)
{
	if (f->step == 1)
		fiber_park(&f->base, fake_undo, f, UINT64_MAX);
	else
		fiber_finish(&f->base, false);
}

static void idle_is_quiet(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	assert_false(ticker.ticking);
	fake_init(&f, short_body);
	fiber_start(&f.base);
	assert_true(ticker.ticking);
	for (int i = 0; ticker.ticking && i < 1000; i++)
		nap(2);
	assert_false(ticker.ticking);
	assert_int_equal(asks, 0);
	/* And it is on again for the next. */
	fiber_wakeup(&f.base, 0);
	sched_run_ready(&fake_sched);
	assert_true(fiber_is_dead(&f.base));
	assert_true(ticker.ticking);
	ticker_destroy(&ticker);
}

/* Computes for some ten slices, in which nobody may ask for its end. */
static void burn_alone(unsigned ms)
{
	double begin = cpu_seconds();

	asked = false;
	while (cpu_seconds() - begin < ms / 1e3 && ticker.quiet < 16)
		;
	assert_int_equal(asks, 0);
}

static uv_async_t call;
static struct fake parked;

static void alone_body(struct fake *f)
{
	if (f->step == 1) {
		fiber_preempt_begin(&f->base); /* no callback of the loop's */
		return;
	}
	burn_alone(10);
	if (f->arg == &parked)
		fiber_wakeup(&parked.base, 0); /* it is ready now */
	else
		uv_async_send(&call); /* the loop has something to do */
	burn();
	assert_true(asks >= 1);
	fiber_finish(&f->base, false);
}

static void on_call(uv_async_t *handle)
{
	(void)handle;
}

/* Who computes alone is let be, until somebody else is there. */
static void alone_is_left(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	ticker.watch_wish = TICKER_WATCH_TRIED; /* in vain */
	uv_async_init(&fake_loop.uv, &call, on_call);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT); /* it is watched from here */
	fake_init(&f, alone_body);
	fiber_start(&f.base);
	sched_run_ready(&fake_sched);
	assert_true(fiber_is_dead(&f.base));
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	asks = 0;
	fake_init(&parked, short_body);
	fiber_start(&parked.base);
	fake_init(&f, alone_body);
	f.arg = &parked;
	fiber_start(&f.base);
	sched_run_ready(&fake_sched);
	assert_true(fiber_is_dead(&f.base));
	sched_run_ready(&fake_sched);
	assert_true(fiber_is_dead(&parked.base));
	uv_close((uv_handle_t *)&call, NULL);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	ticker_destroy(&ticker);
}

static uv_poll_t watch;
static int watched[2];

static void on_watched(uv_poll_t *handle, int status, int events)
{
	(void)status, (void)events;
	uv_poll_stop(handle);
}

/* What its tag says, and is asked at once; or, with refusals, in the end. */
static void asked_body(struct fake *f)
{
	unsigned quiet = refusals > 0 ? 66 : 0;

	if (f->step == 1 && f->tag != 'c') {
		fiber_preempt_begin(&f->base);
		return;
	}
	if (f->tag == 'w')
		uv_poll_start(&watch, UV_READABLE, on_watched);
	burn();
	assert_int_equal(asked_quiet, quiet);
	assert_int_equal(refusals, 0);
	fiber_finish(&f->base, false);
}

static void be_asked(int tag)
{
	struct fake f;

	fake_init(&f, asked_body);
	f.tag = tag;
	fiber_start(&f.base);
	sched_run_ready(&fake_sched);
	assert_true(fiber_is_dead(&f.base));
}

/* Nobody is to be seen, and yet it is not alone. */
static void unseen_ones_count(void **state)
{
	(void)state;
	if (!start(1000000))
		return;
	ticker.watch_wish = TICKER_WATCH_TRIED; /* in vain */
	assert_int_equal(pipe(watched), 0);
	uv_async_init(&fake_loop.uv, &call, on_call); /* keeps it alive */
	uv_poll_init(&fake_loop.uv, &watch, watched[0]);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	be_asked('c'); /* a callback may have more in hand */
	be_asked('w'); /* the system is not watching yet */
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	refusals = 5;
	be_asked('r'); /* its turn has lasted long enough */
	uv_close((uv_handle_t *)&watch, NULL);
	uv_close((uv_handle_t *)&call, NULL);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	close(watched[0]);
	close(watched[1]);
	ticker_destroy(&ticker);
}

enum { FAR_STEPS = 4 };

static pthread_t caller;

/* Somebody who comes when the tick is far away. */
static void *call_soon(void *arg)
{
	(void)arg;
	nap(3);
	uv_async_send(&call);
	return NULL;
}

/* In the first steps the watch is started, which a turn's beginning does. */
static void far_body(struct fake *f)
{
	static struct fiber_limits limits = { .group = "far" };
	unsigned quiet;

	if (f->step < FAR_STEPS) {
		burn();
		fiber_preempt_begin(&f->base);
		return;
	}
	if (f->tag == 'l') {
		limits.burst_ns = f->base.burst_ns + 20000000;
		f->base.limits = &limits;
	}
	asked = false;
	while (!fake_sched.far && !asked)
		;
	assert_true(fake_sched.far);
	assert_true(ticker.watch.started);
	quiet = ticker.quiet;
	if (f->tag == 'e') {
		pthread_create(&caller, NULL, call_soon, NULL);
		asked = false;
		while (!asked) /* however late he comes */
			*(volatile unsigned *)&ticker.quiet = quiet;
		pthread_join(caller, NULL);
		assert_int_equal(asked_quiet, 0); /* for somebody who waits */
	} else if (f->tag == 'r') {
		fiber_wakeup(&parked.base, 0);
		assert_false(fake_sched.far);
		burn();
		assert_int_equal(asked_quiet, 0);
	} else if (f->tag == 'l') {
		while (f->base.over == FIBER_OVER_NONE)
			;
		assert_int_equal(f->base.over, FIBER_OVER_BURST);
	} else {
		burn();
		assert_true(asked_quiet > quiet); /* nobody came */
	}
	fiber_finish(&f->base, false);
}

/* Ticks are far apart for who is alone, and the next comes with whoever comes. */
static void ticks_far_apart(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	uv_async_init(&fake_loop.uv, &call, on_call);
	for (const char *tag = "erln"; *tag != '\0'; tag++) {
		uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
		if (*tag == 'r') {
			fake_init(&parked, short_body);
			fiber_start(&parked.base);
		}
		fake_init(&f, far_body);
		f.tag = *tag;
		fiber_start(&f.base);
		while (!fiber_is_dead(&f.base))
			sched_run_ready(&fake_sched);
		assert_false(fake_sched.far); /* its turn is over */
		assert_true(f.base.total_ns > 0);
	}
	sched_run_ready(&fake_sched);
	assert_true(fiber_is_dead(&parked.base));
	uv_close((uv_handle_t *)&call, NULL);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	ticker_destroy(&ticker);
	assert_false(ticker.watch.started);
}

/* Has had its slices; then one that has waited, and is far; then gives way. */
static void slice_body(struct fake *f)
{
	if (f->step < FAR_STEPS) {
		burn();
		fiber_preempt_begin(&f->base);
		if (f->step == FAR_STEPS - 1)
			f->base.flags &= ~FIBER_PUT_ASIDE;
		return;
	}
	if (f->step > FAR_STEPS) {
		burn();
		fiber_finish(&f->base, false);
		return;
	}
	asked = false;
	while (!fake_sched.far && !asked)
		;
	assert_true(fake_sched.far);
	ticker_set_slice(&ticker, 50000000);
	assert_false(fake_sched.far);
	pthread_create(&caller, NULL, call_soon, NULL);
	burn();
	pthread_join(caller, NULL);
	fiber_preempt_begin(&f->base);
}

/* Who comes after the slice was changed does not end the ticks. */
static void slice_changes_far(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	uv_async_init(&fake_loop.uv, &call, on_call);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	fake_init(&f, slice_body);
	fiber_start(&f.base);
	while (!fiber_is_dead(&f.base))
		sched_run_ready(&fake_sched);
	uv_close((uv_handle_t *)&call, NULL);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	ticker_destroy(&ticker);
}

static void setting_body(struct fake *f)
{
	asked = false;
	while (!asked)
		ticker_set_slice(&ticker, 400000000);
	fiber_finish(&f->base, false);
}

/* Nor does it who changes it all the time. */
static void slice_changes_often(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	fake_init(&f, setting_body);
	fiber_start(&f.base);
	assert_true(fiber_is_dead(&f.base));
	ticker_destroy(&ticker);
}

static void first_body(struct fake *f)
{
	assert_int_equal(ticker.watch.started, f->step == 3);
	if (f->step == 3) {
		fiber_finish(&f->base, false);
		return;
	}
	if (f->step == 2) { /* no callback of the loop's any more */
		burn();
		assert_in_range(asked_quiet, 1, 8);
	}
	fiber_preempt_begin(&f->base);
}

/* The first who computes gives way soon: a turn's beginning starts the watch. */
static void watch_starts_soon(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	uv_async_init(&fake_loop.uv, &call, on_call);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	fake_init(&f, first_body);
	fiber_start(&f.base);
	while (!fiber_is_dead(&f.base))
		sched_run_ready(&fake_sched);
	uv_close((uv_handle_t *)&call, NULL);
	uv_run(&fake_loop.uv, UV_RUN_NOWAIT);
	ticker_destroy(&ticker);
}

/* Without the thread they are as far apart as slices. */
static void no_thread(void **state)
{
	struct fake f;

	(void)state;
	if (inject_arm("ticker_watch.thread", 0, 1) != 0 || !start(1000000))
		return;
	fake_init(&f, burn_body);
	fiber_start(&f.base);
	while (!fiber_is_dead(&f.base))
		sched_run_ready(&fake_sched);
	assert_false(ticker.watch.started);
	assert_int_equal(f.base.preempted, 3);
	inject_reset();
	ticker_destroy(&ticker);
}

static struct fake inner[64];
static unsigned inner_count;

static void inner_body(struct fake *f)
{
	fiber_finish(&f->base, false);
}

/* Fibers that it starts do not make its turn a new one. */
static void nesting_body(struct fake *f)
{
	asked = false;
	while (!asked) {
		struct fake *other = &inner[inner_count++ % 64];

		fake_init(other, inner_body);
		fiber_start(&other->base);
	}
	fiber_finish(&f->base, false);
}

static void nesting_is_one_turn(void **state)
{
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	fake_init(&f, nesting_body);
	fiber_start(&f.base);
	assert_true(fiber_is_dead(&f.base));
	ticker_destroy(&ticker);
}

static void limit_body(struct fake *f)
{
	double begin = cpu_seconds();

	while (f->base.over == FIBER_OVER_NONE && cpu_seconds() - begin < 10)
		;
	fiber_finish(&f->base, false);
}

static void limits_are_found(void **state)
{
	const struct fiber_limits burst = { "b", 5000000, 0 };
	const struct fiber_limits total = { "t", 0, 5000000 };
	struct fake f;

	(void)state;
	if (!start(1000000))
		return;
	fake_init(&f, limit_body);
	f.base.limits = &burst;
	fiber_start(&f.base);
	assert_int_equal(f.base.over, FIBER_OVER_BURST);
	fake_init(&f, limit_body);
	f.base.limits = &total;
	fiber_start(&f.base);
	assert_int_equal(f.base.over, FIBER_OVER_TOTAL);
	/* A cancelled one has the grace, and no more. */
	fake_sched.cancel_grace_ns = 5000000;
	fake_init(&f, limit_body);
	fiber_cancel(&f.base);
	assert_true(fiber_has_news(&f.base));
	fiber_tell_cancel(&f.base);
	assert_false(fiber_has_news(&f.base));
	fiber_start(&f.base);
	assert_int_equal(f.base.over, FIBER_OVER_CANCEL);
	ticker_destroy(&ticker);
}

/* By hand: what counts from when. */
static void charges(void **state)
{
	const struct fiber_limits limits = { "x", 100, 1000 };
	struct fake f;

	(void)state;
	fake_init(&f, short_body);
	f.base.limits = &limits;
	fiber_charge(&f.base, 100);
	assert_int_equal(f.base.over, FIBER_OVER_NONE);
	fiber_start(&f.base); /* waits: the burst is over */
	assert_int_equal(f.base.burst_ns, 0);
	assert_int_equal(f.base.total_ns, 100);
	fiber_charge(&f.base, 101);
	assert_int_equal(f.base.over, FIBER_OVER_BURST);
	fiber_wakeup(&f.base, 0);
	sched_run_ready(&fake_sched);
}

static unsigned order[16], ordered;

static void note_body(struct fake *f)
{
	order[ordered++] = (unsigned)f->tag;
	if (f->tag >= 'a' && f->step == 1)
		fiber_preempt_begin(&f->base);
	else
		fiber_finish(&f->base, false);
}

/* Those that had their slice come after those that are ready, one a round. */
static void spent_ones_wait(void **state)
{
	struct fake f[5];

	(void)state;
	ordered = 0;
	for (int i = 0; i < 5; i++) {
		fake_init(&f[i], note_body);
		f[i].tag = i < 2 ? 'a' + i : '0' + i;
	}
	fiber_start(&f[0].base);
	fiber_start_now(&f[1].base);
	assert_int_equal(ordered, 2);
	/* A slice was used up since the poll: not inside of it another. */
	fiber_start(&f[2].base);
	assert_int_equal(ordered, 2);
	fiber_start_later(&f[3].base);
	sched_run_ready(&fake_sched);
	/* Both ready ones, then one of the spent. */
	assert_int_equal(ordered, 5);
	assert_int_equal(order[2], '2');
	assert_int_equal(order[3], '3');
	assert_int_equal(order[4], 'a');
	fiber_start_later(&f[4].base);
	sched_run_ready(&fake_sched);
	assert_int_equal(order[5], '4');
	assert_int_equal(order[6], 'b');
	assert_false(fake_sched.idling);
}

/* Of many that compute and are ready at once each has its slice, but who becomes
 * ready meanwhile does not wait for all of them. */
static void late_ones_wait(void **state)
{
	struct fake f[4];

	(void)state;
	ordered = 0;
	fake_sched.late_turn = false;
	for (int i = 0; i < 4; i++) {
		fake_init(&f[i], note_body);
		f[i].tag = i < 3 ? 'a' + i : '3';
	}
	for (int i = 0; i < 3; i++)
		fiber_start_later(&f[i].base);
	sched_run_ready(&fake_sched);
	/* Two slices a round. */
	assert_int_equal(ordered, 2);
	assert_int_equal(order[0], 'a');
	assert_int_equal(order[1], 'b');
	fiber_start_later(&f[3].base);
	sched_run_ready(&fake_sched);
	assert_int_equal(ordered, 5);
	assert_int_equal(order[2], '3');
	assert_int_equal(order[3], 'c');
	assert_int_equal(order[4], 'a');
	assert_true(fake_sched.idling);
	sched_run_ready(&fake_sched);
	sched_run_ready(&fake_sched);
	assert_int_equal(order[5], 'b');
	assert_int_equal(order[6], 'c');
	assert_false(fake_sched.idling);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scheduled(gives_way),
		scheduled(asks_again),
		scheduled(alone_is_left),
		scheduled(unseen_ones_count),
		scheduled(idle_is_quiet),
		scheduled(watch_starts_soon),
		scheduled(ticks_far_apart),
		scheduled(slice_changes_far),
		scheduled(slice_changes_often),
		scheduled(no_thread),
		scheduled(nesting_is_one_turn),
		scheduled(limits_are_found),
		scheduled(charges),
		scheduled(spent_ones_wait),
		scheduled(late_ones_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
