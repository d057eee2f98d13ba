/* Buffers: growth, limits to the byte, overflow, and no memory. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/inject.h"
#include "leak.h"

static void starts_empty_and_grows(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.size, 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf_putc(&b, (char)i), 0);
	assert_int_equal(b.size, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (char)i);
	assert_true(b.capacity < 4 * b.size);
	buf_destroy(&b);
	assert_null(b.data);
	assert_int_equal(b.size + b.capacity, 0);
	assert_int_equal(buf_puts(&b, "again"), 0);
	buf_destroy(&b);
	buf_destroy(&b);
}

/* Not one byte past the limit, however the bytes come; all up to it. */
static void limit_is_exact(void **state)
{
	(void)state;
	for (size_t limit = 1; limit < 300; limit++) {
		for (size_t step = 1; step < 9; step++) {
			struct buf b = { .limit = limit };
			size_t put = 0;

			while (buf_append(&b, "12345678", step) == 0)
				put += step;
			assert_int_equal(put, limit / step * step);
			assert_int_equal(b.size, put);
			while (put < limit) {
				assert_int_equal(buf_putc(&b, 'x'), 0);
				put++;
			}
			assert_int_equal(buf_putc(&b, 'x'), -ENOMEM);
			assert_int_equal(b.size, limit);
			buf_destroy(&b);
		}
	}
}

static void formats_up_to_the_limit(void **state)
{
	(void)state;
	for (size_t limit = 1; limit < 300; limit++) {
		struct buf b = { .limit = limit };
		char want[300];

		/* The end of a C string takes a byte of room, no more. */
		for (size_t n = 0; n + 1 < limit; n++) {
			b.size = 0;
			assert_int_equal(buf_printf(&b, "%*s", (int)n, ""), 0);
			memset(want, ' ', n);
			assert_int_equal(b.size, n);
			if (n > 0)
				assert_memory_equal(b.data, want, n);
		}
		b.size = 0;
		assert_int_equal(buf_printf(&b, "%*s", (int)limit + 1, ""),
				 -ENOMEM);
		assert_int_equal(b.size, 0);
		buf_destroy(&b);
	}
}

static void overflow_is_refused(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_puts(&b, "abc"), 0);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_null(buf_reserve(&b, SIZE_MAX - 2));
	assert_null(buf_reserve(&b, SIZE_MAX / 2 + 1));
	assert_int_equal(b.size, 3);
	assert_memory_equal(b.data, "abc", 3);
	buf_destroy(&b);
}

static void long_formats(void **state)
{
	struct buf b = { 0 };
	char *text = malloc(70001);

	(void)state;
	memset(text, 'y', 70000);
	text[70000] = '\0';
	for (size_t n = 120; n < 140; n++) {
		b.size = 0;
		assert_int_equal(buf_printf(&b, "%.*s", (int)n, text), 0);
		assert_int_equal(b.size, n);
	}
	b.size = 0;
	assert_int_equal(buf_printf(&b, "<%s>%d", text, 42), 0);
	assert_int_equal(b.size, 70004);
	assert_memory_equal(b.data + 70001, ">42", 3);
	free(text);
	buf_destroy(&b);
}

static void consume_and_reset(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_consume(&b, 5);
	assert_int_equal(b.size, 0);
	buf_reset(&b, 0);
	buf_puts(&b, "0123456789");
	buf_consume(&b, 0);
	assert_int_equal(b.size, 10);
	buf_consume(&b, 3);
	assert_int_equal(b.size, 7);
	assert_memory_equal(b.data, "3456789", 7);
	buf_consume(&b, SIZE_MAX);
	assert_int_equal(b.size, 0);
	assert_non_null(b.data);
	buf_reset(&b, b.capacity);
	assert_non_null(b.data);
	buf_reset(&b, b.capacity - 1);
	assert_null(b.data);
	buf_destroy(&b);
}

/* The contents survive a growth that fails, and the next one succeeds. */
static void no_memory_keeps_the_contents(void **state)
{
	(void)state;
	for (long k = 0; k < 12; k++) {
		struct buf b = { 0 };
		char want[2048];
		size_t put = 0;
		int failed = 0;

		inject_reset();
		if (inject_arm("malloc", k, 1) != 0)
			skip();
		while (put < sizeof want) {
			want[put] = (char)(put * 7);
			if (buf_putc(&b, want[put]) == 0)
				put++;
			else
				failed++;
			assert_int_equal(b.size, put);
		}
		assert_int_equal(failed, k < 6);
		assert_memory_equal(b.data, want, put);
		buf_destroy(&b);
	}
	inject_reset();
}

static void formatting_without_memory(void **state)
{
	(void)state;
	for (long k = 0; k < 3; k++) {
		struct buf b = { 0 };

		inject_reset();
		if (inject_arm("malloc", k, 1) != 0)
			skip();
		if (buf_printf(&b, "%200s", "x") != 0) {
			assert_int_equal(b.size, 0);
			assert_int_equal(buf_printf(&b, "%200s", "x"), 0);
		}
		assert_int_equal(b.size, 200);
		buf_destroy(&b);
	}
	inject_reset();
}

static void rounds(int n)
{
	while (n-- > 0) {
		struct buf b = { 0 };

		buf_printf(&b, "%3000s", "x");
		buf_reset(&b, 100);
		buf_puts(&b, "abc");
		buf_destroy(&b);
	}
}

static void heap_stays_level(void **state)
{
	struct buf leaked = { 0 };
	size_t before;

	(void)state;
	rounds(3);
	before = leak_bytes();
	rounds(100);
	assert_int_equal(leak_bytes(), before);
	/* The twin: one buffer that nobody destroys is seen. */
	rounds(100);
	buf_puts(&leaked, "x");
	assert_true(leak_bytes() > before);
	buf_destroy(&leaked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_empty_and_grows),
		cmocka_unit_test(limit_is_exact),
		cmocka_unit_test(formats_up_to_the_limit),
		cmocka_unit_test(overflow_is_refused),
		cmocka_unit_test(long_formats),
		cmocka_unit_test(consume_and_reset),
		cmocka_unit_test(no_memory_keeps_the_contents),
		cmocka_unit_test(formatting_without_memory),
		cmocka_unit_test(heap_stays_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
