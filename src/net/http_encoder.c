/* Bodies made smaller. See http_encoder.h. */
#include "net/http_encoder.h"

#include <brotli/encode.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <uv.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/inject.h"
#include "net/zlib_library.h"

enum {
	GZIP_WINDOW = 15 + 16, /* with a header of gzip, not of zlib */
	GZIP_MEMORY = 8,
	BITS_MIN = 9, /* of zlib's windows */
	WINDOW = 18,  /* 256 KiB: the others' defaults take megabytes */
	STEP = 16384, /* the least room for output */
};

struct http_encoder {
	const struct coding *coding;
	int level;
	int bits;   /* of the window, where it may be chosen */
	bool begun; /* it has the memory that it works with */
	z_stream z;
	BrotliEncoderState *brotli;
	ZSTD_CCtx *zstd;
};

/** What is used of the libraries. */
static struct {
	__typeof__(BrotliEncoderCreateInstance) *brotli_create;
	__typeof__(BrotliEncoderSetParameter) *brotli_set;
	__typeof__(BrotliEncoderCompressStream) *brotli_compress;
	__typeof__(BrotliEncoderHasMoreOutput) *brotli_has_more;
	__typeof__(BrotliEncoderDestroyInstance) *brotli_destroy;
	bool has_brotli;
	__typeof__(ZSTD_createCCtx) *zstd_create;
	__typeof__(ZSTD_CCtx_setParameter) *zstd_set;
	__typeof__(ZSTD_compressStream2) *zstd_compress;
	__typeof__(ZSTD_isError) *zstd_failed;
	__typeof__(ZSTD_freeCCtx) *zstd_free;
	bool has_zstd;
} lib;

static bool find(void *dl, const char *name, void *ret_symbol)
{
	void *symbol = dlsym(dl, name);

	*(void **)ret_symbol = symbol;
	return symbol != NULL;
}

/* --- gzip, and what it is made of --- */

static bool has_zlib(void)
{
	return zlib_library_load() == NULL;
}

static bool start_zlib(struct http_encoder *e, int window, int memory)
{
	e->z.zalloc = zlib_library_alloc;
	e->z.zfree = zlib_library_free;
	return zlib_library.deflateInit2_(&e->z, e->level, Z_DEFLATED, window,
					  memory, Z_DEFAULT_STRATEGY,
					  ZLIB_VERSION,
					  (int)sizeof(e->z)) == Z_OK;
}

static bool start_gzip(struct http_encoder *e)
{
	return start_zlib(e, GZIP_WINDOW, GZIP_MEMORY);
}

static int feed_gzip(struct http_encoder *e, const char *data, size_t size,
		     bool last, struct buf *out)
{
	const size_t most = UINT32_MAX / 2;
	int rc = Z_OK;

	do {
		size_t part = size < most ? size : most;
		bool final = last && part == size;

		e->z.next_in = (Bytef *)data;
		e->z.avail_in = (uInt)part;
		data += part;
		size -= part;
		do {
			char *to = buf_reserve(out, STEP);

			if (to == NULL)
				return UV_ENOMEM;
			e->z.next_out = (Bytef *)to;
			e->z.avail_out = STEP;
			rc = zlib_library.deflate(&e->z, final ? Z_FINISH
							       : Z_SYNC_FLUSH);
			if (rc == Z_STREAM_ERROR)
				return UV_ENOMEM;
			out->size += STEP - e->z.avail_out;
		} while (e->z.avail_out == 0);
	} while (size > 0);
	return 0;
}

static void end_gzip(struct http_encoder *e)
{
	zlib_library.deflateEnd(&e->z); /* one that did not begin is no harm */
}

/* A window of @a bits, and beside it as little as keeps up with that. */
static bool start_deflate(struct http_encoder *e)
{
	int window = e->bits < BITS_MIN ? BITS_MIN : e->bits;
	int memory = window - 6 < GZIP_MEMORY ? window - 6 : GZIP_MEMORY;

	return start_zlib(e, -window, memory);
}

/* A message: what it ends with is known and left out. */
static int feed_deflate(struct http_encoder *e, const char *data, size_t size,
			bool last, struct buf *out)
{
	static const char tail[] = { 0, 0, '\xff', '\xff' };
	int rc = feed_gzip(e, data, size, false, out);

	(void)last;
	if (rc != 0)
		return rc;
	if (out->size < sizeof(tail) ||
	    memcmp(out->data + out->size - sizeof(tail), tail, sizeof(tail)) !=
		    0)
		return UV_ENOMEM; /* it had none for all of it */
	out->size -= sizeof(tail);
	return 0;
}

/* --- brotli --- */

static void load_brotli(void)
{
	void *dl = dlopen("libbrotlienc.so.1", RTLD_NOW | RTLD_LOCAL);

	lib.has_brotli =
		dl != NULL &&
		find(dl, "BrotliEncoderCreateInstance", &lib.brotli_create) &&
		find(dl, "BrotliEncoderSetParameter", &lib.brotli_set) &&
		find(dl, "BrotliEncoderCompressStream", &lib.brotli_compress) &&
		find(dl, "BrotliEncoderHasMoreOutput", &lib.brotli_has_more) &&
		find(dl, "BrotliEncoderDestroyInstance", &lib.brotli_destroy);
}

static bool has_brotli(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load_brotli);
	return lib.has_brotli;
}

static bool start_brotli(struct http_encoder *e)
{
	e->brotli = lib.brotli_create(NULL, NULL, NULL);
	return e->brotli != NULL &&
	       lib.brotli_set(e->brotli, BROTLI_PARAM_QUALITY,
			      (uint32_t)e->level) &&
	       lib.brotli_set(e->brotli, BROTLI_PARAM_LGWIN, WINDOW);
}

static int feed_brotli(struct http_encoder *e, const char *data, size_t size,
		       bool last, struct buf *out)
{
	const uint8_t *from = (const uint8_t *)data;

	do {
		char *room = buf_reserve(out, STEP);
		uint8_t *to = (uint8_t *)room;
		size_t left = STEP;

		if (room == NULL ||
		    !lib.brotli_compress(e->brotli,
					 last ? BROTLI_OPERATION_FINISH
					      : BROTLI_OPERATION_FLUSH,
					 &size, &from, &left, &to, NULL))
			return UV_ENOMEM;
		out->size += STEP - left;
	} while (size > 0 || lib.brotli_has_more(e->brotli));
	return 0;
}

static void end_brotli(struct http_encoder *e)
{
	if (e->brotli != NULL)
		lib.brotli_destroy(e->brotli);
}

/* --- zstd --- */

static void load_zstd(void)
{
	void *dl = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);

	lib.has_zstd = dl != NULL &&
		       find(dl, "ZSTD_createCCtx", &lib.zstd_create) &&
		       find(dl, "ZSTD_CCtx_setParameter", &lib.zstd_set) &&
		       find(dl, "ZSTD_compressStream2", &lib.zstd_compress) &&
		       find(dl, "ZSTD_isError", &lib.zstd_failed) &&
		       find(dl, "ZSTD_freeCCtx", &lib.zstd_free);
}

static bool has_zstd(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load_zstd);
	return lib.has_zstd;
}

static bool start_zstd(struct http_encoder *e)
{
	e->zstd = lib.zstd_create();
	return e->zstd != NULL &&
	       !lib.zstd_failed(lib.zstd_set(e->zstd, ZSTD_c_compressionLevel,
					     e->level)) &&
	       !lib.zstd_failed(
		       lib.zstd_set(e->zstd, ZSTD_c_windowLog, WINDOW));
}

static int feed_zstd(struct http_encoder *e, const char *data, size_t size,
		     bool last, struct buf *out)
{
	ZSTD_inBuffer in = { data, size, 0 };
	size_t left;

	do {
		ZSTD_outBuffer to = { buf_reserve(out, STEP), STEP, 0 };

		if (to.dst == NULL)
			return UV_ENOMEM;
		left = lib.zstd_compress(e->zstd, &to, &in,
					 last ? ZSTD_e_end : ZSTD_e_flush);
		if (lib.zstd_failed(left))
			return UV_ENOMEM;
		out->size += to.pos;
	} while (left > 0);
	return 0;
}

static void end_zstd(struct http_encoder *e)
{
	lib.zstd_free(e->zstd); /* NULL is fine */
}

/* --- any of them --- */

static const struct coding {
	bool (*is_there)(void);
	const char *missing;
	bool (*start)(struct http_encoder *e);
	int (*feed)(struct http_encoder *e, const char *data, size_t size,
		    bool last, struct buf *out);
	void (*end)(struct http_encoder *e); /* also after a failed start */
} codings[] = {
	[HTTP_CODING_GZIP] = { has_zlib, "libz.so.1 is missing: install zlib1g",
			       start_gzip, feed_gzip, end_gzip },
	[HTTP_CODING_DEFLATE] = { has_zlib,
				  "libz.so.1 is missing: install zlib1g",
				  start_deflate, feed_deflate, end_gzip },
	[HTTP_CODING_BROTLI] = { has_brotli,
				 "libbrotlienc.so.1 is missing: install "
				 "libbrotli1",
				 start_brotli, feed_brotli, end_brotli },
	[HTTP_CODING_ZSTD] = { has_zstd,
			       "libzstd.so.1 is missing: install libzstd1",
			       start_zstd, feed_zstd, end_zstd },
};

struct http_encoder *http_encoder_new(enum http_coding coding, int level,
				      int bits, const char **ret_why)
{
	struct http_encoder *e;

	*ret_why = codings[coding].missing;
	if (!codings[coding].is_there())
		return NULL;
	*ret_why = "not enough memory";
	e = mem_zalloc(sizeof(*e));
	if (e == NULL)
		return NULL;
	e->coding = &codings[coding];
	e->level = level;
	e->bits = bits;
	return e;
}

static void end(struct http_encoder *e)
{
	if (e->begun)
		e->coding->end(e);
	e->begun = false;
}

int http_encoder_feed(struct http_encoder *e, const char *data, size_t size,
		      bool last, struct buf *out)
{
	bool started = e->begun || e->coding->start(e);
	int rc = UV_ENOMEM;

	e->begun = true; /* half, perhaps */
	if (started)
		rc = e->coding->feed(e, data, size, last, out);
	if (last || rc != 0)
		end(e);
	return rc;
}

void http_encoder_delete(struct http_encoder *e)
{
	if (e == NULL)
		return;
	end(e);
	mem_free(e);
}
