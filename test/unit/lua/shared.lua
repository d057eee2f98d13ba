-- What each worker of test_shared.c does: arguments are its number and how often.
local worker, rounds = ...

local fiber = require('fiber')
local shared = require('shared')

local WORKERS = 8
local ch = assert(shared.channel('values', 16))
local tight = assert(shared.channel('tight', 0))
local calm = assert(shared.channel('calm', 4))
local news = assert(shared.broadcast('news', { history = 64 }))
local d = assert(shared.dict('figures'))

local ended = {}
local function start(f, ...)
    local one = fiber.new(f, ...)
    one:set_joinable(true)
    ended[#ended + 1] = one
    return one
end

-- Half of the workers put, all get; each value is got once. Where nobody gives
-- back what he got, those of one writer come to one reader in order.
local function writer(to, name)
    for i = 1, rounds do
        local timeout = i % 3 == 0 and 0.0001 or nil
        while not to:put({ worker, i }, timeout) do end
        d:incr(name .. ' put', worker * rounds + i, 0)
    end
end

local function reader(from, name)
    local last = {}
    while true do
        local v = from:get(0.0005)
        if v ~= nil then
            assert(from ~= calm or v[2] > (last[v[1]] or 0), 'WRONG: order')
            last[v[1]] = v[2]
            d:incr(name .. ' got', v[1] * rounds + v[2], 0)
            d:incr(name .. ' count', 1, 0)
        elseif (d:get(name .. ' count') or 0) >= rounds * WORKERS / 2 then
            return
        end
    end
end

-- Those who are cancelled while they wait lose nothing.
local function disturb(from, name)
    for _ = 1, rounds / 10 do
        local got
        local f = fiber.new(function()
            got = from:get()
            d:incr(name .. ' got', got[1] * rounds + got[2], 0)
            d:incr(name .. ' count', 1, 0)
        end)
        f:set_joinable(true)
        fiber.sleep(0.0002)
        pcall(f.cancel, f) -- it may be dead
        f:join()
    end
end

-- Numbers rise, and what is not got is told to be missed.
local function follow(sub)
    local seen = sub:next() - 1
    while true do
        local v, n = sub:get(0.001)
        if v ~= nil then
            assert(n == seen + 1 and v >= 0, 'WRONG: number')
            seen = n
        elseif n ~= nil then
            assert(n.type == 'MessagesMissed' and n.missed.from == seen + 1,
                'WRONG: missed')
            seen = n.missed.to
        elseif (d:get('published') or 0) == rounds * WORKERS
            and seen == news:stat().next - 1 then
            return
        end
    end
end

local function publish()
    for i = 1, rounds do
        assert(news:publish(i))
        d:incr('published', 1, 0)
        if i % 16 == 0 then
            fiber.yield()
        end
    end
end

local sub = news:subscribe(1)
for _, it in ipairs({ { ch, 'wide' }, { tight, 'tight' }, { calm, 'calm' } }) do
    if worker % 2 == 0 then
        start(writer, it[1], it[2])
    end
    start(reader, it[1], it[2])
    if it[1] ~= calm then
        start(disturb, it[1], it[2])
    end
end
start(follow, sub)
start(publish)
for _, one in ipairs(ended) do
    local ok, err = one:join()
    if not ok then
        error(err)
    end
end
-- Some end while fibers of theirs wait: these are abandoned.
local never = shared.channel('never', 1)
for _ = 1, 10 do
    fiber.create(never.get, never)
    fiber.create(sub.get, sub)
end
fiber.sleep(0.001)
d:incr('ended', 1, 0)
stop()
