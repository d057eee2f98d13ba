/* lua_pack() and lua_unpack(): what C calls use must never throw. */
#include "unit.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_call.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"

static struct sched sched;
static struct lua_vm vm;

static int setup(void **state)
{
	(void)state;
	return lua_vm_create(&vm, &sched, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	lua_vm_destroy(&vm);
	diag_clear();
	return 0;
}

/* Push what the Lua expressions give; returns how many. */
static int push(lua_State *L, const char *expressions)
{
	int top = lua_gettop(L);

	lua_pushfstring(L, "return %s", expressions);
	assert_int_equal(luaL_loadstring(L, lua_tostring(L, -1)), 0);
	lua_remove(L, -2);
	assert_int_equal(lua_pcall(L, 0, LUA_MULTRET, 0), 0);
	return lua_gettop(L) - top;
}

static void check_pack(const char *expressions, const char *bytes, size_t size)
{
	struct buf out = { 0 };
	lua_State *L = vm.L;
	int n = push(L, expressions), top = lua_gettop(L);

	buf_puts(&out, "kept");
	assert_int_equal(lua_pack(L, top - n + 1, top, &out), 0);
	assert_int_equal(lua_gettop(L), top);
	assert_int_equal(out.size, size + 4);
	assert_memory_equal(out.data, "kept", 4);
	assert_memory_equal(out.data + 4, bytes, size);
	buf_destroy(&out);
	lua_settop(L, 0);
}

#define BYTES(s) s, sizeof(s) - 1

static void packs(void **state)
{
	(void)state;
	check_pack("nil", BYTES("\x91\xc0"));
	check_pack("1, nil, 'x', nil, nil", BYTES("\x95\x01\xc0\xa1x\xc0\xc0"));
	check_pack("{1, {}}, true", BYTES("\x92\x92\x01\x90\xc3"));
	check_pack("setmetatable({}, {__serialize = function() return 7 end})",
		   BYTES("\x91\x07"));
	/* Fewer values than lie on the stack, and none. */
	struct buf out = { 0 };

	push(vm.L, "1, 2, 3");
	assert_int_equal(lua_pack(vm.L, 2, 2, &out), 0);
	assert_int_equal(lua_pack(vm.L, 2, 1, &out), 0);
	assert_memory_equal(out.data, "\x91\x02\x90", 3);
	assert_int_equal(out.size, 3);
	lua_settop(vm.L, 0);
	buf_destroy(&out);
}

static void check_refused(const char *expressions, const char *message)
{
	struct buf out = { 0 };
	lua_State *L = vm.L;
	int n = push(L, expressions), top = lua_gettop(L);

	buf_puts(&out, "kept");
	assert_int_equal(lua_pack(L, top - n + 1, top, &out), -1);
	if (strstr(diag_last()->message, message) == NULL)
		fail_msg("%s: %s", expressions, diag_last()->message);
	assert_int_equal(lua_gettop(L), top);
	assert_int_equal(out.size, 4);
	diag_clear();
	buf_destroy(&out);
	lua_settop(L, 0);
}

static void refused(void **state)
{
	(void)state;
	check_refused("1, print", "argument 2: cannot encode a function");
	check_refused("{a = {print}}",
		      "argument 1: cannot encode a function, at 'a[1]'");
	check_refused("coroutine.create(print)", "cannot encode a thread");
	check_refused("io.stdout", "cannot encode a userdata");
	check_refused("setmetatable({}, {__serialize = function() "
		      "error('thrown', 0) end})",
		      "thrown");
	check_refused("setmetatable({}, {__serialize = function() "
		      "error({}) end})",
		      "table value");
}

static void depth(void **state)
{
	struct buf out = { 0 };
	lua_State *L = vm.L;

	(void)state;
	for (int n = 128; n <= 129; n++) {
		lua_newtable(L);
		for (int i = 1; i < n; i++) {
			lua_newtable(L);
			lua_insert(L, -2);
			lua_rawseti(L, -2, 1);
		}
		assert_int_equal(lua_pack(L, 1, 1, &out), n == 128 ? 0 : -1);
		lua_settop(L, 0);
		if (n == 128)
			assert_int_equal(lua_unpack(L, out.data + 1,
						    out.data + out.size),
					 1);
		lua_settop(L, 0);
		diag_clear();
	}
	buf_destroy(&out);
}

static void unpacks(void **state)
{
	static const char bytes[] = "\x01\xc0\x92\x02\x03\xa1x\xcf\xff\xff\xff"
				    "\xff\xff\xff\xff\xff";
	static const char bad[] = "\x01\x02\xc1";
	lua_State *L = vm.L;

	(void)state;
	assert_int_equal(lua_unpack(L, bytes, bytes), 0);
	assert_int_equal(lua_gettop(L), 0);
	lua_pushliteral(L, "below");
	assert_int_equal(lua_unpack(L, bytes, bytes + sizeof bytes - 1), 5);
	assert_int_equal(lua_gettop(L), 6);
	assert_int_equal(lua_tointeger(L, 2), 1);
	assert_int_equal(lua_objlen(L, 4), 2);
	assert_string_equal(lua_tostring(L, 5), "x");
	lua_settop(L, 1);
	/* The first values of a bad stream are not left behind. */
	assert_int_equal(lua_unpack(L, bad, bad + 3), -1);
	assert_int_equal(lua_gettop(L), 1);
	diag_clear();
	lua_settop(L, 0);
}

/* The API compares cdata by address. */
static bool same(lua_State *L, int a, int b)
{
	if (lua_type(L, a) == LUA_VALUE_CDATA && !lua_rawequal(L, a, b))
		return memcmp(lua_topointer(L, a), lua_topointer(L, b), 8) == 0;
	return lua_rawequal(L, a, b) || !lua_rawequal(L, a, a);
}

/* Plain numbers are pushed by a short way; behind a string they take the long
 * one. Both give the same, cut short too. */
static void two_ways(void **state)
{
	static const char heads[] = "\x00\x7f\xe0\xff\xc2\xc3\xc0\xca\xcb\xcc"
				    "\xcd\xce\xcf\xd0\xd1\xd2\xd3";
	static const uint64_t bodies[] = {
		0,
		1,
		UINT64_MAX,
		(uint64_t)1 << 63,
		(uint64_t)1 << 53,
		((uint64_t)1 << 53) - 1,
		((uint64_t)1 << 53) + 1,
		-((uint64_t)1 << 53),
		-((uint64_t)1 << 53) - 1,
		-((uint64_t)1 << 53) + 1,
		0x7ff8000000000000,
		0x7ff0000000000000,
		0xfff8123456789abc,
		0x3ff8000000000000,
		0x8000000080008080,
	};
	lua_State *L = vm.L;
	char bytes[11] = "\xa0";

	(void)state;
	for (size_t i = 0; i < sizeof heads - 1; i++) {
		for (size_t k = 0; k < sizeof bodies / sizeof bodies[0]; k++) {
			bytes[1] = heads[i];
			for (int b = 0; b < 8; b++)
				bytes[2 + b] =
					(char)(bodies[k] >> (56 - 8 * b));
			for (int size = 1; size <= 9; size++) {
				const char *end = bytes + 1 + size;
				int quick = lua_unpack(L, bytes + 1, end), slow;

				lua_settop(L, quick > 0 ? 1 : 0);
				slow = lua_unpack(L, bytes, end);
				assert_int_equal(slow,
						 quick < 0 ? -1 : quick + 1);
				if (quick > 0) {
					assert_int_equal(lua_type(L, 1),
							 lua_type(L, 3));
					assert_true(same(L, 1, 3));
				}
				lua_settop(L, 0);
				diag_clear();
			}
		}
	}
}

static void too_many(void **state)
{
	static char bytes[1 << 20];
	lua_State *L = vm.L;

	(void)state;
	assert_int_equal(lua_unpack(L, bytes, bytes + 5000), 5000);
	lua_settop(L, 0);
	assert_int_equal(lua_unpack(L, bytes, bytes + sizeof bytes), -1);
	assert_non_null(strstr(diag_last()->message, "Lua stack"));
	assert_int_equal(lua_gettop(L), 0);
	diag_clear();
}

static void run_code(lua_State *L, const char *code)
{
	assert_int_equal(luaL_loadstring(L, code), 0);
	assert_int_equal(lua_pcall(L, 0, 0, 0), 0);
}

/* Memory runs out at each allocation in turn: -1, never a jump, no leak. */
static void out_of_memory(void **state)
{
	static const char bytes[] = "\x93\x01\x82\xa3"
				    "abc\xcf\xff\xff\xff\xff\xff\xff\xff\xff"
				    "\xa1z\xd4\x01"
				    "e\xa5"
				    "fresh\xc0";
	lua_State *L = vm.L;
	struct buf out = { 0 };
	int failed[2] = { 0, 0 };

	(void)state;
	if (inject_arm("nothing", 0, 0) != 0)
		skip();
	inject_reset();
	for (int what = 0; what < 2; what++) {
		for (long after = 0; after < 200; after++) {
			int rc, top;

			run_code(L, "collectgarbage()");
			if (what == 1)
				push(L, "{1, setmetatable({}, {__serialize = "
					"function(t) return {tostring(t)} end})"
					"}");
			top = lua_gettop(L);
			inject_arm("lua.alloc", after, 1);
			out.size = 0;
			if (what == 0)
				rc = lua_unpack(L, bytes,
						bytes + sizeof bytes - 1);
			else
				rc = lua_pack(L, 1, 1, &out);
			inject_reset();
			if (rc < 0) {
				failed[what]++;
				assert_non_null(
					strstr(diag_last()->message, "memory"));
				assert_int_equal(lua_gettop(L), top);
				assert_int_equal(out.size, 0);
				diag_clear();
			}
			lua_settop(L, 0);
		}
		assert_true(failed[what] > 0);
	}
	for (long after = 0; after < 3; after++) {
		struct buf fresh = { 0 };

		push(L, "('x'):rep(1000), {('y'):rep(3000)}");
		inject_arm("malloc", after, -1);
		assert_int_equal(lua_pack(L, 1, 2, &fresh), -1);
		inject_reset();
		assert_int_equal(fresh.size, 0);
		diag_clear();
		lua_settop(L, 0);
		buf_destroy(&fresh);
	}
	buf_destroy(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packs),         cmocka_unit_test(refused),
		cmocka_unit_test(depth),         cmocka_unit_test(unpacks),
		cmocka_unit_test(two_ways),      cmocka_unit_test(too_many),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
