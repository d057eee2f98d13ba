-- Waits of sockets: every one ends by what it waits for, by its time, by a cancel,
-- by a deadline and by another fiber that closes the socket; in a user's coroutine
-- as anywhere; and where none can wait it says so.
-- test: variants
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local socket = require('socket')
local tap = require('tap')

local master = socket('AF_INET', 'SOCK_STREAM', 'tcp')
assert(master:bind('127.0.0.1', 0) and master:listen())
local port = master:name().port

local function pair()
    local a = assert(socket.tcp_connect('127.0.0.1', port))
    assert(master:readable(10))
    return a, (master:accept())
end

-- One whose buffers are full: there is no room to write.
local function full_pair()
    local a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
    while a:send(('x'):rep(65536)) do end
    return a, b
end

local function idle_master()
    local m = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    m:bind('127.0.0.1', 0)
    m:listen()
    return m, m
end

-- A connection that is not answered: its queue is full.
local function stuck_address()
    local m = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    assert(m:bind('127.0.0.1', 0) and m:listen(0))
    local held = {m}
    for _ = 1, 16 do
        local c = socket('AF_INET', 'SOCK_STREAM', 'tcp')
        c:sysconnect('127.0.0.1', m:name().port)
        held[#held + 1] = c
    end
    return m:name().port, held
end
local stuck_port, stuck = stuck_address()

local big = ('y'):rep(1048576)

-- name, sockets, the wait, what a close by another fiber brings.
local waits = {
    {'read(limit)', pair, function(s, t) return s:read(10, t) end, 'throws'},
    {'read(delimiter)', pair, function(s, t) return s:read('\n', t) end, 'throws'},
    {'read(both)', pair, function(s, t)
        return s:read({chunk = 5, delimiter = {'a', 'b'}}, t)
    end, 'throws'},
    {'write', full_pair, function(s, t) return s:write(big, t) end, 'throws'},
    {'readable', pair, function(s, t) return s:readable(t) end, true},
    {'writable', full_pair, function(s, t) return s:writable(t) end, true},
    {'wait', idle_master, function(s, t) return s:wait(t) end, 'RW'},
    {'iowait', pair, function(s, t) return socket.iowait(s:fd(), 'R', t) end},
    {'tcp_connect', pair, function(_, t)
        return socket.tcp_connect('127.0.0.1', stuck_port, t)
    end},
}
local endless = {
    {'sysread', pair, function(s) s:nonblock(false) return s:sysread() end, 'throws'},
    {'recv', pair, function(s) s:nonblock(false) return s:recv() end, 'throws'},
    {'recvfrom', pair, function(s) s:nonblock(false) return s:recvfrom() end, 'throws'},
    {'syswrite', full_pair, function(s)
        s:nonblock(false)
        return s:syswrite('x')
    end, 'throws'},
    {'send', full_pair, function(s) s:nonblock(false) return s:send('x') end, 'throws'},
    {'accept', idle_master, function(s) s:nonblock(false) return s:accept() end,
        'throws'},
    {'sysconnect', function()
        return socket('AF_INET', 'SOCK_STREAM', 'tcp'), nil
    end, function(s)
        s:nonblock(false)
        return s:sysconnect('127.0.0.1', stuck_port)
    end, 'throws'},
}
local all = {}
for _, list in ipairs({waits, endless}) do
    for _, w in ipairs(list) do
        all[#all + 1] = w
    end
end

local function close(...)
    for i = 1, 2 do
        local s = select(i, ...)
        if s ~= nil then
            pcall(s.close, s)
        end
    end
end

-- Run it in a fiber; what it gives, once it has waited.
local function start(w, ...)
    local f = fiber.new(function(...) return w[3](...) end, ...)
    f:set_joinable(true)
    fiber.sleep(0.01)
    return f
end

for _, w in ipairs(waits) do
    -- Time.
    local a, b = w[2]()
    local got, err = w[3](a, 0)
    tap.ok(not got or got == '', w[1] .. ': no time')
    got, err = w[3](a, 0.01)
    local code = errno()
    tap.ok((not got or got == '') and code == errno.ETIMEDOUT
        and (err == nil or err.type == 'TimedOut'), w[1] .. ': little time')
    for _, huge in ipairs({1e9, 1e300, math.huge}) do
        local f = start(w, a, huge)
        tap.is(f:status(), 'suspended', w[1] .. ': much time')
        f:cancel()
        tap.is(f:join(), false, w[1] .. ': cancelled')
    end
    close(a, b)
end

for _, w in ipairs(all) do
    -- Cancel.
    local a, b = w[2]()
    local f = start(w, a)
    tap.is(f:status(), 'suspended', w[1] .. ': it waits')
    f:cancel()
    local ok, err = f:join()
    tap.ok(not ok and err.type == 'FiberIsCancelled', w[1] .. ': cancel')
    -- One that was cancelled before.
    f = fiber.new(function()
        pcall(fiber.sleep, 100)
        return w[3](a)
    end)
    f:set_joinable(true)
    fiber.yield()
    f:cancel()
    ok, err = f:join()
    tap.ok(not ok and err.type == 'FiberIsCancelled', w[1] .. ': cancelled before')
    -- A deadline.
    ok, err = pcall(fiber.deadline, 0.02, w[3], a)
    tap.ok(not ok and err.type == 'TimedOut'
        and tostring(err):find('deadline') ~= nil, w[1] .. ': deadline')
    -- Wake-ups that mean nothing.
    f = start(w, a)
    f:wakeup()
    fiber.sleep(0.005)
    tap.is(f:status(), 'suspended', w[1] .. ': a wake-up is nothing')
    f:cancel()
    f:join()
    -- In the user's own coroutine.
    local co = coroutine.wrap(function() return fiber.deadline(0.02, w[3], a) end)
    ok, err = pcall(co)
    tap.ok(not ok and err.type == 'TimedOut', w[1] .. ': in a coroutine')
    -- Where none can wait.
    err = nil
    ok = pcall(string.gsub, 'x', 'x', function()
        return fiber.deadline(0.02, w[3], a)
    end)
    tap.is(ok, false, w[1] .. ': in gsub, which may wait')
    local cb = ffi.cast('int (*)(const void *, const void *)', function()
        ok, err = pcall(w[3], a)
        return 0
    end)
    cb(nil, nil)
    cb:free()
    tap.ok(not ok and tostring(err):find('cannot wait here'),
        w[1] .. ': in a callback of C')
    -- Another fiber closes it.
    if w[4] ~= nil then
        if a.nonblock ~= nil and w[1] == 'sysconnect' then
            a:close()
            a = w[2]()
        end
        f = start(w, a)
        a:close()
        local got
        ok, got = f:join()
        if w[4] == 'throws' then
            tap.ok(not ok and tostring(got):find('closed socket'),
                w[1] .. ': closed meanwhile')
        else
            tap.ok(ok and got == w[4], w[1] .. ': closed meanwhile')
        end
    end
    close(a, b)
end
close(unpack(stuck, 1, 2))
for _, s in ipairs(stuck) do
    pcall(s.close, s)
end

-- Many at the same socket, each for its own.
do
    local a, b = pair()
    local got = {}
    local g = fiber.group()
    for i = 1, 10 do
        g:spawn(function() got[i] = a:read(2, 10) end)
    end
    for i = 1, 3 do
        g:spawn(function() got[10 + i] = a:readable(10) end)
    end
    g:spawn(function() got.w = a:writable(10) end)
    fiber.sleep(0.01)
    tap.ok(got.w, 'the writer goes on')
    b:write(('ab'):rep(20))
    g:wait()
    local right = true
    for i = 1, 10 do
        right = right and got[i] == 'ab'
    end
    tap.ok(right and got[11] and got[12] and got[13], 'each reader has its own')
    close(a, b)
end

-- Two that wait with different delimiters.
do
    local a, b = pair()
    local x, y
    local f = fiber.new(function() x = a:read('X', 10) end)
    local g = fiber.new(function() y = a:read({delimiter = 'Y'}, 10) end)
    f:set_joinable(true)
    g:set_joinable(true)
    fiber.sleep(0.01)
    for part in ('1Y2X'):gmatch('.') do
        b:write(part)
        fiber.sleep(0.002)
    end
    f:join()
    g:join()
    tap.is((x or '?') .. (y or '?'), '2X1Y', 'each delimiter is found')
    close(a, b)
end

-- What has come stays when the time is over.
do
    local a, b = pair()
    b:write('half')
    tap.is(a:read(8, 0.02), nil, 'not all')
    b:write(' way')
    tap.is(a:read(8, 10), 'half way', 'all of it')
    -- Byte by byte.
    local f = fiber.new(function() return a:read({chunk = 100, delimiter = 'END'}, 10) end)
    f:set_joinable(true)
    for part in ('so it EN END'):gmatch('.') do
        b:write(part)
        fiber.yield()
    end
    tap.same({f:join()}, {true, 'so it EN END'}, 'byte by byte')
    close(a, b)
end

-- The edge: data and an end in one go, an end alone, a reset.
do
    local a, b = pair()
    b:write('last')
    b:close()
    fiber.sleep(0.01)
    tap.is(a:read('\n', 10), 'last', 'data and an end')
    tap.is(a:read('\n', 10), '', 'then nothing')
    a:close()
    a, b = pair()
    local f = start({nil, nil, function(s) return s:read(10) end}, a)
    b:write('abc')
    b:close()
    tap.same({f:join()}, {true, 'abc'}, 'an end while it waits')
    a:close()
    a, b = pair()
    f = start({nil, nil, function(s) return s:read(10) end}, a)
    b:linger(true, 0)
    b:close()
    local ok, data, err = f:join()
    tap.ok(ok and data == nil and err.errno == errno.ECONNRESET, 'a reset')
    tap.is(a:errno(), errno.ECONNRESET, 'errno of it')
    a:close()
    -- Broken pipe, and no signal kills.
    a, b = pair()
    b:close()
    local n
    repeat
        n = a:write('x')
        fiber.sleep(0.001)
    until n == nil
    tap.ok(a:errno() == errno.EPIPE or a:errno() == errno.ECONNRESET, 'nobody reads')
    a:close()
end

-- Urgent data in the middle: what follows is not lost.
do
    local a, b = pair()
    b:write('abc')
    b:send('!', 'MSG_OOB')
    b:write('def')
    fiber.sleep(0.02)
    tap.is(a:recv(1, 'MSG_OOB'), '!', 'urgent data')
    tap.is(a:read(6, 10), 'abcdef', 'around it')
    b:write('more')
    tap.is(a:read(4, 10), 'more', 'and behind it')
    close(a, b)
end

-- A look elsewhere says nothing of the bytes that have come, and a count of bytes
-- is not what some other socket has left in the buffer.
for _, how in ipairs({'MSG_ERRQUEUE', 'MSG_OOB'}) do
    local a, b = pair()
    tap.is(a:readable(0.001), false, 'it is watched')
    b:write('bytes')
    fiber.sleep(0.02)
    tap.is(a:recv(10, how), nil, 'nothing there')
    tap.is(a:read(5, 10), 'bytes', 'but here')
    b:write('secret')
    tap.is(a:read(6, 10), 'secret', 'what another one has read')
    close(a, b)
    a, b = pair()
    b:write('public')
    a:readable(10)
    tap.is(a:recv(6, 'MSG_TRUNC'), 'public', 'is not shown')
    close(a, b)
end
do
    local a = socket('AF_INET', 'SOCK_DGRAM', 'udp')
    a:bind('127.0.0.1', 0)
    tap.is(a:readable(0.001), false, 'it is watched')
    a:sendto('127.0.0.1', a:name().port, 'bytes')
    fiber.sleep(0.02)
    tap.is(a:recv(10, 'MSG_ERRQUEUE'), nil, 'nothing there')
    tap.is(a:read(5, 10), 'bytes', 'but here')
    a:close()
end

-- Much, both ways, with small buffers.
do
    local a, b = pair()
    a:setsockopt('socket', 'SO_SNDBUF', 4096)
    b:setsockopt('socket', 'SO_RCVBUF', 4096)
    local data = {}
    for i = 1, 10000 do
        data[i] = ('%08d'):format(i)
    end
    data = table.concat(data)
    local g = fiber.group()
    local got, back
    g:spawn(function() a:write(data, 60) a:shutdown('W') end)
    g:spawn(function()
        local parts = {}
        repeat
            local part = b:read(7777, 60)
            parts[#parts + 1] = part
        until #part < 7777
        got = table.concat(parts)
        b:write(got, 60)
        b:close()
    end)
    g:spawn(function() back = a:read(1e9, 60) end)
    g:wait()
    tap.ok(got == data, 'all came')
    tap.ok(back == data, 'and went back')
    a:close()
end

-- A limit of what is read ahead for a delimiter.
do
    local a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
    local f = fiber.new(function()
        pcall(function()
            while a:write(('z'):rep(1048576)) do end
        end)
    end)
    f:set_joinable(true)
    local data, err = b:read('\n', 60)
    tap.ok(data == nil and err.errno == errno.EMSGSIZE
        and tostring(err):find('64 MiB'), 'no delimiter in 64 MiB')
    tap.is(#(b:read(100) or ''), 100, 'they are still there')
    b:close()
    f:join()
    a:close()
end

master:close()
tap.done()
