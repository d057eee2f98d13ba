-- tcp_server behind a proxy: who a connection is, is what its PROXY header says; torn
-- ones, those with TLS or data behind, and what is none: slow, garbage, too long, many.
-- test: timeout 120, variants
local fiber = require('fiber')
local fio = require('fio')
local headers = require('proxy_headers')
local raw = require('raw')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local served, closed = 0, 0
local function handler(s, from)
    served = served + 1
    local peer = s:peer()
    local line = s:read('\n', 30)
    s:write(('%s:%s %s %s %s'):format(from.host, from.port, from.family,
        peer.host == from.host and peer.port == from.port and tostring(peer), line))
    closed = closed + 1
end
local function serve(options, host, port)
    options.handler, options.proxy_protocol = handler, true
    local s, address = socket.tcp_server(host or '127.0.0.1', port or 0, options)
    return s, address.port
end

local V1, V2 = headers.V1, headers.V2
local WHO = '198.51.100.1:35646 AF_INET 198.51.100.1:35646 hi\n'

local function answer(where, ...)
    local peer = assert(raw.connect(where))
    for i, piece in ipairs({...}) do
        if i > 1 then
            fiber.sleep(0.001)
        end
        peer:send(piece)
    end
    local text = peer:read()
    peer:close()
    return text
end

-- Options.
for _, bad in ipairs({0, -1, 'x'}) do
    tap.throws(function() serve({proxy_timeout = bad}) end, 'proxy_timeout',
        'a time that is none')
end

-- Who it is.
local server, port = serve({})
tap.is(answer(port, V1 .. 'hi\n'), WHO, 'a line of text')
tap.is(answer(port, V2 .. 'hi\n'), WHO, 'binary')
tap.is(answer(port, headers.V2_MORE, 'hi\n'), WHO, 'with what is skipped')
tap.is(answer(port, headers.V1_SIX .. 'hi\n'),
    '2001:db8::1:4000 AF_INET6 2001:db8::1:4000 hi\n', 'IPv6')
tap.is(answer(port, headers.V2_UNIX .. 'hi\n'),
    'unix/:/run/client.sock AF_UNIX unix/:/run/client.sock hi\n', 'a unix socket')
for name, header in pairs({UNKNOWN = 'PROXY UNKNOWN\r\n', LOCAL = headers.V2_LOCAL}) do
    tap.like(answer(port, header .. 'hi\n'),
        '^127%.0%.0%.1:%d+ AF_INET 127%.0%.0%.1:%d+ hi\n$', name .. ': its own')
end
for name, header in pairs({text = V1, binary = V2}) do
    local all, wrong = header .. 'hi\n', nil
    for at = 1, #header do
        local got = answer(port, all:sub(1, at), all:sub(at + 1))
        wrong = wrong or got ~= WHO and ('cut at %d: %s'):format(at, got) or nil
    end
    tap.is(wrong, nil, name .. ' that is torn at every place')
    local pieces = {}
    for i = 1, #all do
        pieces[i] = all:sub(i, i)
    end
    tap.is(answer(port, unpack(pieces)), WHO, name .. ' by bytes')
end
tap.is(answer(port, V1 .. ('x'):rep(100000) .. '\n'):match('x+\n$'), ('x'):rep(100000) .. '\n',
    'all that is behind it is there')

local function named(what)
    for _, f in pairs(fiber.info()) do
        if f.name:find(what, 1, true) then
            return true
        end
    end
end
local peer = raw.connect(port)
peer:send(V1)
raw.until_true(function() return named('server/198.51.100.1:35646') end)
tap.pass('the fiber has its name')
peer:close()

-- What is none: closed without the handler, or a word.
raw.until_true(function() return served == closed end)
server:close()
server, port = serve({proxy_timeout = 0.3})
local before = served
for _, text in ipairs({'hi\n', '\22\3\1\0\200\1\0\0\196\3\3', ('\0'):rep(9999),
    unpack(headers.BAD)}) do
    local got = answer(port, text)
    if got ~= '' then
        tap.is(got, '', 'refused: ' .. text:sub(1, 40))
    end
end
for at = 0, #V2 - 1 do
    peer = raw.connect(port)
    peer:send(V2:sub(1, at))
    peer[at % 2 == 0 and 'shutdown' or 'reset'](peer)
    if at % 2 == 0 then
        peer:read()
        peer:close()
    end
end
tap.is(served, before, 'what is none has no handler')
tap.is(answer(port, V1 .. 'hi\n'), WHO, 'and others are served')
server:close()

-- Slow ones have their time, and no more, and keep nobody out for longer.
server, port = serve({proxy_timeout = 0.3, max_connections = 3})
local slow = {}
for i = 1, 3 do
    slow[i] = raw.connect(port)
    slow[i]:send(i == 1 and '' or V1:sub(1, i * 5))
end
tap.is(answer(port, V1 .. 'hi\n'), WHO, 'who came behind slow ones is served')
for i = 1, 3 do
    local text, ended = slow[i]:read()
    tap.ok(text == '' and ended, 'a slow one is closed')
    slow[i]:close()
end
server:close()

-- Thousands, a part of them in pieces, with nothing left.
server, port = serve({})
local function descriptors() return #fio.listdir('/proc/self/fd') end
local function load(count)
    local left = count
    for i = 1, count do
        fiber.create(function()
            if i % 3 == 0 then
                answer(port, 'PROXY TCP9 a\r\n')
            else
                assert(answer(port, V2:sub(1, i % #V2), V2:sub(i % #V2 + 1) .. 'hi\n') == WHO)
            end
            left = left - 1
        end)
    end
    raw.until_true(function() return left == 0 end)
end
load(50)
raw.until_true(function() return served == closed end)
local level = descriptors()
for _ = 1, 5 do
    load(100)
end
raw.until_true(function() return descriptors() <= level end)
tap.pass('no descriptor is left')
server:close()

-- In front of TLS; over a unix socket.
local PEM = {cert_file = rig.path('server.pem'), key_file = rig.path('server.key')}
server, port = serve({tls = PEM})
local s = assert(socket.tcp_connect('127.0.0.1', port))
s:write(V1:sub(1, 20))
fiber.sleep(0.01)
s:write(V1:sub(21))
assert(s:starttls({verify = 'none'}))
s:write('hi\n')
tap.is(s:read(1000), WHO, 'TLS behind it')
s:close()
tap.unlike(answer(port, V1 .. 'hi, in plain text\n'), 'text', 'which must be there')
s = assert(socket.tcp_connect('127.0.0.1', port))
tap.is(s:starttls({verify = 'none'}), nil, 'TLS without one is refused')
s:close()
server:close()
local path = rig.path('s')
server = serve({}, 'unix/', path)
tap.is(answer(path, V2 .. 'hi\n'), WHO, 'over a unix socket')
server:close()
rig.done()
tap.done()
