/*
 * msgpack-c's packer, writing into a struct buf without a call in between.
 *
 * mp_pack_nil(), mp_pack_int64(), mp_pack_str() and the others append to the
 * buffer; each returns 0, or UV_ENOMEM with part of the value written: the
 * caller cuts the buffer back.
 */
#pragma once

#include <msgpack/pack_define.h>
#include <msgpack/timestamp.h>

#include "base/buf.h"

static inline int mp_pack_append(struct buf *b, const void *data, size_t size)
{
	char *to = buf_reserve(b, size);

	if (__builtin_expect(to == NULL, 0))
		return -1;
	memcpy(to, data, size);
	b->size += size;
	return 0;
}

#define msgpack_pack_inline_func(name) \
	static inline __attribute__((unused)) int mp_pack##name
#define msgpack_pack_user struct buf *
#define msgpack_pack_append_buffer(b, data, size) \
	return mp_pack_append(b, data, size)

#include <msgpack/pack_template.h>
