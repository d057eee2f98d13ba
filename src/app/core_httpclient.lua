-- A part of the module `core`: the class HTTPClient, a request to another server, over
-- the module `http.client` of this server.
local args = require('neap.args')

local ipairs, pairs, setmetatable, type = ipairs, pairs, setmetatable, type
local tostring, tonumber = tostring, tonumber

local M = {}
local HTTPClient = {}
local client_mt = args.class('HTTPClient', HTTPClient)

local defaults = {
    connect_timeout = 5, verify = true, retries = 3, max_body = 64 * 1024 * 1024,
}
local kinds = {
    connect_timeout = 'number', verify = 'boolean', ca_file = 'string',
    retries = 'number', max_body = 'number',
}

--- core.httpclient([options]) -> httpclient
-- A client for one request. Of @options: `connect_timeout` in seconds (5), `retries` when no
-- connection comes about (3), `verify` (true; false: any certificate will do), `ca_file`,
-- `max_body` in bytes (64 MiB). Yields: no. Throws: another option.
function M.httpclient(options)
    local self = { own = setmetatable({}, { __index = defaults }) }
    for name, value in pairs(options ~= nil and args.table(options, 1, 'httpclient')
        or {}) do
        if kinds[name] == nil then
            args.bad(1, 'httpclient', ("there is no option '%s'"):format(tostring(name)))
        elseif type(value) ~= kinds[name] then
            args.bad(1, 'httpclient', ('%s: a %s is wanted'):format(name, kinds[name]))
        end
        self.own[name] = value
    end
    return setmetatable(self, client_mt)
end

-- Lists of values, which may begin with 0 as HAProxy's do.
local function headers_of(given, f)
    local headers = {}
    for name, values in pairs(given ~= nil and args.table(given, 1, f) or {}) do
        if type(values) ~= 'table' then
            values = { values }
        end
        local list = { values[0] }
        for _, value in ipairs(values) do
            list[#list + 1] = value
        end
        headers[name] = list
    end
    return headers
end

-- Where to connect, as HAProxy writes addresses.
local function set_destination(opts, dst, f)
    dst = args.text(dst, 1, f)
    local kind, rest = dst:match('^(%w+)@(.+)$')
    if kind == 'unix' or kind == nil and dst:find('^/') then
        opts.unix_socket = rest or dst
    elseif (kind == nil or kind == 'ipv4' or kind == 'ipv6')
        and (rest or dst):find('^.+:%d+$') then
        opts.connect_to = rest or dst
    else
        args.bad(1, f, ("dst: '%s' is neither HOST:PORT nor unix@PATH"):format(dst))
    end
end

local known = {
    url = true, headers = true, body = true, dst = true, timeout = true,
    redirects = true, decompress = true, stream = true,
}

-- The headers as HAProxy gives them: lists from 0 on.
local function lists_of(headers)
    local lists = {}
    for name, values in pairs(headers) do
        local list = {}
        for i, value in ipairs(values) do
            list[i - 1] = value
        end
        lists[name] = list
    end
    return lists
end

local Response = {}
local response_mt = args.class('HTTPResponse', Response)

-- No answer at all.
local function failed(err)
    return setmetatable({
        status = 0, reason = '', headers = {}, body = '', error = tostring(err),
    }, response_mt)
end

local function answer(from, stream)
    return setmetatable({
        status = from.status, reason = from.reason, headers = lists_of(from.headers),
        body = from.body, stream = stream,
    }, response_mt)
end

--- httpresponse:read([size]) -> string | nil, string
-- Of a request with `stream = true`: the next piece of the body, of @size bytes or whatever
-- comes; an empty string is its end. Yields: yes. Throws: cancelled.
function Response:read(size)
    args.object(self, response_mt, 'read')
    if self.stream == nil then
        args.bad(1, 'read', 'this answer is no stream')
    end
    local data, err = self.stream:read(size)
    if data == nil then
        return nil, tostring(err)
    end
    return data
end

--- httpresponse:close()
-- What has not come of the body is not waited for. Yields: no.
function Response:close()
    args.object(self, response_mt, 'close')
    if self.stream ~= nil then
        self.stream:close()
    end
end

-- The body of a request in pieces, from a function.
local function send_pieces(stream, next_piece)
    while true do
        local piece = next_piece()
        if piece == nil then
            break
        elseif piece ~= '' then
            local ok, err = stream:write(args.text(piece, 1, 'body'))
            if not ok then
                return nil, err
            end
        end
    end
    return stream:finish()
end

local function has_no_connection(err)
    return type(err) ~= 'string' and err.type == 'SystemError'
end

local function perform(method, t, opts, retries)
    local http_client = require('http.client')
    local pieces = type(t.body) == 'function'
    opts.chunked = t.stream or pieces or nil
    local res, err
    repeat
        res, err = http_client.request(method, t.url, not pieces and t.body or nil, opts)
        retries = retries - 1
    until res ~= nil or retries < 0 or not has_no_connection(err)
    if res == nil then
        return failed(err)
    elseif not opts.chunked then
        return answer(res)
    end
    local ok
    if pieces then
        ok, err = send_pieces(res, t.body)
        if not ok then
            res:close()
            return failed(err)
        end
    end
    if t.stream then
        return answer(res, res)
    end
    local parts = {}
    repeat
        local piece
        piece, err = res:read()
        parts[#parts + 1] = piece
    until piece == nil or piece == ''
    res:close()
    if err ~= nil then
        return failed(err)
    end
    res.body = table.concat(parts)
    return answer(res)
end

--- httpclient:get(request) -> httpresponse
-- httpclient:head(request) -> httpresponse
-- httpclient:put(request) -> httpresponse
-- httpclient:post(request) -> httpresponse
-- httpclient:delete(request) -> httpresponse
-- httpclient:patch(request) -> httpresponse
-- httpclient:options(request) -> httpresponse
-- Send it, and wait for the answer: a table with `status`, `reason`, `headers` (names in
-- small letters, with lists of values that begin with 0) and `body`. Status 0: there is
-- none, and `error` says why. Of the table @request: `url`; `headers` (names with a value or a
-- list of them), `body` (a string, or a function that gives piece after piece and then
-- nil), `dst` (where to connect in place of the URL's host: `HOST:PORT` or
-- `unix@PATH`), `timeout` for all of it in milliseconds; `redirects`, how many are
-- followed (0), `decompress` (true: what is compressed is asked for, and undone), `stream`
-- (true: it comes back with the headers, and the body is read by `httpresponse:read()`).
-- Yields: yes. Throws: another field; the second request of a client; cancelled.
for _, name in ipairs({ 'get', 'head', 'put', 'post', 'delete', 'patch', 'options' }) do
    local method = name:upper()
    HTTPClient[name] = function(self, t)
        args.object(self, client_mt, name)
        args.table(t, 1, name)
        for field in pairs(t) do
            if not known[field] then
                args.bad(1, name, ("there is no field '%s'"):format(tostring(field)))
            end
        end
        if type(t.url) ~= 'string' then
            args.bad(1, name, "the field 'url' is a string")
        elseif t.body ~= nil and type(t.body) ~= 'function' then
            args.text(t.body, 1, name)
        end
        if self.used then
            args.bad(1, name, 'this client was used: each is for one request')
        end
        local own = self.own
        local redirects = t.redirects == nil and 0
            or args.whole(t.redirects, 0, 100, 1, name)
        local opts = {
            headers = headers_of(t.headers, name), header_lists = true,
            connect_timeout = own.connect_timeout, verify_peer = own.verify,
            verify_host = own.verify, ca_file = own.ca_file,
            follow_location = redirects > 0, max_redirects = redirects,
            accept_encoding = t.decompress and '' or nil,
            max_body = not t.stream and own.max_body or nil,
        }
        if t.timeout ~= nil then
            opts.timeout = args.time(tonumber(t.timeout), 1, name) / 1000
        end
        if t.dst ~= nil then
            set_destination(opts, t.dst, name)
        end
        self.used = true
        return perform(method, t, opts, own.retries)
    end
end

return M
