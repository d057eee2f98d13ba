-- Checks of arguments, with the texts that Lua's own functions have (require
-- 'neap.args', which is no public module). Each throws an error of type
-- IllegalParams with the place of the user's call.
local c = ...

local usage = c.usage
local type, tostring, floor = type, tostring, math.floor

local M = {}

-- "bad argument #n to 'f' (why)"
local function bad(n, f, why)
    usage(("bad argument #%d to '%s' (%s)"):format(n, f, why))
end

local function wanted(n, f, what, value)
    bad(n, f, ('%s expected, got %s'):format(what,
        value == nil and 'no value' or type(value)))
end

M.bad, M.wanted = bad, wanted

-- A string; a number is one, too.
function M.text(value, n, f)
    if type(value) == 'string' then
        return value
    elseif type(value) == 'number' then
        return tostring(value)
    end
    wanted(n, f, 'string', value)
end

function M.number(value, n, f)
    if type(value) ~= 'number' or value ~= value then
        wanted(n, f, 'number', value)
    end
    return value
end

-- A time: any number from 0 on.
function M.time(value, n, f)
    if M.number(value, n, f) < 0 then
        bad(n, f, 'a time cannot be negative')
    end
    return value
end

-- A whole number from @low to @high.
function M.whole(value, low, high, n, f)
    M.number(value, n, f)
    if floor(value) ~= value or value < low or value > high then
        bad(n, f, ('a whole number from %d to %d expected, got %s')
            :format(low, high, tostring(value)))
    end
    return value
end

function M.callable(value, n, f)
    if type(value) ~= 'function' then
        wanted(n, f, 'function', value)
    end
    return value
end

function M.table(value, n, f)
    if type(value) ~= 'table' then
        wanted(n, f, 'table', value)
    end
    return value
end

-- As many arguments as there must be.
function M.count(got, want, f)
    if got ~= want then
        usage(("'%s' needs %d argument%s, got %d"):format(f, want,
            want == 1 and '' or 's', got))
    end
end

-- A metatable for objects of class @name with @methods; they stay in their state.
function M.class(name, methods)
    return {
        __index = methods,
        __name = name,
        __tostring = function() return name end,
        __serialize = function()
            usage(('a %s belongs to the state that has made it, and cannot go to '
                .. 'another'):format(name))
        end,
    }
end

-- Whether @self is of that class.
function M.object(self, mt, f)
    if debug.getmetatable(self) ~= mt then
        bad(1, f, ('%s expected, got %s'):format(mt.__name, type(self)))
    end
    return self
end

return M
