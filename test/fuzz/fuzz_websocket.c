/*
 * Fuzzes the protocol of WebSocket: bytes of a peer in, messages and an answer out.
 *
 * The first byte says which side reads them, how they are cut, when messages are
 * taken, and whether they may be deflated, and refer to those before. Whole, byte by byte and in such pieces the same messages must come out, the
 * same end, and answers that the other side of ours takes without complaint.
 *
 * fuzz: layer net
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096 };

struct run {
	uint32_t hash; /* over the messages */
	size_t bytes;
	unsigned code;
	unsigned state;
	bool by_peer;
};

static void mix(struct run *r, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		r->hash = (r->hash ^ p[i]) * 16777619u;
	r->hash = (r->hash ^ 0x100) * 16777619u;
}

static void take(struct websocket *ws, struct run *r)
{
	struct websocket_message m;

	while (websocket_next(ws, &m)) {
		assert(m.size <= LIMIT);
		mix(r, &m.kind, sizeof(m.kind));
		mix(r, m.data, m.size);
		r->bytes += m.size;
		websocket_taken(ws);
	}
}

/* All of it, from memory of its own, so that a read behind it is seen. */
static void feed(struct websocket *ws, const char *data, size_t size,
		 struct run *r, bool late)
{
	char *copy = malloc(size);
	size_t at = 0;
	ssize_t n;

	assert(copy != NULL);
	memcpy(copy, data, size);
	while (at < size) {
		n = websocket_feed(ws, copy + at, size - at);
		assert(n >= 0 && (size_t)n <= size - at);
		assert(n > 0 || ws->behind);
		assert(ws->queue.size - ws->start <
		       WEBSOCKET_QUEUE + 4 * LIMIT);
		at += (size_t)n;
		if (!late || !websocket_has_room(ws))
			take(ws, r);
	}
	while (ws->behind) {
		take(ws, r);
		assert(websocket_feed(ws, NULL, 0) == 0);
	}
	free(copy);
}

/* What is answered: the other side finds nothing wrong with it. */
static void check_answer(struct buf *out, enum websocket_role role)
{
	struct run r = { 0 };
	struct websocket other;
	struct buf unused = { NULL, 0, 0, 0 };

	if (websocket_create(&other,
			     role == WEBSOCKET_SERVER ? WEBSOCKET_CLIENT
						      : WEBSOCKET_SERVER,
			     LIMIT, &unused) != 0)
		abort();
	if (out->size > 0)
		feed(&other, out->data, out->size, &r, false);
	assert(other.code == 0 || other.by_peer);
	assert(r.bytes == 0 && !other.in_frame);
	websocket_destroy(&other);
	buf_destroy(&unused);
}

static struct run run(const char *data, size_t size, size_t step,
		      enum websocket_role role, bool late, unsigned deflate)
{
	struct run r = { 0 };
	struct websocket ws;
	struct buf out = { NULL, 0, 0, 0 };

	if (websocket_create(&ws, role, LIMIT, &out) != 0)
		abort();
	ws.deflate.agreed = deflate > 0;
	ws.deflate.keep_theirs = deflate > 1;
	ws.deflate.their_bits = WEBSOCKET_BITS_MAX;
	for (size_t at = 0; at < size; at += step)
		feed(&ws, data + at, size - at < step ? size - at : step, &r,
		     late);
	take(&ws, &r);
	assert(r.bytes <= size || deflate > 0);
	assert(ws.inflater == NULL || ws.kind != 0 || deflate > 1);
	assert((ws.code == 0) == (ws.state == WEBSOCKET_OPEN));
	r.code = ws.code;
	r.state = ws.state;
	r.by_peer = ws.by_peer;
	check_answer(&out, role);
	websocket_destroy(&ws);
	buf_destroy(&out);
	return r;
}

/* The same bytes as what is said of the extension. */
static void agree(const char *data, size_t size, unsigned how)
{
	struct websocket_deflate_wish wish = { true, how & 1,
					       (uint8_t)(9 + how % 7) };
	struct websocket_deflate ours = { 0 }, theirs = { 0 };
	char text[WEBSOCKET_DEFLATE_TEXT], *copy = malloc(size);

	assert(copy != NULL);
	memcpy(copy, data, size);
	if (websocket_deflate_answer(copy, size, wish, &ours, text)) {
		assert(strlen(text) < sizeof(text) && ours.agreed);
		assert(ours.our_bits >= 8 && ours.our_bits <= wish.bits);
		assert(ours.their_bits >= 8 && ours.their_bits <= 15);
		assert(wish.context || (!ours.keep_ours && !ours.keep_theirs));
		/* Who could have asked so takes the answer. */
		wish.bits = WEBSOCKET_BITS_MAX;
		assert(websocket_deflate_check(text, strlen(text), wish,
					       &theirs));
		assert(theirs.keep_theirs == ours.keep_ours &&
		       theirs.our_bits == ours.their_bits);
	}
	websocket_deflate_check(copy, size, wish, &theirs);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes + 1;
	enum websocket_role role;
	struct run whole, steps, cut;
	unsigned deflate;

	if (size < 2)
		return 0;
	agree(data, size - 1, bytes[0]);
	role = bytes[0] & 1 ? WEBSOCKET_CLIENT : WEBSOCKET_SERVER;
	deflate = bytes[0] >> 6;
	whole = run(data, size - 1, size, role, false, deflate);
	steps = run(data, size - 1, 1, role, false, deflate);
	cut = run(data, size - 1, 1 + (bytes[0] >> 2 & 15), role, bytes[0] & 2,
		  deflate);
	assert(whole.hash == steps.hash && whole.hash == cut.hash);
	assert(whole.code == steps.code && whole.code == cut.code);
	assert(whole.state == steps.state && whole.state == cut.state);
	assert(whole.by_peer == steps.by_peer && whole.by_peer == cut.by_peer);
	return 0;
}
