-- Runs random programs (random_program.lua):
--
--	random.lua text SEED                 the program itself
--	random.lua alone FIRST LAST ROUNDS   one after the other
--	random.lua beside FIRST LAST ROUNDS  eight at a time, as fibers
--	random.lua flushed FIRST LAST ROUNDS the same, with what they compiled thrown
--	                                     away by them and meanwhile
--
-- A line "SEED SUM" for each; the last line of the errors says how often one was
-- made to give way, and how many traces were made.
package.path = arg[0]:match('^(.*/)') .. '?.lua;' .. package.path
local fiber = require('fiber')
local generate = require('random_program')

local AT_ONCE = 8

local mode, first, last = arg[1], tonumber(arg[2]), tonumber(arg[3])
local rounds = tonumber(arg[4] or 1)
if mode == 'text' then
    print(generate(first))
    return
end

local traces = 0
jit.attach(function(what)
    traces = traces + (what == 'stop' and 1 or 0)
end, 'trace')

local dice = first
local function one_in(n)
    dice = dice * 16807 % 2147483647
    return dice % n == 0
end

local function wait()
    if mode ~= 'alone' and coroutine.isyieldable() then
        fiber.yield()
    end
end

local function flush()
    if mode == 'flushed' and one_in(50) then
        jit.flush()
    end
end

if mode == 'flushed' then
    -- Everything is hot, and side traces are everywhere.
    jit.opt.start('hotloop=2', 'hotexit=1', 'maxtrace=200')
end

local sums, running = {}, 0

local function run(seed)
    local chunk = assert(loadstring(generate(seed), '=seed ' .. seed))
    local ok, sum = xpcall(chunk, debug.traceback, rounds, wait, flush)
    sums[seed] = ok and tostring(sum) or 'FAILED ' .. tostring(sum)
    running = running - 1
end

for seed = first, last do
    running = running + 1
    if mode == 'alone' then
        run(seed)
    else
        fiber.create(run, seed)
    end
    while running >= (seed < last and AT_ONCE or 1) do
        fiber.sleep(0.0005)
        if mode == 'flushed' and one_in(16) then
            jit.flush()
        end
    end
end
for seed = first, last do
    print(seed .. ' ' .. sums[seed])
end
io.stderr:write('preempted ', fiber.preempted(), ' traces ', traces, '\n')
