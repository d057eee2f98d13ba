/*
 * Descriptors that are watched once for all: who is woken by what, ends of a
 * wait, numbers that two have, edges, failures, and what is left.
 */
#include "fake_fiber.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/inject.h"
#include "runtime/io_watch.h"

enum { SOON = 1000000, LATE = 2000000000 }; /* ns */

static struct io_watch watch;
static struct io_watch second; /* of the same number, in one test */
static int peer;
static int result; /* of io_watch_wait() */
static uint64_t timeout_ns;

/* Step 1: begin to wait; step 2: it is over. */
static void body(struct fake *f)
{
	if (f->step > 1) {
		fiber_finish(&f->base, false);
		return;
	}
	result =
		io_watch_wait(f->arg, &fake_loop, &f->base, f->tag, timeout_ns);
	if (result != 0)
		fiber_finish(&f->base, false);
}

static int setup(void **state)
{
	int fds[2];

	fake_set_up(state);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	io_watch_create(&watch, fds[0]);
	peer = fds[1];
	timeout_ns = UINT64_MAX;
	return 0;
}

static int teardown(void **state)
{
	inject_reset();
	io_watch_destroy(&watch);
	close(watch.fd);
	if (peer >= 0)
		close(peer);
	return fake_tear_down(state);
}

static void start_with(struct fake *f, struct io_watch *w, int what)
{
	fake_init(f, body);
	f->arg = w;
	f->tag = what;
	fiber_start(&f->base);
}

static void start(struct fake *f, int what)
{
	start_with(f, &watch, what);
	assert_int_equal(result, 0);
}

/* Rounds of the loop, as many as it takes for what has come. */
static void turn(void)
{
	for (int i = 0; i < 3; i++)
		loop_run(&fake_loop, UV_RUN_NOWAIT);
}

static bool is_over(const struct fake *f)
{
	return f->base.state == FIBER_DEAD;
}

static void fill(int fd)
{
	static const char much[65536];

	while (write(fd, much, sizeof much) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

static void wakes_who_waits_for_it(void **state)
{
	struct fake in, out, any;

	(void)state;
	fill(watch.fd);
	start(&in, IO_IN);
	start(&out, IO_OUT);
	start(&any, IO_IN | IO_OUT);
	turn();
	assert_false(is_over(&in) || is_over(&out) || is_over(&any));
	assert_int_equal(write(peer, "x", 1), 1);
	turn();
	assert_true(is_over(&in) && is_over(&any));
	assert_false(is_over(&out));
	assert_int_equal(in.last_status, 0);
	for (char buf[65536]; read(peer, buf, sizeof buf) > 0;)
		;
	turn();
	assert_true(is_over(&out));
	assert_true(io_watch_maybe(&watch, IO_IN));
	assert_true(io_watch_maybe(&watch, IO_OUT));
}

/* One that is ready when it is registered is told once more. */
static void ready_from_the_beginning(void **state)
{
	struct fake f;

	(void)state;
	assert_int_equal(write(peer, "x", 1), 1);
	start(&f, IO_IN);
	turn();
	assert_true(is_over(&f));
}

/* No edge comes without something new. */
static void an_edge_is_told_once(void **state)
{
	struct fake f, g;
	char c;

	(void)state;
	assert_int_equal(write(peer, "x", 1), 1);
	start(&f, IO_IN);
	turn();
	start(&g, IO_IN); /* against the rule: it has not tried */
	turn();
	assert_false(is_over(&g));
	assert_int_equal(write(peer, "y", 1), 1);
	turn();
	assert_true(is_over(&g));
	assert_int_equal(read(watch.fd, &c, 1), 1);
	io_watch_idle(&watch, IO_IN);
	assert_false(io_watch_maybe(&watch, IO_IN));
	assert_true(io_watch_maybe(&watch, IO_OUT));
}

static void ends_of_the_other_side(void **state)
{
	struct fake in, out;

	(void)state;
	fill(watch.fd);
	start(&in, IO_IN);
	start(&out, IO_OUT);
	turn();
	assert_false(watch.ended);
	close(peer);
	peer = -1;
	turn();
	assert_true(is_over(&in) && is_over(&out));
	assert_true(watch.ended);
}

static void ends_from_outside(void **state)
{
	struct fake f;

	(void)state;
	timeout_ns = SOON;
	start(&f, IO_IN);
	while (!is_over(&f))
		loop_run(&fake_loop, UV_RUN_ONCE);
	assert_int_equal(f.last_status, UV_ETIMEDOUT);
	timeout_ns = UINT64_MAX;
	start(&f, IO_IN);
	fiber_cancel(&f.base);
	turn();
	assert_true(is_over(&f));
	assert_int_equal(f.last_status, UV_ECANCELED);
	start(&f, IO_IN);
	assert_false(fiber_interrupt(&f.base, 0)); /* a wake-up is nothing */
	turn();
	assert_false(is_over(&f));
	/* Nobody waits: the loop does not live for it. */
	fiber_cancel(&f.base);
	turn();
	assert_int_equal(fake_loop.io_watches.wanted, 0);
	assert_int_equal(uv_loop_alive(&fake_loop.uv), 0);
}

static void destroyed_under_those_who_wait(void **state)
{
	struct fake f, g;

	(void)state;
	fill(watch.fd);
	start(&f, IO_IN);
	start(&g, IO_OUT);
	io_watch_destroy(&watch);
	io_watch_destroy(&watch);
	turn();
	assert_true(is_over(&f) && is_over(&g));
	assert_int_equal(f.last_status, 0);
	assert_true(io_watch_maybe(&watch, IO_IN));
	/* It can be used again. */
	start(&f, IO_IN);
	assert_int_equal(write(peer, "x", 1), 1);
	turn();
	assert_true(is_over(&f));
}

/* Two watches of one number: both are told, and neither's end is the other's. */
static void a_number_of_two(void **state)
{
	struct fake f, g;

	(void)state;
	io_watch_create(&second, watch.fd);
	start(&f, IO_IN);
	start_with(&g, &second, IO_IN);
	assert_int_equal(result, 0);
	assert_false(watch.link.own_fd);
	assert_true(second.link.own_fd);
	assert_int_equal(write(peer, "x", 1), 1);
	turn();
	assert_true(is_over(&f) && is_over(&g));
	start(&f, IO_IN);
	io_watch_destroy(&second);
	assert_null(second.in);
	assert_int_equal(write(peer, "y", 1), 1);
	turn();
	assert_true(is_over(&f));
}

static void failures(void **state)
{
	struct fake f;
	int file;

	(void)state;
	if (inject_arm("io_watch.set", 0, 1) == 0) {
		start_with(&f, &watch, IO_IN);
		assert_int_equal(result, UV_EMFILE);
		assert_int_equal(inject_arm("io_watch.add", 0, 1), 0);
		start_with(&f, &watch, IO_IN);
		assert_int_equal(result, UV_ENOMEM);
		inject_reset();
	}
	/* A file is always ready: there is nothing to wait for. */
	file = open("/proc/self/stat", O_RDONLY);
	io_watch_create(&second, file);
	start_with(&f, &second, IO_IN);
	assert_int_equal(result, UV_EPERM);
	assert_null(second.in);
	io_watch_destroy(&second);
	close(file);
	start(&f, IO_IN);
	assert_int_equal(write(peer, "x", 1), 1);
	turn();
	assert_true(is_over(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(wakes_who_waits_for_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ready_from_the_beginning, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_edge_is_told_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ends_of_the_other_side, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ends_from_outside, setup,
						teardown),
		cmocka_unit_test_setup_teardown(destroyed_under_those_who_wait,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_number_of_two, setup,
						teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
