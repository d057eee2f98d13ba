-- cmod.live with options: off the loop and in helper processes while the file is
-- replaced, and builds that are probed first.
--
-- test: timeout 200
local cmod = require('cmod')
local ffi = require('ffi')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

ffi.cdef('int getpid(void);')
local own_pid = ffi.C.getpid()

-- Every build answers its number; `slow` when there is a file `go`.
local function source(n, more)
    return ([[
        #include <neap/module.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int give(neap_call_t *c, unsigned n)
        { char b[5] = { 0xce, n >> 24, n >> 16, n >> 8, n };
          return neap_return_mp(c, b, b + 5); }
        int version(neap_call_t *c, const char *a, const char *e)
        { return give(c, %d); }
        int pid(neap_call_t *c, const char *a, const char *e)
        { return give(c, getpid()); }
        int tid(neap_call_t *c, const char *a, const char *e)
        { return give(c, gettid()); }
        int slow(neap_call_t *c, const char *a, const char *e)
        { while (access("go", F_OK) != 0) usleep(1000);
          return give(c, %d); }
        int dies(neap_call_t *c, const char *a, const char *e)
        { abort(); }
    ]]):format(n, n) .. (more or '')
end

local function compile(n, more)
    kit.build('b.so', source(n, more), '-D_GNU_SOURCE')
    return kit.read('b.so')
end

local build = { compile(1), compile(2) }

-- until fn() is true; nothing depends on how long that takes
local function await(fn, what)
    local stop = fiber.clock() + 60
    while not fn() do
        if fiber.clock() > stop then
            tap.ok(false, what .. ': never')
            return
        end
        fiber.sleep(0.005)
    end
    tap.ok(true, what)
end

local function start(fn)
    local f = fiber.new(function() return fn() end)
    f:set_joinable(true)
    return f
end

-- What is wrong
kit.replace('m.so', build[1])
local function refused(options, message, path, name)
    local ok, err = pcall(cmod.live, path or './m', name or 'version', options)
    tap.is(ok == false and err.type, 'IllegalParams', message)
    tap.is(tostring(err), message, 'and what it says')
end
refused(1, 'cmod.live: options are a table, not number')
refused({ speed = 1 }, "cmod.live: no option 'speed'")
refused({ offload = 1 },
    "cmod.live: option 'offload': true or false is wanted, not 1")
refused({ timeout = 1 }, "cmod.live: option 'timeout' goes with offload or "
    .. "isolate only: nothing can end a call that runs on the loop's own "
    .. 'thread')
refused({ probe = true, memory = 5 },
    "cmod.live: option 'memory' goes with isolate = 'process' only")
refused({ offload = true, isolate = 'process' },
    "cmod.live: options 'offload' and 'isolate' exclude each other: a helper "
    .. 'process does not hold up the loop either')
refused({ probe = true }, 'cmod.live: the path is empty', '')
refused({ probe = true }, "cmod.live: the function's name is empty", nil, '')
refused(nil, ("cmod.live: the function's name '%s...' has 257 bytes, at most "
    .. '256 are allowed'):format(('x'):rep(32)), nil, ('x'):rep(257))
tap.is(select(2, cmod.live('./m', 'version', {})()), 1, 'no option is given')

-- Off the loop, and in another process: calls in progress end on the old build,
-- new ones are made to the new build at once.
for kind, options in pairs({
    offload = { offload = true },
    isolate = { isolate = 'process', workers = 4 },
}) do
    kit.replace('m.so', build[1])
    os.remove('go')
    local version = cmod.live('./m', 'version', options)
    local slow = cmod.live('./m', 'slow', options)
    tap.is(tostring(version), 'live function: ./m.version', kind)
    tap.is(select(2, version()), 1, kind .. ': the first build')
    local where = select(2, cmod.live('./m', kind == 'offload' and 'tid'
        or 'pid', options)())
    tap.ok(where ~= own_pid, kind .. ': not on the loop\'s thread')

    local old = start(slow)
    fiber.sleep(0.01)
    kit.replace('m.so', build[2])
    tap.is(select(2, version()), 2, kind .. ': replaced')
    local new = start(slow)
    fiber.sleep(0.01)
    tap.is(slow.state, 'cached', kind .. ': the handle is of the new build')
    kit.overwrite('m.so', build[1]:sub(1, 4000))
    tap.is(select(2, version()), 2, kind .. ': half a build')
    kit.replace('go', '')
    local _, ok, n = old:join()
    tap.ok(ok == true and n == 1, kind .. ': a call in progress, the old build')
    _, ok, n = new:join()
    tap.ok(ok == true and n == 2, kind .. ': and one of the new')
    kit.replace('m.so', build[1])
    tap.is(select(2, version()), 1, kind .. ': and back')

    -- rebuilt again and again while calls run
    local stop, failed, calls = false, 0, 0
    local callers = {}
    for i = 1, 4 do
        callers[i] = start(function()
            while not stop do
                local ok, n = version()
                calls = calls + 1
                failed = failed + (ok and (n == 1 or n == 2) and 0 or 1)
            end
        end)
    end
    for round = 1, 10 do
        kit.replace('m.so', build[round % 2 + 1])
        local ok, n = version()
        failed = failed + (ok and n == round % 2 + 1 and 0 or 1)
    end
    stop = true
    for i = 1, 4 do callers[i]:join() end
    tap.ok(calls > 10, kind .. ': calls meanwhile')
    tap.is(failed, 0, kind .. ': none failed, each new build answered at once')

    -- unloaded while a call runs
    os.remove('go')
    local last = start(slow)
    fiber.sleep(0.01)
    slow:unload()
    version:unload()
    kit.replace('go', '')
    _, ok, n = last:join()
    tap.ok(ok == true and n == 1, kind .. ': unloaded under a call')
end

-- Limits and crashes are those of any isolated function.
local dies = cmod.live('./m', 'dies', { isolate = 'process' })
for _ = 1, 2 do
    local ok, err = dies()
    tap.ok(ok == nil and tostring(err):find('died of SIGABRT', 1, true),
        'a crash is nil, err')
end
os.remove('go')
for kind, options in pairs({
    isolate = { isolate = 'process', timeout = 0.05 },
    offload = { offload = true, timeout = 0.05 },
}) do
    local ok, err = cmod.live('./m', 'slow', options)()
    tap.ok(ok == nil and err.type == 'TimedOut', kind .. ': the timeout')
end
kit.replace('go', '')
dies:unload()

-- Builds that kill whoever loads them: with a probe they never come here.
local function killer(n)
    return compile(n, ([[
        __attribute__((constructor)) static void load(void)
        { if (getpid() == %d) _exit(99); abort(); }
    ]]):format(own_pid))
end
local bad = killer(7)
kit.replace('p.so', bad)
local ok, err = pcall(cmod.live, './p', 'version', { probe = true })
tap.ok(not ok and tostring(err):find("cannot load './p': the probe failed: "
    .. "module './p': its helper process died of SIGABRT", 1, true),
    'the first build: live() throws')
kit.replace('p.so', build[1])
ok, err = pcall(cmod.live, './p', 'nothing', { probe = true })
tap.ok(not ok and err.type == 'ClientError', 'no such function')

for kind, options in pairs({
    plain = { probe = true },
    offload = { probe = true, offload = true },
    isolate = { probe = true, isolate = 'process' },
}) do
    kit.replace('p.so', build[1])
    local live = cmod.live('./p', 'version', options)
    tap.is(select(2, live()), 1, kind .. ': the first build was probed')
    kit.replace('p.so', bad)
    local until_then = fiber.clock() + 1.2 -- so that it is tried twice
    local wrong = 0
    repeat
        local ok, n = live()
        wrong = wrong + (ok and n == 1 and 0 or 1)
        fiber.sleep(0.01)
    until fiber.clock() > until_then
    tap.is(wrong, 0, kind .. ': a bad build, and the former one serves')
    kit.replace('p.so', build[2])
    local seen = { [1] = true, [2] = true }
    await(function()
        local ok, n = live()
        wrong = wrong + (ok and seen[n] and 0 or 1)
        return n == 2
    end, kind .. ': a good one, once it was probed')
    tap.is(wrong, 0, kind .. ': no call failed meanwhile')
    live:unload()
end

-- a build without the function, and one that hangs when it is loaded, are not
-- used either; who unloads or collects the handle meanwhile leaves nothing
kit.replace('p.so', build[1])
local live = cmod.live('./p', 'version', { probe = true })
kit.build('b.so', 'int other(void) { return 0; }')
kit.replace('p.so', kit.read('b.so'))
for _ = 1, 30 do
    tap.is(select(2, live()), 1, 'without the function')
    fiber.sleep(0.01)
end
local hangs = compile(8, ([[
    __attribute__((constructor)) static void load(void)
    { if (getpid() == %d) _exit(99); for (;;) pause(); }
]]):format(own_pid))
kit.replace('p.so', hangs)
for _ = 1, 30 do
    tap.is(select(2, live()), 1, 'one that hangs')
    fiber.sleep(0.01)
end
live:unload()
kit.replace('p.so', build[1])
live = cmod.live('./p', 'version', { probe = true })
kit.replace('p.so', hangs)
tap.is(select(2, live()), 1, 'collected while it hangs')
live = nil
collectgarbage()
collectgarbage()

-- cancelled while the first build is probed
kit.replace('q.so', hangs)
local waiter = start(function()
    return cmod.live('./q', 'version', { probe = true })
end)
fiber.sleep(0.05)
waiter:cancel()
ok, err = waiter:join()
tap.ok(not ok and tostring(err):find('cancelled'), 'cancelled under the probe')

await(function()
    return kit.live_count() == 0
end, 'no module is left')
tap.done()
