-- The module `shared`: what all workers of the process have in common.
--
--     local shared = require('shared')
--     local hits = shared.dict('hits', {size = 1048576})
--     hits:incr('/', 1, 0)
--
-- Dictionaries, channels and broadcasts are made once in the process, when a
-- worker first names them, and stay to its end: the same name is the same one in
-- every worker. An option that is given must be what it was made with, else the
-- answer is `nil, err`. Everything goes in and out by copy: what one worker does
-- to a table afterwards another never sees.
local c = ...

local channel_new, c_put, c_put_end, c_get, c_get_end, info =
    c.channel.new, c.channel.put, c.channel.put_end, c.channel.get,
    c.channel.get_end, c.channel.info
local b_get, b_get_end = c.broadcast.get, c.broadcast.get_end
local clock = require('fiber').clock

local M = {}

--- shared.dict(name, [options]) -> shared_dict | nil, err
-- The dictionary of that @name (1 to 255 bytes). @options has `size`, the bytes
-- that it takes at most, keys, values and tables together (16,384 to 2^40;
-- 16,777,216 unless given). Yields: no.
M.dict = c.dict.new

local channel = {}

--- shared_channel:put(value, [timeout]) -> boolean | nil, err
-- Put a copy of @value, waiting for room for at most @timeout seconds (none: for
-- ever; 0: not at all). False when the time is over or the channel is closed.
-- The copy is made by msgpack: strings, numbers, booleans, null, 64-bit integers
-- and tables of these, 128 deep; anything else, or more bytes than the channel
-- takes, is `nil, err`. Yields: when there is no room. Throws: cancelled (then
-- nothing was put).
function channel:put(value, timeout)
    local done, err = c_put(self, value, timeout)
    if done == true or done == false or done == nil then
        return done, err
    end
    return c_put_end(self, done)
end

--- shared_channel:get([timeout]) -> value | nil
-- Take the oldest value, waiting for one for at most @timeout seconds (none: for
-- ever; 0: not at all). Nil when the time is over or the channel is closed.
-- Whoever waits longest, in whatever worker, is served first. Yields: when it is
-- empty. Throws: cancelled; no memory. The value is not lost then: whoever gets
-- next gets it, be it behind one that was put later.
function channel:get(timeout)
    local done, value = c_get(self, timeout)
    if done == true then
        return value
    elseif done == false then
        return nil
    elseif done == nil then
        return nil, value
    end
    return c_get_end(self, done)
end

--- shared_channel:close()
-- Drop the values inside and wake everybody who waits, in all workers: `put()`
-- gives false and `get()` nil, now and from now on. The name is free for another
-- channel. Yields: no.
channel.close = c.channel.close

--- shared_channel:size() -> number
-- How many values it has room for. Yields: no.
function channel:size()
    return (info(self))
end

--- shared_channel:count() -> number
-- How many values are inside. Yields: no.
function channel:count()
    return (select(2, info(self)))
end

--- shared_channel:bytes() -> number
-- How many bytes the values inside take. Yields: no.
function channel:bytes()
    return (select(7, info(self)))
end

--- shared_channel:is_empty() -> boolean
-- Nothing is inside. Yields: no.
function channel:is_empty()
    return select(2, info(self)) == 0
end

--- shared_channel:is_full() -> boolean
-- It has as many values as it has room for. Yields: no.
function channel:is_full()
    return (select(6, info(self)))
end

--- shared_channel:has_readers() -> boolean
-- A fiber of some worker waits in `get()`. Yields: no.
function channel:has_readers()
    return (select(3, info(self)))
end

--- shared_channel:has_writers() -> boolean
-- A fiber of some worker waits in `put()`. Yields: no.
function channel:has_writers()
    return (select(4, info(self)))
end

--- shared_channel:is_closed() -> boolean
-- It was closed. Yields: no.
function channel:is_closed()
    return (select(5, info(self)))
end

c.channel.set_methods(channel)

--- shared.channel(name, capacity, [options]) -> shared_channel | nil, err
-- The channel of that @name (1 to 255 bytes) with room for @capacity values (0:
-- each `put()` waits for its `get()`; at most 1,048,576). @options has `bytes`,
-- what the values inside take at most (1,024 to 2^40; 67,108,864 unless given).
-- Values go through in order, each to one reader. Yields: no.
function M.channel(name, capacity, options)
    return channel_new(name, options, capacity)
end

--- shared.broadcast(name, [options]) -> shared_broadcast | nil, err
-- The broadcast of that @name (1 to 255 bytes). @options has `history`, how many
-- messages it keeps (1 to 1,048,576; 1,024 unless given), and `bytes`, what these
-- take at most (1,024 to 2^40; 67,108,864 unless given). Yields: no.
M.broadcast = c.broadcast.new

local subscription = {
    --- shared_subscription:next() -> number
    -- The number of the message that `get()` gives next. Yields: no.
    next = c.broadcast.next,
}

--- shared_subscription:get([timeout]) -> value, number | nil | nil, err
-- The next message and its sequence number, waiting for it for at most @timeout
-- seconds (none: for ever; 0: not at all); nil when the time is over. A reader
-- who is so slow that messages are not kept any more gets `nil, err` once, of
-- type MessagesMissed with `err.missed = {from=, to=}`, and then the oldest that
-- is kept. Yields: when there is none. Throws: cancelled; no memory. The message
-- is not lost then.
function subscription:get(timeout)
    local done, value, sequence = b_get(self, timeout)
    if done == true then
        return value, sequence
    elseif done == false then
        return nil
    elseif done == nil then
        return nil, value
    end
    -- Another fiber may have taken what came: wait for the rest of the time.
    local over = timeout ~= nil and clock() + timeout
    repeat
        local again = b_get_end(self, done)
        local left = again and over and math.max(over - clock(), 0)
            or not again and 0 or nil
        done, value, sequence = b_get(self, left)
        if done == true then
            return value, sequence
        elseif done == nil then
            return nil, value
        end
    until done == false
    return nil
end

c.broadcast.set_methods(subscription)

return M
