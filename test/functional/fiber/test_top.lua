-- fiber.top, fiber.info's memory and backtrace, and slices.
--
-- test: variants
local tap = require('tap')
local fiber = require('fiber')

local function compute(seconds)
    local clock, stop = os.clock, os.clock() + seconds
    while clock() < stop do
        for _ = 1, 1000 do end
    end
end

local function busy(f)
    return fiber.top().cpu[('%d/%s'):format(f:id(), f:name())]
end

-- top
tap.throws(fiber.top, 'Enable it with fiber.top_enable%(%) first', 'disabled')
fiber.top_enable()
fiber.top_enable()
local f = fiber.new(function() while true do compute(0.002) fiber.yield() end end)
f:name('busy')
local idle = fiber.new(fiber.sleep, 1000)
idle:name('idle')
local top, row
for _ = 1, 10000 do
    fiber.sleep(0.001)
    top = fiber.top()
    row = top.cpu[f:id() .. '/busy']
    -- A busy machine may take its time in the turn of another.
    if row.time >= 0.004 and row.slices >= 4 and row.instant > 50 then break end
end
tap.is(top.cpu_misses, 0, 'cpu_misses')
tap.ok(row.instant > 50 and row.instant <= 100.001, 'instant: the one busy')
tap.ok(row.average > busy(idle).average and row.average <= 100.001, 'average')
tap.ok(row.time >= 0.004, 'time')
tap.ok(row.slices >= 4, 'slices')
tap.is(type(row.preempted), 'number', 'preempted')
tap.ok(busy(idle).time < row.time and busy(idle).instant < 50, 'the one idle')
local sum = 0
for _, r in pairs(top.cpu) do sum = sum + r.instant end
tap.ok(sum > 99 and sum < 101, 'all together are 100 %')
tap.ok(fiber.info()[f:id()].time >= 0.004, 'info has the same time')
f:cancel()
idle:cancel()
fiber.sleep(0.001)
tap.is(fiber.top().cpu[f:id() .. '/busy'], nil, 'the dead are gone')
fiber.top_disable()
fiber.top_disable()
tap.throws(fiber.top, 'disabled', 'disabled again')

-- info
local function find_me() fiber.sleep(1000) end
f = fiber.create(function() find_me() end)
local info = fiber.info()[f:id()]
tap.ok(info.memory.total >= info.memory.used and info.memory.used > 0, 'memory')
local text = ''
for _, level in ipairs(info.backtrace) do
    text = text .. (level.L or level.C) .. '\n'
end
tap.like(text, 'find_me in @.*test_top.lua at line %d+', 'backtrace')
tap.is(fiber.info({ bt = false })[f:id()].backtrace, nil, 'bt = false')
tap.is(fiber.info({ backtrace = false })[f:id()].backtrace, nil, 'or backtrace')
f:cancel()

-- slices
local function exceeds(name)
    local ok, err = pcall(function()
        local stop = os.clock() + 5
        while os.clock() < stop do fiber.check_slice() end
    end)
    tap.is(not ok and err.type, 'FiberSliceIsExceeded', name)
    tap.is(tostring(err), 'fiber slice is exceeded', name .. ': the text')
end

-- A busy machine may take away all of a slice.
local function begins_anew()
    for _ = 1, 1000 do
        fiber.sleep(0.001)
        if pcall(fiber.check_slice) then return true end
    end
end

tap.ok(begins_anew(), 'a wait begins a slice')
compute(0.02) -- lets the clock begin, where there is one
if fiber.preempted() > 0 then
    fiber.set_max_slice({ warn = 10, err = 0.03 })
    exceeds('all')
    tap.ok(begins_anew(), 'a wait begins another')
    fiber.set_max_slice({ warn = 10, err = 10 })
    fiber.self():set_max_slice({ warn = 10, err = 0.02 })
    exceeds('its own')
    fiber.extend_slice(10)
    fiber.check_slice()
    fiber.set_slice(0.01)
    exceeds('this one')
    tap.ok(begins_anew(), 'a wait begins anew')
    local n = fiber.preempted()
    fiber.set_max_slice(0.0001)
    fiber.self():set_max_slice(10)
    local other = fiber.new(function() while true do fiber.yield() end end)
    local stop = os.clock() + 20
    while fiber.preempted() <= n + 10 and os.clock() < stop do end
    tap.ok(fiber.preempted() > n + 10, 'a number: preemption, too')
    other:cancel()
end
for _, bad in ipairs({ 'x', true, -1, 0 / 0, { warn = 1 }, { err = 1 } }) do
    for _, name in ipairs({ 'set_max_slice', 'set_slice', 'extend_slice' }) do
        tap.throws(function() fiber[name](bad) end, 'slice',
            name .. ' ' .. tostring(bad))
    end
end
fiber.sleep(0)
tap.throws(function() f:set_max_slice(1) end, 'dead', 'of a dead fiber')
tap.done()
