-- Waits inside the user's own coroutines, metamethods, iterators and protected
-- calls: nobody in between sees anything of them.
--
-- test: variants, turns
local tap = require('tap')
local fiber = require('fiber')

-- Another fiber runs while we wait: it counts.
local turns = 0
local ticker = fiber.create(function()
    while true do
        turns = turns + 1
        fiber.yield()
    end
end)
local function nap(...)
    local before = turns
    fiber.sleep(0.0005)
    assert(turns > before, 'nobody else ran')
    return ...
end

local function pack(...)
    return { n = select('#', ...), ... }
end

-- yields and waits of one coroutine in any order
local co = coroutine.create(function(...)
    local got = pack(nap(...))
    got = pack(coroutine.yield(nap(unpack(got, 1, got.n))))
    nap()
    got = pack(nap(coroutine.yield(unpack(got, 1, got.n))))
    return nap(unpack(got, 1, got.n))
end)
tap.same(pack(coroutine.resume(co, 1, nil, 3, nil)),
    { n = 5, true, 1, nil, 3, nil }, 'the first yield')
tap.is(coroutine.status(co), 'suspended', 'suspended')
tap.same(pack(coroutine.resume(co)), { n = 1, true }, 'an empty one')
tap.same(pack(coroutine.resume(co, 'end', nil)), { n = 3, true, 'end', nil },
    'the results')
tap.is(coroutine.status(co), 'dead', 'dead')
tap.same(pack(coroutine.resume(co)),
    { n = 2, false, 'cannot resume dead coroutine' }, 'a dead one')

-- at several depths
for _, depth in ipairs({ 1, 2, 5, 50 }) do
    local function dig(n)
        if n == 0 then
            return nap('bottom')
        elseif n % 2 == 0 then
            return coroutine.wrap(dig)(n - 1)
        end
        return select(2, coroutine.resume(coroutine.create(dig), n - 1))
    end
    tap.is(dig(depth), 'bottom', 'depth ' .. depth)
end

-- iterators
local list = {}
for i, v in coroutine.wrap(function()
    for i = 1, 5 do
        nap()
        coroutine.yield(i, i * i)
    end
    nap()
end) do
    nap()
    list[i] = v
end
tap.same(list, { 1, 4, 9, 16, 25 }, 'a wrapped iterator')
list = {}
for v in function(_, last)
    nap()
    if last == nil or last < 4 then return (last or 0) + 1 end
end do
    list[#list + 1] = v
end
tap.same(list, { 1, 2, 3, 4 }, 'an iterator function that waits')

-- metamethods
local mt = {
    __index = function(_, k) return nap('index ' .. k) end,
    __newindex = function(t, k, v) rawset(t, k, nap(v)) end,
    __call = function(_, ...) return nap(...) end,
    __add = function() return nap('add') end,
    __unm = function() return nap('unm') end,
    __concat = function() return nap('concat') end,
    __eq = function() return nap(true) end,
    __lt = function() return nap(true) end,
    __le = function() return nap(false) end,
    __tostring = function() return nap('string') end,
}
local a, b = setmetatable({}, mt), setmetatable({}, mt)
tap.is(a.key, 'index key', '__index')
a.x = 5
tap.is(rawget(a, 'x'), 5, '__newindex')
tap.same(pack(a(1, nil)), { n = 2, 1, nil }, '__call')
tap.is(a + 1, 'add', '__add')
tap.is(-a, 'unm', '__unm')
tap.is(a .. 'x', 'concat', '__concat')
tap.is('x' .. ('y' .. a), 'xconcat', '__concat of three')
tap.is(a == b, true, '__eq')
tap.is(a < b, true, '__lt')
tap.is(a <= b, false, '__le')
tap.is(a > b, true, '__lt turned round')
if a < b then list = 'yes' end
tap.is(list, 'yes', '__lt in a condition')
tap.is(tostring(a), 'string', '__tostring by tostring()')

-- protected calls
tap.same(pack(pcall(nap, 1, 2)), { n = 3, true, 1, 2 }, 'pcall')
tap.same(pack(pcall(pcall, pcall, nap, 1)), { n = 4, true, true, true, 1 },
    'pcall of pcall')
tap.same(pack(xpcall(nap, debug.traceback, 1, 2)), { n = 3, true, 1, 2 },
    'xpcall')
local ok, err = pcall(function() nap() error({ 'e' }) end)
tap.ok(not ok and err[1] == 'e', 'an error after the wait')
ok, err = xpcall(function() nap() error('e', 0) end,
    function(e) return 'handled ' .. e end)
tap.is(err, 'handled e', 'and its handler')
ok, err = pcall(function() local _ = setmetatable({}, { __index = function()
    nap()
    error('in __index', 0)
end }).x end)
tap.is(err, 'in __index', 'an error in a metamethod after the wait')
ok, err = coroutine.resume(coroutine.create(function() nap() error('co', 0) end))
tap.is(err, 'co', 'an error in a coroutine after the wait')
tap.throws(function()
    coroutine.wrap(function() nap() error('wrapped', 0) end)()
end, '^wrapped$', 'in a wrapped one')
ok, err = pcall(coroutine.wrap(function() nap() error() end))
tap.ok(not ok and err == nil, 'error(nil) through wrap')

-- select, unpack and other users of varargs around a wait
tap.same({ select(2, nap(1, 2, 3)) }, { 2, 3 }, 'select')
tap.is(#{ nap(1, 2, 3), nap(4, 5) }, 3, 'a table of calls')
tap.is(table.concat({ nap('a', 'b') }), 'ab', 'table.concat')
tap.is((function(...) return select('#', ...) end)(nap(nil, nil)), 2, 'nils')
tap.is(load('local nap = ... return nap(7)')(nap), 7, 'a loaded chunk')
tap.is(table.foreach({ 1 }, function(_, v) return nap(v) end), 1,
    'table.foreach')

-- A coroutine that waits in a fiber belongs to it: others cannot resume it.
co = coroutine.create(function() fiber.sleep(0.01) return 'mine' end)
local f = fiber.create(function() return coroutine.resume(co) end)
f:set_joinable(true)
ok, err = coroutine.resume(co, 'theirs')
tap.ok(not ok and err:find('waits in a fiber'), 'resume from another fiber')
tap.same(pack(f:join()), { n = 3, true, true, 'mine' }, 'it goes on')
local wrapped = coroutine.wrap(function() fiber.sleep(0.01) return 'mine' end)
f = fiber.create(function() return wrapped() end)
f:set_joinable(true)
tap.throws(wrapped, 'waits in a fiber', 'wrap from another fiber')
tap.same(pack(f:join()), { n = 2, true, 'mine' }, 'it goes on')

-- So does the coroutine of a fiber itself.
local own
f = fiber.create(function()
    own = coroutine.running()
    fiber.sleep(0.005)
    return 'slept'
end)
f:set_joinable(true)
ok, err = coroutine.resume(own, 'gotcha')
tap.is(ok, false, "a fiber's own coroutine is not resumed by others")
tap.same(pack(f:join()), { n = 2, true, 'slept' }, 'its sleep is as it was')
tap.is((coroutine.resume(own)), false, 'nor after its end')
tap.is(type(coroutine.running()), 'thread', 'running() in a fiber')
tap.is(coroutine.wrap(function() return coroutine.running() end)()
    == coroutine.running(), false, 'running() in a coroutine')

-- A coroutine begun in one fiber goes on in another.
co = coroutine.create(function()
    local here = fiber.id()
    coroutine.yield(here)
    nap()
    return fiber.id()
end)
local _, first = coroutine.resume(co)
tap.is(first, fiber.id(), 'begun here')
f = fiber.create(function() return coroutine.resume(co) end)
f:set_joinable(true)
tap.same({ f:join() }, { true, true, f:id() }, 'ended there')

-- coroutine.yield() of a fiber without a coroutine of the user's around it
f = fiber.create(function()
    local n = select('#', coroutine.yield('to nobody'))
    coroutine.yield()
    nap()
    return n
end)
f:set_joinable(true)
tap.same({ f:join() }, { true, 0 }, 'a yield to nobody lets others run')

-- Fibers started inside coroutines, and the reverse, deeply.
local deep = {}
local function nest(n)
    deep[#deep + 1] = n
    if n < 100 then
        coroutine.wrap(function() fiber.create(nest, n + 1) end)()
    end
    nap()
end
nest(1)
while #deep < 100 do fiber.yield() end
tap.is(#deep, 100, 'create in coroutines in create')

-- What stock Lua says of wrong use stays so.
tap.throws(function() coroutine.resume() end, 'coroutine expected', 'resume()')
tap.throws(function() coroutine.resume(1) end, 'coroutine expected', 'resume(1)')
tap.throws(function() coroutine.wrap() end, 'function expected', 'wrap()')
tap.throws(function() coroutine.wrap(1) end, 'function expected', 'wrap(1)')
co = coroutine.create(function() return coroutine.resume(coroutine.running()) end)
tap.same(pack(coroutine.resume(co)),
    { n = 3, true, false, 'cannot resume running coroutine' }, 'itself')
local outer
outer = coroutine.create(function()
    return coroutine.wrap(function() return coroutine.resume(outer) end)()
end)
tap.like(select(3, coroutine.resume(outer)), 'cannot resume', 'an outer one')
wrapped = coroutine.wrap(function() end)
wrapped()
tap.throws(wrapped, 'cannot resume dead coroutine', 'a dead one')

-- A stack overflow at any point of a wait inside a coroutine: the fiber is fine.
local waited, overflowed = 0, 0
local function probe(room)
    local inner = coroutine.create(function() nap() waited = waited + 1 end)
    if not pcall(coroutine.resume, inner) then overflowed = overflowed + 1 end
    return room
end
local deepest = 0
local function descend(n)
    if n > 0 then
        deepest = deepest + 1
        local deeper = descend(n - 1)
        return deeper + 1
    end
    return probe(0)
end
f = fiber.create(function()
    pcall(descend, 1e9)
    for n = deepest - 80, deepest + 2 do pcall(descend, n) end
    nap()
    fiber.yield()
    coroutine.yield()
    nap()
    return 'fine'
end)
f:set_joinable(true)
tap.same({ f:join() }, { true, 'fine' }, 'stack overflow around a wait')
tap.ok(waited > 0 and overflowed > 0, 'some had room to wait, some not')

-- Coroutines in each other without end: an error, not a crash.
collectgarbage('setpause', 200) -- this is not about the collector
local level = 0
local function sink()
    level = level + 1
    return coroutine.wrap(sink)()
end
ok, err = pcall(sink)
tap.ok(not ok and tostring(err):find('C stack overflow'), 'endless nesting')
tap.ok(level > 1000, 'not too early')
collectgarbage()
tap.is(coroutine.wrap(function() return nap('still fine') end)(), 'still fine',
    'and all is well')

ticker:cancel()
fiber.yield()
tap.done()
