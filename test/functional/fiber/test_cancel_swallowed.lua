-- A cancelled fiber that swallows its cancel in a loop: the others run, and
-- the process ends.
-- test: timeout 30
local fiber = require('fiber')
local tap = require('tap')

local function endless(wait)
    local rounds = 0
    local f = fiber.create(function()
        while true do
            pcall(wait)
            rounds = rounds + 1
        end
    end)
    f:cancel()
    return f, function() return rounds end
end

local channel, cond = fiber.channel(0), fiber.cond()
for name, wait in pairs({
    sleep = function() fiber.sleep(100) end,
    yield = fiber.yield,
    channel = function() channel:get() end,
    cond = function() cond:wait() end,
}) do
    local _, rounds = endless(wait)
    fiber.sleep(0.01)
    local before = rounds()
    fiber.sleep(0.01)
    tap.ok(rounds() > before, name .. ': it goes on, and so do we')
end

tap.done()
os.exit(0)
