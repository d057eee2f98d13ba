/* Error objects in Lua: what they show, who holds them, where usage errors
 * point. */
#include "lua_world.h"

#include <errno.h>

#include "lua/lua_error.h"

/* With the global `e` an error object of what @a arg is. */
static void set_e(lua_State *L, void *arg)
{
	lua_error_push(L, error_ref(arg));
	lua_setglobal(L, "e");
}

static void with_e(struct error *e, const char *text)
{
	assert_int_equal(lua_vm_protect(&world_vm, set_e, e), 0);
	world_do(text);
}

static void drop_e(void)
{
	world_do("e = nil");
	world_memory();
}

static void fields(void **state)
{
	struct error *e = error_new(&ClientError, 42, "/x/file.c", 7, "text");
	struct error *cause = error_system(ENOENT, "c.c", 8, "open");

	(void)state;
	error_set_cause(e, cause);
	with_e(e,
	       "assert(e.type == 'ClientError')\n"
	       "assert(e.code == 42)\n"
	       "assert(e.message == 'text')\n"
	       "assert(e.errno == nil)\n"
	       "assert(e.trace[1].file == 'file.c')\n"
	       "assert(e.trace[1].line == 7)\n"
	       "assert(e.prev.type == 'SystemError')\n"
	       "assert(e.prev.errno == 2)\n"
	       "assert(e.prev.prev == nil)\n"
	       "assert(e.none == nil and e[1] == nil and e[{}] == nil)\n"
	       "assert(tostring(e) == 'text')\n"
	       "assert(e .. '!' == 'text!' and 'a ' .. e == 'a text')\n"
	       "assert(e .. e == 'texttext')\n"
	       "assert(getmetatable(e) == false)\n"
	       "assert(not pcall(function() e.x = 1 end))\n"
	       "local u = e:unpack()\n"
	       "assert(u.type == 'ClientError' and u.code == 42)\n"
	       "assert(u.prev.message:find('No such file'))\n"
	       "assert(u.errno == nil and u.trace[1].line == 7)\n"
	       "local ok, thrown = pcall(e.raise, e)\n"
	       "assert(not ok and thrown == e)\n"
	       "assert(not pcall(e.raise, {}))\n"
	       "assert(e:match('e(.)t') == 'x' and e:match('^t$') == nil)\n"
	       "assert(e:match('t', 2) == 't' and e:match('te', 2) == nil)\n"
	       "assert(not pcall(e.match, e) and not pcall(e.match, 'x', 'x'))\n"
	       "assert(not pcall(e.unpack))\n"
	       "assert(not pcall(e.unpack, io.stdout))\n");
	drop_e();
	assert_int_equal(e->refs, 1);
	error_unref(e);
}

static void references(void **state)
{
	struct error *e = error_new(&ClientError, 0, NULL, 0, "counted");

	(void)state;
	for (int i = 0; i < 1000; i++)
		with_e(e, "copies = copies or {} copies[#copies + 1] = e");
	assert_int_equal(e->refs, 1001);
	world_do("copies = nil");
	drop_e();
	assert_int_equal(e->refs, 1);
	/* The cause is held by its own object too. */
	error_set_cause(e, error_new(&ClientError, 0, NULL, 0, "cause"));
	with_e(e, "p = e.prev e = nil");
	drop_e();
	assert_int_equal(e->refs, 1);
	assert_int_equal(e->cause->refs, 2);
	error_unref(e);
	world_do("assert(p.message == 'cause') p = nil");
}

static void from_values(void **state)
{
	struct error *e = error_new(&ClientError, 0, NULL, 0, "itself"), *got;
	lua_State *L = world_vm.L;

	(void)state;
	lua_pushliteral(L, "a string");
	got = lua_error_from_value(L, -1);
	assert_ptr_equal(got->type, &LuaError);
	assert_string_equal(got->message, "a string");
	error_unref(got);
	lua_newtable(L);
	got = lua_error_from_value(L, -1);
	assert_non_null(strstr(got->message, "table value"));
	error_unref(got);
	lua_pushnil(L);
	assert_null(lua_error_test(L, -1));
	lua_newuserdata(L, 8);
	assert_null(lua_error_test(L, -1));
	lua_pushlightuserdata(L, L);
	assert_null(lua_error_test(L, -1));
	lua_error_push(L, error_ref(e));
	assert_ptr_equal(lua_error_test(L, -1), e);
	got = lua_error_from_value(L, -1);
	assert_ptr_equal(got, e);
	error_unref(got);
	lua_settop(L, 0);
	drop_e();
	assert_int_equal(e->refs, 1);
	error_unref(e);
}

static int l_use(lua_State *L)
{
	return lua_error_usage(L, "used %s", "wrongly");
}

static void set_use(lua_State *L, void *arg)
{
	(void)arg;
	lua_pushcfunction(L, l_use);
	lua_setglobal(L, "use");
}

/* The place of wrong usage is the user's line, not ours. */
static void usage_has_the_users_place(void **state)
{
	static const struct lua_module ours = {
		"ours", NULL, "return function()\n\n use() end"
	};

	(void)state;
	assert_int_equal(lua_vm_protect(&world_vm, set_use, NULL), 0);
	assert_int_equal(lua_vm_register(&world_vm, &ours), 0);
	world_do("local ours = require('ours')\n"
		 "local function check(f, line)\n"
		 "    local ok, err = pcall(f)\n"
		 "    assert(err.type == 'IllegalParams', tostring(err))\n"
		 "    assert(err.message == 'used wrongly')\n"
		 "    assert(err.trace[1].file == 'test', err.trace[1].file)\n"
		 "    assert(err.trace[1].line == line, err.trace[1].line)\n"
		 "end\n"
		 "check(function() local x = use()\n"
		 " return x end, 9)\n"
		 "check(function()\n"
		 "local x = ours() return x end, 12)\n"
		 "check(use, 3)\n");
}

/* A message of any length and any bytes. */
static void long_messages(void **state)
{
	struct error *e;

	(void)state;
	e = error_new(&ClientError, 0, NULL, 0, "%0100000d", 1);
	with_e(e, "assert(#e.message == 100000)");
	drop_e();
	error_unref(e);
	e = error_new(&ClientError, 0, NULL, 0, "\xff\x01%%s");
	with_e(e, "assert(e.message == '\\255\\1%s')");
	drop_e();
	error_unref(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(fields),        in_world(references),
		in_world(from_values),   in_world(usage_has_the_users_place),
		in_world(long_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
