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
    -- Its limits come first, also when this one is put aside before that.
    local go = fiber.channel(1)
    local done = fiber.new(function(...)
        go:get()
        return f(...)
    end, ...)
    done:set_joinable(true)
    fiber.set_limits(done, limits)
    go:put(true)
    return done:join()
end

local burst = { burst = 0.05 }

-- Its variables stay as they were, for closures that share them.
local look
local over = limited(burst, function()
    local a, b, c = 1, 'b', { 3 }
    look = function() a = a + 1 return a, b, c[1] end
    while true do end
end)
tap.is(over, false, 'one with variables ends')
tap.same({ pcall(look) }, { true, 2, 'b', 3 }, 'they are there')

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
    ['a chunk with the name of ours'] = load('while true do end', '=neap/x.lua'),
    ['the same, protected'] = load([[
        while true do pcall(load('while true do end', '=neap/builtins.lua')) end
    ]], '=neap/fiber.lua'),
    ['dumped and loaded'] = load(string.dump(loop)),
    ['loaded again and again'] = function()
        while true do pcall(loadstring('local x = 1 while true do x = x + 1 end')) end
    end,
    ['errors with __tostring'] = function()
        local o = setmetatable({}, { __tostring = loop })
        while true do pcall(print, o) end
    end,
    ['__eq and __lt'] = function()
        local mt = { __eq = loop, __lt = loop, __le = loop, __concat = loop }
        local a, b = setmetatable({}, mt), setmetatable({}, mt)
        while true do
            pcall(function() return a == b end)
            pcall(function() return a < b end)
            pcall(table.sort, { a, b, a, b })
            pcall(function() return a .. b end)
        end
    end,
    ['metatables of all strings and of nil'] = function()
        debug.setmetatable(nil, { __index = loop, __call = loop })
        while true do
            pcall(function() return (nil).x end)
            pcall(function() return (nil)() end)
        end
    end,
    ['table.foreach'] = function()
        while true do pcall(table.foreach, { 1, 2, 3 }, loop) end
    end,
    ['string.buffer'] = function()
        local buffer = require('string.buffer')
        local b = buffer.new()
        while true do pcall(function() b:reset():put('x'):rep(2) end) end
    end,
    ['an iterator'] = function()
        while true do pcall(function() for _ in loop do end end) end
    end,
    ['coroutine.wrap as an iterator'] = function()
        while true do
            pcall(function()
                for _ in coroutine.wrap(function()
                    while true do coroutine.yield(1) end
                end) do end
            end)
        end
    end,
    ['yields in a loop'] = function()
        local co = coroutine.wrap(function()
            while true do pcall(coroutine.yield) end
        end)
        while true do co() end
    end,
    ['not compiled'] = (function()
        local f = function() while true do end end
        jit.off(f)
        return f
    end)(),
    ['a callback of C by way of ffi'] = function()
        local ffi = require('ffi')
        ffi.cdef('typedef int (*test_compare)(const void *, const void *);' ..
            'void qsort(void *, size_t, size_t, test_compare);')
        jit.off(true, true)
        local compare = ffi.cast('test_compare', function()
            while true do pcall(loop) end
        end)
        ffi.C.qsort(ffi.new('int[4]'), 4, 4, compare)
    end,
    ['another environment'] = setfenv(function()
        while true do end
    end, {}),
    ['require of what does not end'] = function()
        while true do
            package.preload.endless = loop
            pcall(require, 'endless')
        end
    end,
    ['waits that do not wait'] = function()
        while true do pcall(fiber.find, 1) end
    end,
    ['tail calls'] = function()
        local function f() return f() end
        f()
    end,
    ['deep recursion'] = function()
        local function f() f() return 1 end
        while true do pcall(f) end
    end,
    ['functions that are collected'] = function()
        while true do
            local u = setmetatable({}, { __mode = 'k' })
            u[{}] = function() return u end
        end
    end,
}

for name, f in pairs(hostile) do
    local ok, err = limited(burst, f)
    tap.is(ok, false, name .. ': ended')
    tap.is(err.type, 'LimitExceeded', name .. ': by its limit')
    -- How far beyond it came is the machine's affair.
    local used = tostring(err):match(
        '^execution limit of fiber \'lua\': (%d+%.%d+) s of CPU time since its ' ..
        'last wait, the limit is 0%.050 s$')
    tap.ok(used and tonumber(used) >= 0.05, name .. ': ' .. tostring(err))
end
debug.setmetatable(nil, nil)
-- The function is remembered, so look at its mask.
tap.is(select(2, debug.gethook()), '', 'no hook is left')
tap.is(('abc'):find('b-c$'), 2, 'patterns match')

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
ok = limited({ burst = 0.1, total = 0.1 }, function() fiber.sleep(0.3) end)
tap.is(ok, true, 'waiting is free')

-- Neighbours run meanwhile: it sees that by itself, without a wait.
ok = limited({ burst = 60 }, function()
    local before = turns
    while turns < before + 5 do end
end)
tap.is(ok, true, 'a neighbour had its turns')

-- What it starts has the same limits, and a clock of its own.
ok, err = limited({ total = 0.3 }, function()
    local child = fiber.new(loop)
    child:set_joinable(true)
    return child:join()
end)
tap.is(ok, true, 'a child is limited, its parent waits')
tap.is(err, false, 'the child was ended')

-- A cancelled fiber may clean up, and not go on for ever.
local computing, cleaned
local f = fiber.new(function()
    pcall(function()
        computing = true
        loop()
    end)
    cleaned = true
    loop()
end)
f:set_joinable(true)
while not computing do fiber.sleep(0.001) end
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
