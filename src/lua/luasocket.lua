-- A part of the module `socket`: TCP sockets with the names of LuaSocket, for
-- programs that know those. They are the same sockets with other methods: what
-- fails is nil and a text, what goes well 1.

local c, M, own = ...

local errno = require('errno')
local usage, methods = c.usage, own.methods
local new, listen, connect = own.new, own.listen, own.connect
local setmetatable, type, tostring = setmetatable, type, tostring
local READ_MAX = 64 * 1024 * 1024

local function class(name)
    local mt = {__index = {}}
    function mt.__tostring(self)
        return ('tcp{%s}: fd=%d'):format(name, c.fd(self))
    end
    mt.__serialize = mt.__tostring
    return mt, mt.__index
end

-- One that is none of both yet, one that listens, one that is connected.
local master_mt, master = class('master')
local server_mt, server = class('server')
local client_mt, client = class('client')

local function reason_of(self)
    return nil, c.error(self)
end

local function settle(self, ok)
    if not ok then
        return reason_of(self)
    end
    return 1
end

-- Of all of them.
local common = {}

--- tcp_socket:close() -> 1
-- Close it. Yields: no. Throws: it is closed already.
function common:close()
    local ok, err = c.close(self)
    if not ok then
        return nil, tostring(err)
    end
    return 1
end

local function name_of(self, name)
    if name == nil then
        return reason_of(self)
    end
    return name.host, tostring(name.port), name.family:match('AF_(.*)'):lower()
end

--- tcp_socket:getsockname() -> string, string, string | nil, string
-- Its own host, port and family, `inet` or `inet6`. Yields: no. Throws: it is closed.
function common:getsockname()
    return name_of(self, (c.name(self)))
end

--- tcp_socket:getpeername() -> string, string, string | nil, string
-- The same of the other side. Yields: no. Throws: it is closed.
function common:getpeername()
    return name_of(self, (c.peer(self)))
end

--- tcp_socket:settimeout(seconds) -> 1
-- What waits waits for @seconds at most; nil: for ever. Yields: no. Throws: it is
-- closed.
function common:settimeout(seconds)
    c.fd(self)
    c.due(seconds)
    self.timeout = seconds
    return 1
end

local options = {
    reuseaddr = {'SOL_SOCKET', 'SO_REUSEADDR'},
    keepalive = {'SOL_SOCKET', 'SO_KEEPALIVE'},
    ['tcp-nodelay'] = {'tcp', 'TCP_NODELAY'},
}

--- tcp_socket:setoption(name, value) -> 1 | nil, string
-- Set the option @name, `reuseaddr`, `keepalive`, `linger` or `tcp-nodelay`, to @value.
-- Yields: no. Throws: no such name; it is closed.
function common:setoption(name, value)
    c.fd(self)
    if name == 'linger' then
        if type(value) == 'table' then
            value = {value.on, value.timeout}
        else
            value = {value}
        end
        return settle(self, c.linger(self, value[1] and true or false,
            value[2]) ~= nil)
    end
    local option = options[name]
    if option == nil then
        usage(('Unknown socket option name: %s'):format(tostring(name)))
    end
    return settle(self, methods.setsockopt(self, option[1], option[2], value))
end

for name, method in pairs(common) do
    master[name], server[name], client[name] = method, method, method
end

--- tcp_socket:bind(host, port) -> 1 | nil, string
-- Give it the address @port of @host, a number. Yields: no. Throws: it is closed.
function master:bind(host, port)
    return settle(self, methods.bind(self, host, port))
end

--- tcp_socket:listen([backlog]) -> 1 | nil, string
-- Let others connect, @backlog of whom (256) may wait. Yields: no. Throws: it is closed.
function master:listen(backlog)
    if not c.listen(self, backlog) then
        return reason_of(self)
    end
    setmetatable(self, server_mt)
    return 1
end

local function due_of(self)
    return self.timeout ~= nil and c.due(self.timeout) or nil
end

--- tcp_socket:connect(host, port) -> 1 | nil, string
-- Connect to @port of @host, a name or a number. Yields: maybe. Throws: cancelled; it
-- is closed.
function master:connect(host, port)
    c.fd(self)
    local due = due_of(self)
    local found, err = own.look_up(host, port, c.domains.AF_INET,
        c.types.SOCK_STREAM, 0, 0, due)
    for _, address in ipairs(found or {}) do
        local ok
        ok, err = connect(self, address.host, address.port, due)
        if ok then
            setmetatable(self, client_mt)
            return 1
        end
    end
    return nil, c.error(self) or tostring(err)
end

--- tcp_socket:accept() -> tcp_socket | nil, string
-- Wait for the next one who connects. Yields: maybe. Throws: cancelled; it is closed.
function server:accept()
    local due = due_of(self)
    while true do
        local s = methods.accept(self)
        if s ~= nil then
            return setmetatable(s, client_mt)
        elseif c.errno(self) ~= errno.EAGAIN then
            return reason_of(self)
        end
        local status = c.park(self, c.events.IN, due)
        if status ~= 0 then
            c.give_up(self, status, 'accept')
            return reason_of(self)
        end
    end
end

-- Whatever comes until the end; what is there when the time is over stays.
-- What has come, and is not all.
local function receive_some(self)
    local parts = {}
    repeat
        local data = methods.sysread(self)
        parts[#parts + 1] = data
    until data == nil or data == ''
    return table.concat(parts)
end

local function receive_all(self, prefix)
    local data = methods.read(self, READ_MAX + 1, self.timeout)
    if data == nil then
        local reason = c.error(self)
        data = receive_some(self)
        if data == '' then
            return nil, reason
        end
    elseif data == '' then
        return nil, 'closed', prefix
    elseif #data > READ_MAX then
        return nil, 'more than 64 MiB', prefix .. data
    end
    return prefix .. data
end

--- tcp_socket:receive([pattern], [prefix]) -> string | nil, string, [string]
-- Wait for what @pattern says: a number of bytes; `*l`, and unless given, a line, which
-- comes without its end; `*a`, all until the other side ends, 64 MiB at most, or what has
-- come when the time is over. The result
-- begins with @prefix. When the other side ends before it is nil, `closed` and what there
-- was; of the others that stays for the next one when the time is over. Yields: maybe. Throws:
-- cancelled; it is closed.
function client:receive(pattern, prefix)
    c.fd(self)
    prefix = prefix or ''
    if pattern == '*a' then
        return receive_all(self, prefix)
    elseif pattern ~= nil and pattern ~= '*l' and type(pattern) ~= 'number' then
        usage('Usage: socket:receive(pattern, [, prefix])')
    end
    local data = methods.read(self, type(pattern) == 'number' and pattern
        or '\n', self.timeout)
    if data == nil then
        return reason_of(self)
    elseif type(pattern) == 'number' then
        if #data < pattern then
            return nil, 'closed', prefix .. data
        end
        return prefix .. data
    elseif data:sub(-1) == '\n' then
        return prefix .. data:sub(1, -2)
    end
    return nil, 'closed', prefix .. data
end

--- tcp_socket:send(data, [from], [to]) -> number | nil, string
-- Send @data, or what of it lies between @from and @to, as `string.sub` has them: the
-- result is the index of the last byte that was sent. Yields: maybe. Throws: cancelled; it
-- is closed.
function client:send(data, from, to)
    c.fd(self)
    local first = 1
    if from ~= nil and type(data) == 'string' then
        first = math.max(from < 0 and #data + from + 1 or from, 1)
        data = data:sub(first, to)
    end
    local sent = methods.write(self, data, self.timeout)
    if sent == nil then
        return reason_of(self)
    end
    return first + sent - 1
end

--- tcp_socket:shutdown([how]) -> 1 | nil, string
-- End a direction: @how is `send`, `receive` or `both`, which it is unless given.
-- Yields: no. Throws: it is closed.
function client:shutdown(how)
    c.fd(self)
    return settle(self, methods.shutdown(self, how))
end

-- LuaSocket has these for it, too.
master.receive, master.send = client.receive, client.send

--- socket.tcp() -> tcp_socket | nil, string
-- A TCP socket with LuaSocket's names. Yields: no.
function M.tcp()
    local s, err = new('AF_INET', 'SOCK_STREAM', 'tcp')
    if s == nil then
        return nil, tostring(err)
    end
    return setmetatable(s, master_mt)
end

--- socket.connect(host, port) -> tcp_socket | nil, string
-- One that is connected to @port of @host, a name or a number. Yields: maybe. Throws:
-- cancelled.
function M.connect(host, port)
    if host == nil or port == nil then
        usage('Usage: luasocket.connect(host, port)')
    end
    local s, err = M.tcp_connect(host, port)
    if s == nil then
        return nil, tostring(err)
    end
    return setmetatable(s, client_mt)
end

--- socket.bind(host, port, [backlog]) -> tcp_socket | nil, string
-- One that listens at @port of @host, a name or a number, where @backlog (256) may wait.
-- Yields: maybe. Throws: cancelled.
function M.bind(host, port, backlog)
    if host == nil or port == nil then
        usage('Usage: luasocket.bind(host, port [, backlog])')
    end
    local s, err = listen({backlog = backlog}, host, port)
    if s == nil then
        return nil, tostring(err)
    end
    return setmetatable(s, server_mt)
end
