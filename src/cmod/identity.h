/* Which file, and which state of it: compared on every load. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/** All of it must be equal, or the file is another one or has changed. */
struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

static inline struct identity identity_of(const struct stat *st)
{
	return (struct identity){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
	};
}

static inline bool identity_equal(const struct identity *a,
				  const struct identity *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}
