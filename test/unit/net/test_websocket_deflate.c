/*
 * permessage-deflate: what is agreed on, by rows; and messages that were deflated, from
 * an encoder of ours and by hand, whole and cut, right and wrong.
 */
#include "unit.h"

#include <stdlib.h>
#include <uv.h>

#include "base/inject.h"
#include "net/http_encoder.h"
#include "net/websocket.h"

#define NAME "permessage-deflate"
#define NONE "server_no_context_takeover; client_no_context_takeover"

static const struct websocket_deflate_wish plain = { true, false, 15 };
static const struct websocket_deflate_wish context = { true, true, 15 };
static const struct websocket_deflate_wish narrow = { true, true, 12 };

/* --- what is agreed on --- */

static void test_answers(void **state)
{
	static const struct {
		const struct websocket_deflate_wish *wish;
		const char *offer;
		const char *answer; /* NULL: none */
		struct websocket_deflate agreed;
	} rows[] = {
		{ &plain, NAME, NAME "; " NONE, { true, 0, 0, 15, 15 } },
		{ &plain,
		  " \t" NAME " ",
		  NAME "; " NONE,
		  { true, 0, 0, 15, 15 } },
		{ &plain,
		  NAME "; client_max_window_bits",
		  NAME "; " NONE,
		  { true, 0, 0, 15, 15 } },
		{ &context, NAME, NAME, { true, 1, 1, 15, 15 } },
		{ &context,
		  NAME "; server_no_context_takeover",
		  NAME "; server_no_context_takeover",
		  { true, 0, 1, 15, 15 } },
		{ &context,
		  NAME ";client_no_context_takeover",
		  NAME "; client_no_context_takeover",
		  { true, 1, 0, 15, 15 } },
		{ &context,
		  NAME "; server_max_window_bits=10; client_max_window_bits=9",
		  NAME "; server_max_window_bits=10; client_max_window_bits=9",
		  { true, 1, 1, 10, 9 } },
		{ &context,
		  NAME "; server_max_window_bits=8; client_max_window_bits=8",
		  NAME "; server_max_window_bits=8; client_max_window_bits=8",
		  { true, 1, 1, 8, 8 } },
		{ &context,
		  NAME "; server_max_window_bits=\"1\\0\"",
		  NAME "; server_max_window_bits=10",
		  { true, 1, 1, 10, 15 } },
		{ &context,
		  NAME "; server_max_window_bits=15",
		  NAME "; server_max_window_bits=15",
		  { true, 1, 1, 15, 15 } },
		/* Nothing may be said of the client's that it has not begun. */
		{ &narrow,
		  NAME,
		  NAME "; server_max_window_bits=12",
		  { true, 1, 1, 12, 15 } },
		{ &narrow,
		  NAME "; client_max_window_bits",
		  NAME "; server_max_window_bits=12; client_max_window_bits=12",
		  { true, 1, 1, 12, 12 } },
		{ &narrow,
		  NAME "; client_max_window_bits=10; server_max_window_bits=14",
		  NAME "; server_max_window_bits=12; client_max_window_bits=10",
		  { true, 1, 1, 12, 10 } },
		/* The first that suits. */
		{ &context,
		  "x-webkit-deflate-frame, " NAME,
		  NAME,
		  { true, 1, 1, 15, 15 } },
		{ &context,
		  NAME "; x, " NAME "; server_max_window_bits=9, " NAME,
		  NAME "; server_max_window_bits=9",
		  { true, 1, 1, 9, 15 } },
		{ &context, ",, " NAME ",", NAME, { true, 1, 1, 15, 15 } },
		{ &context,
		  "x; a=\"b, c\\\", " NAME "\", " NAME
		  "; server_max_window_bits=9",
		  NAME "; server_max_window_bits=9",
		  { true, 1, 1, 9, 15 } },
		/* Declined. */
		{ &plain, "", NULL, { 0 } },
		{ &plain, ",", NULL, { 0 } },
		{ &plain, ";", NULL, { 0 } },
		{ &plain, "permessage-bzip2", NULL, { 0 } },
		{ &plain, NAME "x", NULL, { 0 } },
		{ &plain, NAME "=1", NULL, { 0 } },
		{ &plain, NAME ";", NULL, { 0 } },
		{ &plain, NAME "; ; client_max_window_bits", NULL, { 0 } },
		{ &plain, NAME "; mode=fast", NULL, { 0 } },
		{ &plain, NAME "; server_no_context_takeover=1", NULL, { 0 } },
		{ &plain, NAME "; server_no_context_takeover=", NULL, { 0 } },
		{ &plain,
		  NAME "; client_no_context_takeover=true",
		  NULL,
		  { 0 } },
		{ &plain,
		  NAME
		  "; server_no_context_takeover; server_no_context_takeover",
		  NULL,
		  { 0 } },
		{ &plain, NAME "; server_max_window_bits", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=7", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=16", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=010", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=+9", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=1e1", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=\"10", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=10\"", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=\"1\\", NULL, { 0 } },
		{ &plain, NAME "; server_max_window_bits=\"\"", NULL, { 0 } },
		{ &plain,
		  NAME "; server_max_window_bits=9; server_max_window_bits=9",
		  NULL,
		  { 0 } },
		{ &plain, NAME "; client_max_window_bits=", NULL, { 0 } },
		{ &plain, NAME "; client_max_window_bits=20", NULL, { 0 } },
		{ &plain,
		  NAME "; client_max_window_bits; client_max_window_bits=9",
		  NULL,
		  { 0 } },
		{ &plain,
		  NAME "; client_max_window_bits=9; client_max_window_bits",
		  NULL,
		  { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = strlen(rows[i].offer);
		char *copy = malloc(size + 1), text[WEBSOCKET_DEFLATE_TEXT];
		struct websocket_deflate got = { 0 };
		bool agreed;

		memcpy(copy, rows[i].offer, size); /* and no NUL behind it */
		agreed = websocket_deflate_answer(copy, size, *rows[i].wish,
						  &got, text);
		if (agreed != (rows[i].answer != NULL) ||
		    (agreed && strcmp(text, rows[i].answer) != 0))
			fail_msg("'%s': '%s'", rows[i].offer,
				 agreed ? text : "declined");
		assert_memory_equal(&got, &rows[i].agreed, sizeof(got));
		free(copy);
	}
}

static void test_checks(void **state)
{
	static const struct {
		const struct websocket_deflate_wish *wish;
		const char *answer;
		struct websocket_deflate agreed; /* or not */
	} rows[] = {
		{ &plain, NAME "; " NONE, { true, 0, 0, 15, 15 } },
		{ &plain,
		  NAME "; server_no_context_takeover",
		  { true, 0, 0, 15, 15 } },
		{ &plain,
		  NAME
		  "; server_no_context_takeover; client_max_window_bits=8; "
		  "server_max_window_bits=9",
		  { true, 0, 0, 8, 9 } },
		{ &context, NAME, { true, 1, 1, 15, 15 } },
		{ &context, NAME "; " NONE, { true, 0, 0, 15, 15 } },
		{ &context,
		  NAME "; client_no_context_takeover",
		  { true, 0, 1, 15, 15 } },
		{ &narrow,
		  NAME "; server_max_window_bits=12",
		  { true, 1, 1, 12, 12 } },
		{ &narrow,
		  NAME "; server_max_window_bits=10; client_max_window_bits=11",
		  { true, 1, 1, 11, 10 } },
		/* What it must not say. */
		{ &plain, NAME, { 0 } },
		{ &plain, NAME "; client_no_context_takeover", { 0 } },
		{ &narrow, NAME, { 0 } },
		{ &narrow, NAME "; server_max_window_bits=13", { 0 } },
		{ &narrow,
		  NAME "; server_max_window_bits=12; client_max_window_bits=13",
		  { 0 } },
		{ &context, NAME "; client_max_window_bits", { 0 } },
		{ &context, NAME "; client_max_window_bits=16", { 0 } },
		{ &context, NAME "; server_max_window_bits", { 0 } },
		{ &context, NAME "; mode=fast", { 0 } },
		{ &context, NAME ", " NAME, { 0 } },
		{ &context, NAME ", x", { 0 } },
		{ &context, NAME ",", { 0 } },
		{ &context, "x, " NAME, { 0 } },
		{ &context, "", { 0 } },
	};
	static const struct websocket_deflate_wish nothing = { 0 };
	struct websocket_deflate got = { 0 };
	char text[WEBSOCKET_DEFLATE_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		got = (struct websocket_deflate){ 0 };
		if (websocket_deflate_check(
			    rows[i].answer, strlen(rows[i].answer),
			    *rows[i].wish, &got) != rows[i].agreed.agreed)
			fail_msg("'%s'", rows[i].answer);
		assert_memory_equal(&got, &rows[i].agreed, sizeof(got));
	}
	assert_false(
		websocket_deflate_check(NAME, strlen(NAME), nothing, &got));
	assert_false(websocket_deflate_answer(NAME, strlen(NAME), nothing, &got,
					      text));
	websocket_deflate_offer(plain, text);
	assert_string_equal(text, NAME "; " NONE "; client_max_window_bits");
	websocket_deflate_offer(narrow, text);
	assert_string_equal(text, NAME "; server_max_window_bits=12; "
				       "client_max_window_bits=12");
}

/* --- messages --- */

static char data[300000];

static void fill(void)
{
	unsigned x = 1;

	/* Matches at all distances, and what has none. */
	for (size_t i = 0; i < sizeof(data); i++) {
		x = x * 1103515245 + 12345;
		data[i] = i % 700 < 350 || i < 1000
				  ? "etaoin shrdlu"[(x >> 16) % 13]
				  : data[i - 1 - (x >> 8) % 900 % i];
	}
}

/** A receiver, and what is fed to it. */
struct side {
	struct websocket ws;
	struct buf out;
	struct buf in;
};

static void side_create(struct side *s, size_t limit, bool keep, unsigned bits)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(
		websocket_create(&s->ws, WEBSOCKET_CLIENT, limit, &s->out), 0);
	s->ws.deflate = (struct websocket_deflate){ true, keep, keep,
						    (uint8_t)bits,
						    (uint8_t)bits };
}

static void side_destroy(struct side *s)
{
	websocket_destroy(&s->ws);
	buf_destroy(&s->out);
	buf_destroy(&s->in);
}

/* A frame of a server, to be fed. */
static void add(struct side *s, unsigned first, const char *bytes, size_t size)
{
	unsigned char head[10] = { (unsigned char)first };
	size_t n = 2;

	if (size < 126) {
		head[1] = (unsigned char)size;
	} else {
		head[1] = 127;
		for (int i = 0; i < 8; i++)
			head[n++] =
				(unsigned char)((uint64_t)size >> 8 * (7 - i));
		if (size < 65536) {
			head[1] = 126;
			memmove(head + 2, head + 8, 2);
			n = 4;
		}
	}
	assert_int_equal(buf_append(&s->in, head, n), 0);
	assert_int_equal(buf_append(&s->in, bytes, size), 0);
}

/* Feed it, in pieces of @a step, as long as there is room. Returns the most that one call has
 * added. */
static size_t feed(struct side *s, size_t step)
{
	size_t most = 0, before, at;

	for (at = 0; at < s->in.size || s->ws.behind;) {
		size_t size = s->in.size - at < step ? s->in.size - at : step;
		ssize_t n;

		before = s->ws.queue.size;
		n = websocket_feed(&s->ws, s->in.data + at, size);
		assert_true(n > 0 || s->ws.behind || size == 0);
		if (s->ws.queue.size > before &&
		    s->ws.queue.size - before > most)
			most = s->ws.queue.size - before;
		at += (size_t)n;
		if (!websocket_has_room(&s->ws))
			break;
	}
	buf_consume(&s->in, at);
	return most;
}

static void expect(struct side *s, const char *bytes, size_t size)
{
	struct websocket_message m;

	if (!websocket_next(&s->ws, &m))
		fail_msg("no message; code %u", s->ws.code);
	assert_int_equal(m.size, size);
	assert_memory_equal(m.data, bytes, size);
	websocket_taken(&s->ws);
}

/* All windows, both ways, with what an encoder of ours makes; for eight bits, which are
 * less than it knows, the peer's window is really as small. */
static void test_windows(void **state)
{
	static const size_t sizes[] = { 1, 200, 1000, 70000, 300000 };
	const char *why;

	(void)state;
	fill();
	for (unsigned bits = 8; bits <= 15; bits++) {
		struct side kept, single;
		struct http_encoder *e;

		side_create(&kept, sizeof(data), true, bits);
		side_create(&single, sizeof(data), false, bits);
		e = http_encoder_new(HTTP_CODING_DEFLATE, 9, (int)bits, &why);
		assert_non_null(e);
		for (size_t i = 0; i < 5; i++) {
			struct buf out = { NULL, 0, 0, 0 };

			assert_int_equal(http_encoder_feed(e, data, sizes[i],
							   false, &out),
					 0);
			add(&kept, 0xc2, out.data, out.size);
			feed(&kept, 1 + (bits - 8) * 1000);
			expect(&kept, data, sizes[i]);
			assert_non_null(kept.ws.inflater);
			if (i == 0) { /* it refers to nothing before */
				add(&single, 0xc1, out.data, out.size);
				feed(&single, 1);
				expect(&single, data, sizes[i]);
			}
			assert_null(single.ws.inflater);
			buf_destroy(&out);
		}
		http_encoder_delete(e);
		side_destroy(&kept);
		side_destroy(&single);
	}
}

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"
#define STORED                 \
	"\x00\x05\x00\xfa\xff" \
	"Hello\x00"
#define F(first, bytes)                         \
	{                                       \
		first, bytes, sizeof(bytes) - 1 \
	}

/* By hand; "Hello" is that of the RFC. */
static void test_rows(void **state)
{
	static const struct {
		const char *what;
		struct {
			unsigned first;
			const char *bytes;
			size_t size;
		} frames[5];
		const char *seen; /* messages, each with ";" */
		unsigned code;
		bool keep;
	} rows[] = {
		{ "whole", { F(0xc1, HELLO) }, "Hello;", 0, false },
		{ "in fragments",
		  { F(0x41, "\xf2\x48\xcd"), F(0x80, "\xc9\xc9\x07\x00") },
		  "Hello;",
		  0,
		  false },
		{ "with nothing in some of them",
		  { F(0x41, ""), F(0x00, HELLO), F(0x00, ""), F(0x80, "") },
		  "Hello;",
		  0,
		  false },
		{ "with a ping between them",
		  { F(0x41, "\xf2"), F(0x89, "p"),
		    F(0x80, "\x48\xcd\xc9\xc9\x07\x00") },
		  "Hello;",
		  0,
		  false },
		{ "referring to the one before",
		  { F(0xc1, HELLO), F(0xc1, "\xf2\x00\x11\x00\x00") },
		  "Hello;Hello;",
		  0,
		  true },
		{ "referring to nothing",
		  { F(0xc1, HELLO), F(0xc1, "\xf2\x00\x11\x00\x00") },
		  "Hello;",
		  1007,
		  false },
		{ "stored", { F(0xc1, STORED) }, "Hello;", 0, false },
		{ "with a last block",
		  { F(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00") },
		  "Hello;",
		  0,
		  false },
		{ "with a last block, nothing behind it, and others",
		  { F(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00"), F(0xc1, HELLO),
		    F(0xc1, "\xf2\x00\x11\x00\x00"),
		    F(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00") },
		  "Hello;Hello;Hello;Hello;",
		  0,
		  true },
		{ "an empty last block alone",
		  { F(0xc1, "\x03\x00"), F(0xc1, HELLO) },
		  ";Hello;",
		  0,
		  false },
		{ "and then no byte",
		  { F(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00"), F(0xc1, "") },
		  "Hello;",
		  1007,
		  false },
		{ "two blocks",
		  { F(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07"
			    "\x00") },
		  "Hello;",
		  0,
		  false },
		{ "blocks behind a last one",
		  { F(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00" STORED) },
		  "HelloHello;",
		  0,
		  false },
		{ "which refer to it, and the next message, too",
		  { F(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00"),
		    F(0xc1, "\xf2\x00\x11\x00\x00") },
		  "HelloHello;Hello;",
		  0,
		  true },
		{ "nothing",
		  { F(0xc1, "\x00"), F(0xc2, "\x00") },
		  ";;",
		  0,
		  false },
		{ "nothing, otherwise",
		  { F(0xc1, "\x02\x00") },
		  ";",
		  0,
		  false },
		{ "no bit, no deflating",
		  { F(0x82, HELLO), F(0xc1, HELLO), F(0x81, "Hi") },
		  HELLO ";Hello;Hi;",
		  0,
		  false },
		{ "a character in two",
		  { F(0xc1, "\x00\x02\x00\xfd\xff\xc3\xa4\x00") },
		  "\xc3\xa4;",
		  0,
		  false },

		{ "the bit in a continuation",
		  { F(0x41, "\xf2\x48\xcd"), F(0xc0, "\xc9\xc9\x07\x00") },
		  "",
		  1002,
		  false },
		{ "the bit in a continuation alone",
		  { F(0x01, "a"), F(0xc0, HELLO) },
		  "",
		  1002,
		  false },
		{ "in a ping", { F(0xc9, "") }, "", 1002, false },
		{ "in a pong", { F(0xca, "") }, "", 1002, false },
		{ "in a close", { F(0xc8, "\x03\xe8") }, "", 1002, false },
		{ "the second bit", { F(0xa1, HELLO) }, "", 1002, false },
		{ "and the first", { F(0xe1, HELLO) }, "", 1002, false },
		{ "the third", { F(0xd1, HELLO) }, "", 1002, false },
		{ "no such block", { F(0xc1, "\x07") }, "", 1007, false },
		{ "a length that is none",
		  { F(0xc1, "\x00\x05\x00\x00\x00Hello\x00") },
		  "",
		  1007,
		  false },
		{ "cut in a stored block",
		  { F(0xc1, "\x00\x05\x00\xfa\xffHel") },
		  "",
		  1007,
		  false },
		{ "cut in its length",
		  { F(0xc1, "\x00\x05") },
		  "",
		  1007,
		  false },
		{ "cut in a code",
		  { F(0xc1, "\xf2\x48\xcd") },
		  "",
		  1007,
		  false },
		{ "no byte", { F(0xc1, "") }, "", 1007, false },
		{ "with the tail that is to be left out",
		  { F(0xc1, HELLO "\x00\x00\xff\xff\x00") },
		  "Hello;",
		  0,
		  false },
		{ "no UTF-8 in it",
		  { F(0xc1, "\x00\x01\x00\xfe\xff\xff\x00") },
		  "",
		  1007,
		  false },
		{ "half a character",
		  { F(0xc1, "\x00\x01\x00\xfe\xff\xc3\x00") },
		  "",
		  1007,
		  false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t step = 1; step < 40; step += 3) {
			struct websocket_message m;
			struct side s;
			char seen[64];
			size_t n = 0;

			side_create(&s, 1000, rows[i].keep, 15);
			for (size_t k = 0; k < 5 && rows[i].frames[k].bytes;
			     k++)
				add(&s, rows[i].frames[k].first,
				    rows[i].frames[k].bytes,
				    rows[i].frames[k].size);
			feed(&s, step);
			while (websocket_next(&s.ws, &m)) {
				memcpy(seen + n, m.data, m.size);
				n += m.size;
				seen[n++] = ';';
				websocket_taken(&s.ws);
			}
			if (s.ws.code != rows[i].code)
				fail_msg("%s: %u %.*s", rows[i].what, s.ws.code,
					 s.ws.reason_size, s.ws.reason);
			/* HELLO ends with a NUL */
			assert_memory_equal(seen, rows[i].seen, n);
			assert_int_equal(rows[i].seen[n], '\0');
			side_destroy(&s);
		}
	}
}

/* Nobody has agreed on it. */
static void test_not_agreed(void **state)
{
	struct side s;

	(void)state;
	side_create(&s, 1000, false, 15);
	s.ws.deflate.agreed = false;
	add(&s, 0xc1, HELLO, sizeof(HELLO) - 1);
	feed(&s, 1000);
	assert_int_equal(s.ws.code, 1002);
	side_destroy(&s);
}

/* A megabyte in a kilobyte: what it becomes is limited, not what it is; and what is
 * allowed to be large comes in slices. */
static void test_bombs(void **state)
{
	enum { MANY = 1 << 24 };
	struct buf bomb = { NULL, 0, 0, 0 };
	char *zeros = calloc(1, MANY);
	struct http_encoder *e;
	const char *why;
	struct side s;
	size_t most;

	(void)state;
	assert_non_null(zeros);
	e = http_encoder_new(HTTP_CODING_DEFLATE, 9, 15, &why);
	assert_non_null(e);
	assert_int_equal(http_encoder_feed(e, zeros, MANY, true, &bomb), 0);
	http_encoder_delete(e);
	assert_true(bomb.size < MANY / 1000);

	side_create(&s, 100000, false, 15);
	add(&s, 0xc2, bomb.data, bomb.size);
	feed(&s, 65536);
	assert_int_equal(s.ws.code, 1009);
	assert_int_equal(s.ws.queue.capacity, 0); /* nor is anything left */
	assert_null(s.ws.inflater);
	side_destroy(&s);

	/* Many of them in one read, each as large as may be. */
	side_create(&s, MANY, false, 15);
	for (int i = 0; i < 3; i++)
		add(&s, 0xc2, bomb.data, bomb.size);
	most = feed(&s, 65536);
	assert_in_range(most, WEBSOCKET_TURN,
			WEBSOCKET_TURN + 4 * WEBSOCKET_INFLATE_STEP);
	assert_int_equal(s.ws.code, 0);
	assert_true(s.ws.behind); /* nobody has taken the first one */
	assert_in_range(s.ws.queue.size, MANY, MANY + 1000);
	for (int i = 0; i < 3; i++) {
		expect(&s, zeros, MANY);
		feed(&s, 65536);
	}
	side_destroy(&s);

	/* Blocks of nothing for ever are no message, and cost nothing. */
	side_create(&s, 1000, false, 15);
	for (int i = 0; i < 10000; i++)
		add(&s, i == 0 ? 0x42 : 0x00, "\x00\x00\x00\xff\xff", 5);
	feed(&s, 65536);
	assert_int_equal(s.ws.code, 0);
	assert_true(s.ws.queue.capacity < 20000);
	side_destroy(&s);

	free(zeros);
	buf_destroy(&bomb);
}

/* The limit, to the byte. */
static void test_limit(void **state)
{
	const char *why;

	(void)state;
	fill();
	for (size_t size = 4094; size < 4099; size++) {
		struct http_encoder *e =
			http_encoder_new(HTTP_CODING_DEFLATE, 5, 12, &why);
		struct buf out = { NULL, 0, 0, 0 };
		struct side s;

		assert_non_null(e);
		assert_int_equal(http_encoder_feed(e, data, size, true, &out),
				 0);
		side_create(&s, 4096, false, 12);
		add(&s, 0x42, out.data, out.size / 2);
		add(&s, 0x80, out.data + out.size / 2, out.size - out.size / 2);
		feed(&s, 100);
		assert_int_equal(s.ws.code, size > 4096 ? 1009 : 0);
		if (size <= 4096)
			expect(&s, data, size);
		side_destroy(&s);
		buf_destroy(&out);
		http_encoder_delete(e);
	}
}

/* No memory, at each allocation: it is over, and says so, or goes on. */
static bool strike(long after)
{
	struct buf out = { NULL, 0, 0, 0 };
	struct http_encoder *e;
	struct websocket ws;
	const char *why;
	bool lost = false;
	long asked;

	assert_int_equal(inject_arm("malloc", after, 1), 0);
	e = http_encoder_new(HTTP_CODING_DEFLATE, 5, 12, &why);
	if (e != NULL && http_encoder_feed(e, data, 20000, true, &out) == 0 &&
	    websocket_create(&ws, WEBSOCKET_CLIENT, 30000, &out) == 0) {
		struct buf in = out, answer = { NULL, 0, 0, 0 };
		char head[4] = { '\xc2', 126, (char)(in.size >> 8),
				 (char)in.size };

		ws.out = &answer;
		ws.deflate =
			(struct websocket_deflate){ true, true, true, 15, 15 };
		for (int i = 0; i < 3 && !lost; i++) {
			lost = websocket_feed(&ws, head, 4) < 0 ||
			       websocket_feed(&ws, in.data, in.size) < 0;
			if (lost)
				assert_int_equal(ws.state, WEBSOCKET_CLOSED);
			else
				websocket_taken(&ws);
			if (i == 1 && !lost)
				websocket_inflater_reset(ws.inflater);
		}
		assert_int_equal(ws.code, lost ? WEBSOCKET_ABNORMAL : 0);
		websocket_destroy(&ws);
		buf_destroy(&answer);
	}
	http_encoder_delete(e);
	buf_destroy(&out);
	asked = inject_asked("malloc");
	inject_reset();
	return asked > after;
}

static void test_no_memory(void **state)
{
	long n = 0;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	inject_reset();
	fill();
	while (strike(n))
		n++;
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_not_agreed),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
