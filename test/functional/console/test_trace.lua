-- `trace request`: the life of requests as operators follow it, those that are asked for and
-- no others; clients that leave amidst it, more than the buffer holds, one that reads slowly.
-- test: timeout 120, soak 600
local admin = require('admin_client')
local console = require('console')
local fiber = require('fiber')
local http = require('http.server')
local json = require('json')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))
local c = admin.connect(path)

local go = fiber.cond()
local httpd = http.new('127.0.0.1', 0)
httpd:route({ path = '/quick' }, function() return 'quick' end)
httpd:route({ path = '/slow/:n' }, function() go:wait() return 'slow' end)
httpd:route({ path = '/fails' }, function() error('on purpose') end)
httpd:route({ path = '/pieces', method = 'POST', stream = true }, function(req)
    return ('%d'):format(#req:read())
end)
httpd:start()
local other = http.new('127.0.0.1', 0)
other:route({ path = '/quick' }, function() return 'other' end)
other:start()

local function get(port, target)
    local p = assert(raw.connect(port))
    p:send(('GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'):format(target))
    local text = p:read()
    p:close()
    return text
end

local function running()
    local n = 0
    for _, s in ipairs(c:json('show cli sessions')) do
        n = n + (s.runs == 'trace request' and 1 or 0)
    end
    return n
end

-- Follow what @f does; the rows.
local function follow(filter, f)
    local t = admin.connect(path)
    t.peer:send(('trace request %s for 1h json\n'):format(filter))
    raw.until_true(function() return running() == 1 end)
    f()
    fiber.sleep(0.05)
    t.peer:send('echo over\n')
    local text = t:answer()
    local ok, rows = pcall(json.decode, text)
    assert(ok, text)
    tap.is(t:answer(), 'over\n', 'what is typed ends it, and is run')
    t:close()
    return rows
end

local function events(rows, request)
    local list = {}
    for _, r in ipairs(rows) do
        if request == nil or r.request == request then
            list[#list + 1] = r.event
        end
    end
    return table.concat(list, ' ')
end

-- --- one request ---

local rows = follow('', function() get(httpd:port(), '/quick?a=1') end)
tap.is(events(rows), 'accepted request route answer sent done closed', 'its life')
tap.is(rows[1].what:match('^127%.0%.0%.1:%d+$'), rows[1].what, 'who came')
tap.is(rows[2].what, 'GET /quick?a=1', 'what is asked')
tap.is(rows[2].bytes, #'GET /quick?a=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    'its bytes')
tap.is(rows[3].what, '/quick', 'its route')
tap.is(rows[4].status, 200, 'the status')
tap.is(rows[5].bytes, 5, 'the bytes of the body')
tap.ok(rows[4].fiber > 0 and rows[4].fiber == rows[5].fiber, 'its fiber')
local before = 0
for _, r in ipairs(rows) do
    assert(r.at >= before and r.connection == rows[1].connection and r.worker == 1)
    assert(r.since == nil or r.since <= r.at)
    before = r.at
end
tap.pass('in order, of one connection')

rows = follow('', function()
    get(httpd:port(), '/nothing')
    get(httpd:port(), '/fails')
    local p = raw.connect(httpd:port())
    p:send('NONSENSE\r\n\r\n')
    p:read()
    p:close()
end)
local text = events(rows)
tap.is(text, 'accepted request answer sent done closed ' ..
    'accepted request route answer sent done closed ' ..
    'accepted refused answer sent closed', 'no route, a failure, no request')
tap.same({ rows[3].status, rows[10].status, rows[15].status }, { 404, 500, 501 }, 'their status')
tap.ok(#rows[15].what > 0, 'why it was refused')

rows = follow('path /pieces', function()
    local p = raw.connect(httpd:port())
    p:send('POST /pieces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab')
    raw.until_true(function() return #c:json('show requests') == 1 end)
    p:send('cde')
    tap.like(p:read('\r\n\r\n5'), '200 OK', 'a body in pieces')
    p:close()
    raw.until_true(function() return #c:json('show connections') == 0 end)
end)
tap.is(events(rows), 'request route body answer sent done closed', 'its life')
tap.is(rows[3].bytes, 5, 'its body')

-- --- those that are asked for ---

rows = follow('path /slow/2', function()
    local peers = {}
    for i = 1, 3 do
        peers[i] = raw.connect(httpd:port())
        peers[i]:send(('GET /slow/%d HTTP/1.1\r\nHost: a\r\n\r\n'):format(i))
    end
    raw.until_true(function() return #c:json('show requests') == 3 end)
    get(httpd:port(), '/quick')
    go:broadcast()
    for i = 1, 3 do
        peers[i]:read('slow')
        peers[i]:close()
    end
    raw.until_true(function() return #c:json('show connections') == 0 end)
end)
tap.is(events(rows), 'request route answer sent done closed', 'by path')
tap.is(rows[1].what, 'GET /slow/2', 'the one')

local p = raw.connect(httpd:port())
p:send('GET /slow/7 HTTP/1.1\r\nHost: a\r\n\r\n')
raw.until_true(function() return #c:json('show requests') == 1 end)
local id = c:json('show requests')[1].id
rows = follow('id ' .. id, function()
    get(httpd:port(), '/quick')
    p:reset()
    raw.until_true(function() return #c:json('show connections') == 0 end)
    go:broadcast()
    raw.until_true(function() return #c:json('show requests') == 0 end)
end)
tap.is(events(rows), 'cut closed done', 'by id, one that runs: the peer leaves')
tap.ok(rows[1].since == nil, 'when it came is not known')

local servers = {}
for _, s in ipairs(c:json('show listeners')) do
    servers[s.address] = s.server
end
rows = follow('server ' .. servers['127.0.0.1:' .. other:port()], function()
    get(httpd:port(), '/quick')
    get(other:port(), '/quick')
end)
tap.is(events(rows), 'accepted request route answer sent done closed', 'by server')

-- --- what is wrong ---

for line, why in pairs({
    ['trace request for'] = "nothing behind 'for'",
    ['trace request for 2h'] = 'at most 3600 s',
    ['trace request /slow'] = "too much: '/slow'",
    ['trace request worker 2'] = 'there is no worker 2, but 1 to 1',
    ['trace request worker 0'] = 'there is no worker 0, but 1 to 1',
    ['trace request id 1 id 2'] = "told twice: 'id'",
    ['trace request server 4294967296'] = 'there is no such server',
    ['trace request path ' .. ('/'):rep(256)] = 'at most 255 bytes of a path',
}) do
    local answer = c:ask(line)
    tap.ok(answer:find(why, 1, true), answer)
end
tap.is(c:ask('trace request for 0 json'), '[]\n', 'no time')
tap.is(select(2, c:ask('trace request for 10ms'):gsub('\n', '')), 1, 'the head alone')

-- Nobody is named to who hides names.
local t = admin.connect(path)
t:ask('set anon on key')
t.peer:send('trace request for 1h\n')
raw.until_true(function() return running() == 1 end)
get(httpd:port(), '/quick?secret')
t.peer:send('\n')
text = t:answer()
tap.ok(text:find('request .*~%x%x%x%x%x%x\n') and not text:find('secret'), 'anon')
t:close()

-- --- many ---

local ts = {}
for i = 1, 8 do
    ts[i] = admin.connect(path)
    ts[i].peer:send('trace request for 1h\n')
end
raw.until_true(function() return running() == 8 end)
tap.like(c:ask('trace request'), 'error: 8 traces are running already', 'there is an end')
get(httpd:port(), '/quick')
for i = 1, 8 do
    ts[i].peer:send('\n')
    tap.ok(ts[i]:answer():find(' closed '), 'each of them has it all')
    ts[i]:close()
end

-- More than is read is lost, and counted.
t = admin.connect(path, { rcvbuf = 4096 })
t.peer:send('trace request for 1h\n')
raw.until_true(function() return running() == 1 end)
for _ = 1, 40 do
    p = raw.connect(httpd:port())
    p:send(('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n'):rep(500))
    p:read('quick', 500)
    p:close()
end
t.peer:send('echo over\n')
text = t:answer()
local lost = tonumber(text:match(' lost (%d+) events'))
local _, lines = text:gsub('\n', '')
tap.ok(lost and lines > 1000, ('%d rows, %s events lost'):format(lines, tostring(lost)))
local total = lines - 1
for n in text:gmatch(' lost (%d+) events') do
    total = total - 1 + tonumber(n)
end
tap.is(total, 40 * (500 * 5 + 2), 'none is without a trace')
t:close()

-- Who vanishes lets go of it.
local ROUNDS = tap.soak(2000, 50)
local fds
for round = 1, ROUNDS do
    t = admin.connect(path)
    t.peer:send('trace request for 1h\n')
    t.peer:read('')
    if round % 2 == 0 then
        get(httpd:port(), '/quick')
        t.peer:read('request')
    end
    t:close()
    if round % 10 == 0 then
        raw.until_true(function() return running() == 0 end)
        fds = fds or c:json('show info').descriptors
    end
end
raw.until_true(function() return c:json('show info').descriptors <= fds end)
tap.is(events(follow('', function() get(httpd:port(), '/quick') end)),
    'accepted request route answer sent done closed', 'and others follow')

c:close()
httpd:stop()
other:stop()
server:close()
tap.done()
