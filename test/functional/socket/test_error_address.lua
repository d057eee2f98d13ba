-- What cannot be reached is named by each client's error, which has still the type and
-- the errno of the reason.
-- test: timeout 60
local errno = require('errno')
local fiber = require('fiber')
local http = require('http.client')
local socket = require('socket')
local tap = require('tap')
local websocket = require('http.websocket')

local function refused(name, patterns, kind, code, ok, err)
    tap.is(ok, nil, name)
    for _, pattern in ipairs(patterns) do
        tap.like(tostring(err), pattern, name .. ': ' .. tostring(err))
    end
    tap.is(err.type, kind, name .. ': type')
    if code then
        tap.is(err.errno, errno[code], name .. ': errno')
    end
end

local function listen(f)
    local server = socket.tcp_server('127.0.0.1', 0, f)
    return server, server:name().port
end

local _, mute = listen(function() fiber.sleep(30) end)
local _, rude = listen(function(s)
    s:linger(true, 0)
    s:close()
end)
local _, plain = listen(function(s) s:write('hello\r\n\r\n') end)
local closed, free = listen(function() end)
closed:close()

-- sockets
local connect = socket.tcp_connect
refused('refused', { '^socket.tcp_connect%(%): 127.0.0.1:' .. free .. ': .*efused' },
    'SystemError', 'ECONNREFUSED', connect('127.0.0.1', free))
local _, _ = connect('127.0.0.1', free)
local after = errno()
tap.is(after, errno.ECONNREFUSED, 'errno() too')
refused('refused with TLS', { '127.0.0.1:' .. free .. ': .*efused' }, 'SystemError',
    'ECONNREFUSED', connect('127.0.0.1', free, { tls = true }))
refused('no such path', { '^socket.tcp_connect%(%): unix/:/no/such/path: ' },
    'SystemError', 'ENOENT', connect('unix/', '/no/such/path'))
refused('an address', { '%[::1%]:' .. free .. ': ' }, 'SystemError', nil,
    connect('::1', free))
refused('no greeting', { 'tcp_connect%(%): 127.0.0.1:' .. mute .. ': .*timed out' },
    'TimedOut', nil, connect('127.0.0.1', mute, { timeout = 0.05, tls = true }))
refused('no TLS', { 'tcp_connect%(%): 127.0.0.1:' .. plain .. ': TLS' }, 'SystemError',
    nil, connect('127.0.0.1', plain, { tls = true }))
refused('no name', { 'no such host.invalid: ' }, 'ClientError', nil,
    connect('no such host.invalid', 1))

-- WebSockets
local function url_of(scheme, port)
    return ('%s://127.0.0.1:%d/chat?key=secret'):format(scheme, port)
end
for _, scheme in ipairs({ 'ws', 'wss' }) do
    local named = function(port)
        return { ('^http.websocket.connect: %s://127.0.0.1:%d/chat: '):format(scheme,
            port) }
    end
    refused(scheme .. ' refused', named(free), 'SystemError', 'ECONNREFUSED',
        websocket.connect(url_of(scheme, free)))
    refused(scheme .. ' mute', named(mute), 'TimedOut', nil,
        websocket.connect(url_of(scheme, mute), { timeout = 0.05 }))
    refused(scheme .. ' rude', named(rude), 'SystemError', nil,
        websocket.connect(url_of(scheme, rude)))
    refused(scheme .. ' plain', named(plain), scheme == 'ws' and 'ClientError' or
        'SystemError', nil,
        websocket.connect(url_of(scheme, plain)))
    refused(scheme .. ' no socket', { '^http.websocket.connect: ' .. scheme,
        '/no/such/path' }, 'SystemError', 'ENOENT',
        websocket.connect(url_of(scheme, 1), { unix_socket = '/no/such/path' }))
end
refused('no authorities', { '^http.websocket.connect: wss://', '/no/such/file' },
    'SystemError', 'ENOENT', websocket.connect(url_of('wss', mute),
        { tls = { ca_file = '/no/such/file' } }))
refused('no name', { '^http.websocket.connect: ws://', 'none.invalid: ' },
    'ClientError', nil, websocket.connect('ws://none.invalid/'))
refused('a port that is none', { 'ws://localhost:99999/: ' }, 'IllegalParams', nil,
    websocket.connect('ws://localhost:99999/'))

-- HTTP
for scheme, port in pairs({ http = free, https = rude }) do
    refused(scheme, { ('^http.client: GET %s://127.0.0.1:%d/a: '):format(scheme, port) },
        'SystemError', nil, http.get(('%s://127.0.0.1:%d/a?key=secret'):format(scheme,
            port), { verify_peer = false }))  -- a bare system trusts nobody
end
refused('no authorities', { 'GET https://127.0.0.1', '/no/such/file' }, 'ClientError', nil,
    http.get('https://127.0.0.1:' .. mute, { ca_file = '/no/such/file' }))
refused('no time', { 'PUT http://127.0.0.1:' .. mute }, 'TimedOut', nil,
    http.put('http://127.0.0.1:' .. mute, 'x', { timeout = 0.05 }))

tap.done()
os.exit(0)
