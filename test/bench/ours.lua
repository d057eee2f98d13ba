-- The figures of the server, run by the server: `neap ours.lua FIGURE`.
-- bare.lua holds the limit of each under the same name, peer.lua the peer.

local fiber = require('fiber')
local measure = require('measure')

local figures = require('fibers')

-- Fibers that wait for a message that does not come.
function figures.idle(count)
    count = tonumber(count)
    local channel = fiber.channel(0)
    local function wait()
        channel:get()
    end
    for _ = 1, 100 do
        fiber.create(wait)
    end
    local lua, rss = measure.lua_memory(), measure.rss()
    for _ = 1, count do
        fiber.create(wait)
    end
    measure.print('count', count)
    measure.print('rss', (measure.rss() - rss) / count)
    measure.print('lua', (measure.lua_memory() - lua) / count)
    -- Of the two collections over all of them, just now.
    measure.print('step', require('neap').memory().longest_step)
    channel:close()
end

figures.delay = require('delay')(function()
    return io.read('*l')
end)

local function bench_module()
    local folder = assert(os.getenv('NEAP_TEST_CMOD_DIR'))
    return require('cmod').load(folder .. '/bench')
end

function figures.cmod_noop()
    local call = bench_module():load('noop')
    assert(call() == true)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            call()
        end
    end))
end

function figures.cmod_sum()
    local call = bench_module():load('sum')
    local ok, sum = call(1, 2)
    assert(ok == true and sum == 3)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            ok, sum = call(1, 2)
        end
        assert(ok == true and sum == 3)
    end))
end

-- The sum elsewhere, one call after the other.
local function measure_elsewhere(options)
    local call = bench_module():load('sum', options)
    local ok, sum = call(1, 2)
    assert(ok == true and sum == 3)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            ok, sum = call(1, 2)
        end
        assert(ok == true and sum == 3)
    end, measure.wall_clock))
end

-- On another thread.
function figures.cmod_offload()
    measure_elsewhere({ offload = true })
end

-- In a helper process.
function figures.cmod_isolate()
    measure_elsewhere({ isolate = 'process' })
end

-- On other threads, from 64 fibers at once.
function figures.cmod_offload_many()
    local call = bench_module():load('sum', { offload = true })
    local function calls(n)
        for _ = 1, n do
            call(1, 2)
        end
    end
    measure.print('rate', measure.rate(function(n)
        local fibers = {}
        for i = 1, 64 do
            fibers[i] = fiber.new(calls, math.ceil(n / 64))
            fibers[i]:set_joinable(true)
        end
        for i = 1, 64 do
            assert(fibers[i]:join())
        end
    end, measure.wall_clock))
end

function figures.cmod_echo()
    local call = bench_module():load('echo')
    local map = { id = 17, name = 'a name', ok = true }
    local ok, copy = call(map)
    assert(ok == true and copy ~= map and copy.id == 17 and
           copy.name == 'a name' and copy.ok == true)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            call(map)
        end
    end))
end

local function load_unload(n)
    local load = require('cmod').load
    local path = assert(os.getenv('NEAP_TEST_CMOD_DIR')) .. '/bench'
    for _ = 1, n do
        load(path):unload()
    end
end

function figures.cmod_cached()
    local keep = bench_module()
    measure.print('rate', measure.rate(load_unload))
    keep:unload()
end

-- The library is mapped, one function looked up, all given back.
function figures.cmod_uncached()
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            local module = bench_module()
            module:load('sum'):unload()
            module:unload()
        end
    end))
end

-- MB/s of msgpack.
function figures.msgpack_encode()
    local encode = require('msgpack').encode
    local value = measure.mixed()
    local size = #encode(value)
    measure.print('size', size)
    measure.print('rate', size * measure.rate(function(n)
        for _ = 1, n do
            encode(value)
        end
    end))
end

function figures.msgpack_decode()
    local msgpack = require('msgpack')
    local decode = msgpack.decode
    local data = msgpack.encode(measure.mixed())
    assert(decode(data).items[10].title == 'an item with a title 10')
    measure.print('rate', #data * measure.rate(function(n)
        for _ = 1, n do
            decode(data)
        end
    end))
end

-- The same bytes for the limit.
function figures.msgpack_write(path)
    local file = assert(io.open(path, 'wb'))
    assert(file:write(require('msgpack').encode(measure.mixed())))
    assert(file:close())
end

measure.main(figures)
