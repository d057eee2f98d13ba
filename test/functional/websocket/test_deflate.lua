-- WebSockets whose messages are compressed, on raw bytes: what is agreed on, what may be
-- sent and what may not, bombs, and what a connection holds while it is idle.
-- test: timeout 240, variants
local ffi = require('ffi')
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local socket = require('socket')
local tap = require('tap')
local w = require('ws_raw')
local websocket = require('http.websocket')

ffi.cdef('int compress2(char *to, unsigned long *size, const char *from, '
    .. 'unsigned long from_size, int level); int malloc_trim(size_t keep);')
local zlib = ffi.load('libz.so.1')

-- Another's deflate, whose last block is one; an empty one follows it.
local function deflate(text)
    local size = ffi.new('unsigned long[1]', #text + 1000)
    local to = ffi.new('char[?]', size[0])
    assert(zlib.compress2(to, size, text, #text, 9) == 0)
    return ffi.string(to, size[0]):sub(3, -5) .. '\0'
end

local RSV1, NAME = 64, 'permessage-deflate'
local HELLO = '\242\72\205\201\201\7\0'
-- A sanitizer keeps what was freed for a while.
local SLACK = (os.getenv('NEAP_SANITIZE') or '') == '' and 1 or 100

local run, options
local ended = {}
local httpd = http_server.new('127.0.0.1', 0, { log_errors = false,
    max_connections = 3000 })
httpd:route({ path = '/' }, function(req) return req:websocket(options, run) end)
httpd:start()
local port = httpd:port()
local url = 'ws://127.0.0.1:' .. port .. '/'

local function echo(ws)
    ended = {}
    for data, kind in ws:messages() do
        ws:send(data, kind)
    end
    ended = { code = ws.close_code, ws = ws }
end
run = echo

local function open(compress, offer, opts)
    options = opts or {}
    options.compress = compress
    local peer, head = w.connect(port, '/',
        { ['sec-websocket-extensions'] = offer or NAME })
    return peer, head:match('Sec%-WebSocket%-Extensions: ([^\r]*)'), head
end

local function resident()
    ffi.C.malloc_trim(0) -- what is free does not count
    return tap.resident() * 1024
end

-- --- what is agreed on ---

local NONE = '; server_no_context_takeover; client_no_context_takeover'
for _, r in ipairs({
    { false, NAME, nil },
    { nil, NAME, nil },
    { true, NAME, NAME .. NONE },
    { true, { 'x', NAME .. '; y', NAME .. '; client_max_window_bits' }, NAME .. NONE },
    { { context = true }, NAME .. '; client_max_window_bits', NAME
        .. '; server_max_window_bits=12; client_max_window_bits=12' },
    { { context = true, window = 15 }, NAME .. ';server_max_window_bits=10',
        NAME .. '; server_max_window_bits=10' },
    { true, NAME .. '; server_max_window_bits=7', nil },
    { true, 'x-webkit-deflate-frame', nil },
    { true, '"', nil },
    { true, ';;,;=', nil },
}) do
    local peer, answer, head = open(r[1], r[2])
    tap.ok(head:find('^HTTP/1.1 101 '), 'let in')
    tap.is(answer, r[3])
    peer:send(w.frame(1, HELLO, { rsv = RSV1 }))
    if r[3] then
        tap.is(select(2, w.read(peer)), 'Hello')
    else
        tap.is(w.read_close(peer), 1002, 'not agreed on')
    end
    peer:close()
end
for _, wrong in ipairs({ 5, 'x', { level = 0 }, { level = 10 }, { window = 8 },
    { window = 16 }, { min_size = 0 }, { context = 1 }, { x = 1 }, { 1 } }) do
    local ok, err = pcall(websocket.connect, url, { compress = wrong })
    tap.ok(not ok and err.type == 'IllegalParams', tostring(err))
end

-- --- what is sent ---

local text = ('some text, again and again; '):rep(100)
local peer = open({ min_size = #text })
peer:send(w.frame(1, text:sub(2)) .. w.frame(1, text) .. w.frame(2, text))
local opcode, data, fin, rsv = w.read(peer)
tap.ok(opcode == 1 and data == text:sub(2) and rsv == 0, 'small ones are not')
for want = 1, 2 do
    opcode, data, fin, rsv = w.read(peer)
    tap.ok(opcode == want and #data < 100 and fin and rsv == RSV1, 'large ones are')
end
peer:send(w.frame(opcode, data, { rsv = rsv })) -- it comes back
tap.is(select(2, w.read(peer)), data, 'the same each time')
peer:close()

-- In fragments, of which only the first has the bit; and what does not become smaller.
local random = io.open('/dev/urandom'):read(200000)
peer = open(true, nil, { max_message = 1000000 })
peer:send(w.frame(2, random .. random:gsub('.', '%0')))
local first, frames = true, 0
repeat
    opcode, data, fin, rsv = w.read(peer)
    tap.ok(opcode == (first and 2 or 0) and rsv == 0 and #data <= 65536)
    first, frames = false, frames + 1
until fin
peer:close()
local half = random:gsub('.', function(b) return string.char(b:byte() % 16) end)
peer = open({ level = 9 }, nil, { max_message = 1000000 })
peer:send(w.frame(2, half:rep(2)))
first, frames = true, 0
local all = ''
repeat
    opcode, data, fin, rsv = w.read(peer)
    tap.ok(opcode == (first and 2 or 0) and rsv == (first and RSV1 or 0))
    first, frames, all = false, frames + 1, all .. data
until fin
tap.ok(frames > 1 and #all < 300000, 'a compressed one in fragments')
peer:send(w.frame(2, all, { rsv = RSV1 }))
tap.is(w.read(peer), 2, 'whole again')
peer:close()

-- --- what a peer does wrong ---

local function fails(name, what, code, compress, max)
    peer = open(compress or true, nil, { max_message = max or 1000 })
    peer:send(what)
    tap.is(w.read_close(peer), code, name)
    tap.is(w.read(peer), nil)
    peer:close()
    raw.until_true(function() return ended.code end)
    tap.is(ended.code, code)
end
local f = w.frame
fails('the bit in a continuation', f(1, HELLO, { fin = false, rsv = RSV1 })
    .. f(0, '', { rsv = RSV1 }), 1002)
fails('the bit in a ping', f(9, '', { rsv = RSV1 }), 1002)
fails('another bit', f(1, HELLO, { rsv = RSV1 + 32 }), 1002)
fails('no deflated data', f(2, '\7', { rsv = RSV1 }), 1007)
fails('half of it', f(2, HELLO:sub(1, 3), { rsv = RSV1 }), 1007)
fails('no UTF-8 in it', f(1, deflate('\255'), { rsv = RSV1 }), 1007)
fails('a reference to nothing', f(1, HELLO, { rsv = RSV1 })
    .. f(1, '\242\0\17\0\0', { rsv = RSV1 }), 1007)
fails('too large', f(1, deflate(('x'):rep(1001)), { rsv = RSV1 }), 1009)
fails('too large in fragments', f(1, '\0\232\3\23\252' .. ('x'):rep(1000),
    { rsv = RSV1, fin = false }) .. f(0, '\0\1\0\254\255x\0'), 1009)
local bomb = deflate(('\0'):rep(50000000))
tap.ok(#bomb < 50000, 'a bomb')
local before = resident()
for _ = 1, 20 do
    fails('a bomb', f(2, bomb, { rsv = RSV1 }), 1009, true, 1048576)
end
tap.ok(resident() - before < 10000 * SLACK, 'memory is level')

-- Control frames between fragments, a message that was not compressed among others, a
-- context that both keep.
peer = open({ context = true })
peer:send(f(1, HELLO:sub(1, 2), { rsv = RSV1, fin = false }) .. f(9, 'p')
    .. f(0, HELLO:sub(3)) .. f(1, 'Plain') .. f(1, '\242\0\17\0\0', { rsv = RSV1 }))
local seen = {}
for _ = 1, 4 do
    seen[#seen + 1] = select(2, w.read(peer))
end
table.sort(seen)
tap.is(table.concat(seen, ' '), 'Hello Hello Plain p')
peer:close()

-- --- others have their turn ---

local LARGE = 32 * 1048576
run = function(ws) ended = { size = #ws:receive() } end
ended = {}
peer = open(true, nil, { max_message = LARGE })
local turns = 0
local ticker = fiber.create(function()
    while true do
        turns = turns + 1
        fiber.sleep(0)
    end
end)
bomb = f(2, deflate(('\0'):rep(LARGE)), { rsv = RSV1 })
turns = 0
peer:send(bomb)
raw.until_true(function() return ended.size end)
tap.is(ended.size, LARGE)
tap.ok(turns > 50, ('while a large one came there were %d turns'):format(turns))
ticker:cancel()
peer:close()

-- --- the client ---

run = echo
for _, context in ipairs({ false, true }) do
    options = { compress = { context = context, min_size = 1 }, max_message = 2000000 }
    local ws = assert(websocket.connect(url, { max_message = 2000000,
        compress = { context = context, min_size = 100 } }))
    tap.is(ws.compressed, true)
    for _, size in ipairs({ 0, 1, 99, 100, 1000, 16384, 16385, 65536, 65537, 1000000 }) do
        local one = ('line %d\n'):format(size):rep(size / 6 + 1):sub(1, size)
        for _, kind in ipairs({ 'text', 'binary' }) do
            assert(ws:send(one, kind))
            local got, got_kind = ws:receive(20)
            tap.ok(got == one and got_kind == kind, size .. ' bytes')
        end
    end
    -- Several at once, of all sizes; one is cancelled in the middle, which is no harm.
    local sent, back = 0, 0
    for i = 1, 5 do
        fiber.create(function()
            for k = 1, 10 do
                assert(ws:send(tostring(i):rep(i * k * 1500)))
                sent = sent + 1
            end
        end)
    end
    local victim = fiber.new(function() ws:send(('v'):rep(500000)) end)
    victim:set_joinable(true)
    fiber.sleep(0)
    victim:cancel()
    victim:join()
    while back < 50 do
        local got = assert(ws:receive(20))
        local digit = got:sub(1, 1)
        assert(got == digit:rep(#got))
        back = back + (digit == 'v' and 0 or 1)
    end
    raw.until_true(function() return sent == 50 end)
    tap.is(pcall(ws.send, ws, ('\255'):rep(2000)), false, 'no UTF-8')
    tap.ok(ws:is_open())
    tap.is(ws:close(), true)
end
options = {}
local ws = assert(websocket.connect(url, { compress = true }))
tap.is(ws.compressed, false, 'a server that does not')
ws:send(text)
tap.is(ws:receive(), text)
ws:close()

local play
local by_hand = socket.tcp_server('127.0.0.1', 0, function(s)
    local head = s:read('\r\n\r\n', 20)
    local digest = require('digest')
    play(s, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
        .. 'Connection: upgrade\r\nSec-WebSocket-Accept: '
        .. digest.base64_encode(digest.sha1(head:match('Sec%-WebSocket%-Key: (%S+)')
        .. '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')) .. '\r\n', head)
    s:close()
end)
local hand = 'ws://127.0.0.1:' .. by_hand:name().port .. '/'
local function extension(value)
    return 'Sec-WebSocket-Extensions: ' .. value .. '\r\n\r\n'
end
for _, wrong in ipairs({ NAME, NAME .. '; client_no_context_takeover', 'x',
    NAME .. NONE .. '; x', NAME .. NONE .. '; client_max_window_bits',
    NAME .. NONE .. ', ' .. NAME .. NONE, '', NAME .. NONE .. '\r\n'
    .. 'Sec-WebSocket-Extensions: ' .. NAME .. NONE }) do
    local offered
    play = function(s, head, request)
        offered = request
        s:write(head .. extension(wrong))
    end
    local none, err = websocket.connect(hand, { compress = true })
    tap.is(none, nil, wrong)
    tap.ok(tostring(err):find('than was offered', 1, true), tostring(err))
    tap.ok(offered:find(extension(NAME .. NONE .. '; client_max_window_bits'):sub(1, -3),
        1, true), 'the offer')
end
bomb = deflate(('\0'):rep(5000000))
local function unmasked(code, payload, opts)
    opts = opts or { rsv = RSV1 }
    opts.mask = false
    return w.frame(code, payload, opts)
end
for _, r in ipairs({
    { unmasked(2, bomb), 1009 }, { unmasked(1, '\7'), 1007 },
    { unmasked(9, 'x'), 1002 }, { unmasked(0, HELLO), 1002 },
}) do
    play = function(s, head)
        s:write(head .. extension(NAME .. NONE) .. unmasked(1, HELLO) .. r[1])
        s:read({ chunk = 1000 }, 20)
    end
    ws = assert(websocket.connect(hand, { compress = true }))
    tap.is(ws:receive(), 'Hello')
    tap.is(ws:receive(), nil)
    tap.is(ws.close_code, r[2])
end
-- A large one comes in turns here, too.
play = function(s, head)
    s:write(head .. extension(NAME .. NONE) .. unmasked(2, bomb) .. unmasked(1, HELLO))
    s:read({ chunk = 1000 }, 20)
end
ws = assert(websocket.connect(hand, { compress = true, max_message = 5000000,
    close_timeout = 0.1 }))
tap.is(#ws:receive(20), 5000000)
tap.is(ws:receive(20), 'Hello')
ws:close()
by_hand:close()

-- --- many ---

run = echo
local MANY = 200
for _, r in ipairs({ { true, 80 }, { { context = true }, 200 } }) do
    local peers = {}
    local function all_say(what, count)
        local bytes = f(1, what, { rsv = RSV1 })
        for _ = 1, count do
            for i = 1, MANY do
                peers[i]:send(bytes)
            end
            for i = 1, MANY do
                local got
                repeat
                    got, data, fin = w.read(peers[i])
                until fin
                assert(got)
            end
        end
    end
    before = resident()
    for i = 1, MANY do
        peers[i] = open(r[1])
    end
    local message = deflate(text)
    all_say(message, 5)
    local level = resident()
    tap.ok(level - before < MANY * r[2] * SLACK, ('%d KB each'):format(
        (level - before) / MANY))
    -- What is kept is kept each time; pages that are touched at last are not.
    local more
    for _ = 1, 5 do
        all_say(message, 10)
        local now = resident()
        more, level = now - level, now
        if more < 3000 * SLACK then break end
    end
    tap.ok(more < 3000 * SLACK, ('level: %d KB more'):format(more))
    for i = 1, MANY do
        peers[i]:reset()
    end
    raw.until_true(function() return httpd:stat().connections == 0 end)
end

-- --- the end of the server, in the middle of it ---

options = { compress = { context = true, min_size = 1 }, max_message = 1000000 }
local codes, talking = {}, 0
for i = 1, 10 do
    ws = assert(websocket.connect(url, { compress = { context = i % 2 == 0 },
        max_message = 1000000 }))
    fiber.create(function(one, size)
        repeat
            one:send(text:rep(size))
            local got = one:receive(20)
            talking = math.max(talking, got and i or 0)
        until not got
        codes[#codes + 1] = one.close_code
    end, ws, i * 10)
end
raw.until_true(function() return talking > 0 end)
tap.is(httpd:stop(20), true, 'nothing is cut')
raw.until_true(function() return #codes == 10 end)
for i = 1, 10 do
    tap.is(codes[i], 1001)
end
tap.is(httpd:stat().cut, 0)
tap.done()
os.exit(0)
