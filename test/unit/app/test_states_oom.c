/*
 * No memory, at every allocation of requests that call functions of both kinds of
 * states, nested, with errors and variables: the error says so, the next request
 * works, and neither a request, a context nor a fiber is left.
 *
 * The application is the real one, with two threads; a module that only it has
 * arms the failures from its script.
 *
 * test: timeout 200, threads
 */
#include "inject_rig.h"
#include "unit.h"

#include <stdlib.h>

#include "app/app.h"
#include "base/diag.h"
#include "config/settings.h"

static const struct lua_module *const modules[] = { &rig, NULL };

/* For both kinds: K is 'S' or 'P', O the other one. */
static const char functions[] =
	"local states, fiber = require('neap.states'), require('fiber')\n"
	"local K = states.id == 0 and 'S' or 'P'\n"
	"local O = K == 'S' and 'P' or 'S'\n"
	"local function action(name, f)\n"
	"    states.register('action', K .. '-' .. name, f)\n"
	"end\n"
	"action('echo', function(_, ...) return ... end)\n"
	"action('fail', function() error('wanted') end)\n"
	"action('sleep', function() fiber.sleep(0) return states.id end)\n"
	"action('priv', function(r, v)\n"
	"    local old = r:get_priv()\n"
	"    r:set_priv({v})\n"
	"    r:set_var(K, ('v'):rep(100) .. v)\n"
	"    return old and old[1]\n"
	"end)\n"
	"action('nest', function(r, n)\n"
	"    if n == 0 then return 'end' end\n"
	"    return K .. r:call('action', O .. '-nest', n - 1)\n"
	"end)\n"
	"action('fibers', function()\n"
	"    local n = 0\n"
	"    for _ in pairs(fiber.info()) do n = n + 1 end\n"
	"    return n\n"
	"end)\n"
	"action('collect', function() collectgarbage() collectgarbage() end)\n";

static const char main_script[] =
	"local states, rig = require('neap.states'), require('rig')\n"
	"local function work(r)\n"
	"    for _, k in ipairs({'S', 'P', 'S'}) do\n"
	"        local t = r:call('action', k .. '-echo', {1, {x = 'y'}})\n"
	"        assert(t[2].x == 'y')\n"
	"        r:call('action', k .. '-priv', 1)\n"
	"        assert(r:call('action', k .. '-priv', 2) == 1)\n"
	"        assert(r:get_var(k) == ('v'):rep(100) .. 2)\n"
	"        r:call('action', k .. '-sleep')\n"
	"        local ok, err = pcall(r.call, r, 'action', k .. '-fail')\n"
	"        assert(not ok)\n"
	"        err = tostring(err)\n"
	"        if not err:find('wanted', 1, true) then error(err, 0) end\n"
	"    end\n"
	"    assert(r:call('action', 'S-nest', 4) == 'SPSPend')\n"
	"end\n"
	"local function fibers()\n"
	"    return states.with_request(function(r)\n"
	"        return r:call('action', 'S-fibers') + r:call('action', 'P-fibers')\n"
	"    end)\n"
	"end\n"
	"local function settled()\n"
	"    for i = 1, 1000 do\n"
	"        local requests, contexts = states.counts()\n"
	"        if requests == 0 and contexts == 0 then return true end\n"
	"        if i > 3 then\n"
	"            collectgarbage()\n"
	"            states.with_request(function(r)\n"
	"                r:call('action', 'S-collect')\n"
	"            end)\n"
	"        end\n"
	"        require('fiber').sleep(0.001)\n"
	"    end\n"
	"end\n"
	"local before\n"
	"local function sweep(what, count, step)\n"
	"    local struck, k, asked = 0, -step\n"
	"    repeat\n"
	"        k = k + step\n"
	"        rig.arm(what, k, count)\n"
	"        local ok, err = pcall(states.with_request, work)\n"
	"        asked = rig.disarm(what)\n"
	"        if not ok then\n"
	"            struck = struck + 1\n"
	"            err = tostring(err)\n"
	"            if not err:find('not enough memory', 1, true) and\n"
	"                not err:find('error in error handling', 1, true) then\n"
	"                error(('%s %d: %s'):format(what, k, err))\n"
	"            end\n"
	"        end\n"
	"        states.with_request(work)\n"
	"        if not settled() then\n"
	"            error(('%s %d: %d requests, %d contexts are left')\n"
	"                :format(what, k, states.counts()))\n"
	"        end\n"
	"        if fibers() ~= before then\n"
	"            error(('%s %d: %d fibers, %d before')\n"
	"                :format(what, k, fibers(), before))\n"
	"        end\n"
	"    until asked <= k\n"
	"    assert(struck > 10, what .. ': ' .. struck)\n"
	"end\n"
	"states.with_request(work)\n"
	"before = fibers()\n"
	"sweep('malloc', 1, 1)\n"
	"sweep('malloc', 4, 1)\n"
	"sweep('lua.alloc', 1, 1)\n"
	"sweep('lua.alloc', 5, 2)\n"
	"os.exit(42)\n";

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void every_allocation_of_requests(void **state)
{
	static const struct app_file files[] = { { "functions.lua" } };
	static const struct app_step step = { APP_STEP_EVAL, main_script };
	struct app_script script = {
		.load = { files, 1 },
		.load_per_thread = { files, 1 },
		.steps = &step,
		.step_count = 1,
	};
	struct settings settings;
	struct app app;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	write_file(files[0].path, functions);
	settings_create(&settings);
	assert_int_equal(app_create(&app, &settings, modules, 0), 0);
	assert_int_equal(app_run(&app, &script), 42);
	assert_int_equal(app.left_behind, 0);
	assert_int_equal(app_destroy(&app), 0);
	settings_destroy(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_of_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
