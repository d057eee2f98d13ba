-- Converters of numbers, texts, addresses and variables (require 'neap.converters', which
-- is no public module). Each declaration: `args` as sample_args.lua reads them, `from` and `out` the
-- types (`out` 'same': that of what comes in), `make(env, args..)` the function f(value,
-- txn) -> value | nil, `doc`; `impure`: it is more than a function of its value.
local bit = require('bit')
local ffi = require('ffi')
local native = require('neap.sample_native')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local byte, find, lower, sub = string.byte, string.find, string.lower, string.sub
local floor = math.floor
local pcall, tonumber, tostring, type = pcall, tonumber, tostring, type
local settle, wide, text_of = values.settle, values.wide, values.text_of
local MAX, MIN, EXACT = values.MAX, values.MIN, values.EXACT

local M = {}

local function simple(from, out, f, doc)
    return {
        from = from, out = out, doc = doc,
        make = function()
            return f
        end,
    }
end

-- --- arithmetic, which stops at 64 bits ---

local as_integer = values.cast('any', 'integer')

local function add64(a, b)
    local r = a + b
    if b > 0 and r < a then
        return MAX
    elseif b < 0 and r > a then
        return MIN
    end
    return settle(r)
end

local function fits(r)
    return r < EXACT and r > -EXACT
end

local function add(v, n)
    if type(v) == 'number' and type(n) == 'number' then
        local r = v + n
        if fits(r) then
            return r
        end
    end
    return add64(wide(v), wide(n))
end

local function negative(v)
    if type(v) == 'number' then
        return 0 - v
    end
    return v == MIN and MAX or settle(-v)
end

local function subtract(v, n)
    if type(v) == 'number' and type(n) == 'number' then
        local r = v - n
        if fits(r) then
            return r
        end
    end
    local a, b = wide(v), wide(n)
    if b == MIN then
        return a < 0 and settle(a - b) or MAX
    end
    return add64(a, -b)
end

local function mul(v, n)
    if type(v) == 'number' and type(n) == 'number' then
        local r = v * n
        if fits(r) then
            return r + 0 -- no -0
        end
    end
    local a, b = wide(v), wide(n)
    local estimate = tonumber(a) * tonumber(b)
    if estimate > 9.3e18 then
        return MAX
    elseif estimate < -9.3e18 then
        return MIN
    end
    local r = a * b
    if a ~= 0 and r / a ~= b then
        return estimate > 0 and MAX or MIN
    end
    return settle(r)
end

local function div(v, n)
    if n == 0 then
        return MAX
    elseif type(v) == 'number' and type(n) == 'number' then
        local r = v / n
        return r < 0 and 0 - floor(-r) or floor(r)
    end
    local a, b = wide(v), wide(n)
    if b == -1 then
        return negative(v)
    end
    return settle(a / b)
end

local function mod(v, n)
    if n == 0 then
        return 0
    elseif type(v) == 'number' and type(n) == 'number' and v > -2 ^ 31 and v < 2 ^ 31 then
        if n < 0 then
            n = -n
        end
        return v < 0 and 0 - (-v % n) or v % n
    end
    local a, b = wide(v), wide(n)
    if b == -1 then
        return 0
    end
    return settle(a % b)
end

local function bits(f)
    return function(v, n)
        if type(v) == 'number' and type(n) == 'number' and v >= 0 and v < 2 ^ 31 and
            n >= 0 and n < 2 ^ 31 then
            return f(v, n)
        end
        return settle(f(wide(v), wide(n)))
    end
end

-- f(value, operand); the operand is a number or a variable.
local function operator(f, doc)
    return {
        args = { 'value:operand' }, from = 'integer', out = 'integer', doc = doc,
        make = function(_, n)
            if type(n) ~= 'table' then
                return function(v)
                    return f(v, n)
                end
            end
            local name = n.var
            return function(v, txn)
                local m = txn:get_var(name)
                m = m ~= nil and as_integer(m)
                if not m then
                    return nil
                end
                return f(v, m)
            end
        end,
    }
end

M.add = operator(add, 'The sum.')
M.sub = operator(subtract, 'The difference.')
M.mul = operator(mul, 'The product.')
M.div = operator(div, 'The quotient without its fraction; of 0 the largest integer.')
M.mod = operator(mod, 'The remainder, with the sign of the value; of 0 it is 0.')
M['and'] = operator(bits(bit.band), 'The bits of both.')
M['or'] = operator(bits(bit.bor), 'The bits of either.')
M.xor = operator(bits(bit.bxor), 'The bits of one of them.')

M.neg = simple('integer', 'integer', negative, 'The opposite.')
M.cpl = simple('integer', 'integer', function(v)
    return subtract(-1, v)
end, 'All bits inverted.')

M.odd = simple('integer', 'boolean', function(v)
    return v % 2 ~= 0
end, 'It is odd.')
M.even = simple('integer', 'boolean', function(v)
    return v % 2 == 0
end, 'It is even.')

M.bool = simple('boolean', 'boolean', function(v)
    return v
end, 'It is not 0.')
M['not'] = simple('boolean', 'boolean', function(v)
    return not v
end, 'It is 0.')

M.integer = simple('integer', 'integer', function(v)
    return v
end, 'It as an integer: of a text its first digits. HAProxy has no name for it.')
M.string = simple('string', 'string', function(v)
    return v
end, 'It as a text. HAProxy has no name for it.')

M.iif = {
    args = { 'yes:string?', 'no:string?' }, from = 'boolean', out = 'string',
    doc = 'The one text when it is true, else the other.',
    make = function(_, yes, no)
        yes, no = yes or '', no or ''
        return function(v)
            return v and yes or no
        end
    end,
}

-- --- texts ---

M.lower = simple('string', 'string', lower, 'In small letters.')
M.upper = simple('string', 'string', string.upper, 'In capital letters.')
M.length = simple('string', 'integer', function(v)
    return #v
end, 'How many bytes it has.')

-- get(txn) -> integer | nil, of an operand: a number that is not negative, or a variable.
local function count_of(operand)
    if type(operand) ~= 'table' then
        if operand < 0 then
            parser.fail(nil, 'no negative numbers are expected')
        end
        local n = tonumber(operand)
        return function()
            return n
        end
    end
    return function(txn)
        local n = txn:get_var(operand.var)
        n = n ~= nil and as_integer(n)
        return n and n >= 0 and tonumber(n) or nil
    end
end

M.bytes = {
    args = { 'offset:operand', 'length:operand?' }, from = 'binary', out = 'binary',
    doc = 'The bytes from the offset on, so many at most; both may be variables.',
    make = function(_, offset, length)
        local from, size = count_of(offset), length and count_of(length)
        return function(v, txn)
            local first, n = from(txn), size and size(txn)
            if first and (n or not size) then
                return sub(v, first + 1, n and first + n or -1)
            end
        end
    end,
}

local function set_of(chars)
    local set = {}
    for i = 0, 255 do
        set[i] = false
    end
    for i = 1, #chars do
        set[byte(chars, i)] = true
    end
    return set
end

-- The place of the first character from @at to @last in (or with @inside false, not in)
-- the set, or one behind.
local function seek(v, at, last, set, inside)
    while at <= last and set[byte(v, at)] ~= inside do
        at = at + 1
    end
    return at
end

-- The same from @at down to 1, or 0.
local function seek_back(v, at, set, inside)
    while at >= 1 and set[byte(v, at)] ~= inside do
        at = at - 1
    end
    return at
end

-- Fields are what is between two delimiters, empty or not.

local function fields(v, index, set, count)
    local size, from = #v, 1
    for _ = 2, index do
        local stop = seek(v, from, size, set, true)
        if stop > size then
            return nil
        end
        from = stop + 1
    end
    if count == 0 then
        return sub(v, from)
    end
    local stop = seek(v, from, size, set, true)
    for _ = 2, count do
        if stop > size then
            break
        end
        stop = seek(v, stop + 1, size, set, true)
    end
    return sub(v, from, stop - 1)
end

local function fields_back(v, index, set, count)
    local to = #v
    for _ = 2, index do
        local stop = seek_back(v, to, set, true)
        if stop < 1 then
            return nil
        end
        to = stop - 1
    end
    if count == 0 then
        return sub(v, 1, to)
    end
    local stop = seek_back(v, to, set, true)
    for _ = 2, count do
        if stop < 1 then
            break
        end
        stop = seek_back(v, stop - 1, set, true)
    end
    return sub(v, stop + 1, to)
end

-- Words are what is between delimiters, and not empty.

local function words(v, index, set, count)
    local size = #v
    local from = seek(v, 1, size, set, false)
    for _ = 2, index do
        from = seek(v, seek(v, from, size, set, true), size, set, false)
    end
    if from > size then
        return ''
    elseif count == 0 then
        return sub(v, from)
    end
    local stop = seek(v, from, size, set, true)
    for _ = 2, count do
        local following = seek(v, stop, size, set, false)
        if following > size then
            return sub(v, from)
        end
        stop = seek(v, following, size, set, true)
    end
    return sub(v, from, stop - 1)
end

local function words_back(v, index, set, count)
    local to = seek_back(v, #v, set, false)
    for _ = 2, index do
        to = seek_back(v, seek_back(v, to, set, true), set, false)
    end
    if to < 1 then
        return ''
    elseif count == 0 then
        return sub(v, 1, to)
    end
    local stop = seek_back(v, to, set, true)
    for _ = 2, count do
        local following = seek_back(v, stop, set, false)
        if following < 1 then
            return sub(v, 1, to)
        end
        stop = seek_back(v, following, set, true)
    end
    return sub(v, stop + 1, to)
end

local function splitter(forward, backward, doc)
    return {
        args = { 'index:integer', 'delimiters:string', 'count:0..1000000?' },
        from = 'string', out = 'string', doc = doc,
        make = function(_, index, delimiters, count)
            local set = set_of(delimiters)
            count = count or 1
            if index == 0 then
                parser.fail(nil, 'an index that is not 0 is expected')
            elseif index < 0 then
                index = -index
                return function(v)
                    return backward(v, index, set, count)
                end
            end
            return function(v)
                return forward(v, index, set, count)
            end
        end,
    }
end

M.field = splitter(fields, fields_back, 'Field number index between delimiters (from the '
    .. 'end when it is negative), and so many more (0: all).')
M.word = splitter(words, words_back,
    'The same of words: what is between delimiters and not empty.')

M.ltrim = {
    args = { 'chars:string' }, from = 'string', out = 'string',
    doc = 'Without these characters at its begin.',
    make = function(_, chars)
        local set = set_of(chars)
        return function(v)
            return sub(v, seek(v, 1, #v, set, false))
        end
    end,
}

M.rtrim = {
    args = { 'chars:string' }, from = 'string', out = 'string',
    doc = 'Without these characters at its end.',
    make = function(_, chars)
        local set = set_of(chars)
        return function(v)
            return sub(v, 1, seek_back(v, #v, set, false))
        end
    end,
}

M.cut_crlf = simple('string', 'string', function(v)
    local at = find(v, '[\r\n]')
    return at and sub(v, 1, at - 1) or v
end, 'What is before the first CR or LF.')

-- "host", "host:80", "[::1]:80": where the port's colon is.
local function port_colon(v)
    local bracket = byte(v, 1) == 91 and find(v, ']', 1, true)
    if bracket then
        return byte(v, bracket + 1) == 58 and bracket + 1 or nil
    end
    return find(v, ':', 1, true)
end

M.host_only = simple('string', 'string', function(v)
    local colon = port_colon(v)
    return lower(colon and sub(v, 1, colon - 1) or v)
end, 'Of a Host field the host, in small letters.')

M.port_only = simple('string', 'integer', function(v)
    local colon = port_colon(v)
    return colon and values.integer_of(sub(v, colon + 1)) or 0
end, 'Of a Host field the port, or 0.')

M.regsub = {
    args = { 'regex:string', 'replacement:string', 'flags:string?' },
    from = 'string', out = 'string',
    doc = 'The first match, or with the flag g all, replaced; i: case aside. \\0 to \\9 in '
        .. 'the replacement are what has matched. None when the regex takes too many steps.',
    make = function(_, regex, replacement, flags)
        flags = flags or ''
        local stray = flags:match('[^gi]')
        if stray then
            parser.fail(nil, "of the flags only g and i are expected, not '%s'", stray)
        end
        local re, why = native.regex(regex, find(flags, 'i', 1, true) ~= nil)
        if re == nil then
            parser.fail(nil, '%s', why)
        end
        local all, regsub = find(flags, 'g', 1, true) ~= nil, native.regsub
        return function(v)
            return regsub(re, v, replacement, all)
        end
    end,
}

M.param = {
    args = { 'name:string', 'delimiter:string?' }, from = 'string', out = 'string',
    doc = 'The first parameter of that name in a text as a=1&b=2.',
    make = function(_, name, delimiter)
        local pattern = (delimiter == nil or delimiter == '') and '&'
            or sub(delimiter, 1, 1)
        return function(v)
            local at = 1
            while at <= #v do
                local stop = find(v, pattern, at, true) or #v + 1
                local equals = find(v, '=', at, true)
                if equals and equals < stop then
                    if sub(v, at, equals - 1) == name then
                        return sub(v, equals + 1, stop - 1)
                    end
                elseif sub(v, at, stop - 1) == name then
                    return ''
                end
                at = stop + 1
            end
            return nil
        end
    end,
}

-- --- variables ---

local function var_text(txn, name)
    local v = txn:get_var(name)
    return v ~= nil and text_of(v) or ''
end

local function check_variable(name)
    if not name:find('^%w+%.[%w_.]+$') then
        parser.fail(nil, "a variable is expected, as txn.name, not '%s'", name)
    end
end

M.concat = {
    args = { 'before:string?', 'var:string?', 'behind:string?' }, from = 'string',
    out = 'string', impure = true,
    doc = 'With these behind it: a text, the value of a variable, a text.',
    make = function(_, before, var, behind)
        before, behind = before or '', behind or ''
        if var == nil or var == '' then
            local all = before .. behind
            return function(v)
                return v .. all
            end
        end
        check_variable(var)
        return function(v, txn)
            return v .. before .. var_text(txn, var) .. behind
        end
    end,
}

M.add_item = {
    args = { 'delimiter:string', 'var:string', 'behind:string?' }, from = 'string',
    out = 'string', impure = true,
    doc = 'With the value of a variable and a text behind it, and the delimiter between when '
        .. 'neither side is empty.',
    make = function(_, delimiter, var, behind)
        behind = behind or ''
        if var ~= '' then
            check_variable(var)
        elseif behind == '' then
            parser.fail(nil, 'a variable or a text is expected')
        end
        return function(v, txn)
            local item = (var ~= '' and var_text(txn, var) or '') .. behind
            if v == '' or item == '' then
                return v .. item
            end
            return v .. delimiter .. item
        end
    end,
}

M.strcmp = {
    args = { 'var:variable' }, from = 'string', out = 'integer', impure = true,
    doc = 'Less than 0, 0 or more than 0: compared with the variable, byte by byte.',
    make = function(_, name)
        return function(v, txn)
            local other = txn:get_var(name)
            if other == nil then
                return nil
            end
            other = text_of(other)
            local size = #v < #other and #v or #other
            for i = 1, size do
                local d = byte(v, i) - byte(other, i)
                if d ~= 0 then
                    return d
                end
            end
            return #v - #other
        end
    end,
}

local c_equal = ffi.cast('int (*)(const char *, const char *, size_t)', native.equal)

M.secure_memcmp = {
    args = { 'var:variable' }, from = 'binary', out = 'boolean', impure = true,
    doc = 'It is the same as the variable; the time it takes does not tell where they '
        .. 'differ.',
    make = function(_, name)
        return function(v, txn)
            local other = txn:get_var(name)
            if other == nil then
                return nil
            end
            other = text_of(other)
            return #v == #other and c_equal(v, other, #v) ~= 0
        end
    end,
}

local conditions = {
    ifexists = function(old)
        return old ~= nil
    end,
    ifnotexists = function(old)
        return old == nil
    end,
    ifempty = function(_, v)
        return v == ''
    end,
    ifnotempty = function(_, v)
        return v ~= ''
    end,
    ifgt = function(old, v)
        return type(old) ~= 'number' or type(v) ~= 'number' or old > v
    end,
    iflt = function(old, v)
        return type(old) ~= 'number' or type(v) ~= 'number' or old < v
    end,
}
conditions.ifset, conditions.ifnotset = conditions.ifexists, conditions.ifnotexists

local CONDITION = 'condition:ifexists|ifnotexists|ifempty|ifnotempty|ifset|ifnotset|ifgt|'
    .. 'iflt?'

M['set-var'] = {
    args = { 'var:variable', CONDITION, CONDITION, CONDITION, CONDITION }, from = 'any',
    out = 'same', impure = true,
    doc = 'It itself, and the variable is set to it, when all conditions are true; else '
        .. 'nothing.',
    make = function(_, name, ...)
        local tests = {}
        for i = 1, select('#', ...) do
            local condition = select(i, ...)
            if condition ~= 'ifexists' or not find(name, '^proc%.') then -- which is named here
                tests[#tests + 1] = conditions[condition]
            end
        end
        return function(v, txn)
            for i = 1, #tests do
                if not tests[i](txn:get_var(name), v) then
                    return nil
                end
            end
            txn:set_var(name, values.given(v))
            return v
        end
    end,
}

M['unset-var'] = {
    args = { 'var:variable' }, from = 'any', out = 'same', impure = true,
    doc = 'It itself; the variable is unset.',
    make = function(_, name)
        return function(v, txn)
            txn:unset_var(name)
            return v
        end
    end,
}

-- --- addresses ---

local function masked(bytes, mask)
    local out = values.room(16)
    for i = 1, #bytes do
        out[i - 1] = bit.band(byte(bytes, i), byte(mask, i))
    end
    return values.address_of_bytes(ffi.string(out, #bytes))
end

local MAPPED = ('\0'):rep(10) .. '\255\255'

M.ipmask = {
    args = { 'mask4:mask4', 'mask6:mask6?' }, from = 'ip', out = 'ip',
    doc = 'The network of the address, by a mask of IPv4 and one of IPv6; none of IPv6 '
        .. 'without one. An address as ::ffff:192.0.2.1 is one of IPv4.',
    make = function(_, mask4, mask6)
        return function(v)
            local bytes = values.address_bytes(v)
            if bytes == nil then
                return nil
            elseif #bytes == 4 then
                return masked(bytes, mask4)
            elseif sub(bytes, 1, 12) == MAPPED then
                return masked(sub(bytes, 13), mask4)
            end
            return mask6 and masked(bytes, mask6)
        end
    end,
}

-- --- maps ---

-- map_<match>_<type>; @name is what neap.map has for it.
local function map_converter(name, match, out)
    return {
        args = { 'file:string', 'default:string?' },
        from = match == 'ip' and 'ip' or match == 'int' and 'integer' or 'string',
        out = out, impure = true,
        doc = ('The %s that a map file has for it (match: %s), or the default.'):format(
            out == 'string' and 'text' or out == 'ip' and 'address' or out, match),
        make = function(_, file, default)
            local ok, f = pcall(require('neap.map').converter, name, file, default)
            if not ok then
                parser.fail(nil, '%s', tostring(f))
            end
            return f
        end,
    }
end

for _, match in ipairs({ 'str', 'beg', 'sub', 'dir', 'dom', 'end', 'reg', 'int', 'ip' }) do
    M['map_' .. match] = map_converter(match, match, 'string')
    M['map_' .. match .. '_str'] = M['map_' .. match]
    M['map_' .. match .. '_int'] = map_converter(match .. '_int', match, 'integer')
    M['map_' .. match .. '_ip'] = map_converter(match .. '_ip', match, 'ip')
    M['map_' .. match .. '_key'] = map_converter(match .. '_key', match, 'string')
    M['map_' .. match .. '_key'].doc = ('The key in a map file that it matches (match: %s), or '
        .. 'the default.'):format(match)
end
M.map = M.map_str
M.map_regm = map_converter('regm', 'reg', 'string')
M.map_regm.doc = 'The value of the first regular expression of a map file that matches, \\1 in '
    .. 'it being what its groups are; or the default.'

return M
