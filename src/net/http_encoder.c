/* Bodies made smaller. See http_encoder.h. */
#include "net/http_encoder.h"

#include <brotli/encode.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <uv.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/inject.h"

enum {
	GZIP_WINDOW = 15 + 16, /* with a header of gzip, not of zlib */
	GZIP_MEMORY = 8,
	BROTLI_WINDOW = 18, /* 256 KiB: the default takes megabytes */
	STEP = 16384,       /* the least room for output */
};

struct http_encoder {
	enum http_coding coding;
	z_stream z;
	BrotliEncoderState *brotli;
};

/** What is used of the libraries. */
static struct {
	__typeof__(deflateInit2_) *deflate_init;
	__typeof__(deflate) *deflate;
	__typeof__(deflateEnd) *deflate_end;
	bool has_zlib;
	__typeof__(BrotliEncoderCreateInstance) *brotli_create;
	__typeof__(BrotliEncoderSetParameter) *brotli_set;
	__typeof__(BrotliEncoderCompressStream) *brotli_compress;
	__typeof__(BrotliEncoderHasMoreOutput) *brotli_has_more;
	__typeof__(BrotliEncoderDestroyInstance) *brotli_destroy;
	bool has_brotli;
} lib;

static bool find(void *dl, const char *name, void *ret_symbol)
{
	void *symbol = dlsym(dl, name);

	*(void **)ret_symbol = symbol;
	return symbol != NULL;
}

static void load_zlib(void)
{
	void *dl = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);

	lib.has_zlib = dl != NULL &&
		       find(dl, "deflateInit2_", &lib.deflate_init) &&
		       find(dl, "deflate", &lib.deflate) &&
		       find(dl, "deflateEnd", &lib.deflate_end);
}

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

static bool is_there(enum http_coding coding, const char **ret_why)
{
	static pthread_once_t zlib = PTHREAD_ONCE_INIT;
	static pthread_once_t brotli = PTHREAD_ONCE_INIT;

	if (coding == HTTP_CODING_GZIP) {
		pthread_once(&zlib, load_zlib);
		*ret_why = "libz.so.1 is missing: install zlib1g";
		return lib.has_zlib;
	}
	pthread_once(&brotli, load_brotli);
	*ret_why = "libbrotlienc.so.1 is missing: install libbrotli1";
	return lib.has_brotli;
}

static bool start_gzip(struct http_encoder *e, int level)
{
	return lib.deflate_init(&e->z, level, Z_DEFLATED, GZIP_WINDOW,
				GZIP_MEMORY, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
				(int)sizeof(e->z)) == Z_OK;
}

static bool start_brotli(struct http_encoder *e, int level)
{
	e->brotli = lib.brotli_create(NULL, NULL, NULL);
	return e->brotli != NULL &&
	       lib.brotli_set(e->brotli, BROTLI_PARAM_QUALITY,
			      (uint32_t)level) &&
	       lib.brotli_set(e->brotli, BROTLI_PARAM_LGWIN, BROTLI_WINDOW);
}

struct http_encoder *http_encoder_new(enum http_coding coding, int level,
				      const char **ret_why)
{
	struct http_encoder *e;
	bool ok;

	if (!is_there(coding, ret_why))
		return NULL;
	*ret_why = "not enough memory";
	e = mem_zalloc(sizeof(*e));
	if (e == NULL)
		return NULL;
	e->coding = coding;
	ok = coding == HTTP_CODING_GZIP ? start_gzip(e, level)
					: start_brotli(e, level);
	if (ok)
		return e;
	if (e->brotli != NULL)
		lib.brotli_destroy(e->brotli);
	mem_free(e);
	return NULL;
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
			rc = lib.deflate(&e->z,
					 final ? Z_FINISH : Z_SYNC_FLUSH);
			if (rc == Z_STREAM_ERROR)
				return UV_ENOMEM;
			out->size += STEP - e->z.avail_out;
		} while (e->z.avail_out == 0);
	} while (size > 0);
	return 0;
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

int http_encoder_feed(struct http_encoder *e, const char *data, size_t size,
		      bool last, struct buf *out)
{
	if (e->coding == HTTP_CODING_GZIP)
		return feed_gzip(e, data, size, last, out);
	return feed_brotli(e, data, size, last, out);
}

void http_encoder_delete(struct http_encoder *e)
{
	if (e == NULL)
		return;
	if (e->coding == HTTP_CODING_GZIP)
		lib.deflate_end(&e->z);
	else
		lib.brotli_destroy(e->brotli);
	mem_free(e);
}
