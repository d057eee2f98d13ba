-- Many fibers, and fibers that nothing refers to: nothing is lost, nothing
-- stays.
--
-- test: variants, timeout 180
local tap = require('tap')
local fiber = require('fiber')

local function count()
    local n = 0
    for _ in pairs(fiber.info()) do n = n + 1 end
    return n
end

local alone = count()
local many = tap.soak(1000000, 100000)
if package.loaded.gc_pressure then
    many = 3000
end

-- They wait together, and end together.
local gate, passed = fiber.cond(), 0
for _ = 1, many do
    fiber.create(function()
        gate:wait()
        passed = passed + 1
    end)
end
tap.is(count(), alone + many, many .. ' fibers wait')
collectgarbage()
tap.is(count(), alone + many, 'also after a collection')
gate:broadcast()
while passed < many do fiber.yield() end
tap.is(count(), alone, 'all have ended')

-- They sleep: each wakes once.
passed = 0
for i = 1, many / 10 do
    fiber.create(function()
        fiber.sleep(i % 100 / 1000)
        passed = passed + 1
    end)
end
while passed < many / 10 do fiber.sleep(0.01) end
tap.is(count(), alone, 'sleepers')

-- A fiber that waits is alive though nobody has its object.
local woken = 0
for i = 1, 100 do
    fiber.create(function()
        local mine = { i }
        fiber.channel():get(0.005)
        woken = woken + (mine[1] == i and 1 or 0)
    end)
end
for _ = 1, 20 do
    collectgarbage()
    fiber.sleep(0.001)
end
while woken < 100 do fiber.sleep(0.001) end
tap.is(woken, 100, 'waiting fibers are not collected')

-- What an ended fiber held is let go.
local weak = setmetatable({}, { __mode = 'k' })
for _ = 1, 100 do
    fiber.create(function()
        local t = {}
        weak[t] = true
        fiber.storage.t = t
        fiber.self().storage.u = {}
    end)
    local f = fiber.new(function() return {} end)
    f:set_joinable(true)
    weak[f] = true
    f:join()
end
collectgarbage()
collectgarbage()
tap.is(next(weak), nil, 'ended fibers hold nothing')

-- The heap is level: fibers that end well, that fail, that are cancelled.
local kept
local function round(leak)
    for i = 1, 200 do
        local f = fiber.new(function(a)
            fiber.storage.x = a
            fiber.self():name('n' .. a)
            fiber.yield()
            if a % 3 == 0 then error('expected', 0) end
            if a % 3 == 1 then fiber.sleep(100) end
            return a, ('result'):rep(1000) .. a
        end, i)
        f:set_joinable(true)
        fiber.yield()
        fiber.yield()
        if i % 3 == 1 then
            f:cancel()
            fiber.yield()
        end
        if leak and i == 2 then
            kept = f -- its results are never asked for
        else
            f:join()
        end
    end
end
local function level()
    collectgarbage()
    collectgarbage()
    return collectgarbage('count')
end
for _ = 1, 3 do round() end
local before = level()
for _ = 1, 10 do round() end
local risen = level() - before
tap.ok(risen < 3, ('the heap is level (%.1f KB)'):format(risen))
-- The twin: one fiber whose results nobody takes is seen.
before = level()
round(true)
tap.ok(level() - before > 3, 'one that is kept shows')
tap.is(kept:status(), 'dead', 'though it is dead')

-- A ring of fibers passes a token round.
local ring, size, sum = {}, 1000, 0
for i = 1, size do ring[i] = fiber.channel(i % 3) end
for i = 1, size do
    fiber.create(function()
        while true do
            local token = ring[i]:get()
            if token == nil then break end
            sum = sum + 1
            ring[i % size + 1]:put(token + 1)
        end
    end)
end
ring[1]:put(1)
while sum < size * 20 do fiber.yield() end
for i = 1, size do ring[i]:close() end
while count() > alone do fiber.yield() end
tap.is(count(), alone, 'a ring of a thousand')
tap.done()
