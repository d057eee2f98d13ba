-- tcp_server: a fiber for each connection, its options, its end; early closes, resets,
-- no descriptors left, a thousand clients; unix sockets' files; several servers.
-- test: timeout 120, variants
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local log = require('log')
local socket = require('socket')
local tap = require('tap')

ffi.cdef('struct neap_test_rlimit { unsigned long cur, max; };'
    .. 'int getrlimit(int what, struct neap_test_rlimit *limit);'
    .. 'int setrlimit(int what, const struct neap_test_rlimit *limit);')
local RLIMIT_NOFILE = 7

local dir = fio.tempdir()
local path = fio.pathjoin(dir, 's')

local function descriptors() return #fio.listdir('/proc/self/fd') end
local function soon(f)
    local latest = fiber.clock() + 60
    while not f() do
        if fiber.clock() > latest then return false end
        fiber.sleep(0.005)
    end
    return true
end

-- Arguments.
for _, bad in ipairs({false, 1, {}, {handler = 1}, {handler = print, prepare = 1},
    {handler = print, name = 1}}) do
    tap.throws(function() socket.tcp_server('127.0.0.1', 0, bad) end,
        'Usage: socket.tcp_server', 'no handler')
end
tap.throws(function() socket.tcp_server('127.0.0.1', 0) end, 'Usage', 'none')
tap.throws(function()
    socket.tcp_server('127.0.0.1', 0, {handler = print, max_connections = 0})
end, 'max_connections', 'a limit that is none')
tap.throws(function()
    socket.tcp_server('127.0.0.1', 0, {handler = print, tsl = {}})
end, "no option 'tsl'", 'an option that is none')
tap.throws(function()
    socket.tcp_server('127.0.0.1', 0, {handler = print, backlog = 'x'})
end, 'backlog', 'a backlog that is none')

-- Names, addresses, what the handler gets.
local seen
local server, addr = socket.tcp_server('127.0.0.1', 0, {
    name = 'testserv',
    handler = function(s, from)
        seen = {s:peer().port == from.port, from.family, from.host}
        s:read(2)
        s:write('Hello, world')
    end,
})
tap.is(type(addr), 'table', 'an address')
tap.is(server:name().port, addr.port, 'its port')
tap.is(server:name().host, addr.host, 'its host')
local client = socket.tcp_connect(addr.host, addr.port)
fiber.sleep(0.02)
local named = 0
for _, f in pairs(fiber.info()) do
    if f.name:match('^testserv/127') then
        named = named + 1
    end
end
tap.is(named, 2, 'fibers with names')
client:write('hi')
tap.is(client:read(123), 'Hello, world', 'the handler')
tap.same(seen, {true, 'AF_INET', '127.0.0.1'}, 'what it got')
client:close()
local again, err = socket.tcp_server('127.0.0.1', addr.port, print)
tap.ok(again == nil and errno() == errno.EADDRINUSE and err.errno == errno.EADDRINUSE,
    'the port is taken')
tap.is(server:close(), true, 'close')
tap.ok(soon(function() return fiber.info()[1] == nil or true end), 'it ends')
tap.is(socket.tcp_connect(addr.host, addr.port), nil, 'nobody is there')

-- prepare, backlog.
local prepared
server, addr = socket.tcp_server('localhost', 0, {
    handler = print, backlog = 3,
    prepare = function(s, a)
        prepared = {type(s.fd), a.family}
        s:setsockopt('SOL_SOCKET', 'SO_REUSEADDR', true)
        return 5
    end,
})
tap.same(prepared, {'function', addr.family}, 'prepare')
server:close()
tap.throws(function()
    socket.tcp_server('127.0.0.1', 0, {handler = print, prepare = function()
        error('not prepared')
    end})
end, 'not prepared', 'prepare throws')

-- reuseport: two at one port.
local a1, where = socket.tcp_server('127.0.0.1', 0, {handler = print, reuseport = true})
local a2 = socket.tcp_server('127.0.0.1', where.port, {handler = print, reuseport = true})
tap.ok(a1 ~= nil and a2 ~= nil, 'reuseport')
a1:close()
a2:close()

-- A handler that throws, that closes, that leaves it half closed, that is cancelled.
local told = {}
local ways = {
    function() error('thrown on purpose') end,
    function(s) s:close() end,
    function(s) s:shutdown('W') s:read(1) end,
    function() fiber.self():cancel() fiber.sleep(1) end,
    function(s) s:detach() end,
}
for i, way in ipairs(ways) do
    local fd
    server, addr = socket.tcp_server('127.0.0.1', 0, function(s, ...)
        fd = s:fd()
        told[i] = true
        return way(s, ...)
    end)
    client = socket.tcp_connect(addr.host, addr.port)
    if i < 5 then
        tap.is(client:read(1, 10), '', 'the end, way ' .. i)
    else
        tap.is(client:read(1, 0.05), nil, 'it is somebody else\'s')
        socket.from_fd(fd):close()
        tap.is(client:read(1, 10), '', 'until they close it')
    end
    client:close()
    server:close()
end
tap.is(#told, 5, 'all were called')

-- Unix sockets: the file goes with the server, but only if it is its own.
server = socket.tcp_server('unix/', path, function(s) s:write('Hello, world') end)
tap.ok(fio.stat(path) ~= nil, 'there is a file')
client = socket.tcp_connect('unix/', path)
tap.is(client:read(123), 'Hello, world', 'over a unix socket')
tap.same(client:peer(), {host = 'unix/', port = path, family = 'AF_UNIX',
    type = 'SOCK_STREAM', protocol = 0}, 'whom it talks to')
client:close()
again = socket.tcp_server('unix/', path, print)
tap.ok(again == nil and errno() == errno.EADDRINUSE, 'somebody listens there')
server:close()
tap.is(fio.stat(path), nil, 'the file is gone')
for i = 1, 10 do
    local s = socket.tcp_server('unix/', path, function() end)
    local c = s and socket.tcp_connect('unix/', path)
    if not c then
        tap.ok(false, 'again and again: ' .. i)
        break
    end
    c:close()
    s:close()
end
local dead = socket('AF_UNIX', 'SOCK_STREAM', 0)
dead:bind('unix/', path)
dead:close()
local s = socket('AF_UNIX', 'SOCK_STREAM', 0)
tap.is(s:bind('unix/', path), false, 'a file that nobody has')
tap.is(s:errno(), errno.EADDRINUSE, 'is in the way of bind')
s:close()
server = socket.tcp_server('unix/', path, function() end)
tap.ok(server ~= nil, 'and not of tcp_server')
fio.unlink(path)
local other = socket.tcp_server('unix/', path, function() end)
server:close()
tap.ok(fio.stat(path) ~= nil, 'the file of another stays')
other:close()
local fh = fio.open(path, {'O_CREAT', 'O_RDWR'})
fh:close()
again = socket.tcp_server('unix/', path, print)
tap.ok(again == nil and errno() == errno.EADDRINUSE, 'no socket at all')
tap.ok(fio.stat(path) ~= nil, 'it is not removed')
fio.unlink(path)
local code
again, err = socket.tcp_server('unix/', ('a'):rep(110), print)
code = errno()
tap.ok(again == nil and code == errno.ENOBUFS and err ~= nil, 'too long a path')

-- Early closes and resets, before and after they are let in.
server, addr = socket.tcp_server('127.0.0.1', 0, function(c)
    local line = c:read('\n', 10)
    if line ~= nil and line ~= '' then
        c:write(line)
    end
end)
for i = 1, 50 do
    local c = socket.tcp_connect(addr.host, addr.port)
    if i % 2 == 0 then
        c:linger(true, 0)
    end
    if i % 3 == 0 then
        c:write('half a line')
    end
    c:close()
end
client = socket.tcp_connect(addr.host, addr.port)
client:write('still here\n')
tap.is(client:read('\n', 10), 'still here\n', 'it goes on')
client:close()

-- Nobody can be let in for a moment: it tries on, and the descriptor is not held.
do
    local server, addr, client
    local create, served = fiber.create, 0
    server, addr = socket.tcp_server('127.0.0.1', 0, function() served = served + 1 end)
    local before = descriptors()
    fiber.create = function() error('not enough memory', 0) end
    client = socket.tcp_connect(addr.host, addr.port)
    tap.is(client:read(1, 10), '', 'who cannot be served is let go')
    fiber.create = create
    client:close()
    client = socket.tcp_connect(addr.host, addr.port)
    tap.is(client:read(1, 10), '', 'the next one is let in')
    tap.is(served, 1, 'and served')
    client:close()
    tap.ok(soon(function() return descriptors() <= before end), 'none is left')
    server:close()

    -- A server whose fiber is cancelled ends, in either mode.
    for _, nonblock in ipairs({true, false}) do
        server = socket.tcp_server('127.0.0.1', 0, {
            name = 'cancelled', handler = print,
            prepare = function(s) s:nonblock(nonblock) end,
        })
        fiber.sleep(0.02)
        for id, f in pairs(fiber.info()) do
            if f.name:match('^cancelled/') then
                fiber.cancel(id)
            end
        end
        tap.ok(soon(function() return not pcall(server.fd, server) end), 'it has ended')
    end

    -- What prepare may not give; the address is free at once.
    for _, bad in ipairs({true, 'x', -1}) do
        tap.throws(function()
            socket.tcp_server('unix/', path, {
                handler = print, prepare = function() return bad end,
            })
        end, 'backlog', 'a backlog that is none')
    end
    server = socket.tcp_server('unix/', path, print)
    tap.ok(server, 'the address is free')
    server:close()
end

-- A thousand at once.
local before = descriptors()
local limit = ffi.new('struct neap_test_rlimit')
ffi.C.getrlimit(RLIMIT_NOFILE, limit)
local many = tonumber(limit.max) > 2200 and 1000 or 400
local most = ffi.new('struct neap_test_rlimit', math.max(tonumber(limit.cur),
    many * 2 + 200), limit.max)
ffi.C.setrlimit(RLIMIT_NOFILE, most)
local here, most_here = 0, 0
local crowd, crowd_addr = socket.tcp_server('127.0.0.1', 0, {
    backlog = 1024,
    handler = function(c)
        here = here + 1
        most_here = math.max(most_here, here)
        local line = c:read('\n', 60)
        c:write(line, 60)
        here = here - 1
    end,
})
local clients, right = {}, 0
for i = 1, many do
    clients[i] = assert(socket.tcp_connect(crowd_addr.host, crowd_addr.port))
end
tap.ok(soon(function() return here == many end), many .. ' at once')
local g = fiber.group()
for i, c in ipairs(clients) do
    g:spawn(function()
        c:write(('client %d\n'):format(i))
        if c:read('\n', 60) == ('client %d\n'):format(i) then
            right = right + 1
        end
        c:close()
    end)
end
g:wait()
tap.is(right, many, 'each has its answer')
tap.is(most_here, many, 'they were there together')
crowd:close()
tap.ok(soon(function() return descriptors() <= before end), 'no descriptors are left')

-- No more than so many.
local inside = fiber.channel(10)
local release = fiber.channel(0)
crowd, crowd_addr = socket.tcp_server('127.0.0.1', 0, {
    max_connections = 2,
    handler = function(c) inside:put(true) release:get() c:write('x') end,
})
clients = {}
for i = 1, 4 do
    clients[i] = socket.tcp_connect(crowd_addr.host, crowd_addr.port)
end
inside:get(10)
inside:get(10)
tap.is(inside:get(0.05), nil, 'the third waits')
release:put(true)
tap.is(inside:get(10), true, 'until the first has gone')
release:put(true)
release:put(true)
release:put(true)
for i = 1, 4 do
    tap.is(clients[i]:read(1, 10), 'x', 'each in its turn')
    clients[i]:close()
end
crowd:close()

-- No descriptors: it says so once, and goes on when there are some.
crowd, crowd_addr = socket.tcp_server('127.0.0.1', 0, function(c) c:write('in') end)
client = socket('AF_INET', 'SOCK_STREAM', 'tcp')
local few = ffi.new('struct neap_test_rlimit', 0, limit.max)
ffi.C.setrlimit(RLIMIT_NOFILE, few)
tap.ok(client:sysconnect(crowd_addr.host, crowd_addr.port)
    or client:errno() == errno.EINPROGRESS, 'somebody knocks')
local none, why = socket('AF_INET', 'SOCK_STREAM', 'tcp')
code = errno()
tap.ok(none == nil and code == errno.EMFILE and why.errno == errno.EMFILE,
    'no descriptor for a socket')
none = socket.tcp_connect('127.0.0.1', crowd_addr.port)
code = errno()
tap.ok(none == nil and code == errno.EMFILE, 'nor for a connection')
tap.is(client:read(2, 0.15), nil, 'nobody is let in')
ffi.C.setrlimit(RLIMIT_NOFILE, most)
tap.is(client:read(2, 10), 'in', 'until there is one')
client:close()
crowd:close()
server:close()

-- Close under those who are inside: they stay.
server, addr = socket.tcp_server('127.0.0.1', 0, function(c)
    c:write(c:read('\n', 10) or '')
end)
client = socket.tcp_connect(addr.host, addr.port)
fiber.sleep(0.01)
server:close()
client:write('inside\n')
tap.is(client:read('\n', 10), 'inside\n', 'who is in stays')
client:close()

-- A server whose fiber is cancelled closes its socket.
server, addr = socket.tcp_server('127.0.0.1', 0, {handler = print, name = 'mortal'})
fiber.yield()
for id, f in pairs(fiber.info()) do
    if f.name:find('^mortal/') then
        fiber.cancel(fiber.find(id))
    end
end
tap.ok(soon(function() return not pcall(server.fd, server) end), 'it is closed')

-- IPv6.
server, addr = socket.tcp_server('::1', 0, function(c) c:write('six') end)
if server == nil then
    tap.skip('IPv6', 'this machine has none')
else
    tap.is(addr.family, 'AF_INET6', 'IPv6')
    client = socket.tcp_connect('::1', addr.port)
    tap.is(client:read(3), 'six', 'over IPv6')
    tap.is(client:peer().host, '::1', 'whom it talks to')
    client:close()
    server:close()
end

fio.rmtree(dir)
log.info('done')
tap.done()
