-- A part of the module `core`: dates, addresses, words, and text that is put
-- together in pieces.
local c = ...

local args = require('neap.args')
local new_buffer = require('string.buffer').new

local floor, tonumber, type = math.floor, tonumber, type

local M = {}

-- --- dates ---

local months = {
    Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8,
    Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}
local month_days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local days = {
    Mon = true, Tue = true, Wed = true, Thu = true, Fri = true, Sat = true,
    Sun = true,
}
local long_days = {
    Monday = true, Tuesday = true, Wednesday = true, Thursday = true,
    Friday = true, Saturday = true, Sunday = true,
}

local function is_leap(year)
    return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

-- Days from 1970 to the first of March of that year are counted, so that the day
-- that comes and goes is the last one.
local function days_to(year, month, day)
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    return 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400)
        + floor((153 * (month - 3) + 2) / 5) + day - 1 - 719468
end

-- Seconds since 1970; nil: there is no such moment.
local function epoch(year, month, day, hour, minute, second)
    month, day = months[month], tonumber(day)
    year, hour, minute, second = tonumber(year), tonumber(hour), tonumber(minute),
        tonumber(second)
    if month == nil or hour > 23 or minute > 59 or second > 60 then
        return nil
    end
    local last = month == 2 and is_leap(year) and 29 or month_days[month]
    if day < 1 or day > last then
        return nil
    end
    return days_to(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end

local function imf(text)
    local name, day, month, year, h, m, s = text:match(
        '^(%a%a%a), (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$')
    return days[name] and epoch(year, month, day, h, m, s) or nil
end

-- A year of two digits is at most 50 years ahead.
local function rfc850(text)
    local name, day, month, year, h, m, s = text:match(
        '^(%a+), (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$')
    if not long_days[name] then
        return nil
    end
    local now = tonumber(os.date('!%Y'))
    year = now - now % 100 + tonumber(year)
    if year > now + 50 then
        year = year - 100
    end
    return epoch(year, month, day, h, m, s)
end

local function asctime(text)
    local name, month, day, h, m, s, year = text:match(
        '^(%a%a%a) (%a%a%a) ([ %d]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$')
    return days[name] and epoch(year, month, day, h, m, s) or nil
end

--- core.now() -> table
-- The system's clock: `sec`, seconds since 1970, and `usec`, microseconds beyond.
-- Yields: no.
function M.now()
    local sec, usec = c.now()
    return { sec = sec, usec = usec }
end

--- core.imf_date(text) -> number | nil
-- Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`; nil: @text is
-- nothing of that form, or no day there ever is. Yields: no.
function M.imf_date(text)
    return imf(args.text(text, 1, 'imf_date'))
end

--- core.rfc850_date(text) -> number | nil
-- The same for a @text such as `Sunday, 06-Nov-94 08:49:37 GMT`. Yields: no.
function M.rfc850_date(text)
    return rfc850(args.text(text, 1, 'rfc850_date'))
end

--- core.asctime_date(text) -> number | nil
-- The same for a @text such as `Sun Nov  6 08:49:37 1994`. Yields: no.
function M.asctime_date(text)
    return asctime(args.text(text, 1, 'asctime_date'))
end

--- core.http_date(text) -> number | nil
-- The same for a @text of any of the three forms, as HTTP wants it. Yields: no.
function M.http_date(text)
    text = args.text(text, 1, 'http_date')
    return imf(text) or rfc850(text) or asctime(text)
end

-- --- words ---

--- core.tokenize(text, separators, [skip_blank]) -> table
-- The parts of @text between any of the characters in @separators, as an array; with
-- true for @skip_blank without those that are empty. Yields: no.
function M.tokenize(text, separators, skip_blank)
    text = args.text(text, 1, 'tokenize')
    separators = args.text(separators, 2, 'tokenize')
    local is_end, words, from = {}, {}, 1
    for i = 1, #separators do
        is_end[separators:byte(i)] = true
    end
    for at = 1, #text + 1 do
        if at > #text or is_end[text:byte(at)] then
            if at > from or not skip_blank then
                words[#words + 1] = text:sub(from, at - 1)
            end
            from = at + 1
        end
    end
    return words
end

-- --- addresses ---

--- core.parse_addr(text) -> address | nil
-- A network: @text is an IPv4 or IPv6 address, and maybe `/` with how many bits of it
-- count, or with a mask such as `255.255.0.0`. What comes back is for `match_addr()`;
-- nil: @text is no such thing. Yields: no.
function M.parse_addr(text)
    return c.parse_addr(args.text(text, 1, 'parse_addr'))
end

--- core.match_addr(one, other) -> boolean
-- Whether the networks @one and @other, of `parse_addr()`, have an address in common; a nil
-- matches nothing, nor do IPv4 and IPv6 match each other. Yields: no.
function M.match_addr(one, other)
    if one == nil or other == nil then
        return false
    end
    return c.match_addr(one, other)
end

-- --- pieces ---

local Concat = {}
local concat_mt = args.class('Concat', Concat)

--- core.concat() -> concat
-- An empty text, to which pieces are added. Yields: no.
function M.concat()
    return setmetatable({ buffer = new_buffer() }, concat_mt)
end

--- concat:add(text)
-- Add @text at its end. Yields: no.
function Concat:add(text)
    args.object(self, concat_mt, 'add')
    self.buffer:put(args.text(text, 1, 'add'))
end

--- concat:dump() -> string
-- The whole text. More can be added to it afterwards. Yields: no.
function Concat:dump()
    args.object(self, concat_mt, 'dump')
    return self.buffer:tostring()
end

return M
