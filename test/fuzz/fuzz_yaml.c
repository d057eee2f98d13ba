/*
 * Any bytes as YAML, with aliases told and with aliases expanded. What decodes
 * comes back from its own encoding.
 *
 * fuzz: layer port
 */
#include "fuzz.h"

/* The value with its aliases is the value without: by way of their texts. */
static void same_value(const char *bytes, size_t size, const struct buf *mp)
{
	struct buf text = { 0 }, back = { 0 }, plain = { 0 };

	FUZZ_CHECK(fuzz_to_yaml(fuzz_decode_yaml, bytes, size, &text) == 0);
	FUZZ_CHECK(fuzz_to_mp(fuzz_decode_yaml, text.data, text.size, &back) ==
		   0);
	FUZZ_CHECK(fuzz_to_yaml(fuzz_decode_mp, mp->data, mp->size, &text) ==
		   0);
	FUZZ_CHECK(fuzz_to_mp(fuzz_decode_yaml, text.data, text.size, &plain) ==
		   0);
	FUZZ_CHECK(fuzz_same(&back, &plain));
	buf_destroy(&text);
	buf_destroy(&back);
	buf_destroy(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct buf mp = { 0 };

	fuzz_trace(fuzz_decode_yaml, bytes, size, PORT_SINK_ALIASES);
	if (fuzz_trace(fuzz_decode_yaml, bytes, size, 0) == 0) {
		FUZZ_CHECK(fuzz_to_mp(fuzz_decode_yaml, bytes, size, &mp) == 0);
		/* Expanded, a small text may be a large one. */
		if (mp.size <= 4096)
			same_value(bytes, size, &mp);
	}
	buf_destroy(&mp);
	return 0;
}
