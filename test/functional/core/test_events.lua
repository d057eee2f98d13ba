-- core: events, and those of maps and ACLs.
local tap = require('tap')
local fiber = require('fiber')
local core = require('neap.core_tools')
local publish = require('neap.core_events').publish

local function settle()
    for _ = 1, 20 do fiber.sleep(0.001) end
end

-- --- in order, one at a time ---

local got, running, most = {}, 0, 0
local before = os.time()
local sub = core.event_sub({ 'WORKER_START', 'RELOAD' }, function(event, data, self, when)
    running = running + 1
    most = math.max(most, running)
    got[#got + 1] = { event, data and data.n, tostring(self), when >= before }
    fiber.sleep(0.001)
    running = running - 1
end)
tap.is(tostring(sub), 'EventSub', 'its class')
publish('WORKER_START', { n = 1 })
publish('WORKER_STOP', { n = 2 })
publish('RELOAD_BEGIN')
publish('RELOAD_FAILED', { n = 4, error = 'why' })
settle()
tap.same(got, {
    { 'WORKER_START', 1, 'EventSub', true }, { 'RELOAD_BEGIN', nil, 'EventSub', true },
    { 'RELOAD_FAILED', 4, 'EventSub', true },
}, 'what was asked for, in order')
tap.is(most, 1, 'one at a time')

-- Two of them have each all, and none waits for the other.
local other = 0
local second = core.event_sub({ 'WORKER' }, function() other = other + 1 end)
publish('WORKER_START')
publish('WORKER_STOP')
settle()
tap.is(other, 2, 'another subscription')
tap.is(#got, 4, 'and the first')

-- --- the end of it ---

sub:unsub()
sub:unsub()
publish('RELOAD_DONE')
settle()
tap.is(#got, 4, 'unsub')
local inside = 0
core.event_sub({ 'MODULE_LOAD' }, function(_, _, self)
    inside = inside + 1
    self:unsub()
    fiber.sleep(0.001)
end)
publish('MODULE_LOAD')
publish('MODULE_LOAD')
settle()
tap.is(inside, 1, 'unsub: inside its function')
second:unsub()
collectgarbage()
collectgarbage()

-- Nobody holds the object: it lives on.
local alive = 0
core.event_sub({ 'LISTENER_ADD' }, function() alive = alive + 1 end)
collectgarbage()
collectgarbage()
publish('LISTENER_ADD')
settle()
tap.is(alive, 1, 'a subscription that nobody holds')

-- --- too many ---

local go, count = false, 0
local slow = core.event_sub({ 'CERTIFICATE_NEW' }, function()
    while not go do fiber.sleep(0.001) end
    count = count + 1
end)
publish('CERTIFICATE_NEW')
settle() -- its function has the first
for _ = 1, 150 do publish('CERTIFICATE_NEW') end
tap.is(slow:lost(), 50, 'more than 100 unread: the others are lost, and counted')
go = true
for _ = 1, 100 do
    if count == 101 then break end
    settle()
end
tap.is(count, 101, 'those that were kept came')
publish('CERTIFICATE_NEW')
settle()
tap.is(count, 102, 'and it goes on')
tap.is(slow:lost(), 50, 'and loses nothing')
slow:unsub()

-- --- errors ---

local after = 0
local failing = core.event_sub({ 'LISTENER_DEL' }, function()
    after = after + 1
    error('wanted')
end)
publish('LISTENER_DEL')
publish('LISTENER_DEL')
settle()
tap.is(after, 2, 'an error does not end it')
failing:unsub()
local f = function() end
for _, bad in ipairs({ 'NOTHING', 'WORK', 'WORKER_', 'PAT_REF_ADD', 'PAT', '' }) do
    tap.throws(function() core.event_sub({ bad }, f) end, 'event type is unknown',
        'no type: ' .. bad)
end
tap.throws(function() core.event_sub({ 'SERVER_UP' }, f) end, 'no such events in this server',
    'what is out')
tap.throws(function() core.event_sub({}, f) end, '1 to 32 types', 'no types')
tap.throws(function() core.event_sub('WORKER', f) end, 'table expected', 'a text')
tap.throws(function() core.event_sub({ 'WORKER' }) end, 'function expected', 'no function')
tap.throws(function() sub.unsub({}) end, 'EventSub expected', 'another object')
tap.throws(function() publish('NOTHING') end, 'there is no event', 'publish: no type')

-- --- maps and ACLs ---

core.classes.Map.new('virt@a')
core.classes.Map.new('virt@b')
local a, b = core.get_patref('virt@a'), core.get_patref('virt@b')
local changes = {}
local watch = a:event_sub({ 'PAT_REF' }, function(event, data)
    changes[#changes + 1] = event:match('PAT_REF_(.*)') .. tostring(data)
end)
local deleted = 0
local only = a:event_sub({ 'PAT_REF_DEL' }, function() deleted = deleted + 1 end)
a:add('x', '1')
b:add('x', '1')
a:set('x', '2')
a:set('y', '2', true)
a:del('x')
a:del('x')
a:purge()
a:prepare()
a:add('z', '1')
a:purge()
a:commit()
settle()
tap.same(changes, { 'ADDnil', 'SETnil', 'ADDnil', 'DELnil', 'CLEARnil', 'COMMITnil' },
    'changes of a map')
tap.is(deleted, 1, 'some of them')
watch:unsub()
only:unsub()
a:add('q', '1')
settle()
tap.is(#changes, 6, 'unsub')
tap.throws(function() a:event_sub({ 'WORKER' }, f) end, 'event type is unknown',
    'another type')

tap.done()
