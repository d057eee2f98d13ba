-- cmod.live: a function that follows its file.
local cmod = require('cmod')
local fiber = require('fiber')
local json = require('json')
local kit = require('cmod_kit')
local tap = require('tap')

local function source(n, name)
    return ([[
        #include <neap/module.h>
        int %s(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d; return neap_return_mp(c, &n, &n + 1); }
        int nap(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d;
          neap_fiber_sleep(0.03); return neap_return_mp(c, &n, &n + 1); }
    ]]):format(name or 'version', n, n)
end

local build = {}
for n = 1, 4 do
    kit.build('b.so', source(n))
    build[n] = kit.read('b.so')
end
kit.build('b.so', source(9, 'renamed'))
local without = kit.read('b.so')

kit.replace('m.so', build[1])
local live = cmod.live('./m', 'version')
tap.is(select(2, live()), 1, 'the first build')
tap.is(tostring(live), 'live function: ./m.version', 'tostring')
tap.is(json.encode(live), '{"name":"./m.version"}', 'as json')
tap.is(live.name, './m.version', 'name')
tap.is(live.symbol, 'version', 'symbol')
tap.is(live.module, './m', 'module')
tap.is(live.state, 'cached', 'state')

kit.replace('m.so', build[2])
tap.is(live.state, 'cached', 'nobody has looked yet')
tap.is(select(2, live()), 2, 'replaced: from the next call on')
kit.overwrite('m.so', build[3])
tap.is(select(2, live()), 3, 'overwritten: from the next call on')
kit.set_time('m.so', 1000000000)
tap.is(select(2, live()), 3, 'touched')

-- from another directory it is still the same file
kit.mkdir('sub')
kit.chdir('sub')
kit.replace('../m.so', build[4])
tap.is(select(2, live()), 4, 'from another directory')
kit.chdir('..')

-- a link that is turned
kit.replace('one.so', build[1])
kit.replace('two.so', build[2])
kit.symlink('one.so', 'link.so')
local turned = cmod.live('./link', 'version')
tap.is(select(2, turned()), 1, 'a link')
kit.symlink('two.so', 'link.new')
kit.rename('link.new', 'link.so')
tap.is(select(2, turned()), 2, 'that is turned')

-- bad builds: the old one goes on serving
local function bad(name, data)
    if data then kit.overwrite('m.so', data) else os.remove('m.so') end
    local ok, n = live()
    tap.ok(ok == true and n == 4, name .. ': the former build serves')
end
bad('half a build', build[1]:sub(1, #build[1] / 2))
bad('zeros', ('\0'):rep(#build[1]))
bad('headers and zeros', build[1]:sub(1, 4096) .. ('\0'):rep(#build[1] - 4096))
bad('without the function', without)
kit.set_time('m.so', 16000000000)
tap.is(select(2, live()), 4, 'bad and of another century: the same')
bad('gone', nil)
kit.overwrite('m.so', build[1])
tap.is(select(2, live()), 1, 'a good one again')

-- the same bytes but for the code, in the same moment
for i = 1, 5 do
    kit.overwrite('m.so', build[2])
    kit.set_time('m.so', os.time())
    live()
    kit.overwrite('m.so', build[3])
    kit.set_time('m.so', os.time())
end
fiber.sleep(0.1)
tap.is(select(2, live()), 3, 'a change that the time does not show')

-- a writer that is held up has changed the time before the bytes: what was bad
-- for however long may be good without a change of size or time
local function calls_until(seconds, want)
    local stop = fiber.clock() + seconds
    local _, n
    repeat
        _, n = live()
        fiber.sleep(0.02)
    until n == want or fiber.clock() > stop
    return n
end
local moment = os.time()
kit.overwrite('m.so', ('\0'):rep(64) .. build[2]:sub(65))
kit.set_time('m.so', moment)
tap.is(calls_until(2.5), 3, 'the header is missing for long')
kit.overwrite('m.so', build[2])
kit.set_time('m.so', moment)
tap.is(calls_until(60, 2), 2, 'it comes at last, under the same time')

-- a load that takes longer than a file is young
local function sleepy(n, us)
    kit.build('b.so', source(n) .. ([[
        #include <unistd.h>
        __attribute__((constructor)) static void nap_at_load(void)
        { usleep(%d); }
    ]]):format(us))
    return kit.read('b.so')
end
local slow, quick = sleepy(5, 2200000), sleepy(6, 0)
tap.is(#slow, #quick, 'two builds of one size')
kit.overwrite('m.so', slow)
moment = os.time()
kit.set_time('m.so', moment)
tap.is(select(2, live()), 5, 'a slow load')
kit.overwrite('m.so', quick)
kit.set_time('m.so', moment)
tap.is(calls_until(60, 6), 6, 'a change meanwhile that the time does not show')
kit.overwrite('m.so', build[3])
tap.is(select(2, live()), 3, 'and on')

-- a call in progress ends on the old build
local napping = cmod.live('./m', 'nap')
local x = fiber.new(function() return napping() end)
x:set_joinable(true)
fiber.sleep(0.005)
kit.replace('m.so', build[4])
tap.is(select(2, napping()), 4, 'a new call is the new build\'s')
local _, ok, n = x:join()
tap.ok(ok == true and n == 3, 'the one in progress ends on the old one')

-- while a writer rewrites it slowly, no call fails
local stop, calls, failed = false, 0, 0
local writer = fiber.new(function()
    for round = 1, 20 do
        local data = build[round % 4 + 1]
        os.remove('m.so')
        local f = io.open('m.so', 'wb')
        for i = 1, #data, 4096 do
            f:write(data:sub(i, i + 4095))
            f:flush()
            fiber.sleep(0.0005)
        end
        f:close()
        fiber.sleep(0.001)
        local ok, n = live()
        if not ok or n ~= round % 4 + 1 then
            failed = failed + 1
        end
    end
    stop = true
end)
while not stop do
    local ok = live()
    calls = calls + 1
    failed = failed + (ok and 0 or 1)
    fiber.sleep(0)
end
tap.ok(calls > 20, 'calls during twenty slow rebuilds')
tap.is(failed, 0, 'none failed, and each new build answered at once')

tap.is(live:unload(), true, 'unload')
tap.throws(function() live() end, "'./m.version' is unloaded", 'then it is gone')
live, turned, napping, x = nil, nil, nil, nil
tap.is(kit.live_count(), 0, 'no module is left')
tap.done()
