-- A part of the module `core`: waiting. Where a fiber cannot wait, because a function
-- in C stands between, the error says so.
local c = ...

local args = require('neap.args')
local fiber = require('fiber')

local setmetatable = setmetatable

local M = {}

local function rest()
    local status = c.rest()
    if status ~= 0 then
        c.failed(status)
    end
end

-- Until the time is over, however often it is woken.
local function sleep(seconds)
    if seconds == 0 then
        return rest()
    end
    local due = fiber.clock() + seconds
    local left = seconds
    while left > 0 do
        fiber.sleep(left)
        left = due - fiber.clock()
    end
end

--- core.sleep(seconds)
-- Wait for @seconds. Yields: yes. Throws: cancelled.
function M.sleep(seconds)
    sleep(args.time(seconds, 1, 'sleep'))
end

--- core.msleep(milliseconds)
-- Wait for @milliseconds. Yields: yes. Throws: cancelled.
function M.msleep(milliseconds)
    sleep(args.time(milliseconds, 1, 'msleep') / 1000)
end

--- core.yield()
-- Let others run. Like a wait it begins a new burst of processor time.
-- Yields: yes. Throws: cancelled.
function M.yield()
    rest()
end

-- Of fibers that were woken, or wait: what core.wait() sees of that.
local waits = setmetatable({}, { __mode = 'k' })

local function wait_of(f)
    local w = waits[f]
    if w == nil then
        w = { cond = fiber.cond(), pending = false }
        waits[f] = w
    end
    return w
end

-- wake(fiber_object): its core.wait() ends; or its next one, when it does not wait.
function M.wake(f)
    local w = wait_of(f)
    w.pending = true
    w.cond:signal()
end

--- core.wait([milliseconds]) -> boolean
-- Wait for anything that wakes this fiber: a `queue:alarm()`, or
-- `fiber_object:wakeup()`. An alarm that came before counts. False: @milliseconds are
-- over; without them it waits for ever. Yields: yes. Throws: cancelled.
function M.wait(milliseconds)
    local timeout
    if milliseconds ~= nil then
        timeout = args.time(milliseconds, 1, 'wait') / 1000
    end
    local w = wait_of(fiber.self())
    local woken = true
    if w.pending then
        fiber.yield()
    else
        woken = w.cond:wait(timeout)
    end
    w.pending = false
    return woken
end

--- core.set_nice(nice)
-- Here all fibers are served in turns: only a @nice of 0, which says that, is taken.
-- Yields: no. Throws: any other.
function M.set_nice(nice)
    if args.number(nice, 1, 'set_nice') ~= 0 then
        args.bad(1, 'set_nice', 'fibers have no priorities in this server: they run '
            .. 'in turns; what one may use is said by the limits of its kind')
    end
end

return M
