-- A part of the module `fiber`: groups, fibers that end together, and deadlines.

local c, M = ...

local spawn, wait_firm, fiber_id = c.spawn, c.wait_firm, c.id
local deadline_begin, deadline_end = c.deadline_begin, c.deadline_end
local note_trace, usage, running_fiber = c.note_trace, c.usage, c.self
local traceback, getinfo = debug.traceback, debug.getinfo
local error, pcall, xpcall, pairs, type = error, pcall, xpcall, pairs, type
local setmetatable, getmetatable = setmetatable, getmetatable

local group = {}
group.__index = group

-- Where an error began that is thrown on below, for the report if nobody
-- catches it.
local function note_place(err)
    local caller = getinfo(3, 'S')
    note_trace(err, traceback('', 2),
        caller ~= nil and caller.source:find('=neap/', 1, true) == 1)
    return err
end

local function check(g, name)
    if getmetatable(g) ~= group then
        usage(('group:%s(): a group is wanted, not %s'):format(name, type(g)))
    end
    return g
end

-- The members, but not the one that calls: it comes last, if it is told at all.
-- Makes no object: there may be no memory for one.
local function cancel_members(g)
    g.ended = true
    local own
    local me = fiber_id()
    for member in pairs(g.members) do
        if fiber_id(member) == me then
            own = member
        else
            pcall(member.cancel, member)
        end
    end
    return own
end

-- A member has ended. Runs in no fiber: it must not wait.
local function ended(g, member, failed, err, text)
    g.members[member] = nil
    g.running = g.running - 1
    if failed and not g.failed then
        g.failed, g.err, g.text = true, err, text
        cancel_members(g)
    end
    g.cond:broadcast()
end

local function throw(g)
    local err = g.err
    g.thrown = true
    note_trace(err, '\n' .. g.text, false)
    error(err, 0)
end

-- Whatever happens to the one who waits: members do not outlive their scope.
local function drain(g)
    cancel_members(g)
    while g.running > 0 do
        wait_firm(g.cond)
    end
end

--- group:spawn(f, ...) -> fiber_object
-- Start a fiber in the group that calls @f with the arguments behind it, in the
-- next round. It has the deadline of the caller. Its error is the group's: it
-- cannot be joined. Yields: no. Throws: the group has been cancelled, or a member
-- has failed.
function group:spawn(f, ...)
    check(self, 'spawn')
    if self.ended then
        usage('group:spawn(): the group has ended')
    end
    local member
    member = spawn(self, function(...)
        ended(self, member, ...)
    end, f, ...)
    return member
end

--- group:wait()
-- Wait until all members have ended. If one fails, the others are cancelled, and
-- when they have ended too its error is thrown here; nobody catching it, the log
-- tells its traceback and the place that spawned the member. A cancel or a deadline
-- of the caller cancels the members first. Yields: yes, unless all have ended.
-- Throws: the first error of a member; cancelled; the deadline is over; the caller
-- is a member itself.
function group:wait()
    check(self, 'wait')
    if self.running > 0 and self.members[running_fiber()] then
        usage('group:wait(): a member cannot wait for its own group: '
            .. 'it would wait for itself')
    end
    while self.running > 0 do
        local ok, err = pcall(self.cond.wait, self.cond)
        if not ok then
            drain(self)
            error(err, 0)
        end
    end
    if self.failed and not self.thrown then
        throw(self)
    end
end

--- group:cancel()
-- Cancel all members; nothing more can be spawned. A member that calls it is
-- cancelled last. Yields: no. Throws: cancelled, in a member.
function group:cancel()
    local own = cancel_members(check(self, 'cancel'))
    if own ~= nil then
        own:cancel()
    end
end

--- group:count() -> number
-- How many members have not ended. Yields: no.
function group:count()
    return check(self, 'count').running
end

-- With all that is set later: there may be no memory for it then.
local function new_group()
    return setmetatable({ members = {}, running = 0, cond = M.cond(),
        ended = false, failed = false, thrown = false, err = false, text = false,
    }, group)
end

local function leave(g, ok, ...)
    local err = ...
    drain(g)
    if not ok then
        error(err, 0)
    elseif g.failed and not g.thrown then
        throw(g)
    end
    return ...
end

--- fiber.group([f]) -> group | ...
-- A group of fibers. With @f it is a scope: `f(group)` is called, and when it
-- returns or throws, members that still run are cancelled and waited for, so that
-- none outlives it; call `group:wait()` at its end to let them finish. What @f
-- returns is returned; its error, or the first one of a member, is thrown.
-- Without @f `wait()` or `cancel()` is up to the caller. Yields: with @f, when
-- members run or @f does. Throws: what @f or a member throws.
function M.group(f)
    local g = new_group()
    if f == nil then
        return g
    elseif type(f) ~= 'function' then
        usage(('fiber.group([function]): a function is wanted, not %s')
            :format(type(f)))
    end
    return leave(g, xpcall(f, note_place, g))
end

-- A scope is left in order also by a fiber that is over a limit, or takes all memory.
c.firm(cancel_members)
c.firm(drain)
c.firm(leave)
c.firm(throw)
c.firm(M.group)
c.firm(group.wait)

local function restore(before, ok, ...)
    deadline_end(before)
    if not ok then
        error((...), 0)
    end
    return ...
end

--- fiber.deadline(seconds, f, ...) -> ...
-- Call @f with the arguments behind it, and let no wait inside last beyond
-- @seconds from now: it throws an error of type TimedOut then, as does each
-- further wait. This holds for all that @f calls, and for fibers it spawns in
-- groups. Of deadlines inside each other the earliest holds; when @f has ended
-- the one before holds again. Who computes is told once, at the end of a slice.
-- @f may catch the error and go on: see `fiber.set_limits()`. Gives what @f returns. Yields: when @f does.
-- Throws: TimedOut; what @f throws.
function M.deadline(seconds, f, ...)
    if type(f) ~= 'function' then
        usage(('fiber.deadline(seconds, function, ...): a function is wanted, '
            .. 'not %s'):format(type(f)))
    end
    return restore(deadline_begin(seconds), xpcall(f, note_place, ...))
end
