-- module:load(name, {offload = true}): calls on other threads. What blocks does
-- so behind a gate that the test opens, so nothing here depends on the clock.
--
-- test: timeout 120, variants, threads
local cmod = require('cmod')
local fiber = require('fiber')
local json = require('json')
local kit = require('cmod_kit')
local tap = require('tap')

local fds = kit.open_fds()
local m = cmod.load(kit.dir .. 'offload')
local calls = cmod.load(kit.dir .. 'calls')
local function plain(name) return m:load(name) end
local function away(name, from)
    return (from or m):load(name, { offload = true })
end
local open, close = plain('open_gate'), plain('close_gate')
local inside, told = plain('count_inside'), plain('count_told')

local function spawn(f, ...)
    local x = fiber.new(function(...) return f(...) end, ...)
    x:set_joinable(true)
    return x
end

local function wait_until(f, name)
    for _ = 1, 20000 do
        if f() then return end
        fiber.sleep(0.001)
    end
    error('waited in vain: ' .. name)
end

local function wait_inside(n)
    wait_until(function() return select(2, inside()) == n end,
        n .. ' behind the gate')
end

local function list_has(path)
    for _, i in ipairs(cmod.list()) do
        if i.path == path then return i end
    end
end

-- where it runs
local ok, a, b, err
ok, a = plain('on_main')()
tap.ok(ok == true and a == true, 'a plain call: on the loop\'s thread')
ok, a = away('on_main')()
tap.ok(ok == true and a == false, 'an offloaded one: on another')
ok, a = m:load('on_main', { offload = false })()
tap.ok(ok == true and a == true, 'offload = false')
ok, a = away('use_much_stack')()
tap.ok(ok == true, 'a stack larger than a C stack')

-- the handle
local echo = away('echo', calls)
tap.like(tostring(echo), '^offloaded function: .*calls%.echo$', 'tostring')
tap.is(echo.symbol, 'echo', 'its fields')
tap.is(echo.state, 'cached', 'its state')
tap.is(json.encode({ echo }), json.encode({ { name = echo.name } }), 'as json')
local f = away('echo', calls)
tap.is(f:unload(), true, 'unload')
tap.throws(function() f() end, "function '.*echo' is unloaded", 'then a call')
tap.throws(function() f:unload() end, 'is unloaded', 'and again')

-- results and errors: the same as of a plain call, field by field
local function outcome(...)
    local n = select('#', ...)
    local ok, err = ...
    if ok ~= nil then return json.encode({ n, ... }) end
    local t = err.trace[1]
    return ('%d %s %s %s %s %s'):format(n, err.type, err.code, err.message,
        t and t.file, t and t.line)
end
local cases = {
    { 'nothing' }, { 'echo' }, { 'echo', 1, nil, 'x', nil, n = 4 },
    { 'echo', 1.5, -1, 2 ^ 40, true, { a = { 1, 2 } }, ('y'):rep(5000) },
    { 'first', { 1, { x = 'y' } } }, { 'fail' }, { 'fail_seven' },
    { 'fail_with' }, { 'fail_twice' }, { 'fail_highest' }, { 'recover' },
    { 'three' }, { 'many', 200 }, { 'deep', 100 }, { 'deep', 129 },
    { 'two_in_one' }, { 'halves' }, { 'empty_result' }, { 'large' },
    { 'raw', '\193' }, { 'echo', print }, { 'echo', coroutine.create(print) },
    { 'nap_and_fail' }, { 'nap', 1, 'x' }, { 'wait_pipe' },
    { 'yields', 10 },
}
for _, case in ipairs(cases) do
    local name, n = case[1], case.n or #case - 1
    local function call(f) return outcome(f(unpack(case, 2, n + 1))) end
    tap.is(call(away(name, calls)), call(calls:load(name)), name ..
        ': as a plain call of it')
end
ok, err = away('wait_bad_fd', calls)()
tap.ok(ok == nil and err.type == 'SystemError' and err.errno == 9,
    'a bad descriptor')
kit.build('wait.so', [[
    #include <neap/module.h>
    int f(neap_call_t *c, const char *a, const char *e)
    { return neap_wait_fd(1, 99, 0); }]])
ok, err = cmod.load('./wait'):load('f', { offload = true })()
tap.ok(ok == nil and err.type == 'IllegalParams', 'waiting for no such events')

-- the loop goes on
close()
local ticks, done = 0, false
local ticker = spawn(function()
    while not done do
        ticks = ticks + 1
        fiber.sleep(0)
    end
end)
local gate = away('gate')
local x = spawn(gate, 'held', { 1 })
wait_inside(1)
ticks = 0
wait_until(function() return ticks > 100 end, 'ticks')
tap.ok(select(2, inside()) == 1, 'others run while a function blocks')
tap.is(x:status(), 'suspended', 'and its fiber waits')
open()
ok, a, b = x:join()
tap.ok(ok and a == true and b[1] == 'held' and b[2][1] == 1,
    'it ends with its results')
done = true
ticker:join()

-- many at once
local fibers, good = {}, 0
for i = 1, 1000 do
    fibers[i] = spawn(function(i)
        local ok, back = echo(i, { i })
        return ok == true and back[1] == i and back[2][1] == i
    end, i)
end
for i = 1, 1000 do
    ok, a = fibers[i]:join()
    good = good + (ok and a and 1 or 0)
end
tap.is(good, 1000, 'a thousand at once, each its own results')
close()
for i = 1, 1000 do fibers[i] = spawn(gate, i) end
wait_inside(16)
tap.is(select(2, inside()), 16, 'as many run as there are threads')
open()
good = 0
for i = 1, 1000 do
    ok, a, b = fibers[i]:join()
    good = good + (ok and a == true and b[1] == i and 1 or 0)
end
tap.is(good, 1000, 'the others in their turn')
fibers = nil

-- cancel: the fiber goes on at once, the call ends when it can
local function is_cancel(ok, a, err)
    return ok and a == nil and err.type == 'FiberIsCancelled'
end
close()
x = spawn(gate)
wait_inside(1)
x:cancel()
tap.ok(is_cancel(x:join()), 'cancelled while it runs')
tap.is(select(2, inside()), 1, 'the call goes on')
open()
wait_inside(0)
tap.ok(gate(), 'and leaves its thread')

close()
fibers = {}
for i = 1, 50 do fibers[i] = spawn(gate) end
wait_inside(16)
for i = 17, 50 do fibers[i]:cancel() end
good = 0
for i = 17, 50 do good = good + (is_cancel(fibers[i]:join()) and 1 or 0) end
tap.is(good, 34, 'cancelled before they began')
tap.is(list_has(kit.dir .. 'offload').references > 0, true, 'still there')
open()
for i = 1, 16 do ok = fibers[i]:join() end
tap.is(select(2, inside()), 0, 'they never began')

x = spawn(function()
    pcall(fiber.cancel)
    return gate()
end)
tap.ok(is_cancel(x:join()), 'cancelled before the call')
local n, begun = select(2, told()), plain('count_begun')
for _, name in ipairs({ 'sleep_on', 'yield_on', 'poll_on' }) do
    local before = select(2, begun())
    x = spawn(away(name))
    wait_until(function() return select(2, begun()) > before end, name)
    x:cancel()
    tap.ok(is_cancel(x:join()), name .. ': cancelled')
end
wait_until(function() return select(2, told()) == n + 3 end, 'three told')
tap.ok(true, 'their waits were told')
x = spawn(away('stubborn', calls))
fiber.sleep(0.005)
x:cancel()
tap.ok(is_cancel(x:join()), 'one that ends as it likes: its result is dropped')

-- a timeout of the call
close()
local short = m:load('gate', { offload = true, timeout = 0.01 })
ok, err = short()
tap.ok(ok == nil and err.type == 'TimedOut', 'a timeout')
tap.like(err, "^function 'gate' has not ended within 0.01 s", 'says which')
open()
ok, a = m:load('gate', { offload = true, timeout = 1000 })(5)
tap.ok(ok == true and a[1] == 5, 'one that is met')

-- where there is no fiber to put aside
kit.where_no_wait(function() a, err = echo() end)
tap.ok(a == nil and err.type == 'IllegalParams' and
    tostring(err):find("cannot wait here: inside a callback of 'sort'"),
    'in a metamethod of sort')
kit.where_no_wait(function()
    a, err = coroutine.wrap(function() return echo() end)()
end)
tap.ok(a == nil and err.type == 'IllegalParams', 'in a coroutine in a callback')
kit.where_no_wait(function()
    a, err = echo()
end)
tap.ok(a == nil and err.type == 'IllegalParams', 'in a callback of sort')
tap.is(coroutine.wrap(function() return select(2, echo(7)) end)()[1], 7,
    'in a coroutine')
ok, a, b = pcall(echo, 'p')
tap.ok(ok and a == true and b[1] == 'p', 'under pcall')

-- a __serialize function among the arguments that unloads it
f = away('echo', calls)
local trap = setmetatable({}, { __serialize = function() f:unload() return 1 end })
tap.throws(function() f(trap) end, 'is unloaded', 'unloaded by an argument')

-- handles that go while the call runs
local build = kit.read(kit.dir .. 'offload.so')
local function fresh()
    kit.replace('u.so', build)
    local um = cmod.load('./u')
    um:load('close_gate')()
    return um, um:load('gate', { offload = true }), um:load('open_gate'),
        um:load('count_inside')
end
local function wait_in(count)
    wait_until(function() return select(2, count()) == 1 end, 'inside')
end
local um, uf, uopen, ucount = fresh()
x = spawn(uf, 'late')
wait_in(ucount)
um:unload()
uf:unload()
tap.throws(function() uf() end, 'is unloaded', 'unloaded while it runs')
uopen()
ok, a, b = x:join()
tap.ok(ok and a == true and b[1] == 'late', 'the call ends well')
uopen:unload()
ucount:unload()
kit.live_count() -- the handle of close_gate
tap.ok(not list_has('./u'), 'and then the library is closed')

um, uf, uopen, ucount = fresh()
x = spawn(function(...) return um:load('gate', { offload = true })(...) end,
    'collected')
wait_in(ucount)
um, uf = nil, nil
collectgarbage()
collectgarbage()
uopen()
ok, a, b = x:join()
tap.ok(ok and a == true and b[1] == 'collected', 'collected while it runs')
uopen:unload()
ucount:unload()
x = nil
kit.live_count()
tap.ok(not list_has('./u'), 'and then the library is closed')

-- everything is gone, but for a call that nobody waits for
um, uf, uopen, ucount = fresh()
x = spawn(uf)
wait_in(ucount)
x:cancel()
tap.ok(is_cancel(x:join()), 'cancelled while it runs')
um:unload()
uf:unload()
ucount:unload()
kit.live_count()
tap.ok(list_has('./u'), 'held by the call and its opener')
uopen()
uopen:unload()
wait_until(function() return not list_has('./u') end, 'the end of the library')
tap.ok(true, 'the last call closes the library')

-- replaced while it runs
um, uf, uopen, ucount = fresh()
x = spawn(uf, 'old')
wait_in(ucount)
kit.replace('u.so', build)
local new = cmod.load('./u')
tap.ok(um.state == 'orphan' and new.state == 'cached', 'replaced while it runs')
tap.is(select(2, new:load('count_inside')()), 0, 'the new one is another')
kit.overwrite('u.so', ('x'):rep(#build))
uopen()
ok, a, b = x:join()
tap.ok(ok and a == true and b[1] == 'old', 'the call ends well')
for _, h in ipairs({ um, uf, uopen, ucount, new }) do h:unload() end
kit.live_count()
tap.ok(not list_has('./u'), 'nothing of it is left')

-- counts
local info = list_has(kit.dir .. 'calls')
local function counts()
    local i = list_has(kit.dir .. 'calls')
    return i.calls - info.calls, i.errors - info.errors
end
echo()
away('fail', calls)()
away('nap_and_fail', calls)()
a, b = counts()
tap.ok(a == 3 and b == 2, 'calls and errors are counted')
x = spawn(away('nap', calls), 10000)
fiber.sleep(0.01)
x:cancel()
x:join()
a, b = counts()
tap.ok(a == 4 and b == 3, 'a call that was cancelled is one error')

-- options
local function refused(options, pattern)
    local ok, err = pcall(m.load, m, 'gate', options)
    tap.ok(not ok and err.type == 'IllegalParams', pattern)
    tap.like(err, pattern, 'its message')
end
refused(5, 'module:load: options are a table, not number')
refused({ offlaod = true }, "module:load: no option 'offlaod'")
refused({ true }, "keys are names, and one is a number")
refused({ offload = 1 }, "option 'offload': true or false is wanted, not 1")
refused({ offload = 'yes' }, "option 'offload': true or false is wanted, not 'yes'")
refused({ isolate = true }, "option 'isolate': 'process' is wanted, not true")
refused({ isolate = 'thread' }, "option 'isolate': 'process' is wanted, not 'thread'")
refused({ offload = true, isolate = 'process' },
    "'offload' and 'isolate' exclude each other")
refused({ timeout = 1 }, "'timeout' goes with offload or isolate only")
refused({ offload = true, memory = 1024 },
    "'memory' goes with isolate = 'process' only")
refused({ offload = true, workers = 2 },
    "'workers' goes with isolate = 'process' only")
for _, v in ipairs({ 0, -1, 0 / 0, 1 / 0, '1', {} }) do
    refused({ offload = true, timeout = v },
        "option 'timeout': a number of seconds above 0 is wanted")
end
for _, v in ipairs({ 0, 1.5, 65, 0 / 0 }) do
    refused({ isolate = 'process', workers = v },
        "option 'workers': a whole number from 1 to 64 is wanted")
end
refused({ isolate = 'process', memory = 0.5 }, "option 'memory': a whole number")
tap.ok(pcall(m.load, m, 'gate', {}), 'no options')

fibers, x, f, gate, short, echo, trap = nil
um, uf, uopen, ucount, new = nil
open, close, inside, told, begun, away, plain = nil
m, calls = nil, nil
wait_until(function() return kit.live_count() == 0 end, 'the end of all')
tap.is(kit.live_count(), 0, 'nothing holds a module')
wait_until(function() return kit.open_fds() <= fds + 1 end, 'descriptors')
tap.ok(kit.open_fds() <= fds + 1, 'no descriptor but the loop\'s own')
tap.done()
