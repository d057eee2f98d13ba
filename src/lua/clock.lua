-- The module `clock`: the system's clocks.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation: seconds as a number, or, where the name ends in 64,
-- nanoseconds as an int64_t.
local c = ...

local M = {
    --- clock.time() -> number
    -- clock.realtime() -> number
    -- Seconds since 1970 by the system's clock, which can be set. Yields: no.
    time = c.realtime,
    realtime = c.realtime,

    --- clock.time64() -> int64_t
    -- clock.realtime64() -> int64_t
    -- The same in nanoseconds. Yields: no.
    time64 = c.realtime64,
    realtime64 = c.realtime64,

    --- clock.monotonic() -> number
    -- Seconds since the machine was started, by a clock that is never set: for
    -- measuring time. Yields: no.
    monotonic = c.monotonic,

    --- clock.monotonic64() -> int64_t
    -- The same in nanoseconds. Yields: no.
    monotonic64 = c.monotonic64,

    --- clock.proc() -> number
    -- Seconds of processor time that the whole process has used. Yields: no.
    proc = c.proc,

    --- clock.proc64() -> int64_t
    -- The same in nanoseconds. Yields: no.
    proc64 = c.proc64,

    --- clock.thread() -> number
    -- Seconds of processor time that this worker's thread has used: work of
    -- the other workers and of the pool of threads is not in it. Yields: no.
    thread = c.thread,

    --- clock.thread64() -> int64_t
    -- The same in nanoseconds. Yields: no.
    thread64 = c.thread64,
}

local proc = c.proc

local function since(begun, ...)
    return {proc() - begun, ...}
end

--- clock.bench(f, ...) -> table
-- Call @f with the other arguments. The table's first element is the processor
-- time that the process has used meanwhile, in seconds, and the results of @f
-- follow. Waiting does not count; what other fibers and threads compute does.
-- Yields: if @f does. Throws: what @f throws.
function M.bench(f, ...)
    return since(proc(), f(...))
end

return M
