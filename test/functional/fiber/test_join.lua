-- set_joinable and join: results, errors of every type, timeouts, wrong usage.
--
-- test: variants, turns
local tap = require('tap')
local fiber = require('fiber')

local function joinable(f, ...)
    local made = fiber.new(f, ...)
    made:set_joinable(true)
    return made
end

local function pack(...)
    return { n = select('#', ...), ... }
end

-- results
tap.same(pack(joinable(function() end):join()), { n = 1, true }, 'no results')
tap.same(pack(joinable(function(...) return ... end, 1, nil, 'x', nil):join()),
    { n = 5, true, 1, nil, 'x', nil }, 'results with nils')
tap.same(pack(joinable(function() fiber.sleep(0.001) return 7 end):join()),
    { n = 2, true, 7 }, 'after a wait')
local many = {}
for i = 1, 5000 do many[i] = i end
local r = pack(joinable(function() return unpack(many) end):join())
tap.is(r.n, 5001, 'five thousand results')
tap.is(r[5001], 5000, 'all of them')
local f = fiber.create(function() fiber.sleep(0.001) return 'late' end)
f:set_joinable(true)
tap.same(pack(fiber.join(f)), { n = 2, true, 'late' }, 'create, then joinable')

-- ended before the join
f = joinable(function() return 'kept' end)
fiber.yield()
tap.is(f:status(), 'dead', 'it has ended')
collectgarbage()
collectgarbage()
tap.same(pack(f:join()), { n = 2, true, 'kept' }, 'its results were kept')

-- errors
local object = setmetatable({}, { __tostring = function() error('no') end })
for name, value in pairs({ table = { 1 }, number = 5, boolean = false,
    ['function'] = print, string = 'text', ['with __tostring'] = object,
    thread = coroutine.create(print) }) do
    local ok, err = joinable(function() error(value, 0) end):join()
    tap.is(ok, false, name .. ': failed')
    tap.is(err, value, name .. ': the value itself')
end
tap.same(pack(joinable(function() error() end):join()), { n = 2, false, nil },
    'error(nil)')
local ok, err = joinable(function() fiber.sleep('x') end):join()
tap.is(err.type, 'IllegalParams', 'an error object')
ok, err = joinable(function() local x = nil; x.y = 1 end):join()
tap.like(err, 'test_join.lua:%d+: attempt to index', 'an error of the VM')
ok, err = joinable(function() local function f() return 1 + f() end f() end):join()
tap.like(err, 'stack overflow', 'stack overflow')
ok, err = joinable(function()
    fiber.sleep(0.001)
    local co = coroutine.wrap(function() fiber.yield() error('deep', 0) end)
    co()
end):join()
tap.is(err, 'deep', 'from a coroutine, after a wait')

-- closures go on with the variables of a failed one
local look
f = joinable(function()
    local a, b, c, none = 1, 'b', { 3 }, nil
    look = function() a = a + 1 return a, b, c[1] end
    fiber.yield()
    c[1] = none.x
end)
tap.is(f:join(), false, 'one with variables fails')
tap.same(pack(pcall(look)), { n = 4, true, 2, 'b', 3 }, 'they are there')
fiber.create(function(...) fiber.yield(...) end, 4, 5, 6, 7)
tap.same(pack(pcall(look)), { n = 4, true, 3, 'b', 3 }, 'beside others')
collectgarbage()
collectgarbage()
tap.same(pack(pcall(look)), { n = 4, true, 4, 'b', 3 }, 'when it is collected')

-- wrong usage
f = fiber.create(function() fiber.sleep(1000) end)
tap.throws(function() f:join() end, 'not joinable', 'not joinable')
f:set_joinable(true)
f:set_joinable(false)
tap.throws(function() f:join() end, 'not joinable', 'not any more')
f:cancel()
for _ = 1, 4 do fiber.yield() end
tap.throws(function() f:join() end, 'the fiber is dead', 'dead, not joinable')
f = joinable(function() return 1 end)
tap.ok(f:join(), 'joined')
tap.throws(function() f:join() end, 'joined already', 'twice')
ok, err = joinable(function() fiber.self():join() end):join()
tap.like(err, 'cannot join itself', 'itself')
tap.throws(function() f:set_joinable(true) end, 'dead', 'joinable when dead')
f = joinable(function() end)
for _, bad in ipairs({ 'yes', 1, {} }) do
    tap.throws(function() f:set_joinable(bad) end, 'boolean', 'set_joinable('
        .. tostring(bad) .. ')')
end
tap.throws(function() f:set_joinable() end, 'boolean', 'set_joinable()')
for _, bad in ipairs({ 'x', {}, true, 0 / 0 }) do
    tap.throws(function() f:join(bad) end, 'timeout', 'join('
        .. tostring(bad) .. ')')
end
f:join()

-- timeouts
local gate = fiber.cond()
f = joinable(function() gate:wait() return 'at last' end)
for _, timeout in ipairs({ 0, -1, 0.001 }) do
    ok, err = f:join(timeout)
    tap.is(ok, false, 'timeout ' .. timeout)
    tap.is(err.type, 'TimedOut', 'its error')
end
gate:signal()
tap.same(pack(f:join(10)), { n = 2, true, 'at last' }, 'and again')
f = joinable(function() return 'there' end)
fiber.yield()
tap.same(pack(f:join(0)), { n = 2, true, 'there' }, 'timeout 0 of a dead one')

-- several joiners: one gets the results
f = joinable(function() gate:wait() return 'one' end)
local got = {}
for i = 1, 3 do
    fiber.create(function() got[i] = pack(pcall(f.join, f)) end)
end
fiber.yield()
gate:signal()
for _ = 1, 4 do fiber.yield() end
tap.same(got[1], { n = 3, true, true, 'one' }, 'the first joiner')
for i = 2, 3 do
    tap.ok(not got[i][1] and tostring(got[i][2]):find('joined already'),
        'joiner ' .. i)
end

-- joinable no more, while somebody joins: he is told, the error is not lost
f = joinable(function() gate:wait() return 'gone' end)
fiber.create(function() got = pack(pcall(f.join, f)) end)
f:set_joinable(false)
fiber.yield()
gate:signal()
for _ = 1, 4 do fiber.yield() end
tap.ok(not got[1] and tostring(got[2]):find('not joinable'),
    'set_joinable(false) under a joiner')

-- a joined fiber that is cancelled; a joiner that is cancelled
f = joinable(function() fiber.sleep(1000) end)
fiber.yield()
f:cancel()
ok, err = f:join()
tap.ok(not ok and err.type == 'FiberIsCancelled', 'the joined one is cancelled')
f = joinable(function() fiber.sleep(0.005) return 'unharmed' end)
local j = fiber.create(function() got = pack(pcall(f.join, f)) end)
j:cancel()
for _ = 1, 4 do fiber.yield() end
tap.ok(not got[1] and got[2].type == 'FiberIsCancelled', 'the joiner is')
tap.same(pack(f:join()), { n = 2, true, 'unharmed' }, 'the other goes on')

-- chains and crowds
local chain = joinable(function() fiber.yield() return 0 end)
for _ = 1, 200 do
    local last = chain
    chain = joinable(function()
        local _, n = last:join()
        return n + 1
    end)
end
tap.same(pack(chain:join()), { n = 2, true, 200 }, 'a chain of joins')

-- Two that join each other wait, until one of them is cancelled.
local a, b
a = joinable(function() return b:join() end)
b = joinable(function() return a:join() end)
fiber.yield()
fiber.yield()
tap.is(a:status() .. b:status(), 'suspendedsuspended', 'a deadlock waits')
a:cancel()
ok = b:join()
tap.is(ok, true, 'and ends with a cancel')

-- The results go with the object.
local weak = setmetatable({}, { __mode = 'v' })
f = joinable(function()
    local t = {}
    weak[1] = t
    return t
end)
fiber.yield()
collectgarbage()
tap.isnt(weak[1], nil, 'kept while the object lives')
f:join()
collectgarbage()
collectgarbage()
tap.is(weak[1], nil, 'gone after the join')
f = joinable(function() local t = {} weak[1] = t return t end)
fiber.yield()
f = nil
collectgarbage()
collectgarbage()
tap.is(weak[1], nil, 'gone with the object')
tap.done()
