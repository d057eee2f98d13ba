/*
 * neap.sample_native: plain C functions for the FFI, which compiled code calls
 * without leaving; and what needs the Lua API: regular expressions, digests,
 * dates, the process.
 */
#include "app/sample_native.h"

#include <lauxlib.h>
#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/regex.h"
#include "app/sample_hash.h"
#include "app/sample_text.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "lua/lua_error.h"
#include "lua_src/app.h"
#include "net/http_date.h"

#define REGEX_CLASS "neap.sample.regex"

enum {
	DATE_MAX = 256, /* bytes of a date */
	RESULT_MAX = 16777216,
};

struct regex_box {
	struct regex *re;
	/* Results that do not fit on the stack across a throw. */
	struct buf out;
};

/* --- regular expressions --- */

/* regex(pattern, ignore_case) -> object, address | nil, text */
static int l_regex(lua_State *L)
{
	size_t size;
	const char *pattern = luaL_checklstring(L, 1, &size);
	unsigned flags = lua_toboolean(L, 2) ? REGEX_IGNORE_CASE : 0;
	struct regex_box *box = lua_newuserdata(L, sizeof *box);

	memset(box, 0, sizeof *box);
	luaL_getmetatable(L, REGEX_CLASS);
	lua_setmetatable(L, -2);
	box->re = regex_new(pattern, size, flags);
	if (box->re == NULL) {
		struct error *e = diag_take();

		lua_pushnil(L);
		lua_pushstring(L, e->message);
		error_unref(e);
		return 2;
	}
	lua_pushlightuserdata(L, box->re);
	return 2;
}

static int l_regex_gc(lua_State *L)
{
	struct regex_box *box = luaL_checkudata(L, 1, REGEX_CLASS);

	regex_delete(box->re);
	box->re = NULL;
	buf_destroy(&box->out);
	return 0;
}

/* regsub(regex, text, format, all) -> text | nil */
static int l_regsub(lua_State *L)
{
	struct regex_box *box = luaL_checkudata(L, 1, REGEX_CLASS);
	size_t size, format_size;
	const char *text = luaL_checklstring(L, 2, &size);
	const char *format = luaL_checklstring(L, 3, &format_size);

	box->out.limit = RESULT_MAX;
	buf_reset(&box->out, 65536);
	if (regex_replace(box->re, text, size, format, format_size,
			  lua_toboolean(L, 4), &box->out) < 0)
		return 0;
	lua_pushlstring(L, box->out.data, box->out.size);
	return 1;
}

/* regexpand(regex, text, format) -> format with what is found | nil: nothing is */
static int l_regexpand(lua_State *L)
{
	struct regex_box *box = luaL_checkudata(L, 1, REGEX_CLASS);
	struct regex_span spans[REGEX_GROUPS_MAX];
	size_t size, format_size;
	const char *text = luaL_checklstring(L, 2, &size);
	const char *format = luaL_checklstring(L, 3, &format_size);
	int n = regex_match(box->re, text, size, 0, spans, REGEX_GROUPS_MAX);

	box->out.limit = RESULT_MAX;
	buf_reset(&box->out, 65536);
	if (n <= 0 || regex_expand(format, format_size, text, spans,
				   (unsigned)n, &box->out) < 0)
		return 0;
	lua_pushlstring(L, box->out.data, box->out.size);
	return 1;
}

static int regex_test(struct regex *re, const char *text, size_t size)
{
	struct regex_span span;

	return regex_match(re, text, size, 0, &span, 1);
}

/* --- digests --- */

/* digest_of(name) -> address of the algorithm | nil */
static int l_digest_of(lua_State *L)
{
	const EVP_MD *md = EVP_get_digestbyname(luaL_checkstring(L, 1));

	if (md == NULL)
		return 0;
	lua_pushlightuserdata(L, (void *)md);
	return 1;
}

/* digest(algorithm, data) -> bytes | nil */
static int l_digest(lua_State *L)
{
	const EVP_MD *md = lua_touserdata(L, 1);
	size_t size;
	const char *data = luaL_checklstring(L, 2, &size);
	unsigned char out[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(data, size, out, &n, md, NULL) != 1)
		return 0;
	lua_pushlstring(L, (char *)out, n);
	return 1;
}

/* hmac(algorithm, data, key) -> bytes | nil */
static int l_hmac(lua_State *L)
{
	const EVP_MD *md = lua_touserdata(L, 1);
	size_t size, key_size;
	const char *data = luaL_checklstring(L, 2, &size);
	const char *key = luaL_checklstring(L, 3, &key_size);
	unsigned char out[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (HMAC(md, key, (int)key_size, (const unsigned char *)data, size, out,
		 &n) == NULL)
		return 0;
	lua_pushlstring(L, (char *)out, n);
	return 1;
}

static int equal(const char *a, const char *b, size_t size)
{
	return CRYPTO_memcmp(a, b, size) == 0;
}

/* random(size) -> bytes */
static int l_random(lua_State *L)
{
	unsigned char out[64];
	lua_Integer size = luaL_checkinteger(L, 1);

	if (size < 1 || size > (lua_Integer)sizeof out ||
	    RAND_bytes(out, (int)size) != 1)
		return luaL_error(L, "there is no random source");
	lua_pushlstring(L, (char *)out, (size_t)size);
	return 1;
}

/* Not for secrets. */
static uint32_t random32(void)
{
	static __thread uint64_t state;

	while (state == 0)
		state = clock_ns(CLOCK_MONOTONIC) * 0x9e3779b97f4a7c15u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

/* --- dates --- */

static double now_us(void)
{
	return floor((double)clock_ns(CLOCK_REALTIME) / 1e3);
}

/* strftime(format, seconds, is_local) -> text | nil */
static int l_strftime(lua_State *L)
{
	const char *format = luaL_checkstring(L, 1);
	lua_Number seconds = luaL_checknumber(L, 2);
	time_t t;
	struct tm tm;
	char out[DATE_MAX];
	size_t n;

	if (!(fabs(seconds) < 9e15))
		return 0;
	t = (time_t)floor(seconds);
	if ((lua_toboolean(L, 3) ? localtime_r(&t, &tm) : gmtime_r(&t, &tm)) ==
	    NULL)
		return 0;
	n = strftime(out, sizeof out, format, &tm);
	lua_pushlstring(L, out, n);
	return 1;
}

/* http_date(seconds) -> text */
static int l_http_date(lua_State *L)
{
	char out[HTTP_DATE_SIZE];
	lua_Number seconds = luaL_checknumber(L, 1);

	if (!(fabs(seconds) < 9e15))
		return 0;
	http_date_format(out, (int64_t)floor(seconds));
	lua_pushstring(L, out);
	return 1;
}

/* --- the process --- */

/* env(name) -> text | nil */
static int l_env(lua_State *L)
{
	const char *value = getenv(luaL_checkstring(L, 1));

	if (value == NULL)
		return 0;
	lua_pushstring(L, value);
	return 1;
}

static void push_process(lua_State *L)
{
	char name[256] = "";

	gethostname(name, sizeof name - 1);
	lua_pushstring(L, name);
	lua_setfield(L, -2, "hostname");
	lua_pushinteger(L, getpid());
	lua_setfield(L, -2, "pid");
}

static void push_addresses(lua_State *L)
{
	static const struct {
		const char *name;
		void *address;
	} functions[] = {
		{ "sdbm", sample_sdbm },
		{ "djb2", sample_djb2 },
		{ "wt6", sample_wt6 },
		{ "crc32", sample_crc32 },
		{ "crc32c", sample_crc32c },
		{ "avalanche", sample_avalanche },
		{ "xxh32", sample_xxh32 },
		{ "xxh64", sample_xxh64 },
		{ "xxh3", sample_xxh3 },
		{ "url_encode", sample_url_encode },
		{ "url_decode", sample_url_decode },
		{ "json", sample_json },
		{ "base64", sample_base64 },
		{ "base64_decode", sample_base64_decode },
		{ "hex", sample_hex },
		{ "hex_decode", sample_hex_decode },
		{ "address", sample_address },
		{ "address_text", sample_address_text },
		{ "address_in", sample_address_in },
		{ "address_is_local", sample_address_is_local },
		{ "regex_test", regex_test },
		{ "equal", equal },
		{ "random32", random32 },
		{ "now_us", now_us },
	};

	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		lua_pushlightuserdata(L, functions[i].address);
		lua_setfield(L, -2, functions[i].name);
	}
}

static int luaopen_neap_sample_native(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "regex", l_regex },
		{ "regsub", l_regsub },
		{ "regexpand", l_regexpand },
		{ "digest_of", l_digest_of },
		{ "digest", l_digest },
		{ "hmac", l_hmac },
		{ "random", l_random },
		{ "strftime", l_strftime },
		{ "http_date", l_http_date },
		{ "env", l_env },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, REGEX_CLASS);
	lua_pushcfunction(L, l_regex_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	push_addresses(L);
	push_process(L);
	return 1;
}

static const struct lua_module module_native = {
	"neap.sample_native",
	luaopen_neap_sample_native,
	NULL,
};

#define LUA_PART(part)                                                        \
	static const struct lua_module module_##part = { "neap." #part, NULL, \
							 lua_src_##part }

LUA_PART(sample);
LUA_PART(sample_args);
LUA_PART(sample_parse);
LUA_PART(sample_values);
LUA_PART(sample_match);
LUA_PART(fetch_declaration);
LUA_PART(fetches);
LUA_PART(fetches_headers);
LUA_PART(fetches_http);
LUA_PART(converters);
LUA_PART(converters_data);
LUA_PART(condition);
LUA_PART(template);

const struct lua_module *const sample_modules[] = {
	&module_native,
	&module_sample,
	&module_sample_args,
	&module_sample_parse,
	&module_sample_values,
	&module_sample_match,
	&module_fetch_declaration,
	&module_fetches,
	&module_fetches_headers,
	&module_fetches_http,
	&module_converters,
	&module_converters_data,
	&module_condition,
	&module_template,
	NULL,
};
