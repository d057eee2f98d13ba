-- Values as Lua literals: the output mode `lua` of the console.

local c = ...

local settings = c.part('settings')

local type, tostring, tonumber = type, tostring, tonumber
local next, rawget, error = next, rawget, error
local concat, sort, format = table.concat, table.sort, string.format
local getmetatable = debug.getmetatable

local M = {}

local DEPTH_MAX = 128
local SIZE_MAX = 16 * 1024 * 1024

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local
    nil not or repeat return then true until while]]):gmatch('%a+') do
    keywords[word] = true
end

local function number_text(v)
    if v ~= v then
        return '0/0'
    elseif v == math.huge then
        return '1/0'
    elseif v == -math.huge then
        return '-1/0'
    elseif v % 1 == 0 and v >= -2^53 and v <= 2^53 then
        return format('%d', v)
    end
    for precision = 14, 17 do -- the shortest that reads as the same number
        local text = format('%.' .. precision .. 'g', v)
        if tonumber(text) == v then
            return text
        end
    end
end

local escapes = {
    ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t', ['\\'] = '\\\\',
    ['"'] = '\\"',
}

local function escape(ch)
    return escapes[ch] or format('\\%03d', ch:byte())
end

local function string_text(v)
    return '"' .. v:gsub('[%c\\"]', escape) .. '"'
end

local function is_wide(v)
    return type(v) == 'cdata' and tostring(v):find('^-?%d+U?LL$') ~= nil
end

local function key_text(k)
    if type(k) == 'string' then
        if k:find('^[%a_][%w_]*$') and not keywords[k] then
            return k
        end
        return '[' .. string_text(k) .. ']'
    elseif type(k) == 'number' then
        return '[' .. number_text(k) .. ']'
    elseif type(k) == 'boolean' or is_wide(k) then
        return '[' .. tostring(k) .. ']'
    end
    return '[' .. string_text(tostring(k)) .. ']'
end

-- Numbers first, then names: the same table always looks the same.
local function before(a, b)
    local ta, tb = type(a), type(b)
    if ta ~= tb then
        return ta == 'number' or (tb ~= 'number' and ta < tb)
    elseif ta == 'number' or ta == 'string' then
        return a < b
    end
    return tostring(a) < tostring(b)
end

M.before = before

local put

local function new_line(out, depth)
    if out.block then
        out:put('\n' .. ('  '):rep(depth))
    end
end

local function put_table(out, v, depth, open)
    if open[v] then
        out:put('"table: it contains itself"')
        return
    elseif depth > DEPTH_MAX then
        out:put('"..."')
        return
    end
    local keys, count = {}, 0
    for k in next, v do
        count = count + 1
        keys[count] = k
    end
    local is_array = true
    for i = 1, count do
        is_array = is_array and rawget(v, i) ~= nil
    end
    if not is_array then
        sort(keys, before)
    end
    open[v] = true
    out:put('{')
    for i = 1, count do
        if i > 1 then
            out:put(out.block and ',' or ', ')
        end
        new_line(out, depth)
        if is_array then
            put(out, rawget(v, i), depth + 1, open)
        else
            out:put(key_text(keys[i]) .. ' = ')
            put(out, rawget(v, keys[i]), depth + 1, open)
        end
        if out.size > SIZE_MAX then -- by strings, and escapes in them
            error('the result is too large to be shown', 0)
        end
    end
    if count > 0 then
        new_line(out, depth - 1)
    end
    out:put('}')
    open[v] = nil
end

function put(out, v, depth, open)
    local kind = type(v)
    if kind == 'nil' or kind == 'boolean' then
        out:put(tostring(v))
    elseif kind == 'number' then
        out:put(number_text(v))
    elseif kind == 'string' then
        out:put(string_text(v))
    elseif kind == 'cdata' then
        local text = tostring(v)
        out:put(is_wide(v) and text
            or text:find('NULL$') and 'nil' or string_text(text))
    elseif kind ~= 'table' then
        out:put(string_text(tostring(v)))
    else
        local meta = getmetatable(v)
        local f = type(meta) == 'table' and rawget(meta, '__serialize')
        if type(f) == 'function' then
            put(out, f(v), depth + 1, open)
        else
            put_table(out, v, depth, open)
        end
    end
end

local function append(out, text)
    local n = out.count + 1
    out.count = n
    out.size = out.size + #text
    out[n] = text
end

--- The text of results[1] to results[count]: "1, {a = 2};". @block: tables have
-- a line for each of their fields.
function M.text(results, count, block)
    local out = {count = 0, size = 0, put = append, block = block}
    for i = 1, count do
        if i > 1 then
            out:put(', ')
        end
        put(out, results[i], 1, {})
    end
    out:put(settings.eos .. '\n')
    return concat(out, '', 1, out.count)
end

--- The text of one value.
function M.value(v)
    local out = {count = 0, size = 0, put = append}
    put(out, v, 1, {})
    return concat(out, '', 1, out.count)
end

return M
