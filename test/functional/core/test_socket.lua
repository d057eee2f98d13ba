-- core.tcp(): connections of scripts.
local tap = require('tap')
local fiber = require('fiber')
local socket = require('socket')
local core = require('neap.core_tools')

-- What the server does is said by a function of the connection.
local serve
local server, address = socket.tcp_server('127.0.0.1', 0, function(s, ...) serve(s, ...) end)
local port = address.port

local function connected(f)
    serve = f
    local tcp = core.tcp()
    assert(tcp:connect('127.0.0.1', port))
    return tcp
end

local tcp = connected(function(s)
    s:write('one\r\ntwo\nthree')
    s:write(s:read(5))
end)
tap.is(tostring(tcp), 'Socket', 'its class')
tap.is(tcp:getpeername(), '127.0.0.1:' .. port, 'getpeername')
tap.like(tcp:getsockname(), '^127%.0%.0%.1:%d+$', 'getsockname')
tap.is(tcp:receive(), 'one', 'receive: a line')
tap.is(tcp:receive('*l', '>'), '>two', 'receive: a line with a prefix')
tap.is(tcp:receive(2), 'th', 'receive: bytes')
tap.is(tcp:receive(4, 'xy'), 'xyre', 'receive: bytes, the prefix counts')
tap.is(tcp:send('[hello]', 2, -2), 6, 'send: a part')
tap.is(tcp:receive('*a'), 'ehello', 'receive: all')
tap.same({ tcp:receive('*a') }, { nil, 'closed', '' }, 'receive: nothing more')
tap.same({ tcp:receive() }, { nil, 'closed', '' }, 'receive: no line')
tap.same({ tcp:receive(5, 'ab') }, { nil, 'closed', 'ab' }, 'receive: no bytes')
tap.is(tcp:close(), 1, 'close')
tap.is(tcp:close(), 1, 'close: again')
tap.same({ tcp:receive() }, { nil, 'closed', '' }, 'receive: closed')
tap.same({ tcp:send('x') }, { nil, 'closed', 0 }, 'send: closed')
tap.is(tcp:getpeername(), nil, 'getpeername: closed')

tcp = connected(function(s) s:write('half a line') end)
tap.same({ tcp:receive('*l', '> ') }, { nil, 'closed', '> half a line' },
    'receive: a line without its end')
tcp:close()

local go = fiber.channel(1)
tcp = connected(function(s)
    s:write('abc')
    go:get()
    s:write('def\n')
    go:get()
end)
tcp:settimeout(0.05)
tap.same({ tcp:receive() }, { nil, 'timeout', 'abc' }, 'a timeout: what came')
go:put(true)
tcp:settimeout(10)
tap.is(tcp:receive('*l', 'abc'), 'abcdef', 'and goes on with it')
tcp:settimeout(0)
tap.same({ tcp:receive(3) }, { nil, 'timeout', '' }, 'a timeout: bytes')
tap.same({ tcp:receive('*a') }, { nil, 'timeout', '' }, 'a timeout: all')
go:put(true)
tcp:close()

-- More than fits anywhere.
local big = ('0123456789'):rep(300000)
tcp = connected(function(s)
    local n = #s:read(#big)
    s:write(tostring(n) .. '\n')
    s:write(big)
end)
tap.is(tcp:send(big), #big, 'send: much')
tap.is(tcp:receive(), tostring(#big), 'which arrives')
tap.is(tcp:receive('*a') == big, true, 'receive: much')
tcp:close()

-- Nobody reads.
tcp = connected(function() go:get() end)
tcp:settimeout(0.05)
local sent, err, at = tcp:send(('x'):rep(30000000))
tap.ok(sent == nil and err == 'timeout' and at > 0 and at < 30000000,
    'send: a timeout, and how far it came')
go:put(true)
tcp:close()

-- Closed under who waits.
tcp = connected(function() go:get() end)
local waiting = fiber.new(function() return tcp:receive() end)
waiting:set_joinable(true)
fiber.sleep(0.01)
tcp:close()
tap.same({ waiting:join(5) }, { true, nil, 'closed', '' }, 'closed while it is read')
go:put(true)

-- Options, before and afterwards.
tcp = core.tcp()
tap.is(tcp:setoption('tcp-nodelay', true), 1, 'setoption: before')
serve = function(s) s:read(1) end
tap.is(tcp:connect('localhost', port), 1, 'connect: a name')
tap.isnt(tcp.s:getsockopt('tcp', 'TCP_NODELAY'), 0, 'setoption: it is set')
tap.is(tcp:setoption('keepalive'), 1, 'setoption: afterwards')
tap.is(tcp:setoption('linger', { on = true, timeout = 1 }), 1, 'setoption: linger')
tap.throws(function() tcp:setoption('x') end, "there is no option 'x'", 'setoption: none')
tap.throws(function() tcp:connect('127.0.0.1', port) end, 'connected already', 'twice')
tcp:close()

-- Addresses.
for _, form in ipairs({ '127.0.0.1:%d', 'ipv4@127.0.0.1:%d', 'localhost:%d' }) do
    tcp = core.tcp()
    tap.is(tcp:connect(form:format(port)), 1, 'connect: ' .. form)
    tcp:close()
end
local path = os.tmpname()
os.remove(path)
local unix = socket.tcp_server('unix/', path, function(s) s:write('unix\n') end)
tcp = core.tcp()
tap.is(tcp:connect('unix@' .. path), 1, 'connect: unix@')
tap.is(tcp:receive(), 'unix', 'and it is there')
tcp:close()
unix:close()
for _, bad in ipairs({ 'localhost', 'fd@3', 'x@y', ':80', '1.2.3.4:0', '1.2.3.4:65536' }) do
    tap.throws(function() core.tcp():connect(bad) end, "bad argument #1 to 'connect'",
        'no address: ' .. bad)
end
tap.throws(function() core.tcp():connect('127.0.0.1', 'x') end,
    "bad argument #2 to 'connect'", 'no port')
local free = socket.tcp_server('127.0.0.1', 0, function() end)
local nobody = free:name().port
free:close()
local ok, why = core.tcp():connect('127.0.0.1', nobody)
tap.is(ok, nil, 'nobody is there')
tap.like(why, 'refused', 'which is said')
ok, why = core.tcp():connect('no-such-name.invalid', 80)
tap.is(ok, nil, 'no such name: ' .. tostring(why))
tap.same({ core.tcp():receive() }, { nil, 'not connected', '' }, 'receive: not connected')
tap.same({ core.tcp():send('x') }, { nil, 'not connected', 0 }, 'send: not connected')
tap.throws(function() core.tcp():receive('x') end, "bad argument #1 to 'receive'", 'pattern')
tap.throws(function() core.tcp():receive(-1) end, "bad argument #1 to 'receive'", 'pattern')
tap.throws(function() core.tcp():settimeout(-1) end, 'negative', 'settimeout')
tap.throws(function() core.tcp().receive({}) end, 'Socket expected', 'another object')
tap.throws(function() require('msgpack').encode(core.tcp()) end, 'cannot go to another',
    'it does not go to another state')

-- TLS.
local certs = os.tmpname()
os.remove(certs)
assert(os.execute('mkdir ' .. certs))
local made = os.execute(("cd %s && openssl req -x509 -newkey ec -pkeyopt "
    .. "ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 "
    .. "-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null"):format(certs))
tap.ok(made == 0 or made == true, 'a certificate')
local secure, secure_address = socket.tcp_server('127.0.0.1', 0, {
    handler = function(s) s:write('secret\n') end,
    tls = { cert_file = certs .. '/cert.pem', key_file = certs .. '/key.pem' },
})
local tls_port = secure_address.port
tcp = core.tcp()
ok, why = tcp:connect_ssl('localhost', tls_port)
tap.is(ok, nil, 'TLS: a certificate that nobody trusts')
tap.like(why, 'certificate', 'which is said')
tcp = core.tcp()
tap.is(tcp:connect_ssl('localhost', tls_port, { ca_file = certs .. '/cert.pem' }), 1,
    'TLS: one that is trusted')
tap.is(tcp:receive(), 'secret', 'and what comes')
tcp:close()
tcp = core.tcp()
ok = tcp:connect_ssl('127.0.0.1', tls_port, { ca_file = certs .. '/cert.pem' })
tap.is(ok, nil, 'TLS: of another name')
tcp = core.tcp()
tap.is(tcp:connect_ssl('127.0.0.1', tls_port, { verify = 'none' }), 1, 'TLS: unverified')
tcp:close()
tcp = core.tcp()
tap.is(tcp:connect_ssl('ipv4@localhost:' .. tls_port, nil,
    { ca_file = certs .. '/cert.pem' }), 1, 'TLS: ipv4@')
tcp:close()
tap.throws(function() core.tcp():connect_ssl('localhost', tls_port, { x = 1 }) end,
    'no option', 'TLS: a wrong option')
secure:close()
server:close()
os.execute('rm -r ' .. certs)
tap.done()
