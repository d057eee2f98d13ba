-- The same functions for both kinds of state; their names begin with the kind.
local fiber = require('fiber')
local states = require('neap.states')

local cancelled = 0

return function(kind)
    local function register(what, name, f)
        states.register(what, kind .. '-' .. name, f)
    end

    register('action', 'where', function()
        return states.id
    end)

    -- A step of a chain: what it does depends on all before it.
    register('action', 'step', function(r, x)
        local sum = (r:get_var('sum') or 0) * 31 % 65521 + x
        r:set_var('sum', sum)
        r:set_var('trace', (r:get_var('trace') or '') .. 'a')
    end)
    register('fetch', 'step', function(r, x)
        return (r:get_var('sum') or 0) + x, r:get_var('trace')
    end)
    register('converter', 'step', function(_, x)
        return ('%d:%d'):format(x, x * x % 997)
    end)

    register('action', 'set-priv', function(r, v)
        r:set_priv({kind, v})
    end)
    register('fetch', 'get-priv', function(r)
        local v = r:get_priv()
        if v ~= nil then
            return v[1], v[2]
        end
    end)
    register('action', 'set-var', function(r, name, v)
        r:set_var(name, v)
    end)
    register('fetch', 'get-var', function(r, name)
        return r:get_var(name)
    end)
    register('action', 'set-bad-var', function(r)
        r:set_var('bad', {})
    end)

    register('action', 'sleep', function(_, seconds)
        fiber.sleep(seconds)
        return states.id
    end)
    register('action', 'sleep-counted', function(_, seconds)
        local ok = pcall(fiber.sleep, seconds)
        if not ok then
            cancelled = cancelled + 1
        end
        fiber.testcancel()
    end)
    register('fetch', 'cancelled', function()
        return cancelled
    end)

    local function inner(text)
        error(text)
    end
    register('action', 'fail', function(_, text)
        inner(text)
    end)
    register('action', 'fail-object', function()
        require('fio_that_is_not_there')
    end)
    register('fetch', 'function', function()
        return print
    end)
    register('action', 'echo', function(_, ...)
        return select('#', ...), ...
    end)

    register('filter', 'burst', function()
        while true do end
    end)
    register('filter', 'swallow', function()
        while true do
            pcall(function() while true do end end)
        end
    end)
    register('filter', 'total', function()
        while true do
            for i = 1, 2e5 do counter = counter + i % 2 end
            fiber.sleep(0)
        end
    end)
    register('action', 'hog', function()
        local t = {}
        while true do
            t[#t + 1] = ('x'):rep(1000) .. #t
        end
    end)
end
