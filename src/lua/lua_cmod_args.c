/*
 * Arguments of C calls as one msgpack array. What most calls are made with, a
 * few numbers and short strings, is packed here; anything else goes through
 * the serializer, from the first argument on. Both give the same bytes.
 */
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "lua/lua_cmod.h"
#include "lua/lua_serialize.h"

enum {
	QUICK_COUNT = 15, /* the array's header is one byte */
	QUICK_TEXT = 31,  /* and so is a string's */
	QUICK_SIZE = 1 + QUICK_COUNT * (1 + QUICK_TEXT),
};

/* A whole number of 32 bits, when it is one. */
static char *put_number(char *p, double d)
{
	int32_t i = d >= -2147483648.0 && d <= 2147483647.0 ? (int32_t)d : 0;

	if ((double)i != d)
		return NULL;
	if (i >= -32 && i <= 127) {
		*p++ = (char)i;
	} else if (i >= 0 && i <= 0xff) {
		*p++ = (char)0xcc;
		*p++ = (char)i;
	} else if (i >= 0 && i <= 0xffff) {
		uint16_t be = __builtin_bswap16((uint16_t)i);

		*p++ = (char)0xcd;
		memcpy(p, &be, sizeof be);
		p += sizeof be;
	} else if (i >= 0) {
		uint32_t be = __builtin_bswap32((uint32_t)i);

		*p++ = (char)0xce;
		memcpy(p, &be, sizeof be);
		p += sizeof be;
	} else {
		return NULL;
	}
	return p;
}

static char *put_value(char *p, lua_State *L, int idx)
{
	const char *text;
	size_t size;

	switch (lua_type(L, idx)) {
	case LUA_TNUMBER:
		return put_number(p, lua_tonumber(L, idx));
	case LUA_TNIL:
		*p = (char)0xc0;
		return p + 1;
	case LUA_TBOOLEAN:
		*p = (char)(0xc2 + lua_toboolean(L, idx));
		return p + 1;
	case LUA_TSTRING:
		text = lua_tolstring(L, idx, &size);
		if (size > QUICK_TEXT)
			return NULL;
		*p = (char)(0xa0 | size);
		memcpy(p + 1, text, size);
		return p + 1 + size;
	default:
		return NULL;
	}
}

static bool pack_quickly(lua_State *L, int first, int last, struct buf *out)
{
	int count = last - first + 1;
	char *begin, *p;

	if (count > QUICK_COUNT)
		return false;
	begin = buf_reserve(out, QUICK_SIZE);
	if (begin == NULL)
		return false;
	p = begin;
	*p++ = (char)(0x90 | count);
	for (int i = first; i <= last && p != NULL; i++)
		p = put_value(p, L, i);
	if (p == NULL)
		return false;
	out->size += (size_t)(p - begin);
	return true;
}

int lua_cmod_pack(lua_State *L, int first, struct buf *out)
{
	int last = lua_gettop(L);

	if (__builtin_expect(pack_quickly(L, first, last, out), 1))
		return 0;
	return lua_pack(L, first, last, out);
}
