-- Execution limits: whatever a script tries, its fiber ends, its neighbour in the
-- same state goes on, and the error says which clock, used and limit.
--
-- test: timeout 120
local tap = require('tap')
local fiber = require('fiber')

local turns = 0
fiber.create(function()
    while true do
        turns = turns + 1
        fiber.sleep(0.001)
    end
end)

local function loop()
    while true do end
end

local function limited(limits, f, ...)
    local done = fiber.new(f, ...)
    done:set_joinable(true)
    fiber.set_limits(done, limits)
    local before = turns
    local ok, err = done:join()
    return ok, err, turns - before
end

local burst = { burst = 0.05 }

local hostile = {
    ['a loop'] = loop,
    ['pcall in a loop'] = function()
        while true do pcall(loop) end
    end,
    ['pcall in each other'] = function()
        local function f() while true do pcall(f) end end
        f()
    end,
    ['xpcall with a handler that loops'] = function()
        while true do xpcall(error, loop) end
    end,
    ['a callback of sort'] = function()
        while true do pcall(table.sort, { 1, 2, 3 }, loop) end
    end,
    ['a callback of gsub'] = function()
        while true do pcall(string.gsub, 'abc', '.', loop) end
    end,
    ['a reader of load'] = function()
        while true do load(loop) end
    end,
    ['__tostring'] = function()
        local o = setmetatable({}, { __tostring = loop })
        while true do pcall(tostring, o) end
    end,
    ['__index'] = function()
        local o = setmetatable({}, { __index = loop })
        while true do pcall(function() return o.x end) end
    end,
    ['coroutines in each other'] = function()
        local function f()
            while true do coroutine.resume(coroutine.create(f)) end
        end
        f()
    end,
    ['coroutine.wrap in sort'] = function()
        while true do
            pcall(table.sort, { 1, 2, 3 }, coroutine.wrap(loop))
        end
    end,
    ['a debug hook'] = function()
        debug.sethook(loop, '', 1)
        loop()
    end,
    ['its own debug.sethook()'] = function()
        while true do debug.sethook() end
    end,
    ['a pattern that backtracks'] = function()
        while true do
            pcall(string.find, ('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))
        end
    end,
    ['an error in an error handler'] = function()
        while true do
            xpcall(error, function() return xpcall(error, loop) end)
        end
    end,
    ['fibers that it starts'] = function()
        while true do pcall(fiber.create, function() return 1 end) end
    end,
}

for name, f in pairs(hostile) do
    local ok, err = limited(burst, f)
    tap.is(ok, false, name .. ': ended')
    tap.is(err.type, 'LimitExceeded', name .. ': by its limit')
    tap.ok(tostring(err):find(
        '^execution limit of fiber \'lua\': 0%.%d+ s of CPU time since its last ' ..
        'wait, the limit is 0%.050 s$'), name .. ': ' .. tostring(err))
end
tap.is(debug.gethook(), nil, 'no hook is left')

-- What it used in all, over many waits.
local ok, err = limited({ total = 0.05 }, function()
    while true do
        for _ = 1, 1e5 do end
        fiber.sleep(0)
    end
end)
tap.is(ok, false, 'in all')
tap.ok(tostring(err):find('CPU time in all, the limit is 0.050 s', 1, true),
    'and says so: ' .. tostring(err))

-- Time that passes while it waits does not count.
ok = limited({ burst = 0.02, total = 0.02 }, function() fiber.sleep(0.1) end)
tap.is(ok, true, 'waiting is free')

-- Neighbours run meanwhile.
local _, _, meanwhile = limited({ burst = 0.3 }, loop)
tap.ok(meanwhile >= 5, 'a neighbour had its turns: ' .. meanwhile)

-- What it starts has the same limits, and a clock of its own.
ok, err = limited({ total = 0.05 }, function()
    local child = fiber.new(loop)
    child:set_joinable(true)
    return child:join()
end)
tap.is(ok, true, 'a child is limited, its parent waits')
tap.is(err, false, 'the child was ended')

-- A cancelled fiber may clean up, and not go on for ever.
local cleaned
local f = fiber.new(function()
    pcall(loop)
    cleaned = true
    loop()
end)
f:set_joinable(true)
fiber.sleep(0.01)
f:cancel()
ok, err = f:join()
tap.is(ok, false, 'cancelled while it computes')
tap.is(err.type, 'FiberIsCancelled', 'by an error of that type')
tap.is(cleaned, true, 'it could clean up')
tap.ok(tostring(err):find('went on computing'), tostring(err))

-- The interface.
tap.same(fiber.limits('service'), { burst = 1, total = 4 }, 'of requests')
tap.same(fiber.limits('main'), { burst = 0, total = 0 }, 'none of the script')
fiber.set_limits('service', { burst = 2, total = 0 })
tap.same(fiber.limits('service'), { burst = 2, total = 0 }, 'changed')
for _, bad in ipairs({
    { 'nobody', {} }, { 'main', { burst = -1 } }, { 'main', { total = 'x' } },
    { 'main', { burst = 0 / 0 } }, { 'main' }, { 1, {} },
}) do
    ok, err = pcall(fiber.set_limits, bad[1], bad[2])
    tap.is(ok, false, 'refused: ' .. tostring(err))
end
tap.done()
os.exit(0)
