-- The Lua half of a console session: lines to chunks, values to text.
--
-- Answers are, byte for byte, what users of Tarantool's console know.
local c = ...

local loadstring, pcall, select = loadstring, pcall, select
local next, type, tostring = next, type, tostring
local format = string.format
local yaml = require('yaml').new()
yaml.cfg({
    encode_invalid_numbers = true,
    encode_load_metatables = true,
    encode_use_tostring = true,
    encode_invalid_as_nil = true,
    encode_deep_as_nil = true,
    encode_sparse_ratio = 0,
})
local null = yaml.NULL
local lua_text = c.lua_text
local INPUT_MAX = c.input_max
local ANSWER_MAX = 16 * 1024 * 1024
local TOO_LARGE = 'the result is too large to be shown (over 16 MiB): '
    .. 'look at a part of it'

local HELP = [[
Lua is evaluated line by line; an expression shows its values.

  \help                   this text
  \set output yaml|lua    how values are shown
  \set language lua|admin the language of the lines: Lua, or admin commands
  \quit, \q               leave the console
]]

-- Whether the values are more than anybody looks at. Tables are read raw.
local function is_too_large(results)
    local size, seen, stack, top = 0, {}, { results }, 1
    while top > 0 do
        local t = stack[top]
        stack[top] = nil
        top = top - 1
        for k, v in next, t do
            size = size + 8 + (type(k) == 'string' and #k or 0)
                + (type(v) == 'string' and #v or 0)
            if type(v) == 'table' and not seen[v] then
                seen[v] = true
                top = top + 1
                stack[top] = v
            end
            if size > ANSWER_MAX then
                return true
            end
        end
    end
    return false
end

local function yaml_text(results, count)
    if count == 0 then
        return '---\n...\n'
    end
    for i = 1, count do
        if results[i] == nil then
            results[i] = null
        end
    end
    local ok, text = pcall(yaml.encode, results)
    if ok then
        return text
    end
    return yaml.encode({ { error = 'the result cannot be shown: '
        .. tostring(text) } })
end

local formats = {
    yaml = yaml_text,
    lua = lua_text,
}

local function answer(state, ok, ...)
    local results, count = { ... }, select('#', ...)
    if not ok then
        local err = ...
        if err == nil then
            err = null
        end
        results, count = { { error = err } }, 1
    end
    if is_too_large(results) then
        results, count = { { error = TOO_LARGE } }, 1
    end
    return formats[state.output](results, count)
end

-- A syntax error that further lines may mend: all but a string that its line
-- should have closed.
local function ends_early(err)
    return err:find(" near '<eof>'", 1, true) ~= nil
        and err:find('unfinished string', 1, true) == nil
end

-- A chunk; or nil and its error, with true when more lines may mend it.
local function compile(text)
    local shown = text:match('^%s*=(.*)$')
    if shown ~= nil then
        text = shown
    end
    local chunk, first = loadstring('return ' .. text)
    if chunk ~= nil then
        return chunk
    end
    local err
    chunk, err = loadstring(text)
    if chunk ~= nil then
        return chunk
    end
    return nil, err, ends_early(err) or ends_early(first)
end

local set = {}

function set.output(state, value)
    if formats[value] == nil then
        return false, 'output: yaml or lua'
    end
    state.output = value
    return true, true
end

function set.language(_, value)
    if value ~= 'lua' and value ~= 'admin' then
        return false, 'language: lua or admin'
    end
    return true, true, value
end

local commands = {}

function commands.help()
    return true, HELP
end

function commands.set(state, rest)
    local name, value = rest:match('^(%w+)%s+(%S+)$')
    local f = name ~= nil and set[name] or nil
    if f == nil then
        return false, '\\set output yaml|lua, or \\set language lua|admin'
    end
    return f(state, value)
end

-- A line that begins with a backslash. Returns text and an action.
local function command(state, line)
    local name, rest = line:match('^\\(%w*)%s*(.-)%s*$')
    if (name == 'q' or name == 'quit') and rest == '' then
        return '', 'leave'
    end
    local f = commands[name]
    if f == nil then
        return answer(state, false, format(
            'Invalid command %s. Type \\help for help.', line))
    end
    local ok, result, language = f(state, rest)
    return answer(state, ok, result), language
end

local M = {}

--- The state of a session.
function M.new()
    return { output = 'yaml' }
end

--- Deal with an input, or as much of one as there is; @at_end: no more will come.
-- Returns the text of the answer, the input when it was complete, and 'more' or
-- 'leave' when that is what comes next. Runs in a fiber of its own and waits as
-- long as the user's code does.
function M.step(state, text, at_end)
    if text:find('^%s*\\') then
        text = text:match('^%s*(.*)$')
        local out, action = command(state, text)
        return out, text, action
    elseif #text > INPUT_MAX then
        return answer(state, false, format(
            'input of %d bytes: at most %d are taken', #text, INPUT_MAX))
    end
    local chunk, err, unfinished = compile(text)
    if chunk ~= nil then
        return answer(state, pcall(chunk)), text
    elseif unfinished and not at_end then
        return '', nil, 'more'
    end
    return answer(state, false, err), text
end

return M
