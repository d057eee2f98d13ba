/* lua_pack() and lua_unpack(). See lua_serialize.h. */
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_direct.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "lua/lua_value.h"
#include "port/mp_decode.h"
#include "port/mp_encode.h"
#include "port/mp_pack.h"

/* Slots that a run takes besides its values. */
enum { JOB_SLOTS = 10, SIMPLE_SLOTS = 8 };

struct pack_job {
	struct lua_job job;
	struct buf *out;
};

static int run_pack(lua_State *L, struct lua_job *job)
{
	struct pack_job *p = (struct pack_job *)job;
	struct mp_encoder e;

	mp_encoder_create(&e, p->out);
	for (int i = 1, n = lua_gettop(L); i <= n; i++) {
		struct error *cause;

		if (lua_serialize(L, i, &e.sink, &lua_serialize_default) == 0)
			continue;
		if (diag_last()->type == &IllegalParams) {
			cause = diag_take();
			diag_set(IllegalParams, "argument %d: %s", i,
				 cause->message);
			error_unref(cause);
		}
		return -1;
	}
	return 0;
}

static int too_many(int n)
{
	diag_set(ClientError, "%d values are more than the Lua stack takes", n);
	return -1;
}

/* The way for values that are not plain, and for errors. */
static int pack_protected(lua_State *L, int first, int n, struct buf *out)
{
	struct pack_job p = { .job.run = run_pack, .out = out };

	if (!lua_checkstack(L, n + JOB_SLOTS))
		return too_many(n);
	lua_job_begin(L, &p.job);
	for (int i = 0; i < n; i++)
		lua_pushvalue(L, first + i);
	return lua_job_end(L, &p.job, n) < 0 ? -1 : 0;
}

int lua_pack(lua_State *L, int first, int last, struct buf *out)
{
	int n = last < first ? 0 : last - first + 1;
	size_t old = out->size, head;

	if (mp_pack_array(out, (size_t)n) != 0) {
		diag_set_oom(5, "the arguments of a call");
		return -1;
	}
	head = out->size;
	if (lua_direct_pack(L, first, last, &lua_serialize_default, out))
		return 0;
	out->size = head;
	if (pack_protected(L, first, n, out) == 0)
		return 0;
	out->size = old;
	return -1;
}

struct unpack_job {
	struct lua_job job;
	const char *data, *end;
};

static int run_unpack(lua_State *L, struct lua_job *job)
{
	struct unpack_job *u = (struct unpack_job *)job;
	struct lua_builder b;
	int n = 0;

	lua_builder_create(&b, L, &lua_serialize_default, 0);
	for (; u->data < u->end; n++) {
		if (mp_decode(u->data, u->end, &b.sink, &u->data) != 0)
			return -1;
	}
	return n;
}

static uint64_t load_be(const unsigned char *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return v;
}

/*
 * What most C functions answer with, a number or a boolean, takes no memory:
 * push it without protection. Returns the place behind it; NULL: it is none.
 */
static const char *push_simple(lua_State *L, const char *data, const char *end)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t size;
	uint64_t v;
	double d;

	if (*p < 0x80 || *p >= 0xe0) {
		lua_pushnumber(L, (signed char)*p);
		return data + 1;
	}
	if (*p == 0xc2 || *p == 0xc3) {
		lua_pushboolean(L, *p & 1);
		return data + 1;
	}
	if (*p < 0xcb || *p > 0xd3)
		return NULL;
	/* cb: double; cc to cf: unsigned; d0 to d3: signed; 1 to 8 bytes. */
	size = *p == 0xcb ? 8 : (size_t)1 << (*p & 3);
	if ((size_t)(end - data) <= size)
		return NULL;
	v = load_be(p + 1, size);
	if (*p == 0xcb) {
		memcpy(&d, &v, sizeof d);
		lua_pushnumber(L, d); /* makes every NaN its own */
	} else if (*p >= 0xd0) {
		unsigned unused = (unsigned)(8 - size) * 8;
		int64_t i = (int64_t)(v << unused) >> unused;

		if (i >= LUA_EXACT_INT || i <= -LUA_EXACT_INT)
			return NULL;
		lua_pushnumber(L, (double)i);
	} else {
		if (v >= (uint64_t)LUA_EXACT_INT)
			return NULL;
		lua_pushnumber(L, (double)v);
	}
	return data + 1 + size;
}

int lua_unpack(lua_State *L, const char *data, const char *end)
{
	struct unpack_job u = { .job.run = run_unpack, .end = end };
	int top = lua_gettop(L), n = 0, more;

	for (; data < end; n++) {
		const char *next;

		if (n % SIMPLE_SLOTS == 0 &&
		    !lua_checkstack(L, SIMPLE_SLOTS + JOB_SLOTS)) {
			lua_settop(L, top);
			return too_many(n);
		}
		next = push_simple(L, data, end);
		if (next == NULL)
			break;
		data = next;
	}
	if (data == end)
		return n;
	u.data = data;
	lua_job_begin(L, &u.job);
	more = lua_job_end(L, &u.job, 0);
	if (more < 0) {
		lua_settop(L, top);
		return -1;
	}
	return n + more;
}

/* Where the values begin: behind the array's head. */
static const char *values(const struct buf *data)
{
	switch ((unsigned char)data->data[0]) {
	case 0xdc:
		return data->data + 3;
	case 0xdd:
		return data->data + 5;
	default:
		return data->data + 1;
	}
}

int lua_unpack_packed(lua_State *L, const struct buf *data)
{
	int top = lua_gettop(L), n = 0;

	if (data->size > 0)
		n = lua_unpack(L, values(data), data->data + data->size);
	if (n <= 0)
		return n;
	if (!lua_checkstack(L, 2)) {
		lua_settop(L, top);
		return too_many(n);
	}
	/* A nil among them was packed as null. */
	lua_rawgeti(L, LUA_REGISTRYINDEX, lua_vm_of(L)->values.null);
	for (int i = top + 1; i <= top + n; i++) {
		if (lua_type(L, i) != LUA_VALUE_CDATA ||
		    !lua_rawequal(L, i, top + n + 1))
			continue;
		lua_pushnil(L);
		lua_replace(L, i);
	}
	lua_pop(L, 1);
	return n;
}
