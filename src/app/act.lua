-- The return codes of actions and filters, and the way out of a function from
-- anywhere in it (require 'neap.act', which is no public module; scripts have the
-- globals `act` and `filter`).
local c = ...

local error, getmetatable, setmetatable = error, getmetatable, setmetatable
local pairs, type = pairs, type
local fiber_self = require('fiber').self

local M = {
    CONTINUE = 0, STOP = 1, YIELD = 2, ERROR = 3, DONE = 4, DENY = 5, ABORT = 6,
    INVALID = 7,
}

local Leave = {
    __tostring = function()
        return 'core.done() or txn:done(): the function has ended'
    end,
}
c.set_leave(Leave) -- local_call() knows it

-- leave(value): the function that the server has called returns @value. A pcall() on
-- the way sees an error whose text says what it is, and should pass it on.
function M.leave(value)
    error(setmetatable({ value }, Leave), 0)
end

-- left(err) -> true, value | false: what leave() has thrown.
function M.left(err)
    if type(err) == 'table' and getmetatable(err) == Leave then
        return true, err[1]
    end
    return false
end

-- wake_time(ms): when an action that returns act.YIELD is called again, at the latest. It is
-- kept with the fiber that has called the action: others may run before it returns.
local used = false

function M.wake_time(ms)
    if type(ms) ~= 'number' or not (ms >= 0) then
        error('act.wake_time(ms): milliseconds are wanted', 2)
    end
    used = true
    c.caller_storage().act_wake = ms / 1000
end

-- wake_in(seconds | nil): the same, told by an action in the other state.
function M.wake_in(seconds)
    if seconds then
        used = true
        fiber_self().storage.act_wake = seconds
    end
end

-- take_wake() -> seconds | nil: what the action that was called last has said.
function M.take_wake()
    if not used then
        return nil
    end
    local storage = fiber_self().storage
    local seconds = storage.act_wake
    storage.act_wake = nil
    return seconds
end

M.script = {
    wake_time = M.wake_time,
}
for name, value in pairs(M) do
    if type(value) == 'number' then
        M.script[name] = value
    end
end

return M
