/*
 * The console over a unix socket, where memory is short.
 *
 * test: timeout 60
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/worker.h"
#include "base/inject.h"
#include "console/remote.h"

static struct worker worker; /* as much of it as a console needs */
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void on_uncaught(struct lua_fiber *f, const char *text, void *arg)
{
	(void)f;
	(void)arg;
	fail_msg("uncaught: %s", text);
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/remote.%d",
		 tmp == NULL ? "/tmp" : tmp, (int)getpid());
	assert_int_equal(loop_create(&worker.loop), 0);
	assert_int_equal(sched_create(&worker.sched, &worker.loop), 0);
	assert_int_equal(
		lua_vm_create(&worker.vm, &worker.sched, on_uncaught, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inject_reset();
	remote_close_all();
	loop_run(&worker.loop, UV_RUN_DEFAULT);
	assert_int_equal(worker.sched.count, 0);
	lua_vm_destroy(&worker.vm);
	sched_close(&worker.sched);
	assert_int_equal(loop_destroy(&worker.loop, NULL, NULL), 0);
	assert_int_not_equal(access(address.sun_path, F_OK), 0);
	return 0;
}

static struct remote *listen_there(void)
{
	struct remote_options o = {
		.path = address.sun_path,
		.mode = 0600,
		.connections = 100,
	};

	return remote_listen(&worker, &o);
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* Turn the loop until the console has said something to @a fd. */
static void await_greeting(int fd)
{
	char text[64];
	ssize_t n;

	while ((n = recv(fd, text, sizeof text, MSG_DONTWAIT)) < 0) {
		assert_int_equal(errno, EAGAIN);
		loop_run(&worker.loop, UV_RUN_ONCE);
	}
	assert_true(n > 4);
	assert_memory_equal(text, "neap", 4);
}

/* Who could not be taken is taken later, and so are those behind. */
static void test_accepts_again(void **state)
{
	int first, second;

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	assert_non_null(listen_there());
	inject_reset();
	inject_arm("malloc", 0, 2);
	first = client();
	second = client();
	await_greeting(first);
	assert_true(inject_asked("malloc") > 2);
	await_greeting(second);
	close(first);
	close(second);
}

static void test_closed_before_the_retry(void **state)
{
	struct remote *r;
	int fd;

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	r = listen_there();
	assert_non_null(r);
	inject_reset();
	inject_arm("malloc", 0, -1);
	fd = client();
	while (inject_asked("malloc") == 0)
		loop_run(&worker.loop, UV_RUN_ONCE);
	remote_close(r);
	loop_run(&worker.loop, UV_RUN_DEFAULT);
	close(fd);
}

/* Of many lines that are there at once, others run between pieces. */
static void test_takes_turns(void **state)
{
	static const char lines[] =
		"n = 0 function slow() local c = os.clock() "
		"while os.clock() < c + 0.01 do end n = n + 1 end\n"
		"slow()\nslow()\nslow()\nslow()\nslow()\nslow()\n"
		"slow()\nslow()\nslow()\nslow()\nslow()\nslow()\n";
	int fd, rounds = 0;
	lua_Integer n;

	(void)state;
	assert_non_null(listen_there());
	fd = client();
	assert_int_equal(write(fd, lines, sizeof lines - 1), sizeof lines - 1);
	do {
		loop_run(&worker.loop, UV_RUN_NOWAIT);
		lua_getglobal(worker.vm.L, "n");
		n = lua_tointeger(worker.vm.L, -1);
		lua_pop(worker.vm.L, 1);
		rounds += n > 0;
	} while (n < 12);
	assert_in_range(rounds, 6, 1000000);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accepts_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_closed_before_the_retry,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_takes_turns, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
