/*
 * The epoll set of a loop: whose an event is, numbers of two, numbers that are
 * closed and used again while the kernel still has the file, and its end.
 */
#include "fake_fiber.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/inject.h"
#include "runtime/epoll_set.h"

static struct epoll_set set;
static int fds[2];
static int owners[3]; /* their addresses are told */
static int calls;

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	assert_ptr_equal(poll->data, &set);
	calls++;
}

static int setup(void **state)
{
	fake_set_up(state);
	calls = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(epoll_set_open(&set, &fake_loop.uv, on_ready, "none"),
			 0);
	return 0;
}

static int teardown(void **state)
{
	epoll_set_close(&set);
	epoll_set_close(&set);
	loop_run(&fake_loop, UV_RUN_NOWAIT);
	close(fds[0]);
	close(fds[1]);
	inject_reset();
	return fake_tear_down(state);
}

static void add(struct epoll_link *link, int fd, int *owner)
{
	assert_int_equal(epoll_set_add(&set, link, fd, EPOLLIN, owner), 0);
}

/* The owners of what is ready, of at most two. */
static int read_set(void *ready[2])
{
	struct epoll_event events[2];
	int n = epoll_set_read(&set, events, 2);

	for (int i = 0; i < n; i++)
		ready[i] = events[i].data.ptr;
	return n;
}

static void tells_the_owner(void **state)
{
	struct epoll_link link;
	void *ready[2];

	(void)state;
	add(&link, fds[0], &owners[0]);
	assert_int_equal(read_set(ready), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	epoll_set_want(&set);
	loop_run(&fake_loop, UV_RUN_ONCE);
	epoll_set_unwant(&set);
	assert_int_equal(calls, 1);
	assert_int_equal(read_set(ready), 1);
	assert_ptr_equal(ready[0], &owners[0]);
	epoll_set_remove(&set, &link);
	assert_int_equal(read_set(ready), 0);
}

static void a_number_of_two(void **state)
{
	struct epoll_link first, second;
	void *ready[2];

	(void)state;
	add(&first, fds[0], &owners[0]);
	add(&second, fds[0], &owners[1]);
	assert_false(first.own_fd);
	assert_true(second.own_fd);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read_set(ready), 2);
	assert_true(ready[0] != ready[1]);
	epoll_set_remove(&set, &first);
	assert_int_equal(read_set(ready), 1);
	assert_ptr_equal(ready[0], &owners[1]);
	epoll_set_remove(&set, &second);
	assert_int_equal(fcntl(second.fd, F_GETFD), -1);
	assert_true(fcntl(fds[0], F_GETFD) >= 0);
}

/* The kernel tells of a file whose number was closed as long as it is open. */
static void a_number_closed_too_early(void **state)
{
	struct epoll_link old, new;
	int file = dup(fds[0]), keep = dup(fds[0]), other[2];
	void *ready[2];

	(void)state;
	add(&old, file, &owners[0]);
	close(file);
	/* Another file has the number, and is watched. */
	assert_int_equal(pipe(other), 0);
	assert_int_equal(dup2(other[0], file), file);
	add(&new, file, &owners[1]);
	assert_false(new.own_fd);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read_set(ready), 1);
	assert_null(ready[0]);
	/* The end of the first is not the second's. */
	epoll_set_remove(&set, &old);
	close(keep);
	assert_int_equal(read(fds[0], &(char){ 0 }, 1), 1);
	assert_int_equal(write(other[1], "x", 1), 1);
	assert_int_equal(read_set(ready), 1);
	assert_ptr_equal(ready[0], &owners[1]);
	epoll_set_remove(&set, &new);
	assert_int_equal(read_set(ready), 0);
	close(file);
	close(other[0]);
	close(other[1]);
}

/* The loop lives for it as long as somebody wants it. */
static void keeps_the_loop_alive(void **state)
{
	(void)state;
	assert_int_equal(uv_loop_alive(&fake_loop.uv), 0);
	epoll_set_want(&set);
	epoll_set_want(&set);
	epoll_set_unwant(&set);
	assert_int_not_equal(uv_loop_alive(&fake_loop.uv), 0);
	epoll_set_unwant(&set);
	assert_int_equal(uv_loop_alive(&fake_loop.uv), 0);
}

static void failures(void **state)
{
	struct epoll_set unused = { 0 };
	struct epoll_link link;
	int file = open("/proc/self/stat", O_RDONLY), high;
	void *ready[2];

	(void)state;
	assert_int_equal(epoll_set_add(&set, &link, file, EPOLLIN, owners),
			 UV_EPERM);
	close(file);
	assert_int_equal(epoll_set_add(&set, &link, file, EPOLLIN, owners),
			 UV_EBADF);
	/* Places for a number beyond those there are. */
	high = fcntl(fds[0], F_DUPFD, 300);
	assert_true(high >= 300);
	add(&link, high, &owners[2]);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read_set(ready), 1);
	assert_ptr_equal(ready[0], &owners[2]);
	epoll_set_remove(&set, &link);
	close(high);
	if (inject_arm("epoll_set", 0, 1) == 0)
		assert_int_equal(epoll_set_open(&unused, &fake_loop.uv,
						on_ready, "epoll_set"),
				 UV_EMFILE);
	epoll_set_close(&unused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_the_owner, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_number_of_two, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_number_closed_too_early,
						setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_the_loop_alive, setup,
						teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
