/*
 * The tree of a configuration: values with the places they stand at. It is made
 * by tree_read(), checked and completed by check.h, and never changes after that:
 * any thread may read it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "config/settings.h"

struct buf;

enum config_type {
	CONFIG_NIL, /* nothing is written there */
	CONFIG_BOOLEAN,
	CONFIG_NUMBER, /* durations in seconds, sizes in bytes */
	CONFIG_TEXT,
	CONFIG_LIST,
	CONFIG_MAP,
};

/** Counted from 1, columns in characters; line 0: in no file. */
struct config_place {
	unsigned line;
	unsigned column;
};

struct config_node {
	enum config_type type;
	enum setting_origin origin;
	const char *name;               /* in a map; NULL */
	struct config_place name_place; /* of that */
	struct config_place place;
	const char *text; /* of what is no list and no map: as written, with
			     variables put in; a path is absolute */
	const char *from; /* the variable or flag of ORIGIN_ENV, ORIGIN_FLAG;
			     else one whose value is in the text; NULL */
	bool secret;      /* not to be shown */
	bool quoted;
	bool boolean;
	double number;
	struct config_node *parent; /* NULL: it is the root */
	struct config_node *first;  /* of a list, of a map; in their order */
	struct config_node *last;
	struct config_node *next; /* beside it */
	unsigned count;
};

/** At most so many values, maps inside each other, names in a map, bytes of a
 * file; and bytes of a tree. */
enum {
	CONFIG_NODES_MAX = 100000,
	CONFIG_DEPTH_MAX = 32,
	CONFIG_NAMES_MAX = 1000,
	CONFIG_FILE_MAX = 4 << 20,
	CONFIG_TREE_MAX = 64 << 20,
};

struct config_tree {
	struct arena arena;
	unsigned count; /* of nodes */
	struct config_node *root;
};

/** A node of @a t that belongs nowhere yet; NULL: out of memory, or too many. */
struct config_node *config_node_new(struct config_tree *t,
				    enum config_type type);

/** Put @a n behind the others of @a parent. */
void config_node_add(struct config_node *parent, struct config_node *n);

/** Put @a n in the place of @a old, which is let go. */
void config_node_replace(struct config_node *old, struct config_node *n);

/** The value of @a name in the map @a n; NULL: there is none, or it is none. */
struct config_node *config_find(const struct config_node *n, const char *name);

/** The same through maps: "limits.action.total". */
struct config_node *config_at(const struct config_node *n, const char *names);

/** Append where in the tree it is: "listeners[0].address". Returns 0, or
 * UV_ENOMEM. */
int config_node_path(const struct config_node *n, struct buf *b);
