/*
 * Any bytes as JSON. What decodes comes back from its own encoding, from YAML
 * and from msgpack as the same text.
 *
 * fuzz: layer port
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first = { 0 }, text = { 0 }, again = { 0 }, other = { 0 };
	const char *bytes = (const char *)data;

	if (fuzz_trace(fuzz_decode_json, bytes, size, 0) == 0) {
		/* The first round changes -0.0, which is written -0, into 0. */
		FUZZ_CHECK(fuzz_to_json(fuzz_decode_json, bytes, size,
					&first) == 0);
		FUZZ_CHECK(fuzz_to_json(fuzz_decode_json, first.data,
					first.size, &text) == 0);
		FUZZ_CHECK(fuzz_to_json(fuzz_decode_json, text.data, text.size,
					&again) == 0);
		FUZZ_CHECK(fuzz_same(&text, &again));
		FUZZ_CHECK(fuzz_to_mp(fuzz_decode_json, text.data, text.size,
				      &other) == 0);
		FUZZ_CHECK(fuzz_to_json(fuzz_decode_mp, other.data, other.size,
					&again) == 0);
		FUZZ_CHECK(fuzz_same(&text, &again));
		FUZZ_CHECK(fuzz_to_yaml(fuzz_decode_json, text.data, text.size,
					&other) == 0);
		FUZZ_CHECK(fuzz_to_json(fuzz_decode_yaml, other.data,
					other.size, &again) == 0);
		FUZZ_CHECK(fuzz_same(&text, &again));
	}
	buf_destroy(&first);
	buf_destroy(&text);
	buf_destroy(&again);
	buf_destroy(&other);
	return 0;
}
