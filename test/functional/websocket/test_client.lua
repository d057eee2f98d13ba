-- WebSockets of a client: against a server of ours, plain and with TLS, and against
-- servers by hand that answer wrongly, break off, say nothing, or break the rules.
-- test: timeout 120, variants
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')
local w = require('ws_raw')
local websocket = require('http.websocket')

local function echo(req)
    return req:websocket({ protocols = { 'a', 'b' } }, function(ws)
        for data, kind in ws:messages() do
            ws:send(data, kind)
        end
    end)
end

local function new_server(options)
    local httpd = http_server.new('127.0.0.1', 0, options)
    httpd:route({ path = '/echo' }, echo)
    httpd:route({ path = '/query' }, function(req)
        return req:websocket(function(ws)
            ws:send(req.query .. ' ' .. req:header('host') .. ' '
                .. (req:header('x-a') or ''))
        end)
    end)
    httpd:route({ path = '/bye' }, function(req)
        return req:websocket(function(ws)
            ws:send('last')
            ws:close(4000, 'bye')
        end)
    end)
    return httpd:start()
end

local function fibers_left()
    for _, f in pairs(fiber.info()) do
        if f.name:find('^websocket') then
            return true
        end
    end
    return false
end

local function all_of_it(url, options)
    local ws = assert(websocket.connect(url .. '/echo', options))
    tap.is(ws.protocol, options.protocols and 'b' or nil)
    tap.is(ws.headers.upgrade, 'websocket')
    for _, size in ipairs({ 0, 1, 125, 126, 65535, 65536, 65537, 500000 }) do
        local kind = size % 2 == 0 and 'text' or 'binary'
        local data = ('x'):rep(size)
        tap.is(ws:send(data, kind), true)
        local got, got_kind = ws:receive(20)
        tap.ok(got == data and got_kind == kind, size .. ' bytes')
    end
    tap.ok(ws:ping(20) >= 0, 'ping')
    local got, err = ws:receive(0.01)
    tap.is(got, nil)
    tap.is(err.type, 'TimedOut')
    -- Several at once; messages do not mix.
    local n = 0
    for i = 1, 5 do
        fiber.create(function()
            for k = 1, 5 do
                assert(ws:send(tostring(i):rep(i * 20000)))
            end
            n = n + 1
        end)
    end
    local whole = 0
    for _ = 1, 25 do
        local text = ws:receive(20)
        local digit = text:sub(1, 1)
        if text == digit:rep(tonumber(digit) * 20000) then
            whole = whole + 1
        end
    end
    tap.is(whole, 25, 'messages of several fibers')
    raw.until_true(function() return n == 5 end)
    tap.is(ws:close(1000, 'done'), true)
    tap.is(ws.close_code, 1000)
    tap.is(ws:send('x'), nil)
    tap.is(ws:receive(), nil)
    tap.is(ws:is_open(), false)
    raw.until_true(function() return not fibers_left() end)
    tap.ok(true, 'no fiber is left')
end

local httpd = new_server({ max_body_size = 1000 })
local url = 'ws://127.0.0.1:' .. httpd:port()
all_of_it(url, { protocols = { 'b' }, max_message = 600000 })

local ws = assert(websocket.connect(url .. '/query?a=1&b=%20',
    { headers = { ['X-A'] = 5 } }))
tap.is(ws:receive(), 'a=1&b=%20 127.0.0.1:' .. httpd:port() .. ' 5')
tap.is(ws:receive(), nil)
tap.is(ws.close_code, 1000)
ws = assert(websocket.connect(url .. '/bye'))
fiber.sleep(0.05)
tap.is(ws:receive(), 'last', 'what came before the end')
local _, err = ws:receive()
tap.ok(tostring(err):find('by the peer: 4000 bye', 1, true), tostring(err))
-- Out of a handler, and to a unix socket.
local path = os.tmpname()
os.remove(path)
local other = http_server.new('unix/:' .. path)
other:route({ path = '/echo' }, echo)
other:start()
ws = assert(websocket.connect('ws://somewhere/echo', { unix_socket = path }))
ws:send('unix')
tap.is(ws:receive(), 'unix')
-- The server stops.
local stopped
fiber.create(function()
    other:stop(20)
    stopped = true
end)
tap.is(ws:receive(), nil)
tap.is(ws.close_code, 1001)
raw.until_true(function() return stopped end)

-- TLS: as it should be, and not trusted.
local tls_server = new_server({ tls = { cert_file = rig.pem('server'),
    key_file = rig.key('server') } })
local wss = 'wss://localhost:' .. tls_server:port()
all_of_it(wss, { tls = { ca_file = rig.pem('ca') }, max_message = 600000 })
ws, err = websocket.connect(wss .. '/echo')
tap.is(ws, nil)
tap.ok(tostring(err):find('certificate', 1, true), tostring(err))
ws, err = websocket.connect(wss:gsub('localhost', '127.0.0.2') .. '/echo',
    { tls = { ca_file = rig.pem('ca') } })
tap.is(ws, nil, 'another name')
-- A context with TLS that is shared.
local context = assert(socket.tls_client({ ca_file = rig.pem('ca') }))
for _ = 1, 2 do
    ws = assert(websocket.connect(wss .. '/echo', { tls = { context = context } }))
    ws:send('x')
    tap.is(ws:receive(), 'x')
    tap.is(ws:close(), true)
end
-- Cut without a word, under TLS.
ws = assert(websocket.connect(wss .. '/echo', { tls = { context = context } }))
ws.socket:shutdown()
tls_server:stop(0)
tap.is(ws:receive(), nil)

-- What cannot be connected.
for what, where in pairs({
    ['404'] = url .. '/nothing', ['refused'] = 'ws://127.0.0.1:1/',
    ['no TLS'] = 'wss://127.0.0.1:' .. httpd:port() .. '/echo',
}) do
    ws, err = websocket.connect(where, { timeout = 20 })
    tap.is(ws, nil, what)
    tap.ok(err ~= nil, tostring(err))
end
for _, wrong in ipairs({ 'http://a/', 'ws://', 'ws://a/#x', 5, 'a', 'ws://a/ b',
                         'ws://a/\r\nX: y', 'ws://me:secret@a/' }) do
    local ok, e = pcall(websocket.connect, wrong)
    tap.ok(not ok and e.type == 'IllegalParams', tostring(wrong))
end
for _, wrong in ipairs({ 5, { x = 1 }, { timeout = 'x' }, { timeout = -1 },
    { headers = { Host = 'x' } }, { headers = { ['a b'] = 'x' } },
    { headers = { a = 'x\r\nb: c' } }, { protocols = { 'a,b' } },
    { max_message = 2 ^ 31 } }) do
    local ok, e = pcall(websocket.connect, url .. '/echo', wrong)
    tap.ok(not ok and e.type == 'IllegalParams', tostring(e))
end

-- --- servers by hand ---

local play
local by_hand = socket.tcp_server('127.0.0.1', 0, function(s)
    local head = s:read('\r\n\r\n', 20)
    local key = head and head:match('Sec%-WebSocket%-Key: (%S+)')
    local digest = require('digest')
    play(s, key and digest.base64_encode(digest.sha1(key ..
        '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')), head)
    s:close()
end)
local hand = 'ws://127.0.0.1:' .. by_hand:name().port .. '/x'

local function answer(accept, lines)
    return 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
        .. 'Connection: upgrade\r\nSec-WebSocket-Accept: ' .. accept .. '\r\n'
        .. (lines or '') .. '\r\n'
end

local asked
for _, r in ipairs({
    { 'another key', function(s) s:write(answer(w.ACCEPT)) end, 'key' },
    { 'another protocol', function(s, accept)
        s:write((answer(accept):gsub('Upgrade: websocket', 'Upgrade: h2c'))) end,
      'another protocol' },
    { 'a subprotocol nobody wanted', function(s, accept)
        s:write(answer(accept, 'Sec-WebSocket-Protocol: z\r\n')) end, 'chosen' },
    { 'an extension', function(s, accept)
        s:write(answer(accept, 'Sec-WebSocket-Extensions: permessage-deflate\r\n'))
      end, 'extension' },
    { 'a redirect', function(s)
        s:write('HTTP/1.1 302 Found\r\nLocation: ws://a/\r\n\r\n') end, '302' },
    { 'no HTTP', function(s) s:write('SSH-2.0\r\n\r\n') end, 'no HTTP' },
    { 'no end of the head', function(s)
        s:write('HTTP/1.1 101 x\r\nA: ' .. ('b'):rep(20000)) end, 'too long' },
    { 'half a head', function(s) s:write('HTTP/1.1 101 x\r\n') end, 'no HTTP' },
    { 'nothing', function() end, 'closed' },
    { 'nothing for long', function() fiber.sleep(0.3) end, 'imed out', 0.1 },
}) do
    play = r[2]
    ws, err = websocket.connect(hand, { timeout = r[4] or 20,
        protocols = { 'p' } })
    tap.is(ws, nil, r[1])
    tap.ok(tostring(err):find(r[3], 1, true), tostring(err))
end

-- What it sends is masked, and never with the same mask; the request is right.
local masks = {}
play = function(s, accept, head)
    asked = head
    s:write(answer(accept) .. '\129\5early')
    for i = 1, 3 do
        local frame = s:read({ chunk = 6 + 4 })
        masks[i] = frame:sub(3, 6)
        tap.is(frame:sub(1, 2), '\129\132', 'masked')
    end
    s:read(1)
end
ws = assert(websocket.connect(hand .. '?q'))
tap.is(ws:receive(), 'early', 'a frame behind the answer')
for _ = 1, 3 do
    ws:send('same')
end
raw.until_true(function() return masks[3] end)
tap.ok(masks[1] ~= masks[2] and masks[2] ~= masks[3], 'a mask each')
tap.ok(asked:find('^GET /x%?q HTTP/1.1\r\n'), asked)
ws:close()

-- What breaks the rules: the client says why, and ends.
local function breaks(bytes, code, options)
    local said
    play = function(s, accept)
        s:write(answer(accept) .. bytes)
        said = s:read({ chunk = 1000 }, 20)
    end
    ws = assert(websocket.connect(hand, options))
    tap.is(ws:receive(), nil)
    tap.is(ws.close_code, code)
    raw.until_true(function() return said end)
    tap.is(said:sub(1, 1), '\136', 'a Close')
end
breaks(w.frame(1, 'x'), 1002)
local function f(opcode, data, more)
    more = more or {}
    more.mask = false
    return w.frame(opcode, data, more)
end
for _, bytes in ipairs({ f(3, 'x'), f(11, ''), f(1, 'x', { rsv = 64 }), f(2, '', { rsv = 16 }),
    f(9, '', { fin = false }), f(9, ('x'):rep(126)), f(8, '\3\232' .. ('x'):rep(124)),
    f(0, 'x'), f(1, 'x', { fin = false }) .. f(1, 'y'), f(8, '\3'), f(8, '\3\237'), f(8, '\0\0'),
    '\130\126\0\5hello', '\130\127\0\0\0\0\0\0\0\5hello',
    '\130\127\128\0\0\0\0\0\0\0x' }) do
    breaks(bytes, 1002)
end
breaks(f(1, '\255'), 1007)
breaks(f(1, '\195', { fin = false }) .. f(0, ''), 1007)
breaks(f(8, '\3\232\255'), 1007)
breaks('\130\127\64\0\0\0\0\0\0\0x', 1009)
breaks(w.frame(1, 'four', { mask = false }), 1009, { max_message = 3 })

-- One that is cut, in any state; one that is silent; one that does not read.
for _, bytes in ipairs({ '', '\129', '\129\5he', '\1\1h' }) do
    play = function(s, accept) s:write(answer(accept) .. bytes) end
    ws = assert(websocket.connect(hand))
    tap.is(ws:receive(), nil)
    tap.is(ws.close_code, 1006)
end
play = function(s, accept)
    s:write(answer(accept))
    tap.is(s:read(2, 20), '\137\136', 'a ping comes')
    fiber.sleep(20)
end
ws = assert(websocket.connect(hand, { heartbeat = 0.05 }))
tap.is(ws:receive(20), nil)
tap.is(ws.close_code, 1006, 'one that answers no ping')
play = function(s, accept)
    s:write(answer(accept))
    fiber.sleep(1)
    while s:read({ chunk = 100000 }, 20) ~= '' do end
end
ws = assert(websocket.connect(hand, { close_timeout = 0.1 }))
local sent = 0
local sender = fiber.create(function()
    for _ = 1, 1000 do
        if not ws:send(('x'):rep(60000)) then
            break
        end
        sent = sent + 1
    end
end)
fiber.sleep(0.5)
tap.ok(sent > 0 and sent < 1000, 'who does not read holds the sender back')
raw.until_true(function() return sent == 1000 end)
tap.is(sent, 1000)
ws:close()
-- One that does not answer a Close.
play = function(s, accept)
    s:write(answer(accept))
    s:readable(20)
    fiber.sleep(1)
end
ws = assert(websocket.connect(hand, { close_timeout = 0.1 }))
local ok
ok, err = ws:close()
tap.is(ok, nil)
tap.ok(tostring(err):find('not answered', 1, true), tostring(err))
-- Cancelled in the middle of a large message: the connection is over.
local begun, cut
play = function(s, accept)
    s:write(answer(accept))
    begun = s:readable(20)
    raw.until_true(function() return cut end)
    while true do
        local data = s:read({ chunk = 100000 }, 20)
        if data == nil or data == '' then break end
    end
end
ws = assert(websocket.connect(hand, { close_timeout = 0.1 }))
sender = fiber.new(function() ws:send(('x'):rep(100000000)) end)
sender:set_joinable(true)
raw.until_true(function() return begun end)
sender:cancel()
sender:join()
cut = true
tap.is(ws:is_open(), false, 'a message cut short')
ws:receive()
tap.is(ws.close_code, 1011)
raw.until_true(function() return not fibers_left() end)
tap.ok(true, 'no fiber is left')
by_hand:close()
httpd:stop(5)
rig.done()
tap.done()
os.exit(0)
