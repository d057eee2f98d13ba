-- Sources written for Tarantool's module.h, compiled as they stand: the example
-- of the specification, and every name that is there.
local cmod = require('cmod')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

local compat = '-I' .. (os.getenv('NEAP_SOURCE_DIR') or '.') ..
    '/src/include/neap/compat '

local sum = [[
#include "module.h"
#include "msgpuck.h"

int
cfunc_sum(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	uint32_t arg_count = mp_decode_array(&args);
	if (arg_count != 2) {
		return box_error_set(__FILE__, __LINE__, ER_PROC_C, "%s",
				     "invalid argument count");
	}
	uint64_t a = mp_decode_uint(&args);
	uint64_t b = mp_decode_uint(&args);

	char res[16];
	char *end = mp_encode_uint(res, a + b);
	box_return_mp(ctx, res, end);
	return 0;
}
]]

-- Debian's libmsgpuck.a cannot be linked into a shared library; the program
-- exports what it has, also to what was compiled without optimisation. With
-- MP_SOURCE a module brings its own.
for _, flags in ipairs({ '-O0', '-O2', '-DMP_SOURCE', '-x c++', '-DOTHER' }) do
    local source = sum
    if flags == '-DOTHER' then
        source = sum:gsub('"module.h"', '<tarantool/module.h>')
    elseif flags == '-x c++' then
        source = sum:gsub('int\ncfunc_sum', 'extern "C" int\ncfunc_sum')
    end
    kit.build('sum.so', source, compat .. flags)
    local f = cmod.load('./sum'):load('cfunc_sum')
    local ok, err = f()
    tap.is(ok, nil, flags .. ': a failure is nil')
    tap.is(tostring(err), 'invalid argument count', flags .. ': and its text')
    tap.is(err.type, 'ClientError', flags .. ': type')
    tap.is(err.code, 102, flags .. ': code')
    local r = { f(1, 2) }
    tap.ok(r[1] == true and r[2] == 3 and #r == 2, flags .. ': true, 3')
    f:unload()
    collectgarbage()
end

-- a copy of its own that is bound to itself: its tables lie in the module
kit.build('own.so', [[
#include "module.h"
#define MP_SOURCE 1
#include "msgpuck.h"
#include <dlfcn.h>

int where(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	char res[1];
	Dl_info ours, table;
	dladdr((void *)where, &ours);
	dladdr((void *)mp_type_hint, &table);
	return box_return_mp(ctx, res, mp_encode_bool(res,
		ours.dli_fbase == table.dli_fbase));
}
]], compat .. '-D_GNU_SOURCE -O1', '-Wl,-Bsymbolic')
tap.is(select(2, cmod.load('./own'):load('where')()), true, 'its own tables')
-- two sources, one of which has the copy, hidden
kit.overwrite('puck.c', '#define MP_SOURCE 1\n#include "msgpuck.h"\n')
kit.build('two.so', (sum:gsub('int\ncfunc_sum',
    '__attribute__((visibility("default"))) int\ncfunc_sum')),
    compat .. '-O0 -fvisibility=hidden', 'puck.c')
local two = cmod.load('./two'):load('cfunc_sum')
tap.is(select(2, two(3, 4)), 7, 'hidden symbols')
two = nil

-- every name that is there
kit.build('all.so', [[
#include "module.h"
#include "msgpuck.h"
#include <unistd.h>

#define FUNCTION(name) int name(box_function_ctx_t *ctx, const char *args, \
	const char *args_end)

static int give(box_function_ctx_t *ctx, int n)
{
	char res[16];
	return box_return_mp(ctx, res, mp_encode_uint(res, n));
}

FUNCTION(errors)
{
	if (box_error_last() != NULL)
		return give(ctx, 1); /* an old one */
	box_error_raise(ER_MEMORY_ISSUE, "%d", 1);
	if (box_error_code(box_error_last()) != ER_MEMORY_ISSUE ||
	    strcmp(box_error_message(box_error_last()), "1") != 0 ||
	    strcmp(box_error_type(box_error_last()), "ClientError") != 0)
		return give(ctx, 2);
	box_error_clear();
	if (box_error_last() != NULL)
		return give(ctx, 3);
	box_error_set("f.c", 7, ER_PROC_C, "kept over a sleep");
	fiber_sleep(0.001);
	return -1;
}

FUNCTION(stale)
{
	return -1;
}

FUNCTION(two)
{
	give(ctx, 1);
	give(ctx, 2);
	return 0;
}

FUNCTION(clocks)
{
	double r = clock_realtime(), m = clock_monotonic();
	uint64_t r64 = clock_realtime64(), m64 = clock_monotonic64();
	if (r64 / 1e9 - r > 5 || m64 / 1e9 - m > 5 || r < 1e9)
		return give(ctx, 1);
	if (clock_process() <= 0 || clock_thread() <= 0 ||
	    clock_process64() == 0 || clock_thread64() == 0)
		return give(ctx, 2);
	if (fiber_time() - r > 5 || fiber_clock() - m > 5 ||
	    fiber_time64() / 1e6 - r > 5 || fiber_clock64() / 1e6 - m > 5)
		return give(ctx, 3);
	return give(ctx, 0);
}

static struct fiber *sleeper;

FUNCTION(sleep_long)
{
	sleeper = fiber_self();
	fiber_sleep(1000);
	sleeper = NULL;
	return give(ctx, fiber_is_cancelled());
}

FUNCTION(yield_long)
{
	sleeper = fiber_self();
	fiber_yield();
	sleeper = NULL;
	return give(ctx, fiber_is_cancelled());
}

FUNCTION(wake)
{
	fiber_reschedule();
	if (sleeper == NULL || sleeper == fiber_self())
		return -1;
	fiber_wakeup(sleeper);
	return 0;
}

FUNCTION(cancel)
{
	fiber_cancel(sleeper);
	return 0;
}

FUNCTION(deaf)
{
	int n;
	fiber_cancel(fiber_self());
	for (n = 0; n < 3; n++)
		fiber_sleep(0.002); /* waits all the same */
	fiber_reschedule();
	return give(ctx, n + coio_wait(1, COIO_READ, 0.001) * 0);
}

FUNCTION(wait)
{
	int fds[2], rc;
	if (pipe(fds) != 0)
		return -1;
	if (coio_wait(fds[0], COIO_READ, 0.002) != 0)
		return give(ctx, 9);
	if (coio_wait(fds[1], COIO_WRITE, 1) != COIO_WRITE)
		return give(ctx, 8);
	rc = write(fds[1], "x", 1);
	rc = coio_wait(fds[0], COIO_READ, 1);
	close(fds[0]);
	close(fds[1]);
	return give(ctx, rc);
}

FUNCTION(log)
{
	errno = ENOENT;
	say_syserror("say_syserror %d", 1);
	say_error("say_error");
	say_crit("say_crit");
	say_warn("say_warn %s", "x");
	say_info("say_info");
	say_verbose("say_verbose");
	say_debug("say_debug");
	say(S_INFO, NULL, "say");
	return give(ctx, say_log_level_is_enabled(S_DEBUG));
}
]], compat .. '-O1 -Wall -Werror')
local m = cmod.load('./all')
local function fn(name) return m:load(name) end

local ok, err = fn('errors')()
tap.ok(ok == nil and err.message == 'kept over a sleep', 'box_error_*')
ok, err = fn('stale')()
tap.ok(ok == nil and err.message == 'unknown error' and err.code == 102,
    'no stale error')
tap.is(select('#', fn('two')()), 3, 'two results')
tap.is(select(2, fn('clocks')()), 0, 'clocks')
tap.is(select(2, fn('wait')()), 1, 'coio_wait')
tap.is(select(2, fn('log')()), 0, 'say_*')

for _, name in ipairs({ 'sleep_long', 'yield_long' }) do
    for _, how in ipairs({ 'wake', 'cancel' }) do
        local f = fn(name)
        local x = fiber.new(function() return f() end)
        x:set_joinable(true)
        fiber.sleep(0)
        tap.is((fn(how)()), true, name .. ' ' .. how)
        local _, ok, v = x:join()
        tap.ok(ok == true and v == (how == 'cancel' and 1 or 0) or
            type(v) == 'userdata', name .. ' ends by ' .. how)
    end
end

local f = fn('deaf')
local x = fiber.new(function() return f() end)
x:set_joinable(true)
local before = fiber.clock()
local _, ok, v = x:join()
tap.ok(ok == true and v == 3, 'waits after a cancel')
tap.ok(fiber.clock() - before >= 0.006, 'last as long as before it')

-- what needs a database does not compile
for _, text in ipairs({ 'box_insert(512, 0, 0, 0)', 'box_tuple_new(0, 0, 0)',
        'box_txn_begin()', 'luaT_state()', 'box_latch_new()',
        'cord_slab_cache()', 'fiber_get_ctx(0)', 'luaL_pushcdata(0, 0)',
        'box_return_tuple(0, 0)', 'box_session_push(0, 0)' }) do
    local ok = pcall(kit.build, 'no.so', '#include "module.h"\nint f(void) { ' ..
        'return (int)(long)' .. text .. '; }', compat ..
        '-Werror=implicit-function-declaration', '2> /dev/null')
    tap.ok(not ok, text .. ' does not compile')
end

m, fn, f, x = nil, nil, nil, nil
tap.is(kit.live_count(), 0, 'no module is left')
tap.done()
