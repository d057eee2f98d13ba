-- The callbacks of sort, gsub and load wait, are made to give way, are cancelled
-- and limited like any other code.
--
-- test: variants, timeout 600
local tap = require('tap')
local fiber = require('fiber')

local turns = 0
local ticker = fiber.create(function()
    while true do
        turns = turns + 1
        fiber.sleep(0.0005)
    end
end)
local function nap()
    local before = turns
    fiber.sleep(0.001)
    assert(turns > before, 'nobody else ran')
end

-- waits

local list = { 5, 3, 9, 1, 7, 3 }
table.sort(list, function(a, b) nap() return a > b end)
tap.is(table.concat(list, ' '), '9 7 5 3 3 1', 'a comparison that waits')

local function shout(s)
    nap()
    return s:upper()
end
local text, count = ('a1 b2 c3'):gsub('%a', shout)
tap.is(text .. count, 'A1 B2 C33', 'a replacement that waits')
text = ('a b'):gsub('%a', setmetatable({}, { __index = function(_, key)
    return shout(key)
end }))
tap.is(text, 'A B', 'a table whose index waits')

local pieces = { 'return', ' 6 *', ' 7' }
local chunk = load(function() nap() return table.remove(pieces, 1) end)
tap.is(chunk and chunk(), 42, 'a reader that waits')

-- each in the other, in a coroutine, with a channel
local channel = fiber.channel(0)
local feeder = fiber.create(function()
    while true do channel:put(1) end
end)
local co = coroutine.wrap(function()
    local words = { 'c', 'b', 'a' }
    table.sort(words, function(a, b)
        channel:get()
        coroutine.yield('between')
        local order = load(function()
            channel:get()
            return nil
        end)
        assert(order)
        return (a:gsub('.', shout)) < (b:gsub('.', shout))
    end)
    return table.concat(words)
end)
local got, between = co(), 0
while got == 'between' do
    between = between + 1
    got = co()
end
feeder:cancel()
tap.is(got, 'abc', 'nested, in a coroutine')
tap.ok(between >= 2, 'which yields in between: ' .. between)

-- errors

local mark = setmetatable({}, { __tostring = function() return 'mark' end })
for name, call in pairs({
    sort = function(f) table.sort({ 1, 2, 3 }, f) end,
    gsub = function(f) ('abc'):gsub('.', f) end,
}) do
    local ok, err = pcall(call, function() nap() error(mark) end)
    tap.ok(not ok and err == mark, name .. ': the error is the one thrown')
end
local fine, err = load(function() nap() error(mark) end)
tap.ok(fine == nil and err == mark, 'load returns it')
tap.ok(not pcall(table.sort, { 3, 1, 2, 5, 4 }, function() nap() return true end),
    'an order that is none, waiting')

-- A reader of nonsense that never ends is not read for ever.
local asked = 0
local none
none, err = load(function() asked = asked + 1 return 'x = = 1 ' end)
tap.like(err, "unexpected symbol near '='", 'nonsense for ever')
tap.ok(asked < 1000, 'is left: ' .. asked)

-- computing gives way

local function spin(seconds)
    local to = os.clock() + seconds
    while os.clock() < to do end
end
spin(0.1)
local slices = fiber.preempted() > 0 -- does this build have them?
-- f as a fiber, while a neighbour has its turns.
local function beside(f)
    local before = turns
    local it = fiber.new(f)
    it:set_joinable(true)
    local ok, why = it:join()
    return turns - before, ok, why
end
for name, f in pairs({
    sort = function()
        table.sort({ 4, 3, 2, 1 }, function(a, b) spin(0.05) return a < b end)
    end,
    gsub = function() ('abcd'):gsub('.', function() spin(0.05) end) end,
    ['gsub by a function in C'] = function()
        local s, to = ('abc '):rep(30000), os.clock() + 0.3
        while os.clock() < to do s:gsub('%a', string.upper) end
    end,
    load = function()
        local n = 0
        load(function() n = n + 1 spin(0.05) return n < 5 and ' ' or nil end)
    end,
}) do
    if slices then
        local had = beside(f)
        tap.ok(had >= 5, ('%s: a neighbour had its turns: %d'):format(name, had))
    end
end
if slices then
    -- Sorting by force of giving way everywhere gives a sorted list.
    local results, threads = 0, {}
    for i = 1, 4 do
        threads[i] = fiber.new(function()
            local t, sum = {}, 0
            for k = 1, 20000 do t[k] = (k * 7919 + i) % 10007 sum = sum + t[k] end
            table.sort(t, function(a, b) return a > b end)
            for k = 1, #t do
                assert(k == 1 or t[k - 1] >= t[k])
                sum = sum - t[k]
            end
            assert(sum == 0)
            results = results + 1
        end)
        threads[i]:set_joinable(true)
    end
    for _, thread in ipairs(threads) do thread:join() end
    tap.is(results, 4, 'four sort beside each other')

    -- over a limit: nothing in between swallows it
    for name, f in pairs({
        sort = function() while true do
            pcall(table.sort, { 1, 2, 3 }, function() while true do end end)
        end end,
        gsub = function() while true do
            pcall(string.gsub, 'abc', '.', function() while true do end end)
        end end,
        ['a pattern bomb'] = function()
            ('a'):rep(40):gsub(('a*'):rep(20) .. 'b', function() end)
        end,
        load = function() while true do
            load(function() while true do end end)
        end end,
        ['load of the same for ever'] = function()
            load(function() return '\n' end)
        end,
    }) do
        local it = fiber.new(f)
        it:set_joinable(true)
        fiber.set_limits(it, { total = 0.2 })
        local ok, why = it:join()
        tap.ok(not ok and why.type == 'LimitExceeded', name .. ': ended by a limit')
    end
end

-- cancel

for name, f in pairs({
    sort = function(wait) table.sort({ 1, 2, 3 }, wait) end,
    gsub = function(wait) ('abc'):gsub('.', wait) end,
}) do
    local it = fiber.new(f, function() fiber.sleep(1000) end)
    it:set_joinable(true)
    fiber.yield()
    it:cancel()
    local ok, why = it:join()
    tap.ok(not ok and why.type == 'FiberIsCancelled', name .. ': cancelled inside')
end
-- Cancelled while it computes, it has lost nothing of the list.
local t = {}
for i = 1, 3000 do t[i] = (i * 7919) % 3001 end
for _ = 1, slices and 30 or 0 do
    local it = fiber.new(table.sort, t, function() spin(1e-5) return math.random(2) == 1 end)
    fiber.sleep(0.002)
    pcall(it.cancel, it)
    fiber.sleep(0.005)
end
local seen, kept = {}, 0
for i = 1, 3000 do
    if not seen[t[i]] then kept = kept + 1 end
    seen[t[i]] = true
end
tap.is(kept, 3000, 'an interrupted sort keeps each element')

ticker:cancel()
tap.done()
