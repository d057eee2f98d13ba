-- Channels and conditions: values, order, timeouts, closing, crowds.
--
-- test: variants, turns, timeout 120
local tap = require('tap')
local fiber = require('fiber')

-- making one
for _, bad in ipairs({ -1, 0.5, 1e9, 0 / 0, 1 / 0 }) do
    tap.throws(function() fiber.channel(bad) end, 'whole number',
        'channel(' .. bad .. ')')
end
tap.throws(function() fiber.channel({}) end, 'number', 'channel({})')
tap.is(fiber.channel():size(), 0, 'no size is size 0')
tap.is(fiber.channel(3):size(), 3, 'size')
tap.is(tostring(fiber.channel()), 'channel: 0', 'tostring')
local over = fiber.channel()
over:close()
tap.is(tostring(over), 'channel: closed', 'tostring of a closed one')
tap.is(type(fiber.channel()), 'userdata', 'a userdata')

-- values
local ch = fiber.channel(3)
tap.ok(ch:is_empty() and not ch:is_full() and ch:count() == 0, 'empty')
local t = {}
for _, value in ipairs({ 1, 0, 'x', '', t, true, print, coroutine.create(print),
    fiber.self(), ch, 1LL }) do
    tap.is(ch:put(value), true, 'put ' .. type(value))
    tap.is(ch:count(), 1, 'count')
    tap.is(ch:get(), value, 'get ' .. type(value))
end
tap.is(ch:put(false), true, 'put false')
tap.is(ch:get(), false, 'get false')
-- A nil is a value, though its reader cannot tell it from none.
tap.is(ch:put(nil), true, 'put nil')
tap.is(ch:count(), 1, 'it counts')
tap.is(ch:get(), nil, 'get nil')
tap.is(ch:count(), 0, 'and is gone')
do
    local handed = fiber.channel()
    local got = {}
    local reader = fiber.create(function()
        for i = 1, 3 do got[i] = tostring(handed:get()) end
    end)
    reader:set_joinable(true)
    handed:put(1)
    handed:put(nil)
    handed:put(3)
    reader:join()
    tap.is(table.concat(got, ' '), '1 nil 3', 'from hand to hand')
    local writer = fiber.create(function() return handed:put(nil) end)
    writer:set_joinable(true)
    tap.ok(handed:has_writers(), 'who waits with a nil')
    tap.is(handed:get(), nil, 'is rid of it')
    tap.is(select(2, writer:join()), true, 'and goes on')
end

-- order and limits
for i = 1, 3 do ch:put(i) end
tap.ok(ch:is_full() and not ch:is_empty() and ch:count() == 3, 'full')
tap.is(ch:put(4, 0), false, 'no room: timeout 0')
tap.is(ch:put(4, 0.001), false, 'no room: a short timeout')
tap.is(ch:put(4, -1), false, 'no room: a timeout in the past')
for i = 1, 3 do tap.is(ch:get(), i, 'in order') end
tap.is(select('#', ch:get(0)), 1, 'get gives one value: timeout 0')
tap.is(select('#', ch:get(0.001)), 1, 'get gives one value: a short timeout')
tap.is(ch:get(-5), nil, 'nothing there')
for _, bad in ipairs({ 'x', {}, true, 0 / 0 }) do
    tap.throws(function() ch:put(1, bad) end, 'timeout', 'put(1, '
        .. tostring(bad) .. ')')
    tap.throws(function() ch:get(bad) end, 'timeout', 'get('
        .. tostring(bad) .. ')')
end
tap.is(ch:count(), 0, 'a refused put puts nothing')

-- size 0: put and get meet
ch = fiber.channel()
tap.ok(ch:is_empty() and ch:is_full(), 'size 0 is empty and full')
tap.is(ch:put(1, 0), false, 'nobody reads')
local got = {}
fiber.create(function() got[1] = ch:get() end)
tap.is(ch:has_readers(), true, 'a reader waits')
tap.is(ch:put('met'), true, 'put to a reader')
tap.is(ch:has_readers(), false, 'he waits no more')
tap.is(got[1], nil, 'he runs later')
fiber.yield()
tap.is(got[1], 'met', 'and has the value')
fiber.create(function() got[2] = ch:put('waited') end)
tap.is(ch:has_writers(), true, 'a writer waits')
tap.is(ch:get(), 'waited', 'get from a writer')
tap.is(ch:has_writers(), false, 'he waits no more')
fiber.yield()
tap.is(got[2], true, 'and knows')

-- first come, first served, on both sides
ch = fiber.channel(2)
got = {}
for i = 1, 6 do
    fiber.create(function() ch:put(i) got[#got + 1] = i end)
end
tap.is(ch:count(), 2, 'two in, four wait')
for i = 1, 6 do tap.is(ch:get(), i, 'values in the order of puts') end
fiber.yield()
tap.same(got, { 1, 2, 3, 4, 5, 6 }, 'writers in order')
got = {}
for i = 1, 4 do
    fiber.create(function() got[i] = ch:get() end)
end
for i = 1, 4 do ch:put(i * 10) end
fiber.yield()
tap.same(got, { 10, 20, 30, 40 }, 'readers in order')

-- close
ch = fiber.channel(2)
ch:put(1)
ch:put(2)
fiber.create(function() got.writer = ch:put(3) end)
tap.is(select('#', ch:close()), 0, 'close gives nothing')
ch:close()
tap.is(ch:is_closed(), true, 'closed')
fiber.yield()
tap.is(got.writer, false, 'a waiting writer gets false')
tap.is(ch:get(), nil, 'values are dropped')
tap.is(select('#', ch:get()), 1, 'one value')
tap.is(ch:put(1), false, 'put into a closed one')
tap.is(ch:count(), 0, 'nothing inside')
ch = fiber.channel()
fiber.create(function() got.reader = { ch:get() } got.n = select('#', ch:get()) end)
ch:close()
fiber.yield()
tap.is(#got.reader, 0, 'a waiting reader gets nil')
for _, size in ipairs({ 0, 2 }) do
    ch = fiber.channel(size)
    fiber.create(function() got.reader = ch:get() end)
    tap.is(ch:put('handed'), true, 'handed over')
    ch:close()
    fiber.yield()
    tap.is(got.reader, 'handed', 'what was handed over is not lost by a close')
end
ch = fiber.channel(1)
fiber.create(function()
    for _ = 1, 3 do got.last = ch:put('w') end
end)
tap.is(ch:get(), 'w', 'a writer is let in')
ch:close()
fiber.yield()
tap.is(got.last, false, 'and then refused')

-- Dropped values are not held.
local weak = setmetatable({}, { __mode = 'v' })
ch = fiber.channel(3)
for i = 1, 3 do
    local v = {}
    weak[i] = v
    ch:put(v)
end
fiber.create(function() local v = {} weak[4] = v ch:put(v) v = nil end)
ch:get()
fiber.yield()
collectgarbage()
collectgarbage()
tap.is(weak[1], nil, 'a value that was taken is not held')
tap.ok(weak[2] and weak[3] and weak[4], 'those inside are')
ch:close()
collectgarbage()
collectgarbage()
tap.ok(not (weak[2] or weak[3] or weak[4]), 'and dropped by close')
ch = fiber.channel()
fiber.create(function() local v = {} weak[1] = v ch:put(v, 0.001) end)
fiber.sleep(0.01)
collectgarbage()
collectgarbage()
tap.is(weak[1], nil, 'nor held after a timeout')

-- A fiber waits in a channel that only it knows: both live on.
do
    local f = fiber.create(function() return fiber.channel():get(0.02) end)
    f:set_joinable(true)
    collectgarbage()
    collectgarbage()
    tap.is(f:join(), true, 'a channel is not collected under its waiter')
    f = fiber.create(function() return fiber.cond():wait(0.02) end)
    f:set_joinable(true)
    collectgarbage()
    collectgarbage()
    tap.is(select(2, f:join()), false, 'nor a condition')
end

-- crowds: every value arrives once, for several sizes
for _, size in ipairs({ 0, 1, 7 }) do
    ch = fiber.channel(size)
    local seen, done = {}, fiber.channel(100)
    for w = 1, 20 do
        fiber.create(function()
            for i = 1, 100 do
                if not ch:put(w * 1000 + i) then break end
                if i % 7 == 0 then fiber.yield() end
            end
            done:put(true)
        end)
    end
    for r = 1, 15 do
        fiber.create(function()
            local last = {}
            while true do
                local v = ch:get(r % 3 == 0 and 0.5 or nil)
                if v == nil then break end
                local w = math.floor(v / 1000)
                if (last[w] or 0) >= v then seen.disorder = true end
                last[w] = v
                seen[v] = (seen[v] or 0) + 1
                if v % 11 == 0 then fiber.yield() end
            end
            done:put(true)
        end)
    end
    for _ = 1, 20 do done:get() end
    while ch:count() > 0 do fiber.yield() end
    ch:close()
    for _ = 1, 15 do done:get() end
    local n, twice = 0, 0
    for k, count in pairs(seen) do
        if k ~= 'disorder' then
            n = n + 1
            if count ~= 1 then twice = twice + 1 end
        end
    end
    tap.is(n, 2000, 'size ' .. size .. ': every value arrived')
    tap.is(twice, 0, 'size ' .. size .. ': once')
    tap.is(seen.disorder, nil, 'size ' .. size .. ': in order')
end

-- conditions
local cond = fiber.cond()
tap.is(cond:wait(0), false, 'timeout 0')
tap.is(cond:wait(0.001), false, 'a short timeout')
tap.is(select('#', cond:signal()), 0, 'signal to nobody')
tap.is(select('#', cond:broadcast()), 0, 'broadcast to nobody')
tap.is(cond:wait(0), false, 'a signal to nobody is not kept')
got = {}
for i = 1, 5 do
    fiber.create(function()
        local signalled = cond:wait()
        got[#got + 1] = signalled and i
    end)
end
cond:signal()
cond:signal()
fiber.yield()
tap.same(got, { 1, 2 }, 'one each, in order')
cond:broadcast()
fiber.yield()
tap.same(got, { 1, 2, 3, 4, 5 }, 'all the others')
for _, bad in ipairs({ 'x', {}, true, 0 / 0 }) do
    tap.throws(function() cond:wait(bad) end, 'timeout', 'wait('
        .. tostring(bad) .. ')')
end
for _, use in ipairs({ 'wait', 'signal', 'broadcast' }) do
    tap.throws(function() cond[use](ch) end, '', use .. ' of a channel')
    tap.throws(function() cond[use]() end, '', use .. ' of nothing')
end
for _, use in ipairs({ 'put', 'get', 'close', 'count', 'is_full', 'size' }) do
    tap.throws(function() ch[use](cond) end, '', use .. ' of a condition')
    tap.throws(function() ch[use](nil) end, '', use .. ' of nil')
end
tap.done()
