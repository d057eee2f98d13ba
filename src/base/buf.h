/* Growing byte buffers. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

/** Bytes that grow at the end. All zero is an empty buffer. */
struct buf {
	char *data;      /* NULL until something was reserved */
	size_t size;     /* bytes in use */
	size_t capacity; /* bytes allocated */
	size_t limit;    /* refuse to grow past this; 0: no limit of its own */
};

/** Release the bytes; the buffer is empty and usable again. */
void buf_destroy(struct buf *b);

/** The slow half of buf_reserve(). */
char *buf_grow(struct buf *b, size_t more);

/**
 * Room for @a more bytes behind the contents.
 * Returns their place (the size is not changed), or NULL when out of memory
 * or past the limit; the contents stay in both cases.
 */
static inline char *buf_reserve(struct buf *b, size_t more)
{
	if (__builtin_expect(b->capacity - b->size >= more, 1) &&
	    b->data != NULL)
		return b->data + b->size;
	return buf_grow(b, more);
}

/** Append @a size bytes. Returns 0, or UV_ENOMEM with nothing appended. */
int buf_append(struct buf *b, const void *data, size_t size);

/** Append a string without its end. As buf_append(). */
static inline int buf_puts(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

static inline int buf_putc(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

/** Append formatted text; a byte of room behind it is needed. As
 * buf_append(). */
int buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/** Drop @a size bytes from the front. */
void buf_consume(struct buf *b, size_t size);

/**
 * Empty the buffer but keep its memory, up to @a keep bytes: one huge message
 * must not hold its memory for ever.
 */
void buf_reset(struct buf *b, size_t keep);
