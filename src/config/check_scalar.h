/* Values that are no lists and no maps, checked. For check.c alone. */
#pragma once

#include <stdbool.h>

#include "config/check.h"
#include "config/node.h"
#include "config/schema.h"

struct check {
	const struct check_target *target;
	bool as_written; /* nothing is put in */
};

/** A node of the tree; NULL, and it has been noted: out of memory. */
struct config_node *check_new(struct check *c, enum config_type type);

/** "expected WANTED, got .." at @a n. */
void check_refuse(struct check *c, const struct config_node *n,
		  const char *wanted, ...)
	__attribute__((format(printf, 3, 4)));

/** What a value of @a s looks like, in words; static. */
const char *check_wanted(const struct schema *s);

void check_scalar(struct check *c, struct config_node *n,
		  const struct schema *s);

/** @a n gets the value of the setting @a id and where that is from; what it is
 * now counts when it comes from nowhere else. */
void check_setting_in_force(struct check *c, struct config_node *n,
			    enum setting_id id);
