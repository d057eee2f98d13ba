-- The module socket: the names, arguments and answers of Tarantool's documentation,
-- in the order in which its own tests go through them.
-- test: variants
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local json = require('json')
local socket = require('socket')
local tap = require('tap')
local yaml = require('yaml')

local FOR = 10 -- seconds, for what comes soon

-- Arguments.
tap.is(type(socket), 'table', 'the module is a table')
local s, err = socket('PF_INET', 'SOCK_STREAM', 'tcp121222')
tap.ok(s == nil and errno() == errno.EPROTOTYPE and err ~= nil, 'no such protocol')
s, err = socket('PF_NONE', 'SOCK_STREAM', 'tcp')
tap.ok(s == nil and errno() == errno.EINVAL and err ~= nil, 'no such domain')
tap.ok(socket('PF_INET', 'SOCK_X', 'tcp') == nil and errno() == errno.EINVAL,
    'no such type')
tap.is(socket.internal, nil, 'nothing internal')
s = socket('PF_INET', 'SOCK_STREAM', 'tcp')
tap.is(type(s), 'table', 'a socket is a table')
local unchecked = {}
for name, method in pairs(getmetatable(s).__index) do
    for _, self in ipairs({false, {}, {1}, 'x'}) do
        local ok, text = pcall(method, self or nil)
        if ok or not tostring(text):find('Usage: socket:method', 1, true) then
            unchecked[#unchecked + 1] = name
        end
    end
end
tap.same(unchecked, {}, 'every method wants a socket')
for _, name in ipairs({
    'close', 'errno', 'error', 'sysconnect', 'syswrite', 'sysread', 'nonblock',
    'readable', 'writable', 'wait', 'listen', 'bind', 'shutdown', 'setsockopt',
    'getsockopt', 'linger', 'accept', 'read', 'write', 'send', 'recv',
    'recvfrom', 'sendto', 'name', 'peer', 'fd', 'detach',
}) do
    tap.is(type(s[name]), 'function', 'there is ' .. name)
end
tap.is(s:close(), true, 'close')
for _, name in ipairs({'close', 'fd', 'errno', 'error', 'read', 'name', 'detach'}) do
    tap.throws(function() return s[name](s, 1) end,
        'attempt to use closed socket', name .. ' of a closed one')
end

-- A listening socket and one that connects to it.
local master = socket('PF_INET', 'SOCK_STREAM', 'tcp')
tap.is(master:setsockopt('SOL_SOCKET', 'SO_REUSEADDR', true), true, 'an option')
tap.is(master:error(), nil, 'no error')
tap.is(master:bind('127.0.0.1', 0), true, 'bind')
tap.is(master:listen(128), true, 'listen')
tap.ok(master:name().port > 0, 'a free port')
local sc = socket('PF_INET', 'SOCK_STREAM', 'tcp')
tap.ok(sc:sysconnect('127.0.0.1', master:name().port)
    or sc:errno() == errno.EINPROGRESS, 'sysconnect')
tap.is(sc:writable(FOR), true, 'writable')
tap.is(master:readable(FOR), true, 'somebody came')
local sa, from = master:accept()
tap.is(sa:name().host, from.host, 'the same host')
tap.same({from.family, from.type, from.protocol},
    {'AF_INET', 'SOCK_STREAM', 'tcp'}, 'what it is')
tap.is(from.port, sc:name().port, 'who it is')
tap.is(select('#', master:accept()), 2, 'nobody else: two results')
tap.is(master:errno(), errno.EAGAIN, 'as nobody is there')
tap.is(sc:wait(FOR), 'W', 'only writable')
tap.is(sc:readable(0), false, 'nothing to read')
tap.is(sc:errno(), errno.ETIMEDOUT, 'in time')
tap.like(sc:error(), 'timed out', 'in words')
tap.is(sc:writable(1e-14), true, 'a very short time')

-- nonblock.
for _, flag in ipairs({true, false, true}) do
    tap.is(sa:nonblock(flag), flag, 'nonblock')
    tap.is(sa:nonblock(), flag, 'nonblock now')
end
tap.is(sa:nonblock(1), true, 'nonblock of a number')

-- iowait.
local fd = sc:fd()
tap.is(socket.iowait(fd, 'W'), 'W', 'iowait W')
tap.is(socket.iowait(fd, 'w'), 'W', 'iowait w')
tap.is(socket.iowait(fd, 2), 2, 'iowait 2')
sa:write('x')
sc:readable(FOR)
tap.is(sc:wait(FOR), 'RW', 'both')
tap.is(socket.iowait(fd, 'RW'), 'RW', 'iowait RW')
tap.is(socket.iowait(fd, 3), 3, 'iowait 3')
tap.is(socket.iowait(fd, 'r'), 'R', 'iowait r')
tap.is(socket.iowait(fd, 1), 1, 'iowait 1')
tap.is(socket.iowait(fd, 'RW', -100500), 'RW', 'iowait with a time long ago')
tap.is(sc:sysread(), 'x', 'sysread')
tap.same({socket.iowait(fd, 'R', 0.001), errno()}, {'', errno.ETIMEDOUT},
    'iowait in vain')
tap.is(socket.iowait(fd, 1, 0), 0, 'iowait in vain, a number')
for _, args in ipairs({{fd, ''}, {fd, -1}, {nil, 'RW'}, {0, nil}, {fd, 'X'},
    {-1, 'R'}, {0 / 0, 'R'}, {2 ^ 32 + fd, 'R'}, {fd + 0.5, 'R'}}) do
    tap.throws(function() socket.iowait(args[1], args[2]) end, 'Usage: iowait',
        'iowait of nothing known')
end
tap.throws(function() socket.iowait() end, 'Usage: iowait', 'iowait of nothing, for ever')
tap.is(select('#', socket.iowait(nil, nil, -1)), 0, 'iowait sleeps')
tap.is(select('#', socket.iowait(-1, nil, 0.001)), 0, 'iowait sleeps, too')

-- Memory of the FFI.
local buffer = ffi.new('char[16]')
tap.is(sa:syswrite(ffi.cast('const char *', 'pingpong'), 4), 4, 'syswrite of memory')
sc:readable(FOR)
tap.is(sc:sysread(buffer, 16), 4, 'sysread to memory')
tap.is(ffi.string(buffer, 4), 'ping', 'what came')

-- read: sizes.
tap.is(sc:write('Hello, world'), 12, 'write')
tap.is(sa:read(8), 'Hello, w', 'read 8')
tap.is(sa:read(3), 'orl', 'read 3')
sc:write(', again')
tap.is(sa:read(8), 'd, again', 'read across two writes')
tap.is(sa:error(), nil, 'no error')
tap.is(sa:read(0), '', 'read nothing')
local data
data, err = sa:read(1, 0.01)
tap.ok(data == nil and err.type == 'TimedOut', 'read in vain')
tap.is(sa:errno(), errno.ETIMEDOUT, 'it says so')
tap.throws(function() sc:read(-1) end, 'limit can not be negative', 'read(-1)')
tap.throws(function() sc:sysread(-1) end, 'size can not be negative', 'sysread(-1)')
for _, bad in ipairs({true, {}, {chunk = true}, {delimiter = 1},
    {delimiter = {1}}, 0 / 0}) do
    tap.throws(function() sc:read(bad) end, 'Usage: s:read', 'read of ' .. tostring(bad))
end
tap.throws(function() sc:read() end, 'Usage: s:read', 'read of none')
for _, bad in ipairs({'', ('x'):rep(4097), {delimiter = {}}, {delimiter = {''}},
    {delimiter = {'1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12',
        '13', '14', '15', '16', '17'}}}) do
    tap.throws(function() sc:read(bad) end, 'delimiter', 'delimiters that are none')
end
tap.throws(function() sc:read(1, 'x') end, 'timeout', 'a time that is none')
tap.throws(function() sc:read(1, 0 / 0) end, 'timeout', 'a time that is NaN')
tap.throws(function() sc:write() end, 'Usage', 'write of nothing')
tap.throws(function() sc:write({}) end, 'Usage', 'write of a table')
tap.throws(function() sc:send(nil) end, 'Usage', 'send of nothing')
tap.throws(function() sc:syswrite() end, 'Usage', 'syswrite of nothing')
tap.is(sc:write(''), 0, 'write no bytes')
tap.is(select('#', sc:write('')), 1, 'one result')

-- send and recv.
tap.is(sc:send('abc'), 3, 'send')
tap.is(sa:read(3), 'abc', 'it came')
sc:send('Hello')
sa:readable(FOR)
tap.is(sa:recv(), 'Hello', 'recv')
tap.is(sa:recv(), nil, 'recv when nothing is there')
tap.is(sa:errno(), errno.EAGAIN, 'as it says')
tap.same({sc:send('x', 'MSG_NONE') == nil, errno()}, {true, errno.EINVAL},
    'a flag that is none')
sc:send('peek')
sa:readable(FOR)
tap.is(sa:recv(10, {'MSG_PEEK'}), 'peek', 'a look at it')
tap.is(sa:recv(2), 'pe', 'some of it')
tap.is(sa:recv(10), 'ek', 'and the rest')

-- read: delimiters.
sc:send('Hello')
sc:send(', world')
sc:send('\\nnew line')
tap.is(sa:read('\\n', FOR), 'Hello, world\\n', 'a delimiter of two')
tap.is(sa:read({chunk = 1, delimiter = 'ine'}, FOR), 'n', 'the chunk is first')
tap.is(sa:read('ine', FOR), 'ew line', 'the delimiter is first')
tap.is(sa:read('ine', 0.01), nil, 'no more')
sc:send('Hello, world')
tap.is(sa:read(',', FOR), 'Hello,', 'up to the comma')
tap.is(sa:recv(), ' world', 'recv gives what was read ahead')
sc:write('Hello\r\n\r\nworld\n\n')
tap.is(sa:read({line = {'\n\n', '\r\n\r\n'}}), 'Hello\r\n\r\n', 'several delimiters')
tap.is(sa:read({delimiter = {'\r\n\r\n', '\n\n'}}), 'world\n\n', 'the other one')

-- Size and delimiter together, and the end.
local body = 'a 10\nb 15\nabc'
sc:write(body)
tap.is(sc:shutdown('W'), true, 'half of it is over')
tap.is(sa:read({size = #body, delimiter = '\n'}), 'a 10\n', 'line one')
tap.is(sa:read({size = #body - 5, delimiter = '\n'}), 'b 15\n', 'line two')
tap.is(sa:read({size = 3, delimiter = '\n'}), 'abc', 'what is left')
tap.is(sa:read({size = 0, delimiter = '\n'}), '', 'no more wanted')
tap.is(sa:read({delimiter = '\n'}), '', 'the end')
tap.is(sa:read(1), '', 'still the end')
tap.is(sa:sysread(1), '', 'and so for sysread')
tap.is(sa:recv(1), '', 'and recv')
tap.is(sa:error(), nil, 'which is no error')
tap.is(sa:write('half'), 4, 'the other half')
tap.is(sc:read(4), 'half', 'still works')
tap.ok(tostring(sa):find('^fd %d+, aka 127.0.0.1:%d+, peer 127.0.0.1:%d+$'),
    'as text')
tap.is(tostring(sa:peer()), '127.0.0.1:' .. sc:name().port, 'an address as text')
for _, how in ipairs({'read', 'X', false, {}}) do
    tap.is(sa:shutdown(how), false, 'no such direction')
    tap.is(sa:errno(), errno.EINVAL, 'is invalid')
end
tap.is(sa:write('yet'), 3, 'and ends none')
tap.is(sa:shutdown('RW'), true, 'both')
local one, two = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
tap.is(one:shutdown(socket.SHUT_WR), true, 'a half by its number')
two:write('back')
tap.is(one:read(4, 5), 'back', 'while the other one is open')
tap.is(two:read(1, 5), '', 'and hears of it')
tap.is(two:shutdown(socket.SHUT_RD) and two:shutdown(socket.SHUT_RDWR), true, 'the others')
one:close()
two:close()
sa:close()
tap.is(sc:shutdown('R'), false, 'one that is over')
tap.is(sc:errno(), errno.ENOTCONN, 'is not connected')
sc:close()

-- Options.
s = socket('AF_INET', 'SOCK_STREAM', 'tcp')
tap.is(s:setsockopt('SOL_SOCKET', 'SO_BROADCAST', false), true, 'SO_BROADCAST')
tap.is(s:getsockopt('socket', 'SO_TYPE'), 1, 'SO_TYPE')
tap.is(s:setsockopt('SOL_SOCKET', 'SO_DEBUG', false), true, 'SO_DEBUG')
tap.is(s:getsockopt('socket', 'SO_DEBUG'), 0, 'SO_DEBUG is off')
tap.throws(function() s:setsockopt('SOL_SOCKET', 'SO_ACCEPTCONN', 1) end,
    'Socket option SO_ACCEPTCONN is read only', 'read only')
tap.ok(s:getsockopt('SOL_SOCKET', 'SO_RCVBUF') > 32, 'SO_RCVBUF')
for _, level in ipairs({'IPPROTO_TCP', 'SOL_TCP', 'tcp', 6}) do
    for _, on in ipairs({true, false}) do
        tap.is(s:setsockopt(level, 'TCP_NODELAY', on), true, 'TCP_NODELAY')
        tap.is(s:getsockopt(level, 'TCP_NODELAY') > 0, on, 'so it is')
    end
end
tap.ok(not s:setsockopt(nil, 'TCP_NODELAY', true) and errno() == errno.EINVAL,
    'no level')
tap.ok(not s:getsockopt(nil, 'TCP_NODELAY') and errno() == errno.EINVAL, 'no level')
tap.ok(s:setsockopt('bogus', 'X', 1) == false and errno() == errno.EPROTOTYPE,
    'no such level')
tap.throws(function() s:getsockopt('socket', 'SO_X') end,
    'Unknown socket option name: SO_X', 'no such option')
tap.throws(function() s:setsockopt('socket', 'SO_LINGER', 1) end, 'linger', 'linger')
tap.throws(function() s:getsockopt('socket', 'SO_LINGER') end, 'linger', 'linger')
tap.throws(function() s:setsockopt('tcp', 'TCP_NODELAY', {}) end, 'wanted',
    'a value that is none')
tap.is(s:getsockopt('tcp', 1), 0, 'an option by number')
for _, on in ipairs({true, false}) do
    s:setsockopt('SOL_SOCKET', 'SO_REUSEPORT', on)
    tap.is(s:getsockopt('SOL_SOCKET', 'SO_REUSEPORT') > 0, on, 'SO_REUSEPORT')
end
tap.is(s:setsockopt('SOL_SOCKET', 'SO_RCVTIMEO', 1.5), true, 'a time')
tap.ok(math.abs(s:getsockopt('SOL_SOCKET', 'SO_RCVTIMEO') - 1.5) < 0.01, 'so it is')
tap.is(type(s:getsockopt('tcp', 'TCP_CONGESTION')), 'string', 'a text')
for _, want in ipairs({{true, 1}, {false, 1}, {true, 0}}) do
    tap.same({s:linger(want[1], want[2])}, want, 'linger is set')
    tap.same({s:linger()}, want, 'linger is')
end
tap.same({s:linger(true)}, {true, 0}, 'linger without a time')
tap.same(s:name(), {host = '0.0.0.0', port = 0, family = 'AF_INET',
    type = 'SOCK_STREAM', protocol = 'tcp'}, 'name')
tap.is(s:peer(), nil, 'no peer')
tap.is(s:errno(), errno.ENOTCONN, 'as it says')
tap.is(json.decode(json.encode(s)).fd, s:fd(), 'as JSON')
tap.is(yaml.decode(yaml.encode(s)).name.host, '0.0.0.0', 'as YAML')
for _, host in ipairs({'localhost', '*', '', '1.2.3', 'unix/'}) do
    tap.is(s:bind(host, host == 'unix/' and '' or -1), false, 'bind ' .. host)
    tap.is(s:errno(), errno.EINVAL, 'is invalid')
end
tap.is(s:bind('127.0.0.1', 65536), false, 'a port that is none')
tap.is(s:bind(), false, 'bind nothing')
local file = socket('AF_UNIX', 'SOCK_STREAM', 0)
tap.is(file:bind('unix/'), false, 'bind no file')
tap.is(file:errno(), errno.EINVAL, 'is invalid')
file:close()
tap.is(socket.tcp_server('unix/', nil, print), nil, 'serve no file')
tap.is(s:bind(0, 0), true, 'bind all')
tap.is(s:name().host, '0.0.0.0', 'they are')
tap.is(s:bind('127.0.0.1', 0), false, 'bind twice')
tap.is(s:errno(), errno.EINVAL, 'is invalid')
s:close()

-- tcp_connect, in all ways.
local port = master:name().port
errno(5)
sc, err = socket.tcp_connect('127.0.0.1', port)
tap.ok(sc ~= nil and err == nil and errno() == 0, 'tcp_connect')
sc:close()
sc = socket.tcp_connect('localhost', port)
tap.ok(sc ~= nil, 'tcp_connect by name')
sc:close()
sc, err = socket.tcp_connect('127.0.0.1', port, 0)
tap.ok(sc == nil or sc:peer() ~= nil, 'in no time')
master:close()
sc, err = socket.tcp_connect('127.0.0.1', port)
tap.ok(sc == nil and errno() == errno.ECONNREFUSED, 'nobody is there')
tap.ok(err.type == 'SystemError' and err.errno == errno.ECONNREFUSED
    and tostring(err):find('refused'), 'the error')
sc, err = socket.tcp_connect('abrakadabra#123')
tap.ok(sc == nil and errno() == errno.EINVAL and err ~= nil, 'no host')
tap.throws(function() socket.tcp_connect() end, 'Usage', 'no arguments')
tap.throws(function() socket.tcp_connect('127.0.0.1', 1, {tsl = true}) end,
    "no option 'tsl'", 'an option that is none')
s = socket('PF_INET', 'SOCK_STREAM', 'tcp')
tap.is(s:sysconnect('127.0.0.1', port)
    or s:errno() == errno.EINPROGRESS or s:errno() == errno.ECONNREFUSED, true,
    'sysconnect to nobody')
s:writable(FOR)
tap.is(tostring(s):find('peer'), nil, 'no peer')
local reason = s:getsockopt('SOL_SOCKET', 'SO_ERROR')
tap.ok(reason == errno.ECONNREFUSED or reason == 0, 'SO_ERROR')
s:close()
s = socket('PF_INET', 'SOCK_STREAM', 'tcp')
s:nonblock(false)
tap.is(s:sysconnect('127.0.0.1', port), false, 'sysconnect that waits')
tap.is(s:errno(), errno.ECONNREFUSED, 'it says why')
s:close()
s = socket('PF_INET', 'SOCK_STREAM', 'tcp')
tap.is(s:read(9), nil, 'read of none that is connected')
tap.is(s:errno(), errno.ENOTCONN, 'an error')
tap.ok(tostring(s):find('^fd %d+, aka 0.0.0.0:0$'), 'as text')
tap.is(s:errno(), errno.ENOTCONN, 'which does not change it')
s:close()

-- from_fd, detach, socketpair.
local a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
tap.ok(a:nonblock() and b:nonblock(), 'a pair')
a:write('x')
tap.is(b:read(1), 'x', 'they are connected')
local c = socket.from_fd(a:fd())
tap.is(c:fd(), a:fd(), 'the same descriptor')
tap.is(select('#', a:detach()), 0, 'detach')
tap.throws(function() a:detach() end, 'closed socket', 'detach twice')
c:write('y')
tap.is(b:read(1), 'y', 'still connected')
c:close()
tap.is(b:read(1), '', 'the end')
b:close()
tap.same({socket.socketpair('AF_INET', 'SOCK_STREAM', 0) == nil, errno()},
    {true, errno.EOPNOTSUPP}, 'no such pair')
for _, bad in ipairs({'x', -1, 1.5, 2 ^ 32 + 1000000}) do
    tap.throws(function() socket.from_fd(bad) end, 'Usage', 'from_fd of ' .. bad)
end
local bad = socket.from_fd(1000000)
tap.is(bad:sysread(), nil, 'a descriptor that is none')
tap.is(bad:errno(), errno.EBADF, 'says so')
tap.same({bad:close(), nil}, {false}, 'nor can it be closed')

-- A socket that is collected is closed; not so one that was detached.
local dir = fio.tempdir()
local path = fio.pathjoin(dir, 's')
do
    local lost = socket('AF_UNIX', 'SOCK_STREAM', 0)
    lost:bind('unix/', path)
    lost:listen()
    lost = nil -- luacheck: ignore
end
local tries = 0
repeat
    collectgarbage()
    tries = tries + 1
    local again = socket.tcp_connect('unix/', path)
    if again ~= nil then
        again:close()
    end
until again == nil or tries > 100
tap.is(errno(), errno.ECONNREFUSED, 'nobody listens any more')
fio.rmtree(dir)

-- Options that are none: what is misspelt would be a connection in plain text.
s = socket('AF_INET', 'SOCK_STREAM', 'tcp')
for _, value in ipairs({ false, 5, 'tls' }) do
    tap.throws(function() s:accept(value) end, 'Usage: s:accept', 'accept()')
    if value then
        tap.throws(function() socket.getaddrinfo('127.0.0.1', 80, 1, value) end,
            'Usage: socket.getaddrinfo', 'getaddrinfo()')
    end
end
tap.throws(function() s:accept({ tsl = {} }) end, "no option 'tsl'", 'another one')
s:close()

-- Sockets in tables: their own fields are the user's.
s = socket('AF_INET', 'SOCK_STREAM', 'tcp')
s.mine = 1
tap.is(s.mine, 1, 'a field')
tap.is(s.host, nil, 'no field')
s[1] = nil
tap.throws(function() tostring(s) end, 'called with non%-socket', 'tampered with')
fiber.sleep(0)
tap.done()
