-- Clients of admin commands that vanish, do not read, or are many; fibers that are killed,
-- connections that are shut. What a command held is released once, and nothing is left.
-- test: timeout 180, soak 600
local admin = require('admin_client')
local console = require('console')
local ffi = require('ffi')
local fiber = require('fiber')
local http = require('http.server')
local raw = require('raw')
local tap = require('tap')

local SANITIZED = (os.getenv('NEAP_SANITIZE') or '') ~= ''
local MANY = tap.soak(20000, SANITIZED and 3000 or 20000)

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path))
local c = admin.connect(path)

local function descriptors()
    return c:json('show info').descriptors
end

local function alive()
    local n = 0
    for _ in pairs(fiber.info({ backtrace = false })) do
        n = n + 1
    end
    return n
end

local function sessions()
    return #c:json('show cli sessions')
end

-- --- many fibers ---

local stop = fiber.cond()
local function wait_inside()
    stop:wait()
end
for i = 1, MANY do
    fiber.create(wait_inside):name('many' .. i)
end
local text = c:ask('show fibers')
local _, count = text:gsub('\n', '')
tap.ok(count > MANY and text:find('many1 ') and text:find('many' .. MANY .. ' '),
    'show fibers has all of them')
text = c:ask('dump state')
_, count = text:gsub("'many%d+' waiting", '')
tap.is(count, MANY, 'dump state too')
tap.ok(text:find("'many7' waiting, %d+%.%d+ s of CPU time, resumed 1 times\n" ..
    "[^']-test_admin_clients.lua:%d+"), 'each with its stack')

local last, seen = 0, 0
for id in text:gmatch('worker %d+ fiber (%d+)') do
    seen = tonumber(id) > last and seen + 1 or seen
    last = tonumber(id)
end
tap.ok(seen > MANY, 'each once, by age')

-- Fibers end and begin while they are told: none twice, and the others all.
local d = admin.connect(path)
local churn = true
local churner = fiber.create(function()
    while churn do
        fiber.create(fiber.sleep, 0.002)
        fiber.sleep(0)
    end
end)
churner:set_joinable(true)
text = d:ask('show fibers')
churn = false
churner:join()
local ids, twice, kept = {}, 0, 0
for id, name in text:gmatch('\n%s+1%s+(%d+) (%S+)') do
    twice = twice + (ids[id] and 1 or 0)
    kept = kept + (name:find('^many') and 1 or 0)
    ids[id] = true
end
tap.is(twice, 0, 'none is told twice while others come and go')
tap.is(kept, MANY, 'and none of those that stay is left out')
d:close()

-- --- clients that vanish amidst them ---

-- Few at once: how much those take together that have not ended yet would depend on luck.
local function repeated(round, rounds)
    for i = 1, rounds do
        round()
        if i % 5 == 0 then
            raw.until_true(function() return sessions() == 1 end)
        end
    end
end

local function level(name, round, rounds)
    repeated(round, 20)
    collectgarbage()
    local fds = descriptors()
    -- What Lua's memory had at most stays resident; a leak grows each time.
    local grown
    for _ = 1, 5 do
        local before = tap.resident()
        repeated(round, rounds)
        collectgarbage()
        grown = tap.resident() - before
        if grown < (SANITIZED and 64 or 4) then
            break
        end
    end
    raw.until_true(function() return sessions() == 1 and descriptors() <= fds end)
    tap.pass(name .. ': no descriptor is left')
    tap.ok(grown < (SANITIZED and 64 or 4), name .. ': memory is level')
    tap.diag(('%.1f MiB more'):format(grown))
end

local ROUNDS = tap.soak(1000, 20)
for _, line in ipairs({ 'dump state', 'show fibers json', 'dump state; show fibers; help',
    'wait 1h', 'show events -w' }) do
    level(line, function()
        local v = admin.connect(path)
        v.peer:send(line .. '\n')
        if not line:find('^wait') and not line:find('-w') then
            v.peer:read('\n')
        end
        v:close()
    end, ROUNDS)
end
level('inside "<<"', function()
    local v = admin.connect(path)
    v.peer:send('echo <<\n' .. ('x'):rep(100000))
    v:close()
end, ROUNDS)

-- --- one that does not read ---

local deaf, before = admin.connect(path, { rcvbuf = 4096 }), tap.resident()
for _ = 1, 20 do
    deaf.peer:send(('dump state\n'):rep(10))
end
raw.until_true(function() return c:ask('show cli sessions'):find('dump state') end)
for i = 1, 20 do
    assert(c:ask('echo ' .. i) == i .. '\n')
end
tap.ok(tap.resident() - before < (SANITIZED and 64 or 16),
    'who does not read has no more kept for him, and others go on')
text = deaf:answer()
_, count = text:gsub("'many%d+' waiting", '')
tap.is(count, MANY, 'he has the whole when he reads')
deaf:close()

stop:broadcast()
raw.until_true(function() return alive() < 20 end)
raw.until_true(function() return sessions() == 1 end)

-- --- commands of scripts ---

local began, ended, told, gone = 0, 0, nil, 0
console.register_command({ 'endless' }, function(command)
    began = began + 1
    local ok, err = pcall(function()
        while true do
            command:send(('x'):rep(999) .. '\n')
        end
    end)
    ended, told = ended + 1, err
    if not pcall(command.send, command, 'more\n') then
        gone = gone + 1
    end
    assert(ok, err)
end)
console.register_command({ 'sleepy' }, function()
    began = began + 1
    pcall(fiber.sleep, 3600)
    ended = ended + 1
end)
local function vanish(line)
    return function()
        local was = began
        local v = admin.connect(path)
        v.peer:send(line .. '\n')
        raw.until_true(function() return began > was end)
        v:close()
        raw.until_true(function() return ended == began end)
    end
end
level('a command that waits', vanish('sleepy'), ROUNDS)
level('a command that sends', vanish('endless'), ROUNDS)
tap.ok(gone > 0 and told ~= nil, 'which it is told')

deaf = admin.connect(path, { rcvbuf = 4096 })
began, before = 0, tap.resident()
deaf.peer:send('endless\n')
raw.until_true(function() return began > 0 end)
fiber.sleep(0.3)
tap.ok(tap.resident() - before < (SANITIZED and 64 or 8),
    'one that sends to a client that does not read waits')
deaf:close()
raw.until_true(function() return alive() < 20 end)

-- --- 100 at once ---

local crowd = {}
for i = 1, 99 do
    crowd[i] = admin.connect(path)
end
for round = 1, 3 do
    for i, p in ipairs(crowd) do
        p.peer:send(('echo %d-%d; show info json; show fibers json\n'):format(i, round))
    end
    local right = 0
    for i, p in ipairs(crowd) do
        if p:answer() == ('%d-%d\n'):format(i, round) and p:answer():find('^{"version"')
            and p:answer():find('^%[{"worker":1') then
            right = right + 1
        end
    end
    tap.is(right, 99, '100 sessions have their own answers')
end
tap.is(sessions(), 100, 'and are told of')
for _, p in ipairs(crowd) do
    p:close()
end
raw.until_true(function() return sessions() == 1 end)

-- --- kill fiber ---

local caught
local victim = fiber.create(function()
    local ok, err = pcall(fiber.sleep, 3600)
    caught = not ok and tostring(err)
    fiber.testcancel()
end)
victim:name('victim')
local rows = c:json('kill fiber ' .. victim:id())
tap.same({ rows[1].name, rows[1].what }, { 'victim', 'cancelled' }, 'kill fiber')
raw.until_true(function() return victim:status() == 'dead' end)
tap.like(caught, 'cancelled', 'it hears of it')
tap.is(c:json('kill fiber ' .. victim:id()).error, 'there is no such fiber', 'it has gone')
for _, id in ipairs({ '0', '9007199254740991' }) do
    tap.is(c:ask('kill fiber ' .. id), 'error: there is no such fiber\n', 'nor was ' .. id)
end
tap.like(c:ask('kill fiber -1'), 'a whole number is wanted', 'a bad id')
tap.like(c:ask('kill fiber 99999999999999999999'), 'a whole number', 'or one too large')

-- --- HTTP ---

local answers = fiber.cond()
local httpd = http.new('127.0.0.1', 0)
httpd:route({ path = '/quick' }, function() return 'quick' end)
httpd:route({ path = '/slow' }, function() answers:wait() return 'slow' end)
httpd:start()
local port = httpd:port()
local listener = c:json('show listeners')[1]
tap.is(listener.address, '127.0.0.1:' .. port, 'show listeners')
tap.is(listener.tls, false, 'flags are booleans')

local slow, idle = {}, {}
for i = 1, 200 do
    idle[i] = assert(raw.connect(port))
    slow[i] = assert(raw.connect(port))
    slow[i]:send(('GET /slow?n=%d%%0a HTTP/1.1\r\nHost: a\r\n\r\n'):format(i))
end
local load_on, served = true, 0
local load = fiber.create(function()
    while load_on do
        local p = assert(raw.connect(port))
        p:send(('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n'):rep(5))
        p:read('quick', 5)
        p:close()
        served = served + 5
    end
end)
load:set_joinable(true)
raw.until_true(function() return c:json('show stat')[1].waiting >= 200 end)
for _ = 1, 20 do
    local waiting, by_id = 0, {}
    for _, r in ipairs(c:json('show requests')) do
        assert(by_id[r.id] == nil, 'a request twice')
        by_id[r.id] = true
        waiting = waiting + (r.path:find('^/slow') and 1 or 0)
    end
    assert(waiting == 200, 'each request that waits')
    by_id = {}
    for _, k in ipairs(c:json('show connections')) do
        assert(by_id[k.id] == nil, 'a connection twice')
        by_id[k.id] = true
    end
end
tap.pass('show requests and show connections beside load')
raw.until_true(function()
    local n = 0
    for _, k in ipairs(c:json('show connections')) do
        n = n + ((k.state == 'handler' or k.state == 'idle' or k.state == 'head') and 1 or 0)
    end
    return n >= 400
end)
tap.pass('all connections are told of')
local victims = {}
for _, r in ipairs(c:json('show requests')) do
    if r.path:find('^/slow') and #victims < 50 then
        victims[#victims + 1] = r.connection
    end
end
local shut = 0
for _, id in ipairs(victims) do
    local row = c:json('shut connection ' .. id)[1]
    shut = shut + (row.id == id and row.what == 'closed' and 1 or 0)
end
tap.is(shut, 50, 'shut connection closes them')
for _, id in ipairs({ 0, 1, 999999, 4294967296, 9007199254740991 }) do
    tap.is(c:ask(('shut connection %.0f'):format(id)), 'error: there is no such connection\n',
        'and nothing that is none')
end
tap.is(c:json('shut connection 999999').error, 'there is no such connection', 'in JSON, too')
load_on = false
load:join()
tap.ok(served > 0, 'others are served beside it')
answers:broadcast()
local good, bad = 0, 0
for i = 1, 200 do
    local p = slow[i]
    p:shutdown()
    local got = p:read()
    good = good + (got:find('slow$') and 1 or 0)
    bad = bad + (got == '' and 1 or 0)
    p:close()
    idle[i]:close()
end
tap.same({ good, bad }, { 150, 50 }, 'the others have their answers')
httpd:stop()
tap.like(c:ask('show listeners json'), '"address":null', 'a server that is stopped')
tap.unlike(c:ask('show errors'), 'a command of the console failed',
    'a client that leaves is no failure of the command')

c:close()
server:close()
tap.done()
