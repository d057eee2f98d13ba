-- C functions that wait: sleep, yield, descriptors; cancel; handles that go
-- while their call waits.
local cmod = require('cmod')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

local fds = kit.open_fds()
local m = cmod.load(kit.dir .. 'calls')
local function fn(name) return m:load(name) end
local nap, yields, stubborn = fn('nap'), fn('yields'), fn('stubborn')

local function spawn(f, ...)
    local x = fiber.new(f, ...)
    x:set_joinable(true)
    return x
end

-- a sleep puts the fiber aside, not the server
local ticks = 0
local ticker = spawn(function()
    while true do
        ticks = ticks + 1
        fiber.sleep(0.001)
    end
end)
local before, had = fiber.clock(), ticks
local ok, back = nap(30, 'x', nil, { a = 1 })
tap.ok(ok == true and back[2] == 'x' and back[3] == nil and back[4].a == 1,
    'arguments outlive a wait')
tap.ok(fiber.clock() - before >= 0.029, 'it lasted')
tap.ok(ticks > had, 'others ran meanwhile')
ticker:cancel()
ticker:join()
ok, back = fn('nap_and_fail')()
tap.ok(ok == nil and back.message == 'after the nap', 'an error after a wait')
tap.is((yields(100)), true, 'a hundred yields')

-- a deadline ends the wait, and so what waits
for name, case in pairs({ nap = { 0.02, 60000 }, yields = { 1e-6, 10000 },
        wait_for_ever = { 0.02 }, stubborn = { 0.02 } }) do
    local f = fn(name)
    local ok, err = fiber.deadline(case[1], function() return f(case[2]) end)
    if name == 'stubborn' then
        tap.is(err, 'stubborn', 'a deadline: each wait is refused')
    else
        tap.ok(ok == nil and err.type == 'TimedOut' and
            err.message == 'the deadline is over', 'a deadline: ' .. name)
    end
end
tap.ok(fiber.deadline(0.02, function() return fn('until_told')() end),
    'a deadline: is told to who asks')

-- many at once
local sleepers, good = {}, 0
for i = 1, 1000 do
    sleepers[i] = spawn(function(i)
        local ok, back = nap(50, i, { i })
        return ok == true and back[2] == i and back[3][1] == i
    end, i)
end
for i = 1, 1000 do
    local ok, fine = sleepers[i]:join()
    good = good + (ok and fine and 1 or 0)
end
tap.is(good, 1000, 'a thousand sleepers')
local stackers = {}
for i = 1, 50 do
    stackers[i] = spawn(function() return fn('use_stack')(i) end)
end
good = 0
for i = 1, 50 do
    local ok, fine, err = stackers[i]:join()
    good = good + (ok and fine and 1 or 0)
end
tap.is(good, 50, 'each has a stack of its own')

-- descriptors
ok, back = fn('wait_pipe')()
tap.ok(ok == true and back == 1, 'a wait for a pipe')
ok, back = fn('wait_bad_fd')()
tap.ok(ok == nil and back.type == 'SystemError' and back.errno == 9,
    'a bad descriptor')

-- cancel
local function cancelled(name, f, ...)
    local x = spawn(f, ...)
    fiber.sleep(0.002)
    x:cancel()
    local ok, a, b = x:join()
    tap.ok(ok, name .. ': nothing is thrown')
    return a, b
end
local a, err = cancelled('sleep', function() return nap(10000) end)
tap.ok(a == nil and err.type == 'FiberIsCancelled', 'sleep: cancelled')
a, err = cancelled('descriptor', function() return fn('wait_for_ever')() end)
tap.ok(a == nil and err.type == 'FiberIsCancelled', 'descriptor: cancelled')
a, err = cancelled('stubborn', function() return stubborn() end)
tap.ok(a == true and err == 'stubborn', 'a function may end as it likes')
local x = spawn(function()
    fiber.self():set_joinable(true)
    pcall(fiber.cancel)
    return nap(10000)
end)
ok, a, err = x:join()
tap.ok(ok and a == nil and err.type == 'FiberIsCancelled',
    'cancelled before: it does not wait at all')

-- one that does not mind being cancelled holds up nobody else
local deaf = spawn(function() return fn('deaf')() end)
fiber.sleep(0.001)
deaf:cancel()
ticks = 0
for _ = 1, 20 do
    fiber.sleep(0.001)
    ticks = ticks + 1
end
tap.is(ticks, 20, 'deaf to a cancel: the others run on')

-- a wakeup ends a sleep
x = spawn(function() return nap(20000) end)
fiber.sleep(0.002)
x:wakeup()
fiber.sleep(0.002)
x:wakeup()
ok, a = x:join()
tap.ok(ok and a == true, 'woken twice, it has slept twice')

-- inside the user's own coroutines, pcall and iterators
local co = coroutine.wrap(function(...)
    local ok, back = nap(2, ...)
    local y = coroutine.yield(back[2])
    ok, back = nap(2, y)
    return back[2]
end)
tap.is(co('in'), 'in', 'a wait in a coroutine')
tap.is(co('again'), 'again', 'and after its yield')
local outer = coroutine.wrap(function()
    local inner = coroutine.wrap(function() return select(2, nap(2, 'deep')) end)
    return inner()
end)
tap.is(outer()[2], 'deep', 'in a coroutine in a coroutine')
ok, a, back = pcall(nap, 2, 'p')
tap.ok(ok and a == true and back[2] == 'p', 'under pcall')
ok, back = pcall(function()
    for i in (function() return select(2, nap(1, 'i')) and nil end) do end
    return 'done'
end)
tap.is(back, 'done', 'in an iterator')

-- where it cannot wait
kit.where_no_wait(function() a, err = nap(2) end)
tap.ok(a == nil and err.type == 'IllegalParams' and
    tostring(err):find('cannot wait here: inside a callback of \'sort\''),
    'in a metamethod of sort')
kit.where_no_wait(function()
    a, err = coroutine.wrap(function() return nap(2) end)()
end)
tap.ok(a == nil and err.type == 'IllegalParams', 'in a coroutine in a callback')
kit.where_no_wait(function()
    a, err = coroutine.wrap(function() return stubborn() end)()
end)
tap.ok(a == true and err == 'stubborn', 'where every wait is refused')
a = nap(2)
tap.is(a, true, 'and afterwards all is well')

-- the handle goes while the call waits; it does until it is woken
local function wake(f)
    while f:status() ~= 'dead' do
        f:wakeup()
        fiber.sleep(0.001)
    end
end
local build = kit.read(kit.dir .. 'calls.so')
kit.replace('u.so', build)
local function list_has(file)
    for _, i in ipairs(cmod.list()) do
        if i.path == file then return i end
    end
end
local um = cmod.load('./u')
local uf = um:load('nap')
x = spawn(function() return uf(1e6, 'late') end)
fiber.sleep(0.002)
um:unload()
uf:unload()
tap.ok(list_has('./u'), 'unloaded by another: held by the call')
tap.throws(function() uf() end, 'is unloaded', 'the handle is unloaded')
wake(x)
ok, a, back = x:join()
tap.ok(ok and a == true and back[2] == 'late', 'the call ends well')
tap.ok(not list_has('./u'), 'and then the library is closed')

x = spawn(function()
    local f = cmod.load('./u'):load('nap')
    local g = function(f, ...) return f(...) end
    return g(f, 1e6, 'collected')
end)
um, uf = nil, nil
fiber.sleep(0.002)
collectgarbage()
collectgarbage()
tap.ok(list_has('./u'), 'collected: held by the call')
wake(x)
ok, a, back = x:join()
tap.ok(ok and a == true and back[2] == 'collected', 'the call ends well')
x = nil
collectgarbage()
collectgarbage()
tap.ok(not list_has('./u'), 'and then the library is closed')

-- replaced while a call waits
um = cmod.load('./u')
uf = um:load('nap')
x = spawn(function() return uf(1e6, 'old') end)
fiber.sleep(0.002)
kit.replace('u.so', build)
local new = cmod.load('./u')
tap.ok(um.state == 'orphan' and new.state == 'cached', 'replaced while it waits')
wake(x)
ok, a, back = x:join()
tap.ok(ok and a == true and back[2] == 'old', 'the call ends well')
um:unload()
uf:unload()
new:unload()
tap.ok(not list_has('./u'), 'nothing of it is left')

-- errors are counted, also those after a wait
local info = list_has(kit.dir .. 'calls')
tap.ok(info.errors >= 5 and info.calls > 1000, 'calls and errors are counted')
tap.is(info.version, '1.2', 'the version of NEAP_MODULE')

sleepers, stackers, x, m, nap, yields, stubborn, fn = nil
tap.is(kit.live_count(), 1, 'only the deaf one holds its module')
tap.is(kit.open_fds(), fds + 1, 'and its descriptor')
tap.done()
os.exit(0) -- the deaf one never ends
