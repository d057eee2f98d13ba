-- Lua code that means ill, or no good: handles after their end, in finalizers,
-- with others' metatables; unloading inside of everything; sizes and depths at
-- the limits; coroutines that are left in the middle of a call; storms of cancels.
--
-- test: timeout 240, soak 1800, variants
local cmod = require('cmod')
local fiber = require('fiber')
local ffi = require('ffi')
local kit = require('cmod_kit')
local tap = require('tap')

kit.overwrite('h.so', kit.read(kit.dir .. 'calls.so'))
local fds = kit.open_fds()
local m = cmod.load('./h')
local function fn(name) return m:load(name) end

local function usage(name, f, ...)
    local ok, err = pcall(f, ...)
    tap.ok(not ok and type(err) == 'userdata' and err.type == 'IllegalParams',
        name)
    if ok or type(err) ~= 'userdata' then tap.diag(tostring(err)) end
end

-- other things where a handle is wanted
local f = fn('echo')
local udata = io.stdout
local channel = fiber.channel(1)
local channel_real = debug.getmetatable(channel)
for name, x in pairs({ ['a file'] = udata, ['a channel'] = channel, ['nil'] = false,
        ['a coroutine'] = coroutine.create(print), ['a module'] = m }) do
    usage('m.load of ' .. name, m.load, x ~= m and x or f, 'echo')
    usage('m.unload of ' .. name, m.unload, x ~= m and x or f)
    usage('f.unload of ' .. name, f.unload, x)
end
local real = debug.getmetatable(f)
usage('__call of a file', real.__call, udata)
usage('__call of a module', real.__call, m)
usage('__call of nothing', real.__call)
usage('__call of a string', real.__call, ('x'):rep(1000))
usage('__index of a file', real.__index, udata, 'name')
usage('__gc of a module', real.__gc, m)
usage('__tostring of a channel', real.__tostring, channel)
debug.setmetatable(channel, real)
usage('a channel with our metatable, called', function() channel(1) end)
usage('a channel with our metatable, asked', function() return channel.name end)
usage('a channel with our metatable, as text', tostring, channel)
debug.setmetatable(channel, channel_real)

-- a handle without its metatable is still safe, and with it back it works
local naked = fn('echo')
debug.setmetatable(naked, nil)
tap.ok(not pcall(function() naked(1) end), 'a handle without metatable')
debug.setmetatable(naked, real)
tap.is(select(2, naked(5))[1], 5, 'and with it again')
-- as if it were a module
debug.setmetatable(naked, debug.getmetatable(m))
usage('a function dressed as a module', function() return naked:load('echo') end)
usage('and asked for its file', function() return naked.file end)
debug.setmetatable(naked, real)

-- collected by hand, more than once
real.__gc(naked)
real.__gc(naked)
usage('collected by hand: it is unloaded', naked, 1)

-- kept by a finalizer, and used there and afterwards
local kept
do
    local victim = fn('echo')
    ffi.gc(ffi.new('char[1]'), function()
        kept = victim
        local ok, back = pcall(victim, 'in gc')
        kept_result = ok and back
    end)
end
collectgarbage()
collectgarbage()
tap.ok(kept, 'a finalizer has brought a handle back')
local ok, err = pcall(kept, 1)
tap.ok(ok or err.type == 'IllegalParams', 'it works or says that it is unloaded')
kept = nil

-- calls made by finalizers while calls are packed and unpacked
local count = 0
local echo = fn('echo')
local function garbage()
    ffi.gc(ffi.new('char[1]'), function()
        count = count + 1
        local ok, back = echo('gc', { count })
        assert(ok and back[2][1] == count)
    end)
end
local wrong = 0
for i = 1, 2000 do
    garbage()
    local ok, back = echo(i, { a = { i } }, ('x'):rep(i % 300))
    if not ok or back[1] ~= i or back[2].a[1] ~= i or #back[3] ~= i % 300 then
        wrong = wrong + 1
    end
end
collectgarbage()
tap.is(wrong, 0, 'finalizers that call in the middle of calls')
tap.ok(count > 1000, 'they have run')

-- unloading from inside
local dying_m = cmod.load('./h')
local dying = dying_m:load('echo')
usage('the function is unloaded while its arguments are packed', dying,
    setmetatable({}, { __serialize = function()
        dying:unload()
        dying_m:unload()
        collectgarbage()
        return { 1 }
    end }))
local again = fn('echo')
ok, err = again(setmetatable({}, { __serialize = function()
    local inner = fn('echo')
    inner(setmetatable({}, { __serialize = function()
        inner:unload()
        return 1
    end }))
end }))
tap.ok(ok == nil and err.type, 'an error inside of the inner one is nil, err')
ok, err = again(setmetatable({}, { __serialize = function() error() end }))
tap.ok(ok == nil and err ~= nil, 'error(nil) in __serialize')
ok, err = again(setmetatable({}, { __serialize = function() error({}) end }))
tap.ok(ok == nil and err ~= nil, 'error({}) in __serialize')
ok, err = again(setmetatable({}, { __serialize = function(t) return t end }))
tap.ok(ok == nil or ok == true, '__serialize that returns itself ends')
local endless = setmetatable({}, {})
getmetatable(endless).__serialize = function() return setmetatable({},
    getmetatable(endless)) end
ok, err = again(endless)
tap.ok(ok == nil and err ~= nil, '__serialize for ever is an error')
ok, err = again(setmetatable({}, { __serialize = function() fiber.sleep(0.001) end }))
tap.ok(ok == nil and err ~= nil, '__serialize cannot wait')
local co = coroutine.wrap(function()
    return again(setmetatable({}, { __serialize = function()
        coroutine.yield(1)
    end }))
end)
ok, err = co()
tap.ok(ok == nil and err ~= nil, 'nor yield')

-- limits
local function nest(n)
    local t = {}
    for _ = 2, n do t = { t } end
    return t
end
tap.is((fn('first')(nest(128))), true, '128 levels')
tap.is((again(nest(129))), nil, '129 levels')
tap.is((again(nest(100000))), nil, '100,000 levels')
local a, b = {}, {}
a[1], b.x = b, a
ok, err = again(1, a)
tap.ok(ok == nil and err.type ~= 'OutOfMemory', 'two tables that hold each other')
local args = {}
for i = 1, 7000 do args[i] = i end
ok, err = again(unpack(args))
tap.ok(ok and #err == 7000, '7,000 arguments')
local many = fn('many')
for _, n in ipairs({ 7000, 65535 }) do
    ok, err = pcall(function() return select('#', many(n)) end)
    tap.ok(ok and (err == n + 1 or err == 2), n .. ' results, or an error')
end
local big = ('x'):rep(2 ^ 26)
ok, err = again(big, big, big, big, big, big, big, big, big, big, big, big, big,
    big, big)
tap.ok(ok == nil and err ~= nil or ok == true, 'nearly a gibibyte of arguments')
ok, err = again(big, big, big, big, big, big, big, big, big, big, big, big, big,
    big, big, big)
tap.is(ok, nil, 'a gibibyte of arguments is too much')
tap.like(err, '^argument 16: msgpack: a string of 67108864 bytes is too much '
    .. '%b(): at most 1073741824 bytes are allowed in all, and 1006633043 are '
    .. 'taken$', 'and says which, how large, and the limit')
ok, err, big = nil, nil, nil
collectgarbage()
tap.is(select(2, again(1))[1], 1, 'and afterwards all is well')

-- 10,000 handles
local handles = {}
for i = 1, 10000 do
    handles[i] = i % 2 == 0 and cmod.load('./h') or m:load('echo')
end
tap.is(#cmod.list(), 1, '10,000 handles of one instance')
for i = 1, 10000, 3 do handles[i]:unload() end
handles = nil
collectgarbage()
tap.is(select(2, again(1))[1], 1, 'and without them it works')

-- coroutines that are left in the middle of a wait
local nap = fn('nap')
local before = #cmod.list()
for i = 1, 200 do
    local x = fiber.new(function()
        local c = coroutine.create(function() return nap(60000, i) end)
        return coroutine.resume(c)
    end)
    x:set_joinable(true)
    fiber.sleep(0)
    x:cancel()
    local ok, resumed, a, err = x:join()
    if not (ok and resumed and a == nil and err.type == 'FiberIsCancelled') then
        tap.fail('cancelled in a coroutine')
        break
    end
end
tap.is(#cmod.list(), before, '200 calls in coroutines were cancelled')
-- resumed by somebody else while it waits
local stuck
local x = fiber.new(function()
    stuck = coroutine.create(function() return nap(20, 'mine') end)
    return coroutine.resume(stuck)
end)
x:set_joinable(true)
fiber.sleep(0.002)
ok, err = coroutine.resume(stuck, 'forged', 'results')
tap.ok(not ok, 'a waiting coroutine cannot be resumed by others')
local joined, resumed, good, back = x:join()
tap.ok(joined and resumed and good == true and back[2] == 'mine',
    'and the call ends well')

-- storms of cancels, wakeups and unloads
wrong = 0
for _ = 1, tap.soak(200, 20) do
    local crowd = {}
    for i = 1, 50 do
        crowd[i] = fiber.new(function()
            local g = cmod.load('./h'):load(i % 3 == 0 and 'yields' or 'nap')
            local ok, back
            if i % 3 == 0 then ok, back = g(50) else ok, back = g(i % 5, i) end
            if i % 7 == 0 then g:unload() end
            return ok == true or (ok == nil and back.type == 'FiberIsCancelled')
        end)
        crowd[i]:set_joinable(true)
    end
    for i = 1, 50 do
        if i % 5 == 0 then fiber.sleep(0) end
        local victim = crowd[(i * 31) % 50 + 1]
        if i % 2 == 0 then pcall(victim.cancel, victim) else
            pcall(victim.wakeup, victim) end
        if i % 11 == 0 then collectgarbage() end
    end
    for i = 1, 50 do
        local ok, fine = crowd[i]:join()
        if ok and not fine then wrong = wrong + 1 end
        if not ok and fine.type ~= 'FiberIsCancelled' then wrong = wrong + 1 end
    end
end
tap.is(wrong, 0, 'storms of cancels')

f, m, fn, again, echo, nap, many, naked, dying, dying_m, udata, handles, x, stuck =
    nil
real, kept, back, err, channel = nil
tap.is(kit.live_count(), 0, 'no module is left')
tap.is(kit.open_fds(), fds, 'nor a descriptor')

-- __serialize that encodes another object with it, without end
for name, encode in pairs({ call = cmod.load('./h'):load('echo'),
        json = require('json').encode, msgpack = require('msgpack').encode,
        yaml = require('yaml').encode }) do
    local deepest, nesting, reason = 0, 0, nil
    local mt = {}
    mt.__serialize = function()
        nesting = nesting + 1
        deepest = math.max(deepest, nesting)
        local fine, ok, e = pcall(encode, setmetatable({}, mt))
        reason = reason or tostring(fine and e or ok)
        nesting = nesting - 1
        return 1
    end
    encode(setmetatable({}, mt))
    tap.ok(deepest > 50 and reason:find('C stack overflow', 1, true),
        name .. ' in __serialize, nested until it is refused')
end
collectgarbage()
collectgarbage()

-- what is alive at the end of the state is closed by it, also when a finalizer
-- that runs then uses it
_G.last = cmod.load('./h'):load('echo')
_G.p = ffi.gc(ffi.new('char[1]'), function() pcall(_G.last, 'the end') end)
fiber.create(function() cmod.load('./h'):load('nap')(60000) end)
tap.done()
os.exit(0)
