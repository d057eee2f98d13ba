-- table.sort, string.gsub and load, whose callbacks may wait.
--
-- The page `lua`: a wait has to leave every function between the fiber and the
-- one that waits, and Lua's own versions are in C, which cannot be left. Where
-- they serve (no callback, nothing to be put aside) they are called in our place,
-- so that all they say about their arguments is said by them.
--
-- Unlike the other halves this one may be left in the middle, or who sorts with a
-- function in C would keep the others waiting.

local c = ...

-- Not compiled: a trace would hold the callbacks that it was made for, with all
-- that they hold, and this code is never garbage. Callbacks are compiled.
jit.off(true, true)

local sort, gsub, load = table.sort, string.gsub, load
local find, sub, match = string.find, string.sub, string.match
local rawget, rawset, type, select = rawget, rawset, type, select
local error, pcall, xpcall, tonumber = error, pcall, xpcall, tonumber
local size_of, floor = table.getn, math.floor
local isyieldable = coroutine.isyieldable
local getmetatable, getinfo = debug.getmetatable, debug.getinfo
local traceback = debug.traceback
local new_buffer = require('string.buffer').new
local note_trace, to_int = c.note_trace, c.to_int

-- A callback is called by xpcall, which is in C and can be left: so error() with
-- a level, in the callback, finds C above it, as ever.
local function note_place(err)
    local caller = getinfo(3, 'S')
    note_trace(err, traceback('', 2),
        caller ~= nil and match(caller.source, '^=neap/') ~= nil)
    return err
end

local function pass(ok, ...)
    if not ok then
        error((...), 0)
    end
    return ...
end

-- Not to be left in the middle by a cancel: an element would be lost.
local function put(t, i, a, j, b)
    rawset(t, i, a)
    rawset(t, j, b)
end
c.spare(put)

-- Quicksort around the median of three, the shorter part by recursion: what C
-- does, comparison by comparison, so that the outcome is the same also where
-- elements are equal. False: the order is none.
local function quicksort(t, low, high, f)
    local function less(a, b)
        local ok, result = xpcall(f, note_place, a, b)
        if not ok then
            error(result, 0)
        end
        return result
    end
    while low < high do
        local a, b = rawget(t, low), rawget(t, high)
        if less(b, a) then
            put(t, low, b, high, a)
        end
        if high - low == 1 then
            return true
        end
        local i, j = floor((low + high) / 2), high - 1
        local pivot = rawget(t, i)
        a = rawget(t, low)
        if less(pivot, a) then
            put(t, i, a, low, pivot)
        else
            b = rawget(t, high)
            if less(b, pivot) then
                put(t, i, b, high, pivot)
            end
        end
        if high - low == 2 then
            return true
        end
        pivot = rawget(t, i)
        put(t, i, rawget(t, j), j, pivot)
        i = low
        while true do
            i = i + 1
            a = rawget(t, i)
            while less(a, pivot) do
                if i >= high then
                    return false
                end
                i = i + 1
                a = rawget(t, i)
            end
            j = j - 1
            b = rawget(t, j)
            while less(pivot, b) do
                if j <= low then
                    return false
                end
                j = j - 1
                b = rawget(t, j)
            end
            if j < i then
                break
            end
            put(t, i, b, j, a)
        end
        put(t, high - 1, rawget(t, i), i, rawget(t, high - 1))
        local from, to
        if i - low < high - i then
            from, to, low = low, i - 1, i + 1
        else
            from, to, high = i + 1, high, i - 1
        end
        if not quicksort(t, from, to, f) then
            return false
        end
    end
    return true
end

--- table.sort(t, [less])
-- As Lua's: sort the list @t by @less(a, b), which may wait, or by `<`, whose
-- metamethods may not. While it waits @t is in between. Yields: when @less does.
-- Throws: what @less throws; `invalid order function for sorting`.
function table.sort(...)
    local t, less = ...
    if type(t) == 'table' and less == nil then
        sort(t) -- no tail call: messages about waits name it
        return
    elseif type(t) ~= 'table' or type(less) ~= 'function' or not isyieldable() then
        return sort(...)
    end
    if not quicksort(t, 1, size_of(t), less) then
        error('invalid order function for sorting', 2)
    end
end

-- What comes in the place of one match; nothing: the match itself.
local function replacement(f, ...)
    if type(f) == 'table' then
        return f[(...)]
    end
    return pass(xpcall(f, note_place, ...))
end

-- As of find(), protected: one match. Gives its place, and what comes there.
local function replace_one(s, f, ok, from, to, ...)
    if not ok then
        -- Errors of the matcher have the place of who called gsub(); but memory
        -- has none.
        error(from, (type(from) ~= 'string' or from == 'not enough memory')
            and 0 or 4)
    elseif from == nil then
        return nil
    end
    local whole = sub(s, from, to)
    local value
    if select('#', ...) == 0 then
        value = replacement(f, whole)
    else
        value = replacement(f, ...)
    end
    if not value then
        value = whole
    elseif type(value) ~= 'string' and type(value) ~= 'number' then
        error(('invalid replacement value (a %s)'):format(type(value)), 4)
    end
    return from, to, value
end

local function replace(s, pattern, f, n)
    local out, count, at = new_buffer(), 0, 1
    local is_anchored = sub(pattern, 1, 1) == '^'
    while count < n and at <= #s + 1 do
        local from, to, value = replace_one(s, f, pcall(find, s, pattern, at))
        if from == nil then
            break
        end
        count = count + 1
        out:put(sub(s, at, from - 1), value)
        at = to + 1
        if to < from then -- an empty match: one character on
            out:put(sub(s, at, at))
            at = at + 1
        end
        if is_anchored then
            break
        end
    end
    out:put(sub(s, at))
    return out:tostring(), count
end

-- find() takes a pattern with nothing special for plain text, which has zero bytes
-- and single brackets.
local function as_matched(pattern)
    pattern = match(pattern, '^[^%z]*')
    if find(pattern, ')', 1, true) and not find(pattern, '[%^%$%*%+%?%.%(%[%%%-]') then
        return '()' .. pattern -- it matches nothing but an error
    end
    return pattern
end

local function is_text(value)
    return type(value) == 'string' or type(value) == 'number'
end

-- Does looking up in @f run a function of the user's?
local function is_live(f)
    if type(f) == 'table' then
        local mt = getmetatable(f)
        return mt ~= nil and rawget(mt, '__index') ~= nil
    end
    return type(f) == 'function'
end

--- string.gsub(s, pattern, replacement, [n]) -> string, number
-- As Lua's: replace each match of @pattern in @s, @n at most, by @replacement: a
-- string, a table, or a function, which may wait, as may an `__index` of the
-- table. Gives the result and how many there were. Yields: when @replacement does.
-- Throws: what @replacement throws; a pattern that is none.
function string.gsub(...)
    local s, pattern, f, n = ...
    if not is_live(f) or not isyieldable() or not is_text(s)
        or not is_text(pattern) or n ~= nil and not tonumber(n) then
        return gsub(...)
    end
    s = s .. ''
    local text, count = replace(s, as_matched(pattern), f,
        n == nil and #s + 1 or to_int(n))
    return text, count
end

-- The reader of load() has given these pieces; last, unless it has more: what
-- ended it. LuaJIT reads them, and all it says of them is said by it.
local more = {}

local function replay(parts)
    local i = 0
    return function()
        i = i + 1
        if i <= #parts then
            return parts[i]
        elseif parts.failed then
            error(parts.err, 0)
        elseif not parts.ended then
            error(more, 0)
        end
        return parts.last
    end
end

-- The next piece. False: there is none.
local function read(parts, ok, piece)
    if not ok then
        parts.failed, parts.err = true, piece
    elseif is_text(piece) and piece ~= '' then
        parts[#parts + 1] = piece
        parts.size = parts.size + #(piece .. '')
        return true
    else
        parts.last = piece
    end
    parts.ended = true
    return false
end

-- As many pieces as it takes, or some more: a reader that gives nonsense for ever
-- is left when twice of what makes it nonsense was read.
local function read_all(f, ...)
    local parts, enough = { size = 0 }, 1024
    while read(parts, pcall(f)) do
        if parts.size > enough then
            local chunk, err = load(replay(parts), ...)
            if chunk ~= nil or err ~= more then
                break
            end
            enough = parts.size * 2
        end
    end
    return replay(parts)
end

local function is_option(value)
    return value == nil or is_text(value)
end

--- load(chunk, [name, [mode, [env]]]) -> function | nil, err
-- As LuaJIT's: compile @chunk, a string or a function that gives piece after piece
-- and may wait, called @name in messages (default: the text, or `=(load)`). With
-- `'b'` or `'t'` for @mode only bytecode or only text will do; @env are its
-- globals. Of wrong code @chunk may be asked for some pieces more than it takes to
-- see that. Yields: when @chunk does.
function _G.load(...)
    local chunk, name, mode = ...
    if type(chunk) ~= 'function' or not is_option(name) or not is_option(mode)
        or not isyieldable() then
        return load(...)
    end
    return load(read_all(chunk, select(2, ...)), select(2, ...))
end
