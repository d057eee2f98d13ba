-- A part of the module `socket`: names of hosts, and connections to them.

local c, M, own = ...

local errno = require('errno')

local usage, give_up, c_due = c.usage, c.give_up, c.due
local number_of, flags_of, protocol_of = own.number_of, own.flags_of, own.protocol_of
local refuse, new, finish_connect = own.refuse, own.new, own.finish_connect
local type, tostring, error, pcall = type, tostring, error, pcall

local function look_up(host, port, family, kind, protocol, flags, due)
    local found, err
    if type(port) == 'number' or tostring(port):find('^%-?%d+$') then
        local n = tonumber(port) -- the C library would speak of services
        if n % 1 ~= 0 or n < 0 or n > 65535 then
            return refuse('socket.getaddrinfo()', 'port', n)
        end
    end
    repeat
        found, err = c.resolve(host, port, family, kind, protocol, flags, due)
    until found ~= 0
    if found == nil then
        return nil, err
    elseif type(found) == 'table' then
        return found
    end
    return give_up(nil, found, 'socket.getaddrinfo()')
end

--- socket.getaddrinfo(host, [port], [timeout], [options]) -> table | nil, err
-- Look the name @host up, as the C library does (`/etc/hosts`, DNS and its search
-- list), and the service @port, a name or a number (0): an array of `{host =, port =,
-- family =, type =, protocol =}`. Of the table @options, which may be the third argument,
-- `family`, `type` and `protocol` are what is wanted, and `flags` names such as
-- `AI_PASSIVE`, one or an array. An answer is
-- remembered for 10 seconds, that there is none for one, and 256 of them in each worker.
-- Threads of the pool ask, half of them at most; 1024 names may wait for one. Not
-- within @timeout seconds is an error of type TimedOut. Yields: maybe. Throws: cancelled.
function M.getaddrinfo(host, port, timeout, options)
    if type(timeout) == 'table' and options == nil then
        timeout, options = nil, timeout
    end
    options = options or {}
    if type(options) ~= 'table' then
        usage('Usage: socket.getaddrinfo(host[, port[, timeout[, options]]])')
    end
    local call = 'socket.getaddrinfo()'
    local family = number_of(c.domains, options.family or 0)
    local kind = number_of(c.types, options.type or 0)
    local protocol = protocol_of(options.protocol)
    local flags = flags_of(c.lookup_flags, options.flags)
    if kind == nil then
        return refuse(call, 'type', options.type)
    elseif family == nil then
        return refuse(call, 'family', options.family)
    elseif protocol == nil then
        return refuse(call, 'protocol', options.protocol, errno.EPROTOTYPE)
    elseif flags == nil then
        return refuse(call, 'flag', options.flags)
    end
    return look_up(host, port or 0, family, kind, protocol, flags,
        timeout ~= nil and c_due(timeout) or nil)
end

local function connect(s, host, port, due, call)
    local ok, err = c.connect(s, host, port)
    if ok then
        return ok, err
    elseif c.errno(s) ~= errno.EINPROGRESS then
        return give_up(s, -c.errno(s), call)
    end
    return finish_connect(s, due, call)
end

local function connect_tls(s, host, port, due, tls, name, call)
    local ok, err = connect(s, host, port, due, call)
    if not ok or tls == nil then
        return ok, err
    end
    ok, err = own.tls_greet(s, tls, name, due, 'TLS handshake')
    if not ok then
        err = c.about(err, call)
    end
    return ok, err
end

-- For messages: whom nobody could connect to.
local function call_of(host, port)
    local text = tostring(host)
    return ('socket.tcp_connect(): %s:%s'):format(text:find(':', 1, true)
        and '[' .. text .. ']' or text, tostring(port)):gsub('%c', '?')
end

-- A new one that is connected there, or nothing is left of it.
local function connect_new(domain, kind, protocol, host, port, due, tls, name)
    local s, err = new(domain, kind, protocol)
    if s == nil then
        return nil, err
    end
    -- Whoever is cancelled does not wait for the collector.
    local ran, ok, why = pcall(connect_tls, s, host, port, due, tls, name,
        (call_of(host, port)))
    if ran and ok then
        errno(0)
        return s
    end
    local reason = c.errno(s)
    c.close(s)
    if not ran then
        error(ok, 0)
    end
    errno(reason)
    return nil, why
end

-- A name that is not known is refused: `tsl` for `tls` would be a connection in plain text.
local function check_names(options, who, known)
    for name in pairs(options) do
        if not known[name] then
            usage(("%s: there is no option '%s'"):format(who, tostring(name)))
        end
    end
end

local connect_options = {timeout = true, tls = true}

--- socket.tcp_connect(host, [port], [timeout | options]) -> socket_object | nil, err
-- Connect to @port of @host, a name or a number, one of its addresses after the other;
-- or to a unix socket. It fails after @timeout seconds for all of it. @options:
-- `timeout`; and `tls`, for a connection with TLS: true, options or a context as
-- `tls_client()` has them, and beside them `context` (then no other), `server_name`
-- (whose certificate it must be, if not that of @host), `handshake_timeout` (10).
-- Yields: maybe. Throws: another option; cancelled.
function M.tcp_connect(host, port, timeout)
    local tls, err
    if type(timeout) == 'table' then
        check_names(timeout, 'socket.tcp_connect()', connect_options)
        if timeout.tls then
            tls, err = own.tls_plan(timeout.tls, false)
            if tls == nil then
                return nil, err
            end
        end
        timeout = timeout.timeout
    end
    local due = timeout ~= nil and c_due(timeout) or nil
    if host == 'unix/' then
        return connect_new('AF_UNIX', 'SOCK_STREAM', 0, host, port, due, tls)
    elseif host == nil then
        usage('Usage: socket.tcp_connect(host[, port[, timeout]])')
    end
    local found
    found, err = look_up(tostring(host), port or 0, 0,
        c.types.SOCK_STREAM, protocol_of('tcp'), 0, due)
    if found == nil then
        if errno() ~= errno.ETIMEDOUT then
            errno(errno.EINVAL)
        end
        return nil, err
    end
    local s
    for _, address in ipairs(found) do
        s, err = connect_new(address.family, address.type, address.protocol,
            address.host, address.port, due, tls, tostring(host))
        if s ~= nil then
            return s
        elseif errno() == errno.ETIMEDOUT then
            break
        end
    end
    return nil, err
end

own.check_names, own.look_up, own.connect = check_names, look_up, connect
