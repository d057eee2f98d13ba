/* WebSockets in Lua, C half: what both sides do. See lua_http_websocket.h. */
#include "lua/lua_http_websocket.h"

#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "base/utf8.h"
#include "lua/lua_blocking.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_http.h"
#include "lua/lua_lean.h"
#include "lua_src/lua.h"
#include "net/http_websocket.h"

enum {
	PIECE = 65536,    /* of a message, in a frame of its own */
	OUT_HIGH = 65536, /* a client's bytes that wait to be sent: no more */
	OUT_STOP =
		262144, /* no more is read, whose answers would add to them */
};

/** What may be waited for. */
enum event {
	EVENT_MESSAGE, /* or none will come */
	EVENT_ROOM,    /* for another piece, or nothing is sent any more */
	EVENT_PONG,    /* or nothing is sent any more */
	EVENT_CLOSED,
	EVENT_READ, /* a client's: what comes can be taken, or it is over */
	EVENT_OUT,  /* a client's: there is something to send, or it is over */
	EVENT_COUNT,
};

static struct http_request *request_of(const struct lua_websocket *box)
{
	if (box->server == NULL || box->server->http == NULL)
		return NULL;
	return http_request_find(box->server->http, box->handle);
}

static struct lua_websocket *check(lua_State *L)
{
	return lua_class_check(L, 1, LUA_CLASS_WEBSOCKET);
}

/* *ret_req: of a server's. NULL: it is long over. */
static struct websocket *find(struct lua_websocket *box,
			      struct http_request **ret_req)
{
	*ret_req = request_of(box);
	if (*ret_req != NULL)
		return http_request_websocket(*ret_req);
	return box->created ? &box->own : NULL;
}

/* take(ws) -> data, kind | nil: there is none | false: none will come */
static int l_take(lua_State *L)
{
	struct lua_websocket *box = check(L);
	struct http_request *req;
	struct websocket *ws = find(box, &req);
	struct websocket_message m;

	/* It might run while this pushes a message, and take that. */
	if (__builtin_expect(lua_lean_in_finalizer(L), 0))
		lua_error_usage(L, "a finalizer cannot receive");
	if (ws == NULL || !websocket_next(ws, &m)) {
		if (ws == NULL || ws->state != WEBSOCKET_OPEN)
			lua_pushboolean(L, 0);
		else
			lua_pushnil(L);
		return 1;
	}
	lua_pushlstring(L, m.data, m.size);
	if (m.kind == WEBSOCKET_TEXT)
		lua_pushliteral(L, "text");
	else
		lua_pushliteral(L, "binary");
	if (req != NULL) {
		http_websocket_taken(req);
	} else {
		websocket_taken(ws);
		cond_broadcast(&box->ready);
	}
	return 2;
}

static bool is_full(const struct lua_websocket *box,
		    const struct http_request *req)
{
	return req != NULL ? http_request_is_full(req)
			   : box->out.size >= OUT_HIGH;
}

static ssize_t send_own(struct lua_websocket *box, unsigned kind,
			struct http_text piece)
{
	bool last = piece.size <= PIECE;
	int rc;

	if (box->own.state == WEBSOCKET_OPEN && box->out.size >= OUT_HIGH)
		return UV_EAGAIN;
	if (!last)
		piece.size = PIECE;
	rc = websocket_send(&box->own, kind, piece.data, piece.size, last);
	cond_broadcast(&box->ready);
	return rc != 0 ? rc : (ssize_t)piece.size;
}

static void check_text(lua_State *L, const char *data, size_t size)
{
	if (utf8_valid(data, size) != size)
		lua_error_usage(L, "ws:send(data): the text is no UTF-8: send "
				   "it as 'binary'");
}

/* check_text(data): throws unless it is UTF-8. */
static int l_check_text(lua_State *L)
{
	size_t size;
	const char *data = luaL_checklstring(L, 1, &size);

	check_text(L, data, size);
	return 0;
}

/* send(ws, is_text, data, taken, deflated) -> how much of it was taken by now | false:
 * wait for room | nil: nothing is sent any more. What is deflated was checked. */
static int l_send(lua_State *L)
{
	struct lua_websocket *box = check(L);
	unsigned kind = lua_toboolean(L, 2) ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
	size_t taken = (size_t)lua_tonumber(L, 4);
	struct http_text piece;
	struct http_request *req;
	struct websocket *ws = find(box, &req);
	ssize_t n;

	piece.data = luaL_checklstring(L, 3, &piece.size);
	if (ws == NULL || taken > piece.size)
		return 0;
	if (lua_toboolean(L, 5))
		kind |= WEBSOCKET_DEFLATED;
	else if (taken == 0 && kind == WEBSOCKET_TEXT)
		check_text(L, piece.data, piece.size);
	piece.data += taken;
	piece.size -= taken;
	n = req != NULL ? http_websocket_write(req, kind, piece)
			: send_own(box, kind, piece);
	if (n == UV_EAGAIN)
		lua_pushboolean(L, 0);
	else if (n < 0)
		lua_pushnil(L);
	else
		lua_pushnumber(L, (lua_Number)(taken + (size_t)n));
	return 1;
}

/* ping(ws) -> its number | nil: nothing is sent any more */
static int l_ping(lua_State *L)
{
	struct lua_websocket *box = check(L);
	struct http_request *req;
	struct websocket *ws = find(box, &req);
	uint64_t number;
	int rc = UV_EPIPE;

	if (req != NULL)
		rc = http_websocket_ping(req, &number);
	else if (ws != NULL)
		rc = websocket_ping(ws, &number);
	cond_broadcast(&box->ready);
	if (rc != 0)
		return 0;
	lua_pushnumber(L, (lua_Number)number);
	return 1;
}

/* ponged(ws, number) -> boolean: that ping was answered. */
static int l_ponged(lua_State *L)
{
	struct http_request *req;
	struct websocket *ws = find(check(L), &req);

	lua_pushboolean(L, ws != NULL && (lua_Number)ws->ponged >=
						 lua_tonumber(L, 2));
	return 1;
}

/* Begin to end. Returns 0 or UV_E*. */
static int begin_close(struct lua_websocket *box, unsigned code,
		       struct http_text reason)
{
	struct http_request *req;
	struct websocket *ws = find(box, &req);
	int rc = UV_EPIPE;

	if (req != NULL)
		rc = http_websocket_close(req, code, reason);
	else if (ws != NULL)
		rc = websocket_close(ws, code, reason.data, reason.size);
	cond_broadcast(&box->ready);
	return rc;
}

/* close(ws, code | nil, reason | nil) -> boolean: it is closing now; false: it was
 * before */
static int l_close(lua_State *L)
{
	struct lua_websocket *box = check(L);
	double code = luaL_optnumber(L, 2, WEBSOCKET_NORMAL);
	struct http_text reason;

	reason.data = luaL_optlstring(L, 3, "", &reason.size);
	if (!(code >= 1000 && code <= 4999) || code != (unsigned)code ||
	    !websocket_is_code((unsigned)code))
		return lua_error_usage(L, "ws:close(code, reason): the code is "
					  "1000 to 1014, but those that are "
					  "never sent, or 3000 to 4999");
	if (reason.size > WEBSOCKET_REASON_MAX ||
	    utf8_valid(reason.data, reason.size) != reason.size)
		return lua_error_usage(L,
				       "ws:close(code, reason): the reason "
				       "is UTF-8 of at most %d bytes",
				       WEBSOCKET_REASON_MAX);
	lua_pushboolean(L, begin_close(box, (unsigned)code, reason) == 0);
	return 1;
}

/* cut(ws) -> boolean: a message was begun and will not end: it is closing now. */
static int l_cut(lua_State *L)
{
	static const char why[] = "a message was cut short";
	struct lua_websocket *box = check(L);
	struct http_request *req;
	struct websocket *ws = find(box, &req);
	bool begun = ws != NULL && ws->sending;

	if (begun)
		begin_close(box, WEBSOCKET_SERVER_ERROR,
			    (struct http_text){ why, sizeof(why) - 1 });
	lua_pushboolean(L, begun);
	return 1;
}

/* state(ws) -> "open" | "closing" | "closed" | nil: it is long over, code, reason,
 * by the peer, clean */
static int l_state(lua_State *L)
{
	static const char *const names[] = {
		[WEBSOCKET_OPEN] = "open",
		[WEBSOCKET_CLOSING] = "closing",
		[WEBSOCKET_CLOSED] = "closed",
	};
	struct http_request *req;
	struct websocket *ws = find(check(L), &req);

	if (ws == NULL)
		return 0;
	lua_pushstring(L, names[ws->state]);
	lua_pushinteger(L, ws->code);
	lua_pushlstring(L, ws->reason, ws->reason_size);
	lua_pushboolean(L, ws->by_peer);
	lua_pushboolean(L, ws->clean);
	return 5;
}

static bool has_come(const struct lua_websocket *box,
		     const struct websocket *ws, const struct http_request *req,
		     enum event event, double number)
{
	struct websocket_message m;

	switch (event) {
	case EVENT_MESSAGE:
		return ws->state != WEBSOCKET_OPEN || websocket_next(ws, &m);
	case EVENT_ROOM:
		return ws->state != WEBSOCKET_OPEN || !is_full(box, req);
	case EVENT_PONG:
		return ws->state != WEBSOCKET_OPEN ||
		       (double)ws->ponged >= number;
	case EVENT_READ:
		return ws->state == WEBSOCKET_CLOSED ||
		       (websocket_has_room(ws) && box->out.size < OUT_STOP);
	case EVENT_OUT:
		return ws->state == WEBSOCKET_CLOSED || box->out.size > 0;
	default:
		return ws->state == WEBSOCKET_CLOSED;
	}
}

/* deflate(ws) -> bits of our window, whether it is kept between messages | nil: both
 * sides have not agreed on it */
static int l_deflate(lua_State *L)
{
	struct http_request *req;
	struct websocket *ws = find(check(L), &req);

	if (ws == NULL || !ws->deflate.agreed)
		return 0;
	lua_pushinteger(L, ws->deflate.our_bits);
	lua_pushboolean(L, ws->deflate.keep_ours);
	return 2;
}

struct websocket_deflate_wish lua_websocket_wish(lua_State *L, int idx)
{
	return (struct websocket_deflate_wish){
		.wanted = !lua_isnoneornil(L, idx),
		.bits = (uint8_t)luaL_optint(L, idx, 0),
		.context = lua_toboolean(L, idx + 1),
	};
}

/* wait(ws, event, due | nil, number | nil) -> status */
static int l_wait(lua_State *L)
{
	struct lua_websocket *box = check(L);
	struct fiber *self = lua_wait_check(L);
	int event = luaL_checkint(L, 2);
	struct http_request *req;
	struct websocket *ws = find(box, &req);
	uint64_t timeout = lua_wait_left(L, 3);

	luaL_argcheck(L, event >= 0 && event < EVENT_COUNT, 2, "no event");
	if (ws == NULL ||
	    has_come(box, ws, req, (enum event)event, lua_tonumber(L, 4))) {
		lua_pushinteger(L, 0);
		return 1;
	}
	cond_wait_begin(req != NULL ? http_request_ready(req) : &box->ready,
			self, timeout);
	return lua_wait(L);
}

/* fail(text) -> nil, err */
static int l_fail(lua_State *L)
{
	diag_set(ClientError, "%s", luaL_checkstring(L, 1));
	return lua_error_fail(L);
}

static int l_gc(lua_State *L)
{
	struct lua_websocket *box = check(L);

	if (box->created)
		websocket_destroy(&box->own);
	box->created = false;
	buf_destroy(&box->out);
	return 0;
}

/* Run a Lua half with the C half, which is at @a idx, and the module's class. */
static void open_half(lua_State *L, int idx, const char *src, const char *where,
		      const char *name)
{
	lua_pushvalue(L, idx);
	lua_getfield(L, idx, "class");
	lua_vm_run_source(L, src, where, 2);
	lua_setfield(L, idx, name);
}

static int open_http_websocket(lua_State *L)
{
	static const luaL_Reg meta[] = { { "__gc", l_gc }, { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "take", l_take },
		{ "send", l_send },
		{ "check_text", l_check_text },
		{ "cut", l_cut },
		{ "deflate", l_deflate },
		{ "blocking_failed", lua_blocking_failed },
		{ "ping", l_ping },
		{ "ponged", l_ponged },
		{ "close", l_close },
		{ "state", l_state },
		{ "wait", l_wait },
		{ "due", lua_wait_due },
		{ "give_up", lua_wait_give_up },
		{ "fail", l_fail },
		{ "failed", lua_wait_failed },
		{ "usage", lua_error_usage_text },
		{ "about", lua_error_about },
		{ NULL, NULL },
	};
	static const char *const events[] = {
		[EVENT_MESSAGE] = "MESSAGE", [EVENT_ROOM] = "ROOM",
		[EVENT_PONG] = "PONG",       [EVENT_CLOSED] = "CLOSED",
		[EVENT_READ] = "READ",       [EVENT_OUT] = "OUT",
	};
	int idx;

	lua_class_new(L, LUA_CLASS_WEBSOCKET, "websocket", meta);
	lua_pop(L, 1);
	lua_newtable(L);
	idx = lua_gettop(L);
	luaL_register(L, NULL, functions);
	lua_http_open_encode(L);
	lua_websocket_open_server(L);
	lua_websocket_open_client(L);
	for (int i = 0; i < EVENT_COUNT; i++) {
		lua_pushinteger(L, i);
		lua_setfield(L, idx, events[i]);
	}
	open_half(L, idx, lua_src_http_websocket_deflate,
		  "=neap/http_websocket_deflate.lua", "deflating");
	open_half(L, idx, lua_src_http_websocket_object,
		  "=neap/http_websocket_object.lua", "class");
	open_half(L, idx, lua_src_http_websocket_server,
		  "=neap/http_websocket_server.lua", "server");
	return 1;
}

const struct lua_module lua_module_http_websocket = {
	"http.websocket",
	open_http_websocket,
	lua_src_http_websocket,
};
