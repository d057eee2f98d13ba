-- The module `utf8`: texts by their characters.
--
-- Names, arguments and return values are those of Tarantool's public documentation; it
-- is also the global variable `utf8`. Positions in a text are those of its bytes but
-- for `utf8.sub()`; negative ones count from the end. What is no UTF-8 stays as it is,
-- a byte (or what there is of a character) counts as one then.
--
-- `utf8.cmp()` and `utf8.casecmp()` are not there: they compare by the rules of
-- languages.
--
-- A file of this name that `require()` finds goes before the module.
local c = ...

local byte, concat, sub = string.byte, table.concat, string.sub

local PIECE = 16 * 1024 -- bytes that are converted in one go
local LOOK_BACK = 256 -- bytes, for a place between words

-- The last byte of the piece of @text that begins at @from.
local function piece_end(text, from)
    local last = from + PIECE - 1
    if last >= #text then
        return #text
    end
    for at = last, last - LOOK_BACK, -1 do
        if byte(text, at) <= 0x20 then
            return at
        end
    end
    -- Not inside a character.
    for at = last, last - 3, -1 do
        local next_byte = byte(text, at + 1)
        if next_byte < 0x80 or next_byte >= 0xc0 then
            return at
        end
    end
    return last
end

local function convert(text, to_upper)
    local out, from = {}, 1
    while from <= #text do
        local to = piece_end(text, from)
        out[#out + 1] = c.convert(sub(text, from, to), to_upper)
        from = to + 1
    end
    return concat(out)
end

local M = {
    char = c.char,
    len = c.len,
    next = c.next,
    sub = c.sub,
    isalpha = c.isalpha,
    isdigit = c.isdigit,
    islower = c.islower,
    isupper = c.isupper,
}

-- A text, or a number as one.
local function check(text, name, count)
    local kind = type(text)
    if count ~= 1 or kind ~= 'string' and kind ~= 'number' then
        error('Usage: utf8.' .. name .. '(<string>)', 3)
    end
    return tostring(text)
end

--- utf8.upper(text) -> string
-- @text with its letters in upper case, whatever the language: `ß` becomes `SS`.
-- Yields: no.
function M.upper(...)
    return convert(check((...), 'upper', select('#', ...)), true)
end

--- utf8.lower(text) -> string
-- @text with its letters in lower case. Yields: no.
function M.lower(...)
    return convert(check((...), 'lower', select('#', ...)), false)
end

return M
