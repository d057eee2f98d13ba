-- The types of expressions and the ways between them (require 'neap.sample_values',
-- which is no public module).
--
-- Values are strings, numbers and booleans. Integers have 64 bits, as HAProxy's: up to
-- 2^53 either way they are numbers, beyond that an int64_t inside of an expression, and
-- its decimal digits for who gets it. Addresses are strings that the compiler knows to
-- be addresses, bytes are strings.
local ffi = require('ffi')
local native = require('neap.sample_native')

local type, tonumber, tostring = type, tonumber, tostring
local floor = math.floor
local byte, char, format, sub = string.byte, string.char, string.format, string.sub
local cast, fill = ffi.cast, ffi.string

local M = {}

local EXACT = 2 ^ 53
local MAX = 0x7fffffffffffffffLL
local MIN = -MAX - 1
M.MAX, M.MIN, M.EXACT = MAX, MIN, EXACT

local SCRATCH, INPUT_MAX = 65536, 16777216
local scratch = ffi.new('char[?]', SCRATCH)

-- Memory for @size bytes, which nobody else uses before it is read: no fiber is put
-- aside inside of our Lua halves.
local function room(size)
    return size <= SCRATCH and scratch or ffi.new('char[?]', size)
end
M.room = room

-- Types of C functions, by their last argument: LuaJIT forgets none, and has 65,536.
local function encoder_type(kind)
    return ffi.typeof('intptr_t (*)(const char *, size_t, char *' .. kind .. ')')
end
local encoder_types = {
    [false] = encoder_type(''), int = encoder_type(', int'),
    bool = encoder_type(', bool'),
}

-- encoder(name, factor, add, ...) -> f(text) -> text | nil
-- Of a C function (text, size, out) -> size; it needs room for @factor bytes each, and
-- @add.
function M.encoder(name, factor, add, kind, flag)
    local f = cast(encoder_types[kind or false], native[name])
    local function result(out, size)
        if size < 0 then
            return nil
        end
        return fill(out, size)
    end
    if kind then
        return function(text)
            local size = #text
            if size > INPUT_MAX then
                return nil
            end
            local out = room(size * factor + add)
            return result(out, tonumber(f(text, size, out, flag)))
        end
    end
    return function(text)
        local size = #text
        if size > INPUT_MAX then
            return nil
        end
        local out = room(size * factor + add)
        return result(out, tonumber(f(text, size, out)))
    end
end

-- --- integers ---

-- An int64_t as a number, when that is exact.
local function settle(x)
    if x >= -0x20000000000000LL and x <= 0x20000000000000LL then
        return tonumber(x)
    end
    return x
end
M.settle = settle

-- wide(n) -> int64_t
local function wide(n)
    if type(n) == 'number' then
        if n >= 2 ^ 63 then
            return MAX
        elseif n <= -2 ^ 63 then
            return MIN
        end
    end
    return cast('int64_t', n)
end
M.wide = wide

-- The digits from @at on, behind the value @v.
local function parse_wide(text, at, v, negative)
    local x = cast('int64_t', v)
    for i = at, #text do
        local digit = byte(text, i) - 48
        if digit < 0 or digit > 9 then
            break
        elseif x > (MAX - digit) / 10 then
            return negative and MIN or MAX
        end
        x = x * 10 + digit
    end
    return settle(negative and -x or x)
end

-- integer_of(text) -> integer | nil: what its first digits say; nil of an empty text.
local function integer_of(text)
    local size = #text
    if size == 0 then
        return nil
    end
    local first, i, v = byte(text, 1), 1, 0
    local negative = first == 45
    if negative or first == 43 then
        i = 2
    end
    local last = i + 14 -- so many digits are exact
    while i <= size do
        if i > last then
            return parse_wide(text, i, v, negative)
        end
        local digit = byte(text, i) - 48
        if digit < 0 or digit > 9 then
            break
        end
        v = v * 10 + digit
        i = i + 1
    end
    return negative and 0 - v or v
end
M.integer_of = integer_of

-- exact_integer(text) -> integer | nil: of a text that is nothing else.
function M.exact_integer(text)
    if not text:find('^[+-]?%d+$') then
        return nil
    end
    return integer_of(text)
end

-- integer_text(n) -> text
local function integer_text(n)
    if type(n) ~= 'number' then
        return sub(tostring(n), 1, -3) -- without its LL
    elseif n > -1e14 and n < 1e14 then
        return tostring(n)
    elseif n == floor(n) then
        return format('%.0f', n)
    end
    return tostring(n)
end
M.integer_text = integer_text

-- Eight bytes, the highest first.
local function integer_bytes(n)
    local x = cast('uint64_t', wide(n))
    local out = room(8)
    for i = 7, 0, -1 do
        out[i] = tonumber(x % 256)
        x = x / 256
    end
    return fill(out, 8)
end

local function boolean_text(v)
    return v and '1' or '0'
end

local function boolean_integer(v)
    return v and 1 or 0
end

local function integer_boolean(n)
    return n ~= 0
end

local function text_boolean(text)
    local n = integer_of(text)
    if n == nil then
        return nil
    end
    return n ~= 0
end

local function whole(n)
    if type(n) == 'number' and n ~= floor(n) then
        if n ~= n then
            return nil
        end
        return n < 0 and -floor(-n) or floor(n)
    end
    return n
end

-- --- addresses ---

local c_address = cast('intptr_t (*)(const char *, size_t, unsigned char *)',
    native.address)
local c_address_text = cast('intptr_t (*)(const unsigned char *, size_t, char *)',
    native.address_text)
local address = ffi.new('unsigned char[16]')

-- address_bytes(text) -> bytes | nil: 4 or 16.
local function address_bytes(text)
    local size = tonumber(c_address(text, #text, address))
    if size < 0 then
        return nil
    end
    return fill(address, size)
end
M.address_bytes = address_bytes

-- address_of_bytes(bytes) -> text
local function address_of_bytes(bytes)
    local out = room(46)
    return fill(out, tonumber(c_address_text(bytes, #bytes, out)))
end
M.address_of_bytes = address_of_bytes

-- address_of(text) -> address | nil: as addresses are written.
local function address_of(text)
    local bytes = address_bytes(text)
    if bytes == nil then
        return nil
    end
    return address_of_bytes(bytes)
end
M.address_of = address_of

local function address_integer(text)
    local bytes = address_bytes(text)
    if bytes == nil or #bytes ~= 4 then
        return nil
    end
    local a, b, c, d = byte(bytes, 1, 4)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local function integer_address(n)
    local x = tonumber(wide(n) % 0x100000000LL)
    if x < 0 then
        x = x + 0x100000000
    end
    return address_of_bytes(char(floor(x / 16777216), floor(x / 65536) % 256,
        floor(x / 256) % 256, x % 256))
end

-- --- casts ---

-- by the type a value has when it runs, where the compiler does not know it
local function dynamic(by_string, by_number, by_boolean)
    return function(v)
        local kind = type(v)
        if kind == 'string' then
            return by_string == nil and v or by_string(v)
        elseif kind == 'boolean' then
            return by_boolean(v)
        elseif kind == 'number' or kind == 'cdata' then
            return by_number(v)
        end
        return nil
    end
end

local function same(v)
    return v
end

local function boolean_bytes(v)
    return integer_bytes(v and 1 or 0)
end

local casts = {
    string = {
        integer = integer_text, boolean = boolean_text, binary = same, ip = same,
        any = dynamic(nil, integer_text, boolean_text),
    },
    binary = {
        integer = integer_bytes, boolean = boolean_bytes, string = same,
        ip = address_bytes, any = dynamic(nil, integer_bytes, boolean_bytes),
    },
    integer = {
        boolean = boolean_integer, string = integer_of, binary = integer_of,
        ip = address_integer, any = dynamic(integer_of, whole, boolean_integer),
    },
    boolean = {
        integer = integer_boolean, string = text_boolean, binary = text_boolean,
        any = dynamic(text_boolean, integer_boolean, same),
    },
    ip = {
        integer = integer_address, string = address_of, binary = address_of,
        any = dynamic(address_of, integer_address, function() end),
    },
    any = {},
}

-- cast(from, to) -> f | nil | false
-- f(value) -> value | nil. Nil: it is that already; false: there is no way.
function M.cast(from, to)
    if from == to or to == 'any' then
        return nil
    end
    local f = casts[to][from]
    if f == same then
        return nil
    end
    return f or false
end

-- text_of(value) -> text: of any value.
M.text_of = casts.string.any

-- given(value) -> value: as who is outside of expressions gets it.
function M.given(v)
    if type(v) == 'cdata' then
        return integer_text(v)
    end
    return v
end

return M
