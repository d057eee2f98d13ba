-- Servers and proxies that send without end, as fast as we read, from another process:
-- libcurl reads as long as there is something. Other fibers go on meanwhile.
-- test: timeout 120
local fiber = require('fiber')
local http = require('http.client')
local h2 = require('attack_rig').h2
local popen = require('popen')
local rig = require('tls_rig')
local tap = require('tap')

local TURNS = 10

local function start(first, again, ...)
    local path = rig.path('flood')
    local file = assert(io.open(path, 'wb'))
    file:write(('%d\n'):format(#first), first, again)
    file:close()
    local ph = assert(popen.new({ os.getenv('NEAP_BIN'), os.getenv('NEAP_SOURCE_DIR')
        .. '/test/functional/http_client/flood.lua', path, ... }, { stdout = popen.opts.PIPE }))
    local text = ''
    while not text:find('\n') do
        local more = assert(ph:read({ timeout = 60 }))
        assert(more ~= '', 'the server has ended')
        text = text .. more
    end
    return ph, 'http://127.0.0.1:' .. tonumber(text) .. '/'
end

local CHUNKS = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
for name, flood in pairs({
    chunks = { CHUNKS, '1\r\nx\r\n' },
    ['an extension of a chunk'] = { CHUNKS .. '1;', 'x' },
}) do
    local ph, url = start(unpack(flood))
    for how, opts in pairs({ whole = { max_body = 2 ^ 28 }, ['in pieces'] = { chunked = true } }) do
        local over, turns = false, 0
        local asker = fiber.new(function()
            local r = http.get(url, opts)
            local ok = r and opts.chunked
            while ok do
                local piece = r:read({ chunk = 65536 })
                ok = piece ~= nil and piece ~= ''
            end
            over = true
        end)
        asker:set_joinable(true)
        while not over and turns < TURNS do
            fiber.sleep(0.001)
            turns = turns + 1
        end
        tap.is(over, false, ('%s, %s: goes on while others have %d turns'):format(name, how, turns))
        asker:cancel()
        asker:join()
    end
    ph:kill()
    ph:close()
end

-- What a proxy answers to CONNECT libcurl reads byte by byte, in one go.
local ASKED = 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest realm="x", nonce="y"\r\n'
for name, flood in pairs({
    ['a body'] = { ASKED .. 'Content-Length: 999999999999\r\n\r\n', 'x' },
    chunks = { ASKED .. 'Transfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n' },
}) do
    local ph, url = start(unpack(flood))
    local r, err = http.get('https://localhost/', { proxy = url, proxy_user_pwd = 'a:b' })
    tap.is(r, nil, 'a proxy: ' .. name)
    tap.is(err.type, 'ClientError', tostring(err))
    ph:kill()
    ph:close()
end

-- Frames of HTTP/2 that bring nothing.
local HEAD = h2.frame(h2.SETTINGS, 0, 0, '') .. h2.frame(h2.SETTINGS, 1, 0, '')
    .. h2.frame(h2.HEADERS, 4, 1, h2.fields(':status', '200'))
for name, frame in pairs({
    ['of no known type'] = h2.frame(0xee, 0, 0, ''),
    ['without a byte'] = h2.frame(h2.DATA, 0, 1, ''),
}) do
    local ph, url = start(HEAD, frame, rig.pem('server'), rig.key('server'))
    local r, err = http.get((url:gsub('^http://127.0.0.1', 'https://localhost')),
        { ca_file = rig.pem('ca') })
    tap.is(r, nil, 'frames ' .. name)
    tap.is(err.type, 'ClientError', tostring(err))
    ph:kill()
    ph:close()
end

-- Frames of a WebSocket that are no messages: they are read by a fiber of ours.
local websocket = require('http.websocket')
local SWITCH = 'HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n'
    .. 'Sec-WebSocket-Accept: ACCEPT\r\n\r\n'
for name, flood in pairs({ pongs = { SWITCH, '\138\0' },
    ['a message of nothing'] = { SWITCH .. '\2\0', '\0\0' } }) do
    local ph, url = start(unpack(flood))
    local ws, err = websocket.connect((url:gsub('^http', 'ws')))
    tap.ok(ws, tostring(err))
    local turns = 0
    while turns < TURNS and ws:is_open() do
        fiber.sleep(0.001)
        turns = turns + 1
    end
    tap.is(turns, TURNS, name .. ': others have their turns')
    ph:kill()
    ph:close()
end
rig.done()
tap.done()
os.exit(0)
