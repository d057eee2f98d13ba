/*
 * Fuzzes the header of the PROXY protocol: however it is cut, the same comes out,
 * and what is refused once is never taken.
 *
 * fuzz: layer net
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, part;
	ssize_t end = proxy_header_parse((const char *)data, size, &whole);
	ssize_t rc = 0;

	assert(end <= (ssize_t)size && end <= PROXY_HEADER_MAX);
	for (size_t n = 0; n <= size && n <= 600 && rc == 0; n++) {
		char *copy = malloc(n > 0 ? n : 1);

		memcpy(copy, data, n);
		rc = proxy_header_parse(copy, n, &part);
		free(copy);
		if (rc > 0)
			assert(rc == end && n == (size_t)end &&
			       memcmp(&whole, &part, sizeof(whole)) == 0);
		if (rc < 0)
			assert(end == rc);
	}
	return 0;
}
