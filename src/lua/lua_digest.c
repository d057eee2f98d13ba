/*
 * The C half of digest.lua: check sums, hashes, ciphers, by OpenSSL where it has
 * them. What takes long goes to a thread of the pool.
 */
#include "lua/lua_digest.h"

#include <lauxlib.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_blocking.h"
#include "lua/lua_error.h"

enum {
	HERE_MAX = 64 * 1024, /* bytes that are worked on at once, in place */
	PARTS = 3,
	RESULT_MAX = 64 * 1024 * 1024, /* of urandom and pbkdf2 */
	CRC32C = (int)0x82f63b78,      /* the polynomial, reflected */
};

struct digest_op;

typedef void (*digest_work_f)(struct digest_op *o);

struct digest_op {
	struct lua_blocking base;
	digest_work_f work;
	bool slow;    /* however few bytes there are */
	bool encrypt; /* AES */
	const EVP_MD *md;
	const char *failure; /* NULL: all well */
	uint32_t number;     /* the result, or what goes before */
	int64_t n[2];
	unsigned char *part[PARTS]; /* in the memory below */
	size_t size[PARTS];
	unsigned char *out; /* NULL: the number is the result */
	size_t out_size;
	unsigned char memory[];
};

static void run(struct lua_blocking *op)
{
	struct digest_op *o = (struct digest_op *)op; /* base comes first */

	o->work(o);
}

static int step(struct lua_blocking *op)
{
	struct digest_op *o = (struct digest_op *)op;

	if (o->slow || o->size[0] > HERE_MAX)
		return LUA_BLOCKING_POOL;
	o->work(o);
	return 0;
}

static int push(lua_State *L, struct lua_blocking *op)
{
	struct digest_op *o = (struct digest_op *)op;

	if (o->failure != NULL) {
		diag_set(ClientError, "digest: %s", o->failure);
		return lua_error_fail(L);
	}
	if (o->out != NULL)
		lua_pushlstring(L, (char *)o->out, o->out_size);
	else
		lua_pushnumber(L, o->number);
	return 1;
}

static void destroy(struct lua_blocking *op)
{
	struct digest_op *o = (struct digest_op *)op;

	mem_free(o->out);
	mem_free(o);
}

static const struct lua_blocking_kind digest_kind = {
	.name = "a digest",
	.step = step,
	.run = run,
	.push = push,
	.destroy = destroy,
};

/* With copies of the first @a count arguments, which are strings. */
static struct digest_op *op_new(lua_State *L, digest_work_f work, int count)
{
	struct digest_op *o;
	size_t size, all = 0;
	unsigned char *to;

	for (int i = 1; i <= count; i++) {
		if (lua_type(L, i) != LUA_TSTRING)
			lua_error_usage(L, "digest: strings are wanted, not %s",
					luaL_typename(L, i));
		all += lua_objlen(L, i);
	}
	o = mem_zalloc(sizeof *o + all);
	if (o == NULL)
		luaL_error(L, "not enough memory");
	o->base.kind = &digest_kind;
	o->work = work;
	to = o->memory;
	for (int i = 0; i < count; i++) {
		const char *s = lua_tolstring(L, i + 1, &size);

		o->part[i] = memcpy(to, s, size);
		o->size[i] = size;
		to += size;
	}
	return o;
}

static bool make_room(struct digest_op *o, size_t size)
{
	o->out = mem_alloc(size > 0 ? size : 1);
	if (o->out == NULL)
		o->failure = "not enough memory";
	return o->out != NULL;
}

/* --- hashes --- */

static void work_hash(struct digest_op *o)
{
	unsigned size = 0;

	if (!make_room(o, EVP_MAX_MD_SIZE))
		return;
	if (EVP_Digest(o->part[0], o->size[0], o->out, &size, o->md, NULL) != 1)
		o->failure = "OpenSSL does not offer this hash";
	o->out_size = size;
}

/* hash(data, name) */
static int l_hash(lua_State *L)
{
	const EVP_MD *md = EVP_get_digestbyname(luaL_checkstring(L, 2));
	struct digest_op *o = op_new(L, work_hash, 1);

	o->md = md;
	return lua_blocking_do(L, &o->base);
}

static void work_pbkdf2(struct digest_op *o)
{
	o->out_size = (size_t)o->n[1];
	if (make_room(o, o->out_size) &&
	    PKCS5_PBKDF2_HMAC((char *)o->part[0], (int)o->size[0], o->part[1],
			      (int)o->size[1], (int)o->n[0], EVP_sha256(),
			      (int)o->out_size, o->out) != 1)
		o->failure = "OpenSSL has refused pbkdf2";
}

static int64_t check_count(lua_State *L, int arg, double min, double max)
{
	double d = lua_tonumber(L, arg);

	if (lua_type(L, arg) != LUA_TNUMBER || !(d >= min && d <= max))
		lua_error_usage(L,
				"digest: a number from %.14g to %.14g is "
				"wanted",
				min, max);
	return (int64_t)d;
}

/* pbkdf2(password, salt, iterations, size) */
static int l_pbkdf2(lua_State *L)
{
	int64_t iterations = check_count(L, 3, 1, 1e9);
	int64_t size = check_count(L, 4, 1, RESULT_MAX);
	struct digest_op *o = op_new(L, work_pbkdf2, 2);

	o->n[0] = iterations;
	o->n[1] = size;
	o->slow = true;
	return lua_blocking_do(L, &o->base);
}

/* --- aes256cbc --- */

static void work_aes(struct digest_op *o)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int size = 0, last = 0;

	if (ctx == NULL) {
		o->failure = "not enough memory";
		return;
	}
	if (make_room(o, o->size[0] + EVP_MAX_BLOCK_LENGTH) &&
	    (EVP_CipherInit_ex(ctx, EVP_aes_256_cbc(), NULL, o->part[1],
			       o->part[2], o->encrypt) != 1 ||
	     EVP_CipherUpdate(ctx, o->out, &size, o->part[0],
			      (int)o->size[0]) != 1 ||
	     EVP_CipherFinal_ex(ctx, o->out + size, &last) != 1))
		o->failure = "aes256cbc: wrong data, key or iv";
	o->out_size = (size_t)size + (size_t)last;
	EVP_CIPHER_CTX_free(ctx);
}

/* aes(data, key, iv, encrypt) */
static int l_aes(lua_State *L)
{
	struct digest_op *o;

	if (lua_objlen(L, 1) > INT32_MAX - EVP_MAX_BLOCK_LENGTH ||
	    lua_objlen(L, 2) != 32 || lua_objlen(L, 3) != 16)
		return lua_error_usage(L, "digest.aes256cbc: a key of 32 bytes "
					  "and an iv of 16 are wanted");
	o = op_new(L, work_aes, 3);
	o->encrypt = lua_toboolean(L, 4);
	return lua_blocking_do(L, &o->base);
}

/* --- check sums --- */

static uint32_t crc_table[256];

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ (uint32_t)CRC32C : c >> 1;
		crc_table[i] = c;
	}
}

static void work_crc(struct digest_op *o)
{
	uint32_t c = o->number;

	for (size_t i = 0; i < o->size[0]; i++)
		c = c >> 8 ^ crc_table[(c ^ o->part[0][i]) & 0xff];
	o->number = c;
}

static uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static uint32_t mix(uint32_t k)
{
	return rotate(k * 0xcc9e2d51, 15) * 0x1b873593;
}

/* MurmurHash3, the one of 32 bits. */
static void work_murmur(struct digest_op *o)
{
	const unsigned char *p = o->part[0];
	uint32_t h = o->number, k;
	size_t left = o->size[0];

	for (; left >= 4; left -= 4, p += 4) {
		memcpy(&k, p, 4);
		h = rotate(h ^ mix(k), 13) * 5 + 0xe6546b64;
	}
	k = 0;
	for (size_t i = 0; i < left; i++)
		k |= (uint32_t)p[i] << (8 * i);
	h ^= mix(k) ^ (uint32_t)o->size[0];
	h = (h ^ h >> 16) * 0x85ebca6b;
	h = (h ^ h >> 13) * 0xc2b2ae35;
	o->number = h ^ h >> 16;
}

static int sum(lua_State *L, digest_work_f work)
{
	uint32_t seed = (uint32_t)check_count(L, 2, 0, UINT32_MAX);
	struct digest_op *o = op_new(L, work, 1);

	o->number = seed;
	return lua_blocking_do(L, &o->base);
}

/* crc32(data, before) */
static int l_crc32(lua_State *L)
{
	return sum(L, work_crc);
}

/* murmur(data, seed) */
static int l_murmur(lua_State *L)
{
	return sum(L, work_murmur);
}

/* --- base64 --- */

static void work_encode(struct digest_op *o)
{
	/* A zero byte goes behind it. */
	if (make_room(o, (o->size[0] + 2) / 3 * 4 + 1))
		o->out_size = (size_t)EVP_EncodeBlock(o->out, o->part[0],
						      (int)o->size[0]);
}

static int l_encode(lua_State *L)
{
	if (lua_objlen(L, 1) > INT32_MAX / 2)
		return lua_error_usage(L, "digest.base64_encode: more than a "
					  "gibibyte");
	return lua_blocking_do(L, &op_new(L, work_encode, 1)->base);
}

static int value_of(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* What is no character of it is passed over, in either alphabet. */
static void work_decode(struct digest_op *o)
{
	uint32_t bits = 0;
	int have = 0, v;

	if (!make_room(o, o->size[0]))
		return;
	for (size_t i = 0; i < o->size[0]; i++) {
		v = value_of(o->part[0][i]);
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		o->out[o->out_size++] = (unsigned char)(bits >> have);
	}
}

static int l_decode(lua_State *L)
{
	return lua_blocking_do(L, &op_new(L, work_decode, 1)->base);
}

/* --- the rest --- */

static void work_random(struct digest_op *o)
{
	o->out_size = (size_t)o->n[0];
	if (make_room(o, o->out_size) &&
	    RAND_bytes(o->out, (int)o->out_size) != 1)
		o->failure = "there is no random source";
}

static int l_urandom(lua_State *L)
{
	int64_t size = check_count(L, 1, 0, RESULT_MAX);
	struct digest_op *o = op_new(L, work_random, 0);

	o->n[0] = size;
	o->slow = size > HERE_MAX;
	return lua_blocking_do(L, &o->base);
}

int luaopen_neap_digest(lua_State *L)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const luaL_Reg functions[] = {
		{ "hash", l_hash },
		{ "pbkdf2", l_pbkdf2 },
		{ "aes", l_aes },
		{ "crc32", l_crc32 },
		{ "murmur", l_murmur },
		{ "encode", l_encode },
		{ "decode", l_decode },
		{ "urandom", l_urandom },
		{ "usage", lua_error_usage_text },
		{ "failed", lua_blocking_failed },
		{ NULL, NULL },
	};

	pthread_once(&once, make_crc_table);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
