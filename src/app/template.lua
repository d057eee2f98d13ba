-- Templates and log formats (require 'neap.template', which is no public module): text with
-- %[expression], HAProxy's names of log fields (%ci, %ST, ..), and %% for a percent sign.
-- Flags stand before them: %{+Q}[..], or for all that follow %{+Q}o.
local native = require('neap.sample_native')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local sample

local byte, find, format, gsub, sub =
    string.byte, string.find, string.format, string.gsub, string.sub
local concat, floor = table.concat, math.floor
local fail = parser.fail
local strftime = native.strftime
local type = type

local M = {}

local PIECES_MAX = 200

-- --- dates ---

-- f(seconds) -> text; that of a second is made once.
local function second_date(pattern, is_local)
    local last, text
    return function(seconds)
        seconds = floor(seconds)
        if seconds ~= last then
            last, text = seconds, strftime(pattern, seconds, is_local)
        end
        return text
    end
end

local now_us = require('ffi').cast('double (*)(void)', native.now_us)

local function started(txn)
    return txn.started or now_us() / 1e6
end

local function date(pattern, is_local)
    local text = second_date(pattern, is_local)
    return function(txn)
        return text(started(txn))
    end
end

local in_seconds = second_date('%d/%b/%Y:%H:%M:%S', true)

local function date_ms(txn)
    local at = started(txn)
    return format('%s.%03d', in_seconds(at), floor(at * 1000) % 1000)
end

local DATE_ZONE = '%d/%b/%Y:%H:%M:%S %z'
local gmt, local_date = date(DATE_ZONE, false), date(DATE_ZONE, true)

-- --- HAProxy's names ---

local function text_field(f, kind)
    return { f = f, type = kind or 'string' }
end

local function query_field(txn)
    local target = txn._req and txn._req.target
    local mark = target and find(target, '?', 1, true)
    return mark and sub(target, mark) or ''
end

local function path_field(txn)
    local target = txn._req and txn._req.target
    local mark = target and find(target, '?', 1, true)
    return mark and sub(target, 1, mark - 1) or target
end

local function line_field(txn)
    local req = txn._req
    if req == nil then
        return nil
    end
    return format('%s %s HTTP/%d.%d', req.method, req.target, req.proto[1], req.proto[2])
end

local function frontend_field(txn)
    local name = txn.listener and txn.listener.name
    if name and txn._req and txn._req.scheme == 'https' then
        return name .. '~'
    end
    return name
end

local fields = {
    B = 'bytes_out', U = 'bytes_in', H = 'hostname', ID = 'unique-id', ST = 'status',
    HM = 'method', HPO = 'path', HU = 'url', HV = 'capture.req.ver',
    HP = text_field(path_field), HQ = text_field(query_field), r = text_field(line_field),
    Ta = 'txn.timer.total', Tt = 'txn.timer.user', Tu = 'txn.timer.user',
    Tr = 'res.timer.hdr', TR = 'req.timer.hdr', Ti = 'req.timer.idle',
    Td = 'res.timer.data', Th = 'fc.timer.handshake',
    Ts = text_field(function(txn)
        return floor(started(txn))
    end, 'integer'),
    ms = text_field(function(txn)
        return format('%03d', floor(started(txn) * 1000) % 1000)
    end),
    ci = 'src', cp = 'src_port', fi = 'dst', fp = 'dst_port', f = 'fe_name',
    ft = text_field(frontend_field), pid = 'pid', sslc = 'ssl_fc_cipher',
    sslv = 'ssl_fc_protocol', T = text_field(gmt), Tl = text_field(local_date),
    t = text_field(date_ms), tr = text_field(date_ms), trg = text_field(gmt),
    trl = text_field(local_date),
}
M.fields = fields

-- Those of what neap has not.
local absent = {
    CC = 'captures', CS = 'captures', hr = 'captures', hrl = 'captures', hs = 'captures',
    hsl = 'captures', b = 'backends', bc = 'backends', bi = 'backends', bp = 'backends',
    bq = 'backends', s = 'servers', sc = 'servers', si = 'servers', sp = 'servers',
    sq = 'servers', rc = 'retries', Tc = 'backends', Tw = 'queues', ts = 'proxying',
    tsc = 'proxying', Tq = 'proxying', ac = 'counters', fc = 'counters', lc = 'counters',
    rt = 'counters',
}

-- --- flags ---

local flag_names = { Q = true, E = true, X = true, J = true }

-- "+Q,-E": changes of the flags.
local function flags_at(text, at, flags)
    local close = find(text, '}', at, true)
    if close == nil then
        fail(at - 1, "the flags are not closed: '}' is expected")
    end
    local changed = { Q = flags.Q, E = flags.E, X = flags.X, J = flags.J }
    local column = at
    for word in (sub(text, at, close - 1) .. ','):gmatch('([^,]*),') do
        local sign, name = word:match('^%s*([+-]?)(%a)%s*$')
        if name == nil or not flag_names[name] then
            fail(column, "a flag is expected, as +Q, -Q, +E, +X or +J, not '%s'", word)
        end
        changed[name] = sign ~= '-'
        column = column + #word + 1
    end
    return changed, close + 1
end

-- What could end a line, or a text in quotes, or be taken for such an escape.
local control, forging = '[%z\1-\31\127]', '[%z\1-\31\127"\\#]'

local function visible(c)
    return format('#%02X', byte(c))
end

local function hexadecimal(v, kind)
    if kind == 'ip' then
        local bytes = values.address_bytes(v)
        return bytes and (gsub(bytes, '.', function(c)
            return format('%02X', byte(c))
        end)) or v
    elseif type(v) == 'number' and v >= 0 then
        return format('%X', v)
    end
    return nil
end

local json = values.encoder('json', 6, 1, 'int', 4)

local function json_text(v)
    if v == nil then
        return 'null'
    elseif type(v) == 'boolean' then
        return v and 'true' or 'false'
    elseif type(v) ~= 'string' then
        return values.integer_text(v)
    end
    return '"' .. (json(v) or '') .. '"'
end

-- f(value) -> text, as the flags have it, of a value that may be missing. @escaped: it has its
-- escapes from a converter.
local function shower(kind, flags, is_log, escaped)
    local none = is_log and '-' or ''
    local unsafe = (flags.E or escaped) and control or forging
    local text_of = values.text_of
    if flags.J then
        return json_text
    elseif not (flags.Q or flags.E or flags.X or is_log) then
        if kind == 'string' or kind == 'binary' or kind == 'ip' then
            return nil
        end
        return function(v)
            return v ~= nil and text_of(v) or ''
        end
    end
    return function(v)
        local text = v ~= nil and (flags.X and hexadecimal(v, kind) or text_of(v)) or ''
        if is_log and find(text, unsafe) then
            text = gsub(text, unsafe, visible)
        end
        if flags.E then
            text = gsub(text, '["\\%]]', '\\%0')
        end
        if flags.Q then
            return '"' .. text .. '"'
        end
        return text == '' and none or text
    end
end

-- --- pieces ---

local function add_text(state, text)
    local last = state.pieces[#state.pieces]
    if type(last) == 'string' then
        state.pieces[#state.pieces] = last .. text
    elseif text ~= '' then
        state.pieces[#state.pieces + 1] = text
    end
end

local function add_value(state, x, flags)
    local show = shower(x.type, flags, state.env.log, x.escaped)
    local get = sample.function_of(x)
    if x.const then
        local v = get(nil)
        if show then
            v = show(v)
        end
        add_text(state, v or '')
        return
    elseif #state.pieces == PIECES_MAX then
        fail(state.at, 'more than %d pieces', PIECES_MAX)
    end
    state.pieces[#state.pieces + 1] = { get = get, show = show }
end

local function expression_at(state, text, at, flags)
    local x, after = sample.analyse(text, at, state.env)
    if byte(text, after) ~= 93 then
        fail(after, "',' and a converter or ']' is expected%s", after > #text and '' or
            (", not '%s'"):format(sub(text, after, after)))
    end
    add_value(state, x, flags)
    return after + 1
end

local function field_at(state, text, at, flags)
    local name, after = text:match('^(%a+)()', at)
    if name == nil then
        fail(at - 1, "'%%' is expected for a percent sign, or %[expression]")
    elseif name == 'o' then
        state.flags = flags
        return after
    elseif absent[name] then
        fail(at, "'%%%s' is not there: it is of HAProxy's %s", name, absent[name])
    end
    local field = fields[name]
    if field == nil then
        parser.unknown(at, 'log field', '%' .. name, (function()
            local known = {}
            for one in pairs(fields) do
                known['%' .. one] = true
            end
            return known
        end)())
    elseif type(field) == 'string' then
        add_value(state, sample.analyse(field, 1, state.env), flags)
    else
        sample.note(state.env, false)
        add_value(state, { source = field.f, type = field.type, steps = {} }, flags)
    end
    return after
end

local function piece_at(state, text, at)
    local flags = state.flags
    state.at = at
    if byte(text, at) == 37 then
        add_text(state, '%')
        return at + 1
    end
    if byte(text, at) == 123 then
        flags, at = flags_at(text, at + 1, flags)
    end
    if byte(text, at) == 91 then
        return expression_at(state, text, at + 1, flags)
    end
    return field_at(state, text, at, flags)
end

-- One function of all pieces.
local function joined(pieces)
    local constants, lines, names = {}, {}, {}
    for i, piece in ipairs(pieces) do
        constants[#constants + 1] = type(piece) == 'string' and piece or piece.get
        local name = ('k%d'):format(#constants)
        if type(piece) ~= 'string' then
            local value = name .. '(txn)'
            if piece.show then
                constants[#constants + 1] = piece.show
                value = ('k%d(%s)'):format(#constants, value)
            else
                value = value .. " or ''"
            end
            name = 'V[' .. i .. ']'
            lines[#lines + 1] = { name, value }
        end
        names[i] = name
    end
    return constants, lines, names
end

local LOCALS = 60

local function generate(pieces)
    if #pieces == 0 then
        return function()
            return ''
        end
    elseif #pieces == 1 and type(pieces[1]) == 'string' then
        local text = pieces[1]
        return function()
            return text
        end
    elseif #pieces > LOCALS then -- more than a function has room for
        local first, rest = {}, {}
        for i, piece in ipairs(pieces) do
            local to = i <= LOCALS and first or rest
            to[#to + 1] = piece
        end
        local a, b = generate(first), generate(rest)
        return function(txn)
            return a(txn) .. b(txn)
        end
    end
    local constants, lines, names = joined(pieces)
    local body = {}
    for i, line in ipairs(lines) do
        body[i] = ('local v%d = %s'):format(i, line[2])
        for j, name in ipairs(names) do
            if name == line[1] then
                names[j] = 'v' .. i
            end
        end
    end
    body[#body + 1] = 'return ' .. concat(names, ' .. ')
    return sample.compile('txn', concat(body, '\n'), constants)
end

-- compile(text, env) -> f(txn) -> text
function M.compile(text, env)
    sample = sample or require('neap.sample')
    parser.check_text(text, 'a template')
    local state = { pieces = {}, flags = {}, env = env, at = 1 }
    local at = 1
    while true do
        local mark = find(text, '%', at, true)
        add_text(state, sub(text, at, (mark or 0) - 1))
        if mark == nil then
            return generate(state.pieces)
        end
        at = piece_at(state, text, mark + 1)
    end
end

return M
