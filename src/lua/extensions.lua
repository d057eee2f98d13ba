-- What Tarantool adds to Lua's own tables and globals.
--
-- The page `lua`: scripts written for it call these everywhere, as methods of strings
-- too. Arguments, results and refusals are those of its documentation. Unlike most
-- other halves this one may be left in the middle, for texts and tables may be long.
local c = ...

local byte, find, gsub, rep, sub = string.byte, string.find, string.gsub, string.rep,
    string.sub
local char, format = string.char, string.format
local error, floor, getmetatable = error, math.floor, getmetatable
local getinfo, loadstring = debug.getinfo, loadstring
local pairs, setmetatable, type = pairs, setmetatable, type

-- An argument is not what is wanted: said with the place of who called the function,
-- which is at @level (3: the function calls this itself).
local function refuse(n, name, expected, got, level)
    error(("bad argument #%d to '%s' (%s expected, got %s)"):format(n, name, expected,
        got), level or 3)
end

local function is_count(n)
    return type(n) == 'number' and n >= 0 and n == floor(n)
end

-- --- string ---

local function split_at_spaces(text, max)
    local parts, from = {}, find(text, '%S')
    while from ~= nil do
        local space = #parts < max and find(text, '%s', from) or nil
        parts[#parts + 1] = sub(text, from, (space or 0) - 1)
        from = space and find(text, '%S', space)
    end
    return parts
end

--- string.split(text, [separator, [max]]) -> table
-- The parts of @text between the @separator, a plain text; without one, between
-- spaces of any kind and number, of which none begins or ends a part. After @max
-- parts the last one has all of the rest.
-- Yields: no.
function string.split(text, separator, max)
    if type(text) ~= 'string' then
        refuse(1, 'string.split', 'string', type(text))
    elseif separator ~= nil and type(separator) ~= 'string' then
        refuse(2, 'string.split', 'string', type(separator))
    elseif separator == '' then
        refuse(2, 'string.split', 'non-empty string', 'empty string')
    elseif max ~= nil and not is_count(max) then
        refuse(3, 'string.split', 'positive integer', type(max))
    end
    max = max or math.huge
    if separator == nil then
        return split_at_spaces(text, max)
    end
    local parts, from = {}, 1
    while #parts < max do
        local first, last = find(text, separator, from, true)
        if first == nil then
            break
        end
        parts[#parts + 1] = sub(text, from, first - 1)
        from = last + 1
    end
    parts[#parts + 1] = sub(text, from)
    return parts
end

local function check_padding(name, text, width, filler)
    if type(text) ~= 'string' then
        refuse(1, name, 'string', type(text), 4)
    elseif not is_count(width) then
        refuse(2, name, 'positive integer', type(width), 4)
    elseif filler ~= nil and (type(filler) ~= 'string' or #filler ~= 1) then
        refuse(3, name, 'char', type(filler), 4)
    end
    return width - #text, filler or ' '
end

--- string.ljust(text, width, [filler]) -> string
-- @text, and behind it the character @filler (a space) until it has @width bytes.
-- Yields: no.
function string.ljust(text, width, filler)
    local missing
    missing, filler = check_padding('string.ljust', text, width, filler)
    return text .. rep(filler, missing)
end

--- string.rjust(text, width, [filler]) -> string
-- The same with @filler in front of @text, @width bytes in all. Yields: no.
function string.rjust(text, width, filler)
    local missing
    missing, filler = check_padding('string.rjust', text, width, filler)
    return rep(filler, missing) .. text
end

--- string.center(text, width, [filler]) -> string
-- The same with @filler on both sides of @text, @width bytes in all; one more behind,
-- if need be. Yields: no.
function string.center(text, width, filler)
    local missing
    missing, filler = check_padding('string.center', text, width, filler)
    return rep(filler, floor(missing / 2)) .. text
        .. rep(filler, missing - floor(missing / 2))
end

-- Places as of string.sub().
local function range(name, text, part, from, to)
    if type(text) ~= 'string' then
        refuse(1, name, 'string', type(text), 4)
    elseif type(part) ~= 'string' then
        refuse(2, name, 'string', type(part), 4)
    elseif from ~= nil and type(from) ~= 'number' then
        refuse(3, name, 'integer', type(from), 4)
    elseif to ~= nil and type(to) ~= 'number' then
        refuse(4, name, 'integer', type(to), 4)
    end
    from, to = from or 1, to or #text
    if from < 0 then
        from = #text + 1 + from
    end
    if to < 0 then
        to = #text + 1 + to
    end
    return from, to > #text and #text or to
end

--- string.startswith(text, head, [from, [to]]) -> boolean
-- @text, or of it what is between the places @from and @to, which count from its
-- end when they are negative, begins with @head. Yields: no.
function string.startswith(text, head, from, to)
    from, to = range('string.startswith', text, head, from, to)
    return head == '' or from >= 1 and from + #head - 1 <= to
        and sub(text, from, from + #head - 1) == head
end

--- string.endswith(text, tail, [from, [to]]) -> boolean
-- @text, or of it what is between the places @from and @to, which count from its
-- end when they are negative, ends with @tail. Yields: no.
function string.endswith(text, tail, from, to)
    from, to = range('string.endswith', text, tail, from, to)
    from = from < 1 and 1 or from
    return tail == '' or to - #tail + 1 >= from
        and sub(text, to - #tail + 1, to) == tail
end

-- From bytes to digits and back; made when they are wanted.
local digits, values

local function make_digits()
    digits, values = {}, {}
    for i = 0, 255 do
        local lower, upper = format('%02x', i), format('%02X', i)
        digits[char(i)] = lower
        values[lower], values[upper] = char(i), char(i)
        values[sub(lower, 1, 1) .. sub(upper, 2)] = char(i)
        values[sub(upper, 1, 1) .. sub(lower, 2)] = char(i)
    end
end

--- string.hex(text) -> string
-- Two hexadecimal digits for each byte of @text. Yields: no.
function string.hex(text)
    if type(text) ~= 'string' then
        refuse(1, 'string.hex', 'string', type(text))
    end
    if digits == nil then
        make_digits()
    end
    return (gsub(text, '.', digits))
end

--- string.fromhex(digits) -> string
-- The bytes that hexadecimal @digits, of either case, stand for. Yields: no.
-- Throws: an odd number of digits; other characters.
function string.fromhex(text)
    if type(text) ~= 'string' then
        refuse(1, 'string.fromhex', 'string', type(text))
    elseif #text % 2 ~= 0 then
        refuse(1, 'string.fromhex', 'even amount of chars', 'odd amount')
    elseif find(text, '%X') ~= nil then
        refuse(1, 'string.fromhex', 'hex string', 'non hex chars')
    end
    if values == nil then
        make_digits()
    end
    return (gsub(text, '..', values))
end

-- Which bytes are taken off.
local function set_of(name, text, characters)
    if type(text) ~= 'string' then
        refuse(1, name, 'string', type(text), 4)
    elseif characters ~= nil and type(characters) ~= 'string' then
        refuse(2, name, 'string', type(characters), 4)
    end
    local set = {}
    characters = characters or ' \t\n\v\f\r'
    for i = 1, #characters do
        set[byte(characters, i)] = true
    end
    return set
end

local function first_of(text, set)
    local i = 1
    while set[byte(text, i)] do
        i = i + 1
    end
    return i
end

local function last_of(text, set)
    local i = #text
    while i > 0 and set[byte(text, i)] do
        i = i - 1
    end
    return i
end

--- string.strip(text, [characters]) -> string
-- @text without what both its ends have of @characters, of which none is special;
-- without them, of spaces and line ends. Yields: no.
function string.strip(text, characters)
    local set = set_of('string.strip', text, characters)
    local from = first_of(text, set)
    return sub(text, from, from <= #text and last_of(text, set) or 0)
end

--- string.lstrip(text, [characters]) -> string
-- The same for the begin of @text alone, which is rid of @characters. Yields: no.
function string.lstrip(text, characters)
    return sub(text, first_of(text, set_of('string.lstrip', text, characters)))
end

--- string.rstrip(text, [characters]) -> string
-- The same for the end of @text alone, which is rid of @characters. Yields: no.
function string.rstrip(text, characters)
    return sub(text, 1, last_of(text, set_of('string.rstrip', text, characters)))
end

-- --- table ---

local function copy_hook(value)
    local meta = getmetatable(value)
    return type(meta) == 'table' and meta.__copy or nil
end

local function deep_copy(value, copies)
    if copies[value] ~= nil then
        return copies[value]
    elseif type(value) ~= 'table' then
        return value
    end
    local hook = copy_hook(value)
    if hook ~= nil then
        return hook(value)
    end
    local copy = {}
    copies[value] = copy
    for key, inner in pairs(value) do
        copy[key] = deep_copy(inner, copies)
    end
    local meta = getmetatable(value)
    return type(meta) == 'table' and setmetatable(copy, meta) or copy
end

--- table.deepcopy(value) -> value
-- A copy of a table, of the tables in it, and so on; keys and metatables are the same,
-- and a table that is there twice is so in the copy. A table whose metatable has
-- `__copy(t)` is copied by that. What is no table, @value stays as it is.
-- Yields: if `__copy` does.
function table.deepcopy(value)
    if type(value) ~= 'table' then
        return value
    end
    return deep_copy(value, {})
end

--- table.copy(value, [shallow]) -> value
-- As `table.deepcopy(value)`; if @shallow is true, of the table @value alone: those in
-- it are not copied. Yields: if `__copy` does.
function table.copy(value, shallow)
    if shallow ~= true or type(value) ~= 'table' then
        return table.deepcopy(value)
    end
    local hook = copy_hook(value)
    if hook ~= nil then
        return hook(value)
    end
    local copy, meta = {}, getmetatable(value)
    for key, inner in pairs(value) do
        copy[key] = inner
    end
    return type(meta) == 'table' and setmetatable(copy, meta) or copy
end

-- --- debug ---

local function file_at(level)
    local info = getinfo(level + 1, 'S')
    return info ~= nil and info.source:match('^@(.*)') or nil
end

local function folder_of(path)
    return path and (path:match('^(.+)/') or path:match('^/')) or '.'
end

--- debug.sourcefile([level]) -> string | nil
-- The file of the function at that @level of the stack, as `debug.getinfo()` counts
-- (2 unless given: who calls this), or nil: it is of no file. `debug.__file__` is that
-- of who reads it. Yields: no.
function debug.sourcefile(level)
    local path = file_at(level or 2)
    return path
end

--- debug.sourcedir([level]) -> string
-- The folder of that file, `.` without one, at the @level as of `debug.sourcefile()`.
-- `debug.__dir__` is that of who reads it. Yields: no.
function debug.sourcedir(level)
    local path = file_at(level or 2)
    return folder_of(path)
end

setmetatable(debug, {
    __index = function(_, key)
        if key == '__file__' then
            return (file_at(2))
        elseif key == '__dir__' then
            return (folder_of((file_at(2))))
        end
    end,
})

-- --- the rest ---

--- dostring(text, ...) -> ...
-- Run @text as a chunk, with the other arguments as its `...`; gives what it returns.
-- Yields: when it does. Throws: what is wrong with it; what it throws.
function dostring(text, ...)
    local chunk, err = loadstring(text)
    if chunk == nil then
        error(err, 0)
    end
    return chunk(...)
end

tonumber64 = c.tonumber64
os.environ, os.setenv = c.environ, c.setenv
