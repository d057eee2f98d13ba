/*
 * Values that Lua's C API cannot make: null, 64-bit integers as cdata, msgpack
 * extension values; and plain C that calls into Lua without being jumped over.
 *
 * null is a NULL `void *` cdata, as LuaJIT's FFI compares it equal to nil. Each
 * state has one such object: msgpack.NULL, json.NULL and yaml.NULL are it.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** lua_type() of FFI objects, which has no public name. */
enum { LUA_VALUE_CDATA = 10 };

/** Doubles are exact up to here. */
#define LUA_EXACT_INT ((int64_t)1 << 53)

enum {
	LUA_VALUE_KEYS = 32,    /* keys of maps that are kept, ... */
	LUA_VALUE_KEY_MAX = 64, /* each at most so long */
};

/** What the modules keep in the registry of a state; struct lua_vm has it. */
struct lua_value_refs {
	int null;      /* the object */
	int sint_type; /* ctype int64_t */
	int uint_type; /* ctype uint64_t */
	int array_mt;  /* metatable of decoded arrays: __serialize = 'seq' */
	int map_mt;    /* metatable of decoded maps: __serialize = 'map' */
	int uuid_type; /* ctype struct tt_uuid, of the module `uuid` */
	int typeof_f;  /* ffi.typeof */
	int describe;  /* tells a cdata's kind, where the API cannot */
	int guard;     /* C function that runs a struct lua_job */
	const void *array_table, *map_table; /* the metatables themselves */
	void *keys_table;      /* an array of strings, keys seen lately */
	const void *serialize; /* the string "__serialize", which stays */
};

/** Make them, once a state. Throws: out of memory. */
void lua_value_open(lua_State *L, struct lua_value_refs *refs);

/** Push a value; each needs one free stack slot. Throws: out of memory. */
void lua_value_push_null(lua_State *L);
/** A number where a double holds it exactly (up to 2^53), else cdata. */
void lua_value_push_sint(lua_State *L, int64_t v);
void lua_value_push_uint(lua_State *L, uint64_t v);
/** The same as int64_t and uint64_t cdata, however small they are. */
void lua_value_push_int64(lua_State *L, int64_t v);
void lua_value_push_uint64(lua_State *L, uint64_t v);
void lua_value_push_ext(lua_State *L, int8_t type, const char *data,
			size_t size);

/** Universally unique identifiers: an extension of msgpack, text elsewhere. */
enum { LUA_UUID_EXT = 2, LUA_UUID_SIZE = 16, LUA_UUID_TEXT = 36 };

/** An object of the module `uuid` of the bytes as they are written. */
void lua_value_push_uuid(lua_State *L, const char data[LUA_UUID_SIZE]);

/** The text of one, which ends with a NUL. */
void lua_value_uuid_text(const unsigned char uuid[LUA_UUID_SIZE],
			 char ret_text[LUA_UUID_TEXT + 1]);

/** What a cdata is to the serializer. */
enum lua_cdata_kind {
	LUA_CDATA_OTHER,
	LUA_CDATA_NULL, /* a pointer that is NULL */
	LUA_CDATA_BOOL,
	LUA_CDATA_SINT, /* any signed integer, widened */
	LUA_CDATA_UINT,
	LUA_CDATA_FLOAT,
	LUA_CDATA_DOUBLE,
	LUA_CDATA_UUID,
	LUA_CDATA_CTYPE, /* a type, not a value */
};

struct lua_cdata {
	enum lua_cdata_kind kind;
	union {
		bool boolean;
		int64_t sint;
		uint64_t uint;
		float real32;
		double real;
		unsigned char uuid[LUA_UUID_SIZE]; /* as they are written */
	};
};

/** Read the cdata at @a idx. Throws: out of memory. */
void lua_value_read_cdata(lua_State *L, int idx, struct lua_cdata *ret);

/** Push the type of the cdata at @a idx, "struct point". Throws: out of memory. */
void lua_value_push_typename(lua_State *L, int idx);

/** An extension value. */
struct lua_ext {
	int8_t type;
	size_t size;
	char data[];
};

/** The extension value at @a idx, or NULL. */
const struct lua_ext *lua_value_test_ext(lua_State *L, int idx);

/** `ext(type, data)` for the module msgpack. */
int l_value_ext(lua_State *L);

/** C that may throw, run where nothing may be jumped over. */
struct lua_job {
	/* Sees its arguments as the whole stack; returns how many results it
	 * left on top, or -1 with diag set. May throw. */
	int (*run)(lua_State *L, struct lua_job *job);
	bool failed; /* own */
};

/**
 * Begin a protected run: needs two free stack slots, and does not throw. Then
 * push the arguments and call lua_job_end().
 */
void lua_job_begin(lua_State *L, struct lua_job *job);

/** Run @a job with @a nargs arguments. Returns how many results lie on top, or
 * -1 with diag set (what was thrown) and none. Throws: no. */
int lua_job_end(lua_State *L, struct lua_job *job, int nargs);
