/*
 * Answers from Lua, whole or in pieces: what a handler gives becomes a status,
 * fields and bytes.
 *
 * The functions of a streamed answer know its request by its object; a peer
 * that has gone, and a request that is over, are the same to them.
 */
#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "base/diag.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"
#include "lua/lua_lean.h"

enum {
	REPLY_ARGS = 5,    /* of reply() and begin(), but for the next one */
	RESPONSE_ARG = 6,  /* of reply() */
	LENGTH_WRONG = -2, /* no number; HTTP_LENGTH_UNKNOWN: none */
};

/** An answer on its way from Lua; its strings stay on the stack. */
struct answer {
	struct http_response resp;
	struct http_field fields[HTTP_FIELDS_MAX];
	bool typed;     /* has a Content-Type */
	int64_t length; /* what it says of its Content-Length */
};

static bool is_named(const char *name, size_t size, const char *other)
{
	return size == strlen(other) && strncasecmp(name, other, size) == 0;
}

/* A Content-Length matters for a body in pieces; any other is counted. */
static const char *note_length(struct answer *a, const char *text)
{
	char *end;

	errno = 0;
	a->length = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || a->length < 0)
		a->length = LENGTH_WRONG;
	return NULL;
}

/* One field of text. Returns NULL, or what is wrong. */
static const char *note_field(struct answer *a, struct http_field f)
{
	if (a->resp.field_count == HTTP_FIELDS_MAX)
		return "there are too many";
	if (is_named(f.name.data, f.name.size, "connection")) {
		/* Anything else in it is the server's business. */
		a->resp.close |= is_named(f.value.data, f.value.size, "close");
		return NULL;
	}
	if (is_named(f.name.data, f.name.size, "content-length"))
		return note_length(a, f.value.data);
	if (is_named(f.name.data, f.name.size, "content-type")) {
		if (a->typed)
			return "it is there twice";
		a->typed = true;
	}
	a->fields[a->resp.field_count++] = f;
	return NULL;
}

/* One field, its name at -2 and its value on top: text, which its table keeps,
 * or a number, whose text is put right behind the arguments and kept there.
 * Returns NULL, or what is wrong. */
static const char *add_field(lua_State *L, struct answer *a)
{
	struct http_field f;
	int type = lua_type(L, -1);

	if (type == LUA_TNUMBER) {
		luaL_checkstack(L, 4, "too many header fields");
		lua_pushvalue(L, -1);
		f.value.data = lua_tolstring(L, -1, &f.value.size);
		lua_insert(L, REPLY_ARGS + 1);
	} else if (type == LUA_TSTRING) {
		f.value.data = lua_tolstring(L, -1, &f.value.size);
	} else {
		return "the value is no string or number";
	}
	f.name.data = lua_tolstring(L, -2, &f.name.size);
	return note_field(a, f);
}

/* A list of values: a field each. */
static const char *add_list(lua_State *L, struct answer *a)
{
	int count = (int)lua_objlen(L, -1);
	const char *why = NULL;

	for (int i = 1; i <= count && why == NULL; i++) {
		lua_pushvalue(L, -2);
		lua_rawgeti(L, -2, i);
		why = add_field(L, a);
		lua_pop(L, 2);
	}
	return why;
}

/* All fields of the table at @a idx, when each is text. False: the long way has to
 * look at them. */
static bool add_texts(lua_State *L, int idx, struct answer *a)
{
	struct lua_texts pair;
	uint32_t at = 0;
	int rc;

	while ((rc = lua_lean_next_texts(L, idx, &at, &pair)) > 0) {
		struct http_field f = { { pair.key, pair.key_size },
					{ pair.value, pair.value_size } };

		if (note_field(a, f) != NULL)
			return false;
	}
	return rc == 0;
}

/* All fields of the table at @a idx. Returns NULL, or what is wrong with the
 * field whose name is then on top. */
static const char *add_fields(lua_State *L, int idx, struct answer *a)
{
	const char *why;

	lua_pushnil(L);
	while (lua_next(L, idx)) {
		if (lua_type(L, -2) != LUA_TSTRING) {
			lua_pushliteral(L, "?");
			return "a name is no string";
		}
		why = lua_istable(L, -1) ? add_list(L, a) : add_field(L, a);
		lua_pop(L, 1);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static int refused(lua_State *L, const struct answer *a)
{
	size_t at;
	const char *why = http_response_check(&a->resp, &at);

	lua_pushnil(L);
	if (at == a->resp.field_count) {
		lua_pushstring(L, why);
		return 2;
	}
	lua_pushlstring(L, a->fields[at].name.data, a->fields[at].name.size);
	lua_pushfstring(L, "header field '%s': %s", lua_tostring(L, -1), why);
	lua_remove(L, -2);
	return 2;
}

/* With the status, argument 2, and no fields. */
static void begin(lua_State *L, struct answer *a)
{
	double status = lua_lean_number(L, 2);

	a->resp = (struct http_response){ .fields = a->fields };
	a->typed = false;
	a->length = HTTP_LENGTH_UNKNOWN;
	a->resp.status = status >= 100 && status <= 999 ? (int)status : 0;
}

/* Fill @a a from status, headers | nil, body | nil and type, which are the
 * arguments from 2 on. Returns 0, or the number of values pushed: what is wrong
 * with them. */
static inline int fill(lua_State *L, struct answer *a)
{
	const char *why;

	begin(L, a);
	if (lua_lean_isnoneornil(L, 3) || add_texts(L, 3, a))
		return 0;
	lua_settop(L, REPLY_ARGS);
	begin(L, a);
	why = add_fields(L, 3, a);
	if (why == NULL)
		return 0;
	lua_pushnil(L);
	lua_pushfstring(L, "header field '%s': %s", lua_tostring(L, -2), why);
	return 2;
}

static void add_type(lua_State *L, struct answer *a)
{
	struct http_field *f;

	if (a->typed || a->resp.field_count == HTTP_FIELDS_MAX)
		return;
	f = &a->fields[a->resp.field_count++];
	f->name = (struct http_text){ "Content-Type", 12 };
	f->value.data = luaL_checklstring(L, 5, &f->value.size);
}

static int gone(lua_State *L)
{
	lua_pushnil(L);
	diag_set_system(UV_ECONNRESET, "the peer has gone");
	lua_error_push_diag(L);
	return 2;
}

/* end(req): 0 or UV_E*; a length that was not kept cuts the connection, and
 * throws. */
static int end_streamed(lua_State *L, struct http_request *req,
			const struct answer *a)
{
	int rc = http_request_end(req, a->resp.fields, a->resp.field_count);

	if (rc != UV_EMSGSIZE)
		return rc;
	http_request_abort(req);
	lua_error_usage(L, "the streamed answer ends before its "
			   "Content-Length: the connection is cut");
	return rc;
}

/* The answer was streamed: nothing is left but its end. */
static int reply_streamed(lua_State *L, struct http_request *req)
{
	struct answer a = { .length = HTTP_LENGTH_UNKNOWN };

	if (lua_tonumber(L, 2) != 200 || !lua_isnoneornil(L, 3) ||
	    !lua_isnoneornil(L, 4)) {
		lua_pushnil(L);
		lua_pushliteral(L, "the answer was streamed already: nothing "
				   "may be returned then");
		return 2;
	}
	lua_pushboolean(L, req == NULL || end_streamed(L, req, &a) == 0);
	return 1;
}

/* A field of a response that status, headers and body do not tell of. */
static bool is_stray(const char *name, size_t size)
{
	return !(size == 4 && memcmp(name, "body", 4) == 0) &&
	       !(size == 6 && memcmp(name, "status", 6) == 0) &&
	       !(size == 7 && memcmp(name, "headers", 7) == 0);
}

/* has_stray() of a table with keys of any kind. */
static bool has_stray_key(lua_State *L)
{
	const char *name;
	size_t size;

	lua_pushnil(L);
	while (lua_next(L, RESPONSE_ARG)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			return true;
		name = lua_tolstring(L, -2, &size);
		if (is_stray(name, size))
			return true;
		lua_pop(L, 1);
	}
	return false;
}

/* The response, if that is a table, has more than the arguments before it. */
static bool has_stray(lua_State *L)
{
	const char *name;
	uint32_t at = 0;
	size_t size;
	int rc;

	while ((rc = lua_lean_next_key(L, RESPONSE_ARG, &at, &name, &size)) > 0)
		if (is_stray(name, size))
			return true;
	return rc < 0 && lua_istable(L, RESPONSE_ARG) && has_stray_key(L);
}

/* reply(req, status, headers | nil, body | nil, type, [response]) -> true | false
 * (nobody waits any more) | nil, what is wrong with the answer | nil: the response
 * has more than these */
static int l_reply(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct answer a;
	int rc;

	if (has_stray(L)) {
		lua_pushnil(L);
		return 1;
	}
	if (req == NULL)
		return reply_streamed(L, req);
	rc = fill(L, &a);
	if (rc != 0)
		return rc;
	a.resp.phrase = http_request_phrase(req);
	a.resp.body.data = lua_lean_string(L, 4, &a.resp.body.size);
	if (a.resp.body.data == NULL) /* a number, or nothing */
		a.resp.body.data = lua_tolstring(L, 4, &a.resp.body.size);
	if (a.resp.body.size > 0)
		add_type(L, &a);
	rc = http_request_reply(req, &a.resp);
	if (rc == UV_EINVAL)
		return refused(L, &a);
	if (rc == UV_EALREADY)
		return reply_streamed(L, req);
	lua_pushboolean(L, rc == 0);
	return 1;
}

/* begin(req, status, headers | nil, nil, type) -> true | false (the peer has
 * gone) | nil, what is wrong with the answer */
static int l_begin(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct answer a;
	int rc;

	lua_settop(L, REPLY_ARGS);
	if (req == NULL || http_request_is_begun(req)) {
		lua_pushnil(L);
		lua_pushliteral(L, "it has been answered already");
		return 2;
	}
	rc = fill(L, &a);
	if (rc != 0)
		return rc;
	if (a.length == LENGTH_WRONG) {
		lua_pushnil(L);
		lua_pushliteral(L, "header field 'content-length': no whole "
				   "number");
		return 2;
	}
	if (a.resp.status != 204 && a.resp.status != 304)
		add_type(L, &a);
	a.resp.phrase = http_request_phrase(req);
	rc = http_request_begin(req, &a.resp, a.length);
	if (rc == UV_EINVAL)
		return refused(L, &a);
	lua_pushboolean(L, rc == 0);
	return 1;
}

/* write(req, text, taken) -> how much of it was taken now | nil, err */
static int l_write(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	size_t taken = (size_t)lua_tonumber(L, 3);
	struct http_text piece;
	ssize_t n;

	piece.data = luaL_checklstring(L, 2, &piece.size);
	if (req == NULL || !http_request_is_begun(req) || taken > piece.size)
		return gone(L);
	piece.data += taken;
	piece.size -= taken;
	n = http_request_write(req, piece);
	if (n == UV_EMSGSIZE) {
		http_request_abort(req);
		return lua_error_usage(L, "the streamed answer is longer than "
					  "its Content-Length: the connection "
					  "is cut");
	}
	if (n < 0 && n != UV_EAGAIN)
		return gone(L);
	lua_pushnumber(L, (lua_Number)(taken + (n > 0 ? n : 0)));
	return 1;
}

/* wait_write(req) -> status: until more is taken, or the peer has gone. */
static int l_wait_write(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct fiber *self = lua_wait_check(L);

	if (req == NULL || !http_request_is_full(req)) {
		lua_pushinteger(L, 0);
		return 1;
	}
	cond_wait_begin(http_request_ready(req), self, UINT64_MAX);
	return lua_wait(L);
}

/* finish(req, trailers | nil) -> true | nil, err | false, what is wrong with
 * the trailers */
static int l_finish(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct answer a;
	int rc;

	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	lua_settop(L, REPLY_ARGS); /* numbers among the values go behind */
	if (req == NULL || !http_request_is_begun(req))
		return gone(L);
	lua_pushnil(L);
	lua_replace(L, 2);
	rc = fill(L, &a);
	if (a.length != HTTP_LENGTH_UNKNOWN || a.resp.close) {
		lua_pushboolean(L, 0);
		lua_pushliteral(L, "Content-Length and Connection are no "
				   "trailers");
		return 2;
	}
	if (rc == 0) {
		a.resp.status = 200;
		rc = end_streamed(L, req, &a);
		if (rc == 0) {
			lua_pushboolean(L, 1);
			return 1;
		}
		if (rc != UV_EINVAL)
			return gone(L);
		rc = refused(L, &a);
	}
	lua_pushboolean(L, 0);
	lua_replace(L, -3);
	return rc;
}

/* abort(req, [also one that was not begun]) -> boolean: it is cut. */
static int l_abort(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	bool cut = req != NULL &&
		   (lua_toboolean(L, 2) != 0 || http_request_is_begun(req));

	if (cut)
		http_request_abort(req);
	lua_pushboolean(L, cut);
	return 1;
}

/* set_phrase(req, text | nil) -> true | false: it cannot be sent. */
static int l_set_phrase(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	struct http_text phrase;
	int rc;

	phrase.data = luaL_optlstring(L, 2, "", &phrase.size);
	rc = req == NULL ? 0 : http_request_set_phrase(req, phrase);
	if (rc == UV_ENOMEM) {
		diag_set(OutOfMemory, "no memory for the phrase of an answer");
		return lua_error_throw(L);
	}
	lua_pushboolean(L, rc == 0);
	return 1;
}

void lua_http_open_answer(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "reply", l_reply },
		{ "begin", l_begin },
		{ "write", l_write },
		{ "wait_write", l_wait_write },
		{ "finish", l_finish },
		{ "abort", l_abort },
		{ "failed", lua_wait_failed },
		{ "set_phrase", l_set_phrase },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
