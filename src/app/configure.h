/* What a configuration says of every state: limits, paths, libraries. */
#pragma once

struct config;
struct worker;

/** Before the states of @a config (NULL: none) are made: what is the process's. */
void configure_process(const struct config *config);

/** In a state, before any script has run. Returns 0, or -1 with diag set. */
int configure_state(struct worker *w, const struct config *config);
