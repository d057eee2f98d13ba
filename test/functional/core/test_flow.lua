-- core: waiting, and queues between fibers.
local tap = require('tap')
local fiber = require('fiber')
local core = require('neap.core_tools')

-- --- sleep ---

local function takes(seconds, f, ...)
    local from = fiber.clock()
    f(...)
    return fiber.clock() - from >= seconds
end
tap.ok(takes(0.02, core.sleep, 0.02), 'sleep')
tap.ok(takes(0.02, core.msleep, 20), 'msleep')
local self = fiber.self()
fiber.create(function()
    for _ = 1, 3 do
        fiber.sleep(0.005)
        self:wakeup()
    end
end)
tap.ok(takes(0.05, core.msleep, 50), 'msleep: whoever wakes it')
local order = {}
fiber.create(function()
    core.yield()
    order[#order + 1] = 'other'
end)
core.yield()
core.msleep(0)
order[#order + 1] = 'self'
tap.same(order, { 'other', 'self' }, 'yield')
tap.throws(function() core.sleep(-1) end, "bad argument #1 to 'sleep'", 'sleep: negative')
tap.throws(function() core.sleep() end, 'number expected, got no value', 'sleep: nothing')
tap.throws(function() core.msleep(0 / 0) end, 'number expected', 'msleep: NaN')
-- A metamethod called from C cannot be left.
local blocked = setmetatable({}, { __tostring = function() core.yield() return '' end })
tap.throws(function() return ('%s'):format(blocked) end, 'format', 'yield: inside format()')
tap.throws(function()
    return ('%s'):format(setmetatable({}, { __tostring = function()
        return core.queue():pop_wait()
    end }))
end, 'format', 'pop_wait: inside format()')
tap.ok(pcall(string.gsub, 'x', 'x', function() core.yield() return 'y' end),
    'yield: inside gsub()')
tap.ok(pcall(core.set_nice, 0), 'set_nice: as it is')
tap.throws(function() core.set_nice(10) end, 'no priorities', 'set_nice: another')

-- --- wait ---

tap.is(core.wait(5), false, 'wait: the time is over')
fiber.create(function() core.yield() self:wakeup() end)
tap.is(core.wait(), true, 'wait: wakeup()')
core.wake(self)
core.wake(self)
tap.is(core.wait(), true, 'wait: what came before counts')
tap.is(core.wait(5), false, 'wait: once')
tap.throws(function() core.wait('x') end, "bad argument #1 to 'wait'", 'wait: a text')

-- --- queues ---

local q = core.queue()
tap.is(q:size(), 0, 'queue: empty')
tap.is(q:pop(), nil, 'pop: nothing')
tap.is(q:push('a'), true, 'push')
q:push(false)
q:push({ 1 })
tap.is(q:size(), 3, 'size')
tap.is(q:pop(), 'a', 'pop: the first')
tap.is(q:pop(), false, 'pop: false is a value')
tap.same(q:pop_wait(), { 1 }, 'pop_wait: there is one')
tap.throws(function() q:push() end, "bad argument #1 to 'push' %(nil", 'push: nil')
tap.throws(function() q.push({}, 1) end, 'Queue expected', 'push: another object')
tap.is(q:pop_wait(5), nil, 'pop_wait: the time is over')
tap.throws(function() q:pop_wait(-1) end, 'negative', 'pop_wait: a negative time')

-- In the order in which they came, whoever is quicker.
local got = {}
for i = 1, 5 do
    fiber.create(function()
        local v = q:pop_wait()
        got[#got + 1] = i .. v
    end)
end
for _, v in ipairs({ 'a', 'b', 'c', 'd', 'e' }) do q:push(v) end
tap.is(q:size(), 0, 'given to those who wait')
core.msleep(1)
tap.same(got, { '1a', '2b', '3c', '4d', '5e' }, 'first come, first served')

-- Who is cancelled loses nothing.
local f = fiber.new(function() q:pop_wait() end)
f:set_joinable(true)
core.yield()
f:cancel()
q:push('x')
f:join()
tap.is(q:pop(), 'x', 'a cancel gives back what was got')
f = fiber.new(function() q:pop_wait() end)
f:set_joinable(true)
core.yield()
f:cancel()
local joined, why = f:join()
tap.ok(not joined and why.type == 'FiberIsCancelled', 'a cancel ends the wait')
q:push('y')
tap.is(q:pop(), 'y', 'and it waits no more')

-- Bounds.
local small = core.queue(2)
small:push(1)
small:push(2)
tap.is(small:push(3), false, 'push: it is full')
tap.is(small:push(3, 5), false, 'push: it stays full')
fiber.create(function() small:push(3, true) small:push(4, 1000) end)
core.yield()
tap.is(small:size(), 2, 'those who wait are not in it')
tap.is(small:pop(), 1, 'pop makes room')
tap.is(small:size(), 2, 'which is taken at once')
core.yield()
tap.is(small:pop(), 2, 'in order')
tap.is(small:pop(), 3, 'in order')
core.msleep(1)
tap.is(small:pop_wait(100), 4, 'in order')
for _, bad in ipairs({ 0, -1, 1.5, 16777217, 'x' }) do
    tap.throws(function() core.queue(bad) end, "bad argument #1 to 'queue'",
        'no limit: ' .. tostring(bad))
end

-- Alarms.
local a, b = core.queue(), core.queue()
local seen = {}
local watcher = fiber.new(function()
    while #seen < 3 do
        a:alarm()
        b:alarm()
        core.wait()
        for _, one in ipairs({ a, b }) do
            local v = one:pop()
            while v ~= nil do
                seen[#seen + 1] = v
                v = one:pop()
            end
        end
    end
end)
watcher:set_joinable(true)
core.yield()
b:push('b')
core.msleep(1)
a:push('a')
b:push('c')
watcher:join(1)
tap.same(seen, { 'b', 'a', 'c' }, 'alarm: two queues')
a:push('z')
a:alarm()
tap.is(core.wait(100), true, 'alarm: there is one already')

-- Another state.
tap.throws(function() require('msgpack').encode({ q }) end, 'fibers of one state',
    'a queue does not go to another state')

-- Many.
local n, sum = tap.soak(1000000, 20000), 0
local many = core.queue(100)
local reader = fiber.new(function()
    for _ = 1, n do sum = sum + many:pop_wait() end
end)
reader:set_joinable(true)
for i = 1, n do many:push(i, true) end
reader:join()
tap.is(sum, n * (n + 1) / 2, 'many values through a small queue')

tap.done()
