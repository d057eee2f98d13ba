-- How values are matched against patterns (require 'neap.sample_match', which is no
-- public module): one function f(value) -> boolean for a list of patterns.
local ffi = require('ffi')
local native = require('neap.sample_native')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local byte, find, lower, sub = string.byte, string.find, string.lower, string.sub
local fail = parser.fail
local tonumber, type = tonumber, type

local M = {}

-- f(value) over f1, f2, ..: any of them.
local function any(list)
    local n = #list
    if n == 1 then
        return list[1]
    elseif n == 2 then
        local a, b = list[1], list[2]
        return function(v)
            return a(v) or b(v)
        end
    end
    return function(v)
        for i = 1, n do
            if list[i](v) then
                return true
            end
        end
        return false
    end
end

M.any = any

-- With @one(pattern) -> f(value), for texts; @ignore_case lowers both.
local function of_texts(one)
    return function(patterns, ignore_case)
        local list = {}
        for i, pattern in ipairs(patterns) do
            local text = ignore_case and lower(pattern.text) or pattern.text
            list[i] = one(text, pattern)
        end
        local f = any(list)
        if not ignore_case then
            return f
        end
        return function(v)
            return f(lower(v))
        end
    end
end

-- --- texts ---

local function str(patterns, ignore_case)
    local set, n, last = {}, 0, nil
    for _, pattern in ipairs(patterns) do
        last = ignore_case and lower(pattern.text) or pattern.text
        n = n + (set[last] and 0 or 1)
        set[last] = true
    end
    if ignore_case then
        return function(v)
            return set[lower(v)] == true
        end
    elseif n == 1 then
        return function(v)
            return v == last
        end
    end
    return function(v)
        return set[v] == true
    end
end

local function beg(pattern)
    local size = #pattern
    return function(v)
        return sub(v, 1, size) == pattern
    end
end

local function ends(pattern)
    local size = #pattern
    if size == 0 then
        return function()
            return true
        end
    end
    return function(v)
        return #v >= size and sub(v, -size) == pattern
    end
end

local function contains(pattern)
    return function(v)
        return find(v, pattern, 1, true) ~= nil
    end
end

-- A piece between delimiters, those of the pattern's ends aside.
local function piece(delimiters)
    local is = {}
    for i = 1, #delimiters do
        is[byte(delimiters, i)] = true
    end
    return function(pattern)
        local from, to = 1, #pattern
        while from <= to and is[byte(pattern, from)] do
            from = from + 1
        end
        while to >= from and is[byte(pattern, to)] do
            to = to - 1
        end
        pattern = sub(pattern, from, to)
        if pattern == '' then
            return function()
                return false
            end
        end
        return function(v)
            local at, stop = find(v, pattern, 1, true)
            while at do
                if (at == 1 or is[byte(v, at - 1)]) and
                    (stop == #v or is[byte(v, stop + 1)]) then
                    return true
                end
                at, stop = find(v, pattern, at + 1, true)
            end
            return false
        end
    end
end

local c_test = ffi.cast('int (*)(void *, const char *, size_t)', native.regex_test)

local function reg(patterns, ignore_case)
    local list = {}
    for i, pattern in ipairs(patterns) do
        local re, address = native.regex(pattern.text, ignore_case)
        if re == nil then
            fail(pattern.column, '%s', address)
        end
        local p = ffi.cast('void *', address)
        list[i] = function(v)
            return re ~= nil and c_test(p, v, #v) > 0
        end
    end
    return any(list)
end

local hex_decode = values.encoder('hex_decode', 1, 1)

local function bin(patterns)
    local decoded = {}
    for i, pattern in ipairs(patterns) do
        local bytes = hex_decode(pattern.text)
        if bytes == nil then
            fail(pattern.column, "an even number of hexadecimal digits is expected, not "
                .. "'%s'", pattern.text)
        end
        decoded[i] = { text = bytes }
    end
    return str(decoded)
end

-- --- numbers ---

local exact_integer = values.exact_integer

local operators = {
    eq = function(n)
        return n, n
    end,
    ge = function(n)
        return n, nil
    end,
    gt = function(n)
        return n + 1, nil
    end,
    le = function(n)
        return nil, n
    end,
    lt = function(n)
        return nil, n - 1
    end,
}

-- "5", "1:3", "4:", ":4", "1-3" -> least, greatest
local function range_of(pattern)
    local text = pattern.text
    local from, to = text:match('^(-?%d*):(-?%d*)$')
    if from == nil then
        from, to = text:match('^(-?%d+)%-(%d+)$')
    end
    if from and text ~= ':' then
        local least, greatest = exact_integer(from), exact_integer(to)
        if (least or from == '') and (greatest or to == '') then
            return least, greatest
        end
    end
    local n = exact_integer(text)
    if n == nil then
        fail(pattern.column, "an integer or a range as 1:5 is expected, not '%s'", text)
    end
    return n, n
end

local function between(least, greatest)
    if least == greatest and least ~= nil then
        return function(v)
            return v == least
        end
    elseif least and greatest then
        return function(v)
            return v >= least and v <= greatest
        end
    elseif least then
        return function(v)
            return v >= least
        end
    end
    return function(v)
        return v <= greatest
    end
end

local function int(patterns)
    local list = {}
    for i, pattern in ipairs(patterns) do
        local least, greatest = range_of(pattern)
        if pattern.operator then
            if least ~= greatest or least == nil then
                fail(pattern.column, "behind '%s' an integer is expected, not '%s'",
                    pattern.operator, pattern.text)
            end
            least, greatest = operators[pattern.operator](least)
        end
        list[i] = between(least, greatest)
    end
    return any(list)
end

local function len(patterns)
    local test = int(patterns)
    return function(v)
        return test(#v)
    end
end

-- --- addresses ---

local c_address = ffi.cast('intptr_t (*)(const char *, size_t, unsigned char *)',
    native.address)
local c_in = ffi.cast('bool (*)(const unsigned char *, const unsigned char *, unsigned)',
    native.address_in)
local address = ffi.new('unsigned char[16]')

-- What HAProxy takes a short address for: "10.12" is 10.0.0.12 to it, and 10.12/16 what
-- nobody expects. Nil: it is none.
local function unabridged(text)
    local parts = {}
    for part in text:gmatch('%d+') do
        parts[#parts + 1] = part
    end
    if not text:find('^%d+[%d.]*$') or #parts > 3 then
        return nil
    end
    local last = table.remove(parts)
    while #parts < 3 do
        parts[#parts + 1] = '0'
    end
    return table.concat(parts, '.') .. '.' .. last
end

local function mask_bits(text, size)
    local bits = text:find('^%d+$') and tonumber(text)
    if bits and bits <= size * 8 then
        return bits
    end
    local bytes = size == 4 and values.address_bytes(text)
    if not bytes or #bytes ~= 4 then
        return nil
    end
    local digits = bytes:gsub('.', function(c)
        local n, out = byte(c), ''
        for i = 7, 0, -1 do
            out = out .. (math.floor(n / 2 ^ i) % 2)
        end
        return out
    end)
    return digits:find('^1*0*$') and #digits:match('^1*') or nil
end

local MAPPED = ('\0'):rep(10) .. '\255\255'
local COMPATIBLE = ('\0'):rep(12)
local SIXTOFOUR = '\32\2'

-- {bytes, bits}
local function network_of(pattern)
    local host, mask = pattern.text:match('^([^/]+)/(.+)$')
    local bytes = values.address_bytes(host or pattern.text)
    local whole = not bytes and unabridged(host or pattern.text)
    if whole and values.address_bytes(whole) then
        fail(pattern.column, "an address is to be written in full: HAProxy takes '%s' for %s",
            pattern.text, whole .. (mask and '/' .. mask or ''))
    end
    local bits = bytes and (mask and mask_bits(mask, #bytes) or not mask and #bytes * 8)
    if not bits then
        fail(pattern.column, "an address or a network as 10.0.0.0/8 is expected, not '%s'",
            pattern.text)
    end
    return bytes, bits
end

-- f(size of the address in @address) -> boolean
local function in_network(pattern)
    local bytes, bits = network_of(pattern)
    if #bytes == 16 then
        local inside = bits >= 96 and sub(bytes, 1, 12) == MAPPED
        local four = sub(bytes, 13)
        return function(size)
            if size == 16 then
                return c_in(address, bytes, bits)
            end
            return inside and c_in(address, four, bits - 96)
        end
    end
    local mapped, compatible = MAPPED .. bytes, COMPATIBLE .. bytes
    local sixtofour = SIXTOFOUR .. bytes
    return function(size)
        if size == 4 then
            return c_in(address, bytes, bits)
        end
        return c_in(address, mapped, 96 + bits) or c_in(address, compatible, 96 + bits) or
            c_in(address, sixtofour, 16 + bits)
    end
end

local function ip(patterns)
    local list = {}
    for i, pattern in ipairs(patterns) do
        list[i] = in_network(pattern)
    end
    local test = any(list)
    return function(v)
        local size = tonumber(c_address(v, #v, address))
        return size > 0 and test(size)
    end
end

-- --- all of them ---

local function found()
    return function()
        return true
    end
end

local function bool()
    return function(v)
        return v
    end
end

-- What a value must be, and how many patterns are wanted.
local methods = {
    str = { from = 'string', make = str }, beg = { from = 'string', make = of_texts(beg) },
    ['end'] = { from = 'string', make = of_texts(ends) },
    sub = { from = 'string', make = of_texts(contains) },
    dir = { from = 'string', make = of_texts(piece('/?')) },
    dom = { from = 'string', make = of_texts(piece('/?.:')) },
    reg = { from = 'string', make = reg }, len = { from = 'string', make = len },
    bin = { from = 'binary', make = bin }, int = { from = 'integer', make = int },
    ip = { from = 'ip', make = ip }, found = { from = 'any', make = found, none = true },
    bool = { from = 'boolean', make = bool, none = true },
}
M.methods = methods

-- known(name) -> boolean
function M.known(name)
    return methods[name] ~= nil
end

-- make(name, patterns, ignore_case) -> f(value) -> boolean, type
-- @patterns: {{text=, column=, operator=}..}; the values must be of that type.
function M.make(name, patterns, ignore_case)
    local method = methods[name]
    return method.make(patterns, ignore_case), method.from
end

-- is_operator(name): of numbers, as HAProxy has them.
function M.is_operator(name)
    return operators[name] ~= nil
end

-- truth(kind) -> f(value) -> boolean: of a value that stands alone.
function M.truth(kind)
    if kind == 'boolean' then
        return bool()
    elseif kind == 'integer' then
        return function(v)
            return v ~= 0
        end
    end
    return function(v)
        local is = type(v)
        if is == 'string' then
            return v ~= ''
        elseif is == 'boolean' then
            return v
        end
        return v ~= 0
    end
end

return M
