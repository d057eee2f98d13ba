-- The module `fiber`: cooperative threads, channels and conditions.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation; what differs is said at the function.
local c = ...

local ffi = require('ffi')
local c_sleep, c_yield, failed = c.sleep, c.yield, c.failed
local c_put, c_put_end, c_get, c_get_end =
    c.channel.put, c.channel.put_end, c.channel.get, c.channel.get_end
local c_wait = c.cond.wait
local ETIMEDOUT = -110

local M = {
    create = c.create,
    new = c.new,
    self = c.self,
    find = c.find,
    id = c.id,
    csw = c.csw,
    status = c.status,
    name = c.name,
    cancel = c.cancel,
    kill = c.cancel,
    testcancel = c.testcancel,
    wakeup = c.wakeup,
    info = c.info,
}

--- Wait for @seconds. Zero is fiber.yield(). fiber.wakeup() ends it early.
-- Yields. Throws 'fiber is cancelled'.
function M.sleep(seconds)
    local status = c_sleep(seconds)
    if status ~= ETIMEDOUT and status ~= 0 then
        failed(status)
    end
end

--- Let the other ready fibers run. Yields. Throws 'fiber is cancelled'.
function M.yield()
    local status = c_yield()
    if status ~= 0 then
        failed(status)
    end
end

--- Seconds since the epoch, with microseconds.
function M.time()
    return c.time_us() / 1e6
end

--- Microseconds since the epoch, as uint64_t.
function M.time64()
    return ffi.cast('uint64_t', c.time_us())
end

--- Seconds of the monotonic clock.
function M.clock()
    return c.clock_us() / 1e6
end

--- Microseconds of the monotonic clock, as uint64_t.
function M.clock64()
    return ffi.cast('uint64_t', c.clock_us())
end

local methods = {
    id = c.id,
    csw = c.csw,
    name = c.name,
    status = c.status,
    cancel = c.cancel,
    kill = c.cancel,
    wakeup = c.wakeup,
}

--- A joinable fiber keeps its results for join() after its end.
function methods.set_joinable(self, joinable)
    c.set_joinable(self, joinable)
    return self
end

--- Wait for the end of a joinable fiber.
-- Returns true and its results, or false and its error; with a timeout in
-- seconds that runs out, false and a TimedOut error, and it can be joined
-- again. Yields. Throws 'fiber is cancelled', and for wrong usage.
function methods.join(self, timeout)
    local status = c.join_begin(self, timeout)
    if status == ETIMEDOUT then
        return false, select(2, pcall(failed, status))
    elseif status ~= 0 then
        failed(status)
    end
    return c.join_end(self)
end

c.set_methods(methods)
M.join = methods.join
M.set_joinable = methods.set_joinable

setmetatable(M, {
    __index = function(_, key)
        if key == 'storage' then
            return c.self().storage
        end
    end,
})

local channel = {}

--- Put a value, waiting for room for at most @timeout seconds.
-- Returns false when the time is over or the channel is closed. Yields when
-- there is no room. Throws 'fiber is cancelled'; nil is a usage error.
function channel:put(value, timeout)
    local done = c_put(self, value, timeout)
    if done == true or done == false then
        return done
    end
    return c_put_end(self, done)
end

--- Take the oldest value, waiting for one for at most @timeout seconds.
-- Returns nil when the time is over or the channel is closed. Yields when it is
-- empty. Throws 'fiber is cancelled'.
function channel:get(timeout)
    local done, value = c_get(self, timeout)
    if done == true then
        return value
    elseif done == false then
        return nil
    end
    return c_get_end(self, done)
end

--- Close: values inside are dropped, everybody who waits is woken.
channel.close = c.channel.close

local info = c.channel.info

function channel:size()
    return (info(self))
end

function channel:count()
    return (select(2, info(self)))
end

function channel:is_empty()
    return select(2, info(self)) == 0
end

function channel:is_full()
    local size, count = info(self)
    return count == size
end

function channel:has_readers()
    return (select(3, info(self)))
end

function channel:has_writers()
    return (select(4, info(self)))
end

function channel:is_closed()
    return (select(5, info(self)))
end

c.channel.set_methods(channel)

--- A channel with room for @size values (default 0: each put meets a get).
M.channel = c.channel.new

local cond = {
    signal = c.cond.signal,
    broadcast = c.cond.broadcast,
}

--- Wait for signal() or broadcast(). Returns true, or false when @timeout
-- seconds are over. Yields. Throws 'fiber is cancelled'.
function cond:wait(timeout)
    local status = c_wait(self, timeout)
    if status == ETIMEDOUT then
        return false
    elseif status ~= 0 then
        failed(status)
    end
    return true
end

c.cond.set_methods(cond)

M.cond = c.cond.new

return M
