/*
 * The private copy of a library: what is mapped, instead of the user's file.
 * Overwriting the file in place cannot change a copy, so it cannot crash a
 * function that runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cmod/elf_check.h"
#include "cmod/identity.h"

struct image {
	struct identity id; /* of the file when it was copied */
	uint64_t hash;      /* of its bytes */
	struct elf_facts facts;
	int fd;       /* sealed memory file, or -1 */
	char *folder; /* private folder of a copy on disk, or NULL */
	char *path;   /* for dlopen(): never given twice */
};

/**
 * Copy the absolute @a file, check it and make it loadable. It is read through
 * @a fd, which stays the caller's, when that is not -1.
 * Errors: SystemError (open, read, keeps changing), ClientError (not a sound
 * library), OutOfMemory. Returns 0, or -1 with diag set and nothing held.
 */
int image_create(struct image *img, const char *file, int fd);

/**
 * An image of a copy that another process has made: takes over @a fd, a
 * sealed memory file, in any case. Returns 0, or -1 with diag set and nothing
 * held.
 */
int image_adopt(struct image *img, int fd);

/** dlopen() cannot reach the copy in memory: /proc is not mounted. */
bool image_is_hidden(const struct image *img);

/** Put a copy in memory into a folder, too. Returns 0, or -1 with diag set and
 * the image as it was. */
int image_to_folder(struct image *img, const char *file);

/** What another image has taken over: nothing is held any more. */
void image_forget(struct image *img);

/** dlopen() is over, well or not: what is on disk goes. */
void image_opened(struct image *img);

/** After dlclose(). */
void image_destroy(struct image *img);

/**
 * The hash of a file's bytes now, as image_create() would find it.
 * Errors: as image_create() has them for reading. Returns 0, or -1 with diag
 * set.
 */
int image_hash_file(const char *file, uint64_t *ret_hash);
