-- The requests and responses of the module `http.server`.
--
-- The fields of a request are those of Tarantool's http rock, and may be called
-- as well: `req.method` and `req:method()` are the same.

local c, _, router = ...

local usage = c.usage
local huge = math.huge

local c_params, c_decode, c_is_request = c.params, c.decode, c.is_request

local request, response = {}, {}
local response_mt = { __index = response }

local M = {
    reply = c.reply,
    is_request = c.is_request,
    abort = c.abort,
}

-- --- answers in pieces ---

local c_begin, c_write, c_wait_write, c_finish =
    c.begin, c.write, c.wait_write, c.finish
local c_failed, c_abort = c.failed, c.abort
local c_take_body, c_wait_body, c_state, c_unread, c_is_partial =
    c.take_body, c.wait_body, c.body_state, c.unread, c.is_partial

-- The body as text, however it comes. Nil and an error: it does not.
local function body_of(self)
    if not c_is_partial(self) then
        return self.body
    end
    if self._text == nil then
        local err
        self._text, err = self:read()
        return self._text, err
    end
    return self._text
end

local writer = {}
local writer_mt = { __index = writer }

-- All of @chunk, in pieces as the peer takes them. True, or nil and an error.
local function write(req, chunk)
    local taken, size = 0, #chunk
    while true do
        local n, err = c_write(req, chunk, taken)
        if n == nil then
            return nil, err
        elseif n == size then
            return true
        elseif n == taken then
            local status = c_wait_write(req)
            if status ~= 0 then
                c_failed(status)
            end
        end
        taken = n
    end
end

M.write = write
M.methods = request

--- req:stream([options]) -> writer
-- Answer in pieces: the head, @options `{status=, headers=, compress=}`, is sent now, the
-- body by the writer. With a `content-length` among the headers exactly so many bytes must be
-- written; without one the body is chunked, or, to HTTP/1.0, ends with the
-- connection. To HEAD no byte of it is sent. What a handler returns behind it must
-- be nothing; if it has not called `writer:finish()`, its return does. An error
-- after the head cuts the connection. The body is compressed as the route, or the server,
-- says; with `compress`, true or a table as of a route, whatever its type is, and with
-- false not at all. Then each write can be read by the peer when it has come, a
-- content-length is dropped, and what a cancel or a deadline has interrupted ends the
-- answer.
-- Yields: no. Throws: it has been answered; what cannot be sent.
function request:stream(options)
    options = options or {}
    if type(options) ~= 'table' then
        usage('req:stream{status=, headers=}: a table is wanted')
    end
    local status, headers = options.status or 200, options.headers
    if type(status) ~= 'number' or status % 1 ~= 0 or
       headers ~= nil and type(headers) ~= 'table' then
        usage('req:stream{status=, headers=}: a whole number and a table are '
            .. 'wanted')
    end
    for name in pairs(options) do
        if name ~= 'status' and name ~= 'headers' and name ~= 'compress' then
            usage(("req:stream: there is no option '%s'"):format(tostring(name)))
        end
    end
    local encoder, wrap
    local kind = self.httpd.text_type
    local on_head = self._on_head -- of the layer that has the handler
    if on_head then
        status, headers, wrap = on_head(status, headers)
    end
    if options.compress ~= nil or self.httpd.compresses then
        headers, encoder = M.compress.begin(self, status, headers,
            options.compress, kind)
    end
    local ok, why = c_begin(self, status, headers, nil, kind)
    if ok == nil then
        usage('req:stream: ' .. why)
    end
    self._streamed = { status = status, headers = headers or {} }
    local out = setmetatable({ req = self }, writer_mt)
    if encoder then
        out.encoded, out.encoder, out.turn = true, encoder, require('fiber').cond()
        self._writer = out
    end
    return wrap and wrap(out) or out
end

-- For layers above: what stands behind the status of its answer; nil: what belongs there.
request._set_phrase = c.set_phrase

-- A writer of an answer whose head has been sent.
function M.writer(req)
    return setmetatable({ req = req }, writer_mt)
end

--- writer:write(chunk) -> true | nil, err
-- Send @chunk, a string or a number. It is waited until the peer has read so much
-- of what was written before that there is room: nothing is gathered. Nil: the peer
-- has gone, or the answer has ended. Yields: maybe. Throws: cancelled; the
-- deadline; more than the Content-Length, which cuts the connection.
function writer:write(chunk)
    if type(chunk) == 'number' then
        chunk = tostring(chunk)
    elseif type(chunk) ~= 'string' then
        usage(('writer:write(chunk): a string is wanted, not %s')
            :format(type(chunk)))
    end
    if self.encoded then
        return M.compress.write(self, chunk, false)
    end
    return write(self.req, chunk)
end

--- writer:finish([trailers]) -> true | nil, err
-- The answer is complete; header fields @trailers are sent behind the last chunk,
-- if there are chunks. Nil: the peer has gone, or the answer has ended.
-- Yields: maybe, if it is compressed. Throws: less than the Content-Length, which cuts the
-- connection; trailers that cannot be sent.
function writer:finish(trailers)
    if trailers ~= nil and type(trailers) ~= 'table' then
        usage('writer:finish(trailers): a table is wanted')
    end
    if self.encoder then
        local ok, err = M.compress.write(self, '', true)
        if not ok then
            return nil, err
        end
    end
    local ok, err = c_finish(self.req, trailers)
    if ok == false then
        usage('writer:finish: ' .. err)
    end
    return ok, err
end

-- The handler has returned: so does what it has begun to write.
function M.finish(req)
    local out = req._writer
    if out and out.encoder then
        M.compress.write(out, '', true)
    end
end

local response_fields = { status = true, headers = true, body = true, trailers = true }

-- The name of what is in @resp and in no response, such as `header` for `headers`.
function M.stray(resp)
    for name in pairs(resp) do
        if not response_fields[name] then
            return tostring(name)
        end
    end
end

local json

local function the_json()
    json = json or require('json')
    return json
end

-- Text of a body that is a table.
function M.encode(value)
    return the_json().encode(value)
end

--- req.method -> string
-- The method, as "GET"; also `req:method()`, and so on with the other fields.

--- req.path -> string
-- The path, without its escapes.

--- req.query -> string
-- What is behind the "?", as it was sent; "" if there is nothing.

--- req.target -> string
-- Path and query as they were sent.

--- req.headers -> table
-- All header fields, their names in small letters; the values of several of the
-- same name are joined by commas, cookies by semicolons.

--- req.body -> string
-- The whole body. Throws: it comes in pieces, for a route with `stream`, and is not
-- whole: `req:read()`.

--- req.scheme -> string
-- "https" if it came over TLS, else "http".

--- req.proto -> table
-- The version of HTTP: `{1, 1}`, `{1, 0}` or `{2, 0}`.

--- req.peer -> table | nil
-- Who asks: `{host=, port=, family=, type=, protocol=}`; nil when the peer has gone.

--- req.own_address -> table | nil
-- The address that the peer has connected to, behind a proxy that says so the proxy's, as
-- `req.peer`; nil when the peer has gone.

--- req:header(name) -> string | nil
-- The header field @name, case aside; several of the same name are joined by
-- commas. Yields: no.
request.header = c.header

--- req:fields() -> table
-- The header fields one by one, in their order: `{name, value, name, value, ..}`, the
-- names in small letters. Yields: no.
request.fields = c.fields

--- req:set_fields(fields)
-- Make @fields, a list as of `req:fields()`, the header for who looks at it from now on: `req:header()`, `req.headers`,
-- `req:cookie()` and all others: what runs before a handler may change what it gets.
-- What the server itself obeys (lengths, ranges, conditions) stays. Yields: no.
function request:set_fields(fields)
    local all = {}
    if type(fields) ~= 'table' then
        usage('req:set_fields{name, value, ..}: a table is wanted')
    end
    for i = 1, #fields, 2 do
        local name, value = fields[i], fields[i + 1]
        if type(name) ~= 'string' or type(value) ~= 'string' then
            usage('req:set_fields{name, value, ..}: strings are wanted')
        end
        name = name:lower()
        all[name] = all[name] == nil and value or
            all[name] .. (name == 'cookie' and '; ' or ', ') .. value
    end
    c.change(self, fields, all)
end

--- req:is_gone() -> boolean
-- Nobody waits for the answer any more: the peer has reset the connection, closed a
-- unix socket, taken the request back (HTTP/2), or is silent when it is asked whether
-- it is still there. Who closes a TCP connection orderly looks at first like one that
-- only sends no more (`req:has_ended()`); that it has gone shows when something is
-- sent, or else a minute or two later. Yields: no.
request.is_gone = c.is_gone

--- req:has_ended() -> boolean
-- The peer sends no more: it has gone, or it has ended its side of the connection. Most
-- that do have closed it, so a handler whose work nobody else needs may give it up. But
-- some still read the answer (`nc -N` does). Yields: no.
request.has_ended = c.has_ended

--- req:tls_info() -> table | nil
-- What came of the connection's TLS, as `socket_object:tls_info()` has it: `version`,
-- `cipher`, `alpn`, `sni`, `resumed`, and of a client that has shown a certificate
-- `verified` and `peer`. Nil: there is none, or the peer has gone. Yields: no.
request.tls_info = c.tls_info

--- req:set_note(n)
-- Have what the function of the option `access_log` is told of this request have the whole
-- number @n as `note`, in the place of `route`. When it could not be told, because `queue` was
-- full, it gets a table of `note` and `lost`, which is true. Yields: no.
request.set_note = c.set_note

-- The first value of @name; all of all without one.
local function one_of(all, name)
    if name == nil then
        return all
    end
    local value = all[name]
    return type(value) == 'table' and value[1] or value
end

--- req:query_param([name]) -> string | nil | table
-- The value of @name in the query, the first one if there are several; without
-- @name a table of all, where a name that is repeated has a list of its values.
-- Yields: no. Throws: more than 1,000 parameters.
function request:query_param(name)
    local all = self._query
    if all == nil then
        all = c_params(self.query)
        self._query = all
    end
    return one_of(all, name)
end

-- The fields of a form in parts; files are none. Nil and an error: it is broken.
local function fields_of_parts(self)
    local parts, err = self:multipart()
    if parts == nil then
        return nil, err
    end
    local all = {}
    for _, part in ipairs(parts) do
        local name, value = part.name, part.body
        local before = all[name]
        if part.filename then
            value = before
        elseif type(before) == 'table' then
            before[#before + 1] = value
            value = before
        elseif before ~= nil then
            value = { before, value }
        end
        all[name] = value
    end
    return all
end

-- Member @name of the object that the body is in JSON, or without @name all.
local function member_of(self, name)
    local all, err = self._members, nil
    if all == nil then
        all, err = self:json()
        if err ~= nil then
            return nil, err
        end
        all = type(all) == 'table' and all or {}
        self._members = all
    end
    if name == nil then
        return all
    end
    return all[name]
end

--- req:post_param([name]) -> string | nil | table, err
-- The value of @name in a body of type application/x-www-form-urlencoded, or
-- without a type, or of a field in one of type multipart/form-data, which is taken
-- apart as by `req:multipart()`: files are no parameters, and a broken form is nil and
-- an error, which broken JSON is, too. The parameters of a JSON object are its members, as
-- they are. Other bodies have none. Otherwise as `req:query_param()`.
-- Yields: maybe, for a route with `stream`, or in parts. Throws: more than 1,000
-- parameters.
function request:post_param(name)
    local all = self._post
    if all == nil then
        local kind = (self:header('content-type') or ''):lower()
        local err
        all = {}
        if kind == '' or
           kind:find('application/x-www-form-urlencoded', 1, true) then
            all = c_params(body_of(self) or '')
        elseif kind:find('^multipart/form%-data') then
            all, err = fields_of_parts(self)
        elseif kind:find('^application/json%s*;') or kind == 'application/json' then
            return member_of(self, name)
        end
        if all == nil then
            return nil, err
        end
        self._post = all
    end
    return one_of(all, name)
end

--- req:param([name]) -> string | nil | table
-- Parameter @name of the body, or else of the query; without @name a table of
-- all. Yields: maybe, as `req:post_param()`.
function request:param(name)
    if name ~= nil then
        local value = self:post_param(name)
        if value == nil then
            value = self:query_param(name)
        end
        return value
    end
    local all = {}
    for k, v in pairs(self:query_param()) do
        all[k] = v
    end
    for k, v in pairs(self:post_param() or {}) do
        all[k] = v
    end
    return all
end

--- req:cookie(name, [options]) -> string | nil
-- The value of the cookie @name, without its escapes; with `raw = true` in @options as it
-- was sent. Yields: no.
function request:cookie(name, options)
    local text = self:header('cookie')
    if text == nil then
        return nil
    end
    for pair in text:gmatch('[^;]+') do
        local k, v = pair:match('^%s*([^=%s]+)%s*=%s*(.-)%s*$')
        if k == name then
            return options and options.raw and v or
                c_decode(v:match('^"(.*)"$') or v)
        end
    end
    return nil
end

--- req:stash(name, [value]) -> any
-- The value of placeholder @name of the route, or what was put there: with
-- @value it is set. Without @name the whole table. Yields: no.
function request:stash(name, ...)
    local stash = self._stash
    if stash == nil then
        stash = {}
        self._stash = stash
    end
    if name == nil then
        return stash
    end
    if select('#', ...) > 0 then
        stash[name] = (...)
    end
    return stash[name]
end

-- True when all of the body has come, which is waited for; false: it will not.
function M.await_body(self)
    while c_state(self) == 'coming' do
        local status = c_wait_body(self, c_unread(self), math.huge)
        if status ~= 0 then
            c_failed(status)
        end
    end
    return c_state(self) == 'whole'
end

-- What req:read() has not found in the @have bytes that are there, of which it has
-- @scanned so many.
local function await(self, size, delimiter, least, timeout, scanned, have)
    local due, text = timeout and c.due(timeout), nil
    while true do
        if have >= least then
            return (c_take_body(self, have, nil, 0))
        end
        local status = c_wait_body(self, have, size, due)
        if status ~= 0 then
            return c.give_up(status, 'req:read()')
        end
        text, scanned, have = c_take_body(self, size, delimiter, scanned)
        if text then
            return text
        elseif text == false then
            return nil, scanned
        end
    end
end

--- req:read([what], [timeout]) -> string | nil, err
-- The body, or what is left of it: all, @what bytes, or up to and with the text
-- @what; `{chunk=, delimiter=}` gives whichever comes first, and `{chunk=, least=}` what
-- there is, when it is at least so many bytes. At its end the empty
-- string. For a route with `stream` it is waited for what has not come, @timeout
-- seconds at most; the peer is held back while nobody reads. Nil: it has not come in
-- time, and nothing is lost; or it never will: the peer has gone, or has been told
-- why its body is refused. Yields: maybe. Throws: cancelled; the deadline.
function request:read(what, timeout)
    local size, delimiter, least = huge, nil, huge
    if what == nil then
        size = huge -- all of it, as most want
    elseif type(what) == 'number' then
        size = what
    elseif type(what) == 'string' then
        delimiter = what
    elseif type(what) == 'table' then
        size = what.chunk or what.size or size
        delimiter, least = what.delimiter, what.least or huge
    else
        usage('req:read(what): bytes, a delimiter or a table is wanted')
    end
    local text, scanned, have = c_take_body(self, size, delimiter, 0)
    if text then
        return text -- it is there, as most is: out of the loop's way
    elseif text == false then
        return nil, scanned
    end
    return await(self, size, delimiter, least, timeout, scanned, have)
end

--- req:read_cached() -> string | nil, err
-- The whole body, however much of it `req:read()` has taken; for a route with `stream`
-- what it had left at the first call. Yields: maybe, for such a route.
function request:read_cached()
    return body_of(self)
end

--- req:trailers() -> table | nil
-- The header fields that came behind a chunked body, as `req.headers`; nil while
-- that is not whole. Yields: no.
request.trailers = c.trailers

--- req:json() -> any | nil, err
-- The value whose JSON text the body is. Yields: maybe, for a route with `stream`.
function request:json()
    local text, err = body_of(self)
    if text == nil then
        return nil, err
    end
    local ok, value = pcall(the_json().decode, text)
    if ok then
        return value
    end
    return nil, value
end

--- req:request_line() -> string
-- As "GET /path?query HTTP/1.1". Yields: no.
function request:request_line()
    local proto = self.proto
    return ('%s %s HTTP/%d.%d'):format(self.method, self.target, proto[1],
        proto[2])
end

--- req:abort()
-- Close the connection without an answer, or in the middle of one that has begun; with
-- HTTP/2 it is the stream that is reset. The handler returns nothing then. Yields: no.
function request:abort()
    c_abort(self, true)
end

--- req.endpoint -> table | nil
-- The route that the request has taken, with its `path`, `method` and `name` as they were
-- given; nil: none.
local function route_of(self)
    local taken = self.route == nil and self.httpd:match(self.method, self.path)
    return self.route or taken and taken.endpoint or nil
end

--- req:url_for(name, [args], [query]) -> string
-- The path of the route called @name ("current": this request's), with @args in
-- its placeholders and @query behind it. Yields: no. Throws: no such route, no
-- value for a placeholder.
function request:url_for(name, args, query)
    if name == 'current' then
        name = route_of(self)
    end
    return self.httpd:url_for(name, args, query)
end

--- req:redirect_to(target, [args], [query], [status]) -> response
-- A response that sends the peer elsewhere: @target is a URL, a path, or the
-- name of a route, which takes @args and @query as `url_for()` does. @status is
-- 302 unless given. Yields: no.
function request:redirect_to(target, args, query, status)
    if type(target) ~= 'string' then
        usage('req:redirect_to(target): a string is wanted')
    end
    if not target:find('^%a[%w+.-]*:') and target:sub(1, 1) ~= '/' then
        target = self:url_for(target, args, query)
    end
    return setmetatable({
        status = status or 302,
        headers = { location = target },
    }, response_mt)
end

local render_fields = {
    json = true, text = true, data = true, status = true, headers = true,
}

local function check_rendered(what)
    for name in pairs(what) do
        if not render_fields[name] then
            usage(("req:render: there is no '%s' of a response"):format(tostring(name)))
        end
    end
end

-- A copy of @fields, with a content type of @kind unless there is one.
local function typed(fields, kind)
    local headers = { ['content-type'] = kind }
    for name, value in pairs(fields) do
        if type(name) == 'string' and name:lower() == 'content-type' then
            headers['content-type'] = nil
        end
        headers[name] = value
    end
    return headers
end

--- req:render(what) -> response
-- A response of `{json = any}`, `{text = string}` or `{data = string}`, with
-- `status` and `headers` if given. Yields: no. Throws: @what is none of these,
-- or cannot be JSON; something else is in it.
function request:render(what)
    if type(what) ~= 'table' then
        usage('req:render{json=|text=|data=}: a table is wanted')
    end
    local kind, body
    if what.json ~= nil then
        kind, body = 'application/json; charset=utf-8', M.encode(what.json)
    elseif what.text ~= nil then
        kind = 'text/plain; charset=' .. (self.httpd.options.charset)
        body = tostring(what.text)
    elseif what.data ~= nil then
        kind, body = 'application/octet-stream', tostring(what.data)
    else
        usage('req:render{json=|text=|data=}: there are no templates here')
    end
    -- Loops are elsewhere: one that goes round once is not compiled well, nor is
    -- what it is in.
    local name = next(what)
    if not render_fields[name] or next(what, name) ~= nil then
        check_rendered(what)
    end
    local fields = what.headers
    local response = {
        status = what.status,
        headers = fields and typed(fields, kind) or { ['content-type'] = kind },
        body = body,
    }
    return (setmetatable(response, response_mt)) -- no tail call, which is not compiled
end

--- req:iterate(gen, [param], [state]) -> response
-- A response whose body comes from the iterator @gen with @param and @state, as
-- `ipairs(list)` gives them: each time its second value, if there are two. Yields: no.
function request.iterate(_, gen, param, state)
    return setmetatable({
        body = { gen = gen, param = param, state = state },
    }, response_mt)
end

local units = { s = 1, m = 2592000, h = 3600, d = 86400, y = 31536000 }

local function expires(value)
    if value == 'now' then
        value = 0
    elseif type(value) == 'string' then
        local n, unit = value:match('^%+?(%d+)([shdmy])$')
        if n == nil then
            return value
        end
        value = tonumber(n) * units[unit]
    elseif type(value) ~= 'number' then
        usage("resp:setcookie: expires is a date, or a time from now as '+1d'")
    end
    return os.date('!%a, %d %b %Y %H:%M:%S GMT', os.time() + value)
end

-- Others are refused: `httpOnly` for `httponly` would be a cookie that scripts may read.
local cookie_fields = {
    name = true, value = true, path = true, domain = true, expires = true,
    max_age = true, secure = true, httponly = true, samesite = true,
}
local samesites = { strict = true, lax = true, none = true }

-- What a value is to have is escaped, and the "%" by which one sees it.
local function escape_value(value)
    return (tostring(value):gsub('[^!#$&-+%-.-:<-Z[%]^-~]', function(char)
        return ('%%%02X'):format(char:byte())
    end))
end

--- resp:setcookie(cookie, [options]) -> response
-- Have the peer keep the @cookie `{name=, value=, path=, domain=, expires=,
-- max_age=, secure=, httponly=, samesite=}`. `expires` is a date, or a time from
-- now such as "+1d" (s, h, d, m: 30 days, y). `samesite` is "Strict", "Lax" or "None".
-- Of the value what no cookie may have, and "%", is escaped, and comes back so from
-- `req:cookie()`; with `raw = true` in @options it is sent as it is.
-- Yields: no. Throws: other fields; what no cookie can have.
function response:setcookie(cookie, options)
    if type(cookie) ~= 'table' then
        usage('resp:setcookie{name=, value=}: a table is wanted')
    end
    for name in pairs(cookie) do
        if not cookie_fields[name] then
            usage(("resp:setcookie: a cookie has no '%s'"):format(tostring(name)))
        end
    end
    if type(cookie.name) ~= 'string' or
       not cookie.name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
        usage('resp:setcookie{name=, value=}: the name is no token')
    end
    if cookie.value == nil then
        usage('resp:setcookie{name=, value=}: no value')
    end
    local parts = {}
    local function add(name, value)
        value = tostring(value)
        if value:find('[;%c]') then
            usage(('resp:setcookie: %s has a semicolon or a control')
                :format(name))
        end
        parts[#parts + 1] = name .. '=' .. value
    end
    add(cookie.name, options and options.raw and cookie.value or
        escape_value(cookie.value))
    if cookie.path ~= nil then add('path', cookie.path) end
    if cookie.domain ~= nil then add('domain', cookie.domain) end
    if cookie.expires ~= nil then add('expires', expires(cookie.expires)) end
    if cookie.max_age ~= nil then add('max-age', cookie.max_age) end
    if cookie.samesite ~= nil then
        if not samesites[tostring(cookie.samesite):lower()] then
            usage("resp:setcookie: samesite is 'Strict', 'Lax' or 'None'")
        end
        add('samesite', cookie.samesite)
    end
    if cookie.secure then parts[#parts + 1] = 'secure' end
    if cookie.httponly then parts[#parts + 1] = 'httponly' end
    self.headers = self.headers or {}
    local all = self.headers['set-cookie']
    if all == nil then
        all = {}
    elseif type(all) ~= 'table' then
        all = { all }
    end
    all[#all + 1] = table.concat(parts, '; ')
    self.headers['set-cookie'] = all
    return self
end

--- req:response([fields]) -> response
-- A response of the table @fields, with methods. Yields: no.
function request:response(fields)
    return setmetatable(fields or { headers = {} }, response_mt)
end

-- A field that is a table may be called; so may one that is a string, but only
-- with a request: any other call of a string fails as ever.
local table_mt = { __call = function(self) return self end }

local function call_string(self, req, ...)
    if c_is_request(req) and select('#', ...) == 0 then
        return self
    end
    local info = debug.getinfo(1, 'n')
    if info.name then
        error(("attempt to call %s '%s' (a string value)")
            :format(info.namewhat, info.name), 2)
    end
    error('attempt to call a string value', 2)
end

local field = c.field_getter(request, table_mt)

-- In Lua, so that a call of a method is compiled with what is around it.
c.set_meta('__index', function(self, name)
    local method = request[name]
    if type(method) == 'function' then
        return method
    end
    local value = field(self, name)
    if value == nil and name == 'endpoint' then
        return route_of(self)
    end
    return value
end)
c.set_meta('__tostring', function(req)
    local lines = { req:request_line() }
    for name, value in pairs(req.headers) do
        lines[#lines + 1] = name .. ': ' .. value
    end
    return table.concat(lines, '\r\n') .. '\r\n\r\n' .. (c_is_partial(req) and '' or req.body)
end)
getmetatable('').__call = call_string

return M
