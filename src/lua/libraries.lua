-- Closes libraries: makes the globals that scripts get, and leaves those of before,
-- which this chunk has, to the server's own Lua.
--
-- A guard rail, not a wall: what a library hands out is still there, as methods of
-- strings are.
local names = ...

local error, getfenv, pairs, pcall = error, getfenv, pairs, pcall
local require, type = require, type
local loaded, preload = package.loaded, package.preload
local own = getfenv(1)

-- What goes with a library: other ways to the same.
local with = {
    debug = {'jit.util', 'jit.profile'},
    io = {'fio'},
    jit = {'jit.opt', 'jit.profile', 'jit.util'},
    os = {'popen'},
    package = {'cmod'},
}

local globals, kept = {}, {}
for name, value in pairs(own) do
    globals[name] = value
end
globals._G, own._G, loaded._G = globals, globals, globals

local function close(name, library)
    local ok, module = pcall(require, name)
    kept[name] = kept[name] or ok and module or nil
    loaded[name] = nil
    preload[name] = function()
        error(("'%s' is closed: `libraries` of the configuration has no '%s'")
            :format(name, library), 0)
    end
    globals[name] = nil
end

for _, library in pairs(names) do
    close(library, library)
    for _, name in pairs(with[library] or {}) do
        close(name, library)
    end
    if library == 'package' then
        local loaders = kept.package.loaders
        kept.package.loaders = {loaders[1], loaders[2]} -- those of our own
        kept.package.path = ''
        globals.module = nil
    end
end

function own.require(name)
    local module = kept[name]
    if module ~= nil then
        return module
    end
    return require(name)
end

-- The environment of the server's own functions is none of theirs.
function globals.getfenv(f)
    if f == nil then
        f = 2
    elseif type(f) == 'number' and f > 0 then
        f = f + 1
    end
    local env = getfenv(f)
    return env == own and globals or env
end

return globals
