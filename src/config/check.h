/* A configuration as its schema wants it. */
#pragma once

struct config_tree;
struct problems;
struct schema;
struct settings;

struct check_target {
	struct config_tree *tree;
	struct problems *problems;
	struct settings
		*settings;  /* get what the tree says, and the tree what is
				      in force */
	const char *folder; /* of relative paths */
};

/** Check all of the tree, whose root is there, and complete it: defaults, values
 * of their types, absolute paths. */
void check_tree(const struct check_target *target, const struct schema *schema);
