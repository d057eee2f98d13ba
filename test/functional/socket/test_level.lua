-- Nothing is left behind: descriptors and memory are level over many connections,
-- collected or closed, and a twin that keeps one on purpose is seen. What a
-- finalizer may not do says so.
-- test: timeout 120, variants
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local raw = require('raw')
local socket = require('socket')
local tap = require('tap')

local function descriptors() return #fio.listdir('/proc/self/fd') end

local inside = 0 -- connections that the server has
local server, addr = socket.tcp_server('127.0.0.1', 0, function(s)
    inside = inside + 1
    repeat
        local line = s:read('\n', 600)
        if line then
            s:write(line)
        end
    until line == nil or line == ''
    inside = inside - 1
end)

local kept = {}
-- @keep: one of them stays.
local function round(keep)
    local g = fiber.group()
    for i = 1, 20 do
        g:spawn(function()
            local s = assert(socket.tcp_connect(addr.host, addr.port))
            s:write('hello\nworld\nrest')
            assert(s:read('\n') == 'hello\n')
            assert(s:read({chunk = 3}) == 'wor') -- some stays in its buffer
            local u = socket('AF_INET', 'SOCK_DGRAM', 'udp')
            u:bind('127.0.0.1', 0)
            u:readable(0)
            pcall(fiber.deadline, 0.001, u.read, u, 1)
            if keep and i == 1 then
                kept[1] = s
            elseif i % 2 == 0 then
                s:close()
                u:close()
            end
            socket.getaddrinfo('127.0.0.1', i)
        end)
    end
    g:wait()
    raw.until_true(function() -- the server has seen the ends
        collectgarbage()
        return inside == #kept
    end)
    return collectgarbage('count')
end

-- What is closed goes in a later turn.
local before_fds
local function settled(more)
    raw.until_true(function()
        collectgarbage()
        return descriptors() == before_fds + more
    end)
end

for _ = 1, 3 do
    round()
end
local before, memory = round(), nil
before_fds = math.huge
for _ = 1, 10 do
    fiber.sleep(0.001)
    collectgarbage()
    before_fds = math.min(before_fds, descriptors())
end
for _ = 1, 10 do
    memory = round()
end
settled(0)
tap.pass('descriptors are level')
tap.ok(memory < before + 100, ('memory is level: %.0f KiB, %.0f KiB'):format(before,
    memory))
round(true)
settled(2)
tap.pass('both ends of one that is kept are seen')
kept[1]:close()
kept[1] = nil
round()
settled(0)
tap.pass('and that they are gone')

-- In a finalizer nothing can wait.
local a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
local errors = {}
for i, f in ipairs({
    function() return a:read(1) end,
    function() return a:readable() end,
    function() return socket.tcp_connect('127.0.0.1', addr.port) end,
    function() return socket.getaddrinfo('localhost') end,
    function() return socket.iowait(a:fd(), 'R') end,
}) do
    ffi.gc(ffi.new('int[1]'), function()
        local _, err = pcall(f)
        errors[i] = tostring(err)
    end)
end
collectgarbage()
collectgarbage()
for i = 1, 5 do
    tap.like(errors[i], 'cannot wait here', 'in a finalizer, way ' .. i)
end
-- What need not wait works.
local refused
ffi.gc(ffi.new('int[1]'), function()
    a:write('from a finalizer')
    refused = select(2, pcall(b.recv, b, 100))
end)
collectgarbage()
collectgarbage()
tap.like(refused, 'a finalizer cannot read', 'nor read at all')
tap.is(b:recv(100), 'from a finalizer', 'what need not wait')
a:close()
b:close()

-- One that closes the socket from which somebody is just reading, or takes it out
-- of its table.
local right = 0
for i = 1, 300 do
    a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
    b:write(('x'):rep(5000) .. '\n' .. ('y'):rep(5000) .. '\n')
    a:read(10)
    local made, s = {}, a
    for n = 1, 20 do
        made[n] = ffi.gc(ffi.new('char[64]'), function()
            pcall(s.close, s)
            if i % 2 == 0 then
                s[1] = nil
            end
        end)
    end
    made = nil -- luacheck: ignore
    for _ = 1, 40 do
        local ok, data = pcall(s.read, s, 100)
        if ok and data ~= ('x'):rep(100) then
            right = -1000
        elseif not ok then
            right = right + 1
            break
        end
        data = ('z'):rep(1000 + right) -- luacheck: ignore
    end
    pcall(s.close, s)
    b:close()
end
tap.ok(right >= 0, ('a finalizer that closes: %d times'):format(right))
server:close()
tap.done()
