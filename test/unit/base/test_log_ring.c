/*
 * The last lines of the log, in memory.
 *
 * test: timeout 60, threads
 */
#include "unit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log_ring.h"

enum { LINE = LOG_RING_SIZE };

static char line[LINE], want[LINE];

static const struct log_ring_cursor oldest;

/* As log_ring_read(), from a cursor that stays. */
static uint64_t read_behind(struct log_ring_cursor at, unsigned most,
			    size_t room, size_t *size, unsigned *level)
{
	return log_ring_read(&at, most, line, room, size, level);
}

static uint64_t last(void)
{
	return log_ring_end().number;
}

/* Line @a n, whose text and size follow from it. */
static size_t make(char *to, uint64_t n)
{
	size_t size = 1 + (n * 7919) % 3000;

	memset(to, 'a' + (int)(n % 26), size);
	to[0] = (char)('0' + n % 10);
	return size;
}

static void put(uint64_t n, unsigned level)
{
	log_ring_put(level, want, make(want, n));
}

/* The first line is read before anything was put. */
static void test_empty(void **state)
{
	unsigned level;
	size_t size;

	(void)state;
	assert_int_equal(last(), 0);
	assert_int_equal(log_ring_count(0), 0);
	assert_int_equal(read_behind(oldest, 99, LINE, &size, &level), 0);
	log_ring_put(3, "x", 1);
	assert_int_equal(last(), 1);
	assert_int_equal(read_behind(oldest, 99, LINE, &size, &level), 1);
	assert_int_equal(size, 1);
	assert_int_equal(level, 3);
	assert_int_equal(read_behind(oldest, 2, LINE, &size, &level), 0);
	assert_int_equal(read_behind(log_ring_end(), 99, LINE, &size, &level),
			 0);
	assert_int_equal(log_ring_count(3), 1);
	assert_int_equal(log_ring_count(1000), 0);
}

/* Many times round: what is kept is whole, in order, and no more than fits. */
static void test_wrap(void **state)
{
	uint64_t from = last(), n, first = 0, count = 0;
	struct log_ring_cursor at = log_ring_end();
	size_t size, bytes = 0;
	unsigned level;

	(void)state;
	for (n = from + 1; n <= from + 5000; n++)
		put(n, (unsigned)(n % 8));
	while ((n = log_ring_read(&at, 99, line, LINE, &size, &level)) != 0) {
		if (first == 0)
			first = n;
		assert_int_equal(n, first + count);
		assert_int_equal(size, make(want, n));
		assert_memory_equal(line, want, size);
		assert_int_equal(level, n % 8);
		bytes += size;
		count++;
	}
	assert_int_equal(first + count - 1, from + 5000);
	assert_true(bytes <= LOG_RING_SIZE && bytes > LOG_RING_SIZE / 2);
	/* Only those of a level; those that are gone are passed over. */
	at = oldest;
	count = 0;
	while ((n = log_ring_read(&at, 0, line, LINE, &size, &level)) != 0) {
		assert_int_equal(n % 8, 0);
		count++;
	}
	assert_true(count > 5);
	/* The others have been looked at, and are not again. */
	assert_int_equal(at.number, from + 5000);
	put(++from + 5000, 0);
	assert_int_equal(log_ring_read(&at, 0, line, LINE, &size, &level),
			 from + 5000);
}

static void test_long_lines(void **state)
{
	struct log_ring_cursor before;
	uint64_t n;
	size_t size;
	unsigned level;

	(void)state;
	memset(want, 'L', LINE);
	for (int i = 0; i < 20; i++) {
		before = log_ring_end();
		log_ring_put(1, want, LINE);
	}
	n = last();
	assert_int_equal(read_behind(before, 99, LINE, &size, &level), n);
	assert_int_equal(size, LOG_RING_SIZE / 4);
	assert_memory_equal(line, want, size);
	/* Less room than the line: its beginning, and not a byte more. */
	line[10] = '#';
	assert_int_equal(read_behind(before, 99, 10, &size, &level), n);
	assert_int_equal(size, 10);
	assert_int_equal(line[10], '#');
	before = log_ring_end();
	log_ring_put(2, "", 0);
	assert_int_equal(read_behind(before, 99, LINE, &size, &level), n + 1);
	assert_int_equal(size, 0);
}

enum { WRITERS = 3, EACH = 5000 };

static void *write_lines(void *arg)
{
	char text[256];
	unsigned level = 8 + (unsigned)(uintptr_t)arg;

	memset(text, 'A' + (int)(uintptr_t)arg, sizeof(text));
	for (int i = 0; i < EACH; i++)
		log_ring_put(level, text, 1 + (size_t)i % sizeof(text));
	return NULL;
}

static void test_threads(void **state)
{
	uint64_t n = last(), from = n, next, seen = 0;
	struct log_ring_cursor at = log_ring_end();
	pthread_t threads[WRITERS];
	size_t size;
	unsigned level;
	bool all;

	(void)state;
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines,
						(void *)i),
				 0);
	do { /* what was there at last is read as well */
		all = last() == from + WRITERS * EACH;
		next = log_ring_read(&at, 99, line, LINE, &size, &level);
		if (next == 0)
			continue;
		assert_true(next > n && size >= 1 && size <= 256);
		memset(want, 'A' + (int)(level - 8), size);
		assert_memory_equal(line, want, size);
		n = next;
		seen++;
	} while (next != 0 || !all);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(seen > 0);
	assert_int_equal(n, from + WRITERS * EACH);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(log_ring_count(8 + i), EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
