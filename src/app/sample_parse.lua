-- Reads expressions (require 'neap.sample_parse', which is no public module):
--
--     fetch[(args)]{,converter[(args)]}
--
-- as HAProxy's manual has them: arguments are separated by commas, may be quoted, in
-- part or whole, with ' or ", and outside of ' a backslash stands before a quote, a
-- space and itself, and for \n, \r and \t. What is wrong is thrown as
-- {column = n, text = 'reason'}.
local byte, find, sub = string.byte, string.find, string.sub
local concat = table.concat
local error = error

local M = {}

local TEXT_MAX, PARTS_MAX, ARGS_MAX = 16384, 32, 12

-- fail(column, text, ...): throws it.
local function fail(column, text, ...)
    error({ column = column, text = select('#', ...) > 0 and text:format(...) or text },
        0)
end
M.fail = fail

-- check_text(text, what): it is one, and not too long.
function M.check_text(text, what)
    if type(text) ~= 'string' then
        fail(1, '%s: a text is wanted, not %s', what, type(text))
    elseif #text > TEXT_MAX then
        fail(1, '%s: at most %d bytes are wanted, not %d', what, TEXT_MAX, #text)
    end
end

local escapes = {
    n = '\n', r = '\r', t = '\t', ['\\'] = '\\', ["'"] = "'", ['"'] = '"', [' '] = ' ',
}

-- The argument from @at on: its text, and where it ends, at a comma or a parenthesis.
local function argument(text, at, open)
    local parts, n, quote, quoted_at = {}, 0, nil, nil
    while true do
        local c = sub(text, at, at)
        if c == '' then
            if quote then
                fail(quoted_at, "the quote %s is not closed", quote)
            end
            fail(open, "the parenthesis is not closed: ')' is expected")
        end
        local add = c
        if c == quote then
            quote, add = nil, ''
        elseif quote == nil and (c == '"' or c == "'") then
            quote, quoted_at, add = c, at, ''
        elseif quote == nil and (c == ',' or c == ')') then
            return concat(parts), at
        elseif c == '\\' and quote ~= "'" then
            local escaped = escapes[sub(text, at + 1, at + 1)]
            if escaped then
                add, at = escaped, at + 1
            end
        end
        n = n + 1
        parts[n] = add
        at = at + 1
    end
end

local function arguments(text, open)
    local args, at = {}, open + 1
    while true do
        if #args == ARGS_MAX then
            fail(at, 'more than %d arguments', ARGS_MAX)
        end
        local value, stop = argument(text, at, open)
        args[#args + 1] = { text = value, column = at }
        at = stop + 1
        if sub(text, stop, stop) == ')' then
            break
        end
    end
    if #args == 1 and args[1].text == '' and at == open + 2 then
        args = {}
    end
    return args, at
end

local function part(text, at, what)
    local _, stop = find(text, '^[%w_.+-]+', at)
    if stop == nil then
        local c = sub(text, at, at)
        fail(at, '%s is expected%s', what,
            c == '' and '' or (", not '%s'"):format(c))
    end
    local node = { name = sub(text, at, stop), column = at, args = {} }
    at = stop + 1
    if byte(text, at) == 40 then
        node.args, at = arguments(text, at)
    end
    return node, at
end

-- parse(text, at) -> parts, after
-- The expression that begins at @at: {{name=, column=, args={{text=, column=}..}}..}, and
-- where it ends.
function M.parse(text, at)
    local parts = {}
    parts[1], at = part(text, at, 'the name of a fetch')
    while byte(text, at) == 44 do
        if #parts > PARTS_MAX then
            fail(at, 'more than %d converters', PARTS_MAX)
        end
        parts[#parts + 1], at = part(text, at + 1, 'the name of a converter')
    end
    return parts, at
end

-- --- the nearest of known names ---

-- How many changes make @b of @a; more than @limit: some number above it.
local function distance(a, b, limit)
    local la, lb = #a, #b
    if la - lb > limit or lb - la > limit then
        return limit + 1
    end
    local row = {}
    for j = 0, lb do
        row[j] = j
    end
    for i = 1, la do
        local diagonal = row[0]
        row[0] = i
        for j = 1, lb do
            local cost = byte(a, i) == byte(b, j) and 0 or 1
            local best = diagonal + cost
            diagonal = row[j]
            best = best < diagonal + 1 and best or diagonal + 1
            best = best < row[j - 1] + 1 and best or row[j - 1] + 1
            row[j] = best
        end
    end
    return row[lb]
end

-- nearest(name, known) -> name | nil: of a table with names for keys.
function M.nearest(name, known)
    local best, least
    if #name > 64 then
        return nil
    end
    local limit = #name < 4 and 1 or #name < 8 and 2 or 3
    for candidate in pairs(known) do
        local d = distance(name, candidate, limit)
        if d <= limit and (least == nil or d < least or
            d == least and candidate < best) then
            best, least = candidate, d
        end
    end
    return best
end

-- unknown(column, what, name, known): throws it.
function M.unknown(column, what, name, known)
    local near = M.nearest(name, known)
    fail(column, "there is no %s '%s'%s", what, name,
        near and (": is '%s' meant?"):format(near) or '')
end

return M
