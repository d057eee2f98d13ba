-- What a state of a thread of the pool runs: functions of fiber.offload().

local c = ...

local usage, finish = c.usage, c.finish
local package, pairs, setfenv = package, pairs, setfenv
local loadstring, globals = loadstring, _G

-- They need the loop of a worker, or belong to its state. Those of upper layers
-- are not registered here; whoever wants them shall read why.
for _, name in ipairs({ 'cmod', 'http.server', 'popen', 'shared', 'socket',
                        'neap', 'neap.states', 'console' }) do
    package.preload[name] = function()
        usage(("module '%s' cannot be used in an offloaded function, which has "
            .. 'no event loop'):format(name))
    end
end

function os.exit()
    usage('os.exit(): an offloaded function cannot end the process; it can '
        .. 'throw an error')
end

-- Nothing could end the wait for a child.
function os.execute()
    usage('os.execute(): an offloaded function cannot wait for a child; call it '
        .. 'in the fiber')
end

function io.popen()
    usage('io.popen(): an offloaded function cannot wait for a child; call it '
        .. 'in the fiber')
end

-- Those loaded last: a function that is called again keeps its compiled code.
local FUNCTIONS_MAX = 64
local functions, count = {}, 0

local function load(code)
    local f = functions[code]
    if f == nil then
        if count == FUNCTIONS_MAX then
            functions, count = {}, 0
        end
        f = loadstring(code)
        functions[code], count = f, count + 1
    end
    return f
end

-- No run sees what another one has put into globals.
local function environment()
    local env = {}
    for name, value in pairs(globals) do
        env[name] = value
    end
    env._G = env
    return env
end

local jit, compiles = jit, jit.status()

return function(compile, code, path, cpath, ...)
    if compile ~= compiles then
        compiles = compile
        jit[compile and 'on' or 'off']()
    end
    local f, env = load(code), environment()
    package.path, package.cpath = path, cpath
    setfenv(0, env)
    setfenv(f, env)
    return finish(f(...))
end
