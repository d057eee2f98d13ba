-- Shared by the measured programs: clock, memory, and how often a thing is done
-- in a second. Every program prints lines of a name and a number.

local ffi = require('ffi')

ffi.cdef([[
    struct bench_timespec { long sec; long nsec; };
    int clock_gettime(int id, struct bench_timespec *t);
    long sysconf(int name);
]])

local M = {}

local MONOTONIC, PROCESS_CPUTIME = 1, 2
local SC_PAGESIZE = 30
local now = ffi.new('struct bench_timespec')

-- CPU time of this process: nothing here waits for anybody, and what else the
-- machine does is left out.
function M.clock()
    ffi.C.clock_gettime(PROCESS_CPUTIME, now)
    return tonumber(now.sec) + tonumber(now.nsec) / 1e9
end

-- Time as it passes, for what waits for another thread.
function M.wall_clock()
    ffi.C.clock_gettime(MONOTONIC, now)
    return tonumber(now.sec) + tonumber(now.nsec) / 1e9
end

-- Memory of this process that is in RAM, in bytes.
function M.rss()
    local file = assert(io.open('/proc/self/statm'))
    local pages = file:read('*a'):match('^%d+ (%d+)')
    file:close()
    return tonumber(pages) * tonumber(ffi.C.sysconf(SC_PAGESIZE))
end

-- Memory of the Lua state, in bytes, garbage taken away.
function M.lua_memory()
    collectgarbage()
    collectgarbage()
    return collectgarbage('count') * 1024
end

-- How many operations a second of CPU time, or of another clock's: batch(n)
-- does n of them.
function M.rate(batch, clock)
    clock = clock or M.clock
    local seconds = tonumber(os.getenv('BENCH_SECONDS')) or 0.3
    local n, elapsed = 100, 0
    repeat
        n = n * 2
        local begin = clock()
        batch(n)
        elapsed = clock() - begin
    until elapsed > seconds / 10
    n = math.ceil(n * seconds / elapsed)
    collectgarbage()
    local begin = clock()
    batch(n)
    return n / (clock() - begin)
end

function M.print(name, value)
    print(string.format('%s %.9g', name, value))
end

-- The median and what one in a hundred exceeds, of a list of seconds.
function M.print_delays(name, list)
    assert(#list > 0, 'nothing was measured')
    table.sort(list)
    M.print(name .. '_p50', list[math.ceil(#list * 0.50)])
    M.print(name .. '_p99', list[math.ceil(#list * 0.99)])
end

-- About 1 KiB of msgpack: what a message of a service holds.
function M.mixed()
    local value = { id = 4711, name = 'a name of some length', ok = true,
                    ratio = 0.625, tags = {}, items = {} }
    for i = 1, 22 do
        value.tags[i] = 'tag number ' .. i
    end
    for i = 1, 10 do
        value.items[i] = { id = 100000 + i * 77, price = i + 0.25,
                           title = 'an item with a title ' .. i,
                           left = i * 3, active = i % 2 == 0 }
    end
    return value
end

-- Runs figures[arg[1]] with the other arguments.
function M.main(figures)
    local figure = figures[arg[1]]
    if figure == nil then
        io.stderr:write('no such figure: ', tostring(arg[1]), '\n')
        os.exit(2)
    end
    figure(unpack(arg, 2))
    io.stdout:flush()
end

return M
