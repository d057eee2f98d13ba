/*
 * Trees of keys by their bits, path-compressed: the longest key that is the
 * beginning of a text, or all of them, in as many steps as there are branches on
 * the way. Keys are texts, also from their end or without regard to case, or
 * networks. Several items may have the same key.
 *
 * Not thread-safe. Items are the caller's, and stay where they are while they
 * are in a tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pattern_node;

/** The key of an item, or what is looked up. */
struct pattern_key {
	const uint8_t *data; /* of whole bytes */
	size_t size;         /* of them */
	size_t bits;         /* that count, from the begin */
};

/** Embedded in an item. */
struct pattern_leaf {
	struct pattern_key key;
	struct pattern_leaf *next; /* of the same key, in the order they came */
};

/** All zero is an empty tree. */
struct pattern_tree {
	struct pattern_node *root;
	bool reversed; /* keys begin with their last byte */
	bool fold;     /* 'a' and 'A' are the same */
};

/** Returns 0, or UV_ENOMEM with nothing changed. */
int pattern_tree_add(struct pattern_tree *t, struct pattern_leaf *leaf);

/** Take out one that is in it. */
void pattern_tree_remove(struct pattern_tree *t, struct pattern_leaf *leaf);

/** Called for each key that @a key begins with, the shortest first: with the
 * first leaf that has it. False ends it. */
typedef bool (*pattern_visit_f)(struct pattern_leaf *leaf, void *arg);
void pattern_tree_visit(const struct pattern_tree *t,
			const struct pattern_key *key, pattern_visit_f visit,
			void *arg);

/** The first leaf of the longest key that @a key begins with, or NULL. */
struct pattern_leaf *pattern_tree_longest(const struct pattern_tree *t,
					  const struct pattern_key *key);

/** The first leaf with that key, or NULL. */
struct pattern_leaf *pattern_tree_exact(const struct pattern_tree *t,
					const struct pattern_key *key);

/** Forget all leaves. */
void pattern_tree_destroy(struct pattern_tree *t);
