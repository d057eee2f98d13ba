-- The module `http.client`: requests to other servers, on libcurl.
--
-- Names, arguments and return values are those of Tarantool's public documentation,
-- with one difference: what gives no response (no connection, a certificate that is
-- not trusted, the time is over) is `nil, err`, never a status that no server sent. The
-- error is of type TimedOut, SystemError (with errno) or ClientError and names the
-- request, without its query and password.
--
-- A client keeps connections for later requests (HTTP/1.1 and, over TLS, HTTP/2);
-- `require('http.client').get(...)` and its kin use one that all share. A request waits
-- for its response; other fibers go on. It ends early when its fiber is cancelled or
-- the time of `fiber.deadline()` is over, which throws.
--
-- Certificates and host names are verified unless `verify_peer` and `verify_host`
-- say otherwise. The environment variables `http_proxy`, `https_proxy`, `all_proxy` and
-- `no_proxy` hold, as for curl, unless `proxy` is given.
local c = ...

local fiber = require('fiber')
local json = require('json')
local msgpack = require('msgpack')
local yaml = require('yaml')

local usage = c.usage
local O = c.options
local options = c.add_options()
local END, ETIMEDOUT = 3, -110
local MAX_BODY = 64 * 1024 * 1024
local KEPT = 5 -- connections
-- The name of a cookie, and spaces behind it.
local TOKEN = "^[ \t]*([%w!#$%%&'*+.^_`|~-]+)[ \t]*$"

local M = {}
local client = {}
local client_mt = { __index = client, __name = 'http client' }
local response_mt = { __index = {} }

-- --- responses ---

-- The headers of a response: by name in small letters; those that come again are
-- joined by commas, or with @lists all are lists. Cookies: name -> {value, attributes}.
local function parse_head(text, lists)
    local headers, cookies = {}, {}
    local reason = text:match('^HTTP/%S+%s+%d+[ \t]*([^\r\n]*)') or ''
    if text:find('\n[ \t]') then -- a line goes on
        text = text:gsub('[ \t]*\r?\n[ \t]+', ' ')
    end
    for name, value in text:gmatch('\n([^:\r\n]+):[ \t]*([^\r\n]*)') do
        name, value = name:lower(), value:match('^(.-)[ \t]*$')
        if name == 'set-cookie' then
            local key, content, rest =
                value:match('^([^=;]+)=[ \t]*([^;]*)(.*)$')
            key = key and key:match(TOKEN)
            if key ~= nil then
                local attributes = {}
                for attribute in rest:gmatch(';[ \t]*([^;]+)') do
                    attributes[#attributes + 1] = attribute
                end
                cookies[key] = { content:match('^(.-)[ \t]*$'), attributes }
            end
        end
        local values = headers[name] or {}
        values[#values + 1], headers[name] = value, values
    end
    for name, values in pairs(headers) do
        headers[name] = lists and values or table.concat(values, ',')
    end
    return reason, headers, cookies
end

local decoders = {
    ['application/json'] = function(body) return json.decode(body) end,
    ['application/yaml'] = function(body) return yaml.decode(body) end,
    ['application/msgpack'] = function(body) return (msgpack.decode(body)) end,
}

-- Clients, and the one that all share, put their own before them.
local function coders()
    return setmetatable({}, { __index = options.encoders }),
        setmetatable({}, { __index = decoders })
end

-- Those of the clients that have some, by their responses.
local own_decoders = setmetatable({}, { __mode = 'k' })

--- response:decode() -> any
-- The body as what its content type says: JSON, YAML, msgpack, or what the client has a
-- function for in `decoders`. Yields: no, unless that does. Throws: another content type,
-- a body that is not what it says.
function response_mt.__index:decode()
    local given = self.headers['content-type']
    given = type(given) == 'table' and given[1] or given
    local kind = given == nil and 'application/json' or options.type_of(given)
    local own = own_decoders[self]
    if own ~= nil and own[kind] ~= nil then
        return own[kind](self.body, given or kind)
    end
    local decoder = decoders[kind]
    if decoder == nil then
        usage(('http.client: no decoder for %s'):format(kind))
    end
    return decoder(self.body)
end

-- --- waits ---

local function due_of(timeout)
    if timeout ~= nil and (type(timeout) ~= 'number' or timeout ~= timeout) then
        usage('http.client: a timeout is a number of seconds, not '
            .. (timeout ~= timeout and 'NaN' or type(timeout)))
    end
    return timeout == nil and math.huge or fiber.clock() + timeout
end

-- Until it has come: true; or nil, err when @due is over. Everything else throws; the
-- request is over then.
local function wait(self, what, due, size)
    while true do
        local left = due ~= math.huge and math.max(0, due - fiber.clock()) or nil
        local status, come = c.wait(self.call, what, left, size)
        if come then
            return true
        elseif status == ETIMEDOUT then
            return nil, select(2, pcall(c.failed, status))
        elseif status ~= 0 then
            if self.whole then
                c.close(self.call) -- what has come of it is nobody's
            else
                c.abort(self.call)
            end
            c.failed(status)
        end
    end
end

local function out_of_time(what, timeout)
    return c.timed_out(('%s: no response within %g seconds'):format(what,
        timeout or 0))
end

-- The same for a request: its time is all it has.
local function wait_or_abort(self, what)
    local ok = wait(self, what, self.due)
    if not ok then
        c.abort(self.call)
        return out_of_time(self.what, self.timeout)
    end
    return true
end

-- --- requests ---

-- For messages: without a password, which may be in it, and the query.
local function name_of(method, url)
    local text = url:gsub('[?#].*$', '')
    local scheme = text:match('^%a[%w+.-]*:/+') or ''
    text = text:sub(#scheme + 1):gsub('^[^/]*@', '')
    -- No port, but the beginning of a password with a slash in it.
    text = scheme .. text:gsub('^([^/%[]*):%d*[^%d/].*$', '%1:...')
    if #text > 200 then
        text = text:sub(1, 200) .. '...'
    end
    return ('http.client: %s %s'):format(method, (text:gsub('%c', '?')))
end

-- Begin it: what stands for it until it has ended.
local function begin(self, method, url, body, opts)
    if getmetatable(self) ~= client_mt then
        usage('http.client: use client:request(...), with a colon')
    end
    method = options.check_method(method)
    if type(url) ~= 'string' or url:find('[%c ]') then
        usage('http.client: the URL is a string without spaces and control '
            .. 'characters')
    end
    opts = options.check(opts)
    local timeout = options.check_number(opts, 'timeout')
    local follows = options.check_boolean(opts, 'follow_location', true)
    local streams = options.check_boolean(opts, 'chunked', false)
    local lines, known = options.header_lines(opts.headers)
    local content_type
    if opts.params ~= nil then
        if method == 'GET' or method == 'HEAD' or method == 'DELETE' then
            local form = options.form_of(opts.params)
            if form ~= '' then
                local before, fragment = url:match('^([^#]*)(.*)$')
                url = before .. (before:find('?', 1, true) and '&' or '?') .. form
                    .. fragment
            end
        elseif body ~= nil then
            usage('http.client: params are the body of this request: there is '
                .. 'another one')
        else
            body = options.form_of(opts.params, true)
            content_type = 'application/x-www-form-urlencoded'
        end
    end
    if body ~= nil then
        local chosen
        body, chosen = options.encode(body, known['content-type'],
            self.encoders)
        content_type = chosen or content_type
    end
    if content_type ~= nil and known['content-type'] == nil then
        lines[#lines + 1] = 'Content-Type: ' .. content_type
    end
    -- libcurl would wait for a second whether a server answers it.
    if known.expect == nil then
        lines[#lines + 1] = 'Expect:'
    end
    local streams_out = streams and body == nil and (method == 'POST'
        or method == 'PUT' or method == 'PATCH')
    local left -- bytes of a body in pieces whose length is known
    if known['content-length'] ~= nil then
        left = options.take_length(lines, known, streams_out, body)
    end
    local list, http2 = options.of(url, opts, timeout)
    local what = name_of(method, url)
    if opts.unix_socket then -- who could not be reached: not the URL's host
        what = ('%s by %s'):format(what, opts.unix_socket)
    end
    local redirects = options.check_number(opts, 'max_redirects', 10)
    options.set(list, O.FOLLOWLOCATION, follows and 1 or 0)
    options.set(list, O.MAXREDIRS, math.floor(redirects))
    local flags = options.set_method(list, method, body, streams_out)
        .. (streams and 'i' or '') .. (streams_out and 'o' or '')
        .. (follows and 'f' or '') .. (opts.accept_encoding and 'd' or '')
        .. (http2 and '2' or '') .. (url:find('^[hH][tT][tT][pP][sS]:') and 's' or '')
    if timeout == 0 then
        return out_of_time(what, timeout)
    end
    local call, err = c.call(self.c, list, lines, body,
        options.check_number(opts, 'max_body', streams and 0 or MAX_BODY, 1), flags,
        left or -1)
    if call == nil then
        return nil, err
    end
    return { call = call, what = what, timeout = timeout,
             due = due_of(timeout), out = streams_out, left = left,
             lists = options.check_boolean(opts, 'header_lists', false),
             decoders = self.decoders }
end

-- What the headers say, in @into.
local function take_head(self, into)
    local status, version, text, url = c.head(self.call)
    into.status = status
    into.proto = { math.floor(version / 10), version % 10 }
    into.reason, into.headers, into.cookies = parse_head(text, self.lists)
    into.url = url
    return into
end

local function finish(self)
    self.whole = true
    local ok, err = wait_or_abort(self, END)
    if ok then
        ok, err = c.result(self.call, self.what)
    end
    if not ok then
        c.close(self.call)
        return nil, err
    end
    local response = setmetatable(take_head(self, {}), response_mt)
    if self.decoders ~= nil and next(self.decoders) ~= nil then
        own_decoders[response] = self.decoders
    end
    local _, _, size = c.state(self.call)
    response.body = c.take(self.call, size)
    local trailers = c.trailers(self.call)
    if trailers ~= '' then
        local _, fields = parse_head('\n' .. trailers)
        response.trailers = fields
    end
    c.close(self.call)
    return response
end

local open_stream = c.add_stream({
    wait = wait, wait_or_abort = wait_or_abort, due_of = due_of,
    take_head = take_head, parse_head = parse_head,
})

--- http.client.new([opts]) -> client
-- A client with connections of its own; with a colon, too. @opts: `max_connections` that are kept for
-- later requests (5), `max_total_connections` and `max_host_connections` at once (none:
-- no limit; requests that find none free wait). Its tables `encoders` and `decoders` are for
-- functions of (body, content type), by the type in small letters, which make a text of
-- what is to be sent, or something of a response's body for `decode()`; they come before
-- JSON, YAML and msgpack. Yields: no. Throws: wrong usage, no libcurl.
function M.new(opts, behind)
    if opts == M then
        opts = behind
    end
    if opts ~= nil and type(opts) ~= 'table' then
        usage('http.client.new(opts): opts is a table')
    end
    opts = opts or {}
    for name in pairs(opts) do
        if name ~= 'max_connections' and name ~= 'max_total_connections'
            and name ~= 'max_host_connections' then
            usage(('http.client.new: unknown option %s'):format(tostring(name)))
        end
    end
    local handle, err = c.new(
        opts.max_connections == -1 and KEPT or
            math.floor(options.check_number(opts, 'max_connections', KEPT, 1)),
        math.floor(options.check_number(opts, 'max_host_connections', 0)),
        math.floor(options.check_number(opts, 'max_total_connections', 0)))
    if handle == nil then
        error(err, 2)
    end
    local encoders, own = coders()
    return setmetatable({ c = handle, encoders = encoders, decoders = own },
        client_mt)
end

--- client:request(method, url, [body], [opts]) -> response | nil, err
-- Send a request with the method @method (`'GET'`, small letters will do) to @url and wait for its response: a
-- table with `status`, `reason`, `headers`
-- (names in small letters), `cookies` (name -> `{value, {attributes}}`), `body`,
-- `proto` (`{1, 1}`), `url` (after redirects), `trailers` if there were some, and
-- `decode()`. @body is a string, a number or a boolean, which are sent as their texts, or a
-- table, which is sent as its content type says: JSON (the default), YAML or msgpack. The
-- response's body is '' when there is none.
--
-- @opts: `headers` (a value may be a list), `params` (a table: the query of GET, HEAD
-- and DELETE, else the body as a form), `timeout` in seconds for all of it (none),
-- `connect_timeout` (30), `max_body` in bytes, decoded (64 MiB; of a stream: none), `follow_location` (true) and
-- `max_redirects` (10), `http_version` ('1.0', '1.1', '2' or '2-tls', '2-prior-knowledge'; none:
-- HTTP/2 where an https URL's server has it),
-- `accept_encoding` (which is undone: 'gzip, br', or '' for all that are known; beside the
-- body that keeps as much as the server asks for, up to 128 MiB with zstd, 16 with br),
-- `header_lists` (true: the response's headers are lists of values), `connect_to`
-- (`HOST:PORT`, where to connect in place of the URL's host),
-- `username`, `password`, `unix_socket`, `interface`, `proxy`, `proxy_port`,
-- `proxy_user_pwd`, `no_proxy`, `ca_file`, `ca_path`, `ssl_cert`, `ssl_key`,
-- `ssl_key_password`, `verify_peer`, `verify_host`, `keepalive_idle`,
-- `keepalive_interval`, `low_speed_limit`, `low_speed_time`, `verbose` (to standard error);
-- `max_header_name_length` is taken, but no name is cut.
-- With `ca_file` or `ca_path` nobody else is trusted; without, whom the system does. A file
-- that has been replaced is noticed.
--
-- A response's headers may have 256 KiB, a line of them 100 KB; by HTTP/2 with libcurl 7.88 128 KB
-- and 64 KB; a trailer by HTTP/1.1 4 KB, by HTTP/2 64 KB. What has more is a ClientError that says
-- so. By HTTP/2 it ends the connection, and with it other responses on that: an error, too.
-- A body without a length, by HTTPS and HTTP/1.1, that ends with the connection before the server
-- has announced that end is an error: it may have been cut.
-- '2-prior-knowledge' is for servers that are trusted: libcurl 7.88 reads frames that bring nothing
-- for as long as they come, and only over TLS that can be ended.
--
-- With `chunked = true` the result is a `stream` instead: of GET and others
-- when the headers have come; of POST, PUT and PATCH without a body at once, to write the
-- body to, in chunks or, if a header `Content-Length` says how many, in so many bytes. Yields: yes. Throws: wrong usage, cancelled, the deadline.
function client:request(method, url, body, opts)
    local self_, err = begin(self, method, url, body, opts)
    if self_ == nil then
        return nil, err
    elseif opts ~= nil and opts.chunked then
        return open_stream(self_)
    end
    return finish(self_)
end

--- client:get(url, [opts]) -> response | nil, err
-- client:head(url, [opts]) -> response | nil, err
-- client:delete(url, [opts]) -> response | nil, err
-- client:options(url, [opts]) -> response | nil, err
-- client:trace(url, [opts]) -> response | nil, err
-- client:connect(url, [opts]) -> response | nil, err
-- `client:request()` with this method, to @url with @opts. Yields: yes. Throws: as that.
for _, method in ipairs({ 'get', 'head', 'delete', 'options', 'trace', 'connect' }) do
    local name = method:upper()
    client[method] = function(self, url, opts)
        return client.request(self, name, url, nil, opts)
    end
end

--- client:post(url, [body], [opts]) -> response | nil, err
-- client:put(url, [body], [opts]) -> response | nil, err
-- client:patch(url, [body], [opts]) -> response | nil, err
-- `client:request()` with this method, to @url with @body and @opts. Yields: yes. Throws: as
-- that.
for _, method in ipairs({ 'post', 'put', 'patch' }) do
    local name = method:upper()
    client[method] = function(self, url, body, opts)
        return client.request(self, name, url, body, opts)
    end
end

--- client:stat() -> table
-- Counters: `active_requests`, `sockets_added`, `sockets_deleted`, `total_requests`,
-- `http_200_responses`, `http_other_responses`, `failed_requests`. Yields: no.
function client:stat()
    local active, opened, closed, total, ok, other, failed = c.stat(self.c)
    return { active_requests = active, sockets_added = opened,
             sockets_deleted = closed, total_requests = total,
             http_200_responses = ok, http_other_responses = other,
             failed_requests = failed }
end

-- --- the client that all share ---

--- http.client.request(method, url, [body], [opts]) -> response | nil, err
-- http.client.get(url, [opts]) -> response | nil, err
-- http.client.head(url, [opts]) -> response | nil, err
-- http.client.delete(url, [opts]) -> response | nil, err
-- http.client.options(url, [opts]) -> response | nil, err
-- http.client.trace(url, [opts]) -> response | nil, err
-- http.client.connect(url, [opts]) -> response | nil, err
-- http.client.post(url, [body], [opts]) -> response | nil, err
-- http.client.put(url, [body], [opts]) -> response | nil, err
-- http.client.patch(url, [body], [opts]) -> response | nil, err
-- The methods of a client that all share: `client:request()` with @method, @url, @body and
-- @opts. Yields: yes. Throws: as that; no libcurl.
local shared

local encoders, shared_decoders = coders()

--- http.client.encoders -> table
-- Those of the client that all share, as of `http.client.new()`.
M.encoders = encoders

--- http.client.decoders -> table
-- What `response:decode()` has of it, likewise.
M.decoders = shared_decoders

local function share()
    shared = M.new()
    shared.encoders, shared.decoders = M.encoders, M.decoders
    return shared
end

for _, method in ipairs({ 'request', 'get', 'head', 'delete', 'options', 'trace',
                          'connect', 'post', 'put', 'patch' }) do
    M[method] = function(...)
        return client[method](shared or share(), ...)
    end
end

return M
