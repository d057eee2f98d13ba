-- Channels and broadcasts of the module shared, inside one worker.
--
-- test: variants
local tap = require('tap')
local fiber = require('fiber')
local raw = require('raw')
local shared = require('shared')

local ch = assert(shared.channel('c', 3))
tap.like(tostring(ch), 'shared channel: c', 'tostring')
tap.ok(ch:is_empty() and not ch:is_full() and ch:count() == 0
    and ch:size() == 3 and not ch:is_closed(), 'new')
local none, err = shared.channel('c', 4)
tap.ok(none == nil, 'another capacity is refused')
tap.like(err, 'capacity = 3, not 4', 'and both are named')
none, err = shared.channel('c', 3, { bytes = 5000 })
tap.like(err, 'bytes = .*5000', 'so are other bytes')
for _, bad in ipairs({ -1, 0.5, 2 ^ 21, 0 / 0, 'x', {} }) do
    tap.throws(function() shared.channel('bad', bad) end, 'capacity', 'bad')
end
tap.throws(function() shared.channel('bad') end, 'capacity', 'none')
tap.throws(function() shared.channel('bad', 1, { x = 1 }) end, "'x'", 'option')

for _, v in ipairs({ 1, 'x', '', true, false, 2 ^ 60 }) do
    tap.is(ch:put(v), true, 'put')
    tap.is(ch:get(), v, 'get')
end
local t = { a = { 1, 2 } }
ch:put(t)
t.a[1] = 'changed'
tap.is(ch:get().a[1], 1, 'a copy')
local ok
ok, err = ch:put(print)
tap.ok(ok == nil and err.type == 'IllegalParams', 'a function is refused')
tap.like(err, "channel 'c'.*function", 'by its type')
tap.throws(function() ch:put(nil) end, 'nil', 'so is nil')
tap.throws(function() ch:put(1, 'x') end, 'timeout', 'a bad timeout')
tap.is(ch:count(), 0, 'nothing was put')

for i = 1, 3 do ch:put(i) end
tap.ok(ch:is_full() and ch:bytes() > 0, 'full')
tap.is(ch:put(4, 0), false, 'no room')
tap.is(ch:put(4, 0.001), false, 'no room for a while')
local order = {}
for i = 4, 6 do
    fiber.create(function() table.insert(order, ch:put(i) and i) end)
end
tap.is(ch:has_writers(), true, 'writers wait')
tap.is(ch:put(7, 0), false, 'nobody overtakes them')
for i = 1, 6 do tap.is(ch:get(), i, 'in order') end
fiber.sleep(0)
tap.is(table.concat(order, ' '), '4 5 6', 'writers in order')
tap.is(ch:get(0), nil, 'empty')
tap.is(ch:get(0.001), nil, 'empty for a while')

-- readers in order, cancelled ones left out
order = {}
local readers = {}
for i = 1, 4 do
    readers[i] = fiber.create(function()
        table.insert(order, i .. '=' .. tostring(ch:get()))
    end)
end
readers[2]:cancel()
fiber.sleep(0)
for i = 1, 3 do ch:put(i) end
fiber.sleep(0)
tap.is(table.concat(order, ' '), '1=1 3=2 4=3', 'readers in order')

-- one that is cancelled when its value is on the way takes it or gives it back
local got
local f = fiber.create(function() got = ch:get() end)
ch:put('once')
f:cancel()
fiber.sleep(0)
tap.is(got or ch:get(0), 'once', 'not lost')

-- waits: in coroutines, in callbacks, outside
tap.is(coroutine.wrap(function()
    fiber.create(function() fiber.sleep(0) ch:put('co') end)
    return ch:get()
end)(), 'co', 'in a coroutine')
local waits = { __lt = function() ch:get() end }
local function sort()
    table.sort({ setmetatable({}, waits), setmetatable({}, waits) })
end
tap.throws(sort, 'cannot wait', 'in a metamethod of sort')
tap.throws(coroutine.wrap(sort), 'cannot wait', 'in a coroutine in one')
ch:put(1)
tap.is(ch:get(0), 1, 'nobody waits there any more')

-- capacity 0
local zero = shared.channel('zero', 0)
tap.is(zero:put(1, 0), false, 'nobody reads')
fiber.create(function() got = zero:get() end)
tap.is(zero:put('met', 0), true, 'a reader')
fiber.sleep(0)
tap.is(got, 'met', 'got it')
fiber.create(function() zero:put('w') end)
tap.is(zero:get(0), 'w', 'from a writer')

-- bytes
local b = shared.channel('bytes', 100, { bytes = 4096 })
ok, err = b:put(('x'):rep(5000))
tap.ok(ok == nil and err.type ~= nil, 'larger than all')
tap.is(b:put(('x'):rep(3000)), true, 'large')
tap.is(b:put(('x'):rep(3000), 0), false, 'no room for another')
tap.is(b:put('small', 0), true, 'but for a small one')
b:get()
b:get()
b:put(('x'):rep(3000))
local large = fiber.create(function() b:put(('y'):rep(3000)) end)
local small = fiber.new(function() return b:put('z') end)
small:set_joinable(true)
fiber.sleep(0)
large:cancel()
tap.is(select(2, small:join(5)), true, 'who was behind a large one goes on')

-- close
fiber.create(function() fiber.sleep(0) ch:close() end)
tap.is(ch:get(), nil, 'closed under a reader')
tap.ok(ch:is_closed() and ch:put(1) == false and ch:get() == nil, 'closed')
ch:close()
local again = shared.channel('c', 9)
tap.ok(again:size() == 9 and not again:is_closed(), 'the name is free')
again:put(1)
local writer = fiber.new(function() return zero:put(1) end)
writer:set_joinable(true)
fiber.sleep(0)
zero:close()
tap.is(select(2, writer:join()), false, 'closed under a writer')

-- broadcasts
local bc = assert(shared.broadcast('b', { history = 3, bytes = 10000 }))
none, err = shared.broadcast('b', { history = 4 })
tap.like(err, 'history = 3, not 4', 'another history is refused')
tap.throws(function() shared.broadcast('b', { history = 0 }) end, 'history',
    'no history')
local s = bc:subscribe()
tap.is(s:get(0), nil, 'nothing yet')
tap.is(bc:publish({ 'one' }), 1, 'number')
local v, n = s:get()
tap.ok(v[1] == 'one' and n == 1, 'value and number')
for i = 2, 6 do bc:publish(i) end
v, err = s:get()
tap.ok(v == nil and err.type == 'MessagesMissed', 'missed')
tap.ok(err.missed.from == 2 and err.missed.to == 3, 'which')
tap.is(err:unpack().missed.to, 3, 'also unpacked')
tap.is(s:next(), 4, 'next')
for i = 4, 6 do
    v, n = s:get()
    tap.ok(v == i and n == i, 'the rest')
end
tap.is(select('#', s:get(0.001)), 1, 'nothing more')
tap.is(bc:subscribe(5):get(), 5, 'from a number')
v, err = bc:subscribe(1):get()
tap.is(err.missed.from, 1, 'from an old number')
tap.ok(bc:subscribe(7), 'from the next')
none, err = bc:subscribe(8)
tap.ok(none == nil, 'from the future: ' .. tostring(err))
for _, bad in ipairs({ 0, -1, 1.5, 'x', 0 / 0 }) do
    tap.throws(function() bc:subscribe(bad) end, 'number', 'bad number')
end
ok, err = bc:publish(print)
tap.like(err, "broadcast 'b'.*function", 'refused by type')
ok, err = bc:publish(('x'):rep(20000))
tap.is(ok, nil, 'too large')
tap.is(bc:stat().next, 7, 'these have no number')
bc:publish(('x'):rep(9000))
bc:publish(('x'):rep(9000))
tap.is(bc:stat().count, 1, 'bytes are bounded')
local counts = {}
for i = 1, 3 do
    local sub = bc:subscribe()
    fiber.create(function()
        for _ = 1, 2 do counts[i] = (counts[i] or 0) + sub:get() end
    end)
end
fiber.sleep(0)
bc:publish(10)
bc:publish(1)
raw.until_true(function()
    return #counts == 3 and counts[1] + counts[2] + counts[3] == 33
end)
tap.is(table.concat(counts, ' '), '11 11 11', 'all get all')
-- two fibers in one subscription
local one, sums = bc:subscribe(), {}
for i = 1, 2 do
    fiber.create(function() table.insert(sums, (one:get(60))) end)
end
bc:publish(1)
raw.until_true(function() return #sums == 1 end)
bc:publish(2)
raw.until_true(function() return #sums == 2 end)
table.sort(sums)
tap.is(table.concat(sums, ' '), '1 2', 'each gets one')
local waiter = fiber.new(function() return pcall(one.get, one) end)
waiter:set_joinable(true)
fiber.sleep(0)
waiter:cancel()
local _, done, why = waiter:join()
tap.ok(done == false and why.type == 'FiberIsCancelled', 'cancelled')

-- a fiber that waits at the end of the script is ended as any other
fiber.create(function() again:get() again:get() end)
fiber.create(function() one:get() end)
tap.done()
os.exit(0)
