-- A part of the module `socket`: TLS of connections, and the contexts that they are
-- made with.

local c, M, own = ...

local errno = require('errno')

local usage, c_park, c_due, give_up = c.usage, c.park, c.due, c.give_up
local IN, OUT = c.events.IN, c.events.OUT
local type, getmetatable, setmetatable, pairs = type, getmetatable, setmetatable, pairs
local HANDSHAKE = 10

local context = {}
local context_mt = {__index = context}

local context_options = {
    cert_file = true, key_file = true, key_password = true, ca_file = true,
    ca_path = true, verify = true, alpn = true, ciphers = true,
    ciphersuites = true, min_version = true, max_version = true,
    tickets = true, session_cache = true,
}
-- Of one connection.
local own_options = {
    context = true, server = true, server_name = true, handshake_timeout = true,
}

local function is_context(value)
    return type(value) == 'table' and getmetatable(value) == context_mt
end

local new_context

-- The names of a table `sni`, and the userdata of their contexts.
local function names_of(sni)
    if sni == nil then
        return {}, {}
    elseif type(sni) ~= 'table' then
        usage('tls: sni is a table of names and their options')
    end
    local names, boxes = {}, {}
    for name, value in pairs(sni) do
        if type(name) ~= 'string' or type(value) ~= 'table' then
            usage('tls: sni is a table of names and their options')
        end
        local found, err = value
        if not is_context(value) then
            found, err = new_context(value, true)
        elseif not value.is_server then
            usage('tls: sni: a context of tls_server() is wanted')
        end
        if found == nil then
            return nil, err
        end
        names[#names + 1], boxes[#boxes + 1] = name, found[1]
    end
    return names, boxes
end

function new_context(options, is_server)
    for name in pairs(options) do
        if not context_options[name] and not (name == 'sni' and is_server) then
            usage(('tls: there is no option %q%s'):format(tostring(name),
                own_options[name] and ' here' or ''))
        end
    end
    local names, boxes = names_of(options.sni)
    if names == nil then
        return nil, boxes
    end
    local box, err = c.tls_context(is_server, options, names, boxes)
    if box == nil then
        return nil, err
    end
    return setmetatable({box, is_server = is_server}, context_mt)
end

--- tls_context:reload() -> true | nil, err
-- Read its files again, and those of its names: connections that begin from now on have
-- what is in them, those that are open go on as they are. When something is wrong with
-- one of them, nothing changes. Yields: no.
function context:reload()
    if not is_context(self) then
        usage('Usage: context:reload()')
    end
    return c.tls_reload(self[1])
end

-- One for all clients that want nothing of their own.
local plain_client

-- What @tls says: a context, the name of the server, the limit of the handshake. Nil
-- and an error: it is bad.
local function plan(tls, is_server)
    if is_context(tls) then
        tls = {context = tls}
    elseif tls == true then
        tls = {}
    elseif type(tls) ~= 'table' then
        usage('tls is true, a table of options or a TLS context')
    end
    local wanted, rest = {}, nil
    for name, value in pairs(tls) do
        if own_options[name] then
            wanted[name] = value
        else
            rest = rest or {}
            rest[name] = value
        end
    end
    local limit = wanted.handshake_timeout or HANDSHAKE
    if type(limit) ~= 'number' or not (limit > 0) then
        usage('tls: handshake_timeout is a number over 0')
    elseif wanted.server_name ~= nil and type(wanted.server_name) ~= 'string' then
        usage('tls: server_name is a string')
    end
    local found, err = wanted.context
    if found ~= nil then
        if not is_context(found) or rest ~= nil
            or found.is_server ~= is_server then
            usage(('tls: context is one of socket.tls_%s(), and takes no other '
                .. 'options'):format(is_server and 'server' or 'client'))
        end
    elseif rest == nil and not is_server then
        plain_client = plain_client or new_context({}, false)
        found = plain_client
    else
        found, err = new_context(rest or {}, is_server)
    end
    if found == nil then
        return nil, err
    end
    return {context = found, name = wanted.server_name, limit = limit}
end

-- The earlier of @due, if there is one, and the end of the handshake.
local function due_of(planned, due)
    local last = c_due(planned.limit)
    if due ~= nil and (last == nil or due < last) then
        return due
    end
    return last
end

-- The handshake of @self. True, or nil and an error.
local function greet(self, planned, name, due, call)
    local ok, err = c.tls_start(self, planned.context[1], planned.name or name)
    if not ok then
        return nil, err
    end
    due = due_of(planned, due)
    repeat
        ok, err = c.tls_handshake(self)
        if ok == nil then
            return nil, err
        elseif ok == false then
            local status = c_park(self, IN, due)
            if status ~= 0 then
                return give_up(self, status, call)
            end
        end
    until ok
    return true
end

-- Announce the end, as soon as there is room for it.
local function farewell(self, number, due)
    local ok, err = c.shutdown(self, number)
    while not ok and c.errno(self) == errno.EAGAIN do
        local status = c_park(self, OUT, due)
        if status ~= 0 then
            return false, select(2, give_up(self, status, 'socket:shutdown()'))
        end
        ok, err = c.shutdown(self, number)
    end
    return ok, err
end

local function role_of(tls)
    if is_context(tls) then
        return tls.is_server
    elseif type(tls) ~= 'table' then
        return false
    elseif is_context(tls.context) then
        return tls.context.is_server
    end
    return tls.server and true or false
end

--- socket_object:starttls(tls, [timeout]) -> true | nil, err
-- Begin TLS on a connection, as line protocols do after a word in plain text. @tls is
-- true, a table of options or a context, see `tls_client()`; with `server = true` or a
-- context of `tls_server()` this side is the server. A client gives `server_name`, the
-- name it expects, unless it does not verify. All that is read and written from then on
-- goes through it; what was read ahead belongs to the handshake, which fails after
-- `handshake_timeout` (10) or @timeout seconds. When it fails the socket is good for
-- nothing but `close()`. Yields: maybe. Throws: cancelled; it is closed.
function own.methods:starttls(tls, timeout)
    c.fd(self)
    local due = timeout ~= nil and c_due(timeout) or nil
    local planned, err = plan(tls, role_of(tls))
    if planned == nil then
        return nil, err
    end
    return greet(self, planned, nil, due, 'socket:starttls()')
end

own.methods.tls_info = c.tls_info
own.tls_plan, own.tls_greet, own.tls_farewell = plan, greet, farewell

--- socket.tls_client(options) -> tls_context | nil, err
-- What clients' connections of TLS have in common; given as `tls` it serves any number
-- of them, which resume each other's sessions. Of @options, all of which may be left out:
-- `ca_file`, `ca_path` (whom to trust: a file of certificates in PEM form, which is read
-- again when it has changed, a folder; without them, whom the system does), `verify` (`required`, and unless given: the
-- server's certificate must be good, and for the name or address that was asked for;
-- `none`: anything will do), `cert_file`, `key_file`, `key_password` (our own
-- certificate, with its chain, in PEM form; the key may be in it), `alpn` (an array of
-- protocols), `min_version`, `max_version` (`TLSv1.2`, the least unless given, or
-- `TLSv1.3`), `ciphers` (of TLS 1.2), `ciphersuites` (of TLS 1.3), `tickets` and
-- `session_cache` (false: no sessions). Yields: no.
function M.tls_client(options)
    if type(options) ~= 'table' then
        usage('Usage: socket.tls_client(options)')
    end
    return new_context(options, false)
end

--- socket.tls_server(options) -> tls_context | nil, err
-- The same for servers. Of @options `cert_file` is needed; `verify` is `none` unless
-- given, and `peer` (a client may show a certificate, which must be good then) or
-- `required` (it must) want `ca_file` or `ca_path`. `sni` is a table of names that
-- clients ask for, such as `example.com` or `*.example.com` (of one part more), each with
-- options or a context of its own; who asks for none of them gets the outer one. With
-- `alpn` a client that has none of the protocols is refused; the first of ours that it
-- has is taken. Yields: no.
function M.tls_server(options)
    if type(options) ~= 'table' then
        usage('Usage: socket.tls_server(options)')
    end
    return new_context(options, true)
end
