-- What a console session says: values as text, in the mode of the session.
--
-- YAML is, byte for byte, what users of Tarantool's console know.

local c = ...

local cut, rows_text = c.part('cut'), c.part('rows')
local lua_text = c.part('literal').text

local type, next, tostring, pcall = type, next, tostring, pcall
local format = string.format

local ANSWER_MAX = 16 * 1024 * 1024
local DEPTH_MAX = 128
local TOO_LARGE = 'the result is too large to be shown (over 16 MiB): '
    .. 'look at a part of it'

local yaml = require('yaml').new()
yaml.cfg({
    encode_invalid_numbers = true,
    encode_load_metatables = true,
    encode_use_tostring = true,
    encode_invalid_as_nil = true,
    encode_deep_as_nil = true,
})
local json = require('json').new()
json.cfg({
    encode_invalid_numbers = false,
    encode_load_metatables = true,
    encode_use_tostring = true,
    encode_invalid_as_nil = true,
    encode_deep_as_nil = true,
    encode_sparse_ratio = 0,
    encode_max_depth = DEPTH_MAX,
})
local null = yaml.NULL
local as_console = {as_console = true}

-- Whether the values are more than anybody looks at. Tables are read raw.
-- @repeated: each is written as often as it occurs.
local function is_too_large(results, repeated)
    local size, seen, depths, stack, top = 0, {}, {1}, {results}, 1
    while top > 0 do
        local t, depth = stack[top], depths[top]
        stack[top] = nil
        top = top - 1
        for k, v in next, t do
            size = size + 8 + (type(k) == 'string' and #k or 0)
                + (type(v) == 'string' and #v or 0)
            if type(v) == 'table' and not seen[v] and depth < DEPTH_MAX then
                seen[v] = not repeated or nil
                top = top + 1
                stack[top] = v
                depths[top] = depth + 1
            end
            if size > ANSWER_MAX then
                return true
            end
        end
    end
    return false
end

local function with_null(results, count)
    for i = 1, count do
        if results[i] == nil then
            results[i] = null
        end
    end
    return results
end

local M = {}

local formats = {}

function formats.yaml(results, count)
    if count == 0 then
        return '---\n...\n'
    end
    local ok, text = pcall(yaml.encode, with_null(results, count), as_console)
    if ok then
        return text
    end
    return yaml.encode({{error = 'the result cannot be shown: '
        .. tostring(text)}}, as_console)
end

function formats.lua(results, count, mode)
    return lua_text(results, count, mode.output_options == 'block')
end

-- One line: the list of the values; of an error, a map.
function formats.json(results, count, _, failed)
    if count == 0 then
        return '[]\n'
    end
    local value = with_null(results, count)
    local ok, text = pcall(json.encode, failed and value[1] or value)
    if not ok then
        text = json.encode({error = 'the result cannot be shown: '
            .. tostring(text)})
    end
    return text .. '\n'
end

function formats.table(results, count, mode)
    return rows_text(results, count, mode.cut, mode.columns)
end

--- "lua,block" -> "lua", "block"; or nil and what is wrong with it.
function M.parse(text)
    local fmt, options = text:match('^([^,]*),?(.*)$')
    if formats[fmt] == nil then
        return nil, format('Invalid format "%s", supported are: yaml, lua, '
            .. 'json and table.', fmt)
    elseif options == '' then
        return fmt, fmt == 'lua' and 'line' or nil
    elseif fmt ~= 'lua' or options ~= 'line' and options ~= 'block' then
        return nil, format('Wrong option "%s", expecting: %s.', options,
            fmt == 'lua' and 'line or block' or 'none')
    end
    return fmt, options
end

-- What a text in several lines ends with, when it stands behind a map of YAML.
local function trace_text(mode, trace)
    if #trace == 0 then
        return ''
    elseif mode.output == 'yaml' then
        return (yaml.encode({traceback = trace}, as_console):gsub('^%-%-%-\n', '')
            :gsub('\n%.%.%.\n$', '\n'):gsub('([^\n]+)', '  %1'))
    end
    return 'stack traceback:\n        ' .. table.concat(trace, '\n        ')
        .. '\n'
end

local colours = {dim = '\27[2m', red = '\27[31m', key = '\27[36m',
    word = '\27[35m', off = '\27[0m'}

local words = {[' null'] = true, [' true'] = true, [' false'] = true}

local function paint_line(line)
    if line == '---' or line == '...' then
        return colours.dim .. line .. colours.off
    end
    local head, rest = line:match('^([%s%-]*[%w_%.]+:)(.*)$')
    if head ~= nil and (rest == '' or rest:sub(1, 1) == ' ') then
        local indent, key = head:match('^([%s%-]*)(.*)$')
        head = indent .. colours.key .. key .. colours.off
    else
        head, rest = line:match('^(.*%-)( .*)$')
        if head == nil then
            return line
        end
    end
    if words[rest] then
        rest = colours.word .. rest .. colours.off
    end
    return head .. rest
end

local function paint(mode, text, failed)
    if failed then
        return (text:gsub('[^\n]+', function(line)
            return (line == '---' or line == '...') and line
                or colours.red .. line .. colours.off
        end))
    elseif mode.output == 'yaml' then
        return (text:gsub('[^\n]+', paint_line))
    end
    return text
end

-- How an answer is to look: as the session says, or as is wanted this once.
local function mode_of(state)
    local once = state.once or {}
    state.once = nil
    return {
        output = once.output or state.output,
        output_options = state.output_options,
        columns = once.columns,
        cut = state.screen and state.cut and once.cut ~= false,
    }
end

local function encode(mode, results, count, failed)
    if is_too_large(results, mode.output == 'json') then
        return formats[mode.output]({{error = TOO_LARGE}}, 1, mode, true), true
    end
    local ok, text = pcall(formats[mode.output], results, count, mode, failed)
    if ok then
        return text, failed
    end
    return formats[mode.output]({{error = 'the result cannot be shown: '
        .. tostring(text)}}, 1, mode, true), true
end

--- The text of results[1] to results[count]. @failed: they are an error, and
-- @trace the lines of where it happened.
function M.text(state, results, count, failed, trace)
    local mode, was_cut = mode_of(state), false
    if mode.cut and not failed then
        local whole = {results = results, count = count}
        results, count, was_cut = cut(results, count)
        state.whole = was_cut and whole or nil
    end
    mode.cut = mode.cut and not failed
    local text
    text, failed = encode(mode, results, count, failed)
    if trace ~= nil and mode.output == 'yaml' then
        text = text:gsub('%.%.%.\n$', '') .. trace_text(mode, trace) .. '...\n'
    elseif trace ~= nil then
        text = text .. trace_text(mode, trace)
    end
    if state.colours then
        text = paint(mode, text, failed)
    end
    if was_cut then
        text = text .. '(cut: \\all shows all)\n'
    end
    return text
end

return M
