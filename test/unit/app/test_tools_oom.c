/*
 * No memory, at every allocation of what scripts use of `core` without a request: the
 * error says so, what is shared is as it was or as it was to be, and it works again.
 *
 * The application is the real one; a module that only it has arms the failures from its
 * script.
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

static const char main_script[] =
	"local core, rig = require('neap.core_tools'), require('rig')\n"
	"local events, Reply = require('neap.core_events'), require('neap.reply')\n"
	"local map, fiber = require('neap.map'), require('fiber')\n"
	"local Map, Regex, pairs = core.classes.Map, core.classes.Regex,\n"
	"    core.classes.pairs\n"
	"local n = 0\n"
	"local function walk(ref)\n"
	"    local count = 0\n"
	"    for _ in pairs(ref) do count = count + 1 end\n"
	"    return count\n"
	"end\n"
	"local function table_of(kind, key, text, name)\n"
	"    local m = Map.new(name, kind)\n"
	"    local ref = core.get_patref(name)\n"
	"    assert(ref:set(key, 'v', true))\n"
	"    assert(ref:set(key, 'w'))\n"
	"    assert(m:lookup(text) == 'w')\n"
	"    assert(ref[key] == 'w')\n"
	"    assert(ref:prepare())\n"
	"    assert(ref:add(key, 'x'))\n"
	"    assert(ref:commit())\n"
	"    assert(m:lookup(text) == 'x')\n"
	"    assert(walk(ref) == 1)\n"
	"    assert(ref:del(key))\n"
	"    assert(m:lookup(text) == nil)\n"
	"    assert(ref:purge())\n"
	"end\n"
	"local function work()\n"
	"    n = n + 1\n"
	"    local id = n < 150 and n or 1\n"
	"    table_of(Map._beg, 'ab', 'abc', 'virt@beg' .. id)\n"
	"    table_of(Map._ip, '10.0.0.0/8', '10.1.2.3', 'virt@ip' .. id)\n"
	"    table_of(Map._reg, '^a(b)', 'abc', 'virt@reg' .. id)\n"
	"    table_of(Map._sub, 'b', 'abc', 'virt@sub' .. id)\n"
	"    assert(map.converter('str', 'a.map')('key') == 'value')\n"
	"    core.set_var('proc.x', 'text')\n"
	"    assert(core.get_var('proc.x') == 'text')\n"
	"    core.set_var('proc.x', nil)\n"
	"    local ok, re = Regex.new('(a)(b)?')\n"
	"    assert(ok, re)\n"
	"    assert(select(2, re:match('ab'))[3] == 'b')\n"
	"    local sub = core.event_sub({'WORKER'}, function() end)\n"
	"    local got = 0\n"
	"    local watch = core.get_patref('virt@ip1'):event_sub({'PAT_REF'},\n"
	"        function() got = got + 1 end)\n"
	"    events.publish('WORKER_START', {n = 1})\n"
	"    core.get_patref('virt@ip1'):set('::1', '1', true)\n"
	"    core.get_patref('virt@ip1'):purge()\n"
	"    fiber.yield()\n"
	"    sub:unsub()\n"
	"    watch:unsub()\n"
	"    local q = core.queue(2)\n"
	"    q:push(1)\n"
	"    assert(q:pop_wait() == 1)\n"
	"    local c = core.concat()\n"
	"    c:add('abc')\n"
	"    assert(c:dump() == 'abc')\n"
	"    assert(#core.tokenize('a,b', ',') == 2)\n"
	"    assert(core.match_addr(core.parse_addr('::1'), core.parse_addr('::/0')))\n"
	"    assert(core.get_info().pid)\n"
	"    Reply.new({status = 404}):add_header('a', 'b')\n"
	"end\n"
	"local function sweep(what, count, step)\n"
	"    local struck, k, asked = 0, -step\n"
	"    repeat\n"
	"        k = k + step\n"
	"        collectgarbage()\n"
	"        rig.arm(what, k, count)\n"
	"        local ok, err = pcall(work)\n"
	"        asked = rig.disarm(what)\n"
	"        if not ok then\n"
	"            struck = struck + 1\n"
	"            err = tostring(err)\n"
	"            if not err:find('not enough memory', 1, true) and\n"
	"                not err:find('error in error handling', 1, true) then\n"
	"                error(('%s %d: %s'):format(what, k, err))\n"
	"            end\n"
	"        end\n"
	"        if k % 7 == 0 then work() end\n"
	"    until asked <= k\n"
	"    assert(struck > 10, what .. ': ' .. struck)\n"
	"end\n"
	"local f = io.open('a.map', 'w')\n"
	"f:write('key value\\n')\n"
	"f:close()\n"
	"work()\n"
	"sweep('malloc', 1, 1)\n"
	"sweep('malloc', 3, 1)\n"
	"sweep('lua.alloc', 1, 1)\n"
	"work()\n"
	"os.exit(42)\n";

static void every_allocation_of_tools(void **state)
{
	static const struct app_step step = { APP_STEP_EVAL, main_script };
	struct app_script script = { .steps = &step, .step_count = 1 };
	struct settings settings;
	struct app app;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
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
		cmocka_unit_test(every_allocation_of_tools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
