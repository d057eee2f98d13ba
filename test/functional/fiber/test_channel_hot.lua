-- Channels in compiled code: what comes out is what went in, and in its order, for
-- values of every type, the same value over and over, rings of any size, and
-- whatever a script hooks in between.
--
-- test: variants, timeout 120
local tap = require('tap')
local fiber = require('fiber')

local values = { 1, 1.5, true, false, 'text', {}, print, fiber.self(),
    require('ffi').new('int[2]'), coroutine.create(print), io.stdout, -0.0 }

local function hot(size, n, next_value)
    local there, back = fiber.channel(size), fiber.channel(size)
    local wrong = 0
    fiber.create(function()
        for _ = 1, n do back:put(there:get()) end
    end)
    for i = 1, n do
        local v = next_value(i)
        there:put(v)
        if not rawequal(back:get(), v) then wrong = wrong + 1 end
    end
    return wrong + there:count() + back:count()
end

for _, size in ipairs({ 0, 1, 3 }) do
    for k, v in ipairs(values) do
        tap.is(hot(size, 300, function() return v end), 0,
            'the same value ' .. k .. ', size ' .. size)
    end
    tap.is(hot(size, 5000, function(i) return values[i % #values + 1] end), 0,
        'values in turn, size ' .. size)
    tap.is(hot(size, 5000, function(i) return { i } end), 0,
        'new tables, size ' .. size)
    tap.is(hot(size, 5000, function(i) return 'n' .. i end), 0,
        'new strings, size ' .. size)
end

-- A ring that fills and empties, against a plain queue; slots beyond those made
-- at once too.
for _, size in ipairs({ 1, 2, 7, 200 }) do
    local ch, queue, first, last, wrong = fiber.channel(size), {}, 1, 0, 0
    local seed = size
    for step = 1, 30000 do
        seed = (seed * 1103515245 + 12345) % 2147483648
        local up = seed % 1000 < (step % 2000 < 1000 and 700 or 300)
        if up and ch:count() < size then
            local v = step % 5 == 0 and { step } or step % 3 == 0
            last = last + 1
            queue[last] = v
            if not ch:put(v) then wrong = wrong + 1 end
        elseif not up and ch:count() > 0 then
            if not rawequal(ch:get(), queue[first]) then wrong = wrong + 1 end
            queue[first] = nil
            first = first + 1
        end
        if ch:count() ~= last - first + 1 then wrong = wrong + 1 end
    end
    tap.is(wrong, 0, 'a ring of ' .. size)
end

-- Several readers get one each, in the order in which they came.
local ch, got = fiber.channel(0), {}
for round = 1, 200 do
    for i = 1, 3 do
        fiber.create(function()
            local v = ch:get()
            got[#got + 1] = i .. ':' .. v
        end)
    end
    for i = 1, 3 do ch:put(i) end
    fiber.sleep(0)
    while #got < round * 3 do fiber.sleep(0.001) end
end
local wrong = 0
for i = 1, #got do
    local n = (i - 1) % 3 + 1
    if got[i] ~= n .. ':' .. n then wrong = wrong + 1 end
end
tap.is(wrong, 0, 'readers in turn')

-- What is hooked in between uses channels too.
local other, seen = fiber.channel(1), 0
debug.sethook(function()
    if other:is_empty() then
        other:put('mine')
    elseif other:get() == 'mine' then
        seen = seen + 1
    else
        error('not mine')
    end
end, '', 1)
local theirs = hot(1, 500, function(i) return i end)
local nothing = 0
local plain = fiber.channel(2)
for i = 1, 500 do
    plain:put(i)
    if plain:get() ~= i then nothing = nothing + 1 end
end
debug.sethook()
tap.is(theirs, 0, 'beside a hook that puts and gets')
tap.is(nothing, 0, 'in a ring too')
tap.ok(seen > 100, 'which did')

-- Nothing is kept by what it went through.
local weak = setmetatable({}, { __mode = 'v' })
do
    local ring = fiber.channel(1)
    for i = 1, 200 do
        local t = { i }
        weak[i] = t
        ring:put(t)
        ring:get()
    end
end
collectgarbage()
collectgarbage()
local kept = 0
for _ in pairs(weak) do kept = kept + 1 end
tap.ok(kept <= 1, 'values are let go') -- one may lie on the stack

-- Wrong use, as hot.
local closed = fiber.channel(1)
closed:close()
local put, get = closed.put, closed.get
local function all(f, ...)
    local failures = 0
    for _ = 1, 300 do
        if not pcall(f, ...) then failures = failures + 1 end
    end
    return failures
end
local function up() return all end
for _, bad in ipairs({ 1, 'x', {}, fiber.self(), io.stdout, fiber.cond(),
    debug.upvalueid(up, 1), require('ffi').new('int[2]'),
    setmetatable({}, { __metatable = false }) }) do
    tap.is(all(put, bad, 1), 300, 'put to ' .. type(bad))
    tap.is(all(get, bad), 300, 'get from ' .. type(bad))
end
local nils, seen = fiber.channel(3), 0
for i = 1, 300 do
    nils:put(nil)
    nils:put(i)
    nils:put(nil)
    if nils:get() == nil and nils:get() == i and nils:get() == nil then seen = seen + 1 end
end
tap.is(seen, 300, 'nil among values')
local refused = 0
for _ = 1, 300 do
    if closed:put(1) == false and closed:get() == nil then refused = refused + 1 end
end
tap.is(refused, 300, 'a closed channel')

-- A reader that is cancelled when its value was on the way has had it.
local lost = fiber.channel(0)
for _ = 1, 200 do
    local reader = fiber.new(function() return lost:get() end)
    reader:set_joinable(true)
    fiber.sleep(0)
    while not lost:has_readers() do fiber.sleep(0) end
    lost:put(7)
    reader:cancel()
    local ok, v = reader:join()
    if not ok and v.type ~= 'FiberIsCancelled' or ok and v ~= 7 then
        tap.ok(false, 'cancelled in between: ' .. tostring(v))
    end
end
tap.done()
