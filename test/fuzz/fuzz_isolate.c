/*
 * Frames of a helper process, as the server reads them: any bytes, in pieces of
 * any size (the first byte says which). What is taken for results or an error
 * must be whole, what is put together again must be the same, and no memory
 * may be taken for what has not come.
 *
 * fuzz: layer cmod
 */
#include <uv.h>

#include "cmod/call.h"
#include "cmod/isolate_frame.h"
#include "fuzz.h"

enum { SIZE_MAX_BODY = 1 << 20, CHUNK = 64 * 1024 };

static void walk_results(const struct isolate_reader *r)
{
	const char *p = r->body.data;
	const char *end = r->head.size == 0 ? p : p + r->body.size;
	unsigned sum = 0;
	call_size_t size;

	for (uint32_t i = 0; i < r->head.count; i++) {
		memcpy(&size, p, sizeof size);
		p += sizeof size;
		for (call_size_t k = 0; k < size; k++)
			sum += (unsigned char)p[k];
		p += size;
	}
	FUZZ_CHECK(p == end && sum < UINT32_MAX);
}

static void check_error(const struct isolate_reader *r)
{
	struct error *e = isolate_get_error(r->body.data, r->body.size);
	struct buf again = { NULL };

	if (e == NULL)
		return;
	FUZZ_CHECK(isolate_put_error(&again, e) == 0);
	error_unref(e);
	e = isolate_get_error(again.data, again.size);
	FUZZ_CHECK(e != NULL);
	error_unref(e);
	buf_destroy(&again);
}

static void check_load(const struct isolate_reader *r)
{
	struct isolate_names names;
	struct isolate_load load;
	struct buf again = { NULL };

	if (!isolate_get_load(r->body.data, r->body.size, &load, &names))
		return;
	FUZZ_CHECK(isolate_put_load(&again, load.memory, &names) == 0);
	FUZZ_CHECK(isolate_get_load(again.data, again.size, &load, &names));
	buf_destroy(&again);
}

static void check_frame(const struct isolate_reader *r)
{
	FUZZ_CHECK(r->body.size == r->head.size);
	if (isolate_check_results(r->body.data, r->body.size, r->head.count))
		walk_results(r);
	check_error(r);
	check_load(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct isolate_reader r = { .size_max = SIZE_MAX_BODY };
	size_t piece = size > 0 ? data[0] + 1u : 1, n;
	bool complete;
	ssize_t taken;

	for (size_t at = 1; at < size; at += (size_t)taken) {
		/* Of a size of its own, for the sanitizer to see its end. */
		char *copy;

		n = size - at < piece ? size - at : piece;
		copy = malloc(n);
		memcpy(copy, data + at, n);
		taken = isolate_reader_feed(&r, copy, n, &complete);
		free(copy);
		if (taken < 0)
			break;
		FUZZ_CHECK((size_t)taken == n ||
			   (complete && (size_t)taken < n));
		FUZZ_CHECK(r.body.capacity <= 4 * r.body.size + 2 * CHUNK);
		if (!complete) {
			/* A head without a byte of its body is taken whole. */
			FUZZ_CHECK(taken > 0);
			continue;
		}
		check_frame(&r);
		isolate_reader_next(&r);
	}
	isolate_reader_destroy(&r);
	return 0;
}
