-- The module `uuid`: universally unique identifiers.
--
-- Names, arguments and return values are those of Tarantool's public documentation.
-- An identifier is an object of 16 bytes. `tostring()` gives its text, and so do json
-- and yaml; msgpack has the bytes as its extension 2, and gives the object back.
-- Identifiers of the same bytes are equal, `<` and `<=` go by their text. @byte_order
-- is that of the first three numbers in 16 bytes: `'l'`, `'h'` and `'host'` are this
-- machine's, which is the default, `'b'`, `'n'` and `'network'` are that of the text.
--
-- A file of this name that `require()` finds goes before the module.
local ffi = require('ffi')

-- The type itself is declared in lua_value.c.
ffi.cdef([[
long neap_uuid_random(void *to, size_t size, unsigned flags) __asm__("getrandom");
]])

local C, cast, copy, istype, to_string = ffi.C, ffi.cast, ffi.copy, ffi.istype, ffi.string
local bor, band, bswap, rshift = bit.bor, bit.band, bit.bswap, bit.rshift
local error, format, match, tonumber, type = error, string.format, string.match, tonumber,
    type
local uuid_t = ffi.typeof('struct tt_uuid')

local SIZE = ffi.sizeof(uuid_t)
local TEXT = '^(%x%x%x%x%x%x%x%x)%-(%x%x%x%x)%-(%x%x%x%x)%-(%x%x)(%x%x)%-'
    .. ('(%x%x)'):rep(6) .. '$'

local swaps = {
    l = false, h = false, host = false, b = true, n = true, network = true,
}

local function to_network(byte_order)
    if byte_order == nil then
        return false
    end
    local swap = swaps[byte_order]
    if swap == nil then
        error("uuid: the order of bytes is 'l', 'h', 'host', 'b', 'n' or 'network'", 3)
    end
    return swap
end

local function swapped(id)
    local other = uuid_t(id)
    other.time_low = bswap(id.time_low)
    other.time_mid = rshift(bswap(id.time_mid), 16)
    other.time_hi_and_version = rshift(bswap(id.time_hi_and_version), 16)
    return other
end

local methods = {}

--- uuid_object:bin([byte_order]) -> string
-- Its 16 bytes, in the order @byte_order. Yields: no. Throws: no such order.
function methods.bin(id, byte_order)
    if not istype(uuid_t, id) then
        error('Usage: uuid:bin([byteorder])', 2)
    end
    if to_network(byte_order) then
        id = swapped(id)
    end
    return to_string(cast('const char *', id), SIZE)
end

--- uuid_object:str() -> string
-- Its text, 36 characters. Yields: no.
function methods.str(id)
    if not istype(uuid_t, id) then
        error('Usage: uuid:str()', 2)
    end
    local node = id.node
    return format('%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x',
        tonumber(id.time_low), id.time_mid, id.time_hi_and_version,
        id.clock_seq_hi_and_reserved, id.clock_seq_low,
        node[0], node[1], node[2], node[3], node[4], node[5])
end

--- uuid_object:isnil() -> boolean
-- Are all its bytes zero? Yields: no.
function methods.isnil(id)
    if not istype(uuid_t, id) then
        error('Usage: uuid:isnil()', 2)
    end
    local words = cast('const uint64_t *', id)
    return words[0] == 0 and words[1] == 0
end

-- What compares, for both sides.
local function text_of(id)
    if not istype(uuid_t, id) then
        error('attempt to compare a uuid with a ' .. type(id), 3)
    end
    return methods.str(id)
end

ffi.metatype(uuid_t, {
    __index = methods,
    __tostring = methods.str,
    __eq = function(a, b)
        if not istype(uuid_t, a) or not istype(uuid_t, b) then
            return false
        end
        local x, y = cast('const uint64_t *', a), cast('const uint64_t *', b)
        return x[0] == y[0] and x[1] == y[1]
    end,
    __lt = function(a, b)
        return text_of(a) < text_of(b)
    end,
    __le = function(a, b)
        return text_of(a) <= text_of(b)
    end,
})

--- uuid.NULL -> uuid_object
-- The identifier whose bytes are all zero.
local M = {NULL = uuid_t()}

--- uuid.new() -> uuid_object
-- A new identifier, of random bytes of the system (version 4); `uuid()` is the same.
-- Yields: no.
function M.new()
    local id = uuid_t()
    if C.neap_uuid_random(id, SIZE, 0) ~= SIZE then
        error('uuid: the system gives no random bytes', 2)
    end
    id.time_hi_and_version = bor(band(id.time_hi_and_version, 0x0fff), 0x4000)
    id.clock_seq_hi_and_reserved = bor(band(id.clock_seq_hi_and_reserved, 0x3f), 0x80)
    return id
end

--- uuid.bin([byte_order]) -> string
-- The 16 bytes of a new one, in the order @byte_order. Yields: no. Throws: no such
-- order.
function M.bin(byte_order)
    return to_network(byte_order) and methods.bin(M.new(), 'n') or methods.bin(M.new())
end

--- uuid.str() -> string
-- The text of a new one. Yields: no.
function M.str()
    return methods.str(M.new())
end

--- uuid.fromstr(text) -> uuid_object | nil
-- The identifier that @text stands for, in lower or upper case; nil: it is none.
-- Yields: no. Throws: not a string.
function M.fromstr(text)
    if type(text) ~= 'string' then
        error('Usage: uuid.fromstr(str)', 2)
    end
    local low, mid, high, reserved, sequence, a, b, c, d, e, f = match(text, TEXT)
    if low == nil then
        return nil
    end
    local function number(digits)
        return tonumber(digits, 16)
    end
    return uuid_t(number(low), number(mid), number(high), number(reserved),
        number(sequence), {number(a), number(b), number(c), number(d), number(e),
            number(f)})
end

--- uuid.frombin(bytes, [byte_order]) -> uuid_object
-- The identifier of the 16 bytes @bytes in the order @byte_order. Yields: no. Throws:
-- they are not 16; no such order.
function M.frombin(bytes, byte_order)
    if type(bytes) ~= 'string' or #bytes ~= SIZE then
        error('Usage: uuid.frombin(bin[, byteorder])', 2)
    end
    local swap = to_network(byte_order)
    local id = uuid_t()
    copy(id, bytes, SIZE)
    return swap and swapped(id) or id
end

--- uuid.is_uuid(value) -> boolean
-- Is @value an identifier? Yields: no.
function M.is_uuid(value)
    return istype(uuid_t, value)
end

return setmetatable(M, {
    __call = M.new,
})
