-- What the running program offers, compared with what is documented.
local live = {}

-- LuaJIT's own, which its documentation describes.
local stock_modules = {
    ffi = true, ['string.buffer'] = true, ['jit.profile'] = true,
    ['jit.util'] = true, ['table.new'] = true, ['table.clear'] = true,
    ['table.clone'] = true, ['table.isarray'] = true, ['table.isempty'] = true,
    ['table.nkeys'] = true, ['thread.exdata'] = true, ['thread.exdata2'] = true,
}

local stock_globals = {}
for name in ([[
    _G _VERSION arg assert bit collectgarbage coroutine debug dofile error
    gcinfo getfenv getmetatable io ipairs jit load loadfile loadstring math
    module newproxy next os package pairs pcall print rawequal rawget rawlen
    rawset require select setfenv setmetatable string table tonumber tostring
    type unpack utf8 xpcall
]]):gmatch('%S+') do
    stock_globals[name] = true
end

-- The names under which require() finds modules of the program. Those below
-- `neap.` are its own business.
function live.modules()
    local names = {}
    for name in pairs(package.preload) do
        if not stock_modules[name] and not name:find('^neap%.') then
            names[#names + 1] = name
        end
    end
    -- Those that files go before.
    for name in pairs(debug.getregistry()['neap.behind_files']) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

local function string_keys(t, into)
    for key in pairs(t) do
        if type(key) == 'string' and key:sub(1, 1) ~= '_' then
            into[key] = true
        end
    end
    return into
end

-- Methods of an object, and whether all of them could be seen.
local function methods_of(object)
    local meta = debug.getmetatable(object)
    local index = meta and meta.__index
    if type(index) == 'table' then
        return string_keys(index, {}), true
    elseif type(index) == 'function' then
        for i = 1, 8 do
            local name, value = debug.getupvalue(index, i)
            if name == nil then
                break
            elseif type(value) == 'table' then
                return string_keys(value, {}), true
            end
        end
    end
    return {}, false
end

-- Both ways: what is there is documented, what is documented is there.
local function compare(owner, sep, documented, present, complete, has, report)
    for key in pairs(present) do
        if not documented[key] then
            report(('%s%s%s is there and has no doc comment')
                :format(owner, sep, key))
        end
    end
    for key, entry in pairs(documented) do
        if not present[key] and entry.args ~= nil
            and (complete or not has(key)) then
            report(('%s: %s is documented and not there')
                :format(entry.place, entry.name))
        end
    end
end

-- A class of a page: its methods by an object of it. The page `lua` has Lua's
-- own tables for classes, of which only some functions are documented.
local function check_class(page, class, keys, objects, report)
    local make = objects[page .. '/' .. class]
    local object
    if make ~= nil then
        object = make()
    elseif page == 'lua' then
        object = _G[class]
    end
    if object == nil then
        report(("no way to get an object '%s' of '%s': add one to "
            .. 'doc/tools/reference/objects.lua'):format(class, page))
        return
    end
    local present, complete = {}, false
    if page ~= 'lua' then
        present, complete = methods_of(object)
    end
    compare(class, ':', keys, present, complete, function(key)
        local ok, value = pcall(function() return object[key] end)
        return ok and value ~= nil
    end, report)
end

-- documented: {[module] = {functions = {[key] = entry},
-- classes = {[class] = {[key] = entry}}}}; objects: {[module .. '/' .. class] =
-- function that gives one}.
function live.check(documented, objects, report)
    for _, name in ipairs(live.modules()) do
        local doc = documented[name]
        if doc == nil then
            report(("module '%s' has no page: begin a comment with "
                .. "\"The module `%s`: ..\""):format(name, name))
        else
            local module = require(name)
            if type(module) == 'table' then
                compare(name, '.', doc.functions, string_keys(module, {}),
                    false, function(key) return module[key] ~= nil end, report)
            end
        end
    end
    for name, doc in pairs(documented) do
        if doc.kind == 'module' and not pcall(require, name) then
            report(("module '%s' is documented and cannot be required")
                :format(name))
        end
        for class, keys in pairs(doc.classes) do
            check_class(name, class, keys, objects, report)
        end
    end
    local globals = documented.lua and documented.lua.functions or {}
    for name in pairs(_G) do
        if not stock_globals[name] and globals[name] == nil then
            report(("global '%s' is there and has no doc comment")
                :format(tostring(name)))
        end
    end
    for key, entry in pairs(globals) do
        if rawget(_G, key) == nil then
            report(('%s: %s is documented and not there')
                :format(entry.place, entry.name))
        end
    end
end

return live
