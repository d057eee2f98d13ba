-- Fetches of what is no HTTP: constants, the process, variables, the connection and
-- its TLS (require 'neap.fetches', which is no public module). Declarations as in
-- fetch_declaration.lua.
local ffi = require('ffi')
local declaration = require('neap.fetch_declaration')
local native = require('neap.sample_native')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local floor, format = math.floor, string.format
local tonumber, type = tonumber, type
local simple = declaration.simple

local M = {}

local function constant(v)
    return function()
        return v
    end
end

-- --- constants and the process ---

M.always_true = simple('boolean', constant(true), 'True.', { const = true })
M.always_false = simple('boolean', constant(false), 'False.', { const = true })

M.str = {
    args = { 'text:string?' }, out = 'string', const = true,
    doc = 'The text.',
    make = function(_, text)
        return constant(text or '')
    end,
}

M.int = {
    args = { 'n:wide' }, out = 'integer', const = true, doc = 'The number.',
    make = function(_, n)
        return constant(n)
    end,
}

M.bool = {
    args = { 'value:true|false|1|0' }, out = 'boolean', const = true,
    doc = 'True or false.',
    make = function(_, value)
        return constant(value == 'true' or value == '1')
    end,
}

M.bin = {
    args = { 'digits:hex' }, out = 'binary', const = true,
    doc = 'The bytes of hexadecimal digits.',
    make = function(_, bytes)
        return constant(bytes)
    end,
}

M.meth = {
    args = { 'method:string' }, out = 'string', const = true, doc = 'A method.',
    make = function(_, method)
        return constant(method)
    end,
}

local function address_fetch(size, what)
    return {
        args = { 'address:string' }, out = 'ip', const = true,
        doc = 'An address of ' .. what .. '.',
        make = function(_, text)
            local bytes = values.address_bytes(text)
            if bytes == nil or #bytes ~= size then
                parser.fail(nil, "an address of %s is expected, not '%s'", what, text)
            end
            return constant(values.address_of_bytes(bytes))
        end,
    }
end

M.ipv4 = address_fetch(4, 'IPv4')
M.ipv6 = address_fetch(16, 'IPv6')

M.env = {
    args = { 'name:string' }, out = 'string', const = true,
    doc = 'The environment variable, as it was when the rules were compiled.',
    make = function(_, name)
        return constant(native.env(name))
    end,
}

M.hostname = simple('string', constant(native.hostname), 'The name of the machine.',
    { const = true })
M.pid = simple('integer', constant(native.pid), 'The number of the process.',
    { const = true })
M.proc = simple('integer', constant(1), 'Always 1.', { const = true })

local neap

-- The worker that asks; without states, in tests, there is one.
local function worker(field)
    return function()
        if neap == nil then
            local ok, module = pcall(require, 'neap.states')
            neap = ok and module or { id = 1, count = 1 }
        end
        return neap[field]
    end
end

M.thread = simple('integer', worker('id'),
    'The number of the worker, from 1 on; 0 in the shared state.')
M.nbthread = simple('integer', worker('count'), 'How many workers there are.')

local now_us = ffi.cast('double (*)(void)', native.now_us)
local random32 = ffi.cast('uint32_t (*)(void)', native.random32)
local units = { s = 1e6, ms = 1e3, us = 1 }

M.date = {
    args = { 'offset:integer?', 'unit:s|ms|us?' }, out = 'integer',
    doc = 'The seconds (or of another unit) since 1970, and the offset.',
    make = function(_, offset, unit)
        local by = units[unit or 's']
        offset = offset or 0
        return function()
            return floor(now_us() / by) + offset
        end
    end,
}

M.date_us = simple('integer', function()
    return now_us() % 1e6
end, 'The microseconds of the date.')

M.rand = {
    args = { 'range:1..4294967295?' }, out = 'integer',
    doc = 'A number from 0 to less than the range, 2^32 unless given. Not for secrets.',
    make = function(_, range)
        range = range or 2 ^ 32
        return function()
            return floor(random32() / 2 ^ 32 * range)
        end
    end,
}

local function uuid()
    local bytes = native.random(16)
    local a, b, c, d, e, f, g, h = bytes:byte(1, 8)
    local i, j, k, l, m, n, o, p = bytes:byte(9, 16)
    return format('%02x%02x%02x%02x-%02x%02x-4%x%02x-%x%x%02x-%02x%02x%02x%02x%02x%02x',
        a, b, c, d, e, f, g % 16, h, 8 + i % 4, floor(i / 16), j, k, l, m, n, o, p)
end

M.uuid = {
    args = { 'version:4..4?' }, out = 'string', doc = 'A new random UUID.',
    make = function()
        return uuid
    end,
}

M['unique-id'] = simple('string', function(txn)
    local id = txn.unique_id
    if id == nil then
        id = uuid()
        txn.unique_id = id
    end
    return id
end, 'What tells this request from all others: `txn.unique_id`, or a UUID that is made '
    .. 'when it is first asked for.')

M.var = {
    args = { 'name:variable', 'default:string?' }, out = 'any', copied = true,
    doc = 'The variable, or the default when it is not set.',
    make = function(_, name, default)
        return function(txn)
            local v = txn:get_var(name)
            if v == nil then
                return default
            end
            return v
        end
    end,
}

-- --- the listener ---

local function listener(field)
    return function(txn)
        local l = txn.listener
        return l and l[field]
    end
end

M.fe_name = simple('string', listener('name'), 'The name of the listener.',
    { also = { 'so_name' } })

-- --- addresses of the connection ---

local function peer_of(txn)
    if txn._req then
        return txn._req.peer
    end
    return txn.socket and txn.socket:peer()
end

local function own_of(txn)
    if txn._req then
        return txn._req.own_address
    end
    return txn.socket and txn.socket:name()
end

local function host(of)
    return function(txn)
        local address = of(txn)
        if address == nil or type(address.port) ~= 'number' then
            return nil -- a unix socket has none
        end
        return address.host
    end
end

local function port(of)
    return function(txn)
        local address = of(txn)
        local n = address and address.port
        return type(n) == 'number' and n or nil
    end
end

M.src = simple('ip', host(peer_of),
    "The client's address; none of a unix socket.",
    { also = { 'fc_src' }, copied = true })
M.src_port = simple('integer', port(peer_of), "The client's port.",
    { also = { 'fc_src_port' }, copied = true })
M.dst = simple('ip', host(own_of), 'The address that the client has connected to.',
    { also = { 'fc_dst' } })
M.dst_port = simple('integer', port(own_of), 'The port that the client has connected to.',
    { also = { 'fc_dst_port' } })

local is_local = ffi.cast('bool (*)(const char *, size_t)', native.address_is_local)

local function local_fetch(of)
    local address = host(of)
    return function(txn)
        local text = address(txn)
        if text == nil then
            return nil
        end
        return is_local(text, #text)
    end
end

M.src_is_local = simple('boolean', local_fetch(peer_of),
    "The client's address is one of this machine.", { also = { 'fc_src_is_local' } })
M.dst_is_local = simple('boolean', local_fetch(own_of),
    'The address that the client has connected to is one of this machine.',
    { also = { 'fc_dst_is_local' } })

-- --- TLS ---

local function tls_of(txn)
    local req = txn._req
    if req then
        if req.scheme ~= 'https' then
            return nil
        end
        return req:tls_info()
    end
    return txn.socket and txn.socket:tls_info()
end

local function tls(field)
    return function(txn)
        local info = tls_of(txn)
        return info and info[field]
    end
end

M.ssl_fc = simple('boolean', function(txn)
    if txn._req then
        return txn._req.scheme == 'https'
    end
    return tls_of(txn) ~= nil
end, 'The connection has TLS.')

M.ssl_fc_sni = simple('string', tls('sni'), 'The name that the client has asked for.')
M.ssl_fc_alpn = simple('string', tls('alpn'), 'The protocol that was agreed on.')
M.ssl_fc_protocol = simple('string', tls('version'), 'The version of TLS, as "TLSv1.3".')
M.ssl_fc_cipher = simple('string', tls('cipher'), 'The cipher.')
M.ssl_fc_is_resumed = simple('boolean', tls('resumed'), 'An earlier session goes on.')

M.ssl_fc_has_sni = simple('boolean', function(txn)
    local info = tls_of(txn)
    if info == nil then
        return nil
    end
    return info.sni ~= nil
end, 'The client has asked for a name.')

M.ssl_c_used = simple('boolean', function(txn)
    local info = tls_of(txn)
    if info == nil then
        return nil
    end
    return info.peer ~= nil
end, 'The client has shown a certificate.', { also = { 'ssl_fc_has_crt' } })

M.ssl_c_verify = simple('integer', function(txn)
    local info = tls_of(txn)
    if info == nil then
        return nil
    end
    return (info.peer == nil or info.verified) and 0 or 1
end, "0 when the client's certificate is good, or it has shown none; else 1.")

local hex_decode = values.encoder('hex_decode', 1, 1)

M.ssl_c_sha256 = simple('binary', function(txn)
    local info = tls_of(txn)
    if info == nil or info.peer == nil then
        return nil
    end
    return hex_decode(info.peer.fingerprint)
end, "The SHA-256 fingerprint of the client's certificate. HAProxy has it by `ssl_c_der,"
    .. 'sha2`.')

M.ssl_c_notafter = simple('string', function(txn)
    local info = tls_of(txn)
    if info == nil or info.peer == nil then
        return nil
    end
    return native.strftime('%y%m%d%H%M%SZ', info.peer.not_after)
end, "The end of the client's certificate, as YYMMDDhhmmssZ.")

-- {{name, value}..} of a name as RFC 2253 writes it, the first one first.
local function entries_of(name)
    local list, at = {}, 1
    while at <= #name do
        local stop = at
        while stop <= #name and not name:find('^[,+]', stop) do
            stop = stop + (name:find('^\\', stop) and 2 or 1)
        end
        local key, value = name:sub(at, stop - 1):match('^([^=]+)=(.*)$')
        if key then
            value = value:gsub('\\(%x%x)', function(digits)
                return string.char(tonumber(digits, 16))
            end):gsub('\\(.)', '%1')
            table.insert(list, 1, { key, value })
        end
        at = stop + 1
    end
    return list
end

local function entry_of(list, wanted, occ)
    local found = {}
    for _, entry in ipairs(list) do
        if entry[1] == wanted then
            found[#found + 1] = entry[2]
        end
    end
    return found[occ < 0 and #found + 1 + occ or occ == 0 and 1 or occ]
end

local function dn_fetch(field, whose)
    return {
        args = { 'entry:string?', 'occ:integer?', 'format:rfc2253?' }, out = 'string',
        doc = 'The distinguished name of the ' .. whose .. ", as /O=.../CN=... or as RFC "
            .. '2253 writes it, or an entry of it.',
        make = function(_, entry, occ, style)
            return function(txn)
                local info = tls_of(txn)
                local name = info and info.peer and info.peer[field]
                if name == nil or style and (entry or '') == '' then
                    return name
                end
                local list = entries_of(name)
                if (entry or '') ~= '' then
                    return entry_of(list, entry, occ or 1)
                end
                local parts = {}
                for i, one in ipairs(list) do
                    parts[i] = '/' .. one[1] .. '=' .. one[2]
                end
                return table.concat(parts)
            end
        end,
    }
end

M.ssl_c_s_dn = dn_fetch('subject', "client's certificate")
M.ssl_c_i_dn = dn_fetch('issuer', "authority that has signed the client's certificate")

-- --- times and bytes, which the server notes in the transaction ---

local function noted(field)
    return function(txn)
        return txn[field]
    end
end

local notes = {
    { 'bytes_in', 'bytes_in', 'Bytes of the body of the request, or that have come on a connection.' },
    { 'bytes_out', 'bytes_out', 'Bytes of the body of the answer, or that have gone on a connection.' },
    { 'txn.timer.total', 'time_total',
        'Milliseconds from the first byte of the request to the end of the answer.' },
    { 'txn.timer.user', 'time_user',
        'Milliseconds from the begin of the request, what came before it with it, to the '
        .. 'end.' },
    { 'req.timer.hdr', 'time_request', 'Milliseconds until the whole request was there.' },
    { 'req.timer.idle', 'time_idle', 'Milliseconds before the first byte of the request.' },
    { 'res.timer.hdr', 'time_response', 'Milliseconds until the head of the answer.' },
    { 'res.timer.data', 'time_data', 'Milliseconds that the body of the answer took.' },
    { 'fc.timer.handshake', 'time_handshake', 'Milliseconds of the handshakes.' },
}
for _, note in ipairs(notes) do
    M[note[1]] = simple('integer', noted(note[2]),
        ('%s `txn.%s`; none when the server has not noted it.'):format(note[3], note[2]))
end

-- @what comes when its rules begin, or when it is first asked for: the line of a log knows
-- better.
local function dated(what)
    return {
        args = { 'unit:s|ms|us?' }, out = 'integer',
        doc = 'When ' .. what .. ' came: seconds (or of another unit) since 1970. In a log that '
            .. 'is its first byte, in rules when they have begun.',
        make = function(env, unit)
            local by = units[unit or 's']
            if env.uses then
                env.uses.dates = true
            end
            return function(txn)
                local at = txn.started
                if at == nil then
                    at = now_us() / 1e6
                    txn.started = at
                end
                return floor(at * 1e6 / by)
            end
        end,
    }
end

M.request_date = dated('the request')
M.accept_date = dated('the connection, or the next request on it,')

return M
