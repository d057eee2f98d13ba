-- fiber.group and fiber.deadline: who waits for whom, which error comes out,
-- and that nothing outlives its scope.
--
-- test: variants, timeout 120
local tap = require('tap')
local fiber = require('fiber')

local function alive()
    local n = 0
    for _ in pairs(fiber.info({ bt = false })) do n = n + 1 end
    return n
end

local before = alive()

local function fails(what, type, f, ...)
    local ok, err = pcall(f, ...)
    tap.ok(not ok, what .. ': throws')
    tap.is(not ok and err.type, type, what .. ': the type')
    return err
end

-- deadlines
fails('sleep', 'TimedOut', fiber.deadline, 0.01, fiber.sleep, 1000)
fails('yields', 'TimedOut', fiber.deadline, 0.01, function()
    while true do fiber.yield() end
end)
local ch, cond = fiber.channel(0), fiber.cond()
fails('get', 'TimedOut', fiber.deadline, 0.01, function() ch:get() end)
fails('put', 'TimedOut', fiber.deadline, 0.01, function() ch:put(1) end)
fails('wait', 'TimedOut', fiber.deadline, 0.01, function() cond:wait() end)
fails('join', 'TimedOut', fiber.deadline, 0.01, function()
    local f = fiber.new(fiber.sleep, 1000)
    f:set_joinable(true)
    fiber.new(function() f:cancel() end)
    fiber.sleep(0)
    f:join()
    f = fiber.new(fiber.sleep, 0.1)
    f:set_joinable(true)
    f:join()
end)
fails('in a coroutine', 'TimedOut', fiber.deadline, 0.01,
    coroutine.wrap(function() fiber.sleep(1000) end))
tap.ok(not ch:has_readers() and not ch:has_writers(), 'nobody is left behind')
fails('while it computes', 'TimedOut', fiber.deadline, 0.01, function()
    while true do end
end)
do
    local told = 0
    local ok, err = pcall(fiber.deadline, 0.01, function()
        for _ = 1, 3 do
            local caught, why = pcall(function()
                local to = os.clock() + 0.05
                while os.clock() < to do end
            end)
            told = told + (caught and 0 or why.type == 'TimedOut' and 1 or 100)
        end
        fiber.yield()
    end)
    tap.is(told, 1, 'told once while it computes')
    tap.ok(not ok and err.type == 'TimedOut', 'and by the next wait')
end
do
    local told = 0
    local function compute()
        local caught = pcall(function()
            local to = os.clock() + 0.03
            while os.clock() < to do end
        end)
        told = told + (caught and 0 or 1)
    end
    pcall(fiber.deadline, 0.01, function()
        fiber.deadline(1000, compute)
        compute()
        pcall(fiber.deadline, 1000, function() compute() end)
        compute()
    end)
    tap.ok(told <= 1, 'nor again inside or behind a later one')
end
fails('zero', 'TimedOut', fiber.deadline, 0, fiber.sleep, 1000)
fails('negative', 'TimedOut', fiber.deadline, -1, fiber.sleep, 1000)
tap.same({ fiber.deadline(1000, function(...) fiber.sleep(0) return ... end,
    1, nil, 3) }, { 1, nil, 3 }, 'arguments and results')
tap.is(fiber.deadline(1000, function() return ch:get(0.01) end), nil,
    'a timeout of its own that comes first is no error')
tap.is(fiber.deadline(1e300, function() fiber.sleep(0.001) return 1 end), 1,
    'for ever')
fiber.sleep(0.03)
tap.ok(true, 'outside it is forgotten')
fiber.deadline(1000, function()
    fails('the inner', 'TimedOut', fiber.deadline, 0.01, fiber.sleep, 1000)
    fiber.sleep(0.03)
    tap.ok(true, 'the outer one holds again')
end)
fails('the outer', 'TimedOut', fiber.deadline, 0.01, function()
    fails('inside', 'TimedOut', fiber.deadline, 1000, fiber.sleep, 1000)
    fails('again', 'TimedOut', fiber.sleep, 1000)
    fiber.sleep(1000)
end)
local ok, err = pcall(fiber.deadline, 1000, error, 'mine', 0)
tap.ok(not ok and err == 'mine', 'errors pass')
fiber.sleep(0.001)
for _, bad in ipairs({ 'x', {}, true, 0 / 0 }) do
    fails('deadline ' .. tostring(bad), 'IllegalParams', fiber.deadline, bad,
        print)
end
fails('deadline of nothing', 'IllegalParams', fiber.deadline, 1)

-- groups: waiting
local done = {}
tap.same({ fiber.group(function(g)
    for i = 1, 3 do
        local f = g:spawn(function(...)
            fiber.sleep(0.01 * i)
            done[#done + 1] = select('#', ...) + i
        end, nil, nil)
        tap.is(f:status(), 'suspended', 'a member starts later')
    end
    tap.is(g:count(), 3, 'three run')
    g:wait()
    tap.is(g:count(), 0, 'none runs')
    g:wait()
    return 1, nil, 3
end) }, { 1, nil, 3 }, 'what the function gives')
tap.same(done, { 3, 4, 5 }, 'all have ended')

-- leaving
local told
fiber.group(function(g)
    g:spawn(function() told = select(2, pcall(fiber.sleep, 1000)) end)
    g:spawn(fiber.sleep, 1000)
    fiber.yield()
end)
tap.is(told.type, 'FiberIsCancelled', 'leaving cancels')
told = nil
ok, err = pcall(fiber.group, function(g)
    g:spawn(function() told = select(2, pcall(ch.get, ch)) end)
    fiber.yield()
    error({ code = 7 })
end)
tap.is(not ok and err.code, 7, 'an error leaves, too')
tap.is(told.type, 'FiberIsCancelled', 'and cancels')
tap.is(ch:has_readers(), false, 'in whatever it waits')

-- errors of members
for _, value in ipairs({ 'boom', { 1 }, 17, false }) do
    local others = 0
    ok, err = pcall(fiber.group, function(g)
        for _ = 1, 2 do
            g:spawn(function()
                pcall(cond.wait, cond)
                others = others + 1
            end)
        end
        g:spawn(function() fiber.sleep(0.005) error(value, 0) end)
        g:wait()
    end)
    tap.ok(not ok and err == value, 'the error: ' .. tostring(value))
    tap.is(others, 2, 'the others have ended')
end
ok, err = pcall(fiber.group, function(g)
    g:spawn(function() error('one', 0) end)
    g:spawn(function() error('two', 0) end)
    g:wait()
end)
tap.is(err, 'one', 'the first of two')
ok, err = pcall(fiber.group, function(g)
    g:spawn(function() error('unasked', 0) end)
    fiber.sleep(0.01)
end)
tap.is(not ok and err, 'unasked', 'without wait() it comes on leaving')
tap.is(fiber.group(function(g)
    g:spawn(function() error('caught', 0) end)
    return (select(2, pcall(g.wait, g)))
end), 'caught', 'and once only')
fiber.group(function(g)
    local f = g:spawn(fiber.sleep, 1000)
    fiber.yield()
    f:cancel()
    g:wait()
    tap.ok(true, 'one that is cancelled is no error')
end)

-- limits end a member that swallows every error; its group hears of it
local f = fiber.new(function()
    fiber.set_limits(fiber.self(), { burst = 0.03 })
    fiber.group(function(g)
        g:spawn(function()
            while true do pcall(function() while true do end end) end
        end)
        g:wait()
    end)
end)
f:set_joinable(true)
ok, err = f:join()
if fiber.preempted() > 0 then
    tap.is(not ok and err.type, 'LimitExceeded', 'a limit')
end

-- nor do members outlive the scope of one that is ended by a limit, in which nothing
-- more of its own can run
local members, left
local function member()
    members = members + 1
    local _, why = pcall(fiber.sleep, 1000)
    pcall(fiber.sleep, 0)
    members = members - 1
    error(why, 0)
end
local function scope(stop)
    pcall(fiber.group, function(group)
        for _ = 1, 3 do group:spawn(member) end
        fiber.yield()
        stop()
    end)
    left = members
end
local function in_coroutines(stop)
    coroutine.wrap(function()
        local co = coroutine.create(scope)
        coroutine.resume(co, stop)
    end)()
end
local function spin()
    while true do pcall(function() while true do end end) end
end
for what, end_it in pairs(fiber.preempted() > 0 and {
    ['a limit'] = function(one)
        fiber.set_limits(one, { burst = 0.02 })
    end,
    ['a limit of memory'] = function(one)
        fiber.set_limits(one, { memory = 4e6 })
    end,
    ['a cancel that it swallows'] = function(one)
        fiber.new(function() fiber.yield() fiber.yield() one:cancel() end)
    end,
} or {}) do
    for where, f in pairs({ ['in it'] = scope, ['in coroutines'] = in_coroutines }) do
        members, left = 0, nil
        local one = fiber.new(f, what ~= 'a limit of memory' and spin or function()
            local t = {}
            while true do pcall(function() t[#t + 1] = { #t } end) end
        end)
        one:set_joinable(true)
        end_it(one)
        tap.ok(not one:join(), ('%s, %s: ends'):format(what, where))
        tap.is(members, 0, ('%s, %s: no member is left'):format(what, where))
        tap.is(left, nil, ('%s, %s: it ends behind the scope'):format(what, where))
    end
end

-- cancel and deadline of the one who waits
told = nil
f = fiber.new(fiber.group, function(g)
    g:spawn(function()
        fiber.group(function(inner)
            inner:spawn(function()
                told = select(2, pcall(fiber.sleep, 1000))
            end)
            inner:wait()
        end)
    end)
    g:wait()
end)
f:set_joinable(true)
fiber.sleep(0.01)
f:cancel()
ok, err = f:join()
tap.is(not ok and err.type, 'FiberIsCancelled', 'the one who waits')
tap.is(told.type, 'FiberIsCancelled', 'members of members, too')
told = nil
fails('a deadline', 'TimedOut', fiber.deadline, 0.02, fiber.group, function(g)
    g:spawn(function() told = select(2, pcall(fiber.sleep, 1000)) end)
    g:wait()
end)
tap.ok(told.type == 'TimedOut' or told.type == 'FiberIsCancelled',
    'reaches members')

-- a group of one's own, and wrong usage
local g = fiber.group()
g:spawn(fiber.sleep, 1000)
g:spawn(function() fiber.yield() g:cancel() told = 'still here' end)
g:wait()
tap.isnt(told, 'still here', 'a member that cancels its group')
fails('spawn in one that ended', 'IllegalParams', g.spawn, g, print)
fails('no group', 'IllegalParams', g.wait, {})
fails('a group of a number', 'IllegalParams', fiber.group, 1)
g = fiber.group()
g:spawn(function() g:wait() end)
fails('a member that waits for its own group', 'IllegalParams', g.wait, g)
tap.is(g:count(), 0, 'it has ended')
fiber.group(function(outer)
    outer:spawn(function()
        local sub = fiber.group()
        sub:spawn(fiber.sleep, 0.001)
        sub:wait()
        told = 'waited'
    end)
    outer:wait()
end)
tap.is(told, 'waited', 'but for another it may')
fails('spawn of nothing', 'IllegalParams', fiber.group,
    function(other) other:spawn() end)

fiber.yield()
tap.is(alive(), before, 'nobody is left')
tap.done()
