-- Runs the programs: `run.lua alone|beside SCALE`, one line of result for each.
-- Beside each other they are fibers, and what they compiled is thrown away at
-- random meanwhile. The last line says how often one was made to give way.
package.path = arg[0]:match('^(.*/)') .. '?.lua;' .. package.path
local fiber = require('fiber')
local programs = require('programs')

local mode, scale = arg[1], tonumber(arg[2])
local results, waiting = {}, {}

local function run(name)
    local ok, sum = xpcall(programs[name], debug.traceback, scale)
    -- One store each: what reads and then writes may be put aside in between.
    results[name] = name .. ' ' .. (ok and tostring(sum) or 'FAILED ' .. sum)
    waiting[name] = nil
end

local names = {}
for name in pairs(programs) do
    -- A hook is the state's, not the fiber's.
    if mode == 'alone' or name ~= 'own_hook' then
        names[#names + 1] = name
    end
end
for _, name in ipairs(names) do
    waiting[name] = true
    if mode == 'alone' then
        run(name)
    else
        fiber.name(fiber.new(run, name), name, { truncate = true })
    end
end

local seed = tonumber(arg[3] or 1)
while next(waiting) do
    fiber.sleep(0.001)
    seed = seed * 16807 % 2147483647
    if seed % 16 == 0 then
        jit.flush()
    end
end
table.sort(names)
for _, name in ipairs(names) do
    print(results[name])
end
io.stderr:write('preempted ', fiber.preempted(), '\n')
