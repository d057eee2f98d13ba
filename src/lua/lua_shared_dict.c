/* The module `shared`: dictionaries between workers. */
#include <math.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/diag.h"
#include "lua/lua_error.h"
#include "lua/lua_serialize.h"
#include "lua/lua_shared.h"
#include "lua/lua_value.h"
#include "runtime/shared_dict.h"

enum {
	SIZE_DEFAULT = 16 << 20,
	KEYS_DEFAULT = 1024,
	KEYS_MAX = 1 << 20,
	ROOM = 1024,   /* for values that are read on the C stack */
	PACK_HEAD = 1, /* the array that lua_pack() puts around */
};

static const char usage[] = "shared.dict(name, options)";

static struct shared_dict *check_dict(lua_State *L)
{
	return (struct shared_dict *)lua_shared_check(L, LUA_CLASS_SHARED_DICT);
}

/* new(name, options) */
static int l_new(lua_State *L)
{
	struct lua_shared_option o = { "size", SHARED_DICT_MIN,
				       (double)SHARED_DICT_MAX, SIZE_DEFAULT,
				       false };
	const struct shared_dict *d;
	size_t size;

	lua_shared_check_name(L, usage);
	lua_shared_read_options(L, usage, &o, 1);
	size = (size_t)o.value;
	if (lua_shared_open(L, &shared_dict_kind, LUA_CLASS_SHARED_DICT,
			    &size) != 0)
		return lua_error_fail(L);
	lua_replace(L, 1);
	lua_settop(L, 1);
	d = check_dict(L);
	if (!o.is_given || shared_dict_size(d) == size)
		return 1;
	lua_shared_differs((const struct shared_object *)d, "size",
			   (double)shared_dict_size(d), (double)size);
	return lua_error_fail(L);
}

static struct shared_key check_key(lua_State *L)
{
	struct shared_key key = { NULL, 0 };

	if (lua_type(L, 2) != LUA_TSTRING)
		lua_error_usage(L, "dictionary: a key is a string, not %s",
				luaL_typename(L, 2));
	key.data = lua_tolstring(L, 2, &key.size);
	if (key.size > SHARED_KEY_MAX)
		lua_error_usage(L,
				"dictionary: a key has at most %d bytes, not "
				"%zu",
				SHARED_KEY_MAX, key.size);
	return key;
}

/* The ttl at @a idx in seconds, as the time when it is over. */
static uint64_t check_due(lua_State *L, int idx, uint64_t now)
{
	double ttl = lua_tonumber(L, idx);

	if (lua_isnoneornil(L, idx))
		return SHARED_DICT_NEVER;
	if (lua_type(L, idx) != LUA_TNUMBER || !(ttl >= 0))
		lua_error_usage(L, "dictionary: a time to live is a number of "
				   "seconds, 0 for ever");
	if (ttl == 0 || ttl >= 1e9)
		return SHARED_DICT_NEVER;
	return now + (uint64_t)(ttl * 1e9);
}

static void read_cdata(lua_State *L, int idx, struct shared_value *v)
{
	struct lua_cdata c;

	lua_value_read_cdata(L, idx, &c);
	switch (c.kind) {
	case LUA_CDATA_BOOL:
		v->type = SHARED_BOOLEAN;
		v->boolean = c.boolean;
		break;
	case LUA_CDATA_SINT:
		v->type = SHARED_SINT;
		v->sint = c.sint;
		break;
	case LUA_CDATA_UINT:
		v->type = SHARED_UINT;
		v->uint = c.uint;
		break;
	case LUA_CDATA_FLOAT:
		v->type = SHARED_NUMBER;
		v->number = (double)c.real32;
		break;
	case LUA_CDATA_DOUBLE:
		v->type = SHARED_NUMBER;
		v->number = c.real;
		break;
	default:
		v->type = SHARED_PACKED;
		break;
	}
}

/*
 * The value at @a idx. What is no string, boolean or number becomes SHARED_PACKED
 * without bytes: pack_value() is to make them. Throws: nil; out of memory.
 */
static void check_value(lua_State *L, int idx, struct shared_value *v)
{
	switch (lua_type(L, idx)) {
	case LUA_TSTRING:
		v->type = SHARED_STRING;
		v->data = lua_tolstring(L, idx, &v->size);
		break;
	case LUA_TNUMBER:
		v->type = SHARED_NUMBER;
		v->number = lua_tonumber(L, idx);
		break;
	case LUA_TBOOLEAN:
		v->type = SHARED_BOOLEAN;
		v->boolean = lua_toboolean(L, idx);
		break;
	case LUA_VALUE_CDATA:
		read_cdata(L, idx, v);
		break;
	case LUA_TNIL:
	case LUA_TNONE:
		lua_error_usage(L, "dictionary: nil is no value; delete(key) "
				   "takes one out");
		break;
	default:
		v->type = SHARED_PACKED;
	}
}

/* The same for a value that is to be compared, where tables cannot be. */
static void check_old(lua_State *L, int idx, struct shared_value *v)
{
	check_value(L, idx, v);
	if (v->type == SHARED_PACKED)
		lua_error_usage(L, "dictionary: cas() compares strings, "
				   "numbers and booleans: keep a version "
				   "beside the table");
}

static int fail_too_large(const struct shared_dict *d, size_t size)
{
	diag_set(ClientError,
		 "dictionary '%s': an entry takes %zu bytes; its size of %zu "
		 "has room for %zu",
		 ((const struct shared_object *)d)->name, size,
		 shared_dict_size(d), shared_dict_capacity(d));
	return -1;
}

static int fail_memory(const struct shared_dict *d)
{
	diag_set(OutOfMemory, "dictionary '%s': not enough memory",
		 ((const struct shared_object *)d)->name);
	return -1;
}

/* What a store that is no success, no miss and no mismatch means. */
static int set_diag(const struct shared_dict *d, int rc, size_t size)
{
	return rc == UV_E2BIG ? fail_too_large(d, size) : fail_memory(d);
}

static int store(lua_State *L, struct shared_dict *d, enum shared_store how,
		 const struct shared_value *old, int idx, uint64_t due,
		 uint64_t now)
{
	struct shared_key key = check_key(L);
	struct shared_message *packed = NULL;
	struct shared_value v;
	size_t size = sizeof(double);
	int rc;

	check_value(L, idx, &v);
	if (v.type == SHARED_PACKED) { /* from here nothing throws */
		packed = lua_shared_pack(L, idx, shared_dict_capacity(d),
					 (struct shared_object *)d);
		if (packed == NULL)
			return lua_error_fail(L);
		v.data = packed->data;
		v.size = packed->size;
	}
	if (v.type == SHARED_PACKED || v.type == SHARED_STRING)
		size = v.size;
	rc = shared_dict_store(d, key, how, old, &v, now, due);
	shared_message_unref(packed);
	if (rc == UV_E2BIG || rc == UV_ENOMEM) {
		set_diag(d, rc, shared_dict_cost(key.size, size));
		return lua_error_fail(L);
	}
	lua_pushboolean(L, rc == 0);
	return 1;
}

static int store_plain(lua_State *L, enum shared_store how)
{
	struct shared_dict *d = check_dict(L);
	uint64_t now = uv_hrtime();

	return store(L, d, how, NULL, 3, check_due(L, 4, now), now);
}

/***
 * shared_dict:set(key, value, [ttl]) -> true | nil, err
 * Store @value under @key, a string of at most 65,535 bytes. Strings, numbers,
 * booleans, int64_t and uint64_t are stored as they are; of a table a copy is
 * made (by msgpack; functions and the like inside are refused), and each `get()`
 * makes another. After @ttl seconds (fractions count; 0 or none: never) it is
 * gone. Where there is no room, the entries that were used least lately make it;
 * a value that is larger than the dictionary is `nil, err`. Yields: no.
 */
static int l_set(lua_State *L)
{
	return store_plain(L, SHARED_SET);
}

/***
 * shared_dict:add(key, value, [ttl]) -> boolean | nil, err
 * As `set()` with @value and @ttl, but only when there is nothing under @key:
 * else false. Yields: no.
 */
static int l_add(lua_State *L)
{
	return store_plain(L, SHARED_ADD);
}

/***
 * shared_dict:replace(key, value, [ttl]) -> boolean | nil, err
 * As `set()` with @value and @ttl, but only when there is something under @key:
 * else false. Yields: no.
 */
static int l_replace(lua_State *L)
{
	return store_plain(L, SHARED_REPLACE);
}

/***
 * shared_dict:cas(key, old, new, [ttl]) -> boolean | nil, err
 * Compare and swap: store @new, with @ttl as of `set()`, if what is under @key
 * equals @old, all at once.
 * Nil for @old means that nothing is there, nil for @new takes it out. Numbers
 * are equal when their values are, also to int64_t; tables cannot be compared,
 * which throws. Yields: no.
 */
static int l_cas(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	uint64_t now = uv_hrtime(), due = check_due(L, 5, now);
	struct shared_key key = check_key(L);
	struct shared_value old;

	lua_settop(L, 5);
	if (lua_isnil(L, 3)) {
		if (lua_isnil(L, 4))
			return lua_error_usage(L, "dictionary: cas(key, old, "
						  "new): both are nil");
		return store(L, d, SHARED_ADD, NULL, 4, due, now);
	}
	check_old(L, 3, &old);
	if (!lua_isnil(L, 4))
		return store(L, d, SHARED_SWAP, &old, 4, due, now);
	lua_pushboolean(L, shared_dict_remove(d, key, &old, now) == 0);
	return 1;
}

/***
 * shared_dict:delete(key) -> boolean
 * Take out what is under @key; false when nothing is. Yields: no.
 */
static int l_delete(lua_State *L)
{
	struct shared_dict *d = check_dict(L);

	lua_pushboolean(L, shared_dict_remove(d, check_key(L), NULL,
					      uv_hrtime()) == 0);
	return 1;
}

static int push_value(lua_State *L, const struct shared_value *v)
{
	switch (v->type) {
	case SHARED_BOOLEAN:
		lua_pushboolean(L, v->boolean);
		break;
	case SHARED_NUMBER:
		lua_pushnumber(L, v->number);
		break;
	case SHARED_SINT:
		lua_value_push_int64(L, v->sint);
		break;
	case SHARED_UINT:
		lua_value_push_uint64(L, v->uint);
		break;
	case SHARED_STRING:
		lua_pushlstring(L, v->data, v->size);
		break;
	case SHARED_PACKED:
		if (lua_unpack(L, v->data, v->data + v->size) < 0)
			return lua_error_throw(L);
		break;
	}
	return 1;
}

/***
 * shared_dict:get(key) -> value | nil
 * What is under @key, or nil. Yields: no.
 */
static int l_get(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	struct shared_key key = check_key(L);
	uint64_t now = uv_hrtime();
	char on_stack[ROOM], *room = on_stack;
	size_t size = sizeof on_stack;
	struct shared_value v;
	int rc;

	/* A finalizer may run while the value is made, and get others: each
	 * call has a room of its own. */
	while ((rc = shared_dict_get(d, key, now, room, &size, &v)) ==
	       UV_ENOBUFS) {
		lua_settop(L, 2); /* another worker made it larger again */
		room = lua_newuserdata(L, size);
	}
	if (rc == 0)
		return push_value(L, &v);
	lua_pushnil(L);
	return 1;
}

static void check_number(lua_State *L, int idx, const char *what,
			 struct shared_value *v)
{
	int type = lua_type(L, idx);

	if (type == LUA_TNUMBER || type == LUA_VALUE_CDATA) {
		check_value(L, idx, v);
		if (v->type == SHARED_NUMBER || v->type == SHARED_SINT ||
		    v->type == SHARED_UINT)
			return;
	}
	lua_error_usage(L,
			"dictionary: incr(key, n, init): %s is a number, "
			"not %s",
			what, luaL_typename(L, idx));
}

/***
 * shared_dict:incr(key, n, [init], [ttl]) -> number | nil, err
 * Add @n to the number under @key, all at once: the sum, of the type that the
 * number had. Where nothing is there, @init plus @n is stored with @ttl; without
 * @init that is `nil, err`, as is a value that is no number, or a sum that an
 * int64_t or uint64_t does not hold. Yields: no.
 */
static int l_incr(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	struct shared_key key = check_key(L);
	struct shared_value by, init, sum;
	bool has_init = !lua_isnoneornil(L, 4);
	uint64_t now = uv_hrtime(), due = check_due(L, 5, now);
	const char *name = ((struct shared_object *)d)->name;
	int rc;

	check_number(L, 3, "n", &by);
	if (has_init)
		check_number(L, 4, "init", &init);
	rc = shared_dict_incr(d, key, &by, has_init ? &init : NULL, now, due,
			      &sum);
	if (rc == 0)
		return push_value(L, &sum);
	if (rc == UV_ENOENT)
		diag_set(ClientError,
			 "dictionary '%s': incr: there is no such key; with a "
			 "third argument it is made",
			 name);
	else if (rc == UV_EINVAL)
		diag_set(ClientError,
			 "dictionary '%s': incr: the value is no number", name);
	else if (rc == UV_ERANGE)
		diag_set(ClientError,
			 "dictionary '%s': incr: the numbers or their sum do "
			 "not fit the type of the value",
			 name);
	else
		set_diag(d, rc, shared_dict_cost(key.size, sizeof(double)));
	return lua_error_fail(L);
}

/***
 * shared_dict:ttl(key) -> number | nil
 * The seconds that what is under @key has to live; 0: for ever; nil: nothing is
 * there. Yields: no.
 */
static int l_ttl(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	uint64_t now = uv_hrtime(), due;

	if (shared_dict_due(d, check_key(L), now, &due) != 0)
		lua_pushnil(L);
	else if (due == SHARED_DICT_NEVER)
		lua_pushinteger(L, 0);
	else
		lua_pushnumber(L, (lua_Number)(due - now) / 1e9);
	return 1;
}

/***
 * shared_dict:expire(key, [ttl]) -> boolean
 * Let what is under @key live for @ttl seconds from now (0 or none: for ever);
 * false when nothing is there. Yields: no.
 */
static int l_expire(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	uint64_t now = uv_hrtime(), due = check_due(L, 3, now);

	lua_pushboolean(L, shared_dict_expire(d, check_key(L), now, due) == 0);
	return 1;
}

static size_t check_limit(lua_State *L, const char *name, double value)
{
	if (!lua_isnoneornil(L, 2)) {
		value = lua_tonumber(L, 2);
		if (lua_type(L, 2) != LUA_TNUMBER ||
		    !(value >= 1 && value <= KEYS_MAX) || floor(value) != value)
			lua_error_usage(L,
					"dictionary: %s(limit): a whole number "
					"from 1 to %d is wanted",
					name, KEYS_MAX);
	}
	return (size_t)value;
}

/* A buffer that is freed, whatever happens. */
static int l_buf_gc(lua_State *L)
{
	buf_destroy(lua_touserdata(L, 1));
	return 0;
}

static struct buf *push_buf(lua_State *L)
{
	struct buf *b = lua_newuserdata(L, sizeof *b);

	memset(b, 0, sizeof *b);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, l_buf_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	return b;
}

/***
 * shared_dict:keys([limit]) -> table | nil, err
 * Up to @limit keys (1,024 unless given; at most 1,048,576), in no order. Others
 * may change the dictionary meanwhile; no lock is held for long. Yields: no.
 */
static int l_keys(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	size_t limit = check_limit(L, "keys", KEYS_DEFAULT);
	struct buf *b = push_buf(L);
	uint32_t size;
	int n = 0;

	if (shared_dict_keys(d, uv_hrtime(), limit, b) != 0) {
		fail_memory(d);
		return lua_error_fail(L);
	}
	lua_newtable(L);
	for (size_t at = 0; at < b->size; at += size) {
		memcpy(&size, b->data + at, sizeof size);
		at += sizeof size;
		lua_pushlstring(L, b->data + at, size);
		lua_rawseti(L, -2, ++n);
	}
	buf_destroy(b);
	return 1;
}

/***
 * shared_dict:count() -> number
 * How many keys there are. When some have a time to live it looks at all of
 * them, else it only adds up. Yields: no.
 */
static int l_count(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)shared_dict_count(check_dict(L),
							uv_hrtime()));
	return 1;
}

/***
 * shared_dict:flush()
 * Take everything out. What is stored meanwhile stays. Yields: no.
 */
static int l_flush(lua_State *L)
{
	shared_dict_flush(check_dict(L));
	return 0;
}

/***
 * shared_dict:flush_expired([limit]) -> number
 * Free up to @limit entries (none: all) whose time is over: how many these were.
 * They are not seen in any case; this gives their memory back at once.
 * Yields: no.
 */
static int l_flush_expired(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	size_t limit = lua_isnoneornil(L, 2)
			       ? SIZE_MAX
			       : check_limit(L, "flush_expired", 0);

	lua_pushnumber(L, (lua_Number)shared_dict_sweep(d, uv_hrtime(), limit));
	return 1;
}

/***
 * shared_dict:size() -> number
 * The bytes it was made with. Its tables take a sixteenth at most, each entry
 * its key, its value and some 80 bytes. Yields: no.
 */
static int l_size(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)shared_dict_size(check_dict(L)));
	return 1;
}

/***
 * shared_dict:free() -> number
 * The bytes that are left before others have to go. Yields: no.
 */
static int l_free(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)shared_dict_free(check_dict(L)));
	return 1;
}

static void set_figure(lua_State *L, const char *name, uint64_t value)
{
	lua_pushnumber(L, (lua_Number)value);
	lua_setfield(L, -2, name);
}

/***
 * shared_dict:stat() -> table
 * Figures since it was made: `hits` and `misses` of `get()`, `stores`,
 * `evictions` (gone for want of room) and `expired`; and now `size`, `free` and
 * `name`. Yields: no.
 */
static int l_stat(lua_State *L)
{
	struct shared_dict *d = check_dict(L);
	struct shared_dict_stat stat;

	shared_dict_stat(d, &stat);
	lua_createtable(L, 0, 8);
	set_figure(L, "hits", stat.hits);
	set_figure(L, "misses", stat.misses);
	set_figure(L, "stores", stat.stores);
	set_figure(L, "evictions", stat.evictions);
	set_figure(L, "expired", stat.expired);
	set_figure(L, "size", shared_dict_size(d));
	set_figure(L, "free", shared_dict_free(d));
	lua_pushstring(L, ((struct shared_object *)d)->name);
	lua_setfield(L, -2, "name");
	return 1;
}

static int l_tostring(lua_State *L)
{
	lua_pushfstring(L, "shared dictionary: %s",
			((struct shared_object *)check_dict(L))->name);
	return 1;
}

static int l_gc(lua_State *L)
{
	return lua_shared_release(L, LUA_CLASS_SHARED_DICT);
}

void lua_shared_dict_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "get", l_get },
		{ "set", l_set },
		{ "add", l_add },
		{ "replace", l_replace },
		{ "delete", l_delete },
		{ "cas", l_cas },
		{ "incr", l_incr },
		{ "ttl", l_ttl },
		{ "expire", l_expire },
		{ "keys", l_keys },
		{ "count", l_count },
		{ "flush", l_flush },
		{ "flush_expired", l_flush_expired },
		{ "size", l_size },
		{ "free", l_free },
		{ "stat", l_stat },
		{ NULL, NULL },
	};
	static const luaL_Reg meta[] = {
		{ "__gc", l_gc },
		{ "__tostring", l_tostring },
		{ NULL, NULL },
	};

	lua_class_new(L, LUA_CLASS_SHARED_DICT, "shared dictionary", meta);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "new");
}
