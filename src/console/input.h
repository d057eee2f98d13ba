/*
 * Bytes of standard input for a thread that may be called away: a read waits
 * for a byte or for a word from another thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	INPUT_EOF = -1,
	INPUT_WOKEN = -2, /* input_wake() was called */
};

struct input {
	int fd;
	int wake_fd;  /* an eventfd */
	size_t chunk; /* bytes asked for at once */
	size_t next;  /* first byte of data not yet given */
	size_t size;  /* bytes in data */
	char *data;
};

/**
 * Read from @a fd, @a chunk bytes at once: 1 leaves what comes later to other
 * readers of the same file. Returns 0, or -1 with diag set.
 */
int input_create(struct input *in, int fd, size_t chunk);
void input_destroy(struct input *in);

/** The next byte, INPUT_EOF (also when reading fails) or INPUT_WOKEN. */
int input_byte(struct input *in);

/** From any thread: the read that waits, or the next one, is told. */
void input_wake(struct input *in);
