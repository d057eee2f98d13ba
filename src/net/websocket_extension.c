/*
 * Sec-WebSocket-Extensions: what is said of permessage-deflate, and what follows from it.
 * See websocket_deflate.h.
 */
#include <stdio.h>
#include <string.h>

#include "net/websocket_deflate.h"

static const char name[] = "permessage-deflate";

/** Part of a field. */
struct range {
	const char *p;
	const char *end;
};

/** An offer or an answer. */
struct terms {
	bool server_no_context;
	bool client_no_context;
	uint8_t server_bits; /* 0: nothing was said of it */
	uint8_t client_bits;
	bool client_can; /* client_max_window_bits without a number */
};

/* Up to the next @a sign that is not inside quotes. *rest: what is behind it. */
static struct range cut(struct range *rest, char sign)
{
	struct range r = *rest;
	bool quoted = false;

	for (; rest->p < rest->end && (quoted || *rest->p != sign); rest->p++) {
		if (*rest->p == '"')
			quoted = !quoted;
		else if (quoted && *rest->p == '\\' && rest->p + 1 < rest->end)
			rest->p++;
	}
	r.end = rest->p;
	if (rest->p < rest->end)
		rest->p++;
	while (r.p < r.end && (*r.p == ' ' || *r.p == '\t'))
		r.p++;
	while (r.end > r.p && (r.end[-1] == ' ' || r.end[-1] == '\t'))
		r.end--;
	return r;
}

static bool is(struct range r, const char *text)
{
	size_t size = strlen(text);

	return (size_t)(r.end - r.p) == size && memcmp(r.p, text, size) == 0;
}

/* 8 to 15, plain or in quotes; 0: neither. */
static uint8_t bits_of(struct range r)
{
	char text[2];
	size_t size = 0;
	bool quoted = r.end - r.p >= 2 && r.p[0] == '"' && r.end[-1] == '"';

	if (quoted) {
		r.p++;
		r.end--;
	}
	for (; r.p < r.end; r.p++) {
		if (quoted && *r.p == '\\' && ++r.p == r.end)
			return 0;
		if (size == sizeof(text))
			return 0;
		text[size++] = *r.p;
	}
	if (size == 1 && (text[0] == '8' || text[0] == '9'))
		return (uint8_t)(text[0] - '0');
	if (size == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5')
		return (uint8_t)(10 + text[1] - '0');
	return 0;
}

/* Once, and without a value. */
static bool set_flag(bool *flag, bool has_value)
{
	bool fine = !*flag && !has_value;

	*flag = true;
	return fine;
}

/* Once, and with a number. */
static bool set_bits(uint8_t *bits, struct range value)
{
	bool fine = *bits == 0;

	*bits = bits_of(value);
	return fine && *bits != 0;
}

static bool read_term(struct terms *t, struct range r, bool offer)
{
	const char *begin = r.p;
	struct range key = cut(&r, '=');
	bool has_value = r.p > begin && r.p[-1] == '=';
	struct range value = cut(&r, ',');

	if (is(key, "server_no_context_takeover"))
		return set_flag(&t->server_no_context, has_value);
	if (is(key, "client_no_context_takeover"))
		return set_flag(&t->client_no_context, has_value);
	if (is(key, "server_max_window_bits"))
		return set_bits(&t->server_bits, value);
	if (!is(key, "client_max_window_bits") || t->client_can)
		return false;
	if (has_value || !offer)
		return set_bits(&t->client_bits, value);
	t->client_can = true;
	return t->client_bits == 0;
}

/* False: another extension, malformed, or something nobody knows. */
static bool read_terms(struct terms *ret, struct range r, bool offer)
{
	struct terms t = { false, false, 0, 0, false };

	if (!is(cut(&r, ';'), name))
		return false;
	while (r.p < r.end || r.p[-1] == ';') {
		if (!read_term(&t, cut(&r, ';'), offer))
			return false;
	}
	*ret = t;
	return true;
}

static uint8_t least(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

static uint8_t or_max(uint8_t bits)
{
	return bits != 0 ? bits : WEBSOCKET_BITS_MAX;
}

static void write_terms(char *to, const struct terms *t)
{
	size_t room = WEBSOCKET_DEFLATE_TEXT, n;

	n = (size_t)snprintf(
		to, room, "%s%s%s%s", name,
		t->server_no_context ? "; server_no_context_takeover" : "",
		t->client_no_context ? "; client_no_context_takeover" : "",
		t->client_can ? "; client_max_window_bits" : "");
	if (t->server_bits != 0)
		n += (size_t)snprintf(to + n, room - n,
				      "; server_max_window_bits=%u",
				      t->server_bits);
	if (t->client_bits != 0)
		snprintf(to + n, room - n, "; client_max_window_bits=%u",
			 t->client_bits);
}

static void accept(const struct terms *offer,
		   struct websocket_deflate_wish wish,
		   struct websocket_deflate *ret, char *ret_text)
{
	uint8_t ours = least(wish.bits, or_max(offer->server_bits));
	bool can = offer->client_can || offer->client_bits != 0;
	uint8_t theirs = can ? least(wish.bits, or_max(offer->client_bits))
			     : WEBSOCKET_BITS_MAX;
	struct terms answer = {
		.server_no_context = !wish.context || offer->server_no_context,
		.client_no_context = !wish.context || offer->client_no_context,
		.server_bits = ours < WEBSOCKET_BITS_MAX ? ours
							 : offer->server_bits,
		.client_bits = theirs < WEBSOCKET_BITS_MAX ? theirs : 0,
	};

	*ret = (struct websocket_deflate){
		.agreed = true,
		.keep_ours = !answer.server_no_context,
		.keep_theirs = !answer.client_no_context,
		.our_bits = ours,
		.their_bits = theirs,
	};
	write_terms(ret_text, &answer);
}

bool websocket_deflate_answer(const char *value, size_t size,
			      struct websocket_deflate_wish wish,
			      struct websocket_deflate *ret,
			      char ret_text[static WEBSOCKET_DEFLATE_TEXT])
{
	struct range r = { value, value + size };
	struct terms offer;

	while (wish.wanted && r.p < r.end) {
		if (!read_terms(&offer, cut(&r, ','), true))
			continue;
		accept(&offer, wish, ret, ret_text);
		return true;
	}
	return false;
}

void websocket_deflate_offer(struct websocket_deflate_wish wish,
			     char ret_text[static WEBSOCKET_DEFLATE_TEXT])
{
	bool all = wish.bits == WEBSOCKET_BITS_MAX;
	struct terms offer = {
		.server_no_context = !wish.context,
		.client_no_context = !wish.context,
		.server_bits = all ? 0 : wish.bits,
		.client_bits = all ? 0 : wish.bits,
		.client_can = all,
	};

	write_terms(ret_text, &offer);
}

bool websocket_deflate_check(const char *value, size_t size,
			     struct websocket_deflate_wish wish,
			     struct websocket_deflate *ret)
{
	struct range r = { value, value + size };
	struct terms answer;

	if (!wish.wanted || !read_terms(&answer, cut(&r, ','), false) ||
	    r.p[-1] == ',')
		return false;
	/* What was wished for was not for the server to leave out. */
	if ((!wish.context && !answer.server_no_context) ||
	    answer.client_bits > wish.bits ||
	    (wish.bits < WEBSOCKET_BITS_MAX &&
	     or_max(answer.server_bits) > wish.bits))
		return false;
	*ret = (struct websocket_deflate){
		.agreed = true,
		.keep_ours = wish.context && !answer.client_no_context,
		.keep_theirs = !answer.server_no_context,
		.our_bits = least(wish.bits, or_max(answer.client_bits)),
		.their_bits = or_max(answer.server_bits),
	};
	return true;
}
