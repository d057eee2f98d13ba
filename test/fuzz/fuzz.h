/* What the fuzz targets share: checks that survive release builds, and the
 * ways between the formats. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "port/json_decode.h"
#include "port/json_encode.h"
#include "port/mp_decode.h"
#include "port/mp_encode.h"
#include "port/yaml_decode.h"
#include "port/yaml_encode.h"
#include "trace_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(truth)                                                     \
	do {                                                                  \
		if (!(truth)) {                                               \
			fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, \
				__LINE__, #truth,                             \
				diag_last() == NULL ? "no error"              \
						    : diag_last()->message);  \
			abort();                                              \
		}                                                             \
	} while (0)

/* Doubles come back from text as they were. */
static const struct json_encode_opts fuzz_json = { .precision = 17 };
static const struct yaml_encode_opts fuzz_yaml = { .precision = 17 };

/** A failure must have left an error. */
static inline int fuzz_result(int rc)
{
	FUZZ_CHECK((rc < 0) == (diag_last() != NULL));
	diag_clear();
	return rc;
}

static inline int fuzz_decode_mp(const char *data, size_t size,
				 struct port_sink *sink)
{
	const char *next = NULL;
	int rc = mp_decode(data, data + size, sink, &next);

	if (rc == 0)
		FUZZ_CHECK(next > data && next <= data + size);
	return rc;
}

static inline int fuzz_decode_json(const char *data, size_t size,
				   struct port_sink *sink)
{
	struct buf scratch = { 0 };
	int rc = json_decode(data, data + size, &json_decode_default, &scratch,
			     sink);

	buf_destroy(&scratch);
	return rc;
}

/** The first document; an empty text is a failure. */
static inline int fuzz_decode_yaml(const char *data, size_t size,
				   struct port_sink *sink)
{
	struct yaml_decode_opts opts = yaml_decode_default;
	struct yaml_decoder d;
	int rc;

	opts.max_size = 1 << 20;
	if (yaml_decoder_create(&d, data, size, &opts) != 0)
		return -1;
	rc = yaml_decode_next(&d, sink);
	yaml_decoder_destroy(&d);
	if (rc == 0)
		diag_set(ClientError, "no document");
	return rc == 1 ? 0 : -1;
}

typedef int (*fuzz_decode_f)(const char *data, size_t size,
			     struct port_sink *sink);

static inline int fuzz_to_mp(fuzz_decode_f decode, const char *data,
			     size_t size, struct buf *out)
{
	struct mp_encoder e;

	out->size = 0;
	mp_encoder_create(&e, out);
	return decode(data, size, &e.sink);
}

static inline int fuzz_to_json(fuzz_decode_f decode, const char *data,
			       size_t size, struct buf *out)
{
	struct json_encoder e;

	out->size = 0;
	json_encoder_create(&e, out, &fuzz_json);
	return decode(data, size, &e.sink);
}

static inline int fuzz_to_yaml(fuzz_decode_f decode, const char *data,
			       size_t size, struct buf *out)
{
	struct yaml_encoder e;
	int rc;

	out->size = 0;
	rc = yaml_encoder_create(&e, out, &fuzz_yaml);
	if (rc != 0)
		return rc;
	rc = decode(data, size, &e.sink);
	if (rc == 0)
		rc = yaml_encoder_finish(&e);
	yaml_encoder_destroy(&e);
	return rc;
}

/** Does the producer keep its promises? Returns what decoding returns. */
static inline int fuzz_trace(fuzz_decode_f decode, const char *data,
			     size_t size, unsigned flags)
{
	struct trace_sink t;
	int rc;

	trace_create(&t, flags);
	rc = fuzz_result(decode(data, size, &t.sink));
	FUZZ_CHECK(t.broken == NULL);
	FUZZ_CHECK(rc != 0 || t.depth == 0);
	trace_destroy(&t);
	return rc;
}

static inline int fuzz_same(const struct buf *a, const struct buf *b)
{
	return a->size == b->size &&
	       (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}
