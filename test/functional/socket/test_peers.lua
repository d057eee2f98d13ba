-- Peers that behave badly, over plain sockets of another process: half an answer and
-- silence, halves that stay open, resets in every state, floods that nobody reads,
-- a thousand bytes one by one; and nobody else is kept waiting.
-- test: timeout 120, variants
local errno = require('errno')
local fiber = require('fiber')
local popen = require('popen')
local socket = require('socket')
local tap = require('tap')

-- The other side, which knows nothing of this module.
local PEER = [[
import os, socket, struct, sys, time
port = int(sys.argv[1])
way = sys.argv[2]
s = socket.create_connection(('127.0.0.1', port))
def reset():
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()
if way == 'half':
    s.sendall(b'half a line')
    sys.stdin.read()
elif way == 'shut':
    s.sendall(b'all of it\n')
    s.shutdown(socket.SHUT_WR)
    sys.stdout.write(s.makefile().read())
elif way == 'reset':
    reset()
elif way == 'reset data':
    s.sendall(b'some')
    time.sleep(0.05)
    reset()
elif way == 'deaf':
    sys.stdin.read()
elif way == 'bytes':
    for b in b'x' * 999 + b'\n':
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.send(bytes([b]))
    sys.stdin.read()
elif way == 'flood':
    try:
        while True:
            s.sendall(b'f' * 65536)
    except OSError:
        pass
elif way == 'vanish':
    s.sendall(b'going\n')
    os.kill(os.getpid(), 9)
]]

if not popen.shell('command -v python3', 'r'):read():find('python3') then
    return tap.skip_all('no python3 here')
end

local master = socket('AF_INET', 'SOCK_STREAM', 'tcp')
assert(master:bind('127.0.0.1', 0) and master:listen())

local function peer(way)
    local ph = assert(popen.new({'/usr/bin/env', 'python3', '-c', PEER,
        tostring(master:name().port), way}, {stdin = 'pipe', stdout = 'pipe'}))
    assert(master:readable(30), 'no peer')
    return (master:accept()), ph
end

-- Somebody else, who is to be served all the time.
local ticks, ticking = 0, true
local a, b = socket.socketpair('AF_UNIX', 'SOCK_STREAM', 0)
fiber.create(function()
    while ticking do
        a:write('tick\n')
        if b:read('\n', 10) == 'tick\n' then
            ticks = ticks + 1
        end
        fiber.sleep(0.001)
    end
end)

local s, ph = peer('half')
local data, err = s:read('\n', 0.1)
tap.ok(data == nil and err.type == 'TimedOut', 'half a line and silence')
tap.is(s:sysread(), 'half a line', 'it is there')
s:close()
ph:close()

s, ph = peer('shut')
tap.is(s:read('\n', 10), 'all of it\n', 'a half that is shut')
tap.is(s:read('\n', 10), '', 'ends')
tap.is(s:write('and the answer\n'), 15, 'the other half is open')
s:close()
tap.is(ph:read({timeout = 10}), 'and the answer\n', 'and gets there')
ph:close()

s, ph = peer('reset')
fiber.sleep(0.1)
data, err = s:read('\n', 10)
tap.ok(data == nil and err.errno == errno.ECONNRESET, 'a reset before anything')
tap.is(s:readable(10), true, 'one may look')
tap.is(s:read('\n', 10), '', 'nothing more comes')
s:close()
ph:close()

s, ph = peer('reset data')
data, err = s:read('\n', 10)
tap.ok(data == nil and err.errno == errno.ECONNRESET, 'a reset while it waits')
tap.is(s:read({chunk = 4}), 'some', 'what had come is there')
s:close()
ph:close()

s, ph = peer('deaf')
local sent = ('d'):rep(64 * 1024 * 1024)
data, err = s:write(sent, 0.2)
tap.ok(data == nil and err.type == 'TimedOut', 'one that does not read')
tap.is(s:errno(), errno.ETIMEDOUT, 'says so')
local f = fiber.new(function() return s:write(sent) end)
f:set_joinable(true)
fiber.sleep(0.05)
ph:close() -- and then it is killed
local ok
ok, data, err = f:join()
tap.ok(ok and data == nil
    and (err.errno == errno.EPIPE or err.errno == errno.ECONNRESET), 'until it dies')
s:close()

s, ph = peer('bytes')
tap.is(#s:read('\n', 30), 1000, 'byte by byte')
s:close()
ph:close()

s, ph = peer('flood')
data = s:read(10 * 1024 * 1024, 30)
tap.is(#data, 10 * 1024 * 1024, 'a flood')
tap.is(s:read({chunk = 100000, delimiter = 'x'}, 30), ('f'):rep(100000), 'in chunks')
fiber.sleep(0.1) -- nobody reads: the other side waits
s:close()
ph:wait()
ph:close()

s, ph = peer('vanish')
tap.is(s:read('\n', 10), 'going\n', 'one that is killed')
tap.is(s:read('\n', 10), '', 'ends')
s:close()
ph:close()

ticking = false
tap.ok(ticks > 100, 'nobody else was kept waiting')
master:close()
tap.done()
