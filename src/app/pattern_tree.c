/*
 * Trees of keys by their bits. See pattern_tree.h.
 *
 * A node stands for the first `bits` bits of all keys below it. It has the leaves
 * whose key is just that, or two children, or both. Nodes know no keys: a walk goes
 * by the bits at which nodes branch, and compares what it has skipped when it
 * comes to a leaf.
 */
#include "app/pattern_tree.h"

#include <uv.h>

#include "base/inject.h"

struct pattern_node {
	struct pattern_node *child[2]; /* by the bit behind; or NULL */
	struct pattern_leaf *leaves;   /* NULL: it only branches */
	size_t bits;
};

static uint8_t byte_at(const struct pattern_tree *t,
		       const struct pattern_key *k, size_t i)
{
	uint8_t b = k->data[t->reversed ? k->size - 1 - i : i];

	return t->fold && b >= 'A' && b <= 'Z' ? b + ('a' - 'A') : b;
}

static unsigned bit_at(const struct pattern_tree *t,
		       const struct pattern_key *k, size_t bit)
{
	return byte_at(t, k, bit / 8) >> (7 - bit % 8) & 1;
}

/* The first bit from @a from on that differs, or @a to. */
static size_t first_difference(const struct pattern_tree *t,
			       const struct pattern_key *a,
			       const struct pattern_key *b, size_t from,
			       size_t to)
{
	for (size_t i = from / 8; i * 8 < to; i++) {
		uint8_t x = byte_at(t, a, i) ^ byte_at(t, b, i);
		size_t at;

		if (x == 0)
			continue;
		at = i * 8 + (size_t)__builtin_clz(x) - 24;
		return at < to ? at : to;
	}
	return to;
}

static struct pattern_node *new_node(size_t bits)
{
	struct pattern_node *n = mem_zalloc(sizeof *n);

	if (n != NULL)
		n->bits = bits;
	return n;
}

/* Any key below @a n: all have its bits in common. */
static const struct pattern_key *any_key(const struct pattern_node *n)
{
	while (n->leaves == NULL)
		n = n->child[n->child[0] == NULL];
	return &n->leaves->key;
}

/* How far @a key agrees with what is in the tree. */
static size_t agreement(const struct pattern_tree *t,
			const struct pattern_key *key)
{
	const struct pattern_node *n = t->root, *next;
	const struct pattern_key *other;

	while (n->bits < key->bits &&
	       (next = n->child[bit_at(t, key, n->bits)]) != NULL)
		n = next;
	other = any_key(n);
	return first_difference(t, key, other, 0,
				other->bits < key->bits ? other->bits
							: key->bits);
}

static void append(struct pattern_node *n, struct pattern_leaf *leaf)
{
	struct pattern_leaf **p = &n->leaves;

	while (*p != NULL)
		p = &(*p)->next;
	leaf->next = NULL;
	*p = leaf;
}

/* At *place is a node, or nothing, that is behind bit @a same. */
static int insert(struct pattern_tree *t, struct pattern_node **place,
		  struct pattern_leaf *leaf, size_t same)
{
	const struct pattern_key *key = &leaf->key;
	struct pattern_node *below = *place, *n, *branch;

	if (below != NULL && below->bits == key->bits && same == key->bits) {
		append(below, leaf);
		return 0;
	}
	n = new_node(key->bits);
	if (n == NULL)
		return UV_ENOMEM;
	append(n, leaf);
	if (below == NULL) {
		*place = n;
	} else if (same == key->bits) {
		n->child[bit_at(t, any_key(below), key->bits)] = below;
		*place = n;
	} else {
		branch = new_node(same);
		if (branch == NULL) {
			mem_free(n);
			return UV_ENOMEM;
		}
		branch->child[bit_at(t, key, same)] = n;
		branch->child[!bit_at(t, key, same)] = below;
		*place = branch;
	}
	return 0;
}

int pattern_tree_add(struct pattern_tree *t, struct pattern_leaf *leaf)
{
	const struct pattern_key *key = &leaf->key;
	struct pattern_node **p = &t->root;
	size_t same;

	if (t->root == NULL)
		return insert(t, p, leaf, 0);
	same = agreement(t, key);
	while (*p != NULL && (*p)->bits < key->bits && (*p)->bits <= same)
		p = &(*p)->child[bit_at(t, key, (*p)->bits)];
	return insert(t, p, leaf, same);
}

/* Nothing is left at *place but what is below. */
static void shrink(struct pattern_node **place)
{
	struct pattern_node *n = *place;

	if (n->leaves != NULL || (n->child[0] != NULL && n->child[1] != NULL))
		return;
	*place = n->child[n->child[0] == NULL];
	mem_free(n);
}

void pattern_tree_remove(struct pattern_tree *t, struct pattern_leaf *leaf)
{
	const struct pattern_key *key = &leaf->key;
	struct pattern_node **p = &t->root, **above = NULL;
	struct pattern_leaf **l;

	while ((*p)->bits < key->bits) {
		above = p;
		p = &(*p)->child[bit_at(t, key, (*p)->bits)];
	}
	for (l = &(*p)->leaves; *l != leaf; l = &(*l)->next)
		;
	*l = leaf->next;
	shrink(p);
	if (above != NULL && *p == NULL)
		shrink(above);
}

void pattern_tree_visit(const struct pattern_tree *t,
			const struct pattern_key *key, pattern_visit_f visit,
			void *arg)
{
	const struct pattern_node *n = t->root;
	size_t same = 0;

	while (n != NULL && n->bits <= key->bits) {
		if (n->leaves != NULL) {
			if (first_difference(t, key, &n->leaves->key, same,
					     n->bits) != n->bits ||
			    !visit(n->leaves, arg))
				return;
			same = n->bits;
		}
		if (n->bits == key->bits)
			return;
		n = n->child[bit_at(t, key, n->bits)];
	}
}

static bool note_last(struct pattern_leaf *leaf, void *arg)
{
	*(struct pattern_leaf **)arg = leaf;
	return true;
}

struct pattern_leaf *pattern_tree_longest(const struct pattern_tree *t,
					  const struct pattern_key *key)
{
	struct pattern_leaf *last = NULL;

	pattern_tree_visit(t, key, note_last, &last);
	return last;
}

struct pattern_leaf *pattern_tree_exact(const struct pattern_tree *t,
					const struct pattern_key *key)
{
	struct pattern_leaf *last = pattern_tree_longest(t, key);

	return last != NULL && last->key.bits == key->bits ? last : NULL;
}

void pattern_tree_destroy(struct pattern_tree *t)
{
	struct pattern_node *n = t->root, *left, *right;

	/* Without a stack: what is on the left goes up, until there is nothing. */
	while (n != NULL) {
		left = n->child[0];
		if (left != NULL) {
			n->child[0] = left->child[1];
			left->child[1] = n;
			n = left;
		} else {
			right = n->child[1];
			mem_free(n);
			n = right;
		}
	}
	t->root = NULL;
}
