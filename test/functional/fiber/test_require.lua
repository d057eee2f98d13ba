-- require and dofile: modules whose top level waits, several fibers that want
-- one module, loops, errors.
--
-- test: variants
local tap = require('tap')
local fiber = require('fiber')

local dir = os.getenv('TMPDIR')
package.path = dir .. '/?.lua;' .. package.path
local files = {}

local function write(name, text)
    local path = dir .. '/' .. name .. '.lua'
    local file = assert(io.open(path, 'w'))
    file:write(text)
    file:close()
    files[#files + 1] = path
    return path
end

local function in_fiber(f, ...)
    local made = fiber.new(f, ...)
    made:set_joinable(true)
    return made
end

-- A module that waits is loaded once, by whoever comes first.
loads, open = 0, true
write('waits', [[
    local name = ...
    loads = loads + 1
    repeat require('fiber').yield() until open
    return { name = name }
]])
local made = {}
for i = 1, 10 do made[i] = in_fiber(require, 'waits') end
local first
for i = 1, 10 do
    local ok, module = made[i]:join()
    first = first or module
    tap.ok(ok and module == first, 'fiber ' .. i .. ' has the module')
end
tap.is(loads, 1, 'loaded once')
tap.is(first.name, 'waits', 'with its name')
tap.is(package.loaded.waits, first, 'in package.loaded')

-- Who does not know the fiber module can want one that waits.
package.loaded.waits = nil
local seen = package.loaded.fiber
package.loaded.fiber = nil
made = { in_fiber(require, 'waits'), in_fiber(require, 'waits') }
local ok1, m1 = made[1]:join()
local ok2, m2 = made[2]:join()
tap.ok(ok1 and ok2 and m1 == m2, 'without the fiber module in package.loaded')
tap.is(require('fiber'), seen, 'a module of neap is always the same one')
tap.is(fiber.self():id(), fiber.id(), 'and its objects are good')

-- Errors: everybody gets one, the next one tries again.
tries = 0
write('fails', [[
    tries = tries + 1
    require('fiber').sleep(0.002)
    if tries < 3 then error({ 'try ' .. tries }) end
    return 'at last'
]])
made = { in_fiber(require, 'fails'), in_fiber(require, 'fails'),
    in_fiber(require, 'fails') }
local got = {}
for i = 1, 3 do
    local ok, value = made[i]:join()
    got[i] = ok and value or value[1]
end
table.sort(got)
tap.same(got, { 'at last', 'try 1', 'try 2' }, 'errors reach who loads')

-- Loops: in one fiber, and through two fibers that wait for each other.
write('loop', [[ return require('loop') ]])
tap.throws(function() require('loop') end, "loop or previous error loading module"
    .. " 'loop'", 'a module that wants itself')
write('ping', [[ require('fiber').sleep(0.002) return require('pong') ]])
write('pong', [[ require('fiber').sleep(0.002) return require('ping') ]])
made = { in_fiber(require, 'ping'), in_fiber(require, 'pong') }
for i = 1, 2 do
    local ok, err = made[i]:join(5)
    tap.like(err, 'loop or previous error', 'two modules in two fibers ' .. i)
    tap.is(ok, false, 'an error')
end
for i = 1, 3 do
    write('ring' .. i, ([[ require('fiber').sleep(0.002)
        return require('ring%d') ]]):format(i % 3 + 1))
end
for i = 1, 3 do made[i] = in_fiber(require, 'ring' .. i) end
for i = 1, 3 do
    tap.like(select(2, made[i]:join(5)), 'loop or previous error',
        'three modules in three fibers ' .. i)
end

-- A waiter is cancelled; the others are not disturbed.
package.loaded.waits, open = nil, false
made = { in_fiber(require, 'waits'), in_fiber(require, 'waits'),
    in_fiber(require, 'waits') }
fiber.yield()
made[2]:cancel()
local ok, err = made[2]:join()
open = true
tap.ok(not ok and err.type == 'FiberIsCancelled', 'a waiter can be cancelled')
tap.ok((made[1]:join()) and (made[3]:join()), 'the others go on')
package.loaded.waits, open = nil, false
made = { in_fiber(require, 'waits'), in_fiber(require, 'waits') }
fiber.yield()
made[1]:cancel()
ok, err = made[1]:join()
open = true
tap.ok(not ok and err.type == 'FiberIsCancelled', 'the loader too')
ok, err = made[2]:join()
tap.ok(ok and err.name == 'waits', 'then the next one loads')

-- One that was given up in the middle: by a coroutine nobody resumes.
write('yields', [[ coroutine.yield('halfway') return 'whole' ]])
local f = in_fiber(function()
    return coroutine.wrap(function() return require('yields') end)()
end)
tap.is(select(2, f:join()), 'halfway', 'a top level that yields')
f = in_fiber(function()
    return coroutine.wrap(function()
        local wrapped = coroutine.wrap(function() return require('yields') end)
        wrapped()
        return wrapped()
    end)()
end)
tap.is(select(2, f:join(5)), 'whole', 'does not lock the module for ever')

-- Where nobody can wait for another fiber's loading.
package.loaded.waits, open = nil, false
f = in_fiber(require, 'waits')
fiber.yield()
ok, err = loadstring(function() require('waits') end)
open = true
tap.ok(not ok and tostring(err):find("'loadstring'"), 'inside loadstring')
tap.ok((f:join()), 'the loader is not disturbed')

-- As in stock Lua.
package.preload.nothing = function() end
tap.is(require('nothing'), true, 'no value is true')
package.preload.no = function() return false end
tap.is(require('no'), false, 'false is false')
tap.is(require('no'), false, 'and loaded again')
package.loaded.again = false
package.preload.again = function(...) return select('#', ...) .. (...) end
tap.is(require('again'), '1again', 'false in package.loaded does not count')
package.preload.sets = function() package.loaded.sets = 'itself' end
tap.is(require('sets'), 'itself', 'a module that sets package.loaded')
package.preload[5] = nil
package.preload['5'] = function() return 'five' end
tap.is(require(5), 'five', 'a number is a name')
for _, bad in ipairs({ {}, true, print }) do
    tap.throws(function() require(bad) end, 'string expected',
        'require(' .. type(bad) .. ')')
end
tap.throws(function() require() end, 'string expected', 'require()')
tap.throws(function() require('none.such') end, "module 'none.such' not found:"
    .. ".*no field package.preload%['none.such'%].*none/such.lua", 'not found')
write('broken', 'return = 1')
tap.throws(function() require('broken') end, 'broken.lua:1', 'a syntax error')
tap.throws(function() require('broken') end, 'broken.lua:1', 'again')
local loaders = package.loaders
package.loaders = nil
tap.throws(function() require('x') end, "'package.loaders' must be a table",
    'no loaders')
package.loaders = loaders
write('modular', [[ module('modular', package.seeall) value = 1 ]])
tap.is(require('modular').value, 1, 'module()')
local path = write('deep', [[
    local ok, err = pcall(error, 'x')
    error('deep trouble')
]])
tap.throws(function() require('deep') end, 'deep.lua:2: deep trouble',
    'an error has its place')

-- dofile
path = write('done', [[
    require('fiber').sleep(0.001)
    return 'did', nil, ...
]])
local n = select('#', dofile(path))
tap.is(dofile(path), 'did', 'dofile waits')
tap.is(n, 2, 'and gives all results')
tap.is(coroutine.wrap(dofile)(path), 'did', 'in a coroutine')
tap.throws(function() dofile(dir .. '/none') end, 'none', 'no such file')
path = write('done2', 'x x')
tap.throws(function() dofile(path) end, 'done2.lua:1', 'a syntax error')

for _, name in ipairs(files) do os.remove(name) end
tap.done()
