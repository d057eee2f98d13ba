-- Fetches of header fields and cookies, of requests and of answers (require
-- 'neap.fetches_headers', which is no public module). Declarations as in fetch_declaration.lua.
local declaration = require('neap.fetch_declaration')
local values = require('neap.sample_values')

local byte, find, lower, sub = string.byte, string.find, string.lower, string.sub
local concat, sort = table.concat, table.sort
local integer_of, address_of = values.integer_of, values.address_of
local pairs, tostring, type = pairs, tostring, type
local copied, copied_fetch = declaration.copied, declaration.copied_fetch

local M = {}

local function same(v)
    return v
end

-- The test of a value that may be none.
local function each_of(v, test, arg)
    if v == nil then
        return false
    end
    return test(v, arg)
end

local function delimiter_of(text)
    if text == nil or text == '' then
        return nil
    end
    return sub(text, 1, 1)
end

-- --- header fields: what is the same for requests and answers ---

-- The value from @from to @to without the blanks around it.
local function trimmed(text, from, to)
    while from <= to do
        local c = byte(text, from)
        if c ~= 32 and c ~= 9 then
            break
        end
        from = from + 1
    end
    while to >= from do
        local c = byte(text, to)
        if c ~= 32 and c ~= 9 then
            break
        end
        to = to - 1
    end
    return sub(text, from, to)
end

-- Where the value that begins at @at ends: before a comma outside of quotes.
local function value_end(line, at)
    local comma = find(line, ',', at, true) or #line + 1
    local quote = find(line, '"', at, true)
    if quote == nil or quote > comma then
        return comma
    end
    local quoted = false
    for i = quote, #line do
        local c = byte(line, i)
        if c == 34 and not (quoted and byte(line, i - 1) == 92) then
            quoted = not quoted
        elseif c == 44 and not quoted then
            return i
        end
    end
    return #line + 1
end

-- test(value, arg) with all values of a line.
local function each_value(line, test, arg)
    local at = 1
    repeat
        local comma = value_end(line, at)
        if test(trimmed(line, at, comma - 1), arg) then
            return true
        end
        at = comma + 1
    until comma > #line
    return false
end

local request = { needs = 'request', prefix = 'req' }

-- The fields as {name, value, ..}; a server's request object can give them.
local function request_fields(txn)
    local req = txn._req
    if req == nil then
        return {}
    end
    return req:fields()
end
request.fields = request_fields

-- A line when there is only one without a comma, else true; nil: there is none.
function request.single(txn, name)
    local req = txn._req
    local joined = req and req:header(name)
    if joined == nil then
        return nil
    end
    if find(joined, ',', 1, true) or name == 'cookie' then
        return true
    end
    return joined
end

function request.each_line(txn, name, test, arg)
    local single = request.single(txn, name)
    if single == nil then
        return false
    elseif single ~= true then
        return test(single, arg)
    end
    local fields = request_fields(txn)
    for i = 1, #fields, 2 do
        if fields[i] == name and test(fields[i + 1], arg) then
            return true
        end
    end
    return false
end

local response = { needs = 'response', prefix = 'res' }

-- The field @name of an answer, a text or a list; its names may have any case.
local function response_field(txn, name)
    local headers = txn._res and txn._res.headers
    if headers == nil then
        return nil
    end
    local value = headers[name]
    if value == nil then
        for key, v in pairs(headers) do
            if lower(key) == name then
                return v
            end
        end
    end
    return value
end

function response.fields(txn)
    local names, fields = {}, {}
    for name in pairs(txn._res and txn._res.headers or {}) do
        names[#names + 1] = name
    end
    sort(names)
    for _, name in ipairs(names) do
        local value = txn._res.headers[name]
        for _, v in ipairs(type(value) == 'table' and value or { value }) do
            fields[#fields + 1], fields[#fields + 2] = lower(name), tostring(v)
        end
    end
    return fields
end

function response.single(txn, name)
    local value = response_field(txn, name)
    if value == nil then
        return nil
    elseif type(value) == 'table' then
        return true
    end
    value = tostring(value)
    return find(value, ',', 1, true) and true or value
end

function response.each_line(txn, name, test, arg)
    local value = response_field(txn, name)
    if value == nil then
        return false
    elseif type(value) ~= 'table' then
        return test(tostring(value), arg)
    end
    for i = 1, #value do
        if test(tostring(value[i]), arg) then
            return true
        end
    end
    return false
end

local function keep(value, list)
    list[#list + 1] = value
end

local function keep_values(line, list)
    each_value(line, keep, list)
end

-- Number @occ of a list, from its end when it is negative.
local function occurrence(list, occ)
    return list[occ < 0 and #list + 1 + occ or occ]
end

-- f(txn) -> value number @occ of the field, or of its lines, as @convert has it.
local function header_value(side, name, occ, whole, convert)
    local single, each_line = side.single, side.each_line
    local keep_line = whole and keep or keep_values
    name = lower(name)
    occ = (occ == nil or occ == 0) and -1 or occ
    return function(txn)
        local line = single(txn, name)
        if line == nil then
            return nil
        elseif line ~= true then
            if occ ~= 1 and occ ~= -1 then
                return nil
            end
            return convert(line)
        end
        local list = {}
        each_line(txn, name, keep_line, list)
        local v = occurrence(list, occ)
        return v and convert(v)
    end
end

local function each_header(side, name, occ, whole, convert)
    if occ ~= nil and occ ~= 0 then
        local one = header_value(side, name, occ, whole, convert)
        return function(txn, test, arg)
            return each_of(one(txn), test, arg)
        end
    end
    name = lower(name)
    return function(txn, test, arg)
        local line = side.single(txn, name)
        if line == nil then
            return false
        elseif line ~= true then
            return each_of(convert(line), test, arg)
        end
        local function try(v)
            return each_of(convert(v), test, arg)
        end
        return side.each_line(txn, name, whole and try or function(line)
            return each_value(line, try)
        end)
    end
end

-- "10.1.2.3", "10.1.2.3:80", "::1", "[::1]", "[::1]:80"
local function address_of_header(text)
    local inner = text:match('^%[(.*)%]$') or text:match('^%[(.*)%]:%d+$')
        or text:match('^([%d.]+):%d+$')
    return address_of(inner or text)
end

local function count_line(_, counter)
    counter.n = counter.n + 1
end

local function count_values(line, counter)
    each_value(line, count_line, counter)
end

local function header_count(side, whole)
    return function(_, name)
        local count = whole and count_line or count_values
        if name == nil or name == '' then
            return function(txn)
                local counter, fields = { n = 0 }, side.fields(txn)
                for i = 2, #fields, 2 do
                    count(fields[i], counter)
                end
                return counter.n
            end
        end
        name = lower(name)
        return function(txn)
            local counter = { n = 0 }
            side.each_line(txn, name, count, counter)
            return counter.n
        end
    end
end

-- --- cookies ---

-- The cookie at @at: its name and value, and where the next one begins. Nil: no more.
local function cookie(line, at)
    local size = #line
    while at <= size do
        local stop = find(line, ';', at, true) or size + 1
        local equals = find(line, '=', at, true)
        if equals and equals < stop then
            return trimmed(line, at, equals - 1), trimmed(line, equals + 1, stop - 1),
                stop + 1
        end
        at = stop + 1
    end
    return nil
end

-- test(value, arg, name) with each cookie @name of a line, or each one without a name. Of an
-- answer only the first one of a line is a cookie.
local function each_cookie(line, name, only_first, test, arg)
    local at, key, value = 1, nil, nil
    repeat
        key, value, at = cookie(line, at)
        if key == nil then
            return false
        elseif (name == nil or key == name) and test(value, arg, key) then
            return true
        end
    until only_first
    return false
end

local function cookie_lines(side)
    return side == request and 'cookie' or 'set-cookie', side == response
end

local function note_last(value, state)
    state.value = value
    state.n = state.n + 1
    return state.first
end

-- f(txn) -> the last cookie @name, or the first of all; how many there are.
local function find_cookie(side, name)
    local field, only_first = cookie_lines(side)
    if name == '' then
        name = nil
    end
    return function(txn, counting)
        local state = { n = 0, first = name == nil and not counting }
        side.each_line(txn, field, function(line)
            return each_cookie(line, name, only_first, note_last, state)
        end)
        return state.value, state.n
    end
end

local function note_name(_, names, name)
    names[#names + 1] = name
end

local function cookie_names(side)
    local field, only_first = cookie_lines(side)
    return function(_, delimiter)
        delimiter = delimiter_of(delimiter) or ','
        return function(txn)
            local names = {}
            side.each_line(txn, field, function(line)
                return each_cookie(line, nil, only_first, note_name, names)
            end)
            return names[1] and concat(names, delimiter)
        end
    end
end

local function cookie_value(side, convert)
    return function(_, name)
        local get = find_cookie(side, name)
        return function(txn)
            local value = get(txn)
            return value and convert(value)
        end
    end
end

local function each_cookie_value(side, convert)
    local field, only_first = cookie_lines(side)
    return function(_, name)
        if name == '' then
            name = nil
        end
        return function(txn, test, arg)
            local function try(v)
                return each_of(convert(v), test, arg)
            end
            return side.each_line(txn, field, function(line)
                return each_cookie(line, name, only_first, try)
            end)
        end
    end
end

-- --- both sides ---

local HEADER = { 'name:string', 'occ:integer?' }

local function declare(side, whose)
    local prefix, needs = side.prefix, side.needs

    local function header(suffix, out, whole, convert, doc)
        M[prefix .. suffix] = {
            out = out, needs = needs, copied = true, args = HEADER, doc = doc,
            make = function(_, name, occ)
                return header_value(side, name, occ, whole, convert)
            end,
            each = function(_, name, occ)
                return each_header(side, name, occ, whole, convert)
            end,
        }
    end

    header('.hdr', 'string', false, same, 'The last value, between commas, of the field in '
        .. whose .. '; or number occ, from the end when it is negative.')
    header('.fhdr', 'string', true, same, 'The last line of the field in ' .. whose
        .. ', commas and all; or number occ.')
    header('.hdr_val', 'integer', false, integer_of, 'The same as `' .. prefix
        .. '.hdr`, as an integer.')
    header('.hdr_ip', 'ip', false, address_of_header, 'The same as `' .. prefix
        .. '.hdr`, as an address, without a port.')

    M[prefix .. '.hdr_cnt'] = copied_fetch('integer', needs, header_count(side, false),
        'How many values the field has in ' .. whose .. ', or all fields.',
        { args = { 'name:string?' } })
    M[prefix .. '.fhdr_cnt'] = copied_fetch('integer', needs, header_count(side, true),
        'How many lines the field has in ' .. whose .. ', or all fields.',
        { args = { 'name:string?' } })

    M[prefix .. '.hdr_names'] = copied_fetch('string', needs, function(_, delimiter)
        delimiter = delimiter_of(delimiter) or ','
        return function(txn)
            local names, fields = {}, side.fields(txn)
            for i = 1, #fields, 2 do
                names[#names + 1] = fields[i]
            end
            return concat(names, delimiter)
        end
    end, 'The names of all fields of ' .. whose .. ', in small letters.',
        { args = { 'delimiter:string?' } })

    M[prefix .. '.hdrs'] = copied('string', needs, function(txn)
        local lines, fields = {}, side.fields(txn)
        for i = 1, #fields, 2 do
            lines[#lines + 1] = fields[i] .. ': ' .. fields[i + 1]
        end
        lines[#lines + 1] = '\r\n'
        return concat(lines, '\r\n')
    end, 'All fields of ' .. whose .. ', and the empty line.')

    M[prefix .. '.cook_names'] = copied_fetch('string', needs, cookie_names(side),
        'The names of all cookies of ' .. whose .. '.', { args = { 'delimiter:string?' } })

    M[prefix .. '.cook'] = copied_fetch('string', needs, cookie_value(side, same),
        'The last cookie of that name in ' .. whose .. ', or the first of all.',
        { args = { 'name:string?' }, each = each_cookie_value(side, same) })
    M[prefix .. '.cook_val'] = copied_fetch('integer', needs, cookie_value(side, integer_of),
        'The same as an integer.',
        { args = { 'name:string?' }, each = each_cookie_value(side, integer_of) })
    M[prefix .. '.cook_cnt'] = copied_fetch('integer', needs, function(_, name)
        local get = find_cookie(side, name)
        return function(txn)
            local _, n = get(txn, true)
            return n
        end
    end, 'How many cookies of that name, or of all, there are in ' .. whose .. '.',
        { args = { 'name:string?' } })
end

declare(request, 'the request')
declare(response, 'the answer')

-- Old names; those of answers begin with an "s".
for _, name in ipairs({ 'cook', 'cook_cnt', 'cook_val', 'hdr_cnt', 'hdr_ip', 'hdr_val' }) do
    M['req.' .. name].also = { name }
    M['res.' .. name].also = { 's' .. name }
end
M['req.cook'].also = { 'cook', 'cookie' }
M['res.cook'].also = { 'scook', 'set-cookie' }
M['res.hdr'].also = { 'shdr' }

-- It is of the side whose rules run.
M.hdr = {
    out = 'string', args = HEADER, needs = 'request', copied = true,
    doc = '`req.hdr`, or in rules of answers `res.hdr`.',
    make = function(env, name, occ)
        return header_value(env.response and not env.log and response or request, name,
            occ, false, same)
    end,
    each = function(env, name, occ)
        return each_header(env.response and not env.log and response or request, name, occ,
            false, same)
    end,
}

return M
