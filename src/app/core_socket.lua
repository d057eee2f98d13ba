-- A part of the module `core`: the class Socket, a client's connection with the methods
-- of LuaSocket, over the module `socket` of this server.
local args = require('neap.args')
local errno = require('errno')
local socket = require('socket')

local error, pairs, pcall, setmetatable = error, pairs, pcall, setmetatable
local math, tonumber, tostring, type = math, tonumber, tostring, type
local concat = table.concat

local CONNECT_TIMEOUT = 5 -- seconds, unless settimeout() says something else
local PIECE = 65536 -- bytes that are read or sent in one go
local RECEIVE_MAX = 64 * 1024 * 1024 -- bytes of one receive()

local M = {}
local Socket = {}
local socket_mt = args.class('Socket', Socket)

--- core.tcp() -> tcp
-- A connection that is not made yet. What it waits for others do not wait for. What
-- fails is nil and a text: `closed`, `timeout`, or why. Yields: no.
function M.tcp()
    return setmetatable({}, socket_mt)
end

local function check(self, f)
    return args.object(self, socket_mt, f)
end

-- --- connecting ---

local function port_of(text, n, f)
    local port = tonumber(text)
    if port == nil or port % 1 ~= 0 or port < 1 or port > 65535 then
        args.bad(n, f, ("a port from 1 to 65535 is wanted, not '%s'")
            :format(tostring(text)))
    end
    return port
end

local families = { ipv4 = 'AF_INET', ipv6 = 'AF_INET6' }

-- Host, port and family of an address as HAProxy writes them.
local function parse_address(address, port, f)
    address = args.text(address, 1, f)
    local kind, rest = address:match('^(%w+)@(.*)$')
    if kind == 'unix' or kind == nil and address:find('^/') then
        return 'unix/', rest or address
    elseif kind == 'abns' then
        return 'unix/', '\0' .. rest
    elseif kind ~= nil and not families[kind] then
        args.bad(1, f, ("'%s': an address is HOST:PORT, ipv4@.., ipv6@.., unix@PATH or "
            .. 'abns@NAME'):format(address))
    end
    local host = rest or address
    if port == nil then
        host, port = host:match('^(.*):(%d+)$')
        if host == nil then
            args.bad(1, f, ("'%s' has no port"):format(address))
        end
        port = port_of(port, 1, f)
    else
        port = port_of(port, 2, f)
    end
    host = host:match('^%[(.*)%]$') or host
    if host == '' then
        args.bad(1, f, ("'%s' has no host"):format(address))
    end
    return host, port, families[kind]
end

local function text_of(err)
    return type(err) ~= 'string' and err.type == 'TimedOut' and 'timeout'
        or tostring(err)
end

local options = {
    keepalive = { 'SOL_SOCKET', 'SO_KEEPALIVE' },
    reuseaddr = { 'SOL_SOCKET', 'SO_REUSEADDR' },
    ['tcp-nodelay'] = { 'tcp', 'TCP_NODELAY' },
}

local function apply(s, name, value)
    local ok, err
    if name == 'linger' then
        if type(value) == 'table' then
            ok, err = s:linger(value.on and true or false, value.timeout)
        else
            ok, err = s:linger(value and true or false)
        end
    else
        local option = options[name]
        ok, err = s:setsockopt(option[1], option[2], value)
    end
    if not ok then
        return nil, tostring(err)
    end
    return 1
end

local function connect(self, address, port, tls, f)
    check(self, f)
    local host, service, family = parse_address(address, port, f)
    if self.s ~= nil or self.busy then
        args.bad(1, f, 'this socket is connected already: each is for one connection')
    end
    local timeout = self.timeout
    if timeout == nil then
        timeout = CONNECT_TIMEOUT
    end
    self.busy = true
    local ran, s, err = pcall(function()
        if family ~= nil then
            local found, why = socket.getaddrinfo(host, service, timeout,
                { family = family, type = 'SOCK_STREAM' })
            if found == nil then
                return nil, why
            end
            if tls then -- it is to be the certificate of the name
                tls.server_name = tls.server_name or host
            end
            host = found[1].host
        end
        return socket.tcp_connect(host, service, { timeout = timeout, tls = tls })
    end)
    self.busy = nil
    if not ran then
        error(s, 0)
    elseif s == nil then
        return nil, text_of(err)
    end
    self.s = s
    for name, value in pairs(self.options or {}) do
        apply(s, name, value)
    end
    return 1
end

--- tcp:connect(address, [port]) -> 1 | nil, string
-- Connect to @port of @address, a name or a number, or `HOST:PORT`; also `ipv4@` and `ipv6@`
-- before it, `unix@PATH` and `abns@NAME`. It takes 5 seconds at most, or what
-- `settimeout()` said. Yields: yes. Throws: an address that is none; it is connected
-- already; cancelled.
function Socket:connect(address, port)
    return connect(self, address, port, nil, 'connect')
end

--- tcp:connect_ssl(address, [port], [options]) -> 1 | nil, string
-- The same to @port of @address with TLS: the server's certificate must be good, and for
-- that name. @options are those of `socket.tls_client()`, such as `ca_file`, `verify =
-- 'none'` or `server_name`. Yields: yes. Throws: as that; wrong options.
function Socket:connect_ssl(address, port, options)
    local tls = {}
    for name, value in pairs(options ~= nil
        and args.table(options, 3, 'connect_ssl') or {}) do
        tls[name] = value
    end
    return connect(self, address, port, tls, 'connect_ssl')
end

-- --- data ---

local function state_of(self)
    return nil, self.closed and 'closed' or 'not connected'
end

local ended = {
    [errno.ECONNRESET] = true, [errno.EPIPE] = true, [errno.ENOTCONN] = true,
}

-- f(s, ..), while nobody closes it.
local function guarded(self, f, ...)
    local s = self.s
    local ran, a, b = pcall(f, s, ...)
    if ran then
        return a, b
    elseif self.s ~= s then
        return nil, 'closed'
    end
    error(a, 0)
end

local function read_some(s, size, timeout)
    while true do
        local data, err = s:sysread(size)
        if data == '' then
            return nil, 'closed'
        elseif data ~= nil then
            return data
        elseif s:errno() ~= errno.EAGAIN then
            return nil, ended[s:errno()] and 'closed' or tostring(err)
        elseif not s:readable(timeout) then
            return nil, 'timeout'
        end
    end
end

-- A piece of a line: the end of it, when it ends in '\n'.
local function read_line(s, timeout)
    local data, err = s:read({ chunk = PIECE, delimiter = '\n' }, timeout)
    if data ~= nil then
        return data
    elseif err.type ~= 'TimedOut' then
        return nil, ended[s:errno()] and 'closed' or tostring(err)
    end
    return s:sysread(PIECE) or '', 'timeout'
end

local function receive_line(self, parts)
    local total = 0
    while true do
        local data, err = guarded(self, read_line, self.timeout)
        if data == nil then
            return nil, err
        end
        parts[#parts + 1], total = data, total + #data
        if data:sub(-1) == '\n' then
            return (concat(parts):gsub('\r?\n$', ''))
        elseif err ~= nil then
            return nil, err
        elseif #data < PIECE then
            return nil, 'closed'
        elseif total > RECEIVE_MAX then
            return nil, 'the line is too long'
        end
    end
end

-- Up to @size bytes; fewer are an error, unless all are wanted.
local function receive_bytes(self, parts, size, all)
    local total = 0
    while total < size do
        local data, err = guarded(self, read_some, math.min(size - total, PIECE),
            self.timeout)
        if data == nil then
            if all and err == 'closed' and (total > 0 or #parts[1] > 0) then
                return concat(parts)
            end
            return nil, err
        end
        parts[#parts + 1], total = data, total + #data
    end
    if all then
        return nil, 'more than 64 MiB'
    end
    return concat(parts)
end

--- tcp:receive([pattern], [prefix]) -> string | nil, string, string
-- Wait for what @pattern says: `*l` (unless given), a line, which comes without its end;
-- `*a`, all until the other side ends, 64 MiB at most; or a number of bytes. The result
-- begins with @prefix, which counts among those. When it fails the third result is what came, with
-- @prefix: give it as the next one. Yields: maybe. Throws: another pattern; cancelled.
function Socket:receive(pattern, prefix)
    check(self, 'receive')
    local parts = { prefix == nil and '' or args.text(prefix, 2, 'receive') }
    local size = tonumber(pattern)
    if pattern == nil then
        pattern = '*l'
    elseif size ~= nil then
        args.whole(size, 0, RECEIVE_MAX, 1, 'receive')
    elseif pattern ~= '*l' and pattern ~= '*a' then
        args.bad(1, 'receive', "'*l', '*a' or a number of bytes expected")
    end
    local data, err
    if self.s == nil then
        data, err = state_of(self)
    elseif size ~= nil then
        data, err = receive_bytes(self, parts, size - #parts[1], false)
    elseif pattern == '*a' then
        data, err = receive_bytes(self, parts, RECEIVE_MAX, true)
    else
        data, err = receive_line(self, parts)
    end
    if data == nil then
        return nil, err, concat(parts)
    end
    return data
end

local function send_some(s, data, timeout)
    while true do
        local n, err = s:send(data)
        if n ~= nil then
            return n
        elseif s:errno() ~= errno.EAGAIN then
            return nil, ended[s:errno()] and 'closed' or tostring(err)
        elseif not s:writable(timeout) then
            return nil, 'timeout'
        end
    end
end

--- tcp:send(data, [from], [to]) -> number | nil, string, number
-- Send @data, or what of it lies between @from and @to, as `string.sub` has them: the result
-- is the index of the last byte that was sent, which is the third when it fails. Yields: maybe.
-- Throws: cancelled.
function Socket:send(data, from, to)
    check(self, 'send')
    data = args.text(data, 1, 'send')
    local first = from == nil and 1 or args.number(from, 2, 'send')
    local last = to == nil and -1 or args.number(to, 3, 'send')
    first = math.max(first < 0 and #data + first + 1 or first, 1)
    last = math.min(last < 0 and #data + last + 1 or last, #data)
    local at = first - 1
    while at < last do
        local n, err
        if self.s == nil then
            n, err = state_of(self)
        else
            n, err = guarded(self, send_some,
                data:sub(at + 1, math.min(at + PIECE, last)), self.timeout)
        end
        if n == nil then
            return nil, err, at
        end
        at = at + n
    end
    return at
end

-- --- the rest ---

--- tcp:close() -> 1
-- Close it; fibers that wait in it meet `closed`. Yields: no.
function Socket:close()
    check(self, 'close')
    local s = self.s
    self.s, self.closed = nil, true
    if s ~= nil then
        s:close()
    end
    return 1
end

--- tcp:settimeout(seconds) -> 1
-- What waits waits for @seconds at most, a millisecond at least: for a connection, a
-- line, or for the next bytes of what is longer. Nil: for ever. Yields: no.
function Socket:settimeout(seconds)
    check(self, 'settimeout')
    if seconds ~= nil then
        seconds = math.max(args.time(seconds, 1, 'settimeout'), 0.001)
    else
        seconds = math.huge
    end
    self.timeout = seconds ~= math.huge and seconds or 1e9
    return 1
end

local function shown(name)
    if name == nil then
        return nil
    elseif name.family == 'AF_UNIX' then
        return name.port ~= '' and tostring(name.port) or tostring(name.host)
    elseif name.family == 'AF_INET6' then
        return ('[%s]:%s'):format(name.host, name.port)
    end
    return ('%s:%s'):format(name.host, name.port)
end

--- tcp:getpeername() -> string | nil
-- The address of the other side and its port, `1.2.3.4:80`; nil: it is not connected.
-- Yields: no.
function Socket:getpeername()
    check(self, 'getpeername')
    return self.s and shown((self.s:peer()))
end

--- tcp:getsockname() -> string | nil
-- The same of its own. Yields: no.
function Socket:getsockname()
    check(self, 'getsockname')
    return self.s and shown((self.s:name()))
end

--- tcp:setoption(name, [value]) -> 1 | nil, string
-- Set the option @name, `keepalive`, `tcp-nodelay`, `reuseaddr` or `linger`, to @value (true),
-- also before it is connected. Yields: no. Throws: no such name.
function Socket:setoption(name, value)
    check(self, 'setoption')
    if name ~= 'linger' and not options[name] then
        args.bad(1, 'setoption', ("there is no option '%s'"):format(tostring(name)))
    end
    if value == nil then
        value = true
    end
    if self.s ~= nil then
        return apply(self.s, name, value)
    end
    self.options = self.options or {}
    self.options[name] = value
    return 1
end

return M
