-- The module `strict`: global variables that were never given a value are errors.
--
-- Names and behaviour are those of Tarantool's module. After `strict.on()` a function
-- may read, and give a value to, only those global variables that are there already,
-- or that a main chunk (of a script or a module) or C code has given one, be it nil.
-- Others throw where they are used. `rawget()` and `rawset()` of `_G` are free to.
--
-- A file of this name that `require()` finds goes before the module.
local error, getinfo, getmetatable = error, debug.getinfo, getmetatable
local rawset, setmetatable, tostring, type = rawset, setmetatable, tostring, type

local M = {}
local declared = {}

-- Does a main chunk or C code use the variable? Level 3: who made the metamethod run.
local function is_free()
    local info = getinfo(3, 'S')
    return info == nil or info.what ~= 'Lua'
end

local function read(_, name)
    if not declared[name] and not (getinfo(2, 'S') or {what = 'C'}).what:find('^C') then
        error(("variable '%s' is not declared"):format(tostring(name)), 2)
    end
end

local function write(globals, name, value)
    if not declared[name] then
        if not is_free() then
            error(("assign to undeclared variable '%s'"):format(tostring(name)), 2)
        end
        declared[name] = true
    end
    rawset(globals, name, value)
end

-- The metatable of _G: the application's own, if it has one.
local function metatable()
    local mt = getmetatable(_G)
    if type(mt) ~= 'table' then
        mt = {}
        setmetatable(_G, mt)
    end
    return mt
end

--- strict.on()
-- From now on. Yields: no.
function M.on()
    local mt = metatable()
    mt.__index, mt.__newindex = read, write
end

--- strict.off()
-- No longer; what was declared is forgotten. Yields: no.
function M.off()
    local mt = metatable()
    declared = {}
    if mt.__index == read then
        mt.__index = nil
    end
    if mt.__newindex == write then
        mt.__newindex = nil
    end
end

return M
