/* Messages of WebSocket inflated. See websocket_deflate.h. */
#include <uv.h>

#include "base/buf.h"
#include "base/inject.h"
#include "net/websocket_deflate.h"
#include "net/zlib_library.h"

enum { AT_BLOCK = 128 }; /* of z_stream::data_type: between two blocks */

struct websocket_inflater {
	z_stream z;
	bool ended; /* the last byte was that of a last block */
};

struct websocket_inflater *websocket_inflater_new(unsigned bits)
{
	struct websocket_inflater *in;

	if (zlib_library_load() != NULL)
		return NULL;
	in = mem_zalloc(sizeof(*in));
	if (in == NULL)
		return NULL;
	in->z.zalloc = zlib_library_alloc;
	in->z.zfree = zlib_library_free;
	if (zlib_library.inflateInit2_(&in->z, -(int)bits, ZLIB_VERSION,
				       (int)sizeof(in->z)) == Z_OK)
		return in;
	mem_free(in);
	return NULL;
}

void websocket_inflater_delete(struct websocket_inflater *in)
{
	if (in == NULL)
		return;
	zlib_library.inflateEnd(&in->z);
	mem_free(in);
}

void websocket_inflater_reset(struct websocket_inflater *in)
{
	zlib_library.inflateReset(&in->z);
}

int websocket_inflate(struct websocket_inflater *in, const char *data,
		      size_t size, size_t *ret_used, struct buf *out)
{
	z_stream *z = &in->z;
	char *to = buf_reserve(out, WEBSOCKET_INFLATE_STEP);
	int rc;

	if (to == NULL)
		return UV_ENOMEM;
	z->next_in = (Bytef *)data;
	z->avail_in = (uInt)size;
	z->next_out = (Bytef *)to;
	z->avail_out = WEBSOCKET_INFLATE_STEP;
	do {
		rc = zlib_library.inflate(z, Z_SYNC_FLUSH);
		/* A last block is allowed, and others may follow it. */
		if (rc == Z_STREAM_END)
			zlib_library.inflateResetKeep(z);
	} while (rc == Z_STREAM_END && z->avail_in > 0 && z->avail_out > 0);
	*ret_used = size - z->avail_in;
	if (rc == Z_STREAM_END || *ret_used > 0)
		in->ended = rc == Z_STREAM_END && z->avail_in == 0;
	out->size += WEBSOCKET_INFLATE_STEP - z->avail_out;
	if (rc == Z_MEM_ERROR)
		return UV_ENOMEM;
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR
		       ? 0
		       : UV_EINVAL;
}

bool websocket_inflater_take_end(struct websocket_inflater *in)
{
	bool ended = in->ended;

	in->ended = false;
	return ended;
}

bool websocket_inflater_is_even(const struct websocket_inflater *in)
{
	/* The low bits count bits that were read and not used. */
	return (in->z.data_type & (AT_BLOCK | 63)) == AT_BLOCK;
}
