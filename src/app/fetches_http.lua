-- Fetches of HTTP requests and answers but for their fields (require
-- 'neap.fetches_http', which is no public module). Declarations as in
-- fetch_declaration.lua.
local ffi = require('ffi')
local declaration = require('neap.fetch_declaration')
local native = require('neap.sample_native')
local values = require('neap.sample_values')

local byte, char, find, lower, sub = string.byte, string.char, string.find, string.lower,
    string.sub
local floor, tonumber, tostring, type = math.floor, tonumber, tostring, type
local integer_of = values.integer_of
local pcall = pcall
local copied, copied_fetch = declaration.copied, declaration.copied_fetch
local fetch, plain = declaration.fetch, declaration.plain

local M = {}

-- --- the request line ---

local function target_of(txn)
    local req = txn._req
    return req and req.target
end

-- Where the path begins in a target: behind the host of an absolute one. Nil: it has
-- none ("*", "host:port").
local function path_at(target)
    if byte(target, 1) == 47 then
        return 1
    end
    local _, stop = find(target, '://', 1, true)
    return stop and find(target, '/', stop + 1, true)
end

local function pathq(txn)
    local target = target_of(txn)
    if target == nil then
        return nil
    end
    local at = path_at(target)
    if at == nil then
        return nil
    end
    return at == 1 and target or sub(target, at)
end

local function path(txn)
    local text = pathq(txn)
    if text == nil then
        return nil
    end
    local mark = find(text, '?', 1, true)
    return mark and sub(text, 1, mark - 1) or text
end

local function query(txn)
    local target = target_of(txn)
    local mark = target and find(target, '?', 1, true)
    if mark == nil then
        return nil
    end
    return sub(target, mark + 1)
end

local function host(txn)
    return txn._req:header('host') or ''
end

local function base(txn)
    local text = path(txn)
    if text == nil then
        return txn._req and host(txn)
    end
    return host(txn) .. text
end

local function baseq(txn)
    local text = pathq(txn)
    if text == nil then
        return txn._req and host(txn)
    end
    return host(txn) .. text
end

local c_sdbm = ffi.cast('uint32_t (*)(const char *, size_t)', native.sdbm)
local c_avalanche = ffi.cast('uint32_t (*)(uint32_t)', native.avalanche)

local function hash(text)
    return c_avalanche(c_sdbm(text, #text))
end

M.method = copied('string', 'request', function(txn)
    local req = txn._req
    return req and req.method
end, 'The method, as "GET".', { match = 'method' })

M.url = copied('string', 'request', target_of, 'The target as it was sent.')
M.path = copied('string', 'request', path,
    'The path as it was sent, without host and query.')
M.pathq = copied('string', 'request', pathq, 'The path and the query.')
M.query = copied('string', 'request', query,
    'What is behind the first question mark; nothing when there is none.')
M.base = copied('string', 'request', base, 'The Host and the path.')
M.baseq = copied('string', 'request', baseq, 'The Host, the path and the query.')

-- The four bytes of a hash and those of the client's address.
local function with_source(of)
    return function(txn)
        local n, peer = of(txn), txn._req and txn._req.peer
        local address = peer and type(peer.port) == 'number' and
            values.address_bytes(peer.host)
        return n and char(floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256,
            n % 256) .. (address or '')
    end
end

local function base32(txn)
    local text = base(txn)
    return text and hash(text)
end

local function url32(txn)
    local text = pathq(txn) or target_of(txn)
    return text and hash(host(txn) .. text)
end

M.base32 = copied('integer', 'request', base32, 'A hash of `base`: `base,sdbm(1)`.')
M['base32+src'] = copied('binary', 'request', with_source(base32),
    "Its four bytes, and those of the client's address.")
M.url32 = copied('integer', 'request', url32, 'A hash of the Host, the path and the query.')
M['url32+src'] = copied('binary', 'request', with_source(url32),
    "Its four bytes, and those of the client's address.")

-- Of a target with a host in it, which is an address.
local function authority(txn)
    local at = find(target_of(txn) or '', '://', 1, true)
    local text = at and sub(target_of(txn), at + 3):match('^[^/?#]*')
    if text == nil then
        return nil
    end
    local address, port = text:match('^%[([%x:.]+)%]:?(%d*)$')
    if address == nil then
        address, port = text:match('^([%d.]+):?(%d*)$')
    end
    if address and values.address_bytes(address) then
        return address, tonumber(port) or 80
    end
end

M.url_ip = copied('ip', 'request', function(txn)
    return (authority(txn))
end, 'The address in a target as http://192.0.2.1:80/.')
M.url_port = copied('integer', 'request', function(txn)
    local _, port = authority(txn)
    return port
end, 'The port in such a target.')

M['req.ver'] = copied('string', 'request', function(txn)
    local proto = txn._req and txn._req.proto
    return proto and proto[1] .. '.' .. proto[2]
end, 'The version of HTTP, as "1.1".', { also = { 'req_ver' } })

M['capture.req.ver'] = copied('string', 'request', function(txn)
    local proto = txn._req and txn._req.proto
    return proto and 'HTTP/' .. proto[1] .. '.' .. proto[2]
end, 'The version of HTTP, as "HTTP/1.1".')

M['capture.req.method'] = M.method
M['capture.req.uri'] = copied('string', 'request', function(txn)
    return pathq(txn) or target_of(txn)
end, 'The path and the query as they were sent, or another target.')

M.fc_http_major = copied('integer', 'request', function(txn)
    local proto = txn._req and txn._req.proto
    return proto and proto[1]
end, 'The major version of HTTP: 1 or 2.')

M['req.proto_http'] = copied('boolean', 'request', function(txn)
    return txn._req ~= nil
end, 'It is HTTP.', { also = { 'req_proto_http' } })

-- --- parameters ---

-- The parameter at @at of @text, or behind: its name and value, and where the next one
-- begins. Nil: there are no more.
local function parameter(text, at, delim)
    local size = #text
    while at <= size do
        local stop, equals = at, nil
        while stop <= size do
            local c = byte(text, stop)
            if c == 38 or c == 59 or c == delim then
                break
            elseif c == 61 and equals == nil then
                equals = stop
            end
            stop = stop + 1
        end
        if equals and equals > at then
            return sub(text, at, equals - 1), sub(text, equals + 1, stop - 1), stop + 1
        end
        at = stop + 1
    end
    return nil
end

-- @fold: its name may have any case, and @name has small letters.
local function one_parameter(text, name, delim, fold)
    local at, key, value = 1, nil, nil
    while true do
        key, value, at = parameter(text, at, delim)
        if key == nil or name == nil or key == name or fold and lower(key) == name then
            return value
        end
    end
end

local function each_parameter(text, name, delim, fold, test, arg)
    local at, key, value = 1, nil, nil
    while true do
        key, value, at = parameter(text, at, delim)
        if key == nil then
            return false
        elseif (name == nil or key == name or fold and lower(key) == name) and
            test(value, arg) then
            return true
        end
    end
end

-- What an argument 'case:i?' makes of a name, and whether it folds.
local function folded(name, case)
    if case == nil or case == '' then
        return name, false
    end
    return name and lower(name), true
end

-- What parameters are in: behind the "?", or the delimiter.
local function parameters_of(txn, delim)
    local target = target_of(txn)
    if target == nil then
        return nil
    end
    local mark = delim and find(target, delim, 1, true)
        or find(target, '?', 1, true)
    return mark and sub(target, mark + 1)
end

-- The test of a value that may be none.
local function each_of(v, test, arg)
    if v == nil then
        return false
    end
    return test(v, arg)
end

local function same(v)
    return v
end

local URL_PARAM = { 'name:string?', 'delimiter:string?', 'case:i?' }

local function delimiter_of(text)
    if text == nil or text == '' then
        return nil
    end
    return sub(text, 1, 1)
end

local function url_param(convert)
    return function(_, name, delimiter, case)
        local delim = delimiter_of(delimiter)
        local code = delim and byte(delim)
        local wanted, fold = folded(name, case)
        return function(txn)
            local text = parameters_of(txn, delim)
            local v = text and one_parameter(text, wanted, code, fold)
            return v and convert(v)
        end
    end
end

local function each_url_param(convert)
    return function(_, name, delimiter, case)
        local delim = delimiter_of(delimiter)
        local code = delim and byte(delim)
        local wanted, fold = folded(name, case)
        return function(txn, test, arg)
            local text = parameters_of(txn, delim)
            if text == nil then
                return false
            elseif convert == same then
                return each_parameter(text, wanted, code, fold, test, arg)
            end
            return each_parameter(text, wanted, code, fold, function(v)
                return each_of(convert(v), test, arg)
            end)
        end
    end
end

M.url_param = copied_fetch('string', 'request', url_param(same),
    'The first parameter of that name in the query, or of any; escapes stay as they are. '
    .. 'With i the name may have any case.',
    { args = URL_PARAM, also = { 'urlp' }, each = each_url_param(same) })
M.url_param_val = copied_fetch('integer', 'request', url_param(integer_of),
    'The same as an integer.',
    { args = URL_PARAM, also = { 'urlp_val' }, each = each_url_param(integer_of) })

-- --- the body ---

local function read_body(req)
    return req.body
end

-- Nil: it comes in pieces, and has not come.
local function body_of(txn)
    local req = txn._req
    if req == nil then
        return nil
    end
    local ok, body = pcall(read_body, req)
    return ok and body or nil
end

M['req.body'] = plain('binary', 'request', body_of,
    'The body; none while it comes in pieces.')

M['req.body_len'] = plain('integer', 'request', function(txn)
    local body = body_of(txn)
    return body and #body
end, 'Bytes of the body.')

M['req.body_size'] = plain('integer', 'request', function(txn)
    local length = txn._req and txn._req:header('content-length')
    if length then
        return integer_of(length)
    end
    local body = body_of(txn)
    return body and #body
end, 'Bytes that the body is said to have.')

M['req.body_param'] = fetch('string', 'request', function(_, name, case)
    local wanted, fold = folded(name, case)
    return function(txn)
        local body = body_of(txn)
        return body and one_parameter(body, wanted, nil, fold)
    end
end, 'The parameter of that name in a body that is a form, or any; escapes stay as they '
    .. 'are. With i the name may have any case.', {
    args = { 'name:string?', 'case:i?' },
    each = function(_, name, case)
        local wanted, fold = folded(name, case)
        return function(txn, test, arg)
            local body = body_of(txn)
            return body ~= nil and each_parameter(body, wanted, nil, fold, test, arg)
        end
    end,
})

-- --- authorization ---

local decode = values.encoder('base64_decode', 1, 1, 'bool', false)

local function authorization(txn, field)
    local text = txn._req and txn._req:header(field or 'authorization')
    if text == nil then
        return nil
    end
    return text:match('^(%S+)%s+(.-)%s*$')
end

-- "user", "password"
local function basic(txn)
    local scheme, text = authorization(txn)
    if scheme == nil or scheme:lower() ~= 'basic' then
        return nil
    end
    local plain_text = decode(text)
    if plain_text == nil then
        return nil
    end
    return plain_text:match('^([^:]*):(.*)$')
end

M.http_auth_type = copied('string', 'request', function(txn)
    local scheme = authorization(txn)
    if scheme == nil or scheme:lower() == 'basic' and basic(txn) == nil then
        return nil
    end
    return scheme
end, 'The scheme of the Authorization.')

M.http_auth_user = copied('string', 'request', function(txn)
    return (basic(txn))
end, 'The user of a Basic Authorization.')

M.http_auth_pass = copied('string', 'request', function(txn)
    local _, password = basic(txn)
    return password
end, 'The password of a Basic Authorization.')

M.http_auth_bearer = copied_fetch('string', 'request', function(_, field)
    field = field and lower(field)
    return function(txn)
        local scheme, token = authorization(txn, field)
        if scheme == nil or scheme:lower() ~= 'bearer' then
            return nil
        end
        return token
    end
end, 'The token of a Bearer Authorization, or of another field.', {
    args = { 'name:string?' },
})

-- --- the answer ---

M.status = copied('integer', 'response', function(txn)
    return txn._res and txn._res.status
end, 'The status of the answer.', { also = { 'txn.status' } })

local function answer_version(txn)
    local proto = txn._req and txn._req.proto
    if proto == nil or txn._res == nil then
        return nil
    end
    return proto[1] == 1 and '1.1' or proto[1] .. '.' .. proto[2]
end

M['res.ver'] = copied('string', 'response', answer_version,
    'The version of HTTP of the answer.', { also = { 'resp_ver' } })

M['capture.res.ver'] = copied('string', 'response', function(txn)
    local version = answer_version(txn)
    return version and 'HTTP/' .. version
end, 'The version of HTTP of the answer, as "HTTP/1.1".')

-- Nil: it goes in pieces, or is a file.
local function answer_body(txn)
    local body = txn._res and txn._res.body
    return type(body) == 'string' and body or nil
end

M['res.body'] = plain('binary', 'response', answer_body,
    'The body of the answer; none when it goes in pieces or is a file.')

M['res.body_len'] = plain('integer', 'response', function(txn)
    local body = answer_body(txn)
    return body and #body
end, 'Bytes of that body.')

M['res.body_size'] = plain('integer', 'response', function(txn)
    local length = txn._res and txn._res.headers['content-length']
    if length then
        return integer_of(tostring(length))
    end
    local body = answer_body(txn)
    return body and #body
end, 'Bytes that the body of the answer is said to have.')

return M
