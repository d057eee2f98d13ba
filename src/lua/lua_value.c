/* Values that Lua's C API cannot make (for the module `msgpack`: extension
 * values). See lua_value.h. */
#include "lua/lua_value.h"

#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_error.h"
#include "lua/lua_internal.h"
#include "lua/lua_state.h"

static const char *const ext_class = "neap.msgpack.ext";

/* Doubles are exact up to here. */
static const uint64_t exact_max = (uint64_t)1 << 53;

static void push_ref(lua_State *L, size_t field)
{
	const char *refs = (const char *)&lua_vm_of(L)->values;

	lua_rawgeti(L, LUA_REGISTRYINDEX, *(const int *)(refs + field));
}

#define PUSH_REF(L, name) push_ref(L, offsetof(struct lua_value_refs, name))

void lua_value_push_null(lua_State *L)
{
	PUSH_REF(L, null);
}

/* A new cdata of eight bytes, which are where lua_topointer() says. */
static void *push_wide(lua_State *L, size_t type)
{
	push_ref(L, type);
	lua_call(L, 0, 1);
	return (void *)lua_topointer(L, -1);
}

void lua_value_push_int64(lua_State *L, int64_t v)
{
	memcpy(push_wide(L, offsetof(struct lua_value_refs, sint_type)), &v,
	       sizeof v);
}

void lua_value_push_uint64(lua_State *L, uint64_t v)
{
	memcpy(push_wide(L, offsetof(struct lua_value_refs, uint_type)), &v,
	       sizeof v);
}

void lua_value_push_sint(lua_State *L, int64_t v)
{
	if (v >= -(int64_t)exact_max && v <= (int64_t)exact_max)
		lua_pushnumber(L, (lua_Number)v);
	else
		lua_value_push_int64(L, v);
}

void lua_value_push_uint(lua_State *L, uint64_t v)
{
	if (v <= exact_max)
		lua_pushnumber(L, (lua_Number)v);
	else
		lua_value_push_uint64(L, v);
}

#if NEAP_LUAJIT_SYSTEM

/* Of a system library only the API is known: its FFI answers in Lua. */
static const char describe_source[] =
	"local ffi = require('ffi')\n"
	"local kinds = {[tonumber(ffi.typeof('struct tt_uuid'))] = 7}\n"
	"for kind, names in pairs({\n"
	"    [2] = 'bool',\n"
	"    [3] = 'char int8_t int16_t int32_t int64_t',\n"
	"    [4] = 'uint8_t uint16_t uint32_t uint64_t',\n"
	"    [5] = 'float', [6] = 'double',\n"
	"}) do\n"
	"    for name in names:gmatch('%S+') do\n"
	"        kinds[tonumber(ffi.typeof(name))] = kind\n"
	"    end\n"
	"end\n"
	"return function(v)\n"
	"    if v == nil then return 1, 0 end\n"
	"    if tostring(v):find('^ctype<') then return 8, 0 end\n"
	"    local type = ffi.typeof(v)\n"
	"    return kinds[tonumber(type)] or 0, ffi.sizeof(type) or 0\n"
	"end\n";

static void open_describe(lua_State *L)
{
	lua_vm_load_source(L, describe_source, sizeof describe_source - 1,
			   "=neap/value.lua");
	lua_call(L, 0, 1);
}

static enum lua_cdata_kind describe(lua_State *L, int idx, size_t *ret_size)
{
	int kind;

	lua_pushvalue(L, idx);
	PUSH_REF(L, describe);
	lua_insert(L, -2);
	lua_call(L, 1, 2);
	kind = (int)lua_tointeger(L, -2);
	*ret_size = (size_t)lua_tointeger(L, -1);
	lua_pop(L, 2);
	return (enum lua_cdata_kind)kind;
}

#else

static void open_describe(lua_State *L)
{
	lua_pushboolean(L, 0);
}

_Static_assert((uint32_t)LUA_VALUE_CDATA == ~LJ_TCDATA,
	       "LuaJIT's type numbers");

/* How LuaJIT numbers the types of objects: the reference is to one of them. */
static CTypeID type_of(lua_State *L, int ref)
{
	CTypeID id;

	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	id = *(const CTypeID *)lua_topointer(L, -1);
	lua_pop(L, 1);
	return id;
}

static enum lua_cdata_kind describe(lua_State *L, int idx, size_t *ret_size)
{
	cTValue *o = idx > 0 ? L->base + idx - 1 : L->top + idx;
	const GCcdata *cd = cdataV(o);
	CType *ct = ctype_raw(ctype_ctsG(G(L)), cd->ctypeid);

	*ret_size = ct->size;
	if (cd->ctypeid == CTID_CTYPEID)
		return LUA_CDATA_CTYPE;
	if (ctype_isstruct(ct->info) && ct->size == LUA_UUID_SIZE &&
	    cd->ctypeid == type_of(L, lua_vm_of(L)->values.uuid_type))
		return LUA_CDATA_UUID;
	if (ctype_isptr(ct->info))
		return cdata_getptr(cdataptr(cd), ct->size) == NULL
			       ? LUA_CDATA_NULL
			       : LUA_CDATA_OTHER;
	if (!ctype_isnum(ct->info) || ct->size > 8)
		return LUA_CDATA_OTHER;
	if (ct->info & CTF_BOOL)
		return LUA_CDATA_BOOL;
	if (ct->info & CTF_FP)
		return ct->size == 4 ? LUA_CDATA_FLOAT : LUA_CDATA_DOUBLE;
	return ct->info & CTF_UNSIGNED ? LUA_CDATA_UINT : LUA_CDATA_SINT;
}

#endif

static uint64_t load_uint(const void *p, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size); /* little end first, as all that LuaJIT runs on */
	return v;
}

/* Of an object, whose first three numbers are in the order of this machine, to the
 * order in which it is written; and back. */
static void swap_uuid(unsigned char *to, const unsigned char *from)
{
	static const uint8_t order[LUA_UUID_SIZE] = {
		3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15,
	};

	for (int i = 0; i < LUA_UUID_SIZE; i++)
		to[i] = from[order[i]];
}

void lua_value_uuid_text(const unsigned char uuid[LUA_UUID_SIZE],
			 char ret_text[LUA_UUID_TEXT + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < LUA_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*ret_text++ = '-';
		*ret_text++ = digits[uuid[i] >> 4];
		*ret_text++ = digits[uuid[i] & 15];
	}
	*ret_text = '\0';
}

void lua_value_push_uuid(lua_State *L, const char data[LUA_UUID_SIZE])
{
	/* The module gives its objects their methods. */
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_VM_BEHIND_FILES);
	lua_getfield(L, -1, "uuid");
	lua_call(L, 0, 0);
	lua_pop(L, 1);
	swap_uuid(push_wide(L, offsetof(struct lua_value_refs, uuid_type)),
		  (const unsigned char *)data);
}

void lua_value_read_cdata(lua_State *L, int idx, struct lua_cdata *ret)
{
	const void *p = lua_topointer(L, idx);
	unsigned unused;
	size_t size = 0;

	ret->kind = describe(L, idx, &size);
	switch (ret->kind) {
	case LUA_CDATA_BOOL:
		ret->boolean = *(const bool *)p;
		break;
	case LUA_CDATA_UINT:
		ret->uint = load_uint(p, size);
		break;
	case LUA_CDATA_SINT:
		unused = (unsigned)(8 - size) * 8;
		ret->sint = (int64_t)(load_uint(p, size) << unused) >> unused;
		break;
	case LUA_CDATA_FLOAT:
		memcpy(&ret->real32, p, sizeof ret->real32);
		break;
	case LUA_CDATA_DOUBLE:
		memcpy(&ret->real, p, sizeof ret->real);
		break;
	case LUA_CDATA_UUID:
		swap_uuid(ret->uuid, p);
		break;
	default:
		break;
	}
}

void lua_value_push_typename(lua_State *L, int idx)
{
	const char *name;

	lua_pushvalue(L, idx);
	PUSH_REF(L, typeof_f);
	lua_insert(L, -2);
	lua_call(L, 1, 1);
	/* "ctype<struct point>" */
	if (luaL_callmeta(L, -1, "__tostring"))
		lua_replace(L, -2);
	name = lua_tostring(L, -1);
	if (name == NULL)
		name = "?";
	if (strncmp(name, "ctype<", 6) == 0 && name[strlen(name) - 1] == '>')
		lua_pushlstring(L, name + 6, strlen(name) - 7);
	else
		lua_pushstring(L, name);
	lua_replace(L, -2);
}

void lua_value_push_ext(lua_State *L, int8_t type, const char *data,
			size_t size)
{
	struct lua_ext *ext = lua_newuserdata(L, sizeof *ext + size);

	ext->type = type;
	ext->size = size;
	if (size > 0)
		memcpy(ext->data, data, size);
	luaL_getmetatable(L, ext_class);
	lua_setmetatable(L, -2);
}

const struct lua_ext *lua_value_test_ext(lua_State *L, int idx)
{
	const struct lua_ext *ext = lua_touserdata(L, idx);
	bool ours;

	if (ext == NULL || lua_type(L, idx) != LUA_TUSERDATA ||
	    !lua_getmetatable(L, idx))
		return NULL;
	luaL_getmetatable(L, ext_class);
	ours = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return ours ? ext : NULL;
}

/***
 * msgpack.ext(type, data) -> ext_object
 * An extension value of msgpack: a @type from -128 to 127 and its bytes, the
 * string @data. Two are equal when both are. It is packed as what it is; json
 * has no form for it. Yields: no.
 */
int l_value_ext(lua_State *L)
{
	lua_Number type = lua_tonumber(L, 1);
	const char *data;
	size_t size;

	if (lua_type(L, 1) != LUA_TNUMBER || lua_type(L, 2) != LUA_TSTRING ||
	    type != (lua_Number)(int8_t)type)
		return lua_error_usage(L, "usage: ext(type from -128 to 127, "
					  "bytes as a string)");
	data = lua_tolstring(L, 2, &size);
	lua_value_push_ext(L, (int8_t)type, data, size);
	return 1;
}

static int l_ext_index(lua_State *L)
{
	const struct lua_ext *ext = luaL_checkudata(L, 1, ext_class);
	const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2)
							: "";

	if (strcmp(key, "type") == 0)
		lua_pushinteger(L, ext->type);
	else if (strcmp(key, "data") == 0)
		lua_pushlstring(L, ext->data, ext->size);
	else
		lua_pushnil(L);
	return 1;
}

static int l_ext_eq(lua_State *L)
{
	const struct lua_ext *a = luaL_checkudata(L, 1, ext_class);
	const struct lua_ext *b = luaL_checkudata(L, 2, ext_class);

	lua_pushboolean(L, a->type == b->type && a->size == b->size &&
				   memcmp(a->data, b->data, a->size) == 0);
	return 1;
}

static int l_ext_tostring(lua_State *L)
{
	const struct lua_ext *ext = luaL_checkudata(L, 1, ext_class);

	lua_pushfstring(L, "msgpack extension of type %d, %d bytes", ext->type,
			(int)ext->size);
	return 1;
}

static void open_ext(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "__index", l_ext_index },
		{ "__eq", l_ext_eq },
		{ "__tostring", l_ext_tostring },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, ext_class);
	luaL_register(L, NULL, methods);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

static int l_guard(lua_State *L)
{
	struct lua_job *job = lua_touserdata(L, 1);
	int n;

	lua_remove(L, 1);
	n = job->run(L, job);
	job->failed = n < 0;
	return n < 0 ? 0 : n;
}

void lua_job_begin(lua_State *L, struct lua_job *job)
{
	job->failed = false;
	PUSH_REF(L, guard);
	lua_pushlightuserdata(L, job);
}

int lua_job_end(lua_State *L, struct lua_job *job, int nargs)
{
	int base = lua_gettop(L) - nargs - 2;

	if (lua_pcall(L, nargs + 1, LUA_MULTRET, 0) != 0) {
		diag_set_error(lua_error_from_value(L, -1));
		lua_settop(L, base);
		return -1;
	}
	return job->failed ? -1 : lua_gettop(L) - base;
}

static int make_hint(lua_State *L, const char *hint, const void **ret_table)
{
	lua_createtable(L, 0, 1);
	lua_pushstring(L, hint);
	lua_setfield(L, -2, "__serialize");
	*ret_table = lua_topointer(L, -1);
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* ffi.<maker>(<type>), a reference to it. */
static int make_ctype(lua_State *L, int ffi, const char *maker,
		      const char *type)
{
	lua_getfield(L, ffi, maker);
	lua_pushstring(L, type);
	lua_call(L, 1, 1);
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Declared for good: scripts ask for the type by its name before they load the
 * module. */
static const char uuid_declaration[] =
	"struct tt_uuid {"
	"	uint32_t time_low;"
	"	uint16_t time_mid, time_hi_and_version;"
	"	uint8_t clock_seq_hi_and_reserved, clock_seq_low, node[6];"
	"};";

static int make_uuid_type(lua_State *L, int ffi)
{
	lua_getfield(L, ffi, "cdef");
	lua_pushlstring(L, uuid_declaration, sizeof uuid_declaration - 1);
	lua_call(L, 1, 0);
	return make_ctype(L, ffi, "typeof", "struct tt_uuid");
}

void lua_value_open(lua_State *L, struct lua_value_refs *refs)
{
	int ffi;

	lua_getglobal(L, "require");
	lua_pushliteral(L, "ffi");
	lua_call(L, 1, 1);
	ffi = lua_gettop(L);
	refs->null = make_ctype(L, ffi, "new", "void *");
	refs->sint_type = make_ctype(L, ffi, "typeof", "int64_t");
	refs->uint_type = make_ctype(L, ffi, "typeof", "uint64_t");
	refs->uuid_type = make_uuid_type(L, ffi);
	lua_getfield(L, ffi, "typeof");
	refs->typeof_f = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
	refs->array_mt = make_hint(L, "seq", &refs->array_table);
	refs->map_mt = make_hint(L, "map", &refs->map_table);
	lua_pushcfunction(L, l_guard);
	refs->guard = luaL_ref(L, LUA_REGISTRYINDEX);
	open_describe(L);
	refs->describe = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_createtable(L, LUA_VALUE_KEYS, 0);
	refs->keys_table = (void *)lua_topointer(L, -1);
	luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushliteral(L, "__serialize");
	refs->serialize = lua_topointer(L, -1);
	luaL_ref(L, LUA_REGISTRYINDEX); /* for as long as the state lives */
	open_ext(L);
}
