-- Errors that nobody catches: the report has the message, the traceback and
-- the place that spawned the fiber; the others go on. Seen from outside.
--
-- test: timeout 120
local tap = require('tap')

local dir, neap = os.getenv('TMPDIR'), os.getenv('NEAP_BIN')

-- Run @text as a script; all it writes, and its exit code.
local function run(text)
    local path = dir .. '/script.lua'
    local file = assert(io.open(path, 'w'))
    file:write("local fiber = require('fiber')\n", text)
    file:close()
    local pipe = io.popen(neap .. ' ' .. path .. ' 2>&1; echo "code $?"')
    local out = pipe:read('*a')
    pipe:close()
    os.remove(path)
    return out, tonumber(out:match('code (%d+)\n$'))
end

-- In a fiber: told in the log, and the script goes on.
local out, code = run([[
    local function inner(x) local y = x.field.deeper return y end
    local function outer() inner({}) return 1 end
    fiber.create(function()
        fiber.self():name('worker')
        fiber.sleep(0.001)
        outer()
    end)
    fiber.sleep(0.01)
    print('went on')
]])
tap.is(code, 0, 'a fiber that fails does not end the program')
tap.like(out, "script.lua:2: attempt to index field 'field'", 'the message')
tap.like(out, "in function 'inner'.*in function 'outer'", 'the traceback')
tap.like(out, "fiber %d+ 'worker' spawned at [^\n]*script.lua:4", 'the spawner')
tap.like(out, 'went on', 'the others go on')
local _, times = out:gsub('attempt to index', '')
tap.is(times, 1, 'told once')

-- In the main script: exit code 1.
out, code = run([[ fiber.sleep(0.001) error('the end') ]])
tap.is(code, 1, 'the main script ends the program')
tap.like(out, 'script.lua:2: the end', 'the message')
tap.like(out, 'stack traceback', 'the traceback')
out, code = run('local x = = 1')
tap.is(code, 1, 'a syntax error')
tap.like(out, 'script.lua:2', 'has its place')

-- Values of every type.
for value, text in pairs({
    ['nil'] = 'nil',
    ['false'] = 'boolean',
    ['42'] = '42',
    ['{}'] = 'table value',
    ['print'] = 'function value',
    ['(function(b) debug.setmetatable(b, nil) return b end)(' ..
        'require("string.buffer").new())'] = 'userdata value',
    ['coroutine.create(print)'] = 'thread value',
    ['1LL'] = '1LL',
    ["'text'"] = 'text',
    ["setmetatable({}, {__tostring = function() return 'by tostring' end})"]
        = 'by tostring',
    ["setmetatable({}, {__tostring = function() error('in it') end})"]
        = 'error in __tostring',
    ["setmetatable({}, {__tostring = function() return {} end})"]
        = 'error in __tostring',
    ["setmetatable({}, {__tostring = function() fiber.sleep(1) end})"]
        = 'error in __tostring',
    ["setmetatable({}, {__tostring = 1})"] = 'error in __tostring',
    ["setmetatable({}, {__tostring = error, __metatable = 1})"]
        = 'error in __tostring',
    ["setmetatable({}, {__tostring = function(e) return 'x' .. tostring(e) end})"]
        = 'error in __tostring',
    ["select(2, pcall(fiber.sleep))"] = 'fiber.sleep%(seconds%)',
    ["select(2, pcall(fiber.find))"] = 'number of a fiber',
    ["('long '):rep(1000)"] = 'long',
    ["'nul \\0 byte'"] = 'nul',
    ["'forged\\n2026-01-01 00:00:00.000 [1] F> line'"] = '\n\t2026%-01%-01',
}) do
    out, code = run(('fiber.create(function() error(%s, 0) end)\n'
        .. "print('alive')"):format(value))
    tap.is(code, 0, 'error(' .. value:sub(1, 50) .. ')')
    tap.like(out, text, 'its text')
    tap.like(out, "'lua' spawned at", 'its spawner')
    tap.like(out, 'alive', 'the others go on')
end

-- From the depths.
out = run([[
    fiber.create(function()
        local function thrower() error('from below') end
        local co = coroutine.wrap(function()
            coroutine.wrap(function() fiber.sleep(0.001) thrower() end)()
        end)
        co()
    end)
    fiber.sleep(0.01)
]])
tap.like(out, "from below\n\tstack traceback:.*in function 'thrower'",
    'through coroutines')
tap.is(select(2, out:gsub('which was thrown on by', '')), 2, 'with each of them')
out = run([[
    package.preload.bad = function()
        local function thrower() error('in a module') end
        fiber.sleep(0.001)
        thrower()
    end
    fiber.create(require, 'bad')
    fiber.sleep(0.01)
]])
tap.like(out, "in a module.*in function 'thrower'", 'through require')

-- An error that was caught leaves nothing in the report of another.
out = run([[
    pcall(coroutine.wrap(function()
        local function innocent() error('same text', 0) end
        innocent()
    end))
    fiber.sleep(0)
    fiber.create(function() error('same text', 0) end)
    fiber.sleep(0.01)
]])
tap.is(out:find('innocent'), nil, 'no traceback of an error that was caught')

-- Stack overflow, by Lua and by metamethods.
out, code = run([[
    fiber.create(function()
        local function f() return 1 + f() end
        f()
    end)
    fiber.create(function()
        local t = setmetatable({}, {})
        getmetatable(t).__index = function(t, k) return t[k .. 'x'] .. 'y' end
        return t.a
    end)
    fiber.create(function()
        local t = setmetatable({}, { __tostring = function(e) return e .. 'x' end })
        local function f() f() error(t) end
        f()
    end)
    for i = 1, 3 do
        fiber.create(function() fiber.sleep(0.001) print('alive ' .. i) end)
    end
    fiber.sleep(0.01)
]])
tap.is(code, 0, 'stack overflow')
tap.like(out, 'stack overflow.*stack overflow.*stack overflow', 'all are told')
tap.like(out, 'alive 3', 'the others go on')

-- A cancelled fiber that ends by it is silent; one that fails is not.
out = run([[
    local f = fiber.create(function() fiber.sleep(100) end)
    f:cancel()
    fiber.yield()
    f = fiber.create(function()
        pcall(fiber.sleep, 100)
        error('cleaning up failed')
    end)
    f:cancel()
    fiber.yield()
    fiber.yield()
]])
tap.is(out:find('is cancelled'), nil, 'a cancel is not reported')
tap.like(out, 'cleaning up failed', 'another error is')

-- The text of an error may take its time where the machine does: only what it
-- computes itself counts.
out = run([[
    local ffi = require('ffi')
    ffi.cdef('int poll(void *fds, unsigned long count, int ms);')
    local slow = setmetatable({}, { __tostring = function()
        local late = fiber.clock() + 0.3
        while fiber.clock() < late do ffi.C.poll(nil, 0, 20) end
        local to = os.clock() + 0.02 -- ticks come meanwhile
        while os.clock() < to do end
        return 'told in the end'
    end })
    fiber.create(function() error(slow) end)
    fiber.sleep(0)
]])
tap.like(out, 'told in the end', 'a text that is late')

-- Joinable: the joiner has it, the log does not.
out = run([[
    local f = fiber.new(function() error('for the joiner') end)
    f:set_joinable(true)
    print('got', f:join())
]])
tap.like(out, 'got\tfalse\t[^\n]*for the joiner', 'a joined error')
tap.is(out:find('spawned at'), nil, 'is not reported')

-- At the end of the state: finalizers that want fibers.
out, code = run([[
    local ffi = require('ffi')
    keep = ffi.gc(ffi.new('char[1]'), function()
        print('finalizer', pcall(fiber.create, function() fiber.sleep(10) end))
    end)
]])
tap.is(code, 0, 'a finalizer at the end')
tap.like(out, 'finalizer\tfalse\t[^\n]*closing', 'gets no fiber')
out, code = run([[
    local ffi = require('ffi')
    for i = 1, 100 do
        ffi.gc(ffi.new('char[1]'), function() pcall(fiber.sleep) error('x') end)
    end
]])
tap.is(code, 0, 'failing finalizers at the end')
tap.done()
