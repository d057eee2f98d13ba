-- A library that is replaced again and again while fibers are inside its
-- functions: each call answers the build it was made on, and descriptors,
-- mappings, instances and memory stay level.
--
-- test: timeout 180, soak 1800
local cmod = require('cmod')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

local rounds = tap.soak(10000, 1000)
local builds = {}
for n = 1, 3 do
    kit.build('m.so', ([[
        #include <neap/module.h>
        #include <stdlib.h>
        static const char n = %d;
        static char *memory;
        __attribute__((constructor)) static void up(void)
        { memory = malloc(100000); memory[5] = n; }
        __attribute__((destructor)) static void down(void) { free(memory); }
        int version(neap_call_t *c, const char *a, const char *e)
        { return neap_return_mp(c, &n, &n + 1); }
        int nap(neap_call_t *c, const char *a, const char *e)
        { char before = n; neap_fiber_sleep(0.002); before = before == n ? n : 99;
          neap_return_mp(c, &before, &before + 1);
          return neap_return_mp(c, memory + 5, memory + 6); }
    ]]):format(n))
    builds[n] = kit.read('m.so')
end

local function count_maps()
    local count = 0
    for _ in io.lines('/proc/self/maps') do count = count + 1 end
    return count
end

local stop, calls, wrong = false, 0, 0
local function check(ok, a, b)
    calls = calls + 1
    if ok ~= true or a ~= b then wrong = wrong + 1 end
end

-- Half of them load for themselves, half follow the file.
local function run(number)
    local live = number % 2 == 0 and cmod.live('./m', 'nap')
    while not stop do
        if live then
            check(live())
        else
            local m = cmod.load('./m')
            local f = m:load('nap')
            m:unload()
            check(f())
        end
    end
end

local function cycle(times, leak)
    local most = 0
    for i = 1, times do
        local n = i % 3 + 1
        if i % 2 == 0 then
            kit.replace('m.so', builds[n])
        else
            kit.overwrite('m.so', builds[n])
        end
        local m = cmod.load('./m')
        local ok, v = m:load('version')()
        if not ok or v ~= n then wrong = wrong + 1 end
        if leak and i == 10 then _G.leak = m else m:unload() end
        most = math.max(most, #cmod.list())
        if i % 4 == 0 then fiber.sleep(0) end
        if i % 50 == 0 then collectgarbage() end
    end
    return most
end

local fibers = {}
kit.replace('m.so', builds[1])
for i = 1, 20 do
    fibers[i] = fiber.new(run, i)
    fibers[i]:set_joinable(true)
end
fiber.sleep(0.01)
cycle(100)
collectgarbage()
local fds, maps, memory = kit.open_fds(), count_maps(), tap.resident()
local most = cycle(rounds)
collectgarbage()
collectgarbage()
fiber.sleep(0.01)
tap.diag(('%d replacements, %d calls, at most %d instances'):format(rounds, calls,
    most))
tap.ok(calls > 100, 'calls went on')
tap.is(wrong, 0, 'every answer was of the right build')
tap.ok(kit.open_fds() < fds + 60, 'descriptors are level')
tap.ok(count_maps() < maps + 400, 'mappings are level')
if (os.getenv('NEAP_SANITIZE') or '') == '' then
    tap.ok(tap.resident() < memory + 8, 'memory is level')
else
    tap.skip('memory is level', 'sanitizers keep what is freed')
end
stop = true
for i = 1, 20 do fibers[i]:join() end
tap.is(kit.live_count(), 0, 'no module is left')

-- one that is kept on purpose is seen
cycle(20, true)
tap.is(kit.live_count(), 1, 'a leaked module shows')
_G.leak = nil
tap.is(kit.live_count(), 0, 'and goes')
tap.done()
