-- Timeouts from nothing to far beyond what any clock counts, in every wait
-- that takes one.
--
-- test: variants
local tap = require('tap')
local fiber = require('fiber')

local endless = { 2 ^ 31, 2 ^ 32, 2 ^ 53, 1e10, 1e18, 1e19, 1e300, 1 / 0 }
local none = { 0, -0, -1, -1e300, -1 / 0, 1e-300 }

local dead = fiber.new(fiber.sleep, 1 / 0)
dead:set_joinable(true)
local waits = {
    { 'sleep', function(t) fiber.sleep(t) return 'slept' end },
    { 'channel:get', function(t) return fiber.channel():get(t) end },
    { 'channel:put', function(t) return fiber.channel():put(1, t) end },
    { 'cond:wait', function(t) return fiber.cond():wait(t) end },
    { 'join', function(t) return dead:join(t) end },
}

for _, w in ipairs(waits) do
    local name, wait = w[1], w[2]

    for _, t in ipairs(endless) do
        local f = fiber.new(wait, t)

        f:set_joinable(true)
        for _ = 1, 3 do fiber.sleep(0) end
        tap.is(f:status(), 'suspended', ('%s(%g) waits'):format(name, t))
        f:cancel()
        local ok, err = f:join()
        tap.ok(not ok and tostring(err) == 'fiber is cancelled',
            ('%s(%g) can be cancelled'):format(name, t), err)
    end
    for _, t in ipairs(none) do
        local f = fiber.new(wait, t)

        f:set_joinable(true)
        tap.ok(f:join(1000) ~= nil and f:status() == 'dead',
            ('%s(%g) does not wait'):format(name, t))
    end
    local ok, err = pcall(wait, 0 / 0)
    tap.ok(not ok and tostring(err):find('number', 1, true),
        name .. ' refuses NaN', err)
end

dead:cancel()
dead:join()
tap.done()
