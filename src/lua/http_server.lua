-- The module `http.server`: a server of HTTP/1.1 and HTTP/2.
--
--     local httpd = require('http.server').new('127.0.0.1', 8080)
--     httpd:route({path = '/hello/:name', method = 'GET'}, function(req)
--         return {status = 200, body = 'hello ' .. req:stash('name')}
--     end)
--     httpd:start()
--
-- Each request runs its handler in a fiber of its own; while one waits, the
-- others go on. Names and behaviour are those of Tarantool's http rock where it
-- has them; what differs is said at the function.
local c = ...

local usage = c.usage

local request, router, static = c.request, c.router, c.static
local compress, access, answer = c.compress, c.access, c.answer

local type, error = type, error
local reply, abort = request.reply, request.abort

local M, server = {}, {}
local server_mt = { __index = server }

local DEADLINE = 30

local known = {
    max_header_size = 'number', max_uri_size = 'number',
    max_body_size = 'number', max_requests = 'number',
    max_connections = 'number', max_streams = 'number', http2 = 'boolean',
    idle_timeout = 'number',
    header_timeout = 'number', body_timeout = 'number',
    send_timeout = 'number', backlog = 'number', reuseport = 'boolean',
    charset = 'string', display_errors = 'boolean', handler = 'function',
    stream = 'boolean', name = 'string',
    log_requests = 'boolean or function', log_errors = 'boolean or function',
    tls = 'table', proxy_protocol = 'boolean',
    compress = 'boolean or table', access_log = 'string or function or table',
}

local function check_options(options)
    if type(options) ~= 'table' then
        usage(('http.server.new(host, port, options): options are a table, '
            .. 'not %s'):format(type(options)))
    end
    for name, value in pairs(options) do
        local wanted = known[name]
        if wanted == nil then
            usage(("http.server.new: there is no option '%s'")
                :format(tostring(name)))
        end
        if not wanted:find(type(value), 1, true) and
           not (name == 'access_log' and value == false) then
            usage(('http.server.new: %s is a %s, not %s')
                :format(name, wanted, type(value)))
        end
    end
end

-- For messages.
local function shown(value)
    return type(value) == 'string' and ('%q'):format(value:sub(1, 100)) or
        tostring(value)
end

local function check_whole(value, what, least, most)
    if type(value) ~= 'number' or value % 1 ~= 0 or
       not (value >= least and value <= most) then
        usage(('%s is a whole number from %d to %d, not %s'):format(what, least,
            most, shown(value)))
    end
    return value
end

local function no_route(self, method, key)
    local allowed = self.router:allowed(key)
    if allowed == nil then
        return { status = 404, body = 'Not Found\n' }
    end
    return { status = 405, headers = { allow = allowed },
             body = 'Method Not Allowed\n' }
end

-- A request by the long way: hooks, logs, patterns.
local function dispatch(self, req, method, key, traced)
    local hooks = self.hooks
    if self.options.handler then
        return self.options.handler, self.options.handler(self, req, traced)
    end
    if hooks.before_dispatch then
        hooks.before_dispatch(self, req)
    end
    local route, stash = self.router:find(method, key)
    if route == nil then
        return no_route, no_route(self, method, key)
    end
    req.route = route
    if traced then
        c.trace(req, 'route', route.path or '*')
    end
    if route.label then
        c.set_label(req, route.label)
    end
    if stash ~= nil then
        req._stash = stash
    end
    local resp = route.handler(req)
    if hooks.after_dispatch then
        local head = resp == nil and req._streamed
        if head then
            hooks.after_dispatch(req, head) -- it has been sent
            return route.handler
        elseif resp == nil then
            resp = {}
        elseif type(resp) == 'string' then
            resp = { body = resp }
        end
        hooks.after_dispatch(req, resp)
    end
    return route.handler, resp
end

local function log_request(self, req, route, line, status)
    local log = self.options.log_requests
    if route ~= nil and route.log_requests ~= nil then
        log = route.log_requests
    end
    if type(log) == 'function' then
        log('%s %d', line, status)
    elseif log then
        c.log('info', ('%s %d'):format(line, status))
    end
end

local function serve_fully(self, req, method, key, traced)
    local line = self.logs and req:request_line()
    local handler, resp = dispatch(self, req, method, key, traced)
    if self.compresses then
        local options = compress.options_of(self, req.route)
        if options then
            resp = compress.apply(req, resp, options, self.text_type)
        end
    end
    local status = answer(self, req, handler, resp)
    if line then
        local head = req._streamed
        status = head and head.status or status
        log_request(self, req, req.route, line, status)
    end
end

local function log_error(self, route, format, ...)
    local log = self.options.log_errors
    if route ~= nil and route.log_errors ~= nil then
        log = route.log_errors
    end
    if type(log) == 'function' then
        log(format, ...)
    elseif log then
        c.log('error', format:format(...))
    end
end

-- With a log function of the user's, or a route that says what is logged, the error
-- does not leave here. A cancel does: it is no error of the handler's.
local function serve_guarded(self, req, method, key, traced)
    local line = req:request_line()
    local cancel
    local ok, text = xpcall(serve_fully, function(err)
        if type(err) == 'userdata' and err.type == 'FiberIsCancelled' then
            cancel = err
        end
        return debug.traceback(tostring(err), 2)
    end, self, req, method, key, traced)
    if ok then
        return
    elseif cancel ~= nil then
        error(cancel, 0)
    end
    log_error(self, req.route, '%s: %s', line, text)
    if not abort(req) and not req:is_gone() then
        reply(req, 500, nil, self.options.display_errors and text or
            'Internal Server Error\n', self.text_type)
    end
end

-- Only a part of the body has come: unless the route reads it in pieces, wait for
-- the rest. False: it does not come, and the peer has been told.
local function await_body(self, req, method, key)
    local stream = self.options.stream
    if not self.options.handler then
        local route = self.router:find(method, key)
        stream = route == nil or route.stream
    end
    if stream or request.await_body(req) then
        return true
    end
    reply(req, 200) -- to nobody
    return false
end

-- What runs for each request. The short way is for routes without
-- placeholders, while nobody hooks or logs.
local function make_serve(self)
    local take, set_label = c.take(self.c, self), c.set_label
    local exact = self.router.exact
    return function(number, coming)
        local req, method, key, traced = take(number)
        if coming and not await_body(self, req, method, key) then
            return
        end
        local methods = exact[key]
        local route = methods and (methods[method] or methods.ANY)
        if route and route.plain and self.plain then
            local handler = route.handler
            if traced then
                c.trace(req, 'route', route.path or '*')
            end
            if route.label then
                set_label(req, route.label)
            end
            answer(self, req, handler, handler(req))
        elseif self.guards then
            serve_guarded(self, req, method, key, traced)
        else
            serve_fully(self, req, method, key, traced)
        end
    end
end

-- Options of TLS, which offers the @protocols unless told what, and so its names.
local function with_protocols(options, protocols)
    local copy = {}
    for name, value in pairs(options) do
        copy[name] = value
    end
    copy.context, copy.handshake_timeout = nil, nil
    copy.alpn = copy.alpn or protocols
    if type(copy.sni) == 'table' then
        copy.sni = {}
        for name, value in pairs(options.sni) do
            local is_options = type(value) == 'table' and value[1] == nil
            copy.sni[name] = is_options and
                with_protocols(value, protocols) or value
        end
    end
    return copy
end

-- The context that @tls stands for. Throws: the certificate is no good.
local function context_of(tls, http2)
    local context = tls[1] ~= nil and tls or tls.context
    if context == nil then
        local err
        context, err = require('socket').tls_server(with_protocols(tls,
            http2 and { 'h2', 'http/1.1' } or { 'http/1.1' }))
        if context == nil then
            error(err, 0)
        end
    elseif type(context) ~= 'table' or not context.is_server then
        usage('http.server.new: tls: a context of socket.tls_server() is '
            .. 'wanted')
    elseif context ~= tls then
        for name in pairs(tls) do
            if name ~= 'context' and name ~= 'handshake_timeout' then
                usage(("http.server.new: tls: %s belongs to the context")
                    :format(tostring(name)))
            end
        end
    end
    return context
end

-- The fast way is open while nothing stands in it.
local function update(self)
    local options = self.options
    self.logs = options.log_requests and true or self.route_logs
    self.plain = next(self.hooks) == nil and not options.handler and
        not self.logs and not self.compress and
        type(options.log_errors) ~= 'function'
    self.compresses = self.compresses or self.compress ~= nil
end

-- Have requests logged as @log says.
local function open_log(self, log)
    if log.path then
        c.log_to_file(self.c, log.path, log.format, log.buffer,
            log.flush_interval)
    else
        c.log_to_function(self.c,
            access.teller(c.next_access, self.c, log.sink), log.queue)
    end
    self.logs_access = true
end

--- http.server.new(host, port, [options]) -> httpd
-- A server that is not started yet. @host is an IPv4 or IPv6 address,
-- "localhost", "*", or "unix/:PATH" ("unix/" with the path as @port will do);
-- @port 0 takes a free one, which `httpd:port()` tells. @options:
--
-- | option | default | what |
-- |---|---|---|
-- | `max_header_size` | 16384 | bytes of a header (at most 100 fields); else 431 |
-- | `max_uri_size` | 8192 | bytes of a URI; else 414 |
-- | `max_body_size` | 8388608 | bytes of a body; else 413. More than 1 GiB only for routes with `stream` |
-- | `max_connections` | by `ulimit -n` | open at once; else 503. Servers without one share what a worker's descriptors allow |
-- | `max_requests` | none | on a connection, which then is closed |
-- | `http2` | with `tls` | speak HTTP/2, too: by ALPN, or in plain text with who begins so |
-- | `max_streams` | 128 | requests at once on a connection of HTTP/2 |
-- | `idle_timeout` | 60 | seconds without a request; then closed |
-- | `header_timeout` | 10 | seconds from a request's first byte to its header's end; else 408 |
-- | `body_timeout` | 60 | seconds for each 64 KiB of body; else 408 |
-- | `send_timeout` | 60 | seconds in which a peer reads nothing; then closed |
-- | `tls` | none | HTTPS: a table of options, or a context |
-- | `proxy_protocol` | false | every connection begins with a PROXY header; see below |
-- | `backlog` | 4096 | connections that wait to be accepted |
-- | `reuseport` | false | several processes may listen on the port |
-- | `name` | none | of the listener, in events and for sockets that [systemd](../guide-server.md) hands over |
-- | `charset` | "utf-8" | of text without a content type |
-- | `handler` | none | `handler(httpd, req)` for every request; routes and hooks are not used |
-- | `stream` | false | `handler` runs as soon as the header is there, as with a route's `stream` |
-- | `display_errors` | false | tell the peer the traceback of a handler's error |
-- | `log_requests` | false | log every request; a function gets a format and its arguments |
-- | `compress` | false | send bodies as gzip, brotli or zstd to who accepts it; see `httpd:route()` |
-- | `access_log` | none | a path, a function or a table: see below |
-- | `log_errors` | true | log the errors of handlers; a function gets a format and its arguments |
--
-- `tls` takes what `socket.tls_server()` does, `cert_file` and `key_file` above all,
-- or such a context, or one as `context`; and `handshake_timeout`, 10 seconds unless
-- given, after which a connection that has not greeted is closed. HTTP/2 and HTTP/1.1
-- are offered by ALPN, unless the options or the context have another `alpn`. `req:tls_info()` tells a handler who asks. To HTTP in plain
-- text the port answers 400.
--
-- With `proxy_protocol` the server is behind a proxy that says whose each connection
-- is, by a PROXY header of version 1 or 2 (HAProxy's `send-proxy-v2`): its source is
-- the peer that `req:peer()` tells, unless the proxy speaks for itself. A connection
-- that does not begin so within `header_timeout` (with TLS `handshake_timeout`) is
-- closed and counted as `unproxied`. Whoever can reach the port can say what he
-- likes: let nobody but the proxy.
--
-- `access_log` has every request written down when it is over, those that the server
-- refuses by itself among them: into the file of a path, in the format "combined", or to
-- a function, or as a table says:
--
-- | field | default | what |
-- |---|---|---|
-- | `path` | | the file, to which is appended; or |
-- | `sink` | | `sink(request)`, in a fiber of its own, one after the other |
-- | `format` | "combined" | or "json": an object a line |
-- | `buffer` | 1048576 | bytes of lines that may wait for the disk |
-- | `flush_interval` | 0.5 | seconds until a line is written, at most |
-- | `queue` | 10000 | requests that may wait for the sink |
--
-- "combined" is the format of that name of other servers, and the seconds behind it:
--
--     10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /a?b HTTP/1.1" 200 512 "-" "curl/8" 0.000217
--
-- "json" and the table for a sink have the fields time (when the first byte came; a
-- number for a sink), remote, port, method, target, protocol, status, sent, received
-- (bytes of bodies; of a WebSocket, of its frames), duration (seconds until the last
-- byte of the answer was given to the kernel, or the peer had gone), head (seconds
-- until there was an answer), complete (all of that has left), referer,
-- user_agent and route (its name, or without one its path). What there is none of is
-- null, or nil. `sent` counts what has really left. 499 is the status of a request
-- whose peer had gone before there was an answer; a request without a whole header and
-- without an answer is none. What cannot be read as a request has its
-- first line in target. Long texts are cut and end in "...".
--
-- What a peer sends is escaped, as `\xff`, or as JSON has it. Lines are written by
-- another thread, whole, so that several workers and processes may share a file; what
-- does not fit into `buffer`, because the disk is too slow, or into `queue`, and what a
-- full disk refuses, is lost, counted as `unlogged`, and told in the server's log once
-- it begins and once it is over. `httpd:stop()` and the end of the program write what
-- there is before they are done, but wait no more than 2 seconds. After a rotation
-- SIGUSR1, `log.reopen()` or `httpd:reopen_log()` open the file again.
--
-- With HTTP/2 each of a connection's requests has its fiber at the same time as the
-- others; everything else is as with HTTP/1.1, limits, bodies in pieces, files and
-- events too, and `req.proto` is `{2, 0}`. What cuts a connection of HTTP/1.1 cuts
-- only the stream, and a peer that takes its request back has gone. A connection whose
-- peer takes back more than it lets finish, or sends what brings nothing, is ended
-- (ENHANCE_YOUR_CALM). `Connection: close` in an answer, and `max_requests`, have
-- the peer go on with a new connection, without a loss. There is no upgrade from HTTP/1.1
-- and no push.
--
-- Yields: no. Throws: a certificate or key that cannot be used.
function M.new(host, port, options)
    options = options or {}
    check_options(options)
    local log = options.access_log and access.options(options.access_log)
    local copy = { charset = 'utf-8', log_errors = true, backlog = 0 }
    for name, value in pairs(options) do
        copy[name] = value
    end
    if host == 'unix/' and type(port) == 'string' then
        host, port = 'unix/:' .. port, 0
    end
    if copy.http2 == nil then
        copy.http2 = copy.tls ~= nil
    end
    local context
    if copy.tls ~= nil then
        context = context_of(copy.tls, copy.http2)
        copy.handshake_timeout = copy.tls.handshake_timeout
    elseif copy.proxy_protocol then
        copy.handshake_timeout = copy.header_timeout
    end
    host = host or '*'
    if type(host) ~= 'string' or host == '' or host == 'unix/:' then
        usage(('http.server.new(host, port): host is an address, "*" or '
            .. '"unix/:PATH", not %s'):format(shown(host)))
    end
    port = check_whole(tonumber(port or 0) or port,
        'http.server.new(host, port): port', 0, 65535)
    if options.backlog ~= nil then
        copy.backlog = check_whole(options.backlog, 'http.server.new: backlog', 1,
            2 ^ 31 - 1)
    end
    if copy.charset:find('[^%w!#$%%&\'*+.^_`|~-]') or copy.charset == '' then
        usage(('http.server.new: charset is a word, not %s')
            :format(shown(copy.charset)))
    end
    local self = setmetatable({
        host = host,
        wanted_port = port,
        options = copy,
        router = router.new(),
        hooks = {},
        route_logs = false,
        guards = type(copy.log_errors) == 'function',
        compress = compress.options(copy.compress, 'http.server.new'),
        text_type = 'text/plain; charset=' .. copy.charset,
        c = c.new(copy),
        tls = context,
    }, server_mt)
    if context ~= nil then
        c.set_tls(self.c, context[1])
    end
    update(self)
    if copy.stream then
        c.set_streaming(self.c)
    end
    c.set_serve(self.c, make_serve(self))
    if log then
        open_log(self, log)
    end
    return self
end

local route_fields = {
    path = true, method = true, name = true, log_requests = true,
    log_errors = true, stream = true, compress = true,
}

local function bad_route(route, text, ...)
    usage(('httpd:route: %s: %s'):format(route.path, text:format(...)))
end

local function check_route(route)
    if route.name ~= nil and type(route.name) ~= 'string' then
        bad_route(route, 'name is a string, not %s', shown(route.name))
    elseif route.stream ~= nil and type(route.stream) ~= 'boolean' then
        bad_route(route, 'stream is true or false, not %s', shown(route.stream))
    end
    for _, name in ipairs({ 'log_requests', 'log_errors' }) do
        local log = route[name]
        if log ~= nil and type(log) ~= 'boolean' and type(log) ~= 'function' then
            bad_route(route, '%s is true, false or a function, not %s', name,
                shown(log))
        end
    end
end

-- The set of methods of a route.
local function methods_of(route)
    local methods, list = {}, route.method or 'ANY'
    for _, method in ipairs(type(list) == 'table' and list or { list }) do
        if type(method) ~= 'string' then
            bad_route(route, 'method is a string or a list of them, not %s',
                shown(method))
        end
        local name = method:upper()
        if not c.methods[name] and name ~= 'ANY' then
            bad_route(route, 'there is no method %s: one of HTTP (GET, HEAD, POST, '
                .. 'PUT, PATCH, DELETE, OPTIONS, ...) or ANY is wanted', shown(method))
        end
        methods[name] = true
    end
    if next(methods) == nil then
        bad_route(route, 'the list of methods is empty')
    end
    return methods
end

--- httpd:route(route, handler) -> httpd
-- Have @handler answer the requests that @route = `{path=, method=, name=,
-- log_requests=, log_errors=, stream=, compress=}` takes. In `path`, ":name" stands for a segment and "*name" for
-- any rest, once; `req:stash(name)` gives them. A slash at the end makes no
-- difference. `method` is one, a list, or "ANY", which is the default; GET
-- answers HEAD, too. Without a route a request is answered 404, without one for
-- its method 405.
--
-- With `stream` the handler runs as soon as the header is there, and `req:read()`
-- gives the body while it comes; a handler that does not read holds back the peer.
-- If it answers before the body's end, the connection is closed behind the answer.
--
-- With `compress`, true or `{level=, min_size=, types=, brotli=, zstd=}`, or false where the
-- server compresses, a body of at least 1,024 bytes, or in pieces, whose type is text
-- (or one of the list `types`, as "text/html" or "text/*") is sent as brotli, zstd or gzip,
-- what the peer's Accept-Encoding likes better, on `level` 1 to 9 (5); a piece can be
-- read when it has come. Not so with a content-encoding or "no-transform",
-- for 206, and events only if they are asked to be. Large bodies are compressed on
-- another thread. What could be compressed has `Vary: Accept-Encoding`, its 304 and 206
-- too; the ETag of what was is a weak one, so that its 304 speaks of it, and a part,
-- which is always one of the body as it is, is not joined to it. HEAD has the fields of GET,
-- but no length.
--
-- @handler(req) returns a response `{status=, headers=, body=, trailers=}`; `body` is a
-- string, or a table, which is sent as JSON; a value of `headers` may be a list.
-- A string alone is a body; nothing is an empty answer. Anything else, such as a
-- response with other fields, and an error, is answered 500 and logged.
--
-- `body` may also be a function, which is called for one chunk of the body after
-- the other until it gives nil; it may wait. It is called only when the peer has
-- read enough of what came before, and not at all for HEAD, or once the peer has
-- gone. Iterators do, too: a function that returns a state and a chunk, or
-- `{gen=, param=, state=}`. `trailers` of the response, or what a function there
-- returns in the end, follow the last chunk; with them a string is sent in chunks, too.
-- `req:stream()` is the other way to answer in pieces, and says when what is sent how.
-- Yields: no. Throws: the route exists; what else is in @route.
function server:route(route, handler)
    if type(route) ~= 'table' or type(route.path) ~= 'string' then
        usage('httpd:route({path=, method=, name=}, handler): a path is '
            .. 'wanted')
    end
    if type(handler) ~= 'function' then
        usage(('httpd:route({path=}, handler): handler is a function, not %s')
            :format(type(handler)))
    end
    for name in pairs(route) do
        if not route_fields[name] then
            usage(("httpd:route: %s: there is no '%s' of a route"):format(route.path,
                tostring(name)))
        end
    end
    check_route(route)
    local methods = methods_of(route)
    local smaller = route.compress
    if smaller then
        smaller = compress.options(smaller, 'httpd:route')
        self.compresses = true
    end
    local ok, why = self.router:add({
        path = route.path,
        name = route.name,
        method = route.method or 'ANY',
        methods = methods,
        handler = handler,
        log_requests = route.log_requests,
        log_errors = route.log_errors,
        stream = route.stream and true or nil,
        compress = smaller,
        plain = not smaller and route.log_errors == nil,
        label = self.logs_access and
            c.add_label(self.c, route.name or route.path) or nil,
    })
    if not ok then
        usage(('httpd:route: %s: %s'):format(route.path, why))
    end
    if route.stream then
        c.set_streaming(self.c)
    end
    self.guards = self.guards or route.log_errors ~= nil
    if route.log_requests ~= nil then
        self.route_logs = true
        update(self)
    end
    return self
end

--- httpd:delete(name) -> httpd
-- Take the route called @name away; requests that it has already go on. Without one of
-- that name nothing happens. Yields: no.
function server:delete(name)
    self.router:remove(name)
    return self
end

--- httpd:static(prefix, folder, [options]) -> httpd
-- Have GET and HEAD of paths below @prefix, such as "/assets", answered with the
-- files in @folder. Nothing outside it is ever sent, nor for a path with "..", an
-- escaped slash or an empty segment; what is no plain file is not found. Routes
-- that say more come first. A path of a folder is answered with its index, without
-- a slash at its end by a redirect to the one with it. @options:
--
-- | option | default | what |
-- |---|---|---|
-- | `index` | "index.html" | the file for a folder; false: there is none |
-- | `symlinks` | "inside" | links may lead to what lies in @folder; "never"; "anywhere" |
-- | `hidden` | false | send files, and look into folders, whose names begin with a dot |
-- | `precompressed` | false | send `file.br`, `file.zst` or `file.gz`, if there is one, to who accepts it |
-- | `cache_control` | none | of this field; a number is seconds |
-- | `types` | none | media types by the end of a name, `{lua = 'text/plain'}`, before those known |
-- | `log_requests` | of the server | as of a route |
-- | `name` | none | as of a route |
--
-- Answers have an ETag and a Last-Modified and obey the conditions of a request; those
-- of the files of `precompressed` are their own. Ranges are sent, of the file itself
-- whatever is accepted, several of them as multipart/byteranges. Files are opened and
-- fetched on threads of the pool and sent by the kernel in turns; a file that
-- becomes shorter while it is sent cuts the connection. In Tarantool's http module
-- files come from the folder `public` of `app_dir`, unasked: here nothing is
-- served that was not named.
-- Yields: no. Throws: a route with that path exists.
function server:static(prefix, folder, options)
    options = options or {}
    local base, serve, redirect = static.new(prefix, folder, options)
    local function add(path, handler, name)
        return self:route({
            path = path, method = { 'GET', 'HEAD' }, name = name,
            log_requests = options.log_requests,
        }, handler)
    end
    add(base .. '/*path', serve, options.name)
    if base ~= '' then
        add(base, redirect)
    end
    return self
end

--- http.server.files(prefix, folder, [options], [any_method]) -> f
-- What `httpd:static()` of @prefix, @folder and @options serves, for who sends it
-- requests himself: f(req) gives a response, or nil when it has answered, and true; and
-- nothing at all for a path that is not below @prefix. Another method than GET and HEAD
-- is answered with 405, or with true for @any_method as GET. Yields: no.
function M.files(prefix, folder, options, any_method)
    local base, serve, redirect = static.new(prefix, folder, options or {})
    return function(req)
        local path, method = req.path, req.method
        local below = path == base or path:sub(1, #base + 1) == base .. '/'
        if below and not any_method and method ~= 'GET' and method ~= 'HEAD' then
            return { status = 405, headers = { allow = 'GET, HEAD' },
                     body = 'Method Not Allowed\n' }, true
        elseif base ~= '' and path == base then
            return redirect(req), true
        elseif below then
            return serve(req), true
        end
    end
end

--- httpd:hook(name, f) -> httpd
-- Have @f called with every request: with @name "before_dispatch" f(httpd, req)
-- before its route is sought, with "after_dispatch" f(req, resp) before the
-- answer is sent. Nil for @f takes it away. Yields: no.
function server:hook(name, f)
    if name ~= 'before_dispatch' and name ~= 'after_dispatch' then
        usage(("httpd:hook: there is no hook '%s'"):format(tostring(name)))
    end
    if f ~= nil and type(f) ~= 'function' then
        usage('httpd:hook(name, f): f is a function')
    end
    self.hooks[name] = f
    update(self)
    return self
end

--- httpd:url_for(name, [args], [query]) -> string
-- The path of the route called @name, with @args in its placeholders and @query,
-- a text or a table, behind it. Yields: no. Throws: no such route, no value for
-- a placeholder.
function server:url_for(name, args, query)
    local route = type(name) == 'table' and name or self.router.names[name]
    if route == nil then
        usage(("httpd:url_for: there is no route '%s'"):format(tostring(name)))
    end
    local url, why = router.url(route, args, query)
    if url == nil then
        usage('httpd:url_for: ' .. why)
    end
    return url
end

--- httpd:match(method, path) -> table | nil
-- The route that @method and @path would take: `{endpoint=, stash=}`. Yields: no.
function server:match(method, path)
    if type(path) ~= 'string' then
        usage('httpd:match(method, path): path is a string')
    end
    local route, stash = self.router:find(method, path)
    return route and { endpoint = route, stash = stash or {} } or nil
end

--- httpd:start() -> httpd
-- Listen and serve; the program goes on while it does. Yields: no.
-- Throws: the address cannot be had (SystemError); started already.
function server:start()
    c.listen(self.c, self.host, self.wanted_port, self.options.backlog,
        self.options.reuseport, self.options.name)
    return self
end

--- httpd:reload_tls() -> true | nil, err
-- Read the files of certificates, keys and authorities again, those of `sni` too.
-- Connections that begin from now on have what is in them; those that are open go
-- on, and none is refused meanwhile. When something is wrong with one of the files
-- nothing changes. Each worker has its own. Yields: no. Throws: it has no TLS.
function server:reload_tls()
    if self.tls == nil then
        usage('httpd:reload_tls: this server has no tls')
    end
    return self.tls:reload()
end

--- httpd:reopen_log() -> true | nil, err
-- Open the file of `access_log` again under its name, after a rotation; what is not
-- written yet goes there. When it cannot be opened the old file is used on. Each worker
-- has its own; SIGUSR1 and `log.reopen()` reopen those of all, when each has something
-- to write. Yields: no. Throws: it has no access log.
function server:reopen_log()
    if not self.logs_access then
        usage('httpd:reopen_log: this server has no access log')
    end
    return c.reopen_log(self.c)
end

--- httpd:stop([deadline]) -> boolean
-- Take no more connections, close the idle ones and end the others with their
-- answers; what has not ended @deadline seconds (30) later is cut. Waits until
-- all is over; asked by a handler of its own, it does not wait. It may be started
-- again then. Returns false when something was cut, which the log tells of, too.
-- Yields: yes. Throws: cancelled.
function server:stop(deadline)
    if deadline ~= nil and (type(deadline) ~= 'number' or not (deadline >= 0)) then
        usage(('httpd:stop(deadline): a number of seconds, 0 or more, is wanted, not '
            .. '%s'):format(shown(deadline)))
    end
    local before = c.stat(self.c).cut
    local status = c.stop(self.c, deadline or DEADLINE)
    if status ~= 0 then
        c.failed(status)
    end
    return c.stat(self.c).cut == before
end

--- httpd:port() -> number | string | nil
-- The port it listens on, or the path of its unix socket; nil when it does not
-- listen. Yields: no.
function server:port()
    return (select(2, c.address(self.c)))
end

--- httpd:address() -> string, number | string
-- The address it listens on and the port, or "unix/" and the path; nil when it
-- does not listen. Yields: no.
function server:address()
    return c.address(self.c)
end

--- httpd:stat() -> table
-- Counters since it was made: accepted, refused_connections, accept_failed,
-- requests, refused_requests, timeouts, gone, cut (by the deadline of a stop),
-- handshakes (of TLS, done), handshakes_failed, unproxied (no PROXY header came),
-- truncated (TLS that ended without saying so, in a request), http2 (connections of
-- HTTP/2), http2_resets (requests of theirs that were broken off), http2_floods
-- (connections ended for what they cost), reads, writes, bytes_in, bytes_out, unlogged
-- (by `access_log`); what is now: connections, waiting (requests not yet answered),
-- running. Yields: no.
function server:stat()
    return c.stat(self.c)
end

return M
