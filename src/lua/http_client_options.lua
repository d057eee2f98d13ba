-- A part of the module `http.client`: what a request's arguments become for libcurl.
local c = ...

local json = require('json')
local msgpack = require('msgpack')
local uri = require('uri')
local yaml = require('yaml')

local usage = c.usage
local O = c.options
local M = {}

-- --- arguments ---

local function bad(name, wanted, value)
    usage(('http.client: option %s: %s is wanted, not %s'):format(name, wanted,
        type(value) == 'number' and tostring(value) or type(value)))
end

local function check_number(opts, name, default, least)
    local v = opts[name]
    if v == nil then
        return default
    elseif type(v) ~= 'number' or not (v >= (least or 0)) then
        bad(name, least == 1 and 'a number, 1 or more' or 'a number, 0 or more', v)
    end
    return math.min(v, 2 ^ 31 - 1)
end

local function check_text(name, v)
    if type(v) ~= 'string' or v:find('%z') then
        bad(name, 'a string without zero bytes', v)
    end
    return v
end

local function check_boolean(opts, name, default)
    local v = opts[name]
    if v == nil then
        return default
    elseif type(v) ~= 'boolean' then
        bad(name, 'true or false', v)
    end
    return v
end

-- Options that go to libcurl as they are: a text.
local texts = {
    interface = O.INTERFACE, unix_socket = O.UNIX_SOCKET_PATH, proxy = O.PROXY,
    proxy_user_pwd = O.PROXYUSERPWD, no_proxy = O.NOPROXY, ca_file = O.CAINFO,
    ca_path = O.CAPATH, ssl_cert = O.SSLCERT, ssl_key = O.SSLKEY,
    ssl_key_password = O.KEYPASSWD, username = O.USERNAME, password = O.PASSWORD,
    accept_encoding = O.ACCEPT_ENCODING,
}
-- The same: a number.
local numbers = {
    proxy_port = O.PROXYPORT, low_speed_limit = O.LOW_SPEED_LIMIT,
    low_speed_time = O.LOW_SPEED_TIME, keepalive_idle = O.TCP_KEEPIDLE,
    keepalive_interval = O.TCP_KEEPINTVL,
}
local others = {
    headers = true, timeout = true, connect_timeout = true, max_body = true,
    follow_location = true, max_redirects = true, verify_peer = true,
    verify_host = true, verbose = true, http_version = true, params = true,
    chunked = true, connect_to = true, header_lists = true,
    -- Of scripts for Tarantool, whose client cuts names; nothing is cut here.
    max_header_name_len = true, max_header_name_length = true,
}
-- CURL_HTTP_VERSION_*.
local versions = { ['1.0'] = 1, ['1.1'] = 2, ['2'] = 4, ['2-tls'] = 4,
                   ['2-prior-knowledge'] = 5 }

local function check_options(opts)
    if opts == nil then
        return {}
    elseif type(opts) ~= 'table' then
        usage(('http.client: opts is a table, not %s'):format(type(opts)))
    end
    for name in pairs(opts) do
        if texts[name] == nil and numbers[name] == nil and not others[name] then
            usage(('http.client: unknown option %s'):format(tostring(name)))
        end
    end
    return opts
end

local function set(list, id, value)
    list[#list + 1] = id
    list[#list + 1] = value
end

-- --- headers ---

local function check_field(name, value)
    if type(name) ~= 'string' or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
        usage(('http.client: a header has a name of letters, digits and signs, '
            .. 'not %q'):format(tostring(name)))
    end
    if type(value) ~= 'string' and type(value) ~= 'number' then
        usage(('http.client: header %s: its value is a string or a number, not %s')
            :format(name, type(value)))
    end
    value = tostring(value)
    if name:lower() == 'content-length' and
       not (value:find('^%d+$') and #value < 16) then
        usage('http.client: Content-Length header value must be a non-negative '
            .. 'integer')
    elseif value:find('[%z\r\n]') then
        usage(('http.client: header %s: its value has a line end or a zero byte')
            :format(name))
    end
    return value
end

-- Lines for libcurl; and what is there, by its name in small letters.
local function header_lines(given)
    local lines, known = {}, {}
    if given == nil then
        return lines, known
    elseif type(given) ~= 'table' then
        bad('headers', 'a table', given)
    end
    for name, value in pairs(given) do
        for _, one in ipairs(type(value) == 'table' and value or { value }) do
            local text = check_field(name, one)
            if name:lower() == 'content-length' and known['content-length'] then
                usage('http.client: Content-Length is given twice')
            end
            -- libcurl's way to say that a header is there, and empty.
            lines[#lines + 1] = text == '' and name .. ';'
                or name .. ': ' .. text
            known[name:lower()] = text
        end
    end
    return lines, known
end

-- What the header says of the body, which libcurl says itself: so many bytes of one that
-- comes in pieces, else nil.
local function take_length(lines, known, streams_out, body)
    local length = tonumber(known['content-length'])
    if not streams_out and length ~= #(body or '') then
        usage(('http.client: Content-Length is %s, and the body has %d bytes')
            :format(known['content-length'], #(body or '')))
    elseif not streams_out then
        return nil
    end
    for i = #lines, 1, -1 do
        if lines[i]:lower():find('^content%-length:') then
            table.remove(lines, i)
        end
    end
    return length
end

-- --- bodies ---

-- A query, where all is escaped that could be taken for something else; or the body
-- of a form, where a space is '+'.
local function form_of(params, is_body)
    local parts, how = {}, is_body and uri.FORM_URLENCODED or uri.RFC3986
    local function add(name, value)
        if type(value) ~= 'string' and type(value) ~= 'number'
            and type(value) ~= 'boolean' then
            usage(('http.client: params: %s is a string, a number, a boolean or a '
                .. 'list of them, not %s'):format(tostring(name), type(value)))
        end
        parts[#parts + 1] = uri.escape(tostring(name), how) .. '='
            .. uri.escape(tostring(value), how)
    end
    if type(params) ~= 'table' then
        bad('params', 'a table', params)
    end
    local names = {}
    for name in pairs(params) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do
        local value = params[name]
        for _, one in ipairs(type(value) == 'table' and value or { value }) do
            add(name, one)
        end
    end
    return table.concat(parts, '&')
end

-- Not the modules' own: those take options behind the value, not a content type.
local encoders = {
    ['application/json'] = function(body) return json.encode(body) end,
    ['application/yaml'] = function(body) return yaml.encode(body) end,
    ['application/msgpack'] = function(body) return msgpack.encode(body) end,
}
local function type_of(content_type)
    return (content_type:match('^%s*([^;%s]*)'):lower())
end

local function encoded_by(encoder, body, content_type)
    local text = encoder(body, content_type)
    if type(text) ~= 'string' then
        usage(('http.client: the encoder for %s gives a string, not %s')
            :format(content_type, type(text)))
    end
    return text
end

-- What is sent for a body of any type, by the encoders @own first, and its content type when we chose it.
local function encode(body, content_type, own)
    local kind = content_type == nil and 'application/json' or type_of(content_type)
    local encoder = own and own[kind]
    if type(body) == 'string' or type(body) == 'number'
        or type(body) == 'boolean' then
        return tostring(body)
    elseif encoder ~= nil and encoder ~= encoders[kind] then
        return encoded_by(encoder, body, content_type or kind),
            content_type == nil and kind or nil
    elseif type(body) ~= 'table' then
        usage(('http.client: the body is a string or a table, not %s')
            :format(type(body)))
    end
    encoder = encoders[kind]
    if encoder == nil then
        usage(('http.client: a table cannot be sent as %s: send a string')
            :format(kind))
    end
    return encoder(body), content_type == nil and kind or nil
end

-- --- requests ---

local known_methods = {}
for name in ('GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT'):gmatch('%u+') do
    known_methods[name:lower()] = name
end

local function check_method(method)
    if type(method) ~= 'string' or not method:find("^[%w!#$%%&'*+.^_`|~-]+$") then
        usage(('http.client: the method is a word, not %s'):format(
            type(method) == 'string' and ('%q'):format(method) or type(method)))
    end
    return known_methods[method] or method
end

local function set_method(list, method, body, streams_out)
    if method == 'POST' then
        set(list, O.POST, 1)
        return 'p'
    elseif body ~= nil or streams_out then
        set(list, O.UPLOAD, 1)
        if method ~= 'PUT' then
            set(list, O.CUSTOMREQUEST, method)
        end
    elseif method == 'HEAD' then
        set(list, O.NOBODY, 1)
    elseif method ~= 'GET' then
        set(list, O.CUSTOMREQUEST, method)
    end
    return ''
end

-- Returns whether it may go by HTTP/2. What begins in plain text does not, where it is led
-- to neither: libcurl 7.88 must know before, for its buffer.
local function set_version(list, url, opts)
    local v = opts.http_version
    if v == nil then
        local https = url:lower():find('^https:') ~= nil
        if not https then
            set(list, O.HTTP_VERSION, versions['1.1'])
        end
        return https
    elseif versions[v] == nil then
        usage("http.client: option http_version: '1.0', '1.1', '2', '2-tls' or "
            .. "'2-prior-knowledge' is wanted")
    end
    set(list, O.HTTP_VERSION, versions[v])
    -- Before 8.0 libcurl greets again, and fails, on a connection that it has.
    if v == '2-prior-knowledge' and c.version():match('^libcurl/7%.') then
        set(list, O.FRESH_CONNECT, 1)
        set(list, O.FORBID_REUSE, 1)
    end
    return versions[v] > versions['1.1']
end

-- Everything that libcurl is told of, and whether it may go by HTTP/2.
local function options_of(url, opts, timeout)
    local list = {}
    set(list, O.URL, url)
    for name, id in pairs(texts) do
        if opts[name] ~= nil then
            set(list, id, check_text(name, opts[name]))
        end
    end
    for name, id in pairs(numbers) do
        if opts[name] ~= nil then
            set(list, id, math.floor(check_number(opts, name)))
        end
    end
    if opts.connect_to ~= nil then
        if not check_text('connect_to', opts.connect_to):find('^.+:%d+$') then
            bad('connect_to', 'HOST:PORT', opts.connect_to)
        end
        set(list, O.CONNECT_TO, '::' .. opts.connect_to)
    end
    if opts.keepalive_idle ~= nil or opts.keepalive_interval ~= nil then
        set(list, O.TCP_KEEPALIVE, 1)
    end
    local connect = check_number(opts, 'connect_timeout', 30)
    set(list, O.CONNECTTIMEOUT_MS,
        math.max(1, math.floor(math.min(connect, timeout or connect) * 1000)))
    set(list, O.SSL_VERIFYPEER, check_boolean(opts, 'verify_peer', true) and 1 or 0)
    set(list, O.SSL_VERIFYHOST, check_boolean(opts, 'verify_host', true) and 2 or 0)
    if check_boolean(opts, 'verbose', false) then
        set(list, O.VERBOSE, 1)
    end
    return list, set_version(list, url, opts)
end

M.check, M.check_number, M.check_boolean = check_options, check_number, check_boolean
M.check_method, M.header_lines, M.form_of, M.encode, M.type_of =
    check_method, header_lines, form_of, encode, type_of
M.encoders, M.take_length = encoders, take_length
M.set, M.set_method, M.of = set, set_method, options_of

return M
