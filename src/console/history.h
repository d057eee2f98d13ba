/*
 * The console's history: entries without duplicates, kept in a file that
 * several consoles may write at once. An entry may have several lines; in the
 * file it is one, with \n and \\ for line ends and backslashes.
 */
#pragma once

#include <stddef.h>

enum {
	HISTORY_MAX = 1000,            /* entries kept */
	HISTORY_ENTRY_MAX = 64 * 1024, /* longer ones are not kept */
};

struct history {
	char **entries; /* oldest first */
	size_t count;
	char *path; /* NULL: not kept in a file */
};

/**
 * The file where the history belongs: @a setting when not NULL ("" means
 * none), else by the rules of the desktop. To be freed with mem_free(); NULL:
 * there is none.
 */
char *history_default_path(const char *setting);

/**
 * Load the entries of @a path (NULL: none, and nothing is written). A missing
 * file is made when the first entry is added. Returns 0, or -1 with diag set
 * and the history usable without its file.
 */
int history_create(struct history *h, const char *path);
void history_destroy(struct history *h);

/**
 * Add an entry, to the file too; an older one of the same text goes. Returns
 * 0, or -1 with diag set when the file could not be written; one that cannot
 * be opened or locked is given up, and the entries are kept in memory alone.
 */
int history_add(struct history *h, const char *entry);
