/*
 * Dictionaries between threads: values, times to live, who goes for want of
 * room, the account of bytes against a model and the heap, no memory, and what
 * eight threads may see of each other.
 *
 * test: timeout 120, threads
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "base/buf.h"
#include "base/inject.h"
#include "leak.h"
#include "runtime/shared_dict.h"

enum { THREADS = 8, SMALL = 64 * 1024, MS = 1000000 };

static struct shared_dict *d;

static void make(size_t size)
{
	struct shared_object *o;

	assert_int_equal(shared_object_open(&shared_dict_kind, "d", &size, &o),
			 0);
	d = (struct shared_dict *)o;
}

static void drop(void)
{
	shared_object_forget((struct shared_object *)d);
	shared_object_unref((struct shared_object *)d);
	assert_int_equal(shared_object_count(), 0);
}

static struct shared_key key_of(const char *text)
{
	return (struct shared_key){ text, strlen(text) };
}

static struct shared_value number(double n)
{
	return (struct shared_value){ .type = SHARED_NUMBER, .number = n };
}

static struct shared_value sint(int64_t n)
{
	return (struct shared_value){ .type = SHARED_SINT, .sint = n };
}

static struct shared_value bytes(const char *data, size_t size)
{
	return (struct shared_value){ .type = SHARED_STRING,
				      .data = data,
				      .size = size };
}

static int set(const char *key, struct shared_value v, uint64_t now,
	       uint64_t due)
{
	return shared_dict_store(d, key_of(key), SHARED_SET, NULL, &v, now,
				 due);
}

static char room[SMALL];

static int get(const char *key, uint64_t now, struct shared_value *ret)
{
	size_t size = sizeof room;

	return shared_dict_get(d, key_of(key), now, room, &size, ret);
}

static bool has(const char *key, uint64_t now)
{
	uint64_t due;

	return shared_dict_due(d, key_of(key), now, &due) == 0;
}

static void test_values(void **state)
{
	struct shared_value v, old;
	size_t size = 3;

	(void)state;
	make(SMALL);
	assert_int_equal(get("a", 1, &v), UV_ENOENT);
	assert_int_equal(set("a", number(1.5), 1, SHARED_DICT_NEVER), 0);
	assert_int_equal(get("a", 1, &v), 0);
	assert_int_equal(v.type, SHARED_NUMBER);
	assert_true(v.number == 1.5);
	assert_int_equal(set("a", bytes("abcd", 4), 1, SHARED_DICT_NEVER), 0);
	assert_int_equal(shared_dict_get(d, key_of("a"), 1, room, &size, &v),
			 UV_ENOBUFS);
	assert_int_equal(size, 4);
	assert_int_equal(get("a", 1, &v), 0);
	assert_int_equal(v.size, 4);
	assert_memory_equal(v.data, "abcd", 4);
	assert_int_equal(set("", bytes("", 0), 1, SHARED_DICT_NEVER), 0);
	assert_int_equal(get("", 1, &v), 0);
	assert_int_equal(v.size, 0);
	/* conditions */
	v = sint(7);
	assert_int_equal(shared_dict_store(d, key_of("a"), SHARED_ADD, NULL, &v,
					   1, SHARED_DICT_NEVER),
			 UV_EEXIST);
	assert_int_equal(shared_dict_store(d, key_of("b"), SHARED_REPLACE, NULL,
					   &v, 1, SHARED_DICT_NEVER),
			 UV_ENOENT);
	assert_false(has("b", 1));
	old = bytes("abce", 4);
	assert_int_equal(shared_dict_store(d, key_of("a"), SHARED_SWAP, &old,
					   &v, 1, SHARED_DICT_NEVER),
			 UV_EAGAIN);
	old = bytes("abcd", 4);
	assert_int_equal(shared_dict_store(d, key_of("a"), SHARED_SWAP, &old,
					   &v, 1, SHARED_DICT_NEVER),
			 0);
	/* numbers are equal across types */
	old = number(7);
	assert_int_equal(shared_dict_remove(d, key_of("a"), &old, 1), 0);
	assert_int_equal(shared_dict_remove(d, key_of("a"), NULL, 1),
			 UV_ENOENT);
	drop();
}

static void test_incr(void **state)
{
	struct shared_value v, by = number(1), init = sint(INT64_MAX - 2);

	(void)state;
	make(SMALL);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, NULL, 1, 9, &v),
			 UV_ENOENT);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, &init, 1,
					  SHARED_DICT_NEVER, &v),
			 0);
	assert_int_equal(v.type, SHARED_SINT);
	assert_true(v.sint == INT64_MAX - 1);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, NULL, 1, 9, &v),
			 0);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, NULL, 1, 9, &v),
			 UV_ERANGE);
	by = number(0.5);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, NULL, 1, 9, &v),
			 UV_ERANGE);
	assert_int_equal(get("n", 1, &v), 0);
	assert_true(v.sint == INT64_MAX);
	by = sint(INT64_MIN);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, NULL, 1, 9, &v),
			 0);
	assert_true(v.sint == -1);
	assert_int_equal(set("n", bytes("1", 1), 1, SHARED_DICT_NEVER), 0);
	assert_int_equal(shared_dict_incr(d, key_of("n"), &by, NULL, 1, 9, &v),
			 UV_EINVAL);
	drop();
}

static void test_times(void **state)
{
	struct shared_value v, one = number(1);
	struct shared_dict_stat stat;
	char key[16];
	size_t free, swept;

	(void)state;
	make(SMALL);
	free = shared_dict_free(d);
	assert_int_equal(set("a", one, 10, 20), 0);
	assert_true(has("a", 19));
	assert_false(has("a", 20));
	assert_int_equal(shared_dict_free(d), free); /* it was come across */
	/* What is due does not stand in the way, nor is it there. */
	assert_int_equal(set("a", one, 30, 40), 0);
	assert_int_equal(shared_dict_store(d, key_of("a"), SHARED_ADD, NULL,
					   &one, 40, 50),
			 0);
	assert_int_equal(shared_dict_store(d, key_of("a"), SHARED_REPLACE, NULL,
					   &one, 50, 60),
			 UV_ENOENT);
	assert_int_equal(set("a", one, 50, 60), 0);
	assert_int_equal(
		shared_dict_incr(d, key_of("a"), &one, &one, 60, 70, &v), 0);
	assert_true(v.number == 2); /* made anew */
	/* incr keeps the time, set takes it away, expire changes it */
	assert_int_equal(
		shared_dict_incr(d, key_of("a"), &one, &one, 65, 99, &v), 0);
	assert_false(has("a", 70));
	assert_int_equal(set("a", one, 70, 80), 0);
	assert_int_equal(set("a", one, 71, SHARED_DICT_NEVER), 0);
	assert_true(has("a", UINT64_MAX - 1));
	assert_int_equal(shared_dict_expire(d, key_of("a"), 72, 90), 0);
	assert_int_equal(shared_dict_expire(d, key_of("a"), 90, 95), UV_ENOENT);
	/* Those that nobody asks for are swept by changes of others. */
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(set(key, one, 100, 200), 0);
	}
	assert_int_equal(shared_dict_count(d, 199), 100);
	/* Where they are is a matter of chance, and so is when. */
	swept = free - 100 * shared_dict_cost(3, 8) +
		10 * (shared_dict_cost(3, 8) - shared_dict_cost(2, 8));
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "x%d", i);
		assert_int_equal(set(key, one, 200, 300), 0);
	}
	for (int i = 0; i < 100000 && shared_dict_free(d) != swept; i++) {
		snprintf(key, sizeof key, "y%d", i);
		assert_int_equal(set(key, one, 200, 300), 0);
		assert_int_equal(shared_dict_remove(d, key_of(key), NULL, 200),
				 0);
	}
	shared_dict_stat(d, &stat);
	assert_int_equal(stat.evictions, 0);
	assert_int_equal(shared_dict_free(d), swept);
	assert_int_equal(shared_dict_sweep(d, 300, 7), 7);
	assert_int_equal(shared_dict_sweep(d, 300, SIZE_MAX), 93);
	assert_int_equal(shared_dict_count(d, 300), 0);
	assert_int_equal(shared_dict_free(d), free);
	drop();
}

/* Exactly those that were used least lately go, one by one, in that order. */
static void test_order_of_use(void **state)
{
	enum { MAX = 4096 };
	static int order[MAX];
	size_t cost = shared_dict_cost(5, 8);
	uint64_t now = 1;
	char key[16];
	int n;

	(void)state;
	make(SMALL);
	n = (int)(shared_dict_capacity(d) / cost);
	assert_in_range(n, 100, MAX);
	for (int i = 0; i < n; i++) {
		order[i] = i;
		snprintf(key, sizeof key, "%05d", i);
		assert_int_equal(set(key, number(i), ++now, SHARED_DICT_NEVER),
				 0);
	}
	assert_true(shared_dict_free(d) < cost);
	srand(1);
	for (int i = n - 1; i > 0; i--) {
		int j = rand() % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (int i = 0; i < n; i++) { /* used by turns in three ways */
		struct shared_value v, by = number(0);

		snprintf(key, sizeof key, "%05d", order[i]);
		if (i % 3 == 0)
			assert_int_equal(get(key, ++now, &v), 0);
		else if (i % 3 == 1)
			assert_int_equal(shared_dict_incr(d, key_of(key), &by,
							  NULL, ++now, 0, &v),
					 0);
		else
			assert_int_equal(set(key, number(0), ++now,
					     SHARED_DICT_NEVER),
					 0);
	}
	for (int i = 0; i < n; i++) {
		struct shared_dict_stat stat;

		snprintf(key, sizeof key, "n%04d", i);
		assert_int_equal(set(key, number(i), ++now, SHARED_DICT_NEVER),
				 0);
		shared_dict_stat(d, &stat);
		assert_int_equal(stat.evictions, i + 1);
		snprintf(key, sizeof key, "%05d", order[i]);
		assert_false(has(key, now));
		if (i + 1 < n) {
			snprintf(key, sizeof key, "%05d", order[i + 1]);
			assert_true(has(key, now));
		}
	}
	drop();
}

/* A value that is replaced by a larger one does not go for it, others do. */
static void test_large(void **state)
{
	static char big[SMALL];
	size_t capacity, most, none;
	struct shared_value v;

	(void)state;
	make(SMALL);
	none = shared_dict_free(d);
	capacity = shared_dict_capacity(d);
	most = capacity - shared_dict_cost(1, 0);
	while (shared_dict_cost(1, most + 1) <= capacity)
		most++;
	assert_int_equal(set("a", bytes(big, most + 1), 1, SHARED_DICT_NEVER),
			 UV_E2BIG);
	assert_int_equal(set("b", number(1), 1, SHARED_DICT_NEVER), 0);
	assert_int_equal(set("a", bytes(big, 10), 2, SHARED_DICT_NEVER), 0);
	assert_int_equal(set("a", bytes(big, most), 3, SHARED_DICT_NEVER), 0);
	assert_false(has("b", 4));
	assert_int_equal(get("a", 4, &v), 0);
	assert_int_equal(v.size, most);
	assert_int_equal(set("a", bytes(big, most + 1), 5, SHARED_DICT_NEVER),
			 UV_E2BIG);
	assert_true(has("a", 5));
	assert_int_equal(set("a", bytes(big, most), 6, SHARED_DICT_NEVER), 0);
	assert_int_equal(shared_dict_remove(d, key_of("a"), NULL, 7), 0);
	assert_int_equal(shared_dict_free(d), none);
	drop();
}

/* What is in the dictionary, by its keys: their cost. */
static size_t cost_of_all(uint64_t now, size_t *ret_count)
{
	struct buf keys = { 0 };
	size_t cost = 0;
	uint32_t size;

	*ret_count = 0;
	assert_int_equal(shared_dict_keys(d, now, SIZE_MAX, &keys), 0);
	for (size_t at = 0; at < keys.size; at += size) {
		struct shared_value v;
		size_t room_size = sizeof room;

		memcpy(&size, keys.data + at, sizeof size);
		at += sizeof size;
		assert_int_equal(shared_dict_get(d,
						 (struct shared_key){
							 keys.data + at, size },
						 now, room, &room_size, &v),
				 0);
		cost += shared_dict_cost(size, v.type == SHARED_STRING
						       ? v.size
						       : sizeof(double));
		++*ret_count;
	}
	buf_destroy(&keys);
	return cost;
}

/* Random work against a model of what must be there where nothing goes for
 * want of room; and where it does, the account against the heap. */
static void random_work(size_t size, int keys, bool modelled)
{
	struct entry {
		bool there;
		size_t value_size;
		uint64_t due;
	} *model = calloc((size_t)keys, sizeof *model);
	static char big[2048];
	size_t heap, count, cost;
	uint64_t now = 1000;
	char key[64];

	make(size);
	heap = leak_bytes();
	srand(7);
	for (int n = 0; n < 100000; n++) {
		int k = rand() % keys;
		struct entry *e = &model[k];
		size_t value_size = (size_t)(rand() % (int)sizeof big);
		uint64_t due = rand() % 2 ? SHARED_DICT_NEVER
					  : now + (uint64_t)(rand() % 5000);
		int rc;

		now++;
		snprintf(key, sizeof key, "%0*d", k % 50 + 1, k);
		if (e->due <= now)
			e->there = false;
		switch (rand() % 4) {
		case 0:
		case 1:
			rc = set(key, bytes(big, value_size), now, due);
			assert_int_equal(rc, 0);
			*e = (struct entry){ true, value_size, due };
			break;
		case 2:
			rc = shared_dict_remove(d, key_of(key), NULL, now);
			if (modelled)
				assert_int_equal(rc, e->there ? 0 : UV_ENOENT);
			e->there = false;
			break;
		default: {
			struct shared_value v;

			rc = get(key, now, &v);
			if (modelled)
				assert_int_equal(rc, e->there ? 0 : UV_ENOENT);
			if (rc == 0)
				assert_int_equal(v.size, e->value_size);
		}
		}
		if (n % 10000 != 9999)
			continue;
		shared_dict_sweep(d, now, SIZE_MAX);
		cost = cost_of_all(now, &count);
		assert_int_equal(shared_dict_count(d, now), count);
		assert_int_equal(shared_dict_free(d),
				 shared_dict_capacity(d) - cost);
#ifndef LEAK_SANITIZED
		/* One word of each is malloc()'s own; a rest that is too small
		 * to be one of its own comes along. */
		assert_in_range(leak_bytes() - heap, cost - count * 8,
				cost + count * 8);
#endif
	}
	shared_dict_flush(d);
	assert_int_equal(shared_dict_free(d), shared_dict_capacity(d));
	assert_int_equal(leak_bytes(), heap);
	drop();
	free(model);
}

static void test_account(void **state)
{
	(void)state;
	random_work((size_t)64 << 20, 5000, true);
	random_work(256 * 1024, 5000, false);
	random_work(SHARED_DICT_MIN, 50, false);
}

static void test_no_memory(void **state)
{
	struct shared_value v, one = number(1);
	struct shared_object *o;
	size_t size = SMALL, used;
	struct buf keys = { 0 };

	(void)state;
	if (inject_arm("malloc", 0, 1) != 0)
		skip();
	for (int i = 0; i < 2; i++) {
		inject_arm("malloc", i, 1);
		assert_int_equal(shared_object_open(&shared_dict_kind, "d",
						    &size, &o),
				 UV_ENOMEM);
		assert_int_equal(shared_object_count(), 0);
		inject_reset();
	}
	make(SMALL);
	assert_int_equal(set("a", bytes("old", 3), 1, SHARED_DICT_NEVER), 0);
	used = shared_dict_free(d);
	inject_arm("malloc", 0, -1);
	assert_int_equal(set("a", bytes(room, 100), 1, SHARED_DICT_NEVER),
			 UV_ENOMEM);
	assert_int_equal(set("b", one, 1, SHARED_DICT_NEVER), UV_ENOMEM);
	assert_int_equal(shared_dict_incr(d, key_of("b"), &one, &one, 1,
					  SHARED_DICT_NEVER, &v),
			 UV_ENOMEM);
	assert_int_equal(shared_dict_keys(d, 1, 10, &keys), UV_ENOMEM);
	assert_int_equal(set("a", bytes("new", 3), 1, SHARED_DICT_NEVER), 0);
	inject_reset();
	assert_int_equal(get("a", 1, &v), 0);
	assert_memory_equal(v.data, "new", 3);
	assert_int_equal(shared_dict_free(d), used);
	buf_destroy(&keys);
	drop();
}

/* Eight threads on few keys: what each sees must have an order. */

enum { ROUNDS = 20000, KEYS = 64 };

static atomic_int swaps, winners[KEYS * 16];

static void add_up(struct shared_value *seen)
{
	struct shared_value by = number(1), zero = number(0), old, v;
	size_t size = sizeof seen->number;

	/* A sum that is never less than the one seen before. */
	assert_int_equal(shared_dict_incr(d, key_of("sum"), &by, &zero,
					  uv_hrtime(), SHARED_DICT_NEVER, &v),
			 0);
	if (!(v.number > seen->number))
		abort();
	*seen = v;
	/* Each swap that is done saw the number before it. */
	if (shared_dict_get(d, key_of("swap"), uv_hrtime(), NULL, &size,
			    &old) != 0)
		abort();
	v = sint(old.sint + 1);
	if (shared_dict_store(d, key_of("swap"), SHARED_SWAP, &old, &v,
			      uv_hrtime(), SHARED_DICT_NEVER) == 0)
		atomic_fetch_add(&swaps, 1);
}

/* A value is whole, and of its key, whoever else writes it. */
static void write_whole(unsigned *seed)
{
	char key[16], text[256], mine[256];
	size_t size = sizeof text, n = 1 + (size_t)rand_r(seed) % 255;
	int k = rand_r(seed) % KEYS;
	struct shared_value v;

	snprintf(key, sizeof key, "w%02d", k);
	memset(mine, '!' + k, n);
	v = bytes(mine, n);
	if (shared_dict_store(d, key_of(key), SHARED_SET, NULL, &v, uv_hrtime(),
			      rand_r(seed) % 2 ? uv_hrtime() + MS
					       : SHARED_DICT_NEVER) != 0)
		abort();
	if (shared_dict_get(d, key_of(key), uv_hrtime(), text, &size, &v) != 0)
		return;
	for (size_t i = 0; i < v.size; i++) {
		if (text[i] != '!' + k)
			abort();
	}
}

static void *run_thread(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct shared_value seen = number(-1), v;
	struct buf keys = { 0 };
	char key[16];

	for (int i = 0; i < ROUNDS; i++) {
		add_up(&seen);
		write_whole(&seed);
		/* Of those who add one key, one wins. */
		snprintf(key, sizeof key, "add%d", i % (KEYS * 16));
		v = sint((int64_t)(uintptr_t)arg);
		if (shared_dict_store(d, key_of(key), SHARED_ADD, NULL, &v,
				      uv_hrtime(), SHARED_DICT_NEVER) == 0)
			atomic_fetch_add(&winners[i % (KEYS * 16)], 1);
		if (i % 1000 == 0) {
			keys.size = 0;
			if (shared_dict_keys(d, uv_hrtime(), 100, &keys) != 0)
				abort();
			shared_dict_count(d, uv_hrtime());
		}
	}
	buf_destroy(&keys);
	return NULL;
}

static void run_threads(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run,
						(void *)(i + 1)),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_threads(void **state)
{
	struct shared_value v;
	size_t count;

	(void)state;
	make((size_t)1 << 20);
	assert_int_equal(set("swap", sint(0), 1, SHARED_DICT_NEVER), 0);
	run_threads(run_thread);
	assert_int_equal(get("sum", uv_hrtime(), &v), 0);
	assert_true(v.number == (double)THREADS * ROUNDS);
	assert_int_equal(get("swap", uv_hrtime(), &v), 0);
	assert_int_equal(v.sint, atomic_load(&swaps));
	for (int i = 0; i < KEYS * 16; i++)
		assert_int_equal(atomic_load(&winners[i]), 1);
	shared_dict_sweep(d, uv_hrtime() + 10 * MS, SIZE_MAX);
	assert_int_equal(shared_dict_free(d),
			 shared_dict_capacity(d) -
				 cost_of_all(uv_hrtime() + 10 * MS, &count));
	drop();
}

/* The same where everything always goes for want of room, or is flushed. */
static void *run_crowded(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	static char big[SHARED_DICT_MIN];
	char key[16];

	for (int i = 0; i < ROUNDS; i++) {
		struct shared_value v =
			bytes(big, (size_t)rand_r(&seed) %
					   (shared_dict_capacity(d) / 2));

		snprintf(key, sizeof key, "%d", rand_r(&seed) % KEYS);
		if (shared_dict_store(d, key_of(key), SHARED_SET, NULL, &v,
				      uv_hrtime(), SHARED_DICT_NEVER) != 0)
			abort();
		if (shared_dict_free(d) > shared_dict_capacity(d))
			abort();
		if (i % 997 == 0)
			shared_dict_flush(d);
	}
	return NULL;
}

static void test_crowded(void **state)
{
	size_t count;

	(void)state;
	make(SHARED_DICT_MIN);
	run_threads(run_crowded);
	assert_int_equal(shared_dict_free(d),
			 shared_dict_capacity(d) -
				 cost_of_all(uv_hrtime(), &count));
	shared_dict_flush(d);
	assert_int_equal(shared_dict_free(d), shared_dict_capacity(d));
	drop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_incr),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_order_of_use),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_crowded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
