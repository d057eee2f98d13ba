/* What a configuration must have beside the form of its values. */
#pragma once

struct config_node;
struct problems;

/** @a root is as its schema wants it. */
void check_more(const struct config_node *root, struct problems *p);
