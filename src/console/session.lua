-- The Lua half of a console session: lines to chunks, and what becomes of them.
--
-- What is shown of a value is made in output.lua, a line that begins with a
-- backslash is dealt with in session_commands.lua.

local c = ...

local output, commands = c.part('output'), c.part('session_commands')
local settings = c.part('settings')
local INPUT_MAX = c.input_max

local loadstring, loadfile, pcall, xpcall = loadstring, loadfile, pcall, xpcall
local select, tostring, type = select, tostring, type
local getinfo = debug.getinfo
local format, max = string.format, math.max
local fiber_id = require('fiber').id
local null = require('yaml').NULL

local FRAMES_MAX = 64 -- looked at
local FRAMES_SHOWN = 20

-- The sessions whose lines are being evaluated, by their fiber.
local running = {}

local function frame_text(info)
    local place = info.currentline > 0
        and info.short_src .. ':' .. info.currentline .. ':'
        or info.short_src .. ':'
    if info.what == 'main' then
        return place .. ' in main chunk'
    elseif info.name ~= nil then
        return format("%s in function '%s'", place, info.name)
    end
    return format('%s in function <%s:%d>', place, info.short_src,
        info.linedefined)
end

-- The marker below which nothing is the user's.
local evaluate

-- Where an error happens that has just been thrown: a list of lines, without
-- frames of our own, C functions that those have called, and ones that have no name.
local function place_of_error()
    local lines, bottom, last = {}, nil, 0 -- that is of Lua
    for level = 3, FRAMES_MAX do
        local info = getinfo(level, 'Snlf')
        if info == nil then
            break
        elseif info.func == evaluate then
            bottom = true
            lines[max(#lines, last + 1)] = nil -- xpcall
            break
        elseif info.source:find('^=neap/') then
            for i = #lines, last + 1, -1 do
                lines[i] = nil
            end
        elseif info.what ~= 'C' then
            lines[#lines + 1] = frame_text(info)
            last = #lines
        elseif info.name ~= nil then
            lines[#lines + 1] = frame_text(info)
        end
    end
    if not bottom or #lines > FRAMES_SHOWN then
        for i = #lines, FRAMES_SHOWN, -1 do
            lines[i] = nil
        end
        lines[#lines + 1] = '...'
    end
    return lines
end

-- With it as the handler of errors the value is not changed.
local function tracer()
    local trace = {}
    return function(err)
        local ok, lines = pcall(place_of_error)
        trace.lines = ok and lines or nil
        return err
    end, trace
end

local function keep(...)
    return ...
end

function evaluate(chunk, handler)
    if handler == nil then
        return pcall(chunk)
    end
    return keep(xpcall(chunk, handler)) -- no tail call: see place_of_error()
end

local function answer(state, trace, ok, ...)
    local results, count = {...}, select('#', ...)
    if not ok then
        local err = ...
        if err == nil then
            err = null
        end
        results, count = {{error = err}}, 1
    end
    return output.text(state, results, count, not ok, trace and trace.lines), ok
end

local function run(state, chunk)
    local handler, trace
    if state.screen then
        handler, trace = tracer()
    end
    return answer(state, trace, evaluate(chunk, handler))
end

-- A syntax error that further lines may mend: all but a string that its line
-- should have closed.
local function ends_early(err)
    return err:find(" near '<eof>'", 1, true) ~= nil
        and err:find('unfinished string', 1, true) == nil
end

local function without_first(_, ...)
    return ...
end

-- An expression whose call is no tail call, since that would have no frame: another value is
-- before its own. nil: there is no room for one.
local function compile_traced(text, source)
    local chunk = loadstring('return nil, ' .. text, source)
    return chunk and function()
        return without_first(chunk())
    end
end

-- A chunk; or nil and its error, with true when more lines may mend it. @traced: errors have
-- a frame of it.
local function compile(text, traced)
    local shown = text:match('^%s*=(.*)$')
    if shown ~= nil then
        text = shown
    end
    local source = 'return ' .. text
    local chunk, first = loadstring(source)
    if chunk ~= nil then
        return traced and compile_traced(text, source) or chunk
    end
    local err
    chunk, err = loadstring(text)
    if chunk ~= nil then
        return chunk
    end
    return nil, err, ends_early(err) or ends_early(first)
end

-- A line that begins with a backslash. Returns text, what comes next and whether
-- it went well.
local function command(state, line)
    local name, rest = line:match('^\\(%w*)%s*(.-)%s*$')
    if (name == 'q' or name == 'quit') and rest == '' then
        return '', 'leave', true
    end
    local f = commands.find(name)
    if f == nil then
        return answer(state, nil, false, format(
            'Invalid command %s. Type \\help for help.', line))
    end
    local text, ok = answer(state, nil, f.run(state, rest))
    local next_step = state.next
    state.next = nil
    return text, next_step, ok
end

local M = {}

--- Are further lines wanted?
function M.is_unfinished(text)
    local chunk, _, unfinished = compile(text)
    return chunk == nil and unfinished
end

-- What the C half wants to know of the session after an input.
local function outcome(state, text, entry, next_step, ok)
    local remote = state.remote
    return text, entry, next_step, not ok, state.marker,
        state.prompt, remote ~= nil and (remote.is_admin and 'admin' or true)
end

-- Of a session whose lines go elsewhere.
local function step_there(state, text, at_end)
    local client = c.part('client')
    if not at_end and not text:find('^%s*\\') then
        local unfinished
        if state.remote.is_admin then
            unfinished = client.is_unfinished(state, text)
        else
            unfinished = M.is_unfinished(text)
        end
        if unfinished then
            return '', nil, 'more'
        end
    end
    return outcome(state, client.ask(state, text))
end

local function step(state, text, at_end)
    if state.remote ~= nil and not text:find('^%s*\\history') then
        return step_there(state, text, at_end)
    elseif text:find('^%s*\\') then
        local line = text:match('^%s*(.*)$')
        local out, next_step, ok = command(state, line)
        return outcome(state, out, line, next_step, ok)
    elseif #text > INPUT_MAX then
        return outcome(state, (answer(state, nil, false, format(
            'input of %d bytes: at most %d are taken', #text, INPUT_MAX))))
    end
    local chunk, err, unfinished = compile(text, state.screen)
    if chunk == nil and unfinished and not at_end then
        return '', nil, 'more'
    end
    local out, ok
    if chunk ~= nil then
        out, ok = run(state, chunk)
    else
        out, ok = answer(state, nil, false, err)
    end
    return outcome(state, out, text, nil, ok)
end

-- Sessions begin with what console.on_start() was given.
local function start(state)
    state.started = true
    if settings.on_start == nil or state.remote ~= nil then
        return ''
    end
    local hook = settings.on_start
    local text, ok = run(state, function()
        hook(state.object)
    end)
    return ok and '' or text
end

--- The state of a session.
function M.new()
    local state = {
        output = settings.output,
        output_options = settings.output_options,
        cut = true,
        no_completion = settings.no_completion,
        object = {},
    }
    if settings.adopt ~= nil then
        c.part('client').use(state, settings.adopt, true)
        settings.adopt = nil
    end
    return state
end

local function enter(state, f, ...)
    local id = fiber_id()
    running[id] = state
    return (function(...)
        running[id] = nil
        return ...
    end)(f(state, ...))
end

--- Begin a session; @init: a file to be run, or "".
function M.begin(state, init)
    return enter(state, function()
        local text = start(state)
        if init ~= '' and state.remote == nil then
            local chunk, err = loadfile(init)
            local out, ok
            if chunk ~= nil then
                out, ok = run(state, chunk)
            else
                out, ok = answer(state, nil, false, err)
            end
            text = text .. (ok and '' or out)
        end
        return outcome(state, text, nil, nil, true)
    end)
end

--- Deal with an input, or as much of one as there is; @at_end: no more will come.
-- Returns what session.c says. Runs in a fiber of its own and waits as long as the
-- user's code does.
function M.step(state, text, at_end)
    if state.started then
        return enter(state, step, text, at_end)
    end
    return enter(state, function()
        local before = start(state)
        return (function(out, ...)
            return before .. out, ...
        end)(step(state, text, at_end))
    end)
end

--- What could come next in a line that goes elsewhere: how many bytes of its end are
-- replaced, and the candidates, a zero byte behind each.
function M.complete_there(state, text)
    return state.remote:complete(text)
end

--- The session that the running fiber evaluates for, or nil.
function M.current()
    return running[fiber_id()]
end

return M
