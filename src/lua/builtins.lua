-- What the server changes in Lua's own functions, so that a fiber may wait
-- anywhere: inside the user's coroutines, and while a module is loaded.

--- The page `lua`: what differs in Lua's own functions.
--
-- The language is LuaJIT's: Lua 5.1 with the extensions its own documentation
-- lists. Lua's C modules load as everywhere. What is named here is provided
-- anew, so that a fiber may wait in places where plain Lua could not be put
-- aside; arguments and results are the same.

local c = ...

local park_mark, unpark, note_trace = c.park_mark, c.unpark, c.note_trace
local preempt_mark, preempted = c.preempt_mark, c.preempted
local traceback = debug.traceback
local resume, yield, create = coroutine.resume, coroutine.yield, coroutine.create
local isyieldable, running = coroutine.isyieldable, coroutine.running
local is_own, stack_is_low = c.is_own, c.stack_is_low
local error, type, setmetatable = error, type, setmetatable

-- Coroutines that wait inside a fiber, and those of fibers themselves that the
-- user has got hold of: nobody else may resume them.
local waiting = setmetatable({}, { __mode = 'k' })

-- Coroutines inside each other on the C stack, about: an error in the wrong
-- moment may leave it too high, so it only says when to look at the stack.
local depth, DEPTH_SURE = 0, 150

-- A coroutine that gives the park mark waits: so does the whole fiber. What
-- the fiber is woken with goes in, and nobody in between sees anything.
local settle

local function go_on(co, ...)
    waiting[co] = nil
    depth = depth + 1
    return settle(co, resume(co, ...))
end

function settle(co, ok, ...)
    depth = depth - 1
    if ok and (...) == park_mark then
        if not isyieldable() then
            return go_on(co, unpark())
        end
        waiting[co] = true
        return go_on(co, yield(park_mark))
    elseif ok and ((...) == preempt_mark or (...) == nil and preempted(co)) then
        -- It was made to give way: so is all of the fiber, if it can.
        if isyieldable() then
            waiting[co] = true
            yield(preempt_mark)
        end
        return go_on(co)
    end
    return ok, ...
end

local function enter(co, ...)
    if waiting[co] then
        return false, 'cannot resume a coroutine that waits in a fiber'
    elseif depth > DEPTH_SURE and stack_is_low() then
        return false, 'C stack overflow: too many coroutines in each other'
    end
    depth = depth + 1
    return settle(co, resume(co, ...))
end

-- Who cleans up inside @co waits for it also when the fiber is over a limit.
c.firm(go_on)
c.firm(settle)
c.firm(enter)

--- coroutine.resume(co, ...) -> true, ... | false, err
-- Resume @co. A wait inside @co (a sleep, a channel) parks the whole fiber, and
-- @co goes on behind it: the caller sees only what @co yields itself. While it
-- waits so, another fiber that resumes it gets false and an error.
-- Yields: when @co waits.
function coroutine.resume(co, ...)
    if type(co) ~= 'thread' then
        return resume(co) -- throws
    end
    return enter(co, ...)
end

-- An error that passes through one of our functions would lose the traceback of
-- where it began: it is noted, for the report if nobody catches the error. One
-- that passes through several is noted piece by piece.
local getinfo = debug.getinfo

local function is_ours(info)
    return info ~= nil and info.source == '=neap/builtins.lua'
end

local function raise_or_return(co, ok, ...)
    if not ok then
        note_trace((...), traceback(co, ''), is_ours(getinfo(co, 1, 'S')))
        error((...), 0)
    end
    return ...
end

--- coroutine.wrap(f) -> function
-- A function that resumes a coroutine made of @f, with waits as in
-- `coroutine.resume()`. Yields: no; the function it gives: when @f waits.
function coroutine.wrap(f)
    local co = create(f)
    return function(...)
        return raise_or_return(co, enter(co, ...))
    end
end

local function own_is_not_resumed(co, ...)
    if co ~= nil and is_own(co) then
        waiting[co] = true
    end
    return co, ...
end

--- coroutine.running() -> coroutine
-- The running coroutine, that of the fiber itself included; that one cannot be
-- resumed by others. Yields: no.
function coroutine.running()
    return own_is_not_resumed(running())
end

-- require() in Lua: a module's top level may wait.
local package, tostring, concat = package, tostring, table.concat
local pcall, xpcall = pcall, xpcall
local loaded, loading = package.loaded, {}

local load_fiber, fiber_id = package.preload.fiber, c.fiber_id

-- Which module's end a fiber waits for.
local wanted = {}

-- Modules of ours that files go before, but for the script itself, which wants to
-- test with `tap` when it is called tap.lua.
local behind_files, is_same_file = c.behind_files, c.is_same_file

local function is_in_a_file(name)
    local path, script = package.searchpath(name, package.path), arg and arg[0]
    return path ~= nil and not (script ~= nil and is_same_file(path, script))
end

table.insert(package.loaders, 2, function(name)
    return behind_files[name] ~= nil and not is_in_a_file(name)
        and behind_files[name] or nil
end)

local function find_loader(name)
    local why = {}
    if type(package.loaders) ~= 'table' then
        error("'package.loaders' must be a table", 3)
    end
    for i = 1, #package.loaders do
        local loader = package.loaders[i](name)
        if type(loader) == 'function' then
            return loader
        elseif type(loader) == 'string' then
            why[#why + 1] = loader
        end
    end
    error(("module '%s' not found:%s"):format(name, concat(why)), 3)
end

local function finish_loading(name, entry, ok, value)
    loading[name] = nil
    if entry.cond ~= nil then
        entry.cond:broadcast()
    end
    if not ok then
        error(value, 0)
    end
    if value ~= nil then
        loaded[name] = value
    elseif not loaded[name] then
        loaded[name] = true
    end
    return loaded[name]
end

-- Does the fiber @id wait, by way of the modules it wants, for @self?
local function waits_for(id, self)
    while id ~= nil do
        if id == self then
            return true
        end
        local entry = loading[wanted[id] or 0]
        id = entry and entry.fiber
    end
    return false
end

-- Wait for the end of loading, unless the fiber that began it has ended without
-- one: it dropped a coroutine in the middle.
local function wait_for(name, entry, self)
    local fiber = load_fiber()
    if entry.fiber ~= 0 and fiber.find(entry.fiber) == nil then
        loading[name] = nil
        return
    end
    if self == 0 or waits_for(entry.fiber, self) then
        error(("loop or previous error loading module '%s'"):format(name), 3)
    end
    entry.cond = entry.cond or fiber.cond()
    wanted[self] = name
    local ok, err = pcall(entry.cond.wait, entry.cond)
    wanted[self] = nil
    if not ok then
        error(err, 0)
    end
end

local function note_place(err)
    note_trace(err, traceback('', 2), is_ours(getinfo(3, 'S')))
    return err
end

--- require(name) -> value
-- Load the module @name once. Its top level may wait; two fibers that require
-- the same module load it once, the second waits for the first.
--
-- It looks for `?.lua`, `?/init.lua` and `?.so` in the folder of the script;
-- in `rocks/` there and in the folders above, up to the root of the project (with
-- `.git`, `luarocks.lock` or a rockspec); in `LUA_PATH` and `LUA_CPATH`; beside
-- neap; and where Debian's `lua-*` packages are. `package.path` and
-- `package.cpath` show it. The server's own modules go before files of their names,
-- unless their page says otherwise.
--
-- Yields: when the module does. Throws: not found; what the module throws.
function require(name)
    if type(name) ~= 'string' then
        if type(name) ~= 'number' then
            error(("bad argument #1 to 'require' (string expected, got %s)")
                :format(name == nil and 'no value' or type(name)), 2)
        end
        name = tostring(name)
    end
    local self = fiber_id()
    while not loaded[name] do
        local entry = loading[name]
        if entry == nil then
            local loader = find_loader(name)
            entry = { fiber = self }
            loading[name] = entry
            return finish_loading(name, entry, xpcall(loader, note_place, name))
        end
        wait_for(name, entry, self)
    end
    return loaded[name]
end

local loadfile = loadfile

debug.gethook = c.gethook

-- A finalizer runs with nothing to stop it: one of a script's that does not end
-- would hang the server.
newproxy = nil

local collectgarbage, collect, set_stepmul = collectgarbage, c.collect, c.set_stepmul
local tonumber = tonumber

local STEP_KB = 256

-- As one of the tick's: the fiber is put behind those that are ready.
local function give_way()
    if fiber_id() ~= 0 and isyieldable() then
        yield(preempt_mark)
    end
end

local options = {}

function options.collect()
    local left = collect()
    while left ~= nil do
        give_way()
        left = collect(left)
    end
    return 0
end

function options.step(size)
    size = tonumber(size) or 0
    while size > STEP_KB do
        if collectgarbage('step', STEP_KB) then
            return true
        end
        size = size - STEP_KB
        give_way()
    end
    return collectgarbage('step', size)
end

function options.setstepmul(factor)
    return set_stepmul(factor)
end

--- collectgarbage([option, [number]]) -> ...
-- As Lua's, with @option and @number as there. Inside a fiber a full collection, and a large 'step', is made in
-- steps of about a millisecond, and other fibers run between them. Above the
-- soft line of a memory limit the collector runs also when it was stopped.
-- Yields: full collections and large steps, where the fiber can be put aside.
_G.collectgarbage = function(option, number)
    local f = options[option == nil and 'collect' or option]
    if f ~= nil then
        return f(number)
    end
    return collectgarbage(option, number)
end

--- dofile([path]) -> ...
-- Run the file at @path (none: standard input), which may wait.
-- Yields: when the file does. Throws: what the file throws.
function dofile(path)
    local chunk, err = loadfile(path)
    if chunk == nil then
        error(err, 0)
    end
    return chunk()
end
