-- The module `socket`: TCP, UDP and unix sockets.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation, the wrappers for LuaSocket's names among them. No function keeps
-- other fibers waiting: what cannot be done at once is waited for by the loop, and
-- names of hosts are looked up by threads of the pool. Every wait ends early when
-- its fiber is cancelled, or the time of `fiber.deadline()` is over, which throws.
--
-- `socket(domain, type, protocol)` makes one that is not connected yet, or is `nil, err`:
-- the arguments are names of the system, or their numbers, such as `AF_INET`, `AF_INET6`
-- or `AF_UNIX`; `SOCK_STREAM` or `SOCK_DGRAM`; `tcp`, `udp` or 0.
--
-- What the system refuses is `nil, err` or `false, err`; `errno()` and the socket's
-- `errno()` and `error()` have the reason, too. Wrong usage throws, and so does a
-- socket that was closed, also under a fiber that waits in `read` or `write`. A timeout
-- is in seconds; none is for ever, 0 is not to wait. A socket that is collected is
-- closed.
--
-- A host is an address by number (`127.0.0.1`, `::1`, 0 for all) or, where it says so, a
-- name; `unix/` is a unix socket, and the port its file, or an abstract name if it
-- begins with a zero byte.
local c = ...

local fiber = require('fiber')
local errno = require('errno')
local ffi = require('ffi')

local c_read, c_write, c_park, c_ready, c_due =
    c.read, c.write, c.park, c.ready, c.due
local usage, give_up = c.usage, c.give_up
local type, setmetatable, tostring, error = type, setmetatable, tostring, error
local IN, OUT = c.events.IN, c.events.OUT

local methods, parts = {}, {}
local socket_mt = {__index = methods}

local function object_of(box)
    return setmetatable({box}, socket_mt)
end

-- --- arguments ---

local function number_of(names, name)
    if type(name) == 'number' then
        return name
    end
    return names[name]
end

-- Numbers, or names, one or an array of them; nil: one has no such name.
local function flags_of(names, flags)
    if flags == nil then
        return 0
    elseif type(flags) ~= 'table' then
        return number_of(names, flags)
    end
    local sum = 0
    for _, flag in pairs(flags) do
        local value = number_of(names, flag)
        if value == nil then
            return nil
        end
        sum = bit.bor(sum, value)
    end
    return sum
end

local function protocol_of(name)
    if name == nil or type(name) == 'number' then
        return name or 0
    end
    return type(name) == 'string' and c.protocol(name) or nil
end

-- An argument that stands for a number of the system, and does not.
local function refuse(call, what, value, reason)
    local _, err = pcall(usage, ('%s: there is no %s %s'):format(call, what,
        type(value) == 'string' and ('%q'):format(value) or tostring(value)))
    errno(reason or errno.EINVAL)
    return nil, err
end

-- --- waits ---

-- Until it is ready for one of @what, or was closed. Nil and an error when the time
-- is over.
local function await(self, what, due, call)
    local events = c_ready(self, what)
    while events == 0 do
        local status = c_park(self, what, due)
        if status ~= 0 then
            return give_up(self, status, call)
        end
        events = c_ready(self, what, true)
    end
    return events
end

-- @call of a socket that is to wait in each call, until it can be done.
local function insist(call, what, self, ...)
    while true do
        local status = c_park(self, what)
        if status ~= 0 then
            return give_up(self, status, 'socket')
        end
        local ok, a, b = call(self, ...)
        if ok ~= false then
            return ok, a, b
        end
    end
end

-- What one of those has returned, without what is nil at its end.
local function results(ok, a, b)
    if b ~= nil then
        return ok, a, b
    elseif a ~= nil then
        return ok, a
    end
    return ok
end

--- socket_object:readable([timeout]) -> boolean
-- Wait until there is something to read, an end or an error among it, or somebody to
-- accept; false: not within @timeout seconds. True also when another fiber closes it.
-- Yields: maybe. Throws: cancelled; it is closed.
function methods:readable(timeout)
    return await(self, IN, timeout and c_due(timeout), 'readable') ~= nil
end

--- socket_object:writable([timeout]) -> boolean
-- The same for room to write, or a connection that was begun and now is, or failed,
-- within @timeout seconds. Yields: maybe. Throws: cancelled; it is closed.
function methods:writable(timeout)
    return await(self, OUT, timeout and c_due(timeout), 'writable') ~= nil
end

local event_names = {[IN] = 'R', [OUT] = 'W', [IN + OUT] = 'RW'}

--- socket_object:wait([timeout]) -> string
-- Wait for either of the two: `R`, `W` or `RW`; an empty string: not within
-- @timeout seconds. Yields: maybe. Throws: cancelled; it is closed.
function methods:wait(timeout)
    local events = await(self, IN + OUT, timeout and c_due(timeout), 'wait')
    return events == nil and '' or event_names[events]
end

local wanted = {
    r = IN, w = OUT, rw = IN + OUT, wr = IN + OUT,
    [1] = IN, [2] = OUT, [3] = IN + OUT,
}
local event_numbers = {[IN] = 1, [OUT] = 2, [IN + OUT] = 3}

local function fd_status(status)
    if status == -errno.ETIMEDOUT then
        errno(errno.ETIMEDOUT)
    elseif status ~= 0 then
        c.failed(status)
    end
    return status
end

-- --- data ---

--- socket_object:read(what, [timeout]) -> string | nil, err
-- Wait until so many bytes have come, if @what is a number, or the delimiter, if it is a
-- string, which ends the result then. Of a table `chunk` (or `size`) is a limit and
-- `delimiter` (or `line`) a delimiter or an array of up to 16, of which the first that
-- comes counts; with both, whichever is first. Shorter, or empty: the other side has
-- ended. Not within
-- @timeout seconds is nil and an error of type TimedOut; what has come stays for the
-- next read. Without a limit no more than 64 MiB are read for a delimiter: an error
-- with EMSGSIZE, and they stay. What comes beyond the result is kept, for all
-- functions that read.
-- Yields: maybe. Throws: cancelled; it is closed.
function methods:read(what, timeout)
    local due = timeout ~= nil and c_due(timeout) or nil
    local data, err = c_read(self, what, due)
    while data == 0 do
        data, err = c_read(self, what, due, true)
    end
    if type(data) == 'string' then
        return data
    elseif data == nil then
        return nil, err
    end
    return give_up(self, data, 'socket:read()')
end

local function write_rest(self, data, at, due)
    local n
    repeat
        local status = c_park(self, OUT, due)
        if status ~= 0 then
            return give_up(self, status, 'socket:write()')
        end
        n, at = c_write(self, data, at)
    until n ~= false
    if n == nil then
        return nil, at
    end
    return n
end

--- socket_object:write(data, [timeout]) -> number | nil, err
-- Wait until all of @data is sent, and how many bytes that were. After @timeout
-- seconds it is nil and an error of type TimedOut, and some may be sent. Of two fibers
-- that write at the same time each may be in the middle of the other's. Yields: maybe.
-- Throws: cancelled; it is closed.
function methods:write(data, timeout)
    local n, at = c_write(self, data, 0)
    if n then
        return n
    elseif n == nil then
        return nil, at
    end
    return write_rest(self, data, at, timeout ~= nil and c_due(timeout) or nil)
end

local function send(self, data, flags, call)
    local number = flags_of(c.message_flags, flags)
    if number == nil then
        return refuse(call, 'flag', flags)
    end
    local n, err = c.send(self, data, number, call)
    if n == false then
        n, err = insist(c.send, OUT, self, data, number, call)
    end
    return results(n, err)
end

--- socket_object:send(data, [flags]) -> number | nil, err
-- Send what there is room for of @data, and how many bytes that were; a datagram
-- all or not at all. @flags are names such as `MSG_OOB`, one or an array. EAGAIN: there
-- is no room now. Yields: no, unless `nonblock(false)`. Throws: it is closed.
function methods:send(data, flags)
    return send(self, data, flags, 'socket:send(data[, flags])')
end

--- socket_object:syswrite(data, [size]) -> number | nil, err
-- `send()` of @data without flags, which may be memory of the FFI, of @size bytes.
-- Yields: no, unless `nonblock(false)`. Throws: it is closed.
function methods:syswrite(data, size)
    if type(data) == 'cdata' and type(size) == 'number' and size >= 0 then
        c.fd(self)
        data = ffi.string(data, size)
    end
    return send(self, data, nil, 'socket:syswrite(data) or '
        .. 'socket:syswrite(const char *, size)')
end

--- socket_object:sendto(host, port, data, [flags]) -> number | nil, err
-- Send the datagram @data to @port of @host, which is a number; without data, true.
-- @flags are as those of `send()`. Yields: no, unless `nonblock(false)`. Throws: it is
-- closed.
function methods:sendto(host, port, data, flags)
    local number = flags_of(c.message_flags, flags)
    if number == nil then
        return refuse('socket:sendto()', 'flag', flags)
    elseif data == nil then
        c.fd(self)
        return true
    end
    host, port, data = tostring(host), tostring(port), tostring(data)
    local n, err = c.sendto(self, host, port, data, number)
    if n == false then
        n, err = insist(c.sendto, OUT, self, host, port, data, number)
    end
    return results(n, err)
end

local function recv(self, size, flags, call, with_from)
    local number = flags_of(c.message_flags, flags)
    if number == nil then
        return refuse(call, 'flag', flags)
    end
    local data, a, b = c.recv(self, size, number, call, with_from)
    if data == false then
        data, a, b = insist(c.recv, IN, self, size, number, call, with_from)
    end
    return results(data, a, b)
end

--- socket_object:recv([size], [flags]) -> string, [size] | nil, err
-- What has come, up to @size bytes: unless given, 512 of a stream, and of a datagram
-- all. Of a datagram that is longer the rest is lost, and its whole size is the
-- second result. Empty: a stream has ended, or the datagram is. @flags are names such as
-- `MSG_PEEK`, one or an array. EAGAIN: nothing has come. Yields: no, unless
-- `nonblock(false)`. Throws: it is closed.
function methods:recv(size, flags)
    return recv(self, size, flags, 'socket:recv()', false)
end

--- socket_object:recvfrom([size], [flags]) -> string, table, [size] | nil, err
-- `recv()` of @size and @flags, and who sent it: `{host =, port =, family =}`; nil, of a
-- stream. Yields: no, unless `nonblock(false)`. Throws: it is closed.
function methods:recvfrom(size, flags)
    return recv(self, size, flags, 'socket:recvfrom()', true)
end

--- socket_object:sysread([size]) -> string | nil, err
-- What has come, up to @size bytes (16384). `sysread(buffer, size)` puts them into memory
-- of the FFI that has room, and the result is how many there were. Empty, or 0: it has
-- ended. EAGAIN: nothing has come. Yields: no, unless `nonblock(false)`. Throws: it is
-- closed.
function methods:sysread(buffer, size)
    if type(buffer) == 'cdata' and size ~= nil then
        local data, err = recv(self, size, nil, 'socket:sysread()', false)
        if data == nil then
            return nil, err
        end
        ffi.copy(buffer, data, #data)
        return #data
    end
    local data, err = recv(self, buffer or 16384, nil, 'socket:sysread()',
        false)
    if data == nil then
        return nil, err
    end
    return data
end

-- --- connections ---

local function from_name(name)
    return name.host .. ':' .. name.port
end

local name_mt = {__tostring = from_name}

-- Of those behind a proxy.
local sources = setmetatable({}, {__mode = 'k'})

local function peer_of(self)
    local source = sources[self]
    if source == nil then
        return c.peer(self)
    end
    c.fd(self)
    local name = {}
    for key, value in pairs(source) do
        name[key] = value
    end
    return name
end

--- socket_object:name() -> table | nil, err
-- Its own address: `host`, `port`, `family`, `type` and `protocol`. Yields: no. Throws: it
-- is closed.
function methods:name()
    local name, err = c.name(self)
    if name == nil then
        return nil, err
    end
    return setmetatable(name, name_mt)
end

--- socket_object:peer() -> table | nil, err
-- The same of the other side; with a PROXY header (`tcp_server()`) whom that names.
-- Yields: no. Throws: it is closed.
function methods:peer()
    local name, err = peer_of(self)
    if name == nil then
        return nil, err
    end
    return setmetatable(name, name_mt)
end

--- socket_object:bind(host, [port]) -> boolean, err
-- Give it the address @port (0: a free one) of @host, a number. Yields: no. Throws: it
-- is closed.
function methods:bind(host, port)
    return c.bind(self, tostring(host), port)
end

-- The handshake of one who was let in, or it is closed.
local function greet_accepted(s, from, tls)
    local ran, ok, err = pcall(parts.tls_greet, s, tls, nil, nil,
        'socket:accept()')
    if ran and ok then
        return s, from
    end
    local reason = c.is_open(s) and c.errno(s) or 0
    if c.is_open(s) then
        c.close(s)
    end
    if not ran then
        error(ok, 0)
    end
    errno(reason)
    return nil, err
end

local accept_options = { tls = true }

--- socket_object:accept([options]) -> socket_object, table | nil, err
-- The next one who has connected, and who that is. EAGAIN: nobody has, see
-- `readable()`. @options: `tls`, true, options or a context as `tls_server()` has them: the
-- handshake is done, too; when it fails the connection is closed. Yields: no, unless
-- `nonblock(false)` or with TLS. Throws: it is closed; cancelled.
function methods:accept(options)
    local tls, err
    if options ~= nil then
        if type(options) ~= 'table' then
            usage('Usage: s:accept([options])')
        end
        parts.check_names(options, 's:accept()', accept_options)
        tls, err = parts.tls_plan(options.tls, true)
        if tls == nil then
            return nil, err
        end
    end
    local box, from = c.accept(self)
    if box == false then
        box, from = insist(c.accept, IN, self)
    end
    if box == nil then
        return nil, from
    elseif tls ~= nil then
        return greet_accepted(object_of(box), from, tls)
    end
    return object_of(box), from
end

local in_progress = errno.EINPROGRESS

local function finish_connect(self, due, call)
    repeat
        local status = c_park(self, OUT, due)
        if status ~= 0 then
            return give_up(self, status, call)
        end
        local ok, err = c.connected(self)
    until ok or c.errno(self) ~= in_progress
    if c.errno(self) ~= 0 then
        errno(c.errno(self))
        return false, select(2, give_up(self, -c.errno(self), call))
    end
    return true
end

--- socket_object:sysconnect(host, port) -> boolean, err
-- Connect to @port of @host, a number. EINPROGRESS: it is under way; it is
-- `writable()` when it is done, and then `getsockopt('SOL_SOCKET', 'SO_ERROR')`, or
-- whatever is called next, tells how it went. Yields: no, unless `nonblock(false)`.
-- Throws: it is closed.
function methods:sysconnect(host, port)
    local ok, err = c.connect(self, tostring(host), port)
    if ok then
        return true
    elseif c.is_blocking(self) and (c.errno(self) == in_progress
            or c.errno(self) == errno.EALREADY) then
        return finish_connect(self, nil, 'socket:sysconnect()')
    end
    return false, err
end

--- socket_object:shutdown([how]) -> boolean, err
-- End one direction: @how is `R` or `W`; or both: `RW`, and unless given. `SHUT_RD`,
-- `SHUT_WR` and `SHUT_RDWR` of the module are the same. After `W` the other side reads an end, and may still send.
-- With TLS the end is announced to the other side; there is no `R` alone.
-- Yields: no; with TLS, until what it has taken is sent. Throws: it is closed.
function methods:shutdown(how)
    local number = number_of(c.shutdowns, how == nil and 'RW' or how)
    if number == nil then
        c.set_errno(self, errno.EINVAL)
        local _, err = refuse('socket:shutdown()', 'direction', how)
        return false, err
    elseif c.is_tls(self) then
        return parts.tls_farewell(self, number)
    end
    return c.shutdown(self, number)
end

--- socket_object:close() -> boolean, err
-- Close it. Fibers that wait with it go on: `readable` and its like with true, `read` and
-- `write` throw. Yields: no. Throws: it is closed already.
function methods:close()
    return c.close(self)
end

--- socket_object:nonblock([flag]) -> boolean
-- Whether the functions that need not wait do not, which is how a socket begins.
-- With @flag false they do: the fiber, not the thread. What holds then is the result.
-- Yields: no. Throws: it is closed.
function methods:nonblock(flag)
    if flag == nil then
        return not c.is_blocking(self)
    end
    return not c.is_blocking(self, not flag)
end

-- --- options ---

local function level_of(level)
    if type(level) == 'string' and c.levels[level] == nil then
        level = (level:match('^IPPROTO_([%w_]+)$')
            or level:match('^SOL_([%w_]+)$') or level):lower()
        return c.protocol(level), errno.EPROTOTYPE
    end
    return number_of(c.levels, level), errno.EINVAL
end

local function no_level(level, reason, call)
    if type(level) == 'table' then
        reason = errno.EINVAL
    end
    return refuse(call, 'level', level, reason)
end

--- socket_object:setsockopt(level, name, value) -> boolean, err
-- Set the option @name of @level (`SOL_SOCKET`, `IPPROTO_TCP`, `tcp`, `ip`, `ipv6`, or a
-- number) to @value: a number or boolean, for `SO_BINDTODEVICE` and `TCP_CONGESTION` a
-- string, for `SO_RCVTIMEO` and `SO_SNDTIMEO` seconds. The names are those of the system;
-- of what has none here the number will do. Yields: no. Throws: no such name, or it is
-- read only; it is closed.
function methods:setsockopt(level, name, value)
    c.fd(self)
    local number, reason = level_of(level)
    if number == nil then
        local _, err = no_level(level, reason, 'socket:setsockopt()')
        return false, err
    end
    return c.setsockopt(self, number, name, value)
end

--- socket_object:getsockopt(level, name) -> value | nil, err
-- The option @name of @level, as `setsockopt()` takes it. Yields: no. Throws: no such
-- name; it is closed.
function methods:getsockopt(level, name)
    c.fd(self)
    local number, reason = level_of(level)
    if number == nil then
        return no_level(level, reason, 'socket:getsockopt()')
    end
    return c.getsockopt(self, number, name)
end

for _, name in ipairs({'detach', 'fd', 'errno', 'error', 'listen', 'linger'}) do
    methods[name] = c[name]
end

-- Both addresses; its last error stays.
local function names_of(self)
    local reason = c.errno(self)
    local name, peer = c.name(self), peer_of(self)
    c.set_errno(self, reason)
    return name, peer
end

function socket_mt.__tostring(self)
    local text = ('fd %d'):format(c.fd(self))
    local name, peer = names_of(self)
    if name ~= nil then
        text = text .. ', aka ' .. from_name(name)
    end
    if peer ~= nil then
        text = text .. ', peer ' .. from_name(peer)
    end
    return text
end

function socket_mt.__serialize(self)
    local name, peer = names_of(self)
    return {fd = c.fd(self), name = name, peer = peer}
end

-- --- the module ---

local M = {}

--- socket.SHUT_RD -> number
-- For `socket_object:shutdown()`: no more is read.
M.SHUT_RD = c.shutdowns.R

--- socket.SHUT_WR -> number
-- No more is written.
M.SHUT_WR = c.shutdowns.W

--- socket.SHUT_RDWR -> number
-- Both.
M.SHUT_RDWR = c.shutdowns.RW

local function open(call, make, domain, kind, protocol)
    local family = number_of(c.domains, domain)
    local number = number_of(c.types, kind)
    local third = protocol_of(protocol)
    if family == nil then
        return refuse(call, 'domain', domain)
    elseif number == nil then
        return refuse(call, 'type', kind)
    elseif third == nil then
        return refuse(call, 'protocol', protocol,
            type(protocol) == 'string' and errno.EPROTOTYPE or nil)
    end
    return make(family, number, third)
end

local function new(domain, kind, protocol)
    local box, err = open('socket()', c.open, domain, kind, protocol)
    if box == nil then
        return nil, err
    end
    return object_of(box)
end

--- socket.socketpair(domain, type, protocol) -> socket_object, socket_object | nil, err
-- Two sockets that are connected with each other; @domain, @type and @protocol are as those
-- of `socket()`. Yields: no.
function M.socketpair(domain, type, protocol)
    local a, b = open('socket.socketpair()', c.pair, domain, type, protocol)
    if a == nil then
        return nil, b
    end
    return object_of(a), object_of(b)
end

-- What C takes for one is an int.
local function is_descriptor(fd)
    return type(fd) == 'number' and fd >= 0 and fd <= 0x7fffffff and fd % 1 == 0
end

--- socket.from_fd(fd) -> socket_object
-- The object of the descriptor @fd, which it owns from now on. Yields: no.
function M.from_fd(fd)
    if not is_descriptor(fd) then
        usage('Usage: socket.from_fd(fd)')
    end
    return object_of(c.adopt(fd))
end

--- socket.iowait(fd, events, [timeout]) -> string | number
-- Wait until the descriptor @fd is ready for @events: `R` or 1, `W` or 2, `RW` or 3; which
-- is told in the same way. An empty string or 0: not within @timeout seconds. With nil or
-- a negative number for @fd, and no events, it sleeps for @timeout. Yields: maybe. Throws:
-- cancelled.
function M.iowait(fd, events, timeout)
    local what = wanted[type(events) == 'string' and events:lower() or events]
    if timeout ~= nil and events == nil and
       (fd == nil or type(fd) == 'number' and fd < 0) then
        fiber.sleep(timeout)
        return
    elseif what == nil or not is_descriptor(fd) then
        usage("Usage: iowait(fd, 1 | 'r' | 2 | 'w' | 3 | 'rw' [, timeout])")
    end
    local due = timeout and c_due(timeout)
    local now = c.fd_ready(fd, what)
    while now == 0 and fd_status(c.fd_park(fd, what, due)) == 0 do
        now = c.fd_ready(fd, what)
    end
    if type(events) == 'string' then
        return event_names[now] or ''
    end
    return event_numbers[now] or 0
end

setmetatable(M, {
    __call = function(_, ...) return new(...) end,
})

parts.methods, parts.new, parts.object_of = methods, new, object_of
parts.number_of, parts.flags_of, parts.protocol_of = number_of, flags_of, protocol_of
parts.refuse, parts.finish_connect, parts.name_mt = refuse, finish_connect, name_mt
function parts.set_peer(self, source) sources[self] = source end
c.add_tls(c, M, parts)
c.add_connect(c, M, parts)
c.add_server(c, M, parts)
c.add_luasocket(c, M, parts)

return M
