-- Waits where none can be: inside callbacks of C functions. The error names
-- the function, and the fiber is as healthy as before.
--
-- test: variants, turns
local tap = require('tap')
local ffi = require('ffi')
local fiber = require('fiber')

local channel, cond, other = fiber.channel(0), fiber.cond(), nil
local full = fiber.channel(1)
full:put(1)

local waits = {
    sleep = function() fiber.sleep(1) end,
    yield = function() fiber.yield() end,
    get = function() channel:get() end,
    put = function() full:put('left behind') end,
    ['put to nobody'] = function() channel:put('left behind') end,
    cond = function() cond:wait() end,
    join = function() other:join() end,
}
other = fiber.new(function() fiber.sleep(1000) end)
other:set_joinable(true)
fiber.yield()

-- Each gives the error that its callback has got.
local function catch(place, f)
    local ok, err
    local function inner() ok, err = pcall(f) error('leave', 0) end
    place(inner)
    assert(ok == false, 'nothing was thrown')
    return err
end

local places = {
    loadstring = function(f) loadstring(f) end,
    print = function(f)
        pcall(print, setmetatable({}, { __tostring = f }))
    end,
    sort_lt = function(f)
        local mt = { __lt = f }
        pcall(table.sort, { setmetatable({}, mt), setmetatable({}, mt) })
    end,
}
local names = { sort_lt = 'sort' }

-- What waits is checked to be gone from where it would have waited.
local function healthy(what)
    tap.is(channel:has_readers() or channel:has_writers()
        or full:has_writers(), false, what .. ': nobody waits in a channel')
    tap.is(channel:get(0), nil, what .. ': nothing was put')
    cond:signal()
    local got
    fiber.create(function() got = cond:wait() end)
    cond:signal()
    fiber.yield()
    tap.is(got, true, what .. ': the condition has no ghost')
    fiber.sleep(0.0001)
    tap.is(fiber.status(), 'running', what .. ': the fiber goes on')
end

for place, call in pairs(places) do
    for name, wait in pairs(waits) do
        local err = catch(call, wait)
        local what = place .. ', ' .. name
        tap.like(err, 'cannot wait here', what)
        tap.like(err, "'" .. (names[place] or place) .. "'", what .. ': named')
        tap.is(err.type, 'IllegalParams', what .. ': its type')
        -- The same from a coroutine that the callback resumes.
        err = catch(call, function() return coroutine.wrap(wait)() end)
        tap.like(err, 'cannot wait here', what .. ' in a coroutine')
        tap.like(err, "'" .. (names[place] or place) .. "'",
            what .. ' in a coroutine: named')
        err = catch(call, function()
            return coroutine.wrap(function()
                return coroutine.wrap(wait)()
            end)()
        end)
        tap.like(err, 'cannot wait here', what .. ' in two coroutines')
    end
    healthy(place)
end
tap.is(full:get(0), 1, 'the full channel is as it was')
tap.is(full:get(0), nil, 'with one value')

-- In an error handler.
local seen
local ok = xpcall(function() error('x') end, function()
    seen = { pcall(fiber.sleep, 1) }
    return 'handled'
end)
tap.ok(not ok and seen and not seen[1], 'an error handler cannot wait')
tap.like(seen[2], 'cannot wait here', 'and is told')
healthy('error handler')

-- In a finalizer.
seen = nil
do
    ffi.gc(ffi.new('char[1]'), function()
        seen = { pcall(fiber.sleep, 1) }
        seen[3] = { pcall(coroutine.wrap(function() fiber.yield() end)) }
    end)
end
for _ = 1, 3 do collectgarbage() end
tap.ok(seen and not seen[1], 'a finalizer cannot wait')
tap.like(seen[2], 'cannot wait here', 'and is told')
tap.like(seen[3][2], 'cannot wait here', 'in a coroutine too')
healthy('finalizer')

-- Errors that a finalizer makes and catches do not replace ours.
local bad = 0
local function mine()
    ffi.gc(ffi.new('char[1]'), function()
        pcall(fiber.yield)
        pcall(fiber.find)
    end)
end
local pause = collectgarbage('setpause', 0)
for _ = 1, 2000 do
    mine()
    local fine, err = pcall(fiber.sleep)
    if fine or not tostring(err):find('fiber.sleep', 1, true) then
        bad = bad + 1
    end
end
collectgarbage('setpause', pause)
tap.is(bad, 0, 'finalizers keep their errors to themselves')

-- Not a wait: fine anywhere.
local result = ('abc'):gsub('%w', function(c)
    full:put(c, 0)
    fiber.create(function() fiber.sleep(0.001) end)
    return full:get(0) .. fiber.id() * 0
end)
tap.is(result, 'a0b0c0', 'what need not wait works in a callback')
other:cancel()
other:join()
tap.done()
