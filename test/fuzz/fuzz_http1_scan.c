/*
 * Fuzzes the short way of plain heads against the long one: what http1_scan.c takes
 * llhttp and the checks behind it must take, too, and see the same in it.
 *
 * The input is a message. If its head is taken in one pass, it is parsed again with
 * its first byte alone, which is never for the short way.
 *
 * fuzz: layer net
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_server server;

static struct http_request *begin(char *base)
{
	struct http_request *req = calloc(1, sizeof(*req));

	assert(req != NULL);
	req->server = &server;
	http1__parse_start(req);
	req->base = base;
	return req;
}

static void same_span(struct http1_span a, struct http1_span b)
{
	/* Where nothing is does not matter. */
	assert(a.size == b.size && (a.size == 0 || a.start == b.start));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request *fast, *slow;
	enum http1_parsed result;
	char *base;

	if (size < 2 || size > 1 << 16)
		return 0;
	if (server.limits.header_bytes == 0) {
		server.limits.header_bytes = 2048;
		server.limits.uri_bytes = 512;
		server.limits.body_bytes = 1 << 20;
		http1__parse_init(&server);
	}
	base = malloc(size); /* of its own: a sanitizer sees the end */
	assert(base != NULL);
	memcpy(base, data, size);
	fast = begin(base);
	if (http1__scan_head(fast, size)) {
		slow = begin(base);
		result = http1__parse(slow, 1);
		assert(result == HTTP1_MORE && slow->phase == HTTP1_HEAD);
		result = http1__parse(slow, size);
		assert(result != HTTP1_REFUSED || slow->refusal == 413);
		assert(fast->head_size == slow->head_size);
		assert(fast->method == slow->method);
		assert(fast->minor == slow->minor);
		assert(fast->keep_alive == slow->keep_alive);
		assert(fast->length == slow->length);
		assert(!slow->expect && slow->chunks == 0);
		assert(slow->phase == HTTP1_COMPLETE ||
		       slow->phase == HTTP1_BODY || slow->refusal == 413);
		assert(fast->field_count == slow->field_count);
		same_span(fast->target, slow->target);
		same_span(fast->path, slow->path);
		same_span(fast->query, slow->query);
		for (unsigned i = 0; i < fast->field_count; i++) {
			same_span(fast->fields[i].name, slow->fields[i].name);
			same_span(fast->fields[i].value, slow->fields[i].value);
		}
		free(slow);
	} else {
		assert(fast->line_count == 0 && fast->refusal == 0);
	}
	free(fast);
	free(base);
	return 0;
}
