-- WebSockets of a server on raw bytes: who is let in, messages both ways, everything a
-- peer can do wrong, and how it ends.
-- test: timeout 120, variants
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')
local w = require('ws_raw')

local run
local options = {}
local ended = {} -- what the handler saw last
local httpd = http_server.new('127.0.0.1', 0, { log_errors = false })
httpd:route({ path = '/' }, function(req)
    return req:websocket(options, run)
end)
httpd:route({ path = '/http' }, function() return 'http' end)
httpd:route({ path = '/stream', stream = true }, function(req)
    return req:websocket(run)
end)
httpd:start()
local port = httpd:port()

local function echo(ws)
    ended = {}
    for data, kind in ws:messages() do
        ws:send(data, kind)
    end
    local _, err = ws:receive()
    ended = { ws = ws, err = tostring(err), code = ws.close_code,
              reason = ws.close_reason }
end

-- --- the handshake ---

run = echo
local peer, head = w.connect(port)
tap.ok(head:find('^HTTP/1.1 101 Switching Protocols\r\n'), head)
tap.ok(head:find('\r\nSec-WebSocket-Accept: ' .. w.ACCEPT .. '\r\n', 1, true))
tap.ok(head:find('\r\nUpgrade: websocket\r\n', 1, true))
tap.ok(head:find('\r\nConnection: Upgrade\r\n', 1, true))
tap.ok(not head:find('Content-Length') and not head:find('Transfer'), 'no body')
peer:close()

-- name, header lines, method, version, status, what the answer has
local refusals = {
    { 'no upgrade', { upgrade = false }, nil, nil, 426, 'upgrade: websocket' },
    { 'another upgrade', { upgrade = 'h2c' }, nil, nil, 426 },
    { 'no connection', { connection = false }, nil, nil, 426 },
    { 'another connection', { connection = 'keep-alive' }, nil, nil, 426 },
    { 'version 8', { ['sec-websocket-version'] = '8' }, nil, nil, 426,
      'sec-websocket-version: 13' },
    { 'no version', { ['sec-websocket-version'] = false }, nil, nil, 426 },
    { 'two versions', { ['sec-websocket-version'] = { '13', '13' } }, nil, nil,
      426 },
    { 'no key', { ['sec-websocket-key'] = false }, nil, nil, 400 },
    { 'a short key', { ['sec-websocket-key'] = 'YWJj' }, nil, nil, 400 },
    { 'a long key', { ['sec-websocket-key'] = w.KEY .. 'AAAA' }, nil, nil, 400 },
    { 'no base64', { ['sec-websocket-key'] = ('?'):rep(24) }, nil, nil, 400 },
    { 'two keys', { ['sec-websocket-key'] = { w.KEY, w.KEY } }, nil, nil, 400 },
    { 'POST', {}, 'POST', nil, 405, 'allow: GET' },
    { 'HEAD', {}, 'HEAD', nil, 405 },
    { 'HTTP/1.0', {}, nil, '1.0', 400 },
    { 'a body', { ['content-length'] = '2' }, nil, nil, 400, nil, 'hi' },
    { 'a chunked body', { ['transfer-encoding'] = 'chunked' }, nil, nil, 400,
      nil, '1\r\nx\r\n0\r\n\r\n' },
    { 'both lengths', { ['content-length'] = '0',
      ['transfer-encoding'] = 'chunked' }, nil, nil, 400 },
    { 'a foreign page', { origin = 'https://evil.example' }, nil, nil, 403 },
    { 'an odd page', { origin = 'null' }, nil, nil, 403 },
    { 'a page of a host like it', { origin = 'http://localhost.evil.example' },
      nil, nil, 403 },
}
local ran = 0
run = function() ran = ran + 1 end
for _, r in ipairs(refusals) do
    peer = raw.connect(port)
    -- What follows is not to be taken for another request.
    peer:send(w.request('/', r[2], r[3], r[4]) .. (r[7] or '')
        .. 'GET /http HTTP/1.1\r\nHost: a\r\n\r\n')
    local text = peer:read()
    peer:close()
    tap.is(tonumber(text:match('^HTTP/1.1 (%d+)')), r[5], r[1])
    tap.ok(not text:find('101 ', 1, true) and
        not text:find('\r\n\r\nhttp', 1, true), 'and the connection is closed')
    if r[6] then
        tap.ok(text:lower():find(r[6]:lower(), 1, true), r[6])
    end
end
tap.is(ran, 0, 'no handler ran')
-- A body that comes in pieces, to a route that reads such.
peer = raw.connect(port)
peer:send(w.request('/stream', { ['content-length'] = '100' }) .. 'part')
tap.ok(peer:read():find('^HTTP/1.1 400 '), 'a body that is not there yet')
peer:close()
tap.is(ran, 0)

for name, lines in pairs({
    ['several words'] = { connection = 'keep-alive, Upgrade',
                          upgrade = 'foo, WebSocket' },
    ['the same page'] = { origin = 'https://LOCALHOST' },
    ['a body of nothing'] = { ['content-length'] = '0' },
}) do
    peer, head = w.connect(port, '/', lines)
    tap.ok(head:find('^HTTP/1.1 101 '), name)
    peer:close()
end

options = { protocols = { 'b', 'a' }, origin = { 'https://x.example' },
            headers = { ['X-Count'] = 7, ['set-cookie'] = { 'a=1', 'b=2' } } }
local protocol
run = function(ws, req)
    protocol = ws.protocol
    ws:send(req:header('x-mine') or 'none')
end
peer, head = w.connect(port, '/', { ['sec-websocket-protocol'] = 'x, a,b',
    origin = 'https://x.example', ['x-mine'] = 'yes' })
tap.ok(head:find('\r\nSec-WebSocket-Protocol: a\r\n', 1, true), head)
tap.ok(head:find('\r\nX-Count: 7\r\n', 1, true))
tap.ok(head:find('set-cookie: a=1', 1, true) and head:find('set-cookie: b=2', 1, true))
tap.is(select(2, w.read(peer)), 'yes', 'the request is there')
tap.is(w.read_close(peer), 1000, 'a handler that returns closes')
tap.is(protocol, 'a')
peer:send(w.close(1000))
tap.is(w.read(peer), nil)
peer:close()
peer, head = w.connect(port, '/', { ['sec-websocket-protocol'] = 'x' })
tap.ok(head:find('^HTTP/1.1 101 ') and not head:find('Protocol:'),
    'no protocol in common')
peer:close()
options = { origin = function(origin) return origin == 'https://y' end }
for origin, status in pairs({ ['https://y'] = '101', ['https://z'] = '403' }) do
    peer, head = w.connect(port, '/', { origin = origin })
    tap.is(head:match('^HTTP/1.1 (%d+)'), status, origin)
    peer:close()
end
options = {}

for name, wrong in pairs({
    ['no function'] = function(req) req:websocket({}) end,
    ['no table'] = function(req) req:websocket(5, echo) end,
    ['an unknown option'] = function(req) req:websocket({ x = 1 }, echo) end,
    ['a limit of nothing'] = function(req)
        req:websocket({ max_message = 0 }, echo) end,
    ['a heartbeat that is none'] = function(req)
        req:websocket({ heartbeat = true }, echo) end,
    ['a reserved field'] = function(req)
        req:websocket({ headers = { Upgrade = 'x' } }, echo) end,
    ['a field with line ends'] = function(req)
        req:websocket({ headers = { x = 'a\r\nb: c' } }, echo) end,
    ['a protocol that is no token'] = function(req)
        req:websocket({ protocols = { 'a b' } }, echo) end,
    ['answered already'] = function(req)
        local s = req:stream()
        s:finish()
        req:websocket(echo)
    end,
}) do
    local told
    httpd.options.handler = nil
    run = nil
    local other = http_server.new('127.0.0.1', 0, { log_errors = false,
        handler = function(_, req)
            local ok, err = pcall(wrong, req)
            told = not ok and err.type
        end })
    other:start()
    peer = raw.connect(other:port())
    peer:send(w.request('/'))
    peer:read('\r\n\r\n')
    tap.is(told, 'IllegalParams', name)
    peer:close()
    other:stop(0)
end

-- --- messages ---

run = echo
local function open(opts)
    options = opts or {}
    return (w.connect(port))
end

-- All that is sent, and what comes of it: "opcode:data;".
local function talk(bytes, count, step)
    peer = open({ max_message = 100000 })
    if step then
        for i = 1, #bytes, step do
            peer:send(bytes:sub(i, i + step - 1))
            fiber.sleep(0)
        end
    else
        peer:send(bytes)
    end
    local out = {}
    for _ = 1, count do
        local opcode, data = w.read(peer)
        out[#out + 1] = ('%s:%s;'):format(opcode, #(data or '') < 100 and data
            or '#' .. #data)
    end
    peer:close()
    return table.concat(out)
end

local f = w.frame
tap.is(talk(f(1, 'hello'), 1), '1:hello;', 'text')
tap.is(talk(f(2, '\255\0'), 1), '2:\255\0;', 'binary')
tap.is(talk(f(1, ''), 1), '1:;', 'nothing')
tap.is(talk(f(1, 'a', { fin = false }) .. f(9, 'p') .. f(0, 'b', { fin = false })
    .. f(10, 'nobody asked') .. f(0, 'c'), 2), '10:p;1:abc;', 'fragments')
tap.is(talk(f(1, 'hello') .. f(2, 'x'), 2, 1), '1:hello;2:x;', 'byte by byte')
tap.is(talk(f(1, ('y'):rep(65000)) .. f(1, ('y'):rep(126)), 2),
    '1:#65000;1:#126;', 'large ones')

-- Frames right behind the request, in the same packet, and its head in pieces.
local text
local bytes = w.request('/') .. f(1, 'early') .. f(9, 'p') .. f(1, 'bird')
for step = 1, #bytes, 3 do
    peer = raw.connect(port)
    peer:send(bytes:sub(1, step))
    fiber.sleep(0)
    peer:send(bytes:sub(step + 1))
    text = peer:read('bird')
    peer:close()
    local rest = text:match('\r\n\r\n(.*)$')
    if rest ~= '\138\1p\129\5early\129\4bird' and
       rest ~= '\129\5early\138\1p\129\4bird' then
        tap.ok(false, ('cut at %d: %q'):format(step, rest or text))
    end
end
tap.ok(true, 'frames behind the request, cut everywhere')

-- --- what a peer does wrong ---

local function fails(name, what, code, opts)
    peer = open(opts or { max_message = 1000 })
    peer:send(what)
    local got, reason = w.read_close(peer)
    tap.is(got, code, name)
    tap.ok(reason == nil or #reason <= 123)
    tap.is(w.read(peer), nil, 'and it ends')
    peer:close()
    raw.until_true(function() return ended.code end)
    tap.is(ended.code, code)
end

fails('no mask', f(1, 'x', { mask = false }), 1002)
fails('a reserved bit', f(1, 'x', { rsv = 64 }), 1002)
fails('of an empty frame', f(2, '', { rsv = 16 }), 1002)
fails('a reserved kind', f(3, 'x'), 1002)
fails('a reserved control', f(11, ''), 1002)
fails('a ping in fragments', f(9, '', { fin = false }), 1002)
fails('a large ping', f(9, ('x'):rep(126)), 1002)
fails('a large close', f(8, '\3\232' .. ('x'):rep(124)), 1002)
fails('a continuation of nothing', f(0, 'x'), 1002)
fails('a message in a message', f(1, 'x', { fin = false }) .. f(1, 'y'), 1002)
fails('a code that is none', w.close(1005), 1002)
for _, code in ipairs({0, 999, 1004, 1006, 1015, 5000, 65535}) do
    fails('code ' .. code, w.close(code), 1002)
end
fails('a length longer than it must be', '\130\254\0\5\0\0\0\0hello', 1002)
fails('one that is much longer', '\130\255\0\0\0\0\0\0\0\5\0\0\0\0hello', 1002)
fails('text that ends within a letter', f(1, '\195', { fin = false }) .. f(0, ''), 1007)
fails('half a code', f(8, '\3'), 1002)
fails('text that is none', f(1, 'a\255'), 1007)
fails('a reason that is none', w.close(1000, '\255'), 1007)
fails('a large message', f(1, ('x'):rep(1001)), 1009)
fails('a large one in fragments', f(1, ('x'):rep(1000), { fin = false })
    .. f(0, 'x'), 1009)
fails('a length of 2^62', '\130\255\64\0\0\0\0\0\0\0\1\2\3\4x', 1009)
fails('a length of 2^63', '\130\255\128\0\0\0\0\0\0\0\1\2\3\4x', 1002)
fails('the longest', f(1, ('x'):rep(1000)) .. f(8, ''), 1005)

-- --- how it ends ---

-- The peer closes: its code comes back.
peer = open()
peer:send(f(1, 'x'))
tap.is(select(2, w.read(peer)), 'x')
peer:send(w.close(3456, 'bye') .. f(1, 'late'))
tap.is(w.read_close(peer), 3456)
tap.is(w.read(peer), nil)
peer:close()
raw.until_true(function() return ended.code end)
tap.is(ended.code, 3456)
tap.is(ended.reason, 'bye')
tap.ok(ended.err:find('by the peer: 3456 bye', 1, true), ended.err)
tap.is(ended.ws:send('x'), nil, 'nothing is sent any more')
tap.is(ended.ws:is_open(), false)
tap.is(ended.ws:ping(), nil)
tap.is(ended.ws:close(), nil)

-- The handler closes, and waits for the answer.
local result
run = function(ws)
    ws:send('bye')
    local ok, err = ws:close(4001, 'enough')
    result = { ok, tostring(err), ws.close_code, ws.close_reason, ws:receive() }
end
peer = open()
peer:send(f(1, 'crossing'))
tap.is(select(2, w.read(peer)), 'bye')
tap.is(table.concat({ w.read_close(peer) }, ' '), '4001 enough')
result = nil
peer:send(f(1, 'dropped') .. w.close(4001))
raw.until_true(function() return result end)
tap.is(result[1], true)
tap.is(result[3], 4001)
tap.is(w.read(peer), nil, 'the server ends the connection')
peer:close()
-- Who does not answer has a deadline; who vanishes is noticed.
peer = open({ close_timeout = 0.1 })
w.read_close(peer)
result = nil
raw.until_true(function() return result end)
tap.is(result[1], nil)
tap.ok(result[2]:find('not answered', 1, true), result[2])
peer:close()
result = nil
peer = open({ close_timeout = 100 })
w.read_close(peer)
peer:reset()
raw.until_true(function() return result end)
tap.is(result[1], nil)
for _, wrong in ipairs({ { 999 }, { 1005 }, { 1006 }, { 2000 }, { 5000 }, { 1.5 },
                         { 1000, ('x'):rep(124) }, { 1000, '\255' } }) do
    run = function(ws) result = { pcall(ws.close, ws, wrong[1], wrong[2]) } end
    result = nil
    peer = open()
    raw.until_true(function() return result end)
    tap.is(result[1], false, tostring(wrong[1]))
    peer:close()
end

-- An error of the handler.
run = function() error('broken') end
peer = open()
tap.is(w.read_close(peer), 1011)
peer:send(w.close(1011))
tap.is(w.read(peer), nil)
peer:close()
-- A handler that has returned leaves its connection to wait for the peer's Close: for a
-- deadline, not for ever; and whatever else may come meanwhile is no harm.
local left = {}
run = function(ws) left[#left + 1] = ws end
for i, what in ipairs({ '', f(1, 'late') .. f(9, 'p') .. f(1, 'half'):sub(1, 5) }) do
    peer = open({ close_timeout = 0.1 })
    local timeouts = httpd:stat().timeouts
    tap.is(w.read_close(peer), 1000)
    raw.until_true(function() return left[i] and httpd:stat().waiting == 0 end)
    tap.is(httpd:stat().connections, 1, 'the connection waits')
    peer:send(what)
    tap.is(left[i]:is_open(), false)
    tap.is(left[i]:send('x'), nil, 'nobody sends on it')
    tap.is(left[i]:close(), nil)
    tap.is(w.read(peer), nil, 'not for ever')
    tap.is(httpd:stat().timeouts, timeouts + 1)
    peer:close()
    raw.until_true(function() return httpd:stat().connections == 0 end)
end
for _, bye in ipairs({ w.close(1000), f(1, 'late') .. w.close(1000),
                       f(3, 'what is this'), w.close(999) }) do
    peer = open({ close_timeout = 100 })
    w.read_close(peer)
    peer:send(bye)
    tap.is(w.read(peer), nil, 'the answer ends it')
    peer:close()
end
for _, how in ipairs({ 'close', 'reset', 'shutdown' }) do
    peer = open({ close_timeout = 100 })
    w.read_close(peer)
    peer[how](peer)
    raw.until_true(function() return httpd:stat().connections == 0 end)
    if how == 'shutdown' then
        peer:close()
    end
end
tap.is(httpd:stat().waiting, 0)
-- It was answered: what a handler returns besides is an error of its own.
run = echo

-- A peer that vanishes, in every state: the handler is told.
for name, last in pairs({ nothing = '', ['half a frame'] = f(1, 'xyz'):sub(1, 5),
    ['half a message'] = f(1, 'xyz', { fin = false }) }) do
    for _, how in ipairs({ 'close', 'reset' }) do
        ended = {}
        peer = open()
        peer:send(last)
        peer[how](peer)
        raw.until_true(function() return ended.code end)
        tap.is(ended.code, 1006, name .. ', ' .. how)
    end
end

-- Heartbeats: pings while it is silent; who answers none is closed.
local function answers_pings()
    peer = open({ heartbeat = 0.05 })
    for _ = 1, 3 do
        local opcode, data = w.read(peer)
        if opcode ~= 9 or not peer:send(f(10, data)) then
            peer:close()
            return false
        end
    end
    return true
end
local answered
for _ = 1, 100 do -- on a busy machine we may be late
    answered = answers_pings()
    if answered then break end
end
tap.ok(answered, 'a peer that answers its pings')
ended = {}
raw.until_true(function() return ended.code end)
tap.is(ended.code, 1006, 'a peer that answers no ping')
peer:close()
run = function(ws)
    result = { ws:ping(), select('#', ws:ping(0.05)), ws:ping(0.05) }
end
peer = open()
result = nil
peer:send(f(10, 'xxxxxxxx')) -- the answer to no ping
local _, number = w.read(peer)
peer:send(f(10, number))
raw.until_true(function() return result end)
tap.ok(result[1] >= 0, 'the time of a ping')
tap.is(result[3], nil, 'no answer to one')
peer:close()

-- A timeout of receive() loses nothing.
run = function(ws)
    local data, err = ws:receive(0.02)
    result = {}
    result = { data, err.type, ws:is_open(), ws:receive() }
end
result = nil
peer = open()
peer:send(f(1, 'after all'):sub(1, 7))
raw.until_true(function() return result end)
result = nil
peer:send(f(1, 'after all'):sub(8))
raw.until_true(function() return result end)
tap.is(result[1], nil)
tap.is(result[2], 'TimedOut')
tap.is(result[3], true)
tap.is(result[4], 'after all')
peer:close()

-- Wrong use of send().
run = function(ws)
    result = { pcall(ws.send, ws, '\255'), pcall(ws.send, ws, {}),
               pcall(ws.send, ws, 'x', 'xml'), ws:send('\255', 'binary'),
               ws:send(5) }
end
result = nil
peer = open()
raw.until_true(function() return result end)
tap.is(result[1], false)
tap.is(result[2], false)
tap.is(result[3], false)
tap.is(select(2, w.read(peer)), '\255')
tap.is(select(2, w.read(peer)), '5')
peer:close()

-- The end of the server: 1001 to all, and to who comes now.
run = echo
local peers = {}
for i = 1, 20 do
    peers[i] = open()
end
peers[1]:send(f(1, 'x'))
w.read(peers[1])
local stopped
fiber.create(function()
    httpd:stop(10)
    stopped = true
end)
for i = 1, 20 do
    tap.is(w.read_close(peers[i]), 1001)
    peers[i]:send(w.close(1001))
    tap.is(w.read(peers[i]), nil)
    peers[i]:close()
end
raw.until_true(function() return stopped end)
raw.until_true(function() return ended.code end)
tap.is(ended.code, 1001)
tap.is(httpd:stat().cut, 0, 'nothing was cut')
tap.is(httpd:stat().waiting, 0)
-- Again; one does not answer: it is cut by its own deadline.
httpd:start()
port = httpd:port()
peer = open({ close_timeout = 0.1 })
stopped = false
fiber.create(function()
    httpd:stop(100)
    stopped = true
end)
tap.is(w.read_close(peer), 1001)
raw.until_true(function() return stopped end)
tap.ok(true, 'one who does not answer does not hold up the end')
peer:close()
tap.done()
os.exit(0)
