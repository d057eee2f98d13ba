/* The text of a configuration, which is YAML, as a tree. */
#pragma once

#include <stddef.h>

struct config_tree;
struct problems;

/**
 * Read @a size bytes at @a text into @a t, which is all zero. One document of
 * maps, lists and texts: an alias is a copy, a name stands in a map once, tags
 * but YAML's own are refused. Variables are put into texts, see variables.h.
 * What is wrong goes to @a p; t->root is NULL when there is no tree.
 */
void tree_read(struct config_tree *t, const char *text, size_t size,
	       struct problems *p);
