-- What the application layer and tests use of states (require 'neap.states',
-- which is no public module): functions registered in the shared state and in the
-- workers' own, and requests that call them. See doc/internals/states.md.

local c = ...

local usage = c.usage
local call_new, call_start, call_end = c.call_new, c.call_start, c.call_end
local request_new, request_end = c.request_new, c.request_end

local error, ipairs, pairs, pcall, type = error, ipairs, pairs, pcall, type
local require, select, tostring, unpack = require, select, tostring, unpack
local concat, insert, sort = table.concat, table.insert, table.sort
local getinfo, getmetatable = debug.getinfo, debug.getmetatable

-- id: 0 is the shared state, else the worker's number. count: of workers.
-- generation: of a configured server, from 1; else 0.
local M = {id = c.id, count = c.count, generation = c.generation}

-- register(kind, name, f, [note], [again]): in the slot of this state. Again: with a
-- warning that tells the place of @again, or @f, unless that is false; the new one counts.
function M.register(kind, name, f, note, again)
    if type(f) ~= 'function' then
        usage(('register(kind, name, f): a function is wanted, not %s')
            :format(type(f)))
    end
    c.register(kind, name, f, note, again)
end

local request = {
    set_priv = c.set_priv, -- set_priv(value): any value; of this state alone
    get_priv = c.get_priv, -- get_priv() -> value
    set_var = c.set_var,   -- set_var(name, string | number | boolean | nil)
    get_var = c.get_var,   -- get_var(name) -> value
    is_over = c.is_over,   -- is_over() -> boolean
}

-- call(kind, name, ...) -> its results: the function gets the object of this
-- request in its state, and copies of the arguments. Throws what it throws.
function request:call(kind, name, ...)
    local call = call_new(self, kind, name, ...)
    return call_end(call, call_start(call))
end

-- The same in two steps: what the first one throws has not been called.
-- start_call(request, kind, name, ...) -> call, status; end_call(call, status) -> results
function M.start_call(...)
    local call = call_new(...)
    return call, call_start(call)
end
M.end_call = call_end

c.set_methods(request)

local function ending(owner, ok, ...)
    request_end(owner)
    if not ok then
        error((...), 0)
    end
    return ...
end

-- request_new() -> owner, request; request_end(owner).
M.request_new, M.request_end = request_new, request_end

-- with_request(f, ...) -> what f(request, ...) returns; then it is over.
function M.with_request(f, ...)
    local owner, r = request_new()
    return ending(owner, pcall(f, r, ...))
end

local inits, tasks = {}, {}
local started = c.is_started()

local function check_late(what)
    if started then
        usage(('%s: too late, this state has been started'):format(what))
    end
end

-- init(f): called once when all states are loaded, first in the shared state,
-- then in the workers. May wait.
function M.init(f)
    check_late('init(f)')
    insert(inits, f)
end

-- task(f, ...): a fiber of this state that begins when all are initialized.
function M.task(f, ...)
    if type(f) ~= 'function' then
        usage(('task(f, ..): a function is wanted, not %s'):format(type(f)))
    end
    if started then
        c.start_task(f, ...)
    else
        insert(tasks, {n = select('#', ...) + 1, f, ...})
    end
end

M.declare_var = c.declare_var -- declare_var(name): the configuration names one of proc.
M.counts = c.counts -- counts() -> requests, contexts, sessions alive in the process

-- The variables of a connection, see session_object.c.
M.session_of, M.session_get, M.session_set = c.session_of, c.session_get, c.session_set
M.session_end, M.session_attach = c.session_end, c.session_attach

-- What a state is made of, line by line: what its globals and loaded modules
-- are, which functions, where they look for modules, its limits. Left out is
-- what tells the states apart: numbers of workers.
local function describe(v)
    local kind = type(v)
    if kind == 'function' then
        local info = getinfo(v, 'S')
        return info.what == 'C' and 'C function'
            or ('function %s:%d'):format(info.short_src, info.linedefined)
    elseif kind == 'string' or kind == 'number' or kind == 'boolean' then
        return ('%s %s'):format(kind, tostring(v))
    end
    return kind
end

-- A line is text without zero bytes.
local function code(char)
    return ('\\%d'):format(char:byte())
end

local function walk(t, path, seen, lines)
    if seen[t] then
        lines[#lines + 1] = path .. ' = ' .. seen[t]
        return
    end
    seen[t] = path
    local keys, values = {}, {}
    for k, v in pairs(t) do
        if k == 'thread' and t == package.loaded.core then
            v = nil -- which is what tells the states apart
        end
        local name = type(k) == 'string' and k:gsub('[%c%z]', code)
            or describe(k)
        keys[#keys + 1] = name
        values[name] = v
    end
    sort(keys)
    for _, name in ipairs(keys) do
        local v, here = values[name], path .. '.' .. name
        lines[#lines + 1] = here .. ' ' .. describe(v)
        if type(v) == 'table' then
            walk(v, here, seen, lines)
        end
        local mt = getmetatable(v)
        if type(mt) == 'table' and seen[mt] == nil and type(v) ~= 'string' then
            walk(mt, here .. '<metatable>', seen, lines)
        end
    end
end

function M.fingerprint()
    local lines = {}
    local seen = {[M] = 'neap.states'}
    local neap = package.loaded.neap
    if neap then
        seen[neap.worker] = 'neap.worker'
    end
    walk(_G, '_G', seen, lines)
    walk(getmetatable(''), '<string>', seen, lines)
    for _, line in ipairs(c.limits()) do
        lines[#lines + 1] = line
    end
    return concat(lines, '\n')
end

-- The steps of the start, called from loading.c.

local step = {}

-- Compare with the state that came first.
function step.alike()
    local own = M.fingerprint()
    local first = c.note_fingerprint(own)
    if first == own then
        return
    end
    local lines, n = {}, 0
    for line in first:gmatch('[^\n]+') do
        lines[#lines + 1] = line
    end
    for line in own:gmatch('[^\n]+') do
        n = n + 1
        if line ~= lines[n] then
            error(('this state differs from another: %s, there %s')
                :format(line, tostring(lines[n])), 0)
        end
    end
    error('this state has less than another: ' .. lines[n + 1], 0)
end

-- What is wrong with the configuration is told as it stands, a line each.
local function tell(problems)
    if problems ~= nil then
        c.refuse(problems)
    end
end

-- Whether it could be read; what it throws is thrown.
local function load_file(path, args, place)
    local chunk, err, unreadable = c.load(path, place ~= nil)
    if chunk == nil and unreadable and place then
        tell(place .. ': ' .. err)
        return false
    elseif chunk == nil then
        error(err, 0)
    elseif args == nil then
        chunk(path)
        return true
    end
    local before = _G.arg
    _G.arg = {[0] = path, unpack(args)}
    chunk(unpack(args))
    _G.arg = before
    return true
end

function step.globals()
    _G.core, _G.act = require('core'), require('neap.act').script
    _G.filter = require('neap.filter').script
    for name, class in pairs(require('neap.core_tools').classes) do
        _G[name] = class
    end
end

function step.load(...)
    if M.id == 0 and require('neap.config').tree() then
        require('neap.server') -- which serves visits; no file of the application has run
    end
    for i = 1, select('#', ...) do
        local file = select(i, ...)
        if not load_file(file.path, file.args, file.place) then
            return
        end
    end
end

function step.check()
    tell(require('neap.server').check())
end

function step.serve()
    tell(require('neap.server').start())
    local opener = c.opener()
    if opener then
        require(opener).open()
    end
end

function step.serving()
    require('neap.server').serving()
end

function step.init()
    for _, f in ipairs(inits) do
        f()
    end
    inits = {}
end

function step.start()
    started = true
    for _, task in ipairs(tasks) do
        c.start_task(unpack(task, 1, task.n))
    end
    tasks = {}
end

-- Around each function that is called: its results are packed inside its fiber,
-- by its time.
local finish = c.finish

local function serve(f, ...)
    finish(f(...))
end

c.set_steps(serve, step)

return M
