/* What a console of the configuration must have, beside the form of its values. */
#pragma once

struct config_node;
struct problems;

/** @a root is checked by its schema. */
void check_consoles(const struct config_node *root, struct problems *p);
