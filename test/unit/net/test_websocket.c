/*
 * The protocol of WebSocket on raw bytes: each row whole and cut at every place,
 * what comes out of it as messages and as an answer.
 */
#include "unit.h"

#include <stdlib.h>
#include <uv.h>

#include "net/websocket.h"

enum { LIMIT = 70000 };

/** A side, and what was seen of it, as text. */
struct side {
	struct websocket ws;
	struct buf out;
	char seen[1024];
	size_t seen_size;
};

static void side_create(struct side *s, enum websocket_role role)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(websocket_create(&s->ws, role, LIMIT, &s->out), 0);
}

static void side_destroy(struct side *s)
{
	websocket_destroy(&s->ws);
	buf_destroy(&s->out);
}

/* "T" or "B" and the bytes, or their number if they are many, and ";". */
static void take_all(struct side *s)
{
	struct websocket_message m;

	while (websocket_next(&s->ws, &m)) {
		char *to = s->seen + s->seen_size;
		size_t room = sizeof(s->seen) - s->seen_size;
		char kind = m.kind == WEBSOCKET_TEXT ? 'T' : 'B';

		if (m.size > 20)
			s->seen_size += (size_t)snprintf(to, room, "%c#%zu;",
							 kind, m.size);
		else
			s->seen_size += (size_t)snprintf(
				to, room, "%c%.*s;", kind, (int)m.size, m.data);
		assert_true(s->seen_size < sizeof(s->seen));
		websocket_taken(&s->ws);
	}
}

/* A copy of exactly that size, so that a read behind it is seen. */
static void feed(struct side *s, const char *data, size_t size)
{
	char *copy = malloc(size + (size == 0));
	size_t at = 0;

	assert_non_null(copy);
	memcpy(copy, data, size);
	while (at < size) {
		ssize_t n = websocket_feed(&s->ws, copy + at, size - at);

		assert_true(n >= 0 && at + (size_t)n <= size);
		assert_true(n > 0 || !websocket_has_room(&s->ws));
		at += (size_t)n;
		take_all(s);
	}
	free(copy);
}

#define MASK "\x01\x02\x03\x04"

/* A masked frame of a client: the first byte, and the payload. */
static size_t frame(char *to, unsigned first, const char *data, size_t size)
{
	static const char mask[] = MASK;
	size_t n = 0;

	to[n++] = (char)first;
	if (size < 126) {
		to[n++] = (char)(0x80 | size);
	} else if (size < 65536) {
		to[n++] = (char)(0x80 | 126);
		to[n++] = (char)(size >> 8);
		to[n++] = (char)size;
	} else {
		to[n++] = (char)(0x80 | 127);
		for (int i = 7; i >= 0; i--)
			to[n++] = (char)((uint64_t)size >> 8 * i);
	}
	memcpy(to + n, mask, 4);
	n += 4;
	for (size_t i = 0; i < size; i++)
		to[n++] = (char)(data[i] ^ mask[i % 4]);
	return n;
}

/** Frames in, messages and an answer out. */
struct row {
	const char *what;
	struct {
		unsigned first;
		const char *data;
		size_t size;
	} frames[6];
	const char *seen;
	const char *out; /* bytes of the answer, its reason left out */
	size_t out_size;
	unsigned code; /* 0: still open */
};

#define F(first, data)                        \
	{                                     \
		first, data, sizeof(data) - 1 \
	}
#define OUT(bytes) bytes, sizeof(bytes) - 1

static const struct row rows[] = {
	{ "text", { F(0x81, "hello") }, "Thello;", OUT(""), 0 },
	{ "binary", { F(0x82, "\xff\xfe") }, "B\xff\xfe;", OUT(""), 0 },
	{ "nothing in it", { F(0x81, ""), F(0x82, "") }, "T;B;", OUT(""), 0 },
	{ "fragments",
	  { F(0x01, "a"), F(0x00, ""), F(0x00, "b"), F(0x80, "c") },
	  "Tabc;",
	  OUT(""),
	  0 },
	{ "empty fragments",
	  { F(0x02, ""), F(0x00, ""), F(0x80, "") },
	  "B;",
	  OUT(""),
	  0 },
	{ "a ping between fragments",
	  { F(0x01, "a"), F(0x89, "x"), F(0x80, "b") },
	  "Tab;",
	  OUT("\x8a\x01x"),
	  0 },
	{ "an empty ping",
	  { F(0x89, ""), F(0x81, "a") },
	  "Ta;",
	  OUT("\x8a\x00"),
	  0 },
	{ "a pong nobody wants",
	  { F(0x8a, "abc"), F(0x8a, "12345678") },
	  "",
	  OUT(""),
	  0 },
	{ "a character in two fragments",
	  { F(0x01, "\xe2\x82"), F(0x80, "\xac") },
	  "T\xe2\x82\xac;",
	  OUT(""),
	  0 },
	{ "a ping inside a character",
	  { F(0x01, "\xf0\x9f"), F(0x89, ""), F(0x80, "\x98\x80") },
	  "T\xf0\x9f\x98\x80;",
	  OUT("\x8a\x00"),
	  0 },
	{ "a close",
	  { F(0x88, "\x03\xe8"
		    "bye") },
	  "",
	  OUT("\x88\x02\x03\xe8"),
	  1000 },
	{ "a close without a code",
	  { F(0x88, "") },
	  "",
	  OUT("\x88\x00"),
	  1005 },
	{ "a close of an application",
	  { F(0x88, "\x0f\xa0") },
	  "",
	  OUT("\x88\x02\x0f\xa0"),
	  4000 },
	{ "a close between fragments",
	  { F(0x01, "a"), F(0x88, "\x03\xe9") },
	  "",
	  OUT("\x88\x02\x03\xe9"),
	  1001 },
	{ "what comes behind a close is not looked at",
	  { F(0x81, "a"), F(0x88, "\x03\xe8"), F(0x81, "b"), F(0xff, "x") },
	  "Ta;",
	  OUT("\x88\x02\x03\xe8"),
	  1000 },

	{ "a reserved bit",
	  { F(0xc1, "a") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "another", { F(0xa1, "a") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "the third", { F(0x91, "") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "of a ping", { F(0xc9, "a") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "opcode 3", { F(0x83, "a") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "opcode 7", { F(0x87, "") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "opcode 11", { F(0x8b, "") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "opcode 15", { F(0x8f, "a") }, "", OUT("\x88\x02\x03\xea"), 1002 },
	{ "opcode 3 between fragments",
	  { F(0x01, "a"), F(0x83, "b") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "a ping in fragments",
	  { F(0x09, "a") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "a close in fragments",
	  { F(0x08, "") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "a continuation of nothing",
	  { F(0x80, "a") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "another one after a message",
	  { F(0x81, "a"), F(0x00, "b") },
	  "Ta;",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "a text inside a text",
	  { F(0x01, "a"), F(0x81, "b") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "a binary inside a text",
	  { F(0x01, ""), F(0x82, "b") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "half a code",
	  { F(0x88, "\x03") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 0",
	  { F(0x88, "\x00\x00") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 999",
	  { F(0x88, "\x03\xe7") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 1004",
	  { F(0x88, "\x03\xec") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 1005",
	  { F(0x88, "\x03\xed") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 1006",
	  { F(0x88, "\x03\xee") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 1015",
	  { F(0x88, "\x03\xf7") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 2999",
	  { F(0x88, "\x0b\xb7") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },
	{ "code 5000",
	  { F(0x88, "\x13\x88") },
	  "",
	  OUT("\x88\x02\x03\xea"),
	  1002 },

	{ "no UTF-8", { F(0x81, "\xff") }, "", OUT("\x88\x02\x03\xef"), 1007 },
	{ "a surrogate, told before its end",
	  { F(0x01, "a\xed\xa0") },
	  "",
	  OUT("\x88\x02\x03\xef"),
	  1007 },
	{ "an overlong one",
	  { F(0x81, "\xc0\xaf") },
	  "",
	  OUT("\x88\x02\x03\xef"),
	  1007 },
	{ "past the last",
	  { F(0x81, "\xf4\x90\x80\x80") },
	  "",
	  OUT("\x88\x02\x03\xef"),
	  1007 },
	{ "half a character",
	  { F(0x81, "a\xe2\x82") },
	  "",
	  OUT("\x88\x02\x03\xef"),
	  1007 },
	{ "half a character in fragments",
	  { F(0x01, "\xe2"), F(0x80, "") },
	  "",
	  OUT("\x88\x02\x03\xef"),
	  1007 },
	{ "a reason that is none",
	  { F(0x88, "\x03\xe8\xff") },
	  "",
	  OUT("\x88\x02\x03\xef"),
	  1007 },
};

/* The answer without the reasons of our own Closes. */
static void check_out(struct side *s, const struct row *r)
{
	const unsigned char *p = (unsigned char *)s->out.data;
	char plain[64];
	size_t n = 0, size;

	for (size_t at = 0; at < s->out.size; at += 2 + size) {
		size_t copied;

		size = p[at + 1];
		copied = p[at] == 0x88 && size > 2 ? 2 : size;
		plain[n] = (char)p[at];
		plain[n + 1] = (char)copied;
		memcpy(plain + n + 2, p + at + 2, copied);
		n += 2 + copied;
	}
	assert_int_equal(n, r->out_size);
	assert_memory_equal(plain, r->out, n);
}

static void check_row(const struct row *r, const char *bytes, size_t size,
		      size_t cut, size_t step)
{
	struct side s;

	side_create(&s, WEBSOCKET_SERVER);
	if (step > 0) {
		for (size_t at = 0; at < size; at += step)
			feed(&s, bytes + at,
			     size - at < step ? size - at : step);
	} else {
		feed(&s, bytes, cut);
		feed(&s, bytes + cut, size - cut);
	}
	if (strcmp(s.seen, r->seen) != 0 || s.ws.code != r->code)
		fail_msg("%s, cut at %zu: '%s', code %u", r->what, cut, s.seen,
			 s.ws.code);
	check_out(&s, r);
	assert_int_equal(s.ws.ponged, 0);
	assert_int_equal(s.ws.state,
			 r->code == 0 ? WEBSOCKET_OPEN : WEBSOCKET_CLOSED);
	side_destroy(&s);
}

static void test_rows(void **state)
{
	char bytes[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		size_t size = 0;

		for (size_t k = 0; k < 6 && r->frames[k].data != NULL; k++)
			size += frame(bytes + size, r->frames[k].first,
				      r->frames[k].data, r->frames[k].size);
		for (size_t cut = 0; cut <= size; cut++)
			check_row(r, bytes, size, cut, 0);
		check_row(r, bytes, size, 0, 1);
	}
}

/* Frames that frame() does not make. */
static void test_malformed(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		unsigned code;
	} bad[] = {
		{ OUT("\x81\x01"
		      "a"),
		  1002 },                          /* no mask */
		{ OUT("\x81\x00"), 1002 },         /* nor here */
		{ OUT("\x89\x00"), 1002 },         /* nor here */
		{ OUT("\x89\xfe\x00\x7e"), 1002 }, /* a ping of 126 bytes */
		{ OUT("\x88\xfe\x00\x7e"), 1002 }, /* a close of as many */
		{ OUT("\x8a\xff"), 1002 },
		{ OUT("\x82\xfe\x00\x7d" MASK), 1002 }, /* not the shortest */
		{ OUT("\x82\xff\0\0\0\0\0\0\xff\xff" MASK), 1002 },
		{ OUT("\x82\xff\x80\0\0\0\0\0\0\0" MASK), 1002 },
		{ OUT("\x82\xff\0\0\0\0\0\x01\x11\x71" MASK "x"), 1009 },
		{ OUT("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" MASK "x"),
		  1009 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (size_t cut = 0; cut <= bad[i].size; cut++) {
			struct side s;

			side_create(&s, WEBSOCKET_SERVER);
			feed(&s, bad[i].bytes, cut);
			feed(&s, bad[i].bytes + cut, bad[i].size - cut);
			if (s.ws.code != bad[i].code)
				fail_msg("row %zu, cut at %zu: %u", i, cut,
					 s.ws.code);
			assert_int_equal((unsigned char)s.out.data[0], 0x88);
			assert_int_equal(s.out.size, 2 + 2 + s.ws.reason_size);
			side_destroy(&s);
		}
	}
}

/* Sizes around the borders of the lengths, and the limit, also of fragments. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0,     1,     125,      126,   127,
					4095,  4096,  4097,     65535, 65536,
					69999, LIMIT, LIMIT + 1 };
	static char data[LIMIT + 1], bytes[2 * LIMIT + 64];

	(void)state;
	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int half = 0; half < 2; half++) {
			size_t first = half ? sizes[i] / 2 : sizes[i], n;
			struct side s;
			char want[32];

			side_create(&s, WEBSOCKET_SERVER);
			n = frame(bytes, half ? 0x01 : 0x81, data, first);
			if (half)
				n += frame(bytes + n, 0x80, data,
					   sizes[i] - first);
			feed(&s, bytes, n);
			snprintf(want, sizeof(want), "T#%zu;", sizes[i]);
			if (sizes[i] > LIMIT)
				assert_int_equal(s.ws.code, 1009);
			else if (sizes[i] > 20)
				assert_string_equal(s.seen, want);
			else
				assert_int_equal(strlen(s.seen), sizes[i] + 2);
			side_destroy(&s);
		}
	}
}

/* Who takes no messages is given no more; nothing is lost by that. */
static void test_full(void **state)
{
	static char bytes[64 * 5000];
	struct websocket_message m;
	struct side s;
	size_t size = 0, at = 0, got = 0, stops = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char text[40];

		snprintf(text, sizeof(text), "%034d", i);
		size += frame(bytes + size, 0x81, text, 34);
	}
	side_create(&s, WEBSOCKET_SERVER);
	while (at < size || websocket_next(&s.ws, &m)) {
		at += (size_t)websocket_feed(&s.ws, bytes + at, size - at);
		assert_true(s.ws.whole - s.ws.start < WEBSOCKET_QUEUE + 8192);
		assert_true(s.ws.queue.size < 2 * WEBSOCKET_QUEUE + 8192);
		stops += at < size;
		for (int i = 0; i < 700 && websocket_next(&s.ws, &m); i++) {
			assert_int_equal(m.size, 34);
			assert_int_equal(atoi(m.data), got);
			got++;
			websocket_taken(&s.ws);
		}
	}
	assert_int_equal(got, 5000);
	assert_true(stops > 1);
	assert_true(s.ws.queue.capacity <= 1024);
	side_destroy(&s);
}

/* Both sides of ours: all kinds and sizes, pings, the end of both. */
static void pass(struct side *from, struct side *to)
{
	struct buf bytes = from->out;

	from->out = (struct buf){ NULL, 0, 0, 0 };
	feed(to, bytes.data != NULL ? bytes.data : "", bytes.size);
	buf_destroy(&bytes);
}

static void test_both(void **state)
{
	static char data[LIMIT];
	struct side server, client;
	uint64_t number;

	(void)state;
	side_create(&server, WEBSOCKET_SERVER);
	side_create(&client, WEBSOCKET_CLIENT);
	memset(data, 'y', sizeof(data));
	for (int i = 0; i < 2; i++) {
		struct side *from = i ? &server : &client;
		struct side *to = i ? &client : &server;

		assert_int_equal(websocket_send(&from->ws, WEBSOCKET_TEXT,
						"one", 3, true),
				 0);
		assert_int_equal(websocket_send(&from->ws, WEBSOCKET_BINARY,
						data, 40000, false),
				 0);
		assert_int_equal(websocket_ping(&from->ws, &number), 0);
		assert_int_equal(websocket_send(&from->ws, WEBSOCKET_BINARY,
						data, 30000, true),
				 0);
		/* Its masks hide what is sent. */
		assert_int_equal(memmem(from->out.data, from->out.size, "one",
					3) == NULL,
				 i == 0);
		pass(from, to);
		assert_string_equal(to->seen, "Tone;B#70000;");
		assert_int_equal(from->ws.ponged, 0);
		pass(to, from);
		assert_int_equal(from->ws.ponged, number);
	}
	assert_int_equal(websocket_close(&client.ws, 4321, "bye", 3), 0);
	assert_int_equal(websocket_close(&client.ws, 1000, "", 0), UV_EPIPE);
	assert_int_equal(websocket_send(&client.ws, WEBSOCKET_TEXT, "x", 1,
					true),
			 UV_EPIPE);
	/* What crosses our Close is dropped. */
	websocket_send(&server.ws, WEBSOCKET_TEXT, "late", 4, true);
	pass(&server, &client);
	assert_int_equal(client.ws.state, WEBSOCKET_CLOSING);
	pass(&client, &server);
	assert_int_equal(server.ws.state, WEBSOCKET_CLOSED);
	assert_int_equal(server.ws.code, 4321);
	assert_true(server.ws.by_peer);
	assert_memory_equal(server.ws.reason, "bye", 3);
	pass(&server, &client);
	assert_int_equal(client.ws.state, WEBSOCKET_CLOSED);
	assert_false(client.ws.by_peer);
	assert_string_equal(client.seen, "Tone;B#70000;");
	side_destroy(&server);
	side_destroy(&client);

	/* A server's frames are not masked. */
	side_create(&client, WEBSOCKET_CLIENT);
	feed(&client, OUT("\x81\x81" MASK "x"));
	assert_int_equal(client.ws.code, 1002);
	side_destroy(&client);
}

static void test_lost(void **state)
{
	struct websocket_message m;
	struct side s;

	(void)state;
	side_create(&s, WEBSOCKET_CLIENT);
	assert_int_equal(websocket_feed(&s.ws, OUT("\x81\x01"
						   "a\x01\x05"
						   "b")),
			 6);
	websocket_lost(&s.ws);
	websocket_lost(&s.ws);
	assert_int_equal(s.ws.code, WEBSOCKET_ABNORMAL);
	assert_true(websocket_next(&s.ws, &m)); /* what was whole is there */
	websocket_taken(&s.ws);
	assert_false(websocket_next(&s.ws, &m));
	assert_int_equal(websocket_feed(&s.ws, "x", 1), 1);
	side_destroy(&s);
}

static void test_handshake(void **state)
{
	char key[WEBSOCKET_KEY_SIZE + 1], other[WEBSOCKET_KEY_SIZE + 1];
	char accept[WEBSOCKET_ACCEPT_SIZE + 1];

	(void)state;
	/* The example of RFC 6455 1.3. */
	assert_int_equal(
		websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", 24, accept), 0);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_true(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ==", 24));
	assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ=", 23));
	assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ=a", 24));
	assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZR==", 24));
	assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25j====", 24));
	assert_false(websocket_is_key("dGhlIHNhbXB ZSBub25jZQ==", 24));
	assert_false(websocket_is_key("", 0));
	assert_int_equal(websocket_new_key(key), 0);
	assert_int_equal(websocket_new_key(other), 0);
	assert_true(websocket_is_key(key, strlen(key)));
	assert_string_not_equal(key, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
