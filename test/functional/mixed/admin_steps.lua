-- The client of test_admin.sh: the shared state beside so many workers.
local admin = require('admin_client')
local client = require('http.client')
local fiber = require('fiber')
local raw = require('raw')
local workers = tonumber((...))

local ticks = not (os.getenv('NEAP_SANITIZE') or ''):find('thread')

local function is(got, want, what)
    if got ~= want then
        print('FAIL', what, 'got', got, 'want', want)
        os.exit(1)
    end
end
local function like(got, pattern, what)
    if not tostring(got):find(pattern) then
        print('FAIL', what, 'got', got, 'want', pattern)
        os.exit(1)
    end
end
local function eventually(what, f)
    for _ = 1, 6000 do
        if f() then return end
        fiber.sleep(0.01)
    end
    is(false, true, 'in vain: ' .. what)
end

local function connect()
    local c = admin.session(assert(raw.connect('admin.sock')))
    c.peer:send('prompt i\n')
    c:answer()
    return c
end
local c = connect()

-- Which workers the rows are of, in their order.
local function told(rows)
    local list, last = {}, nil
    for _, row in ipairs(rows) do
        if row.worker ~= last then
            last = row.worker
            list[#list + 1] = last
        end
    end
    return table.concat(list, ' ')
end
local all = workers == 1 and '1 0' or '1 2 0'

for _, name in ipairs({ 'show workers', 'show lua', 'show activity', 'show limits', 'show tasks',
    'show fibers', 'dump state' }) do
    is(told(c:json(name)), all, name)
    is(told(c:json(name .. ' worker 0')), '0', name .. ' of it')
    is(told(c:json(name .. ' worker 1')), '1', name .. ' of another')
end
like(c:ask('show fibers'), '\n +0 +%d+ sleeper +waiting ', 'text')
like(c:ask('show lua worker 0'), '^worker: 0\nmemory: ', 'lines of text')
like(c:ask('show workers worker 0 typed'), '^0%.0%.fibers%.0:MGSV:u64:', 'and typed')
like(c:ask('dump state worker 0'), "worker 0 fiber %d+ 'sleeper' waiting", 'its stacks')

local function row(command, worker, name)
    for _, r in ipairs(c:json(('%s worker %d'):format(command, worker))) do
        if name == nil or r.name == name or r.group == name then return r end
    end
end
is(row('show lua', 0).memory > 8 * 1024 * 1024, true, 'its memory')
is(row('show lua', 1).memory < 8 * 1024 * 1024, true, 'nobody else has that')
is(row('show tasks', 0, 'counts').group, 'task', 'its tasks')

-- Limits: of one, of all.
local limit = row('show limits', 1, 'task').burst
is(c:json('set limits task 123s 456s worker 0')[1].worker, 0, 'limits of it')
is(row('show limits', 0, 'task').burst, 123, 'it has them')
is(row('show limits', 1, 'task').burst, limit, 'no other')
is(told(c:json('set limits task 124s 456s')), all, 'of all')
is(row('show limits', 0, 'task').burst, 124, 'it, too')

-- Its fibers are its own.
local function sleepers(worker)
    local n, id = 0, nil
    for _, r in ipairs(c:json('show fibers worker ' .. worker)) do
        if r.name == 'sleeper' then n, id = n + 1, r.id end
    end
    return n, id
end
local count, id = sleepers(0)
is(count, 3, 'its fibers')
like(c:ask('kill fiber ' .. id), 'say which, as worker 1', 'which')
like(c:ask('wait 1ms fiber ' .. id), 'say which, as worker 1', 'which to wait for')
like(c:ask(('wait 1ms fiber %d worker 0'):format(id)), 'has not ended', 'it lives')
local killed = c:json(('kill fiber %d worker 0'):format(id))
is(killed[1].worker .. killed[1].what, '0cancelled', 'killed')
is(c:ask(('wait 60s fiber %d worker 0'):format(id)), '', 'until it has ended')
is(sleepers(0), 2, 'it is gone')
is(sleepers(1), 3, 'no other is')
is(c:ask('wait 60s until idle worker 0'), '', 'no request')

-- Which there are.
local none = ('there is no worker %d, but 0 to %d'):format(workers + 1, workers)
for _, command in ipairs({ 'show fibers', 'trace request', 'wait 1ms until idle' }) do
    like(c:ask(('%s worker %d'):format(command, workers + 1)), none, command)
end
like(c:ask('show fibers worker 70000'), "a worker's number is wanted", 'no number')
is(c:ask('trace request worker 0 for 1ms json'), '[]\n', 'it may be followed')

local function complete(line)
    local p = assert(raw.connect('admin.sock'))
    p:send('\\frame tok\n')
    p:read('tok ok')
    p:send('\\complete ' .. line .. '\ntok\n')
    local text = p:read('tok ok admin\n')
    p:close()
    return text:gsub('\n', ' ')
end
local numbers = all:gsub(' ', '  ') .. '  '
for _, line in ipairs({ 'show fibers worker ', 'trace request worker ', 'wait 1s worker ' }) do
    like(complete(line), '0 ' .. numbers .. 'tok', line)
end

-- Numbers, each once.
local metrics, seen = c:ask('show metrics'), {}
for line in metrics:gmatch('(.-)\n') do
    local name = line:match('^([^#]%S*) ')
    if name then
        is(seen[name], nil, 'a number twice: ' .. line)
        seen[name] = true
    end
end
for _, name in ipairs({ 'neap_worker_fibers', 'neap_lua_memory_bytes', 'neap_worker_up',
    'neap_activity_turns_total' }) do
    for worker = 0, workers do
        is(seen[('%s{worker="%d"}'):format(name, worker)], true, name)
    end
end
is(seen['neap_process_pid'], true, 'of the process')

-- Asked from within.
local answer = client.get('http://a/asks', { unix_socket = 'web.sock' }).body
like(answer, '^%[{"worker":1,"fibers".*{"worker":0,"fibers"', 'it asks for all')
like(answer, '\n +1 +%d+ sleeper .*\n +0 +%d+ sleeper ', 'their fibers')

-- Requests of a server that it has opened, and those that it serves for others.
is(told(c:json('show listeners')), all, 'its listener')
local address = row('show listeners', 0).address
local second = connect()
second.peer:send('trace request path /mine for 60s json\n')
eventually('it is followed', function()
    return c:ask('show cli sessions'):find('trace request')
end)
for _ = 1, 2 do -- the first has been told of when the second has an answer
    is(client.get('http://' .. address .. '/mine').body, 'worker 0', 'it serves')
end
second.peer:send('\n')
like(second:answer(), '"worker":0,"server":%d+,"connection":%d+,"request":%d+,.*"event":"done"',
    'as told of any worker')
second:close()
is(c:json('show stat worker 0')[1].requests > 0, true, 'counted')

local failed
fiber.create(function() failed = client.get('http://a/waits', { unix_socket = 'web.sock' }) end)
local serving
eventually('it serves', function()
    serving = row('show fibers', 0, 's.waits')
    return serving
end)
c:ask(('kill fiber %d worker 0'):format(serving.id))
eventually('whoever has called it fails', function() return failed end)
is(failed.status, 500, 'with a failure')

if ticks then
    eventually('a profile', function()
        local rows = c:json('profile lua 200ms worker 0')
        for _, r in ipairs(rows) do
            is(r.worker, 0, 'a profile of it')
            if r.stack:find('^computes;.*computes@') then return true end
        end
    end)
    eventually('a profile of all', function()
        return told(c:json('profile lua 200ms')) == all
    end)
end

c:close()
print('done')
os.exit(0)
