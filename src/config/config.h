/*
 * A configuration: read from a file, checked, completed. It never changes, is
 * shared by all threads and goes with the last reference.
 */
#pragma once

#include "config/node.h"

struct config;
struct settings;

/**
 * Load the file @a path. The environment wins over it: where a value of
 * @a settings comes from a stronger origin it stays, and the tree has that;
 * else it is set. Returns NULL with diag set: SystemError, it cannot be read;
 * ClientError, it is wrong: the message is a line for each problem, which begins
 * "PATH:LINE:COLUMN: "; OutOfMemory. Some settings may have been set then.
 */
struct config *config_load(const char *path, struct settings *settings);

struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* NULL is fine */

/** As it was given to config_load(). */
const char *config_path(const struct config *c);

/** The absolute path of the file's folder. */
const char *config_folder(const struct config *c);

/** A map. */
const struct config_node *config_root(const struct config *c);
