/* package.path and package.cpath: order, rocks, environment. */
#include "unit.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_paths.h"
#include "lua/lua_state.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

static struct {
	struct loop loop;
	struct sched sched;
	struct lua_vm vm;
	char root[256]; /* a folder for this test alone */
} t;

static void on_uncaught(struct lua_fiber *f, const char *text, void *arg)
{
	(void)f;
	(void)arg;
	fail_msg("uncaught: %s", text);
}

static void make(const char *rest)
{
	char command[512];

	snprintf(command, sizeof command, "mkdir -p %s/%s", t.root, rest);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	unsetenv("LUA_PATH");
	unsetenv("LUA_CPATH");
	unsetenv("LUA_PATH_5_1");
	unsetenv("LUA_CPATH_5_1");
	assert_int_equal(loop_create(&t.loop), 0);
	assert_int_equal(sched_create(&t.sched, &t.loop), 0);
	assert_int_equal(lua_vm_create(&t.vm, &t.sched, on_uncaught, NULL), 0);
	snprintf(t.root, sizeof t.root, "%s/paths.XXXXXX",
		 tmp == NULL ? "/tmp" : tmp);
	assert_non_null(mkdtemp(t.root));
	return 0;
}

static int teardown(void **state)
{
	char command[512];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", t.root);
	assert_int_equal(system(command), 0);
	lua_vm_destroy(&t.vm);
	sched_close(&t.sched);
	assert_int_equal(loop_destroy(&t.loop, NULL, NULL), 0);
	return 0;
}

/* package.<field>, with the test's folder written as ROOT. */
static const char *path_of(const char *field)
{
	static char text[8192];
	lua_State *L = t.vm.L;

	lua_getglobal(L, "package");
	lua_getfield(L, -1, field);
	luaL_gsub(L, lua_tostring(L, -1), t.root, "ROOT");
	snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
	lua_settop(L, 0);
	return text;
}

static void set(const char *app, const char *share)
{
	char dir[512];

	snprintf(dir, sizeof dir, "%s%s%s", t.root, *app == '\0' ? "" : "/",
		 app);
	assert_int_equal(lua_paths_set(&t.vm, dir, share), 0);
}

static void assert_begins(const char *text, const char *want)
{
	if (strncmp(text, want, strlen(want)) != 0)
		fail_msg("'%s' does not begin with '%s'", text, want);
}

static void assert_has(const char *text, const char *want)
{
	if (strstr(text, want) == NULL)
		fail_msg("'%s' has no '%s'", text, want);
}

static void test_order(void **state)
{
	(void)state;
	make("app");
	set("app", "/our/share");
	assert_begins(path_of("path"), "ROOT/app/?.lua;ROOT/app/?/init.lua;"
				       "/our/share/?.lua;"
				       "/our/share/?/init.lua;./?.lua;");
	assert_has(path_of("path"), ";/usr/share/lua/5.1/?.lua;"
				    "/usr/share/lua/5.1/?/init.lua");
	assert_begins(path_of("cpath"), "ROOT/app/?.so;./?.so;");
	assert_has(path_of("cpath"), "/lua/5.1/?.so");
	set("app", NULL);
	assert_begins(path_of("path"), "ROOT/app/?.lua;ROOT/app/?/init.lua;"
				       "./?.lua;");
}

#define ROCKS(dir) \
	dir "/rocks/share/lua/5.1/?.lua;" dir "/rocks/share/lua/5.1/?/init.lua;"

static void test_rocks(void **state)
{
	(void)state;
	make("p/a/b/rocks");
	make("p/a/rocks");
	make("p/rocks");
	make("rocks");
	/* No project: its own alone. */
	set("p/a/b", NULL);
	assert_begins(path_of("path"),
		      "ROOT/p/a/b/?.lua;"
		      "ROOT/p/a/b/?/init.lua;" ROCKS("ROOT/p/a/b") "./?.lua;");
	/* Up to the project's root and no further. */
	make("p/.git");
	set("p/a/b", NULL);
	assert_begins(path_of("path"),
		      "ROOT/p/a/b/?.lua;"
		      "ROOT/p/a/b/?/init.lua;" ROCKS("ROOT/p/a/b")
			      ROCKS("ROOT/p/a") ROCKS("ROOT/p") "./?.lua;");
	assert_begins(path_of("cpath"), "ROOT/p/a/b/?.so;"
					"ROOT/p/a/b/rocks/lib/lua/5.1/?.so;"
					"ROOT/p/a/rocks/lib/lua/5.1/?.so;"
					"ROOT/p/rocks/lib/lua/5.1/?.so;./");
	/* The nearest root. */
	make("p/a/x-1.rockspec");
	set("p/a/b", NULL);
	assert_null(strstr(path_of("path"), "ROOT/p/rocks"));
	assert_has(path_of("path"), "ROOT/p/a/rocks");
}

/* A rocks/ of somebody else is passed over. */
static void test_strangers_rocks(void **state)
{
	char dir[512];

	(void)state;
	if (geteuid() != 0)
		skip();
	make("app/rocks");
	snprintf(dir, sizeof dir, "%s/app/rocks", t.root);
	assert_int_equal(chown(dir, 12345, 12345), 0);
	set("app", NULL);
	assert_null(strstr(path_of("path"), "rocks"));
	assert_int_equal(chown(dir, 0, 0), 0);
	set("app", NULL);
	assert_has(path_of("path"), "rocks");
}

static void test_environment(void **state)
{
	(void)state;
	make("app");
	setenv("LUA_PATH", "/mine/?.lua", 1);
	setenv("LUA_CPATH", "/mine/?.so;;", 1);
	set("app", "/share");
	assert_string_equal(path_of("path"),
			    "ROOT/app/?.lua;ROOT/app/?/init.lua;/mine/?.lua");
	assert_begins(path_of("cpath"), "ROOT/app/?.so;/mine/?.so;./?.so;");
	setenv("LUA_PATH_5_1", ";;/last/?.lua", 1);
	set("app", "/share");
	assert_begins(path_of("path"), "ROOT/app/?.lua;ROOT/app/?/init.lua;"
				       "/share/?.lua;");
	assert_has(path_of("path"), "/?/init.lua;/last/?.lua");
	setenv("LUA_PATH_5_1", "/a/?.lua;;/b/?.lua", 1);
	set("app", NULL);
	assert_has(path_of("path"), ";/a/?.lua;./?.lua;");
	assert_has(path_of("path"), "/init.lua;/b/?.lua");
}

/* Folders that no template can name. */
static void test_odd_names(void **state)
{
	char dir[512];

	(void)state;
	snprintf(dir, sizeof dir, "%s/what?", t.root);
	assert_int_equal(lua_paths_set(&t.vm, dir, NULL), 0);
	assert_begins(path_of("path"), "./?.lua;");
	snprintf(dir, sizeof dir, "%s/a;b", t.root);
	assert_int_equal(lua_paths_set(&t.vm, dir, NULL), 0);
	assert_begins(path_of("path"), "./?.lua;");
	assert_int_equal(lua_paths_set(&t.vm, "/", NULL), 0);
	assert_begins(path_of("path"), "//?.lua;");
}

static void test_app_dir(void **state)
{
	char script[512], link[512], cwd[512];
	char *dir;

	(void)state;
	make("real");
	snprintf(script, sizeof script, "%s/real/app.lua", t.root);
	snprintf(link, sizeof link, "%s/link.lua", t.root);
	fclose(fopen(script, "w"));
	assert_int_equal(symlink(script, link), 0);
	dir = lua_paths_app_dir(link);
	script[strlen(script) - strlen("/app.lua")] = '\0';
	assert_string_equal(dir, script);
	mem_free(dir);
	assert_non_null(getcwd(cwd, sizeof cwd));
	dir = lua_paths_app_dir(NULL);
	assert_string_equal(dir, cwd);
	mem_free(dir);
	dir = lua_paths_app_dir("-");
	assert_string_equal(dir, cwd);
	mem_free(dir);
	dir = lua_paths_app_dir("/nosuch/script.lua");
	assert_string_equal(dir, cwd);
	mem_free(dir);
}

static void test_no_memory(void **state)
{
	char dir[512];

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	make("p/a/rocks");
	make("p/.git");
	snprintf(dir, sizeof dir, "%s/p/a", t.root);
	for (int after = 0; after < 40; after++) {
		inject_reset();
		inject_arm("malloc", after, 1);
		if (lua_paths_set(&t.vm, dir, "/share") != 0)
			error_unref(diag_take());
	}
	inject_reset();
	assert_int_equal(lua_paths_set(&t.vm, dir, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),           TEST(test_rocks),
		TEST(test_strangers_rocks), TEST(test_environment),
		TEST(test_odd_names),       TEST(test_app_dir),
		TEST(test_no_memory),
	};
	int fds = unit_open_fds();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	uv_library_shutdown();
	return failed != 0 || unit_open_fds() > fds;
}
