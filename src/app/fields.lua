-- Header fields as HAProxy's classes have them: lists of values by name, changed by
-- name (require 'neap.fields', which is no public module). A list of fields is flat:
-- {name, value, name, value, ..}, the names in small letters.
local native = require('neap.sample_native')

local error, type, tostring = error, type, tostring

local M = {}

local function check(what, text)
    if type(text) == 'number' then
        text = tostring(text)
    elseif type(text) ~= 'string' then
        error(('%s: a string is wanted, not %s'):format(what, type(text)), 3)
    end
    if text:find('[\r\n%z]') then
        error(what .. ': CR, LF and NUL cannot be in a header field', 3)
    end
    return text
end

-- Names that were found good: scripts use the same few ones again and again.
local NAMES_MAX = 1000
local names, name_count = {}, 0

local function check_name(name)
    local small = names[name]
    if small then
        return small
    end
    name = check('the name of a header field', name)
    if not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
        error(('%q is no name of a header field'):format(name), 3)
    end
    small = name:lower()
    if #name <= 64 then
        if name_count == NAMES_MAX then
            names, name_count = {}, 0
        end
        names[name], name_count = small, name_count + 1
    end
    return small
end

M.check_name = check_name

function M.check_value(value)
    return check('a header field', value)
end

-- What stands behind the status of an answer.
M.reason_wanted = 'the reason: a text of at most 256 bytes without control characters '
    .. 'is wanted'

function M.is_reason(text)
    return type(text) == 'string' and #text <= 256 and
        not text:find('[%z\1-\31\127]')
end

function M.check_reason(text)
    return M.is_reason(text) and text or error(M.reason_wanted, 3)
end

-- A text of a request's first line, which has no room for what would end it.
function M.check_line(what, text)
    if type(text) ~= 'string' or text == '' or text:find('[%z\1-\32\127]') then
        error(what .. ': a text without spaces and control characters is '
            .. 'wanted', 3)
    end
    return text
end

-- Those that were compiled, by their pattern: scripts name them in each call.
local KEPT_MAX = 100
local kept, kept_count = {}, 0

local function compiled(pattern, level)
    local regex = kept[pattern]
    if regex == nil then
        local err
        regex, err = native.regex(pattern, false)
        if regex == nil then
            error(('the pattern %q: %s'):format(pattern, err), level + 1)
        elseif kept_count == KEPT_MAX then
            kept, kept_count = {}, 0
        end
        kept[pattern], kept_count = regex, kept_count + 1
    end
    return regex
end

-- replacer(pattern, replacement, level) -> f for replaced(). Throws: no regular expression.
function M.replacer(pattern, replacement, level)
    if type(pattern) ~= 'string' or type(replacement) ~= 'string' then
        error('a regular expression and a replacement are wanted, two strings',
            level + 1)
    end
    local regex = compiled(pattern, level + 1)
    return function(value)
        return native.regexpand(regex, value, replacement)
    end
end

-- tables(list) -> {name = {[0] = value, ..}}
function M.tables(list)
    local all = {}
    for i = 1, #list, 2 do
        local name, values = list[i], all[list[i]]
        if values == nil then
            all[name] = { [0] = list[i + 1] }
        else
            values[#values + 1] = list[i + 1]
        end
    end
    return all
end

-- joined(list) -> {name = 'value, value'}
function M.joined(list)
    local all = {}
    for i = 1, #list, 2 do
        local name, before = list[i], all[list[i]]
        all[name] = before == nil and list[i + 1] or
            before .. (name == 'cookie' and '; ' or ', ') .. list[i + 1]
    end
    return all
end

-- of(map) -> list: of a table of headers, whose values may be lists.
function M.of(map)
    local list = {}
    for name, value in pairs(map or {}) do
        name = tostring(name):lower()
        for _, one in ipairs(type(value) == 'table' and value or { value }) do
            list[#list + 1], list[#list + 2] = name, tostring(one)
        end
    end
    return list
end

-- map(list) -> {name = value | {value, ..}}
function M.map(list)
    local all = {}
    for i = 1, #list, 2 do
        local name, before = list[i], all[list[i]]
        if before == nil then
            all[name] = list[i + 1]
        elseif type(before) == 'table' then
            before[#before + 1] = list[i + 1]
        else
            all[name] = { before, list[i + 1] }
        end
    end
    return all
end

-- without(list, name) -> list
function M.without(list, name)
    local rest = {}
    name = check_name(name)
    for i = 1, #list, 2 do
        if list[i] ~= name then
            rest[#rest + 1], rest[#rest + 2] = list[i], list[i + 1]
        end
    end
    return rest
end

-- with(list, name, value) -> list: one more.
function M.with(list, name, value)
    local all = {}
    name, value = check_name(name), check('a header field', value)
    for i = 1, #list do
        all[i] = list[i]
    end
    all[#all + 1], all[#all + 2] = name, value
    return all
end

-- set(list, name, value) -> list: this one, and no other of its name.
function M.set(list, name, value)
    return M.with(M.without(list, name), name, value)
end

-- replaced(list, name, f, each) -> list: each value of @name as f(value) gives it, or as it
-- is when that gives nil; with @each f gets the parts between commas.
function M.replaced(list, name, f, each)
    local all = {}
    name = check_name(name)
    for i = 1, #list, 2 do
        local value = list[i + 1]
        if list[i] == name and each then
            value = value:gsub('[^,]+', function(part)
                local before, text, after = part:match('^(%s*)(.-)(%s*)$')
                local new = f(text)
                return new and before .. new .. after
            end)
        elseif list[i] == name then
            value = f(value) or value
        end
        all[i], all[i + 1] = list[i], check('a header field', value)
    end
    return all
end

return M
