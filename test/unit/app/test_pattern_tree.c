/*
 * Trees of keys by their bits, beside a list that is searched: random keys, in all
 * three ways, added and taken out.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "app/pattern_tree.h"
#include "base/inject.h"

enum { KEYS = 300, LONGEST = 6, ROUNDS = 4000 };

static struct {
	struct pattern_leaf leaf;
	uint8_t data[LONGEST];
	unsigned order;
	bool in;
} keys[KEYS];

static unsigned next_order;

static unsigned lower(unsigned c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static unsigned bit_of(const struct pattern_tree *t,
		       const struct pattern_key *k, size_t bit)
{
	unsigned c = k->data[t->reversed ? k->size - 1 - bit / 8 : bit / 8];

	return (t->fold ? lower(c) : c) >> (7 - bit % 8) & 1;
}

static bool begins(const struct pattern_tree *t, const struct pattern_key *text,
		   const struct pattern_key *with)
{
	if (with->bits > text->bits)
		return false;
	for (size_t i = 0; i < with->bits; i++) {
		if (bit_of(t, text, i) != bit_of(t, with, i))
			return false;
	}
	return true;
}

static void make_key(struct pattern_key *k, uint8_t *data, bool whole)
{
	static const char letters[] = "aAbB\x80\x81";

	k->data = data;
	k->size = (size_t)(rand() % (LONGEST + 1));
	for (size_t i = 0; i < k->size; i++)
		data[i] = (uint8_t)letters[rand() % 6];
	k->bits = k->size * 8;
	if (!whole && k->bits > 0)
		k->bits -= (size_t)(rand() % 8);
}

/* The first of the longest that the key begins with; 0: none. */
static unsigned longest(const struct pattern_tree *t,
			const struct pattern_key *k, size_t *ret_bits)
{
	unsigned first = 0;

	*ret_bits = 0;
	for (int i = 0; i < KEYS; i++) {
		const struct pattern_key *other = &keys[i].leaf.key;

		if (!keys[i].in || !begins(t, k, other))
			continue;
		if (first == 0 || other->bits > *ret_bits ||
		    (other->bits == *ret_bits && keys[i].order < first)) {
			first = keys[i].order;
			*ret_bits = other->bits;
		}
	}
	return first;
}

static unsigned order_of(const struct pattern_leaf *leaf)
{
	for (int i = 0; leaf != NULL && i < KEYS; i++) {
		if (&keys[i].leaf == leaf)
			return keys[i].order;
	}
	return 0;
}

static void compare(bool reversed, bool fold)
{
	struct pattern_tree t = { .reversed = reversed, .fold = fold };
	bool whole = reversed;
	size_t bits;

	memset(keys, 0, sizeof keys);
	next_order = 0;
	for (int round = 0; round < ROUNDS; round++) {
		int i = rand() % KEYS;
		struct pattern_key k;
		uint8_t data[LONGEST];
		unsigned want;
		struct pattern_leaf *got;

		if (keys[i].in) {
			pattern_tree_remove(&t, &keys[i].leaf);
		} else {
			make_key(&keys[i].leaf.key, keys[i].data, whole);
			keys[i].order = ++next_order;
			assert_int_equal(pattern_tree_add(&t, &keys[i].leaf),
					 0);
		}
		keys[i].in = !keys[i].in;
		make_key(&k, data, whole);
		want = longest(&t, &k, &bits);
		got = pattern_tree_longest(&t, &k);
		assert_int_equal(order_of(got), want);
		got = pattern_tree_exact(&t, &k);
		assert_int_equal(order_of(got),
				 want != 0 && bits == k.bits ? want : 0);
	}
	for (int i = 0; i < KEYS; i += 2) {
		if (keys[i].in)
			pattern_tree_remove(&t, &keys[i].leaf);
	}
	pattern_tree_destroy(&t);
	assert_null(t.root);
}

static void as_a_list(void **state)
{
	(void)state;
	srand(1);
	compare(false, false);
	compare(false, true);
	compare(true, false);
	compare(true, true);
}

/* Each key begins with the one before: the tree is as deep as there are. */
static void deep(void **state)
{
	enum { DEPTH = 20000 };
	struct pattern_leaf *leaves = calloc(DEPTH, sizeof *leaves);
	uint8_t *text = malloc(DEPTH);
	struct pattern_tree t = { .root = NULL };
	struct pattern_key all = { text, DEPTH, (size_t)DEPTH * 8 };

	(void)state;
	memset(text, 'x', DEPTH);
	for (size_t i = DEPTH; i-- > 0;) { /* from the longest */
		leaves[i].key =
			(struct pattern_key){ text, i + 1, (i + 1) * 8 };
		assert_int_equal(pattern_tree_add(&t, &leaves[i]), 0);
	}
	assert_ptr_equal(pattern_tree_longest(&t, &all), &leaves[DEPTH - 1]);
	pattern_tree_destroy(&t);
	free(leaves);
	free(text);
}

/* What there is no memory for leaves the tree as it is. */
static void no_memory(void **state)
{
	static const uint8_t texts[][2] = { "a", "b", "q" };
	struct pattern_leaf leaves[3] = { 0 };
	struct pattern_tree t = { .root = NULL };

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	for (int i = 0; i < 3; i++) {
		leaves[i].key = (struct pattern_key){ texts[i], 1, 8 };
		for (int after = 0; after < (i == 0 ? 1 : 2); after++) {
			inject_arm("malloc", after, 1);
			assert_int_not_equal(pattern_tree_add(&t, &leaves[i]),
					     0);
			inject_reset();
			for (int k = 0; k < 3; k++)
				assert_ptr_equal(
					pattern_tree_exact(&t, &leaves[k].key),
					k < i ? &leaves[k] : NULL);
		}
		assert_int_equal(pattern_tree_add(&t, &leaves[i]), 0);
	}
	pattern_tree_destroy(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_list),
		cmocka_unit_test(deep),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
