/*
 * Fibers, conditions and attributes as sources for Tarantool's module.h use
 * them: every name of the group, run by test_compat_fiber.lua. Each function
 * gives 0, or the line at which something was not as expected.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

/* ---- start, arguments, results ---- */

static int order[8], orders;

static int add(va_list ap)
{
	int a = va_arg(ap, int);
	double b = va_arg(ap, double);
	const char *c = va_arg(ap, const char *);
	int64_t *sum = va_arg(ap, int64_t *);

	order[orders++] = 1;
	fiber_sleep(0.001);
	order[orders++] = 3;
	*sum = a + (int64_t)b + (int64_t)strlen(c);
	return 0;
}

FUNCTION(start_join)
{
	struct fiber *f = fiber_new("adder", add);
	int64_t sum = 0;

	(void)args, (void)args_end;
	EXPECT(f != NULL && f != fiber_self());
	fiber_set_joinable(f, true);
	orders = 0;
	fiber_start(f, 1, 2.5, "abc", &sum);
	order[orders++] = 2; /* it has run until it waited */
	EXPECT(fiber_join(f) == 0);
	EXPECT(sum == 6 && orders == 3);
	EXPECT(order[0] == 1 && order[1] == 2 && order[2] == 3);
	return give(ctx, 0);
}

static int return_it(va_list ap)
{
	return va_arg(ap, int);
}

static int fail_with(va_list ap)
{
	const char *text = va_arg(ap, const char *);
	int nap = va_arg(ap, int);

	/* text is the caller's, who waits; the list is not good any more */
	if (nap)
		fiber_sleep(0.001);
	return box_error_set("peer.c", 77, ER_TIMEOUT, "%s", text);
}

FUNCTION(results)
{
	struct fiber *f;
	int i;

	(void)args, (void)args_end;
	for (i = 0; i < 3; i++) { /* ended before it is joined */
		f = fiber_new("returns", return_it);
		EXPECT(f != NULL);
		fiber_set_joinable(f, true);
		fiber_start(f, i - 1);
		EXPECT(fiber_join(f) == i - 1);
		if (i == 0)
			EXPECT(strcmp(box_error_message(box_error_last()),
				      "unknown error") == 0);
	}
	for (i = 0; i < 2; i++) {
		box_error_clear();
		f = fiber_new("fails", fail_with);
		fiber_set_joinable(f, true);
		fiber_start(f, "its error", i);
		EXPECT(box_error_last() == NULL);
		EXPECT(fiber_join(f) == -1);
		EXPECT(box_error_code(box_error_last()) == ER_TIMEOUT);
		EXPECT(strcmp(box_error_message(box_error_last()),
			      "its error") == 0);
	}
	/* one that has failed, and one that was not asked */
	f = fiber_new("well", return_it);
	fiber_set_joinable(f, true);
	fiber_start(f, 0);
	EXPECT(fiber_join(f) == 0 && box_error_last() != NULL);
	return give(ctx, 0);
}

/* Nobody joins it: its error is logged. */
FUNCTION(fail_alone)
{
	struct fiber *f = fiber_new("loner", fail_with);

	(void)args, (void)args_end;
	EXPECT(f != NULL);
	fiber_start(f, "nobody cares", 1);
	fiber_sleep(0.01);
	return give(ctx, 0);
}

FUNCTION(fail_alone_at_once)
{
	struct fiber *f = fiber_new("quick loner", fail_with);

	(void)args, (void)args_end;
	EXPECT(f != NULL);
	fiber_start(f, "nobody cares at once", 0);
	return give(ctx, 0);
}

/* ---- a tree of fibers, each started by another ---- */

static int live, most;

static int grow(va_list ap)
{
	int depth = va_arg(ap, int), width = va_arg(ap, int), i, sum = 1;
	struct fiber *kids[4];

	live++;
	if (live > most)
		most = live;
	for (i = 0; depth > 0 && i < width; i++) {
		kids[i] = fiber_new("kid", grow);
		if (kids[i] == NULL)
			return -1;
		fiber_set_joinable(kids[i], true);
		fiber_start(kids[i], depth - 1, width);
	}
	if (depth % 2 == 0)
		fiber_reschedule();
	for (i = 0; depth > 0 && i < width; i++)
		sum += fiber_join(kids[i]);
	live--;
	return sum;
}

FUNCTION(tree)
{
	struct fiber *f = fiber_new("root", grow);

	(void)args, (void)args_end;
	EXPECT(f != NULL);
	fiber_set_joinable(f, true);
	live = most = 0;
	fiber_start(f, 5, 3);
	EXPECT(fiber_join(f) == 364 && live == 0 && most > 100);
	return give(ctx, 0);
}

/* Each inside the start of the one before. */
FUNCTION(chain)
{
	struct fiber *f = fiber_new("chain", grow);

	(void)args, (void)args_end;
	EXPECT(f != NULL);
	fiber_set_joinable(f, true);
	fiber_start(f, 500, 1);
	EXPECT(fiber_join(f) == 501);
	return give(ctx, 0);
}

/* ---- cancel, wakeup, yield ---- */

static int state;

static int sleeper(va_list ap)
{
	(void)ap;
	state = 1;
	while (!fiber_is_cancelled())
		fiber_sleep(100);
	state = 2;
	return box_error_set("x.c", 1, 1, "cancelled, and says so");
}

static int yielder(va_list ap)
{
	int *turns = va_arg(ap, int *);

	for (;;) {
		fiber_yield();
		if (fiber_is_cancelled())
			return 0;
		++*turns;
	}
}

FUNCTION(cancel_wakeup)
{
	struct fiber *f = fiber_new("sleeper", sleeper);
	int turns = 0, i;

	(void)args, (void)args_end;
	EXPECT(f != NULL);
	fiber_set_joinable(f, true);
	fiber_start(f);
	EXPECT(state == 1);
	fiber_cancel(f);
	EXPECT(state == 1);
	EXPECT(fiber_join(f) == -1 && state == 2);
	f = fiber_new("yielder", yielder);
	fiber_set_joinable(f, true);
	fiber_start(f, &turns);
	for (i = 0; i < 10; i++) {
		fiber_wakeup(f);
		fiber_wakeup(f);
		fiber_reschedule();
	}
	EXPECT(turns == 10);
	fiber_cancel(f);
	EXPECT(fiber_join(f) == 0);
	/* cancelled before it was started */
	f = fiber_new("never", sleeper);
	fiber_set_joinable(f, true);
	fiber_cancel(f);
	state = 0;
	fiber_start(f);
	EXPECT(state == 2 && fiber_join(f) == -1);
	return give(ctx, 0);
}

static int stubborn(va_list ap)
{
	double *slept = va_arg(ap, double *), begin = fiber_clock();

	if (!fiber_set_cancellable(false) || fiber_set_cancellable(false))
		return 1;
	fiber_sleep(0.02);
	*slept = fiber_clock() - begin;
	if (!fiber_is_cancelled() || fiber_set_cancellable(true))
		return 2;
	return 0;
}

FUNCTION(cancellable)
{
	struct fiber *f = fiber_new("stubborn", stubborn);
	double slept = 0;

	(void)args, (void)args_end;
	fiber_set_joinable(f, true);
	fiber_start(f, &slept);
	fiber_cancel(f);
	EXPECT(fiber_join(f) == 0 && slept >= 0.019);
	EXPECT(fiber_set_cancellable(true)); /* another's is another's */
	return give(ctx, 0);
}

/* ---- joins that cannot be ---- */

static int join_self(va_list ap)
{
	(void)ap;
	fiber_set_joinable(fiber_self(), true);
	return fiber_join(fiber_self());
}

static int join_other(va_list ap)
{
	return fiber_join(va_arg(ap, struct fiber *));
}

FUNCTION(bad_joins)
{
	struct fiber *f = fiber_new("a", sleeper), *g;

	(void)args, (void)args_end;
	EXPECT(fiber_join(f) == -1); /* not joinable */
	EXPECT(strstr(box_error_message(box_error_last()), "not joinable"));
	EXPECT(fiber_join(fiber_self()) == -1);
	EXPECT(strstr(box_error_message(box_error_last()), "not made in C"));
	fiber_set_joinable(f, true);
	fiber_start(f);
	EXPECT(fiber_join_timeout(f, 0.002) == -1);
	EXPECT(strcmp(box_error_type(box_error_last()), "TimedOut") == 0);
	g = fiber_new("b", join_other);
	fiber_set_joinable(g, true);
	fiber_start(g, f);
	EXPECT(fiber_join(f) == -1);
	EXPECT(strstr(box_error_message(box_error_last()), "somebody else"));
	fiber_cancel(g); /* does not end its join */
	EXPECT(fiber_join_timeout(g, 0) == -1);
	fiber_cancel(f);
	EXPECT(fiber_join(g) == -1);
	EXPECT(strcmp(box_error_message(box_error_last()),
		      "cancelled, and says so") == 0);
	f = fiber_new("c", join_self);
	fiber_start(f);
	fiber_set_joinable(f, false); /* it has ended: gone */
	/* not joinable any more, while it runs */
	f = fiber_new("d", sleeper);
	fiber_set_joinable(f, true);
	fiber_start(f);
	fiber_set_joinable(f, false);
	fiber_cancel(f);
	fiber_reschedule();
	return give(ctx, 0);
}

/* ---- conditions ---- */

struct queue {
	struct fiber_cond *cond;
	int items, taken, waiters;
};

static int consumer(va_list ap)
{
	struct queue *q = va_arg(ap, struct queue *);
	int mine = 0;

	while (!fiber_is_cancelled()) {
		if (q->items == 0) {
			q->waiters++;
			if (fiber_cond_wait(q->cond) != 0)
				return -1;
			q->waiters--;
			continue;
		}
		q->items--;
		q->taken++;
		mine++;
		fiber_reschedule();
	}
	return mine;
}

FUNCTION(conds)
{
	struct queue q = { fiber_cond_new(), 0, 0, 0 };
	struct fiber *f[10];
	int i, sum = 0;

	(void)args, (void)args_end;
	EXPECT(q.cond != NULL);
	box_error_clear();
	EXPECT(fiber_cond_wait_timeout(q.cond, 0.002) == -1);
	EXPECT(strcmp(box_error_type(box_error_last()), "TimedOut") == 0);
	fiber_cond_signal(q.cond); /* nobody: lost */
	EXPECT(fiber_cond_wait_timeout(q.cond, 0) == -1);
	for (i = 0; i < 10; i++) {
		f[i] = fiber_new("consumer", consumer);
		fiber_set_joinable(f[i], true);
		fiber_start(f[i], &q);
	}
	EXPECT(q.waiters == 10);
	for (i = 0; i < 100; i++) {
		q.items++;
		fiber_cond_signal(q.cond);
		if (i % 7 == 0)
			fiber_reschedule();
	}
	while (q.items > 0)
		fiber_reschedule();
	EXPECT(q.taken == 100);
	q.items = 5;
	fiber_cond_broadcast(q.cond);
	while (q.items > 0)
		fiber_reschedule();
	while (q.waiters < 10)
		fiber_reschedule();
	for (i = 0; i < 10; i++)
		fiber_cancel(f[i]);
	for (i = 0; i < 10; i++)
		sum += fiber_join(f[i]);
	EXPECT(sum == 105);
	fiber_cond_delete(q.cond);
	return give(ctx, 0);
}

static int wait_once(va_list ap)
{
	return fiber_cond_wait(va_arg(ap, struct fiber_cond *));
}

/* Deleted while somebody waits: that one is woken. */
FUNCTION(cond_delete)
{
	struct fiber_cond *cond = fiber_cond_new();
	struct fiber *f = fiber_new("waits", wait_once);

	(void)args, (void)args_end;
	fiber_set_joinable(f, true);
	fiber_start(f, cond);
	fiber_cond_delete(cond);
	fiber_cond_delete(NULL);
	EXPECT(fiber_join(f) == 0);
	return give(ctx, 0);
}

/* Between two calls from Lua. */
static struct fiber_cond *shared;

FUNCTION(cond_of_calls_wait)
{
	int rc;

	(void)args, (void)args_end;
	shared = fiber_cond_new();
	EXPECT(shared != NULL);
	rc = fiber_cond_wait_timeout(shared, 10);
	fiber_cond_delete(shared);
	shared = NULL;
	return give(ctx, rc);
}

FUNCTION(cond_of_calls_signal)
{
	(void)args, (void)args_end;
	EXPECT(shared != NULL);
	fiber_cond_signal(shared);
	return give(ctx, 0);
}

/* ---- attributes: the size of stacks ---- */

static int dig(int n)
{
	volatile char frame[1000];

	frame[n % 1000] = (char)n;
	return n == 0 ? 0 : dig(n - 1) + frame[n % 1000] * 0;
}

static int use_stack(va_list ap)
{
	int kib = va_arg(ap, int);

	fiber_sleep(0);
	return dig(kib * 7 / 10);
}

FUNCTION(attributes)
{
	struct fiber_attr *a = fiber_attr_new();
	struct fiber *f;
	size_t size = fiber_attr_getstacksize(NULL);

	(void)args, (void)args_end;
	EXPECT(a != NULL && size == fiber_attr_getstacksize(a));
	EXPECT(fiber_attr_setstacksize(a, 1) == -1);
	EXPECT(box_error_last() != NULL);
	EXPECT(fiber_attr_setstacksize(a, (size_t)-1) == -1);
	EXPECT(fiber_attr_setstacksize(a, (64u << 20) + 1) == -1);
	EXPECT(fiber_attr_getstacksize(a) == size);
	EXPECT(fiber_attr_setstacksize(a, 8 << 20) == 0);
	EXPECT(fiber_attr_getstacksize(a) == 8 << 20);
	f = fiber_new_ex("large", a, use_stack);
	fiber_set_joinable(f, true);
	fiber_start(f, 8 << 10);
	EXPECT(fiber_join(f) == 0);
	EXPECT(fiber_attr_setstacksize(a, 16384) == 0);
	f = fiber_new_ex("small", a, use_stack);
	fiber_attr_delete(a); /* fibers made with it live on */
	fiber_attr_delete(NULL);
	fiber_set_joinable(f, true);
	fiber_start(f, 16);
	EXPECT(fiber_join(f) == 0);
	f = fiber_new_ex("usual", NULL, use_stack);
	fiber_set_joinable(f, true);
	fiber_start(f, 128);
	EXPECT(fiber_join(f) == 0);
	return give(ctx, 0);
}

/* ---- what others see of it ---- */

static struct fiber *seen;

static int be_seen(va_list ap)
{
	(void)ap;
	while (!fiber_is_cancelled())
		fiber_sleep(1000);
	seen = NULL;
	return 0;
}

FUNCTION(show)
{
	(void)args, (void)args_end;
	seen = fiber_new("a fiber with a name longer than ours used to be",
			 be_seen);
	EXPECT(seen != NULL);
	fiber_start(seen);
	return give(ctx, 0);
}

FUNCTION(is_shown)
{
	(void)args, (void)args_end;
	return give(ctx, seen != NULL);
}

/* For a join from Lua; argument: whether it fails. */
FUNCTION(for_lua)
{
	struct fiber *f;
	bool fails;

	(void)args_end;
	mp_decode_array(&args);
	fails = mp_decode_bool(&args);
	f = fiber_new("for lua", fails ? fail_with : return_it);
	EXPECT(f != NULL);
	fiber_reschedule(); /* Lua finds it here */
	if (fails)
		fiber_start(f, "for Lua", 0);
	else
		fiber_start(f, 0);
	return give(ctx, 0);
}

/* Many that end, and some that are never started or joined. */
FUNCTION(leave_some)
{
	struct fiber *f;

	(void)args, (void)args_end;
	f = fiber_new("never started", return_it);
	fiber_set_joinable(f, true);
	f = fiber_new("never joined", return_it);
	fiber_set_joinable(f, true);
	fiber_start(f, 7);
	f = fiber_new("sleeps at the end", sleeper);
	fiber_start(f);
	f = fiber_new("never started either", return_it);
	return give(ctx, f == NULL);
}

/* Not in a call. */
static void *on_thread(void *arg)
{
	*(struct fiber **)arg = fiber_new("on a thread", return_it);
	return NULL;
}

FUNCTION(on_a_thread)
{
	struct fiber *f = fiber_self();
	pthread_t t;

	(void)args, (void)args_end;
	EXPECT(pthread_create(&t, NULL, on_thread, &f) == 0);
	pthread_join(t, NULL);
	EXPECT(f == NULL);
	return give(ctx, 0);
}

/* Descriptors in a fiber. */
static int reader(va_list ap)
{
	int fd = va_arg(ap, int);
	char *to = va_arg(ap, char *), c;
	int n = 0;

	while (coio_wait(fd, COIO_READ, 10) == COIO_READ) {
		if (read(fd, &c, 1) != 1)
			break;
		to[n++] = c;
	}
	return n;
}

FUNCTION(descriptors)
{
	struct fiber *f = fiber_new("reader", reader);
	char text[8] = "";
	int fds[2], i;

	(void)args, (void)args_end;
	EXPECT(pipe(fds) == 0);
	fiber_set_joinable(f, true);
	fiber_start(f, fds[0], text);
	for (i = 0; i < 5; i++) {
		EXPECT(write(fds[1], &"abcde"[i], 1) == 1);
		fiber_sleep(0.001);
	}
	close(fds[1]);
	EXPECT(fiber_join(f) == 5 && strcmp(text, "abcde") == 0);
	close(fds[0]);
	return give(ctx, 0);
}
