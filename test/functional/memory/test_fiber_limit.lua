-- A fiber's own memory limit: who holds more ends, whatever it tries, by an error
-- that says so; garbage is not held; neighbours go on. Without --max-memory.
--
-- test: timeout 120
local tap = require('tap')
local fiber = require('fiber')
local neap = require('neap')

local MB = 1024 * 1024
local LIMIT = 4 * MB

-- The neighbour makes garbage all the time, and sees that its sums are right.
local rounds, wrong = 0, 0
fiber.create(function()
    while true do
        local t = {}
        for i = 1, 100 do t[i] = { tostring(rounds + i) } end
        local s = 0
        for i = 1, 100 do s = s + tonumber(t[i][1]) - rounds end
        if s ~= 5050 then wrong = wrong + 1 end
        rounds = rounds + 1
        fiber.sleep(0.001)
    end
end)

local function limited(memory, f, ...)
    -- Its limit comes first, also when this one is put aside before that.
    local go = fiber.channel(1)
    local it = fiber.new(function(...)
        go:get()
        return f(...)
    end, ...)
    it:set_joinable(true)
    it:name('limited')
    -- What does not die of its memory is not to hang the test.
    fiber.set_limits(it, { memory = memory, total = 60 })
    go:put(true)
    return it:join()
end

local function used()
    jit.flush() -- compiled code keeps what its functions keep
    collectgarbage()
    collectgarbage()
    return neap.memory().used
end

local growers = {
    ['tables'] = function()
        local kept = {}
        while true do kept[#kept + 1] = { 1, 2, 3 } end
    end,
    ['one table'] = function()
        local t = {}
        for i = 1, 1e9 do t[i] = i end
    end,
    ['keys'] = function()
        local t = {}
        for i = 1, 1e9 do t['key ' .. i] = true end
    end,
    ['strings'] = function()
        local kept = {}
        for i = 1, 1e9 do kept[i] = ('x'):rep(1000) .. i end
    end,
    ['large strings'] = function()
        local kept = {}
        for i = 1, 1e9 do kept[i] = ('x'):rep(300000) .. i end
    end,
    ['closures'] = function()
        local last
        while true do
            local before = last
            last = function() return before end
        end
    end,
    ['coroutines'] = function()
        local kept = {}
        while true do
            local co = coroutine.create(function() coroutine.yield() end)
            coroutine.resume(co)
            kept[#kept + 1] = co
        end
    end,
    ['in a coroutine'] = function()
        coroutine.wrap(function()
            local kept = {}
            while true do kept[#kept + 1] = { 1 } end
        end)()
    end,
    ['not compiled'] = (function()
        local function f()
            local kept = {}
            while true do kept[#kept + 1] = { 1 } end
        end
        jit.off(f)
        return f
    end)(),
    ['pcall in a loop'] = function()
        local kept = {}
        while true do
            pcall(function() while true do kept[#kept + 1] = { 1 } end end)
        end
    end,
    ['pcall in each other'] = function()
        local kept = {}
        local function f(depth)
            while true do
                if depth > 0 then pcall(f, depth - 1) end
                kept[#kept + 1] = { 1 }
            end
        end
        f(50)
    end,
    ['xpcall with a handler that grows'] = function()
        local kept = {}
        local function f() while true do kept[#kept + 1] = { 1 } end end
        while true do xpcall(f, f) end
    end,
    ['a callback of gsub'] = function()
        local kept = {}
        while true do
            pcall(string.gsub, 'abc', '.', function() kept[#kept + 1] = { 1 } end)
        end
    end,
    ['ffi'] = function()
        local ffi = require('ffi')
        local kept = {}
        while true do kept[#kept + 1] = ffi.new('char[1000]') end
    end,
    ['string.buffer'] = function()
        local b = require('string.buffer').new()
        while true do b:put('0123456789') end
    end,
    ['a global'] = function()
        _G.kept_by_test = {}
        while true do kept_by_test[#kept_by_test + 1] = { 1 } end
    end,
    ['between waits'] = function()
        local kept = {}
        while true do
            for _ = 1, 1000 do kept[#kept + 1] = { 1 } end
            fiber.sleep(0)
        end
    end,
    ['with garbage'] = function()
        local kept = {}
        for i = 1, 1e9 do
            local s = ('y'):rep(500) .. i
            if i % 10 == 0 then kept[#kept + 1] = s end
        end
    end,
}

local base = used()
for name, f in pairs(growers) do
    local ok, err = limited(LIMIT, f)
    tap.is(ok, false, name .. ': ended')
    local text = tostring(err)
    -- A buffer that doubles asks for more than the limit at once.
    tap.is(type(err) == 'userdata' and err.type, 'OutOfMemory', name .. ': ' .. text)
    local held, limit = text:match("^memory limit of fiber 'limited': (%d+) KiB " ..
        'used, the limit is (%d+) KiB$')
    if text ~= 'not enough memory' or name ~= 'string.buffer' and
        name ~= 'one table' and name ~= 'keys' then
        tap.is(tonumber(limit), LIMIT / 1024, name .. ': the limit is named')
        tap.ok(held and held + 0 > LIMIT / 1024 and held + 0 < 3 * LIMIT / 1024,
            name .. ': and what it used: ' .. text)
    end
    _G.kept_by_test = nil
    local left = used()
    tap.ok(left < base + LIMIT, name .. ': its memory came back: ' ..
        math.floor((left - base) / 1024) .. ' KiB')
end
tap.ok(neap.memory().peak < base + 6 * LIMIT, 'the state has never had much: ' ..
    math.floor((neap.memory().peak - base) / 1024) .. ' KiB')

-- Garbage is not held: gigabytes of it, beside a quarter of the limit that is.
local makers = {
    ['large strings'] = function(s)
        for i = 1, 4000 do s[1] = ('x'):rep(500000) .. i end
    end,
    ['small strings'] = function(s)
        for i = 1, 2e6 do s[1] = 'number ' .. i end
    end,
    ['tables'] = function(s)
        for i = 1, 5e6 do s[1] = { i, s } end
    end,
    ['a table that grows and goes'] = function(s)
        for _ = 1, 100 do
            local t = {}
            for i = 1, 50000 do t[i] = i end
            s[1] = t
        end
    end,
    ['coroutines'] = function(s)
        for _ = 1, 1e5 do
            s[1] = coroutine.create(function() coroutine.yield() end)
            coroutine.resume(s[1])
        end
    end,
    ['a queue'] = function(s)
        for i = 1, 1e6 do s[i % 1000] = ('x'):rep(1000) .. i end
    end,
}
for name, f in pairs(makers) do
    local ok, err = limited(LIMIT, function()
        local kept = {}
        for i = 1, 1000 do kept[i] = ('k'):rep(1000) .. i end
        f({})
        return #kept
    end)
    tap.ok(ok and err == 1000, 'garbage of ' .. name .. ' ends nobody: ' .. tostring(err))
end

-- The same beside others that hold much more, and in small limits.
local ballast = {}
for i = 1, 1e5 do ballast[i] = { i, tostring(i) } end
tap.is(limited(65536, makers['small strings'], {}), true, 'in a state that has much')
-- A whole collection takes longer than such strings need to fill the limit.
tap.is(limited(2 * MB, function()
    for i = 1, 1000 do local _ = ('x'):rep(300000) .. i end
end), true, 'much garbage while it is judged')
ballast = nil
local _, err = limited(65536, growers.strings)
tap.is(err.type, 'OutOfMemory', 'the smallest limit: ' .. tostring(err))

-- Others' garbage, collected in its turns, is no credit to it.
local stop
for _ = 1, 4 do
    fiber.create(function()
        while not stop do
            for i = 1, 1000 do local _ = ('z'):rep(100) .. i end
            fiber.sleep(0)
        end
    end)
end
local grew = 0
_, err = limited(LIMIT, function()
    local kept = {}
    while true do
        for _ = 1, 10 do kept[#kept + 1] = ('x'):rep(1000) .. #kept end
        grew = grew + 10000
        fiber.sleep(0)
    end
end)
stop = true
tap.is(err.type, 'OutOfMemory', 'beside makers of garbage: ' .. tostring(err))
tap.ok(grew > LIMIT * 0.7 and grew < LIMIT * 2, 'in time: ' .. grew)

-- What it starts shares the limit.
local children, ended = {}, 0
local ok, left = limited(LIMIT, function()
    for i = 1, 20 do
        children[i] = fiber.new(function()
            local kept = {}
            for n = 1, 1000 do
                kept[n] = ('c'):rep(1000) .. i .. ' ' .. n
                if n % 50 == 0 then fiber.sleep(0) end
            end
            fiber.sleep(0.05)
            return #kept
        end)
        children[i]:set_joinable(true)
    end
    local limits = fiber.limits(children[1])
    for i = 1, 20 do
        local fine, e = children[i]:join()
        if not fine then
            ended = ended + 1
            if e.type ~= 'OutOfMemory' then return tostring(e) end
        end
    end
    return limits.memory
end)
tap.is(ok, true, 'the parent that allocates nothing lives')
tap.is(left, LIMIT, 'its children have its limit')
tap.ok(ended > 0 and ended < 20, 'so many of 20 were too many: ' .. ended)

-- Nor does it help to have many of them die, each for a little more.
local pile, started = {}, 0
ok, err = limited(LIMIT, function()
    for i = 1, 1000 do
        started = i
        local child = fiber.new(function()
            while true do pile[#pile + 1] = ('p'):rep(1000) .. #pile end
        end)
        child:set_joinable(true)
        child:join()
    end
end)
tap.ok(not ok and err.type == 'OutOfMemory', 'its maker ends as well: ' .. tostring(err))
tap.ok(#pile * 1000 < 2 * LIMIT and started < 20,
    ('what %d children leave counts: %d KiB'):format(started, #pile))
pile = nil

-- Set on the run, seen, removed.
local go, done = fiber.channel(0), fiber.channel(0)
local it = fiber.new(function()
    local kept = {}
    while go:get() do
        for _ = 1, 1000 do kept[#kept + 1] = ('x'):rep(1000) .. #kept end
        done:put(true)
    end
    return #kept
end)
it:set_joinable(true)
local function grow(rounds)
    for _ = 1, rounds do
        go:put(true)
        done:get() -- it may be put aside in the middle
    end
end
grow(1)
fiber.set_limits(it, { memory = 8 * MB })
grow(2)
local limits = fiber.limits(it)
tap.is(limits.memory, 8 * MB, 'the limit is seen')
tap.ok(limits.used_memory > 1.4e6 and limits.used_memory < 4e6,
    'and what it has used since: ' .. limits.used_memory)
fiber.set_limits(it, { memory = 0 })
grow(20)
tap.is(fiber.limits(it).memory, 0, 'removed')
tap.is(fiber.limits(it).used_memory, 0, 'not counted any more')
go:put(false)
ok, left = it:join()
tap.is(ok, true, 'no limit any more')
tap.is(left, 23000, 'it did all')

-- One object that is too large. (Compiled, it could be a constant of the code, which
-- is no fiber's.)
local function make_large()
    return select(2, pcall(string.rep, 'x', 10 * LIMIT))
end
jit.off(make_large)
ok, err = limited(LIMIT, make_large)
tap.is(ok, true, 'one object is refused, and nothing happened')
tap.is(err, 'not enough memory', 'as elsewhere')

tap.ok(rounds > 100, 'the neighbour went on: ' .. rounds)
tap.is(wrong, 0, 'and was right')

it = fiber.new(function() end)
for _, bad in ipairs({
    { it, { memory = -1 } }, { it, { memory = 65535 } }, { it, { memory = '1M' } },
    { it, { memory = 0 / 0 } }, { it, { memory = true } }, { 'main', { memory = MB } },
}) do
    ok, err = pcall(fiber.set_limits, bad[1], bad[2])
    tap.ok(not ok and tostring(err):find('memory', 1, true), 'refused: ' .. tostring(err))
end
ok = pcall(fiber.set_limits, it, { memory = math.huge })
tap.ok(ok and fiber.limits(it).memory == 0, 'more than there can be is no limit')
tap.done()
os.exit(0)
