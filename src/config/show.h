/* `neap config show`: every value, and where it comes from. */
#pragma once

#include <stdbool.h>

struct buf;
struct config;

/**
 * Append a line for each value: `limits.slice: 0.002  # server.yaml:3:10`; or,
 * with @a json, an object for each in an array. Secrets are not shown. Returns 0,
 * or -1 with diag set.
 */
int config_show(const struct config *c, bool json, struct buf *b);
