/* Growing byte buffers. See buf.h. */
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "base/inject.h"

enum { BUF_MIN = 64 };

void buf_destroy(struct buf *b)
{
	mem_free(b->data);
	b->data = NULL;
	b->size = b->capacity = 0;
}

char *buf_grow(struct buf *b, size_t more)
{
	size_t need, capacity;
	char *data;

	if (__builtin_add_overflow(b->size, more, &need) ||
	    (b->limit != 0 && need > b->limit) || need > SIZE_MAX / 2)
		return NULL;
	capacity = b->capacity < BUF_MIN ? BUF_MIN : b->capacity;
	while (capacity < need)
		capacity *= 2;
	/* What buf_reserve() finds allocated it takes to be allowed. */
	if (b->limit != 0 && capacity > b->limit)
		capacity = b->limit;
	data = mem_realloc(b->data, capacity);
	if (data == NULL)
		return NULL;
	b->data = data;
	b->capacity = capacity;
	return data + b->size;
}

int buf_append(struct buf *b, const void *data, size_t size)
{
	char *room = buf_reserve(b, size);

	if (room == NULL)
		return -ENOMEM;
	if (size > 0)
		memcpy(room, data, size);
	b->size += size;
	return 0;
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->capacity - b->size;
	va_list again;
	char *to;
	int n;

	/* Into what room there is; most texts fit. */
	va_copy(again, ap);
	n = vsnprintf(room == 0 ? NULL : b->data + b->size, room, fmt, again);
	va_end(again);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n >= room) {
		room = (size_t)n + 1;
		to = buf_reserve(b, room);
		if (to == NULL)
			return -ENOMEM;
		vsnprintf(to, room, fmt, ap);
	}
	b->size += n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return rc;
}

void buf_consume(struct buf *b, size_t size)
{
	if (size >= b->size) {
		b->size = 0;
		return;
	}
	memmove(b->data, b->data + size, b->size - size);
	b->size -= size;
}

void buf_reset(struct buf *b, size_t keep)
{
	if (b->capacity > keep)
		buf_destroy(b);
	b->size = 0;
}
