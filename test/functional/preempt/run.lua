-- Runs the programs: `run.lua alone|beside|watched SCALE SEED`, one line of result
-- for each. Beside each other they are fibers, and what they compiled is thrown away
-- at random meanwhile. The errors say how often one was made to give way and how many
-- traces were made; when watched also, for each program, how often its compiled code
-- was left because it had to give way.
package.path = arg[0]:match('^(.*/)') .. '?.lua;' .. package.path
local fiber, util = require('fiber'), require('jit.util')
local programs = require('programs')

local mode, scale = arg[1], tonumber(arg[2])
local results, waiting = {}, {}

local function run(name)
    local ok, sum = xpcall(programs[name], debug.traceback, scale)
    -- One store each: what reads and then writes may be put aside in between.
    results[name] = name .. ' ' .. (ok and tostring(sum) or 'FAILED ' .. sum)
    waiting[name] = nil
end

-- Which program a function is in, by its line; "spin" is what they share.
local function owner(func)
    local line = util.funcinfo(func).linedefined
    local name, best = 'spin', 0
    for other, f in pairs(programs) do
        local first = util.funcinfo(f).linedefined
        if first <= line and first > best then
            name, best = other, first
        end
    end
    return name
end

local traces, left, owners = 0, {}, {}
jit.attach(function(what, trace, func)
    if what == 'start' then
        owners[trace] = owner(func)
    elseif what == 'stop' then
        traces = traces + 1
    end
end, 'trace')
if mode == 'watched' then
    -- The hook is there when a trace is left: it was set while compiled code ran,
    -- and is why it was left.
    -- debug.gethook() does not tell of the server's; what it calls does.
    local _, any_hook = debug.getupvalue(debug.gethook, 1)
    jit.attach(function(trace)
        if any_hook() == 'external hook' then
            local name = owners[trace]
            left[name] = (left[name] or 0) + 1
        end
    end, 'texit')
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
io.stderr:write('preempted ', fiber.preempted(), ' traces ', traces, '\n')
for name, count in pairs(left) do
    io.stderr:write('left ', name, ' ', count, '\n')
end
