-- How late a fiber wakes beside others that compute, for ours.lua and peer.lua:
-- one that sleeps a millisecond at a time, and one that waits for lines from the
-- standard input, each of which tells when it was written (stamps.lua).
--
-- delay(read) returns the figure; read() waits for a line, nil at the end.

local fiber = require('fiber')
local measure = require('measure')

local SLEEP = 0.001
local now = measure.wall_clock

-- Compiled code that calls nothing of the server's.
local function spin(to)
    local x = 0
    repeat
        for i = 1, 10000 do
            x = (x + i) % 7
        end
    until now() >= to
    return x
end

local function must_compile()
    local compiled = 0
    jit.attach(function(what)
        compiled = compiled + (what == 'stop' and 1 or 0)
    end, 'trace')
    spin(now() + 0.005)
    assert(compiled > 0, 'the loop that spins was not compiled')
end

local function joinable(f, ...)
    local it = fiber.new(f, ...)
    it:set_joinable(true)
    return it
end

return function(read)
    return function(spinners, seconds)
        must_compile()
        local sleeps, lines = {}, {}
        local begin = now()
        local to = begin + tonumber(seconds)
        local all = {}
        all[1] = joinable(function()
            repeat
                local due = now() + SLEEP
                fiber.sleep(SLEEP)
                sleeps[#sleeps + 1] = now() - due
            until now() >= to
        end)
        all[2] = joinable(function()
            for line in read do
                local stamp = tonumber(line)
                -- Not what was written before the start, or after the end.
                if stamp >= begin and stamp < to then
                    lines[#lines + 1] = now() - stamp
                end
            end
        end)
        fiber.sleep(0) -- both wait before anybody spins
        for _ = 1, tonumber(spinners) do
            all[#all + 1] = joinable(spin, to)
        end
        for _, it in ipairs(all) do
            assert(it:join())
        end
        measure.print_delays('sleep', sleeps)
        measure.print_delays('line', lines)
    end
end
