-- Who wants another protocol than the one he has, by every way there is: h2c, the preface
-- in the wrong place, CONNECT, WebSockets where there are none, over HTTP/2, in requests
-- that are no GET. None gets it, none gets what another one asked for, and no byte of
-- his passes for a request that it is not.
-- test: timeout 120
local raw = require('raw')
local rig = require('attack_rig')
local tap = require('tap')
local w = require('ws_raw')

local h2 = rig.h2
local server = rig.start()
local LAST = 'GET /files/server.pem HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
local PREFACE = h2.START:sub(1, 24)

-- All that comes when @text was sent; cut at some places.
local function talk(text, over_tls, alpn)
    local all
    for _, cut in ipairs({ #text, 1, math.floor(#text / 2), #text - 1 }) do
        local peer = rig.peer(server, over_tls, alpn)
        peer:send(text:sub(1, cut))
        if cut < #text then
            server:level()
        end
        peer:send(text:sub(cut + 1))
        local got = rig.read(peer)
        peer:close()
        if all ~= nil and (got:match('^HTTP/1.1 %d+') ~= all:match('^HTTP/1.1 %d+')
            or #got ~= #all) then
            tap.is(got, all, 'not the same, cut at ' .. cut)
        end
        all = got
    end
    return all
end

local function statuses(text)
    local out = {}
    for status in text:gmatch('HTTP/1.1 (%d+)') do
        out[#out + 1] = status
    end
    return table.concat(out, ' ')
end

-- name, bytes, the statuses that come of them
local SETTINGS = 'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n'
local H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n'
local WS = w.request('/')
local rows = {
    { 'h2c is not taken up', 'GET / HTTP/1.1\r\nHost: a\r\n' .. H2C .. SETTINGS .. '\r\n'
        .. LAST, '200 200' },
    { 'h2c with its preface', 'GET / HTTP/1.1\r\nHost: a\r\n' .. H2C .. SETTINGS
        .. '\r\n' .. PREFACE .. LAST, '200 505' },
    { 'h2c with a body', 'POST /echo HTTP/1.1\r\nHost: a\r\n' .. H2C .. SETTINGS
        .. 'Content-Length: 5\r\n\r\nhello' .. LAST, '200 200' },
    { 'h2c without settings', 'GET / HTTP/1.1\r\nHost: a\r\n' .. H2C .. '\r\n' .. LAST,
      '200 200' },
    { 'h2c with settings of nonsense', 'GET / HTTP/1.1\r\nHost: a\r\n' .. H2C
        .. 'HTTP2-Settings: ???\r\n\r\n' .. LAST, '200 200' },
    { 'the preface behind a request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' .. PREFACE
        .. LAST, '200 505' },
    { 'the preface behind a blank line', '\r\n' .. PREFACE .. LAST, '505' },
    { 'the preface with a Host', 'PRI * HTTP/2.0\r\nHost: a\r\n\r\n' .. LAST, '505' },
    { 'the preface of HTTP/1.1', 'PRI * HTTP/1.1\r\nHost: a\r\n\r\n' .. LAST, '505' },
    { 'a WebSocket where there is none', WS .. LAST, '200 200' },
    { 'a WebSocket where nothing is', w.request('/none') .. LAST, '404 200' },
    { 'a WebSocket of a file', w.request('/files/server.pem') .. LAST, '200 200' },
    { 'TLS inside', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n'
        .. 'Upgrade: TLS/1.0\r\n\r\n' .. LAST, '200 200' },
    { 'an Upgrade of a thousand', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n'
        .. 'Upgrade: ' .. ('x,'):rep(1000) .. 'websocket\r\n\r\n' .. LAST, '200 200' },
    { 'an Upgrade that nobody announced', 'GET /ws HTTP/1.1\r\nHost: a\r\n'
        .. 'Upgrade: websocket\r\nSec-WebSocket-Key: ' .. w.KEY
        .. '\r\nSec-WebSocket-Version: 13\r\n\r\n' .. LAST, '426' },
    { 'two of them', w.request('/ws', { upgrade = { 'h2c', 'h2c' } }) .. LAST, '426' },
    { 'CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n' .. LAST, '501' },
    { 'CONNECT for a WebSocket', w.request('/ws', nil, 'CONNECT') .. LAST, '501' },
    { 'OPTIONS for a WebSocket', w.request('/ws', nil, 'OPTIONS') .. LAST, '405' },
    { 'a body behind a WebSocket', w.request('/ws', { ['content-length'] = #LAST })
        .. LAST .. LAST, '400' },
}
for _, row in ipairs(rows) do
    for _, over_tls in ipairs({ false, true }) do
        local got = talk(row[2], over_tls)
        tap.is(statuses(got), row[3], (over_tls and 'TLS: ' or '') .. row[1])
        tap.ok(not got:find('HTTP/1.1 101', 1, true))
    end
end

-- ALPN has chosen, and he speaks the other one.
tap.is(statuses(talk(h2.START .. LAST, true, 'http/1.1')), '505', 'HTTP/2 instead of 1.1')
local got = talk(LAST, true, 'h2')
tap.is(statuses(got), '', 'HTTP/1.1 instead of 2')
tap.ok(h2.count(got, h2.GOAWAY) > 0 or got == '', 'is ended')

-- In HTTP/2: what becomes of a stream, or of the connection.
local function stream(name, ...)
    for _, over_tls in ipairs({ false, true }) do
        local peer = rig.peer(server, over_tls, 'h2')
        peer:send(h2.START .. h2.frame(h2.HEADERS, 5, 1, h2.fields(...))
            .. h2.request(3, 'GET', '/', 5))
        local text = ''
        raw.until_true(function()
            local more, ended = peer:take()
            text = text .. more
            return ended or h2.count(text, h2.DATA, 3) > 0
                and h2.count(text, h2.HEADERS, 1) + h2.count(text, h2.RESET, 1)
                + h2.count(text, h2.GOAWAY) > 0
        end)
        peer:close()
        local status = ''
        for _, frame in ipairs(h2.frames(text)) do
            if frame.id == 1 and frame.kind == h2.HEADERS then
                status = frame.data:byte(1)
            end
        end
        tap.ok(h2.count(text, h2.RESET, 1) > 0 or h2.count(text, h2.GOAWAY) > 0
            or status == 140 or status == 72 or status == 8,
            name .. ': refused') -- 400; or another one that is no 1xx or 200
        tap.isnt(status, 136, name .. ': no 200')
        tap.ok(h2.count(text, h2.DATA, 3) > 0, name .. ': and the next is served')
    end
end
stream('CONNECT', ':method', 'CONNECT', ':authority', 'a:80')
stream('CONNECT with a path', ':method', 'CONNECT', ':authority', 'a:80', ':scheme',
    'http', ':path', '/ws')
stream('a WebSocket that was not offered', ':method', 'CONNECT', ':protocol',
    'websocket', ':scheme', 'http', ':path', '/ws', ':authority', 'a',
    'sec-websocket-version', '13')
stream('an Upgrade', ':method', 'GET', ':scheme', 'http', ':path', '/ws', ':authority',
    'a', 'upgrade', 'websocket', 'connection', 'Upgrade')
stream('a WebSocket without an Upgrade', ':method', 'GET', ':scheme', 'http', ':path',
    '/ws', ':authority', 'a', 'sec-websocket-key', w.KEY, 'sec-websocket-version', '13')
stream('settings of h2c', ':method', 'GET', ':scheme', 'http', ':path', '/ws',
    ':authority', 'a', 'http2-settings', 'AAMAAABkAAQAoAAAAAIAAAAA', 'connection', 'x')

tap.is(server:ask(), 4, 'it serves on')
server:rest()
tap.ok(server:stop(), 'and ends')
rig.done()
tap.done()
os.exit(0)
