-- The module `fiber`: cooperative threads, channels and conditions.
--
-- A fiber is a coroutine that the server puts aside while it waits and goes on
-- with when what it waits for has come. One fiber runs at a time; it runs until
-- it waits, yields or ends. Names, arguments and return values are those of
-- Tarantool's public documentation; what differs is said at the function.
--
-- Where `fiber_object` is wanted as an argument, its number will do, but for
-- `id` and `name`; seconds may be a number in a string. Wrong usage throws an error of type IllegalParams; a fiber
-- that is cancelled while it waits gets an error of type FiberIsCancelled there.
--
-- An error that nobody catches ends its fiber alone: the log tells its message,
-- its traceback and the place that started the fiber. In the main script it ends
-- the program with exit code 1.
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
    preempted = c.preempted,
    top = c.top,
    top_enable = c.top_enable,
    top_disable = c.top_disable,
    set_max_slice = c.set_max_slice,
    set_slice = c.set_slice,
    extend_slice = c.extend_slice,
    check_slice = c.check_slice,
    limits = c.limits,
    set_limits = c.set_limits,
}

--- Wait for @seconds (fractions count, zero is `fiber.yield()`). An early end
-- by `fiber.wakeup()` is a normal return. Yields: yes. Throws: cancelled.
function M.sleep(seconds)
    local status = c_sleep(seconds)
    if status ~= ETIMEDOUT and status ~= 0 then
        failed(status)
    end
end

--- Let the other fibers that are ready run. Yields: yes. Throws: cancelled.
function M.yield()
    local status = c_yield()
    if status ~= 0 then
        failed(status)
    end
end

--- fiber.time() -> number
-- Seconds since 1970 by the system's clock, with microseconds. Yields: no.
function M.time()
    return c.time_us() / 1e6
end

--- fiber.time64() -> int64_t
-- Microseconds since 1970 by the system's clock. Yields: no.
function M.time64()
    return ffi.cast('int64_t', c.time_us())
end

--- fiber.clock() -> number
-- Seconds of a clock that is never set, for measuring time. Yields: no.
function M.clock()
    return c.clock_us() / 1e6
end

--- fiber.clock64() -> int64_t
-- Microseconds of the clock of `fiber.clock()`. Yields: no.
function M.clock64()
    return ffi.cast('int64_t', c.clock_us())
end

local methods = {
    id = c.id,
    csw = c.csw,
    name = c.name,
    status = c.status,
    cancel = c.cancel,
    kill = c.cancel,
    wakeup = c.wakeup,
    set_max_slice = c.set_max_slice,
}

--- fiber_object:set_joinable(joinable) -> fiber_object
-- fiber.set_joinable(fiber_object, joinable) -> fiber_object
-- With true for @joinable the results of @fiber_object are kept for one
-- `join()` after its end, and an error goes there instead of to the log. Set it
-- before the fiber ends, best with `fiber.new()`. Yields: no.
function methods.set_joinable(self, joinable)
    c.set_joinable(self, joinable)
    return self
end

--- fiber_object:join([timeout]) -> true, ... | false, err
-- fiber.join(fiber_object, [timeout]) -> true, ... | false, err
-- Wait for the end of a joinable fiber, given by its number only while it lives: true
-- and what it returned, or false and its error. After @timeout seconds (none: for ever) false and an error of type
-- TimedOut; @fiber_object runs on then and can be joined again.
-- Yields: yes, unless it has ended. Throws: cancelled; it is not joinable, was
-- joined already, is dead, or is the caller itself.
function methods.join(self, timeout)
    if type(self) == 'number' then
        self = c.find(self) or c.set_joinable(self) -- which says that it is dead
    end
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
    --- fiber.storage
    -- A table of the running fiber's own, made when first asked for and dropped
    -- at its end; also a field of fiber objects.
    __index = function(_, key)
        if key == 'storage' then
            return c.self().storage
        end
    end,
})

local channel = {}

--- channel:put(value, [timeout]) -> boolean
-- Put @value (a nil is taken for what `get()` gives when there is none), waiting for room for at most @timeout seconds
-- (none: for ever; 0: not at all). False when the time is over or the channel
-- is closed. Yields: when there is no room. Throws: cancelled.
function channel:put(value, timeout)
    local done = c_put(self, value, timeout)
    if done == true or done == false then
        return done
    end
    return c_put_end(self, done) -- it waited in vain
end

--- channel:get([timeout]) -> value | nil
-- Take the oldest value, waiting for one for at most @timeout seconds (none:
-- for ever; 0: not at all). Nil when the time is over or the channel is closed.
-- Yields: when it is empty. Throws: cancelled.
function channel:get(timeout)
    local done, value = c_get(self, timeout)
    if done == true then
        return value
    elseif done == false then
        return nil
    end
    return c_get_end(self, done) -- it waited in vain
end

-- The short ways of lua_channel.c, for who waits for nothing. Not with the system's
-- LuaJIT.
local quick = c.channel.quick
if quick then
    local type, getmetatable = type, getmetatable
    local put, get = channel.put, channel.get
    local hand = quick.hand
    local vm = ffi.cast('void *', quick.vm)
    local place = ffi.cast('int *', quick.place)
    local quick_put = ffi.cast('int (*)(void *, void *)', quick.put)
    local quick_get = ffi.cast('int (*)(void *, void *)', quick.get)

    function channel.put(self, value, timeout)
        if timeout == nil and type(self) == 'userdata' and
            getmetatable(self) == false then -- one of our classes
            hand[place[0]] = value
            if quick_put(self, vm) ~= 0 then
                return true
            end
        end
        return put(self, value, timeout)
    end

    function channel.get(self, timeout)
        if timeout == nil and type(self) == 'userdata' and
            getmetatable(self) == false then
            local at = quick_get(self, vm)
            if at ~= 0 then
                local value = hand[at]
                hand[at] = nil
                return value
            end
        end
        return get(self, timeout)
    end
end

--- channel:close()
-- Drop the values inside and wake everybody who waits: `put()` gives false and
-- `get()` nil, now and from now on. Yields: no.
channel.close = c.channel.close

local info = c.channel.info

--- channel:size() -> number
-- How many values it has room for. Yields: no.
function channel:size()
    return (info(self))
end

--- channel:count() -> number
-- How many values are inside. Yields: no.
function channel:count()
    return (select(2, info(self)))
end

--- channel:is_empty() -> boolean
-- Nothing is inside. Yields: no.
function channel:is_empty()
    return select(2, info(self)) == 0
end

--- channel:is_full() -> boolean
-- There is no room; of a channel of size 0 always true. Yields: no.
function channel:is_full()
    local size, count = info(self)
    return count == size
end

--- channel:has_readers() -> boolean
-- A fiber waits in `get()`. Yields: no.
function channel:has_readers()
    return (select(3, info(self)))
end

--- channel:has_writers() -> boolean
-- A fiber waits in `put()`. Yields: no.
function channel:has_writers()
    return (select(4, info(self)))
end

--- channel:is_closed() -> boolean
-- It was closed. Yields: no.
function channel:is_closed()
    return (select(5, info(self)))
end

c.channel.set_methods(channel)

--- fiber.channel([size]) -> channel
-- A channel with room for @size values (default 0: each `put()` waits for its
-- `get()`; at most 16,777,216). Values go through in order, each to one reader.
-- Yields: no.
M.channel = c.channel.new

local cond = {
    --- cond:signal()
    -- Wake the fiber that has waited longest, if one waits. Yields: no.
    signal = c.cond.signal,
    --- cond:broadcast()
    -- Wake all that wait. Yields: no.
    broadcast = c.cond.broadcast,
}

--- cond:wait([timeout]) -> boolean
-- Wait for `signal()` or `broadcast()`: true, or false when @timeout seconds
-- (none: for ever) are over. Yields: yes. Throws: cancelled.
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

--- fiber.cond() -> cond
-- A condition: fibers wait in it until another one signals. It remembers
-- nothing: a signal while nobody waits is lost, so the waiting fiber looks at
-- its reason first and again afterwards. Yields: no.
M.cond = c.cond.new

c.load_group(c, M)
c.load_offload(c, M)

return M
