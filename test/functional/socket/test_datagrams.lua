-- Datagrams: UDP over IPv4 and IPv6, unix sockets with files and abstract names;
-- sizes, none, too much, and what is cut.
-- test: variants
local errno = require('errno')
local fiber = require('fiber')
local fio = require('fio')
local json = require('json')
local socket = require('socket')
local tap = require('tap')

local function udp(host)
    local s = assert(socket(host and 'AF_INET6' or 'AF_INET', 'SOCK_DGRAM', 'udp'))
    if not s:bind(host or '127.0.0.1', 0) then
        return nil
    end
    return s, s:name().port
end

local s, port = udp()
local sc = socket('AF_INET', 'SOCK_DGRAM', 'udp')
tap.is(s:name().protocol, 'udp', 'its protocol')
tap.is(s:getsockopt('socket', 'SO_TYPE'), 2, 'its type')

-- Nothing there.
for _, size in ipairs({false, 512}) do
    size = size or nil
    tap.is(s:recv(size), nil, 'recv of nothing')
    tap.is(s:errno(), errno.EAGAIN, 'says so')
    local data, err = s:recvfrom(size)
    tap.ok(data == nil and err.errno == errno.EAGAIN, 'recvfrom of nothing')
end

-- Some.
tap.is(sc:sendto('127.0.0.1', port, 'Hello, world'), 12, 'sendto')
tap.is(s:readable(10), true, 'it comes')
tap.same({s:recv()}, {'Hello, world'}, 'recv, and no more results')
sc:sendto('127.0.0.1', port, 'Hello, world, 2')
s:readable(10)
local d, from = s:recvfrom()
tap.is(d, 'Hello, world, 2', 'recvfrom')
tap.is(from.port, sc:name().port, 'who')
from.port = 1
tap.same(json.decode(json.encode({d, from})),
    {'Hello, world, 2', {host = '127.0.0.1', family = 'AF_INET', port = 1}},
    'nothing more is told')
tap.is(sc:sendto('127.0.0.1', port), true, 'sendto of nothing')
tap.is(sc:sendto('127.0.0.1', port, 1.5), 3, 'sendto of a number')
s:readable(10)
tap.is(s:recv(), '1.5', 'as text')
tap.is(sc:sendto('localhost', port, 'x'), nil, 'sendto wants a number')
tap.is(sc:errno(), errno.EINVAL, 'says so')
tap.is(sc:sendto('127.0.0.1', 'none', 'x'), nil, 'and a port')

-- An empty one.
tap.is(sc:sendto('127.0.0.1', port, ''), 0, 'an empty one')
s:readable(10)
tap.same({s:recv()}, {''}, 'is not nothing')
tap.is(s:errno(), 0, 'and no error')
sc:sendto('127.0.0.1', port, '')
s:readable(10)
d, from = s:recvfrom(512)
tap.ok(d == '' and from.host == '127.0.0.1', 'from somebody')

-- What is cut is told, and gone.
local long = ('x'):rep(1025)
for _, name in ipairs({'recv', 'recvfrom'}) do
    sc:sendto('127.0.0.1', port, long)
    sc:sendto('127.0.0.1', port, 'next')
    s:readable(10)
    local results = {s[name](s, 512)}
    tap.ok(results[1] == long:sub(1, 512) and s:errno() == 0, name .. ' cuts')
    tap.is(results[#results], 1025, name .. ' tells the whole size')
    tap.is(s:recv(4), 'next', 'the rest is gone')
    sc:sendto('127.0.0.1', port, long)
    s:readable(10)
    tap.is(#s[name](s), 1025, name .. ' without a size has all')
end
sc:sendto('127.0.0.1', port, 'abc')
s:readable(10)
tap.same({s:recv(0)}, {'', 3}, 'no room at all')

-- The longest there is, and beyond.
local longest = ('y'):rep(65507)
s:setsockopt('socket', 'SO_RCVBUF', 1048576)
tap.is(sc:sendto('127.0.0.1', port, longest), 65507, 'the longest')
s:readable(10)
tap.ok(s:recv() == longest, 'came whole')
sc:sendto('127.0.0.1', port, longest)
s:readable(10)
tap.ok(s:recv(1e9) == longest, 'with a size of a billion')
tap.is(sc:sendto('127.0.0.1', port, longest .. 'z'), nil, 'one longer')
tap.is(sc:errno(), errno.EMSGSIZE, 'is too long')

-- Connected ones, read, send, and nobody there.
tap.is(sc:sysconnect('127.0.0.1', port), true, 'connect')
tap.is(sc:send('one'), 3, 'send')
tap.is(sc:write('two'), 3, 'write')
s:readable(10)
tap.is(s:recv(10, 'MSG_PEEK'), 'one', 'a look')
tap.is(s:recv(10), 'one', 'one')
tap.is(s:recv(10), 'two', 'two')
local f = fiber.new(function() return s:read(5, 10) end)
f:set_joinable(true)
fiber.yield()
sc:send('three')
tap.same({f:join()}, {true, 'three'}, 'read waits for one')
local lost = port
s:close()
sc:send('nobody')
local err
for _ = 1, 100 do
    sc:readable(0.01)
    d, err = sc:recv()
    if d == nil and err.errno == errno.ECONNREFUSED then
        break
    end
end
tap.is(err.errno, errno.ECONNREFUSED, 'nobody is there')
tap.is(sc:sysconnect('127.0.0.1', lost), true, 'one may connect to nobody')
sc:close()

-- bind without a port; many fibers that wait for datagrams.
s = socket('AF_INET', 'SOCK_DGRAM', 'udp')
tap.is(s:bind('127.0.0.1'), true, 'bind without a port')
port = s:name().port
tap.ok(port > 0, 'gets one')
s:nonblock(false)
local got = {}
local g = fiber.group()
for i = 1, 20 do
    g:spawn(function() got[i] = s:recvfrom() end)
end
fiber.sleep(0.01)
sc = socket('AF_INET', 'SOCK_DGRAM', 'udp')
for i = 1, 20 do
    sc:sendto('127.0.0.1', port, tostring(i))
end
g:wait()
local sum = 0
for i = 1, 20 do
    sum = sum + tonumber(got[i])
end
tap.is(sum, 210, 'each has got one')
s:close()
sc:close()

-- IPv6.
s, port = udp('::1')
if s == nil then
    tap.skip('IPv6', 'this machine has none')
else
    sc = socket('AF_INET6', 'SOCK_DGRAM', 'udp')
    sc:sendto('::1', port, 'six')
    s:readable(10)
    d, from = s:recvfrom()
    tap.same({d, from.host, from.family}, {'six', '::1', 'AF_INET6'}, 'IPv6')
    tap.is(s:getsockopt('ipv6', 'IPV6_V6ONLY') >= 0, true, 'an option of IPv6')
    s:close()
    sc:close()
end

-- Unix datagrams, longer than those over IP can be.
local dir = fio.tempdir()
local path = fio.pathjoin(dir, 'd')
s = socket('AF_UNIX', 'SOCK_DGRAM', 0)
sc = socket('AF_UNIX', 'SOCK_DGRAM', 0)
tap.is(s:bind('unix/', path), true, 'a file')
tap.is(sc:sendto('unix/', path, 'hello'), 5, 'sendto a file')
s:readable(10)
d, from = s:recvfrom()
tap.ok(d == 'hello' and from == nil or from.port == '', 'from nobody')
sc:bind('unix/', path .. '2')
sc:setsockopt('socket', 'SO_SNDBUF', 400000)
long = ('z'):rep(150000)
tap.is(sc:sendto('unix/', path, long), 150000, 'a long one')
s:readable(10)
d, from = s:recvfrom()
tap.ok(d == long, 'came whole')
tap.same(from, {host = 'unix/', port = path .. '2', family = 'AF_UNIX'}, 'from whom')
sc:sendto('unix/', path, long)
s:readable(10)
local cut, whole = s:recv(100000)
tap.ok(#cut == 100000 and whole == 150000, 'cut')
-- Reading one as a stream does not cut it.
sc:sendto('unix/', path, ('r'):rep(60000))
tap.is(#s:read(60000, 10), 60000, 'read of a long one')
s:close()
sc:close()
tap.is(fio.stat(path) ~= nil, true, 'bind leaves the file')

-- Abstract names, and limits of names.
s = socket('AF_UNIX', 'SOCK_DGRAM', 0)
local name = '\0neap test ' .. fio.basename(dir)
tap.is(s:bind('unix/', name), true, 'an abstract name')
tap.is(s:name().port, name, 'is what it is')
sc = socket('AF_UNIX', 'SOCK_DGRAM', 0)
tap.is(sc:sendto('unix/', name, 'abstract'), 8, 'sendto it')
s:readable(10)
tap.is(s:recv(), 'abstract', 'it comes')
s:close()
tap.is(sc:sendto('unix/', name, 'x'), nil, 'it is gone with its socket')
tap.is(sc:errno(), errno.ECONNREFUSED, 'says so')
for _, case in ipairs({
    {('a'):rep(108), errno.ENOBUFS}, {('a'):rep(5000), errno.ENOBUFS},
    {'\0' .. ('a'):rep(108), errno.ENOBUFS}, {'', errno.EINVAL},
    {'\0', errno.EINVAL}, {'a\0b', errno.EINVAL},
}) do
    local u = socket('AF_UNIX', 'SOCK_DGRAM', 0)
    local ok, why = u:bind('unix/', case[1])
    tap.ok(ok == false and why.errno == case[2] and u:errno() == case[2],
        'a name that is none')
    u:close()
end
s = socket('AF_UNIX', 'SOCK_DGRAM', 0)
tap.is(s:bind('unix/', '\0' .. ('b'):rep(107)), true, 'the longest abstract name')
tap.is(#s:name().port, 108, 'is all there')
s:close()
sc:close()

-- Packets in order, with their ends.
local a, b = socket.socketpair('AF_UNIX', 'SOCK_SEQPACKET', 0)
a:send('one')
a:send('two')
tap.same({b:recv(2)}, {'on', 3}, 'a packet that is cut')
tap.is(b:recv(), 'two', 'the next')
a:close()
tap.is(b:recv(), '', 'the end')
b:close()
fio.rmtree(dir)
tap.done()
