-- fiber.offload: functions on the pool's threads. What goes in and comes out, what
-- is refused, what an error looks like, and that everybody else runs meanwhile.
--
-- test: threads, variants, timeout 120
local tap = require('tap')
local fiber = require('fiber')
local ffi = require('ffi')
local offload = fiber.offload

local function fails(what, pattern, f, ...)
    local ok, err = pcall(f, ...)
    tap.ok(not ok, what .. ': throws')
    tap.like(not ok and tostring(err) or 'it did not', pattern, what)
    return err
end

local function usage(what, pattern, ...)
    local err = fails(what, pattern, offload, ...)
    tap.is(type(err) == 'userdata' and err.type, 'IllegalParams',
        what .. ': the type')
    return err
end

-- values
tap.same({ offload(function(a, b) return a + b, a .. b end, 1, 2) }, { 3, '12' },
    'arguments and results')
tap.is(select('#', offload(function() end)), 0, 'no results')
tap.is(select('#', offload(function(...) return ... end, nil, 1, nil)), 3,
    'nils at the end')
tap.is(type((offload(function(...) return (...) end, nil))), 'nil', 'nil is nil')
local tree = { 1, { x = { true, 'a\0b', 0.5 } }, y = { {} } }
tap.same(offload(function(t) return t end, tree), tree, 'tables')
tap.isnt(offload(function(t) return t end, tree), tree, 'by copy')
tap.is(offload(function(n) return n + 1 end, 2LL ^ 62), 2LL ^ 62 + 1, 'int64_t')
tap.is(offload(function() return 0x123456789abcdefLL end), 0x123456789abcdefLL,
    'constants of ffi')
tap.is(select('#', offload(function(...) return ... end,
    unpack({}, 1, 5000))), 5000, 'many values')
local long = ('x'):rep(5e6)
tap.ok(offload(function(s) return s end, long) == long, 'long strings')
tap.is(offload(function(s) return #s end, ''), 0, 'empty ones')

-- what there is in the other state
tap.is(offload(function()
    local json, digest = require('json'), require('digest')
    local msgpack, uri = require('msgpack'), require('uri')
    local clock, yaml = require('clock'), require('yaml')
    return clock.time() > 0 and digest.sha256_hex('a') ~= nil
        and uri.parse('http://a/b').host == 'a' and yaml.encode({}) ~= nil
        and msgpack.decode(msgpack.encode(json.decode('[1]')))[1] == 1
end), true, 'modules')
local mine = assert(io.open('mine.lua', 'w'))
mine:write('return function(x) return x * 2 end')
mine:close()
local old = package.path
package.path = './?.lua;' .. old
tap.is(offload(function(x) return require('mine')(x) end, 21), 42,
    'modules of the script, by its package.path')
package.path = old
tap.is(offload(function()
    local f = assert(io.open('mine.lua'))
    local s = f:read('*a')
    f:close()
    return s
end):sub(1, 6), 'return', 'files')
tap.same({ offload(function()
    local up = 0
    local function add(n) up = up + n return up end
    add(1)
    local co = coroutine.wrap(function() coroutine.yield(add(2)) return add(3) end)
    return co(), co()
end) }, { 3, 6 }, 'functions and coroutines inside')
tap.is(offload(function() coroutine.yield(1) return 2 end), 2, 'a stray yield')
tap.is(offload(function()
    local t = { 3, 1, 2 }
    table.sort(t, function(a, b) return a > b end)
    for _ = 1, 3 do collectgarbage() end
    return t[1] .. ('ab'):gsub('.', function(c) return c:upper() end)
end), '3AB', 'callbacks and full collections')
tap.is(offload(function() return require('fiber').name() end), fiber.name(),
    'the name of the fiber')

-- nothing of one run is left for the next, whichever thread has it
for _ = 1, 20 do
    if offload(function()
        local seen = x or _G.y or z
        x, _G.y, seen = 1, 2, seen or loadstring('z = 3 return nil')()
        getfenv(0).w = 4
        return seen or (w ~= 4 and 'w') or nil
    end) ~= nil then
        tap.ok(false, 'a global was left')
    end
end
tap.is(x or y or z or w, nil, 'nor here')

-- wrong usage
local up, other = 1, 2
usage('an upvalue', "uses 'up'", function() return up + other end)
usage('none', 'a function is wanted, not nil')
usage('a string', 'a function is wanted, not string', 'print')
usage('C', 'written in C', string.rep, 'x', 3)
usage('an argument', "argument 2: cannot encode a function, at 'a.b'",
    function() end, 1, { a = { b = print } })
usage('a coroutine', 'argument 1', function() end, coroutine.create(print))
usage('a fiber that is dead', 'argument 1: ', function() end, io.stdout)
usage('cdata', 'argument 1', function() end, ffi.new('int[2]'))
usage('a result', "result 2: cannot encode a function, at 'a'", function()
    return 1, { a = print }
end)
local deep, flat = {}, {}
for _ = 1, 200 do deep = { deep } end
usage('a deep argument', 'argument 1: .*128', function() end, deep)
usage('a deep result', 'result 1: .*128', function()
    local t = {}
    for _ = 1, 200 do t = { t } end
    return t
end)
flat[1] = flat
usage('a table in itself', 'argument 1', function() end, flat)
usage('a large argument', 'argument 1: .*67108864', function() end,
    ('x'):rep(2 ^ 26))
usage('a large result', 'result 1: .*67108864', function()
    return ('x'):rep(2 ^ 26)
end)
tap.like(usage('the place', 'uses', function() return up end).trace[1].file,
    'test_offload.lua', 'the place of the caller')

-- what needs a loop
local no_loop = 'no event loop'
usage('sleep', no_loop, function() require('fiber').sleep(1) end)
usage('yield', no_loop, function() require('fiber').yield() end)
usage('in a coroutine', no_loop, function()
    coroutine.wrap(function() require('fiber').sleep(1) end)()
end)
usage('a channel', no_loop, function() require('fiber').channel():get() end)
usage('offload inside', no_loop, function()
    require('fiber').offload(function() end)
end)
usage('a fiber', 'cannot start fibers', function()
    require('fiber').create(print)
end)
usage('a child', 'cannot wait for a child', function() os.execute('true') end)
usage('a pipe', 'cannot wait for a child', function() io.popen('true') end)
usage('the end', 'cannot end the process', function() os.exit(1) end)
for _, name in ipairs({ 'cmod', 'http.server', 'shared', 'popen', 'neap',
                        'neap.states', 'console' }) do
    usage(name, "module '" .. name .. "'", function(m) require(m) end, name)
end
tap.throws(coroutine.wrap(function()
    local function lt() return offload(function() end) end
    local t = setmetatable({}, { __lt = lt })
    table.sort({ t, t, t })
end), 'cannot wait here: inside a callback of .sort', 'where nobody can wait')

-- errors
tap.is(fails('a text', 'boom', offload, function() error('boom', 0) end), 'boom',
    'as it was thrown')
fails('the source', 'test_offload.lua:%d+: boom', offload,
    function() error('boom') end)
fails('of Lua', "global 'nothing'", offload, function() nothing() end)
tap.same(fails('a table', 'table', offload, function() error({ code = 7 }) end),
    { code = 7 }, 'by copy')
tap.is(fails('nil', 'nil', offload, function() error(nil) end), nil, 'nil')
tap.is(fails('an error object', 'json', offload, function()
    require('json').decode('{')
end) ~= nil, true, 'some error')
tap.is(fails('of a type', 'wanted', offload, function()
    require('fiber').find()
end).type, 'IllegalParams', 'keeps its type')
fails('what cannot be copied', 'function value', offload,
    function() error(print) end)
fails('an overflow', 'overflow', offload, function()
    local function f() return 1 + f() end
    return f()
end)
fails('an overflow of C', 'overflow', offload, function()
    local function f() return (('x'):gsub('x', f)) end
    return f()
end)
tap.is(offload(function() return 1 end), 1, 'afterwards all is well')

-- many at once, and a neighbour that goes on meanwhile
local turns, stop = 0, false
fiber.new(function()
    while not stop do
        turns = turns + 1
        fiber.sleep(0)
    end
end)
local done, want = 0, 0
fiber.group(function(g)
    for i = 1, 64 do
        want = want + 1
        g:spawn(function()
            local sum = offload(function(n)
                local s = 0
                for k = 1, n do s = (s * 31 + k) % 65521 end
                return s
            end, i * 1000)
            local s = 0
            for k = 1, i * 1000 do s = (s * 31 + k) % 65521 end
            done = done + (s == sum and 1 or 0)
        end)
    end
    g:wait()
end)
tap.is(done, want, '64 at once')

-- an error among them, and a cancel of all
local ok, err = pcall(fiber.group, function(g)
    for i = 1, 20 do
        g:spawn(offload, function(n)
            if n == 7 then error('seven', 0) end
            while true do end
        end, i)
    end
    g:wait()
end)
tap.ok(not ok and err == 'seven', 'one that fails ends the group')

-- the wait ends at once, and so does the function
local function forever() while true do end end
local function forever_caught()
    while true do pcall(function() while true do end end) end
end
for round = 1, 3 do
    for _, f in ipairs({ forever, forever_caught }) do
        local waiting = {}
        for i = 1, 20 do -- more than there are threads
            waiting[i] = fiber.new(offload, f)
            waiting[i]:set_joinable(true)
        end
        fiber.sleep(0.01)
        for i = 1, 20 do waiting[i]:cancel() end
        for i = 1, 20 do
            ok, err = waiting[i]:join()
            if ok or err.type ~= 'FiberIsCancelled' then
                tap.ok(false, 'cancelled: ' .. tostring(err))
            end
        end
        tap.is(offload(function() return 5 end), 5, 'round ' .. round
            .. ': the threads are free again')
    end
    ok, err = pcall(fiber.deadline, 0.01, offload, forever)
    tap.ok(not ok and err.type == 'TimedOut', 'a deadline')
end
local first = turns
local latest = fiber.clock() + 10 -- its slice may end in the midst of a turn
while turns == first and fiber.clock() < latest do fiber.sleep(0.001) end
tap.ok(turns > first, 'the neighbour is well')
stop = true
local me = fiber.new(function() return offload(function() return 1 end) end)
me:set_joinable(true)
me:cancel()
ok, err = me:join()
tap.ok(not ok and err.type == 'FiberIsCancelled', 'cancelled before')

-- more functions than are remembered, here and there; with and without names
local sum = 0
for i = 1, 600 do
    local f = loadstring('return ... + ' .. i)
    sum = sum + offload(f, 0) - i
end
tap.is(sum, 0, 'many functions')
tap.is(offload(loadstring(string.dump(function(a) return a end, true)), 3), 3,
    'stripped ones')
for i = 1, 300 do
    if offload(function(n) return n end, i) ~= i then
        tap.ok(false, 'a function made anew each time')
    end
end
os.remove('mine.lua')
tap.done()
