-- Converters of bytes: hashes, digests, encodings; JSON, dates and languages (require
-- 'neap.converters_data', which is no public module). Declarations as in converters.lua.
local ffi = require('ffi')
local native = require('neap.sample_native')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local byte, find, sub = string.byte, string.find, string.sub
local floor = math.floor
local pcall, tonumber, type = pcall, tonumber, type
local encoder = values.encoder

local M = {}

local function simple(from, out, f, doc)
    return {
        from = from, out = out, doc = doc,
        make = function()
            return f
        end,
    }
end

-- --- hashes ---

local avalanche = ffi.cast('uint32_t (*)(uint32_t)', native.avalanche)

local function hash(name, doc)
    local f = ffi.cast('uint32_t (*)(const char *, size_t)', native[name])
    M[name] = {
        args = { 'avalanche:0..1?' }, from = 'binary', out = 'integer', doc = doc,
        make = function(_, mixed)
            if mixed == 1 then
                return function(v)
                    return avalanche(f(v, #v))
                end
            end
            return function(v)
                return f(v, #v)
            end
        end,
    }
end

local MIXED = '; with 1 all its bits depend on all others.'
hash('sdbm', 'A hash of 32 bits, SDBM' .. MIXED)
hash('djb2', 'A hash of 32 bits, DJB2' .. MIXED)
hash('wt6', 'A hash of 32 bits, WT6' .. MIXED)
hash('crc32', 'A check sum as of gzip' .. MIXED)
hash('crc32c', 'The check sum CRC-32C' .. MIXED)

local c_xxh32 = ffi.cast('uint32_t (*)(const char *, size_t, uint32_t)', native.xxh32)

M.xxh32 = {
    args = { 'seed:wide?' }, from = 'binary', out = 'integer',
    doc = 'A hash of 32 bits, xxHash.',
    make = function(_, seed)
        seed = tonumber(values.wide(seed or 0) % 0x100000000LL)
        seed = seed < 0 and seed + 2 ^ 32 or seed
        return function(v)
            return c_xxh32(v, #v, seed)
        end
    end,
}

local function xxhash(name, doc)
    local f = ffi.cast('int64_t (*)(const char *, size_t, int64_t)', native[name])
    local settle = values.settle
    M[name] = {
        args = { 'seed:wide?' }, from = 'binary', out = 'integer', doc = doc,
        make = function(_, seed)
            seed = values.wide(seed or 0)
            return function(v)
                return settle(f(v, #v, seed))
            end
        end,
    }
end

xxhash('xxh64', 'A hash of 64 bits with a sign, xxHash.')
xxhash('xxh3', 'A hash of 64 bits with a sign, XXH3.')

-- --- digests ---

local function algorithm_of(name)
    local algorithm = native.digest_of(name)
    if algorithm == nil then
        parser.fail(nil, "a digest that OpenSSL knows is expected, as sha256, not '%s'",
            name)
    end
    return algorithm
end

local function digest_of(name)
    local algorithm, digest = algorithm_of(name), native.digest
    return function(v)
        return digest(algorithm, v)
    end
end

M.md5 = simple('binary', 'binary', digest_of('md5'),
    'The MD5, 16 bytes. HAProxy has it as `digest(md5)`.')
M.sha1 = simple('binary', 'binary', digest_of('sha1'), 'The SHA-1, 20 bytes.')

M.sha2 = {
    args = { 'bits:integer?' }, from = 'binary', out = 'binary',
    doc = 'The SHA-224, -256 (unless said), -384 or -512.',
    make = function(_, size)
        if size ~= nil and size ~= 224 and size ~= 256 and size ~= 384 and size ~= 512 then
            parser.fail(nil, '224, 256, 384 or 512 bits are expected')
        end
        return digest_of('sha' .. (size or 256))
    end,
}

M.digest = {
    args = { 'name:string' }, from = 'binary', out = 'binary',
    doc = 'A digest by the name that OpenSSL has for it.',
    make = function(_, name)
        return digest_of(name)
    end,
}

local base64_decode = encoder('base64_decode', 1, 1, 'bool', false)

M.hmac = {
    args = { 'name:string', 'key:base64' }, from = 'binary', out = 'binary',
    doc = 'The HMAC with a key in base64, or a variable that has one.',
    make = function(_, name, key)
        local algorithm, hmac = algorithm_of(name), native.hmac
        if type(key) ~= 'table' then
            return function(v)
                return hmac(algorithm, v, key)
            end
        end
        local var = key.var
        return function(v, txn)
            local text = txn:get_var(var)
            text = type(text) == 'string' and base64_decode(text)
            if not text then
                return nil
            end
            return hmac(algorithm, v, text)
        end
    end,
}

-- --- encodings ---

local to_hex = encoder('hex', 2, 1)

M.base64 = simple('binary', 'string', encoder('base64', 2, 4, 'bool', false), 'In base64.')
M.b64dec = simple('string', 'binary', base64_decode,
    'The bytes of a text in base64, with its padding.')
M.ub64enc = simple('binary', 'string', encoder('base64', 2, 4, 'bool', true),
    'In base64 as URLs have it, without padding.')
local ub64dec = encoder('base64_decode', 1, 1, 'bool', true)
M.ub64dec = simple('string', 'binary', ub64dec, 'The bytes of such a text.')
M.hex = simple('binary', 'string', to_hex, 'In hexadecimal digits, capital ones.')

M.hex2i = simple('string', 'integer', function(v)
    local x = ffi.cast('uint64_t', 0)
    if v == '' or find(v, '%X') or #v > 16 then
        return nil
    end
    for i = 1, #v do
        x = x * 16 + tonumber(sub(v, i, i), 16)
    end
    return values.settle(ffi.cast('int64_t', x))
end, 'The integer of hexadecimal digits; none when there are others.')

M.url_enc = {
    args = { 'kind:query?' }, from = 'string', out = 'string',
    doc = 'Escaped for a query.',
    make = (function()
        local f = encoder('url_encode', 3, 1)
        return function()
            return f
        end
    end)(),
}

M.url_dec = {
    args = { 'form:integer?' }, from = 'string', out = 'string',
    doc = 'Without its escapes; "+" is a space behind a question mark, or with 1 '
        .. 'everywhere. None when one is broken.',
    make = function(_, form)
        return encoder('url_decode', 1, 1, 'bool', form ~= nil and form ~= 0)
    end,
}

M.json = {
    args = { 'input:ascii|utf8|utf8s|utf8p|utf8ps?' }, from = 'string', out = 'string',
    doc = 'As it stands in a JSON string. `ascii` (unless said) takes each byte for a '
        .. 'character; utf8 is none when it is broken, with s what is broken is left out, '
        .. 'with p overlong forms are read.',
    make = function(_, input)
        input = input or 'ascii'
        local flags = input == 'ascii' and 1 or 0
        flags = flags + (find(input, '8p', 1, true) and 2 or 0)
        flags = flags + (find(input, 's$') and 4 or 0)
        return encoder('json', 6, 1, 'int', flags)
    end,
}

local function number_text(bytes)
    local x = ffi.cast('uint64_t', 0)
    for i = 1, #bytes do
        x = x * 256 + byte(bytes, i)
    end
    return (tostring(x):gsub('ULL$', ''))
end

local function chunks(convert)
    return function(_, separator, size, truncate)
        separator, size = separator or '', size or 1
        return function(v)
            local parts = {}
            for at = 1, #v, size do
                local chunk = sub(v, at, at + size - 1)
                if #chunk < size and truncate == 1 then
                    break
                end
                parts[#parts + 1] = convert(chunk)
            end
            return table.concat(parts, separator)
        end
    end
end

M.be2dec = {
    args = { 'separator:string', 'size:1..8', 'truncate:0..1?' }, from = 'binary',
    out = 'string', doc = 'Each so many bytes, the highest first, as an integer.',
    make = chunks(number_text),
}

M.le2dec = {
    args = M.be2dec.args, from = 'binary', out = 'string',
    doc = 'The same with the lowest byte first.',
    make = chunks(function(bytes)
        return number_text(bytes:reverse())
    end),
}

M.base2 = simple('binary', 'string', function(v)
    return (v:gsub('.', function(c)
        local n, digits = byte(c), ''
        for _ = 1, 8 do
            digits, n = n % 2 .. digits, floor(n / 2)
        end
        return digits
    end))
end, 'In binary digits.')

M.be2hex = {
    args = { 'separator:string?', 'size:1..1000000?', 'truncate:0..1?' },
    from = 'binary', out = 'string',
    doc = 'In hexadecimal digits, with a separator between each so many bytes.',
    make = chunks(to_hex),
}

M.htonl = simple('integer', 'binary', function(v)
    local n = tonumber(values.wide(v) % 0x100000000LL)
    n = n < 0 and n + 2 ^ 32 or n
    return string.char(floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256,
        n % 256)
end, 'Its lower 32 bits as bytes, the highest first.')

-- --- JSON ---

local decode_json

local function decoded(text)
    if decode_json == nil then
        decode_json = require('json').decode
    end
    local ok, value = pcall(decode_json, text)
    if ok then
        return value
    end
    return nil
end

-- "$.a.b[2]['c d']" -> {'a', 'b', 3, 'c d'}
local function path_of(text)
    local steps, at = {}, 2
    local given = text
    text = text:gsub('\\%.', '\0') -- no end of a name
    if byte(text, 1) ~= 36 then
        parser.fail(nil, "a path as $.name[0] is expected, not '%s'", given)
    end
    while at <= #text do
        local _, stop, key = find(text, '^%.([^.%[%]\\]+)', at)
        if not stop then
            _, stop, key = find(text, '^%[(%d+)%]', at)
            key = key and tonumber(key) + 1
        end
        if not stop then
            _, stop, key = find(text, "^%['([^']*)'%]", at)
        end
        if not stop then
            parser.fail(nil, "a path as $.name[0]['name'] is expected, not '%s'", given)
        end
        steps[#steps + 1] = type(key) == 'string' and key:gsub('%z', '.') or key
        at = stop + 1
    end
    return steps
end

local function walk(value, steps)
    for i = 1, #steps do
        if type(value) ~= 'table' then
            return nil
        end
        value = value[steps[i]]
    end
    return value
end

local to_integer = values.cast('any', 'integer')

local function json_integer(v)
    if type(v) == 'string' then
        return values.exact_integer(v)
    end
    return to_integer(v)
end

-- What is neither text, number nor boolean is nothing; a fraction is a text.
local function json_value(v)
    local kind = type(v)
    if kind == 'number' and v ~= floor(v) then
        return ('%.14g'):format(v)
    elseif kind == 'cdata' then
        local ok, n = pcall(ffi.cast, 'int64_t', v)
        return ok and (ffi.istype('int64_t', v) or ffi.istype('uint64_t', v)) and
            values.settle(n) or nil
    elseif kind == 'string' or kind == 'number' or kind == 'boolean' then
        return v
    end
    return nil
end

local function query_of(path, kind)
    local steps = path_of(path)
    return function(text)
        local v = decoded(text)
        if v == nil then
            return nil
        end
        v = walk(v, steps)
        if kind == 'int' and type(v) == 'number' then
            return to_integer(v)
        end
        v = json_value(v)
        if v ~= nil and kind == 'int' then
            return json_integer(v)
        end
        return v
    end
end

M.json_query = {
    args = { 'path:string', 'type:int?' }, from = 'string', out = 'any',
    doc = "What a JSON text has at a path as $.a.b[0]['c']: a text, an integer or a "
        .. 'boolean; a fraction is a text. With int an integer.',
    make = function(_, path, kind)
        return query_of(path, kind)
    end,
}

local function jwt(number, doc)
    return {
        args = { 'path:string?', 'type:int?' }, from = 'string', out = 'any', doc = doc,
        make = function(_, path, kind)
            local query = path and path ~= '' and query_of(path, kind)
            return function(v)
                local part = v:match(number == 1 and '^([^.]+)%.[^.]+%.[^.]*$'
                    or '^[^.]+%.([^.]+)%.[^.]*$')
                part = part and ub64dec(part)
                if part == nil then
                    return nil
                end
                if query then
                    return query(part)
                end
                return part
            end
        end,
    }
end

M.jwt_header_query = jwt(1, 'The header of a JSON Web Token, or what it has at a path as of '
    .. '`json_query`. Nothing is verified.')
M.jwt_payload_query = jwt(2, 'The payload of a JSON Web Token, or what it has at a path. '
    .. 'Nothing is verified.')

-- --- dates ---


M.http_date = {
    args = { 'offset:integer?', 'unit:s|ms|us?' }, from = 'integer', out = 'string',
    doc = 'The date of the seconds (or of another unit) since 1970, and the offset, as HTTP '
        .. 'has it.',
    make = function(_, offset, unit)
        local http_date = native.http_date
        offset = offset or 0
        if unit == nil or unit == 's' then
            return function(v)
                return http_date(tonumber(v) + offset)
            end
        end
        local by = unit == 'ms' and 1e3 or 1e6
        local form = unit == 'ms' and '%s.%03d GMT' or '%s.%06d GMT'
        return function(v)
            local n = tonumber(v) + offset
            local date = http_date(floor(n / by))
            return date and form:format(sub(date, 1, -5), n % by)
        end
    end,
}

-- @by: so many units are a second. %N is what is beyond it, in nine digits, or %3N and so on.
local function time_converter(is_local, by, doc)
    return {
        args = { 'format:string', 'offset:integer?' }, from = 'integer', out = 'string',
        doc = doc,
        make = function(_, format, offset)
            local strftime = native.strftime
            offset = offset or 0
            if by == 1 then
                return function(v)
                    return strftime(format, tonumber(v) + offset, is_local)
                end
            end
            return function(v)
                local n = tonumber(v) + offset
                local beyond = ('%09d'):format(n % by * (1e9 / by))
                local text = format:gsub('%%(.)(N?)', function(c, behind)
                    if c == 'N' then
                        return beyond .. behind
                    elseif behind == 'N' and find(c, '[1-9]') then
                        return sub(beyond, 1, tonumber(c))
                    end
                end)
                return strftime(text, floor(n / by), is_local)
            end
        end,
    }
end

M.ltime = time_converter(true, 1, 'The date of the seconds since 1970 by strftime, local time.')
M.utime = time_converter(false, 1, 'The date of the seconds since 1970 by strftime, UTC.')
for name, unit in pairs({ ms = { 1e3, 'milliseconds' }, us = { 1e6, 'microseconds' } }) do
    for kind, is_local in pairs({ ltime = true, utime = false }) do
        M[name .. '_' .. kind] = time_converter(is_local, unit[1], ('The same of %s: '
            .. '`%%N` is what is beyond the second, `%%3N` its first three digits.')
            :format(unit[2]))
    end
end

-- --- languages ---

M.language = {
    args = { 'languages:string', 'default:string?' }, from = 'string', out = 'string',
    doc = 'Of an Accept-Language the one of the languages (de;en;..) that it likes best, or '
        .. 'the default.',
    make = function(_, languages, default)
        local known = {}
        for name in languages:gmatch('[^;]+') do
            known[name] = true
        end
        if default == '' then
            default = nil
        end
        return function(v)
            local best, best_q = default, 0
            for item in v:gmatch('[^,]+') do
                local name = item:match('^%s*([%w*-]+)')
                local q = tonumber(item:match(';%s*q=([%d.]+)') or 1) or 0
                local base = name and name:match('^[^-]+')
                local found = name and (known[name] and name or known[base] and base)
                if found and q > best_q then
                    best, best_q = found, q
                end
            end
            return best
        end
    end,
}

return M
