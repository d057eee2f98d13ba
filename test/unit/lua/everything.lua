-- What a run of the core uses, all of it once: for failing its allocations one
-- by one. It ends well, or throws 'not enough memory'; anything else is WRONG.
local ffi = require('ffi')
local fiber = require('fiber')

-- An error that is not the expected one goes on: it is the lack of memory.
local function expect(pattern, ok, err)
    assert(not ok, 'WRONG: nothing was thrown')
    if not tostring(err):find(pattern) then
        error(err, 0)
    end
end

local function joinable(f, ...)
    local made = fiber.new(f, ...)
    made:set_joinable(true)
    return made
end

local function joined(made)
    local function check(ok, ...)
        if not ok then error((...), 0) end
        return ...
    end
    return check(made:join())
end

-- fibers
local order = {}
fiber.create(function(...)
    order[#order + 1] = select('#', ...)
    fiber.self():name('worker')
    fiber.storage.x = {}
    fiber.sleep(0)
    order[#order + 1] = 'slept'
end, 1, nil)
assert(order[1] == 2 or order[1] == nil, 'WRONG: arguments')
assert(joined(joinable(function(a) fiber.yield() return a end, 'x')) == 'x',
    'WRONG: join')
expect('boom', joinable(function() error({}, 0) end):join() and true,
    'boom')
expect('TimedOut', (function(made)
    local ok, err = made:join(0)
    made:cancel()
    return ok, err.type == 'TimedOut' and err.type or err
end)(joinable(fiber.sleep, 1000)))
expect('not joinable', pcall(function()
    fiber.create(fiber.sleep, 0):join()
end))
local victim = joinable(function()
    expect('fiber is cancelled', pcall(fiber.sleep, 1000))
    return 'cleaned up'
end)
fiber.yield()
victim:cancel()
assert(joined(victim) == 'cleaned up', 'WRONG: cancel')
assert(fiber.find(fiber.id()) == fiber.self(), 'WRONG: find')
assert(fiber.info({ backtrace = true })[fiber.id()].fid == fiber.id(),
    'WRONG: info')
assert(tostring(fiber.self()):find('fiber: %d'), 'WRONG: tostring')
assert(fiber.time64() > 0 and fiber.clock() > 0, 'WRONG: time')

-- channels and conditions
local ch = fiber.channel(1)
local writer = joinable(function()
    for i = 1, 3 do ch:put({ i }) end
    ch:put(false)
    return ch:put('closed', 1000)
end)
for i = 1, 3 do
    local t = ch:get(1000)
    if t == nil then joined(writer) end
    assert(t[1] == i, 'WRONG: order')
end
assert(ch:get(1000) == false, 'WRONG: false')
fiber.yield()
ch:close()
joined(writer)
local reader = joinable(function() return fiber.channel():get(0) end)
assert(joined(reader) == nil, 'WRONG: timeout 0')
local cond = fiber.cond()
local waiter = joinable(function() return cond:wait(1000) end)
fiber.yield()
cond:broadcast()
assert(joined(waiter) == true, 'WRONG: cond')

-- coroutines, metamethods, protected calls
local function nap(...)
    fiber.sleep(0)
    return ...
end
local co = coroutine.wrap(function(...)
    local n = select('#', nap(...))
    local got = coroutine.yield(nap(n))
    return coroutine.wrap(function() return nap(got) end)()
end)
assert(co(1, nil) == 2, 'WRONG: yield')
assert(co('y') == 'y', 'WRONG: return')
expect('thrown', pcall(coroutine.wrap(function() nap() error('thrown') end)))
local t = setmetatable({}, { __index = function(_, k) return nap(k .. '!') end })
assert(t.key == 'key!', 'WRONG: __index')
local function sort(wait)
    local mt = { __lt = wait }
    table.sort({ setmetatable({}, mt), setmetatable({}, mt) })
end
expect('cannot wait here', pcall(sort, function() coroutine.wrap(fiber.yield)() end))
expect('cannot wait here', pcall(sort, function() fiber.sleep(1) end))
assert(('x'):gsub('x', function() return nap('y') end) == 'y', 'WRONG: gsub')

-- modules
package.preload.everything_a = function()
    nap()
    return { b = require('everything_b') }
end
package.preload.everything_b = function() nap() return {} end
package.loaded.everything_a, package.loaded.everything_b = nil, nil
local first = joinable(require, 'everything_a')
local second = joinable(require, 'everything_a')
assert(joined(first) == joined(second), 'WRONG: require')
expect('not found', pcall(require, 'none.such'))
package.preload.everything_bad = function() nap() error('bad module') end
expect('bad module', pcall(require, 'everything_bad'))

-- error objects, strings, tables, closures, a finalizer
local ok, err = pcall(fiber.sleep)
expect('fiber.sleep', ok, err)
assert(err.type == 'IllegalParams' or err.type == 'OutOfMemory',
    'WRONG: type')
assert(#(err .. '') > 0 and err:unpack().message and err.trace[1],
    'WRONG: fields')
local list = {}
for i = 1, 50 do list[i] = ('text'):rep(i) .. i end
assert(#table.concat(list) > 5000, 'WRONG: strings')
for _ = 1, 20 do
    ffi.gc(ffi.new('char[1]'), function() pcall(fiber.sleep) end)
end
collectgarbage('step', 1000)

-- what workers share
local shared = require('shared')
local function made(value, err)
    if value == nil then
        error(err)
    end
    return value
end
local dict = made(shared.dict('everything'))
made(dict:set('t', { 1, { 'x' } }))
assert(made(dict:get('t'))[2][1] == 'x', 'WRONG: dict')
made(dict:set('s', ('s'):rep(3000)))
assert(#made(dict:get('s')) == 3000 and #made(dict:keys()) >= 2, 'WRONG: dict')
local values = made(shared.channel('everything', 1))
while values:get(0) ~= nil do end
made(values:put({ 'one' }))
local putter = joinable(function() return made(values:put({ 'two' })) end)
assert(values:get()[1] == 'one', 'WRONG: shared channel')
if joined(putter) == true then
    assert(values:get()[1] == 'two', 'WRONG: shared channel')
end
local news = made(shared.broadcast('everything', { history = 2 }))
local sub = made(news:subscribe())
local number = made(news:publish({ 'news' }))
local item, at = sub:get()
assert(at == nil or at == number and item[1] == 'news', 'WRONG: broadcast')

-- sockets
local socket = require('socket')
local a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
made(a, b)
local reader = joinable(function()
    local line = made(a:read({ delimiter = { '\n', ';' } }, 0.1))
    return line .. made(a:read(3, 0.1))
end)
nap()
made(b:write('one\ntwo'))
local both = joined(reader)
assert(both == nil or both == 'one\ntwo', 'WRONG: read')
local udp = made(socket('AF_INET', 'SOCK_DGRAM', 'udp'))
made(udp:bind('127.0.0.1', 0))
made(udp:sendto('127.0.0.1', made(udp:name()).port, 'x'))
local data, from = udp:recvfrom()
assert(made(data, from) == 'x' and from.port == made(udp:name()).port,
    'WRONG: recvfrom')
local server, where = socket.tcp_server('127.0.0.1', 0, function(s)
    s:write('in')
end)
made(server, where)
local client = made(socket.tcp_connect(where.host, where.port, 0.1))
data = client:read(2, 0.1)
assert(data == nil or data == 'in' or data == '', 'WRONG: tcp_server')
server:close()
client:close()

-- and one that nobody catches
fiber.create(function() nap() error('not enough memory, or so') end)
fiber.sleep(0)
fiber.sleep(0)
