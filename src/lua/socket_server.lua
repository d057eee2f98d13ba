-- A part of the module `socket`: tcp_server, which serves each connection in a fiber of
-- its own.

local c, M, own = ...

local errno = require('errno')
local fiber = require('fiber')
local log = require('log')

local new, usage, c_park, IN = own.new, c.usage, c.park, c.events.IN
local check_names = own.check_names
local type, error, pcall, xpcall = type, error, pcall, xpcall

-- Of one who came, not of the socket.
local transient = {
    [errno.EPROTO] = true, [errno.ENETDOWN] = true, [errno.EHOSTUNREACH] = true,
    [errno.ENETUNREACH] = true, [errno.EPERM] = true,
}
local scarce = {
    [errno.EMFILE] = true, [errno.ENFILE] = true, [errno.ENOBUFS] = true,
    [errno.ENOMEM] = true,
}
local RETRY, CONNECTIONS_MAX, FAREWELL, PROXY = 0.05, 65536, 10, 10

local function fiber_name(server, address)
    fiber.name(('%s/%s:%s'):format(server.name, address.host, address.port)
        :gsub('%z', '@'):sub(1, 200))
end

local function note_place(err)
    c.note_trace(err, debug.traceback('', 2), false)
    return err
end

-- Who @s is for the proxy in front of it, which @from is; nil and an error.
local function read_proxy(server, s, from)
    local due = c.due(server.proxy_timeout)
    local source, err = c.read_proxy(s)
    while source == false do
        local status = c_park(s, IN, due)
        if status ~= 0 then
            return c.give_up(s, status, 'PROXY header')
        end
        source, err = c.read_proxy(s)
    end
    if type(source) ~= 'table' then
        return source and from, err
    end
    own.set_peer(s, source)
    fiber_name(server, source)
    return source
end

-- With a PROXY header, or TLS, which may fail for reasons of the client.
local function handle_greeted(server, s, from)
    local ok, err = from
    if server.proxy_timeout ~= nil then
        ok, err = read_proxy(server, s, from)
    end
    local who = ok or from
    if ok and server.tls ~= nil then
        ok, err = own.tls_greet(s, server.tls, nil, nil, server.name)
    end
    if not ok then
        log.verbose('%s: %s:%s: %s', server.name, who.host, who.port, tostring(err))
        return
    end
    server.handler(s, who)
    -- Nobody else waits for it.
    if server.tls ~= nil and c.is_open(s) then
        own.tls_farewell(s, 2, c.due(FAREWELL))
    end
end

-- The fiber of a connection.
local function serve(server, s, from)
    fiber_name(server, from)
    local ok, err
    if server.tls == nil and server.proxy_timeout == nil then
        ok, err = xpcall(server.handler, note_place, s, from)
    else
        ok, err = xpcall(handle_greeted, note_place, server, s, from)
    end
    if c.is_open(s) then
        c.shutdown(s, 2)
        c.close(s)
    end
    c.server_leave(server.handle)
    server.room:signal()
    if not ok then
        error(err, 0)
    end
end

-- There is too little of something, says @err; there may be more soon.
local function run_short(server, err)
    if not server.told then
        server.told = true
        pcall(log.error, '%s: %s; trying on', server.name, tostring(err))
    end
    fiber.sleep(RETRY)
end

local function start(server, box, from)
    fiber.create(serve, server, own.object_of(box), from)
end

local function drop(box)
    c.close({box})
end

local function admit(server, box, from)
    local count = c.server_enter(server.handle)
    local ok, err = pcall(start, server, box, from)
    if not ok then
        c.server_leave(server.handle)
        pcall(drop, box)
        return run_short(server, err)
    end
    server.told = false
    if count < server.max_connections then
        return
    end
    while c.server_count(server.handle) >= server.max_connections do
        server.room:wait()
    end
end

-- Nobody could be let in, for @err; nil: it is to wait in each call.
local function rest(server, s, err)
    local reason = err and c.errno(s) or errno.EAGAIN
    if scarce[reason] then
        run_short(server, err)
    elseif reason == errno.EAGAIN then
        local status = c_park(s, IN)
        if status ~= 0 then
            c.failed(status)
        end
    elseif reason == errno.EINVAL and c.server_ends(server.handle) then
        c.close(s) -- a unix socket whose queue is empty now
    elseif not transient[reason] then
        error(err, 0)
    end
end

local function accept_loop(server, s)
    while c.is_open(s) do
        -- It throws when there is no memory.
        local ok, box, from = pcall(c.accept, s)
        if not ok then
            run_short(server, box)
        elseif box then
            admit(server, box, from)
        else
            rest(server, s, from)
        end
    end
end

-- The fiber of a server.
local function run_server(server, s, address)
    fiber_name(server, address)
    local ok, err = xpcall(accept_loop, note_place, server, s)
    if c.is_open(s) then
        c.close(s)
    end
    c.server_stop(server.handle)
    if not ok then
        error(err, 0)
    end
end

local function server_usage()
    usage('Usage: socket.tcp_server(host, port, handler | opts)')
end

local function is_backlog(value)
    return value == nil or type(value) == 'number' and value >= 0
end

local function backlog_usage()
    usage('socket.tcp_server(): backlog is a number, 0 or more')
end

local server_options = {
    handler = true, name = true, prepare = true, backlog = true,
    max_connections = true, reuseport = true, proxy_protocol = true,
    proxy_timeout = true, tls = true,
}

local function check_server(opts)
    if type(opts) == 'function' then
        opts = {handler = opts}
    elseif type(opts) ~= 'table' or type(opts.handler) ~= 'function'
        or opts.prepare ~= nil and type(opts.prepare) ~= 'function'
        or opts.name ~= nil and type(opts.name) ~= 'string' then
        server_usage()
    end
    check_names(opts, 'socket.tcp_server()', server_options)
    local max = opts.max_connections or CONNECTIONS_MAX
    if type(max) ~= 'number' or not (max >= 1) then
        usage('socket.tcp_server(): max_connections is a number over 0')
    elseif not is_backlog(opts.backlog) then
        backlog_usage()
    end
    local patience = opts.proxy_timeout or PROXY
    if type(patience) ~= 'number' or not (patience > 0) then
        usage('socket.tcp_server(): proxy_timeout is a number over 0')
    end
    return {
        proxy_timeout = opts.proxy_protocol and patience or nil,
        handler = opts.handler, prepare = opts.prepare,
        name = opts.name or 'server', own_name = opts.name, backlog = opts.backlog,
        reuseport = opts.reuseport and true or false, max_connections = max,
        room = fiber.cond(), told = false,
    }
end

-- A socket that listens at one of the addresses.
local function listen_at(server, address)
    local s, err = new(address.family, address.type, address.protocol)
    if s == nil then
        return nil, err
    end
    local backlog = server.backlog
    local ok
    if server.prepare ~= nil then
        ok, err = pcall(server.prepare, s, address)
        if not ok then
            c.close(s)
            error(err, 0)
        end
        backlog = err or backlog
        if not is_backlog(backlog) then
            c.close(s)
            backlog_usage()
        end
    elseif address.family ~= 'AF_UNIX' then
        c.setsockopt(s, c.levels.SOL_SOCKET, 'SO_REUSEADDR', 1)
    end
    ok, err = c.bind_server(s, address.host, address.port, server.reuseport,
        server.own_name)
    if ok then
        ok, err = c.listen(s, backlog)
    end
    if ok then
        return s
    end
    local reason = c.errno(s)
    c.close(s)
    errno(reason)
    return nil, err
end

local function addresses_of(host, port, timeout)
    if host == 'unix/' then
        return {{
            host = host, port = port, family = 'AF_UNIX', type = 'SOCK_STREAM',
            protocol = 0,
        }}
    end
    return M.getaddrinfo(host, port, timeout,
        {type = 'SOCK_STREAM', flags = 'AI_PASSIVE'})
end

local function listen_first(server, host, port, timeout)
    local found, err = addresses_of(host, port, timeout)
    local s
    for _, address in ipairs(found or {}) do
        s, err = listen_at(server, address)
        if s ~= nil or errno() ~= errno.EAFNOSUPPORT then
            return s, err or address
        end
    end
    return nil, err
end

--- socket.tcp_server(host, port, handler, [timeout]) -> socket_object, table | nil, err
-- Listen at @port (0: a free one) of @host, a name or a number, or at a unix socket, and
-- call @handler with the socket, and who it is, for each connection, in a fiber of its
-- own; the connection is closed when that ends. The results are the socket that
-- listens, which stops when it is closed, and its address. @handler may be a table:
-- `handler`; `name`, of the fibers (`server`); `prepare`, a function that is called with
-- the new socket before it is bound, and may give a backlog; `backlog` (256);
-- `max_connections` (65536), who comes beyond it waits; `reuseport`, true if other
-- programs may listen there, too; `proxy_protocol`, true behind a proxy that begins each
-- connection with a PROXY header of version 1 or 2: its source is who it is, and what
-- `peer()` gives, unless the proxy speaks for itself, and who sends none within
-- `proxy_timeout` (10) seconds is closed and logged as `verbose`: nobody but the proxy may
-- reach such a port; and `tls`, options or a context as `tls_server()` has
-- them, and beside them `context` (then no other) and `handshake_timeout` (10): then the
-- handler is called after the handshake, which is done in the connection's fiber, and who
-- fails in it is logged as `verbose`. With several workers each may listen at the same
-- address: the system spreads connections over them. A unix socket's file that nobody
-- answers on is replaced, and is removed at the end. When the program is told to end it
-- lets nobody in any more, and who is in has the time that the rest has. It takes
-- @timeout seconds at most to look the name up. Yields: maybe. Throws: another option;
-- cancelled.
function M.tcp_server(host, port, handler, timeout)
    local server = check_server(handler)
    local s, address, err
    if type(handler) == 'table' and handler.tls then
        server.tls, err = own.tls_plan(handler.tls, true)
        if server.tls == nil then
            return nil, err
        end
    end
    s, address = listen_first(server, host, port, timeout)
    if s == nil then
        return nil, address
    end
    server.handle, err = c.server(s, server.name)
    if server.handle == nil then
        c.close(s)
        return nil, err
    end
    local name = c.name(s)
    if name ~= nil and address.family ~= 'AF_UNIX' then
        address.port = name.port
    end
    fiber.create(run_server, server, s, address)
    return s, setmetatable(address, own.name_mt)
end

own.listen = listen_first
