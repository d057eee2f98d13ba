-- Values as rows of columns: the output mode `table` of the console.

local c = ...

local literal = c.part('literal')
local lua_value, before = literal.value, literal.before

local type, tostring, next, rawget = type, tostring, next, rawget
local sort, concat = table.sort, table.concat
local getmetatable = debug.getmetatable

local SCREEN_CELL = 60   -- characters of a cell that a screen shows
local SCREEN_COLUMNS = 20

local function width(text)
    local _, more = text:gsub('[\128-\191]', '')
    return #text - more
end

local function escape(ch)
    return ('\\x%02x'):format(ch:byte())
end

-- One line, and nothing that a terminal would obey.
local function plain(text)
    text = text:gsub('\n', '\\n'):gsub('\r', '\\r'):gsub('\t', '\\t')
    return (text:gsub('[%c\127]', escape):gsub('\194[\128-\159]', '?'))
end

-- A text by itself keeps its lines.
local function lines(text)
    return (text:gsub('[^\n]+', plain))
end

local function cell(v, screen)
    local text
    if v == nil then
        return ''
    elseif type(v) == 'string' then
        text = plain(v)
    else
        text = plain(lua_value(v))
    end
    if screen and width(text) > SCREEN_CELL then
        local at = SCREEN_CELL - 3
        while at < #text and width(text:sub(1, at)) < SCREEN_CELL - 3 do
            at = at + 1
        end
        text = text:sub(1, at):gsub('[\192-\255][\128-\191]*$', '') .. '...'
    end
    return text
end

-- The keys of all rows, numbers first, then names.
local function columns_of(rows, screen)
    local seen, keys, count = {}, {}, 0
    for i = 1, #rows do
        for k in next, rows[i] do
            if not seen[k] then
                seen[k] = true
                count = count + 1
                keys[count] = k
            end
        end
    end
    sort(keys, before)
    if screen and count > SCREEN_COLUMNS then
        for i = count, SCREEN_COLUMNS, -1 do
            keys[i] = nil
        end
        return keys, true
    end
    return keys, false
end

local function put_row(out, cells, widths, numeric)
    for i = 1, #cells do
        local pad = (' '):rep(widths[i] - width(cells[i]))
        if numeric[i] then
            cells[i] = pad .. cells[i]
        elseif i < #cells then
            cells[i] = cells[i] .. pad
        end
    end
    out[#out + 1] = (concat(cells, '  '):gsub('%s+$', ''))
end

-- `head`: names of the columns, or nil.
local function put_grid(out, head, body, numeric)
    local widths, rule = {}, {}
    for _, cells in next, {head or {}} do
        for i = 1, #cells do
            widths[i] = width(cells[i])
        end
    end
    for r = 1, #body do
        for i = 1, #body[r] do
            local w = width(body[r][i])
            widths[i] = w > (widths[i] or 0) and w or widths[i] or 0
        end
    end
    if head ~= nil then
        for i = 1, #head do
            rule[i] = ('-'):rep(widths[i])
        end
        put_row(out, head, widths, numeric)
        out[#out + 1] = concat(rule, '  ')
    end
    for r = 1, #body do
        put_row(out, body[r], widths, numeric)
    end
end

local function put_rows(out, rows, screen, notes, wanted)
    local keys, more = wanted, false
    if wanted == nil then
        keys, more = columns_of(rows, screen)
    end
    local is_list = #keys > 0
    local head, body, numeric = {}, {}, {}
    for i = 1, #keys do
        is_list = is_list and keys[i] == i
        head[i] = cell(type(keys[i]) == 'string' and keys[i]
            or tostring(keys[i]), screen)
        numeric[i] = true
    end
    for r = 1, #rows do
        local cells = {}
        for i = 1, #keys do
            local v = rawget(rows[r], keys[i])
            numeric[i] = numeric[i] and (v == nil or type(v) == 'number')
            cells[i] = cell(v, screen)
        end
        if more then
            cells[#cells + 1] = '...'
        end
        body[r] = cells
    end
    if more then
        head[#head + 1] = '...'
    end
    put_grid(out, not is_list and head or nil, body, numeric)
    for i = 1, #notes do
        out[#out + 1] = plain(notes[i])
    end
end

local function put_pairs(out, t, screen)
    local keys, body = columns_of({t}, false), {}
    for i = 1, #keys do
        body[i] = {cell(type(keys[i]) == 'string' and keys[i]
            or tostring(keys[i]), screen), cell(rawget(t, keys[i]), screen)}
    end
    put_grid(out, nil, body, {})
end

-- The rows of a list of tables, and the words behind them ("... (5 more)"); nil
-- when it is something else.
local function rows_of(t)
    local rows, notes, count = {}, {}, 0
    for _ in next, t do
        count = count + 1
    end
    for i = 1, count do
        local v = rawget(t, i)
        if type(v) == 'table' and #notes == 0 then
            rows[i] = v
        elseif type(v) == 'string' and v:find('^%.%.%.') and i == count
                and i > 1 then
            notes[1] = v
        else
            return nil
        end
    end
    return count > 0 and rows or nil, notes
end

local function put_list(out, t, screen)
    for i = 1, #t do
        out[#out + 1] = cell(t[i], screen)
    end
end

local function put(out, v, screen, columns)
    local meta = type(v) == 'table' and getmetatable(v)
    local f = type(meta) == 'table' and rawget(meta, '__serialize')
    if type(f) == 'function' then
        v = f(v)
    end
    if type(v) ~= 'table' then
        out[#out + 1] = v == nil and 'nil'
            or type(v) == 'string' and lines(v) or cell(v, false)
        return
    end
    local rows, notes = rows_of(v)
    if rows ~= nil then
        put_rows(out, rows, screen, notes, columns)
    elseif next(v) == nil then
        out[#out + 1] = '(empty)'
    elseif rawget(v, 1) ~= nil and #columns_of({v}, false) == #v then
        put_list(out, v, screen)
    else
        put_pairs(out, v, screen)
    end
end

--- The text of results[1] to results[count]; an empty line is behind each answer.
-- @screen: what is too wide for one is cut. @columns: of a list of tables.
return function(results, count, screen, columns)
    local out = {}
    for i = 1, count do
        put(out, results[i], screen, columns)
    end
    out[#out + 1] = '\n'
    return concat(out, '\n')
end
