-- Cancel and wakeup, at every kind of wait and in every state.
--
-- test: variants, turns
local tap = require('tap')
local fiber = require('fiber')

local function cancelled(err)
    return type(err) == 'userdata' and err.type == 'FiberIsCancelled'
        and tostring(err) == 'fiber is cancelled'
end

-- A cancelled fiber's waits end at once, but not before others had a turn.
local function others_run()
    for _ = 1, 4 do fiber.yield() end
end

-- Each way to wait: its fiber ends by the cancel, once, and leaves no trace.
local full, empty, cond = fiber.channel(1), fiber.channel(0), fiber.cond()
full:put('x')
local target = fiber.new(function() fiber.sleep(1000) end)
target:set_joinable(true)
local waits = {
    sleep = function() fiber.sleep(1000) end,
    endless = function() fiber.sleep(1 / 0) end,
    put = function() full:put('y') end,
    ['put for a while'] = function() full:put('y', 1000) end,
    ['put into size 0'] = function() empty:put('z') end,
    get = function() fiber.channel(0):get() end,
    ['get for a while'] = function() fiber.channel(2):get(1000) end,
    cond = function() cond:wait() end,
    ['cond for a while'] = function() cond:wait(1000) end,
    join = function() target:join() end,
    ['join for a while'] = function() target:join(1000) end,
    yield = function() while true do fiber.yield() end end,
    ['sleep(0)'] = function() while true do fiber.sleep(0) end end,
    ['in a coroutine'] = coroutine.wrap(function() fiber.sleep(1000) end),
    ['in pcall in pcall'] = function()
        local ok, a, b = pcall(pcall, fiber.sleep, 1000)
        tap.ok(ok and not a and cancelled(b), 'pcall gets the cancel')
        fiber.testcancel()
    end,
}
for name, wait in pairs(waits) do
    local caught, again
    local f = fiber.create(function()
        local ok, err = pcall(wait)
        caught = not ok and err
        again = { pcall(fiber.sleep, 0) }
        return 1
    end)
    tap.is(f:status(), 'suspended', name .. ': waits')
    tap.is(select('#', f:cancel()), 0, name .. ': cancel gives nothing')
    tap.is(f:status(), 'suspended', name .. ': not run by the canceller')
    others_run()
    tap.ok(cancelled(caught), name .. ': gets the error')
    tap.ok(not again[1] and cancelled(again[2]), name .. ': stays cancelled')
    tap.is(f:status(), 'dead', name .. ': is dead')
end
tap.is(full:get(0), 'x', 'cancelled writers left the channel')
tap.is(full:get(0), nil, 'all of them')
tap.is(full:has_writers(), false, 'none waits')
tap.is(empty:get(0), nil, 'nor in the channel of size 0')
local served
fiber.create(function() cond:wait() served = true end)
cond:signal()
others_run()
tap.ok(served, 'a signal is not lost on one who was cancelled')
target:cancel()
others_run()

-- Before it has run, while it is ready, and itself.
local ran
local f = fiber.new(function()
    ran = { pcall(fiber.sleep, 0) }
end)
f:cancel()
others_run()
tap.ok(not ran[1] and cancelled(ran[2]), 'a new one is told at its first wait')

local got
f = fiber.create(function() got = { pcall(fiber.yield) } end)
f:cancel()
f:cancel()
others_run()
tap.ok(not got[1] and cancelled(got[2]), 'one that yielded is told there')

f = fiber.create(function()
    got = { pcall(fiber.cancel, fiber.self()) }
    got[3] = { pcall(fiber.testcancel) }
end)
tap.ok(not got[1] and cancelled(got[2]), 'one that cancels itself, at once')
tap.ok(not got[3][1] and cancelled(got[3][2]), 'testcancel throws')
tap.is(f:status(), 'dead', 'and it ends')

f = fiber.create(function() got = { pcall(fiber.kill, fiber.id()) } end)
tap.ok(not got[1] and cancelled(got[2]), 'kill of its own number')
f = fiber.create(function() fiber.sleep(1000) end)
fiber.kill(f:id())
others_run()
tap.is(f:status(), 'dead', 'kill by number')
f = fiber.create(function() fiber.sleep(1000) end)
fiber.cancel(f)
others_run()
tap.is(f:status(), 'dead', 'fiber.cancel(object)')
tap.throws(function() f:cancel() end, 'the fiber is dead', 'cancel of a dead one')
tap.is(fiber.testcancel(), nil, 'testcancel of who is not cancelled')

-- First come, first served: the value or the cancel.
local ch = fiber.channel(0)
f = fiber.create(function() got = { ch:get() } end)
ch:put('value')
f:cancel()
others_run()
tap.same(got, { 'value' }, 'the value came first')
f = fiber.create(function() got = { pcall(ch.get, ch) } end)
f:cancel()
tap.is(ch:put('late', 0), false, 'the cancel came first: nobody reads')
others_run()
tap.ok(cancelled(got[2]), 'and he knows')
f = fiber.create(function() got = { pcall(ch.put, ch, 'mine') } end)
f:cancel()
tap.is(ch:get(0), nil, 'a cancelled writer has no value')
others_run()
f = fiber.create(function() got = { ch:put('mine') } end)
tap.is(ch:get(0), 'mine', 'the reader came first')
f:cancel()
others_run()
tap.same(got, { true }, 'and the writer knows')

-- A fiber that was created inside cancels who made it.
f = fiber.create(function()
    local me = fiber.self()
    fiber.create(function() me:cancel() end)
    got = { pcall(fiber.testcancel) }
end)
tap.ok(cancelled(got[2]), 'cancelled from inside create')

-- A cancelled fiber may clean up without waiting, and join as documented.
local log = {}
f = fiber.create(function()
    local ok, err = pcall(fiber.sleep, 1000)
    log[1] = fiber.id() > 0 and fiber.status()
    log[2] = fiber.self():name()
    fiber.create(function() log[3] = 'made one' fiber.sleep(0) log[4] = 'done' end)
    error(err)
end)
f:cancel()
others_run()
others_run()
tap.same(log, { 'running', 'lua', 'made one', 'done' }, 'cleaning up')

-- wakeup: of a sleep and a condition; nothing else is disturbed.
local t = fiber.clock()
f = fiber.create(function() got = { fiber.sleep(1000) } end)
f:wakeup()
f:wakeup()
others_run()
tap.is(#got, 0, 'wakeup ends a sleep without an error')
f = fiber.create(function() got = { cond:wait() } end)
f:wakeup()
others_run()
tap.same(got, { true }, 'and the wait in a condition')
f = fiber.create(function() got = { ch:get() } end)
f:wakeup()
others_run()
tap.is(f:status(), 'suspended', 'not a channel')
ch:put(1)
others_run()
tap.same(got, { 1 }, 'which goes on as before')
f = fiber.new(function() return 1 end)
f:wakeup()
fiber.self():wakeup()
others_run()
tap.is(f:status(), 'dead', 'wakeup of a new one and of oneself')
f = fiber.create(function() fiber.sleep(1000) end)
fiber.wakeup(f:id())
others_run()
tap.is(f:status(), 'dead', 'wakeup by number')

-- Arguments of sleep.
for _, bad in ipairs({ {}, true, 'x', 0 / 0 }) do
    tap.throws(function() fiber.sleep(bad) end, 'number',
        'sleep refuses ' .. tostring(bad))
end
tap.throws(function() fiber.sleep() end, 'number', 'sleep of nothing')
tap.throws(function() fiber.sleep(0 / 0) end, 'not NaN', 'NaN is named')
fiber.sleep(-1)
fiber.sleep(1e-12)
fiber.sleep(-1 / 0)
tap.ok(true, 'short sleeps end')
tap.done()
