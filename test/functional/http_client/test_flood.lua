-- Servers and proxies that send without end, as fast as we read, from another process:
-- libcurl reads as long as there is something. Other fibers go on meanwhile.
-- test: timeout 120
local fiber = require('fiber')
local http = require('http.client')
local popen = require('popen')
local rig = require('tls_rig')
local tap = require('tap')

local TURNS = 30

local function start(first, again)
    local path = rig.path('flood')
    local file = assert(io.open(path, 'wb'))
    file:write(first, '\0', again)
    file:close()
    local ph = assert(popen.new({ os.getenv('NEAP_BIN'), os.getenv('NEAP_SOURCE_DIR')
        .. '/test/functional/http_client/flood.lua', path }, { stdout = popen.opts.PIPE }))
    local text = ''
    while not text:find('\n') do
        local more = assert(ph:read({ timeout = 60 }))
        assert(more ~= '', 'the server has ended')
        text = text .. more
    end
    return ph, 'http://127.0.0.1:' .. tonumber(text) .. '/'
end

local OK = 'HTTP/1.1 200 OK\r\n'
local CHUNKS = OK .. 'Transfer-Encoding: chunked\r\n\r\n'
for name, flood in pairs({
    ['a body'] = { OK .. '\r\n', ('x'):rep(1000) },
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
    headers = { ASKED, 'X: y\r\n' },
    ['interim answers'] = { '', 'HTTP/1.1 103 Early\r\n\r\n' },
}) do
    local ph, url = start(unpack(flood))
    local r, err = http.get('https://localhost/', { proxy = url, proxy_user_pwd = 'a:b' })
    tap.is(r, nil, 'a proxy: ' .. name)
    tap.is(err.type, 'ClientError', tostring(err))
    ph:kill()
    ph:close()
end
rig.done()
tap.done()
os.exit(0)
