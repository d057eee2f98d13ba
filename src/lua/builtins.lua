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
local traceback = debug.traceback
local resume, yield, create = coroutine.resume, coroutine.yield, coroutine.create
local isyieldable = coroutine.isyieldable
local error, select, setmetatable = error, select, setmetatable

-- Coroutines that wait inside a fiber: nobody else may resume them.
local waiting = setmetatable({}, { __mode = 'k' })

-- A coroutine that gives the park mark waits: so does the whole fiber. What
-- the fiber is woken with goes in, and nobody in between sees anything.
local settle

local function go_on(co, ...)
    waiting[co] = nil
    return settle(co, resume(co, ...))
end

function settle(co, ok, mark, ...)
    if ok and mark == park_mark then
        if not isyieldable() then
            return settle(co, resume(co, unpark()))
        end
        waiting[co] = true
        return go_on(co, yield(park_mark))
    end
    return ok, mark, ...
end

--- coroutine.resume(co, ...) -> true, ... | false, err
-- Resume @co. A wait inside @co (a sleep, a channel) parks the whole fiber, and
-- @co goes on behind it: the caller sees only what @co yields itself. While it
-- waits so, another fiber that resumes it gets false and an error.
-- Yields: when @co waits.
function coroutine.resume(co, ...)
    if waiting[co] then
        return false, 'cannot resume a coroutine that waits in a fiber'
    end
    return settle(co, resume(co, ...))
end

-- An error that passes through one of our functions would lose the traceback of
-- where it began: it is noted, for the report if nobody catches the error.
local function raise_or_return(co, ok, ...)
    if not ok then
        note_trace((...), traceback(co))
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
        if waiting[co] then
            error('cannot resume a coroutine that waits in a fiber', 2)
        end
        return raise_or_return(co, settle(co, resume(co, ...)))
    end
end

-- require() in Lua: a module's top level may wait.
local package, type, tostring, concat = package, type, tostring, table.concat
local loaded, loading = package.loaded, {}

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

local function finish_loading(name, ok, value)
    local entry = loading[name]
    loading[name] = nil
    if entry.cond ~= nil then
        entry.cond:broadcast()
    end
    if not ok then
        error(value, 0)
    end
    if value ~= nil then
        loaded[name] = value
    elseif loaded[name] == nil then
        loaded[name] = true
    end
    return loaded[name]
end

local function note_place(err)
    note_trace(err, traceback('', 2))
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
-- `package.cpath` show it.
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
    local value = loaded[name]
    if value ~= nil then
        return value
    end
    local fiber = loaded.fiber
    local self = fiber ~= nil and fiber.id() or 0
    local entry = loading[name]
    if entry ~= nil then
        if entry.fiber == self or self == 0 then
            error(("loop or previous error loading module '%s'"):format(name), 2)
        end
        entry.cond = entry.cond or fiber.cond()
        entry.cond:wait()
        return require(name)
    end
    local loader = find_loader(name)
    loading[name] = { fiber = self }
    return finish_loading(name, xpcall(loader, note_place, name))
end

local loadfile = loadfile

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
