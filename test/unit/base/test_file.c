/* Writing all of it: into a pipe that takes little at a time, past signals,
 * and where it cannot be done. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

enum { SIZE = 1 << 20 };

struct reader {
	pthread_t writer; /* interrupted between reads */
	int fd;
	size_t got;
	int wrong;
};

static char byte_at(size_t i)
{
	return (char)(i * 31 >> 3);
}

static void *read_slowly(void *arg)
{
	struct reader *r = arg;
	char part[5000];
	ssize_t n;

	while ((n = read(r->fd, part, sizeof part)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			r->wrong += part[i] != byte_at(r->got++);
		if (r->got < SIZE)
			pthread_kill(r->writer, SIGUSR1);
	}
	return NULL;
}

static void on_signal(int number)
{
	(void)number;
}

static void slow_reader_and_signals(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal }, before;
	struct reader r = { .writer = pthread_self() };
	char *data = malloc(SIZE);
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = byte_at(i);
	sigaction(SIGUSR1, &sa, &before);
	assert_int_equal(pipe(fds), 0);
	r.fd = fds[0];
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &r), 0);
	assert_int_equal(file_write_all(fds[1], data, SIZE), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	sigaction(SIGUSR1, &before, NULL);
	assert_int_equal(r.got, SIZE);
	assert_int_equal(r.wrong, 0);
	free(data);
}

static void failures(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(file_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(file_write_all(-1, "", 0), 0);
	assert_true(full >= 0);
	assert_int_equal(file_write_all(full, "x", 1), -ENOSPC);
	close(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_reader_and_signals),
		cmocka_unit_test(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
