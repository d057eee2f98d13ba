/* The schema of the configuration told to programs: `neap config schema`. */
#pragma once

struct buf;

/**
 * Append an array of JSON objects, one for each key, in its order: `key` (such as
 * "listeners[].tls.cert_file"), `type`, and what there is of `help`, `default`,
 * `choices`, `min`, `max`, `variable`, `flag`, `required`, `brief`, `rules` (of an
 * action: where it stands) and `same_as`, the key whose own keys it has, too.
 * Returns 0, or -1 with diag set.
 */
int config_explain(struct buf *b);
