/*
 * No memory, at every allocation of HTTP and WebSocket, server and client: what is there
 * comes whole or an error is told, the server serves the next one and stops, and nothing
 * is left.
 *
 * test: timeout 300, soak 7200, threads
 */
#include "lua_world.h"

#include <signal.h>

#include "inject_rig.h"

static void give(lua_State *L, void *arg)
{
	(void)arg;
	open_rig(L);
	lua_setglobal(L, "rig");
	lua_pushboolean(L, getenv("NEAP_SOAK") != NULL);
	lua_setglobal(L, "SOAK");
}

static void check_finished(lua_State *L, void *arg)
{
	lua_getglobal(L, "finished");
	*(bool *)arg = lua_toboolean(L, -1);
}

static void every_allocation(void **state)
{
	static char script[32768];
	const char *dir = getenv("NEAP_SOURCE_DIR");
	char path[512];
	size_t size;
	FILE *file;
	struct lua_fiber *f;
	bool finished;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	signal(SIGPIPE, SIG_IGN); /* as the program does */
	snprintf(path, sizeof path, "%s/test/unit/lua/http.lua",
		 dir == NULL ? "." : dir);
	file = fopen(path, "r");
	assert_non_null(file);
	size = fread(script, 1, sizeof script - 1, file);
	script[size] = '\0';
	fclose(file);
	assert_int_equal(lua_vm_protect(&world_vm, give, NULL), 0);
	f = world_fiber(script);
	assert_non_null(f);
	lua_fiber_start(f, 0);
	world_run();
	assert_int_equal(lua_vm_protect(&world_vm, check_finished, &finished),
			 0);
	if (!finished || strstr(world_told, "attempt to") != NULL)
		fputs(world_told, stderr);
	assert_true(finished);
	assert_null(strstr(world_told, "attempt to"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
