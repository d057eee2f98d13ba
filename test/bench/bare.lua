-- The limits of the figures in ours.lua, run by bare.c: `bare bare.lua FIGURE`.

local measure = require('measure')
local bare = bare

local figures = {}

local function nothing() end

-- A coroutine is made, runs and ends.
function figures.create()
    measure.print('rate', measure.rate(function(n)
        local create, resume = coroutine.create, coroutine.resume
        for _ = 1, n do
            resume(create(nothing))
        end
    end))
end

-- One resume and one yield.
function figures.switch()
    measure.print('rate', measure.rate(function(n)
        local yield, resume = coroutine.yield, coroutine.resume
        local co = coroutine.create(function()
            while true do
                yield()
            end
        end)
        for _ = 1, n do
            resume(co)
        end
    end))
end

-- A value into a coroutine, and its answer.
function figures.channel()
    measure.print('rate', measure.rate(function(n)
        local yield, resume = coroutine.yield, coroutine.resume
        local co = coroutine.create(function(value)
            while true do
                value = yield(value)
            end
        end)
        for i = 1, n do
            local _, value = resume(co, i)
            if value ~= i then
                error('another value came back')
            end
        end
    end))
end

-- Coroutines that are suspended.
function figures.idle(count)
    count = tonumber(count)
    local keep = {}
    for i = 1, count do
        keep[i] = false
    end
    local lua, rss = measure.lua_memory(), measure.rss()
    local yield = coroutine.yield
    local function wait()
        yield()
    end
    for i = 1, count do
        keep[i] = coroutine.create(wait)
        coroutine.resume(keep[i])
    end
    measure.print('count', count)
    measure.print('rss', (measure.rss() - rss) / count)
    measure.print('lua', (measure.lua_memory() - lua) / count)
    -- The longest of the collector's steps, as long as the server's.
    collectgarbage('setstepmul', 2000)
    local longest, before = 0, measure.wall_clock()
    repeat
        local done = collectgarbage('step', 0)
        local now = measure.wall_clock()
        longest, before = math.max(longest, now - before), now
    until done
    measure.print('step', longest)
end

-- A program that only waits, beside nothing: half the time it sleeps, then it
-- reads.
function figures.delay(_, seconds)
    local now, sleeps, lines = measure.wall_clock, {}, {}
    local to = now() + seconds / 2
    repeat
        local due = now() + 0.001
        bare.sleep(0.001)
        sleeps[#sleeps + 1] = now() - due
    until now() >= to
    for line in io.lines() do
        if tonumber(line) >= to then
            lines[#lines + 1] = now() - tonumber(line)
        end
    end
    measure.print_delays('sleep', sleeps)
    measure.print_delays('line', lines)
end

function figures.cmod_noop()
    local call = bare.noop
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            call()
        end
    end))
end

function figures.cmod_sum()
    local call, sum = bare.add, nil
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            sum = call(1, 2)
        end
        assert(sum == 3)
    end))
end

-- To another thread and back, with nothing to do there.
function figures.cmod_offload()
    measure.print('rate', measure.rate(bare.handover, measure.wall_clock))
end

figures.cmod_offload_many = figures.cmod_offload

-- To another process and back, the same.
function figures.cmod_isolate()
    measure.print('rate', measure.rate(bare.exchange, measure.wall_clock))
end

function figures.cmod_echo()
    local call = bare.echo
    local map = { id = 17, name = 'a name', ok = true }
    assert(call(map).name == 'a name')
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            call(map)
        end
    end))
end

local function bench_module()
    return assert(os.getenv('NEAP_TEST_CMOD_DIR')) .. '/bench.so'
end

-- Asking the kernel whether it has anything to tell of the file.
function figures.cmod_cached()
    measure.print('rate', measure.rate(function(n)
        bare.told_cycle(bench_module(), n)
    end))
end

-- dlopen, dlsym, dlclose of the file itself.
function figures.cmod_uncached()
    measure.print('rate', measure.rate(function(n)
        bare.dl_cycle(bench_module(), 'sum', n)
    end))
end

local function read(path)
    local file = assert(io.open(path, 'rb'))
    local data = file:read('*a')
    file:close()
    return data
end

-- msgpack-c between bytes and C structures.
function figures.msgpack_encode(path)
    local data = read(path)
    measure.print('rate', #data * measure.rate(function(n)
        bare.mp_encode(data, n)
    end))
end

function figures.msgpack_decode(path)
    local data = read(path)
    measure.print('rate', #data * measure.rate(function(n)
        bare.mp_decode(data, n)
    end))
end

measure.main(figures)
