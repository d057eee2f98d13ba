/* What the process must have given back at its end: for tests. */
#pragma once

struct leaks {
	int descriptors; /* open at the start */
	int handles;     /* left open in the loop */
};

/** Note what is open now. */
void leaks_note(struct leaks *l);

/** The loop was closed with this many handles left. */
void leaks_set_handles(struct leaks *l, int count);

/** Say on stderr what is left. Returns how many kinds of things. */
int leaks_report(const struct leaks *l);
