-- A part of the module `fiber`: functions that run away from the loop.

local c, M = ...

local offload, failed, usage, note_trace =
    c.offload, c.offload_failed, c.usage, c.note_trace
local funcinfo = require('jit.util').funcinfo
local getupvalue, dump, status = debug.getupvalue, string.dump, jit.status
local error, package, setmetatable, type = error, package, setmetatable, type

-- Bytecode by prototype: a function that is written where it is offloaded is a
-- new one each time, of the same prototype.
local CACHE_MAX = 256
local cache, cached = setmetatable({}, { __mode = 'k' }), 0

local function bytecode(f)
    if type(f) ~= 'function' then
        usage(('fiber.offload(function, ...): a function is wanted, not %s')
            :format(f == nil and 'nil' or type(f)))
    end
    local info = funcinfo(f)
    local proto = info.proto
    if proto == nil then
        usage('fiber.offload: the function is written in C; offload a Lua '
            .. 'function that calls it')
    elseif info.upvalues > 0 then
        local name = getupvalue(f, 1)
        usage(("fiber.offload: the function uses '%s' from around it, but runs "
            .. 'in another Lua state: pass values as arguments, and call '
            .. 'require() inside'):format(name == '' and '?' or name))
    end
    local code = cache[proto]
    if code == nil then
        if cached == CACHE_MAX then
            cache, cached = setmetatable({}, { __mode = 'k' }), 0
        end
        code = dump(f)
        cache[proto], cached = code, cached + 1
    end
    return code
end

local function refuse(err)
    if err.type == 'IllegalParams' or err.type == 'ClientError' then
        usage('fiber.offload: ' .. err.message)
    end
    error(err, 0)
end

local function settle(done, ok, ...)
    if done == nil then
        refuse(ok)
    elseif done ~= true then
        failed(done)
    elseif ok then
        return ...
    end
    local err, report = ...
    note_trace(err, '\noffloaded: ' .. report, false)
    error(err, 0)
end

--- fiber.offload(f, ...) -> ...
-- Call @f with the arguments behind it on a thread of the pool, and give what it
-- returns. The calling fiber waits meanwhile, all others run: this is for what
-- computes for long.
--
-- @f runs in another Lua state, one of that thread's own. So it may use nothing
-- from around it but globals, which are that state's: Lua's libraries, and what it
-- gets by `require()`, with the `package.path` of the caller. Arguments and results
-- are copies, as the page `values` tells, of 64 MiB at most each; functions, coroutines
-- and userdata are refused. Nothing may wait there: `fiber.sleep()`,
-- channels, children and the modules cmod, http.server, popen, shared and neap throw;
-- files are read and written on the spot. Globals that it sets are gone when it ends;
-- modules stay loaded in the state, which may serve the next call or not.
--
-- An error of @f is thrown here, as it was: strings and tables as copies, error
-- objects as such, others as their text. If nobody catches it, the log tells both
-- tracebacks. The state has the memory limit of the caller's (`--max-memory`), and
-- the execution limits of the fiber hold for @f.
--
-- A cancel or a deadline ends the wait at once, and then @f, wherever it is in Lua;
-- what it does in C is finished first. A call more than there are threads for waits
-- for one (`offload.threads`, `offload.queue`). Yields: yes. Throws: what @f throws;
-- cancelled; the deadline is over; @f cannot be offloaded, or a value cannot be
-- copied; too many calls wait.
function M.offload(f, ...)
    return settle(offload(bytecode(f), package.path, package.cpath, (status()),
        ...))
end
