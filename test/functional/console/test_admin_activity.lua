-- What workers have done, and what works in the background: show activity, show tasks.
-- test: timeout 60
local admin = require('admin_client')
local console = require('console')
local fiber = require('fiber')
local http_server = require('http.server')
local json = require('json')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local console_server = assert(console.listen(path))
local c = admin.connect(path)

-- --- show activity ---

local held = fiber.cond()
local httpd = http_server.new('127.0.0.1', 0)
httpd:route({ path = '/hold' }, function() held:wait() return 'held\n' end)
httpd:route({ path = '/' }, function() return 'hello\n' end)
httpd:start()

local before = c:json('show activity')[1]
for _ = 1, 10 do
    fiber.yield()
end
local peer = assert(raw.connect(httpd:port()))
peer:send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
peer:read('hello\n')
local after = c:json('show activity')[1]
for _, name in ipairs({ 'rounds', 'turns', 'switches', 'fibers', 'accepted', 'requests',
    'bytes_in', 'bytes_out' }) do
    tap.ok(after[name] > before[name], name)
end
tap.is(after.requests - before.requests, 1, 'one request')
tap.ok(after.switches - before.switches >= 10, 'each yield is a switch')
tap.ok(after.switches >= after.turns, 'turns are switches')
tap.like(c:ask('show activity'), '\nrounds: %d+\n', 'as text')

-- --- show tasks ---

local function task(name)
    for _, t in ipairs(c:json('show tasks')) do
        if t.name == name then
            return t
        end
    end
end

local sleeper = fiber.create(function()
    fiber.name('sleeper')
    fiber.sleep(3600)
end)
local waiter = fiber.create(function()
    fiber.name('waiter')
    held:wait()
end)
local line = debug.getinfo(1, 'l').currentline - 2
local t = task('sleeper')
tap.is(t.id, sleeper:id(), 'id')
tap.is(t.state, 'waiting', 'state')
tap.is(t.group, json.NULL, 'no limits')
tap.ok(t.wakes_in > 3500 and t.wakes_in <= 3600, 'it wakes in an hour')
tap.ok(t.age >= 0 and t.age < 60, 'age')
tap.like(t.place, 'test_admin_activity.lua:%d+$', 'place')
tap.is(task('waiter').wakes_in, json.NULL, 'one that waits for no time')
tap.like(task('waiter').place, ':' .. line .. '$', 'is where it waits')
tap.is(task('waiter').age ~= nil, true, 'and has an age')

peer:send('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n')
raw.until_true(function() return c:ask('show fibers'):find(' http ') end)
tap.is(task('http'), nil, 'what answers a request is no task')
sleeper:cancel()
tap.is(task('sleeper'), nil, 'one that has ended is none')

-- --- many, and a client that leaves amidst them ---

local many = {}
for i = 1, 3000 do
    many[i] = fiber.create(function() fiber.name('many') fiber.sleep(3600) end)
end
tap.is(select(2, c:ask('show tasks'):gsub(' many ', '')), 3000, 'all are told')
local gone = admin.connect(path)
gone.peer:send('show tasks\n')
gone:close()
tap.ok(#c:json('show tasks') > 3000, 'a client that leaves ends its own')
for i = 1, 3000 do
    many[i]:cancel()
end

held:broadcast()
peer:read('held\n')
peer:close()
c:close()
httpd:stop()
console_server:close()
tap.done()
