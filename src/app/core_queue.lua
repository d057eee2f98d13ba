-- A part of the module `core`: queues between the fibers of one state. A value goes
-- to the one who has waited longest.
local args = require('neap.args')
local fiber = require('fiber')
local flow = require('neap.core_flow')

local error, pairs, pcall, setmetatable = error, pairs, pcall, setmetatable

local LIMIT = 65536 -- values of a queue, unless something else is said
local LIMIT_MAX = 16777216

local M = {}
local Queue = {}
local queue_mt = args.class('Queue', Queue)
queue_mt.__serialize = function()
    error('a Queue is for the fibers of one state: between states there is '
        .. 'shared.channel()', 0)
end

-- Fibers that wait, in their order: a ring around its head.
local function ring()
    local head = {}
    head.next, head.prev = head, head
    return head
end

local function append(head, w)
    w.prev, w.next = head.prev, head
    head.prev.next, head.prev = w, w
end

local function unlink(w)
    w.prev.next, w.next.prev = w.next, w.prev
    w.next, w.prev = w, w
end

local function shift(head)
    local w = head.next
    if w == head then
        return nil
    end
    unlink(w)
    return w
end

--- core.queue([limit]) -> queue
-- A queue with room for @limit values (65536; at most 16777216), for fibers of this
-- state. Yields: no.
function M.queue(limit)
    if limit ~= nil then
        args.whole(limit, 1, LIMIT_MAX, 1, 'queue')
    end
    return setmetatable({
        limit = limit or LIMIT, first = 1, last = 0, values = {},
        readers = ring(), writers = ring(),
        alarms = setmetatable({}, { __mode = 'k' }),
    }, queue_mt)
end

-- Due at which time of fiber.clock(); nil: never.
local function due_of(timeout, n, f)
    if timeout == nil or timeout == true then
        return nil
    end
    return fiber.clock() + args.time(timeout, n, f) / 1000
end

-- Wait in @head until it is served: true; false: it is too late. What throws is
-- thrown, and then the caller has what was served.
local function wait(head, w, due)
    w.cond = fiber.cond()
    append(head, w)
    local ok, err = true, nil
    while ok and not w.served do
        local left = due and due - fiber.clock()
        if left and left <= 0 then
            break
        end
        ok, err = pcall(w.cond.wait, w.cond, left)
    end
    if not w.served then
        unlink(w)
    end
    return ok, err
end

local function serve(w)
    w.served = true
    w.cond:signal()
end

local function ring_alarms(self)
    local alarms = self.alarms
    if next(alarms) == nil then
        return
    end
    self.alarms = setmetatable({}, { __mode = 'k' })
    for f in pairs(alarms) do
        flow.wake(f)
    end
end

-- Give @value to who waits for one, or keep it.
local function put(self, value)
    local reader = shift(self.readers)
    if reader ~= nil then
        reader.value = value
        serve(reader)
        return
    end
    self.last = self.last + 1
    self.values[self.last] = value
    ring_alarms(self)
end

-- The same with one that was taken: it goes first.
local function put_back(self, value)
    local reader = shift(self.readers)
    if reader ~= nil then
        reader.value = value
        serve(reader)
        return
    end
    self.first = self.first - 1
    self.values[self.first] = value
    ring_alarms(self)
end

local function is_empty(self)
    return self.last < self.first
end

local function take(self)
    local at = self.first
    local value = self.values[at]
    self.values[at] = nil
    self.first = at + 1
    if is_empty(self) then
        self.first, self.last = 1, 0
    end
    local writer = shift(self.writers)
    if writer ~= nil then
        put(self, writer.value)
        serve(writer)
    end
    return value
end

--- queue:push(value, [timeout]) -> boolean
-- Put @value, anything but nil, at the end. False: it is full, and with @timeout has been
-- for so many milliseconds (true: it waits for ever). Yields: with a timeout, when it is
-- full. Throws: cancelled.
function Queue:push(value, timeout)
    args.object(self, queue_mt, 'push')
    if value == nil then
        args.bad(1, 'push', 'nil cannot be told from no value')
    end
    local due = due_of(timeout, 2, 'push')
    if self.last - self.first + 1 < self.limit then
        put(self, value)
        return true
    elseif timeout == nil then
        return false
    end
    local w = { value = value }
    local ok, err = wait(self.writers, w, due)
    if not ok then
        error(err, 0)
    end
    return w.served == true
end

--- queue:pop() -> value | nil
-- Take the oldest value; nil: it is empty. Yields: no.
function Queue:pop()
    args.object(self, queue_mt, 'pop')
    if is_empty(self) then
        return nil
    end
    return take(self)
end

--- queue:pop_wait([timeout]) -> value | nil
-- The same, and wait for one when it is empty; those who wait are served in their
-- order. Nil: none has come within @timeout milliseconds. Yields: when it is empty.
-- Throws: cancelled; nothing can wait here.
function Queue:pop_wait(timeout)
    args.object(self, queue_mt, 'pop_wait')
    local due = due_of(timeout, 1, 'pop_wait')
    if not is_empty(self) then
        return take(self)
    end
    local w = {}
    local ok, err = wait(self.readers, w, due)
    if not ok then
        if w.served then
            put_back(self, w.value)
        end
        error(err, 0)
    end
    return w.value
end

--- queue:size() -> number
-- How many values are in it. Yields: no.
function Queue:size()
    args.object(self, queue_mt, 'size')
    return self.last - self.first + 1
end

--- queue:alarm()
-- Have the `core.wait()` of this fiber end when the next value is put, or now when there
-- is one; once. So a fiber can wait for several queues. Yields: no.
function Queue:alarm()
    args.object(self, queue_mt, 'alarm')
    local self_fiber = fiber.self()
    if not is_empty(self) then
        flow.wake(self_fiber)
    else
        self.alarms[self_fiber] = true
    end
end

return M
