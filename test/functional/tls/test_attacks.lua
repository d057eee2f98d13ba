-- Peers of TLS that are no good: garbage, a request in plain text, a hello byte by byte,
-- one that never comes, ends and resets after every byte of the handshake, streams that
-- are cut; time limits, cancels and deadlines; 4 MiB both ways at once; memory stays
-- level over many connections.
-- test: timeout 120, soak 3600
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local raw = require('raw')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local ca = rig.pem('ca')
local client = assert(socket.tls_client({ca_file = ca}))
local handled = 0
local server, port = rig.serve(rig.own('server', {handshake_timeout = 1}), function(s)
    handled = handled + 1
    rig.echo(s)
end)

local function connect(to, timeout, options)
    return socket.tcp_connect('127.0.0.1', to or port,
        options or {tls = client, timeout = timeout or 20})
end

-- It serves, whatever else goes on.
local function serves(name)
    local s, err = connect()
    local ok = s ~= nil and s:write('hello\n') == 6 and s:read('\n', 20) == 'hello\n'
    if s then s:close() end
    tap.ok(ok, name .. (err and ': ' .. tostring(err) or ''))
end

-- What a hello of ours looks like.
local hello
do
    local listener = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    listener:bind('127.0.0.1', 0)
    listener:listen()
    local f = fiber.create(function() pcall(connect, listener:name().port, 5) end)
    listener:readable(20)
    local s = listener:accept()
    hello = s:read({chunk = 65536}, 20)
    while #hello < 5 + hello:byte(4) * 256 + hello:byte(5) do
        hello = hello .. s:read({chunk = 65536}, 20)
    end
    s:close()
    listener:close()
    tap.ok(#hello > 100, 'a hello')
    rig.soon(function() return f:status() == 'dead' end)
end

-- Garbage.
math.randomseed(7)
local function noise(size)
    local bytes = {}
    for i = 1, size do bytes[i] = string.char(math.random(0, 255)) end
    return table.concat(bytes)
end
local garbage = {'GET / HTTP/1.1\r\nHost: x\r\n\r\n', ('\0'):rep(100), ('\255'):rep(100),
    '\22\3\1\255\255' .. ('x'):rep(1000), '\22\3\1\0\0', '\21\3\3\0\2\2\40',
    '\23\3\3\0\1x', ('\22\3\1\0\4\1\0\0\0'):rep(500)}
for _ = 1, 40 do
    garbage[#garbage + 1] = noise(math.random(1, 600))
    -- A hello with something wrong in it.
    local at = math.random(6, #hello - 1)
    garbage[#garbage + 1] = hello:sub(1, at - 1) .. noise(1) .. hello:sub(at + 1)
    garbage[#garbage + 1] = hello:sub(1, 5) .. noise(#hello - 5)
end
for _, text in ipairs(garbage) do
    local peer = assert(raw.connect(port))
    peer:send(text)
    peer:shutdown()
    peer:read()
    peer:close()
end
tap.is(handled, 0, 'no handler has run')
serves('after garbage')

-- One who is told what is wrong: it is not TLS.
local plain, plain_port = rig.serve(nil, function(s)
    s:write('220 hello, this is no TLS at all\r\n')
    s:read(1000, 1)
end)
local s, err = connect(plain_port)
tap.is(s, nil, 'a server without TLS')
tap.like(err, 'does not speak TLS', 'is told')
tap.is(err.errno, errno.EPROTO, 'and its number')
plain:close()

-- Cut and reset after every byte of a hello.
for at = 0, #hello, 7 do
    for _, how in ipairs({'close', 'reset', 'shutdown'}) do
        local peer = assert(raw.connect(port))
        peer:send(hello:sub(1, at))
        peer[how](peer)
        if how == 'shutdown' then
            peer:close()
        end
    end
end
tap.is(handled, 1, 'no handler has run')
serves('after halves')

-- Cut after so many bytes of a whole conversation, either way, by one in the middle.
local function between(limit, direction, how)
    local listener = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    listener:bind('127.0.0.1', 0)
    listener:listen()
    local to, cut = listener:name().port, false
    fiber.create(function()
        listener:readable(20)
        local a = listener:accept()
        local b = socket.tcp_connect('127.0.0.1', port)
        local left = limit
        local function pump(from, into, counts)
            while true do
                if not from:readable(20) then break end
                local data = from:sysread(100000)
                if data == nil or data == '' then break end
                if counts then
                    cut = cut or #data > left
                    data = data:sub(1, left)
                    left = left - #data
                end
                if data ~= '' and into:write(data, 20) == nil then break end
                if counts and left == 0 then
                    if how == 'reset' then into:linger(true, 0) end
                    break
                end
            end
        end
        local other = fiber.create(function()
            pcall(pump, b, a, direction == 'down')
            pcall(a.close, a)
            pcall(b.close, b)
        end)
        other:set_joinable(true)
        pcall(pump, a, b, direction == 'up')
        if left > 0 then -- the client has ended: what it is told passes
            pcall(b.shutdown, b, 'W')
            other:join()
        end
        pcall(a.close, a)
        pcall(b.close, b)
        listener:close()
    end)
    local c, why = connect(to, 10)
    if c == nil then return nil, why end
    local ok
    ok, why = c:write('hello\n', 10)
    if ok then ok, why = c:read('\n', 10) end
    if ok == 'hello\n' then
        c:shutdown('W') -- then the echo ends
        ok, why = c:read(1000, 10)
    end
    c:close()
    return ok, why, cut
end
local silent, strange, steps, whole = 0, nil, 0, 0
for _, direction in ipairs({'up', 'down'}) do
    for limit = 1, 2200, tap.soak(1, 61) do
        local ok, why, cut = between(limit, direction,
            steps % 2 == 0 and 'reset' or 'close')
        steps = steps + 1
        if ok == '' and cut then silent = silent + 1 end
        if ok == '' and not cut then whole = whole + 1 end
        if ok == nil and why.type == 'TimedOut' then strange = limit .. direction end
    end
end
tap.is(silent, 0, 'no cut passes for an end')
tap.is(strange, nil, 'and none for a wait')
tap.ok(whole > 0 and whole < steps, ('%d of them came too late'):format(whole))
serves(('after %d cuts'):format(steps))

-- A cut that a server sees.
local last
local truth, truth_port = rig.serve(rig.own('server'), function(c)
    last = {c:read(1000, 20)}
end)
s = assert(connect(truth_port))
s:write('some')
s:shutdown('W')
tap.is(s:read(1, 20), '', 'it ends')
tap.is(last[1], 'some', 'an end that was announced')
s:close()
s = assert(connect(truth_port))
s:write('some')
last = nil
fiber.sleep(0.02)
ffi.C.shutdown(s:fd(), 1) -- below TLS
tap.ok(rig.soon(function() return last ~= nil end), 'one that was not')
tap.is(last[1], nil, 'is no end')
tap.is(last[2].errno, errno.ECONNABORTED, 'but has a number')
tap.like(last[2], 'without saying so', 'and words')
s:close()
truth:close()

-- The hello byte by byte: it is served, slowly, and others beside it.
do
    local slow, slow_port = rig.serve(rig.own('server', {handshake_timeout = 60}))
    local peer = assert(raw.connect(slow_port))
    for at = 1, #hello do
        peer:send(hello:sub(at, at))
        if at % 40 == 0 then
            local c = assert(connect(slow_port))
            c:write('x\n')
            if c:read('\n', 20) ~= 'x\n' then tap.fail('beside a slow one') end
            c:close()
        end
        fiber.sleep(0.0005)
    end
    tap.is(peer:read('\22\3\3'):sub(1, 3), '\22\3\3', 'it is answered')
    peer:close()
    slow:close()
end

-- Time limits: of the handshake of a server, and of a client.
local peers = {}
for i = 1, 50 do
    peers[i] = assert(raw.connect(port))
    peers[i]:send(hello:sub(1, i * 4))
end
serves('beside fifty who say nothing')
for i = 1, 50 do
    local text, ended = peers[i]:read()
    if not ended then tap.fail('it waits for ever') end
    peers[i]:close()
end
tap.pass('each has had his time')
local mute, mute_port = rig.serve(nil, function(c) c:read(100000, 5) end)
local begun = fiber.clock()
s, err = connect(mute_port, nil, {tls = {ca_file = ca, handshake_timeout = 0.1}})
tap.ok(s == nil and err.type == 'TimedOut', 'a client has its limit')
s, err = connect(mute_port, 0.1)
tap.ok(s == nil and err.type == 'TimedOut', 'and the timeout of the whole')
tap.ok(fiber.clock() - begun < 5, 'neither waits long')
local before = #fio.listdir('/proc/self/fd')
local ended
local f = fiber.create(function()
    local ok, why = pcall(connect, mute_port)
    ended = not ok and why or 'no error'
end)
f:set_joinable(true)
fiber.sleep(0.05)
f:cancel()
f:join()
tap.like(ended, 'cancelled', 'a cancel')
f = fiber.new(function()
    fiber.deadline(0.05, function() connect(mute_port) end)
end)
f:set_joinable(true)
local ok, why = f:join()
tap.ok(not ok, 'a deadline: ' .. tostring(why))
tap.ok(rig.soon(function() return #fio.listdir('/proc/self/fd') <= before end),
    'they leave no descriptor')
mute:close()
s = assert(connect())
s:write('ab')
tap.is(select(2, s:read(10, 0.05)).type, 'TimedOut', 'a read has its timeout')
s:write('cd\n')
tap.is(s:read('\n', 20), 'abcd\n', 'and loses nothing')
tap.is(s:readable(0.01), false, 'nothing to read')
s:write('xyz\n')
tap.is(s:readable(20), true, 'something')
tap.is(s:wait(20), 'RW', 'both')
tap.is(s:recv(1, 'MSG_PEEK'), 'x', 'a look')
tap.is(s:recv(1), 'x', 'one byte')
tap.is(s:readable(0), true, 'what is decrypted is ready')
tap.is(s:sysread(100), 'yz\n', 'the rest')
s:recv()
tap.is(s:errno(), errno.EAGAIN, 'nothing')
s:close()

-- 4 MiB both ways at once, and each waits for the other: small buffers.
local SIZE, PART = 4 * 1024 * 1024, ('0123456789abcdef'):rep(4096)
local both, both_port = rig.serve(rig.own('server'), function(c)
    c:setsockopt('SOL_SOCKET', 'SO_SNDBUF', 4096)
    local writer = fiber.new(function()
        for _ = 1, SIZE / #PART do
            assert(c:write(PART, 60))
        end
    end)
    writer:set_joinable(true)
    local got = 0
    while got < SIZE do
        local data = assert(c:read(SIZE - got, 60))
        if data == '' then break end
        got = got + #data
    end
    writer:join()
    c:write(tostring(got) .. '\n')
end)
for _, version in ipairs({'TLSv1.2', 'TLSv1.3'}) do
    s = assert(connect(both_port, nil, {tls = {ca_file = ca, max_version = version}}))
    s:setsockopt('SOL_SOCKET', 'SO_SNDBUF', 4096)
    local writer = fiber.new(function()
        local sent = 0
        while sent < SIZE do
            -- Now and then without waiting: what TLS keeps leaves by itself.
            local n = s:send(PART)
            if n == nil then
                n = assert(s:write(PART:sub(1, math.min(#PART, SIZE - sent)), 60))
            elseif sent + n > SIZE then
                error('too much')
            end
            sent = sent + n
            if SIZE - sent < #PART then
                sent = sent + assert(s:write(PART:sub(1, SIZE - sent), 60))
            end
        end
        return sent
    end)
    writer:set_joinable(true)
    local parts, got = {}, 0
    while got < SIZE do
        local data = assert(s:read(math.min(SIZE - got, 100000), 60))
        parts[#parts + 1], got = data, got + #data
    end
    tap.is(table.concat(parts) == PART:rep(SIZE / #PART), true, version .. ': what came')
    tap.is(select(2, writer:join()), SIZE, version .. ': what was sent')
    tap.is(s:read('\n', 60), SIZE .. '\n', version .. ': what the other side got')
    s:close()
end
both:close()

-- Level memory.
local function memory()
    return tap.resident() * 1024
end
local forgetful = assert(socket.tls_client({ca_file = ca, session_cache = false}))
local function visits(count)
    for i = 1, count do
        if i % 3 == 0 then
            local peer = assert(raw.connect(port))
            peer:send(hello:sub(1, i % #hello))
            peer:close()
        else
            local c = assert(connect(nil, nil, {tls = i % 2 == 0 and client
                or forgetful, timeout = 20}))
            c:write('hello\n')
            c:read('\n', 20)
            c:close()
        end
    end
end
visits(500)
local first = memory()
visits(tap.soak(50000, 400))
local second = memory()
tap.diag(('%d KiB, then %d'):format(first, second))
if (os.getenv('NEAP_SANITIZE') or '') == '' then
    tap.ok(second - first < 4096, 'memory is level')
end
serves('to the end')
server:close()

rig.done()
tap.done()
