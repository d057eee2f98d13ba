-- The body of the main fiber: the steps of the command line, then the script.
--
-- What the user got wrong before any of his code ran (no such file, a syntax
-- error) is refused with one line; an error of his code comes with a traceback.
local c = ...

local loadstring, require, unpack = loadstring, require, unpack

local step = {}

function step.eval(text)
    local chunk, err = loadstring(text, '=(command line)')
    if chunk == nil then
        return err
    end
    chunk()
end

function step.require(text)
    local name, module = text:match('^([%a_][%w_]*)=(.+)$')
    name, module = name or text, module or text
    local value = require(module)
    if name:find('^[%a_][%w_]*$') then
        _G[name] = value
    end
end

-- "on", "off", "flush", "opt=3", "v=file": a function of jit, or a module
-- jit.* that is started.
function step.jit(text)
    local name, rest = text:match('^(%w+)=?(.*)$')
    if name == nil then
        return ("-j %s: not a command of the JIT compiler"):format(text)
    end
    local arguments = {}
    if name == 'opt' then
        name = 'opt'
        for word in rest:gmatch('[^,]+') do
            arguments[#arguments + 1] = word
        end
        local ok, err = pcall(jit.opt.start, unpack(arguments))
        return not ok and ("-j %s: %s"):format(text, err) or nil
    end
    if type(jit[name]) == 'function' then
        if name ~= 'on' and name ~= 'off' and name ~= 'flush' then
            return ("-j %s: not a command of the JIT compiler"):format(text)
        end
        jit[name]()
        return
    end
    local ok, module = pcall(require, 'jit.' .. name)
    if not ok or type(module) ~= 'table' or module.start == nil then
        return ("-j %s: neither a command of the JIT compiler nor a module "
            .. "jit.%s that is installed"):format(text, name)
    end
    for word in rest:gmatch('[^,]+') do
        arguments[#arguments + 1] = word
    end
    module.start(unpack(arguments))
end

return function(kinds, texts, path)
    for i = 1, #kinds do
        local refusal = step[kinds[i]](texts[i])
        if refusal then
            return c.refuse(refusal)
        end
    end
    if path ~= nil then
        local chunk, err = c.load(path)
        if chunk == nil then
            return c.refuse(err)
        end
        -- A tail call: the script's traceback ends at the script.
        return chunk(unpack(arg, 1, #arg))
    end
end
