-- What the server changes in Lua's own functions, so that a fiber may wait
-- anywhere: inside the user's coroutines, and while a module is loaded.
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
local function settle(co, ok, mark, ...)
    if ok and mark == park_mark then
        if not isyieldable() then
            return settle(co, resume(co, unpark()))
        end
        waiting[co] = true
        local status = yield(park_mark)
        waiting[co] = nil
        return settle(co, resume(co, status))
    end
    return ok, mark, ...
end

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

function coroutine.wrap(f)
    local co = create(f)
    return function(...)
        if waiting[co] then
            error('cannot resume a coroutine that waits in a fiber', 2)
        end
        return raise_or_return(co, settle(co, resume(co, ...)))
    end
end

-- require() in Lua: a module's top level may wait. Two fibers that require one
-- module load it once: the second waits for the first.
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

-- dofile() in Lua, for the same reason.
local loadfile = loadfile
function dofile(path)
    local chunk, err = loadfile(path)
    if chunk == nil then
        error(err, 0)
    end
    return chunk()
end
