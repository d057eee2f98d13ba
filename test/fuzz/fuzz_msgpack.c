/*
 * Any bytes as msgpack. What decodes comes back from its own encoding as the
 * same bytes, and from YAML, which has all but extension values.
 *
 * fuzz: layer port
 */
#include "fuzz.h"

/* Through YAML and back. Numbers change their kind once: 1.0 comes back as 1. */
static void by_yaml(const struct buf *bytes)
{
	struct buf text = { 0 }, first = { 0 }, second = { 0 };

	if (fuzz_result(fuzz_to_yaml(fuzz_decode_mp, bytes->data, bytes->size,
				     &text)) == 0) {
		FUZZ_CHECK(fuzz_to_mp(fuzz_decode_yaml, text.data, text.size,
				      &first) == 0);
		FUZZ_CHECK(fuzz_to_yaml(fuzz_decode_mp, first.data, first.size,
					&text) == 0);
		FUZZ_CHECK(fuzz_to_mp(fuzz_decode_yaml, text.data, text.size,
				      &second) == 0);
		FUZZ_CHECK(fuzz_same(&first, &second));
	}
	buf_destroy(&text);
	buf_destroy(&first);
	buf_destroy(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first = { 0 }, second = { 0 }, json = { 0 };
	const char *bytes = (const char *)data;

	if (fuzz_trace(fuzz_decode_mp, bytes, size, 0) == 0) {
		FUZZ_CHECK(fuzz_to_mp(fuzz_decode_mp, bytes, size, &first) ==
			   0);
		FUZZ_CHECK(first.size <= size);
		FUZZ_CHECK(fuzz_to_mp(fuzz_decode_mp, first.data, first.size,
				      &second) == 0);
		FUZZ_CHECK(fuzz_same(&first, &second));
		fuzz_result(fuzz_to_json(fuzz_decode_mp, bytes, size, &json));
		by_yaml(&first);
	}
	buf_destroy(&first);
	buf_destroy(&second);
	buf_destroy(&json);
	return 0;
}
