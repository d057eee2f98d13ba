/* Arenas: alignment, no overlap, limits, reuse, and no memory. */
#include "unit.h"

#include <stdalign.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/inject.h"
#include "leak.h"

enum { PIECES = 2000 };

/* Random pieces, each filled with its own byte: none may disturb another. */
static void pieces_are_apart(void **state)
{
	static struct {
		unsigned char *p;
		size_t size;
	} piece[PIECES];
	struct arena a = { 0 };

	(void)state;
	srand(7);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < PIECES; i++) {
			size_t size =
				(size_t)rand() % (i % 50 == 0 ? 20000 : 300);

			piece[i].p = arena_alloc(&a, size);
			piece[i].size = size;
			assert_non_null(piece[i].p);
			assert_int_equal((uintptr_t)piece[i].p %
						 alignof(max_align_t),
					 0);
			memset(piece[i].p, i & 0xff, size);
		}
		for (int i = 0; i < PIECES; i++) {
			for (size_t k = 0; k < piece[i].size; k++)
				assert_int_equal(piece[i].p[k], i & 0xff);
		}
		arena_reset(&a);
		assert_true(a.used <= 4096);
	}
	arena_destroy(&a);
}

static void strings_end(void **state)
{
	struct arena a = { 0 };
	char *s;

	(void)state;
	s = arena_strndup(&a, "abcdef", 3);
	assert_string_equal(s, "abc");
	assert_string_equal(arena_strndup(&a, "", 0), "");
	s = arena_strndup(&a, "a\0b", 3);
	assert_memory_equal(s, "a\0b", 4);
	arena_destroy(&a);
}

static void absurd_sizes_are_refused(void **state)
{
	struct arena a = { 0 };

	(void)state;
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 15));
	assert_null(arena_alloc(&a, SIZE_MAX / 2));
	assert_null(arena_strndup(&a, "x", SIZE_MAX));
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 1));
	arena_destroy(&a);
}

/* All of a limit can be had, whatever its size, and nothing beyond it. */
static void limit_can_be_used_up(void **state)
{
	static const size_t limits[] = { 16, 1008, 4096, 5008, 10000, 100000 };

	(void)state;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct arena a = { .limit = limits[i] };
		size_t got = 0;

		while (arena_alloc(&a, 16) != NULL) {
			got += 16;
			assert_true(a.used <= a.limit);
		}
		assert_int_equal(got, limits[i] / 16 * 16);
		assert_null(arena_alloc(&a, 16));
		arena_reset(&a);
		assert_null(arena_alloc(&a, limits[i] + 1));
		assert_non_null(arena_alloc(&a, 16));
		arena_destroy(&a);
	}
}

static void empty_arena_is_fine(void **state)
{
	struct arena a = { 0 };

	(void)state;
	arena_reset(&a);
	arena_destroy(&a);
	assert_non_null(arena_alloc(&a, 0));
	arena_destroy(&a);
	arena_destroy(&a);
}

static void no_memory(void **state)
{
	struct arena a = { 0 };
	char *kept;

	(void)state;
	kept = arena_strndup(&a, "kept", 4);
	if (inject_arm("malloc", 0, 1) != 0)
		skip();
	assert_null(arena_alloc(&a, 5000));
	assert_non_null(arena_alloc(&a, 5000));
	assert_string_equal(kept, "kept");
	inject_reset();
	arena_destroy(&a);
}

static void rounds(struct arena *a, int n)
{
	while (n-- > 0) {
		for (int i = 1; i < 100; i++)
			arena_alloc(a, (size_t)i * 100);
		arena_reset(a);
	}
}

static void heap_stays_level(void **state)
{
	struct arena a = { 0 }, leaked = { 0 };
	size_t before;

	(void)state;
	rounds(&a, 3);
	before = leak_bytes();
	rounds(&a, 50);
	assert_int_equal(leak_bytes(), before);
	/* The twin: an arena that is not destroyed is seen. */
	rounds(&a, 50);
	arena_alloc(&leaked, 1);
	assert_true(leak_bytes() > before);
	arena_destroy(&leaked);
	arena_destroy(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_apart),
		cmocka_unit_test(strings_end),
		cmocka_unit_test(absurd_sizes_are_refused),
		cmocka_unit_test(limit_can_be_used_up),
		cmocka_unit_test(empty_arena_is_fine),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(heap_stays_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
