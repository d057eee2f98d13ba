-- The commands of a console session: lines that begin with a backslash.

local c = ...

local output = c.part('output')
local read_history = c.read_history

local fiber, json = require('fiber'), require('json')
local loaded = package.loaded
local type, tonumber, tostring, next, pairs = type, tonumber, tostring, next,
    pairs
local pcall, unpack = pcall, unpack
local sort, concat, format = table.sort, table.concat, string.format
local getinfo = debug.getinfo

local HISTORY_SHOWN = 20
local TOP_SECONDS = 1
local TOP_SECONDS_MAX = 60
local RELOAD_LOOK = 0.02

local DELIMITER_MAX = 64 -- bytes

local M = {}
local set = {}

function set.output(state, value)
    local fmt, options = output.parse(value)
    if fmt == nil then
        return false, options
    end
    state.output, state.output_options = fmt, options
    state.chosen = true
    return true, true
end

function set.language(state, value)
    if value ~= 'lua' and value ~= 'admin' then
        return false, 'language: lua or admin'
    end
    state.next = value
    return true, true
end

function set.cut(state, value)
    if value ~= 'on' and value ~= 'off' then
        return false, 'cut: on or off'
    end
    state.cut = value == 'on'
    return true, true
end

-- What console.delimiter() takes, too: nil, or why it does not.
function M.set_delimiter(state, delimiter)
    if #delimiter > DELIMITER_MAX or delimiter:find('[%z\n]') then
        return format('one line of at most %d bytes is wanted', DELIMITER_MAX)
    elseif state.framed then
        return 'this console has none'
    end
    state.marker = delimiter ~= '' and delimiter or nil
end

function set.delimiter(state, value)
    local why = M.set_delimiter(state, value)
    if why ~= nil then
        return false, 'delimiter: ' .. why
    end
    return true
end

-- Rows for people: a table on a screen, unless they have said what they want.
local function rows(state, list, columns)
    state.once = {columns = columns}
    if state.screen and not state.chosen then
        state.once.output = 'table'
    end
    return true, list
end

local commands = {}

-- Names in the order of the help.
local order = {'help', 'set', 'all', 'history', 'fibers', 'top', 'modules',
    'reload', 'upgrade', 'quit'}

local USAGE_SET = '\\set output yaml|lua|json|table, \\set language lua|admin, or '
    .. '\\set cut on|off, or \\set delimiter [TEXT]'

commands.set = {
    usage = '\\set NAME VALUE',
    brief = 'output yaml|lua|json|table, language lua|admin, cut on|off, delimiter TEXT',
    text = [[
  \set output yaml        YAML, as Tarantool's console shows values (default)
  \set output lua         Lua: 1, {a = 2};   ("lua,block": a line for each field)
  \set output json        a line of JSON: the list of the values, or {"error":..}
  \set output table       rows and columns for lists of tables
  \set language lua       lines are Lua ...
  \set language admin     ... or admin commands
  \set cut on|off         on a terminal: whether large values end in "..."
  \set delimiter TEXT     an input ends with TEXT at the end of a line; without TEXT:
                          where it is complete
]],
    run = function(state, rest)
        local name, value = rest:match('^(%w+)%s*(%S*)$')
        local f = name ~= nil and set[name] or nil
        if f == nil or value == '' and name ~= 'delimiter' then
            return false, USAGE_SET
        end
        return f(state, value)
    end,
}

commands.all = {
    usage = '\\all',
    brief = 'the last value that was cut, whole',
    text = [[
A terminal shows the beginning of large values. \all shows the last one whole;
"\set cut off" has none cut.
]],
    run = function(state)
        local whole = state.whole
        if whole == nil then
            return false, 'nothing was cut'
        end
        state.whole = nil
        state.once = {cut = false}
        return true, unpack(whole.results, 1, whole.count)
    end,
}

commands.history = {
    usage = '\\history [COUNT]',
    brief = 'the last inputs',
    text = [[
The last 20 inputs, or COUNT of them, of all consoles that share the history.
]],
    run = function(state, rest)
        local count = rest == '' and HISTORY_SHOWN or tonumber(rest)
        if count == nil or count < 1 or count % 1 ~= 0 then
            return false, '\\history [COUNT]'
        elseif state.history == nil then
            return false, 'no history is kept here'
        end
        local list, err = read_history(state.history, count)
        if list == nil then
            return false, err
        end
        return true, list
    end,
}

-- "f in @app.lua at line 5" -> "app.lua:5 f"; of typed text there is no file.
local function short_place(text)
    local name, source, line = text:match('^(.-) in (.*) at line (%-?%d+)$')
    if name == nil then
        return text
    end
    local kind = source:sub(1, 1)
    source = (kind == '@' or kind == '=') and source:sub(2) or '(text)'
    return format('%s:%s %s', source, line, name)
end

local function place_of(trace)
    for i = 1, #trace do
        local place = trace[i].L
        if place ~= nil and not place:find(' in =neap/', 1, true) then
            return short_place(place)
        end
    end
    return trace[1] and short_place(trace[1].L or trace[1].C) or ''
end

commands.fibers = {
    usage = '\\fibers',
    brief = 'the fibers of this state',
    text = [[
The fibers of this state but for the console's: number, name, status, how often
they were switched to, the memory of their stack, and where they are.
]],
    run = function(state)
        local list, self = {}, fiber.id()
        for id, info in pairs(fiber.info()) do
            if id ~= self then
                list[#list + 1] = {
                    id = id,
                    name = info.name,
                    status = info.status,
                    switches = info.csw,
                    memory = info.memory and info.memory.used,
                    at = place_of(info.backtrace or {}),
                }
            end
        end
        sort(list, function(a, b) return a.id < b.id end)
        return rows(state, list, {'id', 'name', 'status', 'switches',
            'memory', 'at'})
    end,
}

-- What is measured is measured for all: the last one who looks ends what the first began.
local looking, begun_here = 0, false

local function begin_measuring()
    if looking == 0 then
        begun_here = not pcall(fiber.top)
        fiber.top_enable()
    end
    looking = looking + 1
end

local function end_measuring()
    looking = looking - 1
    if looking == 0 and begun_here then
        fiber.top_disable()
    end
end

-- fiber.top() before and behind @seconds; or nil and an error.
local function measure(seconds)
    begin_measuring()
    local ok, before, after = pcall(function()
        local first = fiber.top().cpu
        fiber.sleep(seconds)
        return first, fiber.top().cpu
    end)
    end_measuring()
    if not ok then
        return nil, before
    end
    return before, after
end

commands.top = {
    usage = '\\top [SECONDS]',
    brief = 'who uses the processor',
    text = [[
Measures for a second, or SECONDS, and shows the fibers by what they have used of
it: percent, seconds, slices, and how often they were made to give way.
]],
    run = function(state, rest)
        local seconds = rest == '' and TOP_SECONDS or tonumber(rest)
        if seconds == nil or not (seconds > 0 and seconds <= TOP_SECONDS_MAX) then
            return false, format('\\top [SECONDS], at most %d',
                TOP_SECONDS_MAX)
        end
        local before, after = measure(seconds)
        if before == nil then
            return false, after
        end
        local list = {}
        for name, t in pairs(after) do
            local b = before[name] or {time = 0, slices = 0, preempted = 0}
            list[#list + 1] = {
                fiber = name,
                percent = (t.time - b.time) / seconds * 100,
                seconds = t.time - b.time,
                slices = t.slices - b.slices,
                preempted = t.preempted - b.preempted,
            }
        end
        sort(list, function(a, b) return a.seconds > b.seconds end)
        for _, row in next, list do
            row.percent = tonumber(format('%.1f', row.percent))
            row.seconds = tonumber(format('%.6f', row.seconds))
        end
        return rows(state, list, {'fiber', 'percent', 'seconds', 'slices',
            'preempted'})
    end,
}

local function source_of_function(f)
    local info = getinfo(f, 'S')
    if info.short_src:find('^%[builtin') or info.source:find('^=neap/') then
        return 'neap'
    elseif info.what == 'C' then
        return 'C'
    end
    return info.source:match('^@(.*)') or info.short_src
end

-- Where a module is from: a file if one of its functions is from one. Nothing of
-- its own is called.
local function source_of(value)
    if type(value) == 'function' then
        return source_of_function(value)
    elseif type(value) ~= 'table' then
        return ''
    end
    local found = ''
    for _, v in next, value do
        local source = type(v) == 'function' and source_of_function(v) or ''
        if source ~= '' and source ~= 'C' and source ~= 'neap' then
            return source
        elseif source == 'neap' or found == '' then
            found = source
        end
    end
    return found
end

commands.modules = {
    usage = '\\modules',
    brief = 'what was loaded: Lua modules and C modules',
    text = [[
The modules in package.loaded, with the file of their functions, and the C
modules of cmod.load().
]],
    run = function(state)
        local list = {}
        for name, value in next, loaded do
            list[#list + 1] = {kind = 'lua', name = tostring(name),
                from = source_of(value)}
        end
        if loaded.cmod ~= nil then
            for _, m in next, require('cmod').list() do
                list[#list + 1] = {kind = 'cmod', name = m.path,
                    from = m.file or '', state = m.state}
            end
        end
        sort(list, function(a, b)
            if a.kind ~= b.kind then
                return a.kind > b.kind
            end
            return a.name < b.name
        end)
        return rows(state, list, {'kind', 'name', 'from', 'state'})
    end,
}

-- What has come of what was @asked for, as a table with its number under @name.
local function wait_for(name, asked, err)
    if asked == nil then
        return false, tostring(err)
    end
    local done, what = c.reload_state(asked)
    while done == nil do
        fiber.sleep(RELOAD_LOOK)
        done, what = c.reload_state(asked)
    end
    return done, done and {[name] = what} or what
end

commands.reload = {
    usage = '\\reload',
    brief = 'read the configuration and the scripts again',
    text = [[
A configured server (`neap server.yaml`) reads its configuration and all scripts
again and starts them aside; when they serve, those before end with the work
they have, this console among it. What cannot be started changes nothing, and
the answer says why.

A script without a configuration is not reloaded: what it has started would
remain beside what the new one starts. A single module: package.loaded[NAME] =
nil, then require(NAME). C modules: cmod's live modules notice that their files
have changed.
]],
    run = function()
        return wait_for('generation', c.reload())
    end,
}

commands.upgrade = {
    usage = '\\upgrade',
    brief = 'have a new process of the program take the place of this one',
    text = [[
A configured server (`neap server.yaml`) starts its program again, as it was started,
and hands its listening sockets over; when the new process serves, this one ends with
the work it has, this console among it. What cannot be started changes nothing, and
the answer says why.
]],
    run = function()
        return wait_for('process', c.upgrade())
    end,
}

commands.quit = {
    usage = '\\quit, \\q',
    brief = 'leave the console',
    text = [[
On a terminal that ends the program, of a remote console the connection.
]],
}

commands.help = {
    usage = '\\help [COMMAND]',
    brief = 'this text, or that of a command',
    text = 'The commands, or what one of them does.\n',
    run = function(_, rest)
        if rest ~= '' then
            local found = commands[rest:gsub('^\\', '')
                :gsub('^q$', 'quit')]
            if found == nil then
                return false, format('there is no command %s', rest)
            end
            return true, found.usage .. '\n\n' .. found.text
        end
        local lines = {'Lua is evaluated line by line; an expression shows '
            .. 'its values.\n'}
        for i = 1, #order do
            local h = commands[order[i]]
            lines[#lines + 1] = format('  %-18s %s', h.usage, h.brief)
        end
        return true, concat(lines, '\n') .. '\n'
    end,
}

--- The command of this name, or nil.
function M.find(name)
    local found = commands[name]
    return found ~= nil and found.run ~= nil and found or nil
end

--- What can stand behind a backslash, for completion.
M.words = {}
for i = 1, #order do
    if order[i] ~= 'set' then
        M.words[#M.words + 1] = '\\' .. order[i]
    end
end
for _, name in next, {'cut off', 'cut on', 'delimiter', 'language admin', 'language lua',
        'output json', 'output lua', 'output table', 'output yaml'} do
    M.words[#M.words + 1] = '\\set ' .. name
end

--- For whoever adds a language.
M.languages = set

return M
