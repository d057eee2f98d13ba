-- The module `neap`: the server itself.

local c = ...

local usage = c.usage

local error, type, xpcall, tostring = error, type, xpcall, tostring
local traceback = debug.traceback

local M = {
    --- neap.version -> string
    -- The version, as `neap --version` prints it.
    version = c.version,

    --- neap.worker -> {id = number, count = number}
    -- Which worker runs this state, from 1 (0: it is the shared state, which
    -- `--load` makes), and how many there are: with `--workers N` the script runs
    -- in N of them. Worker 1 is the main thread and has the console.
    worker = c.worker,
}

--- neap.memory() -> table
-- What this Lua state uses, in bytes: `used`, `peak` (the most there ever was),
-- `limit` (`--max-memory`; 0: none), `soft_limit` (where the collector begins to
-- hurry), `soft_collections` (how often it did), `failures` (allocations that were
-- refused) and `longest_step`, in seconds: the longest part of a collection that
-- could not be divided. Counted is all that Lua allocates, `ffi.new` and
-- `string.buffer` included; what C modules and `ffi.C.malloc` take is not, nor
-- machine code. Yields: no.
M.memory = c.memory

local hooks = {}

--- Have @f called once at the end of the process: after the servers have
-- drained and before the fibers are cancelled. Hooks run in a fiber, the last
-- one first, and may wait; together they have cancel.timeout seconds. An error
-- in one is logged and does not keep the others from running. Yields: no.
function M.on_shutdown(f)
    if type(f) ~= 'function' then
        usage(('neap.on_shutdown(f): a function is wanted, not %s')
            :format(type(f)))
    end
    hooks[#hooks + 1] = f
end

local function place(err)
    return traceback(tostring(err), 2)
end

-- A hook that registers another has it called too.
c.set_hooks(function()
    while #hooks > 0 do
        local f = hooks[#hooks]
        hooks[#hooks] = nil
        local ok, text = xpcall(f, place)
        if not ok then
            c.hook_failed(text)
        end
    end
end)

return M
