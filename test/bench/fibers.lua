-- What ours.lua and peer.lua do in the same words, for the module `fiber` has the
-- same names in both.

local fiber = require('fiber')
local measure = require('measure')

local figures = {}

local function nothing() end

-- A fiber is made, runs and ends.
function figures.create()
    measure.print('rate', measure.rate(function(n)
        local create = fiber.create
        for _ = 1, n do
            create(nothing)
        end
    end))
end

-- Two fibers take turns; one switch is one yield.
function figures.switch()
    measure.print('rate', measure.rate(function(n)
        local yield = fiber.yield
        local function half()
            for _ = 1, n / 2 do
                yield()
            end
        end
        local a, b = fiber.new(half), fiber.new(half)
        a:set_joinable(true)
        b:set_joinable(true)
        assert(a:join())
        assert(b:join())
    end))
end

-- A value to another fiber, and its answer.
function figures.channel()
    measure.print('rate', measure.rate(function(n)
        local there, back = fiber.channel(1), fiber.channel(1)
        fiber.create(function()
            for _ = 1, n do
                back:put(there:get())
            end
        end)
        for i = 1, n do
            there:put(i)
            if back:get() ~= i then
                error('another value came back')
            end
        end
    end))
end

return figures
