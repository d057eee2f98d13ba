-- What one worker does while others do the same and the libraries are replaced:
-- everything that cmod gives, many fibers at once. test_workers.c runs it in each
-- of its threads and gives it:
--
--   begun(), done()  how many replacements of m.so have begun, and have ended:
--                    what is loaded in between is one of those
--   over()           no more of them will come; and whether a thread has failed
--   meet()           wait for the other threads; false: one of them has failed
--   counted(what)    something was done, for the figures
local mode, id, size = ...
local cmod = require('cmod')
local fiber = require('fiber')
local msgpack = require('msgpack')

-- Numbers by chance, other ones for each worker, the same each time.
local seed = id * 7919 + 1
local function chance(n)
    seed = seed * 48271 % 2147483647
    return seed % n
end

local function check(ok, ...)
    if not ok then
        error(table.concat({ ... }, ' '), 2)
    end
end

-- The one result of a call that must succeed.
local function result(ok, ...)
    check(ok == true and select('#', ...) == 1, 'a call failed:',
        tostring((...)))
    return (...)
end

local function is_between(version, low, high)
    check(version >= low and version <= high, 'version ', version,
        'is not of', low, 'to', high)
    return version
end

-- As the module's `sum` does it.
local function sum_of(...)
    local text, sum = msgpack.encode({ ... }), 0
    for i = 1, #text do
        sum = (sum * 31 + text:byte(i)) % 4294967296
    end
    return sum
end

-- A module and what it must answer, whatever becomes of the file.
local function load_newest()
    local low = done()
    local m = cmod.load('./m')
    local high = begun()
    local f = m:load('version')
    counted('loads')
    return m, is_between(result(f()), low, high)
end

local jobs = {}

local held = {}

-- Kept for a while: orphans give functions as well as cached ones.
function jobs.hold()
    local m, version = load_newest()
    held[1 + chance(32)] = { m = m, version = version }
    local h = held[1 + chance(32)]
    if h then
        check(result(h.m:load('version')()) == h.version, 'an orphan answers',
            'another version')
        counted(h.m.state)
    end
    if chance(3) == 0 then
        local i = 1 + chance(32)
        if held[i] then
            held[i].m:unload()
            held[i] = nil
        end
    end
end

-- Handles let go of without a word, by the thousand.
function jobs.handles()
    local m, version = load_newest()
    local list = {}
    for i = 1, size.handles do
        list[i] = i % 10 == 0 and cmod.load('./m') or m:load('version')
    end
    check(result(list[size.handles - 1]()) == version, 'one of many answers',
        'another version')
    m:unload()
    check(result(list[1]()) == version, 'without its module it answers',
        'another version')
    list = nil
    collectgarbage()
    counted('many handles')
end

function jobs.sleep()
    local m, version = load_newest()
    local nap = m:load('nap')
    local sleeper = fiber.new(function() return result(nap(0.001)) end)
    sleeper:set_joinable(true)
    fiber.yield()
    m:unload()
    nap:unload()
    m, nap = nil, nil
    if chance(4) == 0 then collectgarbage() end
    local ok, got = sleeper:join()
    check(ok and got == version, 'who slept answers', tostring(got), 'not',
        version)
    counted('sleeps')
end

function jobs.cancel()
    local m = load_newest()
    local nap = m:load('nap', chance(2) == 0 and { offload = true } or nil)
    local sleeper = fiber.new(function() return nap(1000) end)
    sleeper:set_joinable(true)
    fiber.yield()
    sleeper:cancel()
    sleeper:join()
    counted('cancelled')
end

function jobs.offload()
    local m, version = load_newest()
    local text = ('x'):rep(chance(3000))
    local f = m:load('sum', { offload = true })
    m = nil
    local ok, got, sum = f(id, text)
    check(ok and got == version and sum == sum_of(id, text),
        'offloaded:', tostring(got), tostring(sum), 'not', version)
    counted('offloaded')
end

function jobs.errors()
    check(not pcall(cmod.load, './none'), 'what is not there was loaded')
    local ok, err = pcall(cmod.load, './bad')
    check(not ok and err.type == 'ClientError', 'a bad one:', tostring(err))
    local m, version = load_newest()
    ok, err = pcall(m.load, m, 'no_such_function')
    check(not ok and err.type == 'ClientError', 'no function:', tostring(err))
    ok, err = pcall(m.load, m, 'mark_in_data')
    check(not ok and err.type == 'ClientError', 'data:', tostring(err))
    ok, err = m:load('fails')()
    check(ok == nil and err.message == 'version ' .. version, 'its error:',
        tostring(err))
    ok, err = m:load('fails')(print)
    check(ok == nil and err.message ~= 'version ' .. version, 'an argument:',
        tostring(err))
    m:unload()
    ok, err = pcall(m.unload, m)
    check(not ok and err.type == 'IllegalParams', 'twice:', tostring(err))
    counted('errors')
end

-- Two calls in one line of a file that is written into: which build it was is
-- open, but never two at once, nor half of one.
function jobs.overwritten()
    local ok, m = pcall(cmod.load, './w')
    if not ok then
        check(m.type == 'ClientError' or m.type == 'SystemError',
            'written into:', tostring(m))
        return counted('caught half-written')
    end
    local f, g = m:load('version'), m:load('sum')
    local version = result(f())
    for i = 1, 3 do
        local done, got, sum = g(i)
        check(done and got == version and sum == sum_of(i), 'written into:',
            tostring(got), 'not', version)
    end
    counted('overwritten')
end

local live, live_was = nil, 0

function jobs.live()
    live = live or cmod.live('./m', 'version')
    local low = math.max(done(), live_was)
    live_was = is_between(result(live()), low, begun())
    counted('live')
end

local states = { cached = true, orphan = true }

function jobs.list()
    for _, m in ipairs(cmod.list()) do
        check(states[m.state] and m.file:find('/[mw]%.so$') and
            m.references >= 0 and m.errors <= m.calls and m.cpu >= 0 and
            #m.by_function == m.functions, 'listed:', m.file, m.state,
            m.references, m.calls, m.errors)
    end
    counted('listed')
end

-- One process at a time for each worker: they are dear.
local at_work = false

function jobs.isolate()
    if at_work or chance(size.isolate) ~= 0 then
        return
    end
    at_work = true
    local m, version = load_newest()
    local f = m:load('sum', { isolate = 'process' })
    m:unload()
    for i = 1, 3 do
        local ok, got, sum = f(i, id)
        check(ok and got == version and sum == sum_of(i, id), 'isolated:',
            tostring(got), tostring(sum), 'not', version)
    end
    at_work = false
    counted('isolated')
end

local names = {}
for name in pairs(jobs) do
    names[#names + 1] = name
end
table.sort(names)

local function each_job()
    for _, name in ipairs(names) do
        jobs[name]()
        fiber.yield()
    end
end

local function run_attack()
    local last, told = -1, fiber.cond()
    local w = cmod.watch('./m', function(m)
        local version = result(m:load('version')())
        check(version > last, 'told of', version, 'after', last)
        last = version
        told:broadcast()
    end)
    local fibers, wrong = {}, nil
    for i = 1, 4 do
        fibers[i] = fiber.new(function()
            while not over() do
                each_job()
            end
        end)
        fibers[i]:set_joinable(true)
    end
    for i = 1, 4 do
        local ok, err = fibers[i]:join()
        wrong = wrong or not ok and tostring(err)
    end
    -- The last one must be told of.
    while last < done() and not wrong and not select(2, over()) do
        wrong = not told:wait(60) and 'never told of the last one'
    end
    w:stop() -- else it keeps the loop alive
    check(not wrong, wrong)
    check(not live or result(live()) == done(), 'live is behind')
end

-- All load at once what was replaced a moment ago, or, in odd rounds, is being
-- replaced: one instance for all of them, or two.
local function run_race()
    for round = 1, size.rounds do
        if not meet() then return end
        local m, version = load_newest()
        if not meet() then return end
        local count = #cmod.list()
        check(count == 1 or round % 2 == 1 and count == 2, count, 'instances')
        check(result(m:load('version')()) == version, 'another version')
        if not meet() then return end
        m:unload()
        m = nil
        collectgarbage()
        counted('races')
    end
end

if mode == 'race' then
    run_race()
else
    run_attack()
end
