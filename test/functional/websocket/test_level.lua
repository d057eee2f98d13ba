-- WebSockets of a server under load: who reads slowly or not at all holds its sender
-- back, who is not received from is held back, floods of pings, a thousand at once,
-- peers that vanish; memory and descriptors are level behind it.
-- test: timeout 240, soak 3600
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')
local w = require('ws_raw')

local SOAK = os.getenv('NEAP_SOAK')
local MANY = 1000
-- A sanitizer keeps what was freed for a while.
local SLACK = (os.getenv('NEAP_SANITIZE') or '') == '' and 1 or 8

local run, close_timeout
local httpd = http_server.new('127.0.0.1', 0, { log_errors = false,
    send_timeout = 2, max_connections = 3000 })
httpd:route({ path = '/' }, function(req)
    return req:websocket({ close_timeout = close_timeout }, run)
end)
httpd:start()
local port = httpd:port()

local function resident()
    return tap.resident() * 1024
end

local function descriptors()
    return #fio.listdir('/proc/self/fd')
end

-- --- a reader that does not read ---

local sent, over, ended = 0, false, nil
run = function(ws)
    sent, over = 0, false
    for _ = 1, 4000 do
        if not ws:send(('x'):rep(100000), 'binary') then
            break
        end
        sent = sent + 1
    end
    over = true
    ended = ws.close_code
end
local before = resident()
local peer = w.connect(port, '/', nil, { rcvbuf = 65536 })
local last = -1
raw.until_true(function() -- well before send_timeout is over
    fiber.sleep(0.05)
    local still = sent == last
    last = sent
    return still
end)
tap.ok(sent < 200, ('the sender is held back: %d messages'):format(sent))
tap.ok(resident() - before < 40000 * SLACK, 'memory is level')
-- It goes on when that reads; then nobody does, and send_timeout is over.
local got = 0
while got < 20 do
    local opcode, data, fin = w.read(peer)
    assert(opcode == (fin and 0 or opcode) and #data <= 65536)
    got = got + (fin and 1 or 0)
end
raw.until_true(function() return sent > last end)
tap.ok(true, 'and goes on')
raw.until_true(function() return over end)
tap.is(ended, 1006, 'who reads nothing is closed after send_timeout')
peer:close()

-- Meanwhile messages of another fiber, and a cancel in the middle of a large one.
local ready, joined
run = function(ws)
    local f = fiber.new(function() ws:send(('y'):rep(50000000)) end)
    f:set_joinable(true)
    fiber.sleep(0.05)
    f:cancel()
    joined = f:join()
    ready = { ws:send('x'), ws:is_open() }
end
peer = w.connect(port, '/', nil, { rcvbuf = 65536 })
raw.until_true(function() return ready end)
tap.is(joined, false)
tap.is(ready[1], nil, 'a message cut short ends the connection')
tap.is(w.read_close(peer), 1011)
peer:close()

-- A handler that returns while its peer reads slowly: the deadline for the peer's Close is
-- no deadline for what comes before ours.
local given, returned = 0, false
run = function(ws)
    fiber.create(function()
        while ws:send(('z'):rep(10000), 'binary') do
            given = given + 1
        end
    end)
    local before
    repeat
        before = given
        fiber.sleep(0.2)
    until given == before
    returned = true
end
close_timeout = 0.05
peer = w.connect(port, '/', nil, { rcvbuf = 65536 })
raw.until_true(function() return returned end)
fiber.sleep(0.3) -- long over
local whole, code = 0, nil
repeat
    local opcode, data = w.read(peer)
    if opcode == 8 then
        code = data:byte(1) * 256 + data:byte(2)
    elseif opcode ~= nil then
        whole = whole + 1
    end
until opcode == 8 or opcode == nil
tap.is(whole, given, 'nothing is cut')
tap.is(code, 1000)
tap.is(w.read(peer), nil, 'and then there is a deadline')
peer:close()
close_timeout = nil

-- --- one that is not received from ---

local go = false
local received = 0
run = function(ws)
    raw.until_true(function() return go end)
    for data in ws:messages() do
        received = received + #data
    end
end
before = resident()
peer = w.connect(port)
local piece, pieces = w.frame(2, ('z'):rep(50000)), 0
fiber.create(function()
    while pieces < 400 and peer:send(piece) do
        pieces = pieces + 1
    end
    peer:send(w.close(1000))
end)
last = -1
raw.until_true(function()
    fiber.sleep(0.2)
    local still = pieces == last
    last = pieces
    return still
end)
tap.ok(pieces < 400, ('the peer is held back: %d messages'):format(pieces))
tap.ok(resident() - before < 40000 * SLACK, 'memory is level')
go = true
raw.until_true(function() return received == 400 * 50000 end)
tap.is(received, 400 * 50000, 'nothing is lost')
tap.is(w.read_close(peer), 1000)
peer:close()

-- --- floods ---

run = function(ws)
    for _ in ws:messages() do end
end
-- Pings whose answers nobody reads.
before = resident()
peer = w.connect(port, '/', nil, { rcvbuf = 65536 })
local pings, flooding = w.frame(9, ('p'):rep(125)):rep(1000), true
local flood = 0
fiber.create(function()
    while flood < 500 and peer:send(pings) do
        flood = flood + 1
    end
    flooding = false
end)
raw.until_true(function() fiber.sleep(0.1) return not flooding end)
tap.ok(flood < 500, 'a flood of pings is held back, then closed')
tap.ok(resident() - before < 40000 * SLACK, 'memory is level')
peer:close()
-- Many small fragments are not more than their bytes.
before = resident()
peer = w.connect(port)
local bits = { w.frame(2, '', { fin = false }) }
for i = 2, 1000 do
    bits[i] = w.frame(0, i % 2 == 0 and 'x' or '', { fin = false })
end
peer:send(table.concat(bits))
bits[1] = bits[2]
local many = table.concat(bits)
for _ = 1, 500 do
    peer:send(many)
end
peer:send(w.frame(0, ''))
peer:send(w.close(1000))
tap.is(w.read_close(peer), 1000, 'half a million fragments')
tap.ok(resident() - before < 20000 * SLACK, 'memory is level')
peer:close()

-- --- a thousand ---

run = function(ws)
    for data, kind in ws:messages() do
        ws:send(data, kind)
    end
end
local function thousand(how)
    local peers, echoed = {}, 0
    for i = 1, MANY do
        peers[i] = w.connect(port)
    end
    for round = 1, 2 do
        for i = 1, MANY do
            peers[i]:send(w.frame(1, 'hello ' .. i))
        end
        for i = 1, MANY do
            local _, data = w.read(peers[i])
            echoed = echoed + (data == 'hello ' .. i and 1 or 0)
        end
    end
    tap.is(echoed, 2 * MANY, 'echoes of a thousand')
    tap.is(httpd:stat().connections, MANY)
    for i = 1, MANY do
        if how == 'close' then
            peers[i]:send(w.close(1000))
        elseif how == 'half' then
            peers[i]:send(w.frame(1, 'never whole'):sub(1, i % 12 + 1))
        end
    end
    for i = 1, MANY do
        local p = peers[i]
        if how == 'close' then
            assert(w.read_close(p) == 1000)
        end
        p[how == 'reset' and 'reset' or 'close'](p)
    end
    raw.until_true(function()
        return httpd:stat().connections == 0 and httpd:stat().waiting == 0
    end)
end
for _, how in ipairs({ 'close', 'reset', 'half' }) do
    thousand(how) -- what is made once is made
end
local fds, level = descriptors(), resident()
for i = 1, SOAK and 50 or 2 do
    thousand(({ 'close', 'reset', 'half' })[i % 3 + 1])
end
raw.until_true(function() return descriptors() <= fds end)
tap.ok(true, 'no descriptor is left')
tap.ok(resident() - level < 4000 * SLACK, ('memory is level: %d KB more')
    :format(resident() - level))

-- The limit of connections holds: it counts them, too.
local few = http_server.new('127.0.0.1', 0, { max_connections = 2 })
few:route({ path = '/' }, function(req) return req:websocket(run) end)
few:start()
local a, b = w.connect(few:port()), w.connect(few:port())
local c = raw.connect(few:port())
c:send(w.request('/'))
tap.ok(c:read():find('^HTTP/1.1 503 '), 'one too many')
a:send(w.close(1000))
w.read_close(a)
raw.until_true(function() return few:stat().connections < 2 end)
local d, head = w.connect(few:port())
tap.ok(head:find('^HTTP/1.1 101 '), 'room again')
for _, p in ipairs({ a, b, c, d }) do
    p:close()
end
tap.done()
os.exit(0)
