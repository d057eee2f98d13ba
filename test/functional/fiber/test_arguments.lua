-- What functions of fibers make of arguments that are not what they should be.
local tap = require('tap')
local fiber = require('fiber')

-- A nil is what fiber.find() gave for a fiber that has ended.
local none = fiber.find(123456789)
tap.is(none, nil, 'no such fiber')
for _, name in ipairs({ 'status', 'id', 'cancel', 'wakeup', 'join' }) do
    tap.throws(function() fiber[name](none) end, 'a fiber is wanted, not nil', name .. ' of none')
end
tap.throws(function() fiber.name(none) end, 'string expected', 'nor is a name nil')
tap.is(fiber.status(), 'running', 'nothing: the running one')
tap.is(fiber.id(), fiber.self():id(), 'id of it')
tap.is(type(fiber.name()), 'string', 'name of it')

local sleeper = fiber.create(function() fiber.sleep(100) end)
local id = sleeper:id()
for _, what in ipairs({ 'x', '', true, {}, -1, 0.5, 0 / 0, 1e300, print, io.stdout }) do
    tap.is(fiber.find(what), nil, 'found by ' .. tostring(what))
end
tap.is(fiber.find(nil), nil, 'found by nil')
tap.is(fiber.find(id), sleeper, 'found by its number')
tap.is(fiber.find(tostring(id)), sleeper, 'in a string, too')
tap.throws(function() fiber.find() end, 'the number of a fiber is wanted', 'found by nothing')
tap.is(fiber.status(id), 'suspended', 'status by number')

-- join by number
local worker = fiber.new(function() return 'done' end)
worker:set_joinable(true)
local ok, result = fiber.join(worker:id())
tap.ok(ok and result == 'done', 'joined by its number')
tap.throws(function() fiber.join(worker:id()) end, 'the fiber is dead', 'not again')
tap.throws(function() fiber.join(1e9) end, 'the fiber is dead', 'nor one that never was')

-- Seconds may be a number in a string, as from a configuration.
local cond, channel = fiber.cond(), fiber.channel('1')
tap.is(channel:size(), 1, 'a size, too')
tap.is(cond:wait('0.001'), false, 'cond:wait')
tap.is(channel:get('0.001'), nil, 'channel:get')
tap.is(channel:put(1, '1'), true, 'channel:put')
tap.is(channel:put(1, '0.001'), false, 'channel:put of too much')
tap.is(select('#', fiber.sleep('0.001')), 0, 'sleep')
sleeper:set_joinable(true)
tap.is(sleeper:join('0.001'), false, 'join')
for _, what in ipairs({ 'x', '', '1s', 'nan', true, {}, 0 / 0 }) do
    tap.throws(function() cond:wait(what) end, 'a number of seconds is wanted', tostring(what))
end
sleeper:cancel()
tap.done()
