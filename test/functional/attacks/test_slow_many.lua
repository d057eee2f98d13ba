-- A thousand peers that are slow on purpose, each in its own way, over plain text, TLS
-- and HTTP/2: others are served meanwhile, memory is level when they come again, and
-- each of them has its time, however busily it drips. NEAP_SOAK: ten thousand.
-- test: timeout 120, soak 900
local fiber = require('fiber')
local raw = require('raw')
local rig = require('attack_rig')
local socket = require('socket')
local tap = require('tap')

local h2 = rig.h2
local COUNT = math.min(tap.soak(10000, 1000), (rig.raise_descriptors() - 500) / 2)
local SLACK = (os.getenv('NEAP_SANITIZE') or '') == '' and 1 or 8

-- A hello of TLS, as one comes.
local hello
do
    local listener = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    listener:bind('127.0.0.1', 0)
    listener:listen()
    local f = fiber.create(function()
        pcall(socket.tcp_connect, '127.0.0.1', listener:name().port,
            { tls = true, timeout = 5 })
    end)
    listener:readable(20)
    local s = listener:accept()
    hello = s:read({ chunk = 65536 }, 20)
    s:close()
    listener:close()
    raw.until_true(function() return f:status() == 'dead' end)
end

-- How they begin, and what each of them drips; how one knows that its time was over.
local LONG = '\0\1x' .. '\127\128\127' -- a field that never ends
local kinds = {
    { name = 'header', first = 'GET / HTTP/1.1\r\nHost: a\r\nX: ', over = '408' },
    { name = 'length', first = 'POST /echo HTTP/1.1\r\nHost: a\r\n' ..
        'Content-Length: 1000000\r\n\r\n', over = '408' },
    { name = 'chunks', first = 'POST /read HTTP/1.1\r\nHost: a\r\n' ..
        'Transfer-Encoding: chunked\r\n\r\n', drip = '1\r\nx\r\n', over = '408' },
    { name = 'fields of HTTP/2', alpn = 'h2', frames = true,
      first = h2.START .. h2.request(1, 'GET', '/', 1) ..
        h2.frame(h2.CONTINUATION, 0, 1, 16000) .. LONG, over = h2.GOAWAY },
    { name = 'a body of HTTP/2', alpn = 'h2', frames = true,
      first = h2.START .. h2.request(1, 'POST', '/echo', 4),
      drip = h2.frame(h2.DATA, 0, 1, 'x'), over = h2.RESET },
    { name = 'a hello of TLS', first = hello:sub(1, 5), bare = true, over = '' },
}

local function come(server, kind, secure)
    local peer = kind.bare and rig.bare_peer(server)
        or rig.peer(server, secure, kind.alpn)
    peer.kind, peer.text, peer.at = kind, '', 5
    peer:send(kind.first)
    return peer
end

local function drip(peer)
    local what = peer.kind.drip or 'x'
    if peer.kind.bare then
        peer.at = peer.at + 1
        what = peer.at < #hello and hello:sub(peer.at, peer.at) or ''
    end
    return peer:send(what)
end

local function come_all(server, count)
    local peers = {}
    for i = 1, count do
        peers[i] = come(server, kinds[i % #kinds + 1],
            math.floor(i / #kinds) % 2 == 1)
    end
    return peers
end

-- --- they are there, and others are served ---

local server = rig.start({ header_timeout = 3600, body_timeout = 3600,
    handshake_timeout = 3600, idle_timeout = 3600 })
tap.is(server:ask(), 4, 'served: ' .. tostring(rig.last_error))

local function hold(name)
    local peers = come_all(server, COUNT)
    local now
    raw.until_true(function()
        now = server:level()
        -- Those of http.client may be kept.
        return now.connections >= COUNT
    end)
    local served, slowest = 0, 0
    for _ = 1, 25 do
        for i = 1, #peers do
            if i % 5 == served % 5 then
                drip(peers[i])
            end
        end
        local begun = fiber.clock()
        served = served + server:ask()
        slowest = math.max(slowest, fiber.clock() - begun)
    end
    tap.is(served, 100, name .. ': all others were served: '
        .. tostring(rig.last_error))
    now = server:level()
    tap.is(now.timeouts, 0, 'nobody was sent away')
    tap.ok(now.connections >= COUNT, 'they are all still there')
    tap.diag(('%d slow ones; the slowest four requests: %.0f ms; memory %d KiB')
        :format(COUNT, slowest * 1000, now.memory))
    for i, peer in ipairs(peers) do
        peer[i % 2 == 0 and 'close' or 'reset'](peer)
    end
    raw.until_true(function()
        fiber.sleep(0.02)
        return server:level().connections < 10
    end)
    return now.memory, server:level()
end

for _ = 1, 2 do
    hold('slow ones') -- what is made once is made
end
local memory, after = hold('they come again')
local again, level = hold('and again')
tap.is(level.descriptors, after.descriptors, 'no descriptor is left')
tap.is(level.fibers, after.fibers, 'and no fiber')
tap.is(level.waiting, 0, 'and no request')
tap.ok(again < memory + (2000 + COUNT) * SLACK, ('memory is level: %d KiB, then %d KiB')
    :format(memory, again))
tap.ok(server:stop(), 'it ends')

-- --- each has its time ---

-- (Long enough for each to begin on a busy machine.)
server = rig.start({ header_timeout = 2, body_timeout = 2,
    handshake_timeout = 2, idle_timeout = 2 })
local peers = come_all(server, math.min(COUNT, tap.soak(2000, 240)))
local left = #peers
raw.until_true(function()
    for _, peer in ipairs(peers) do
        if not peer.ended then
            local more
            more, peer.ended = peer:take()
            peer.text = peer.text .. more
            if peer.ended then
                left = left - 1
            else
                drip(peer)
            end
        end
    end
    fiber.sleep(0.05)
    return left == 0
end)
tap.is(left, 0, 'each has come to its end')
local told = {}
for _, peer in ipairs(peers) do
    local kind = peer.kind
    local ok
    if kind.frames then
        ok = h2.count(peer.text, kind.over) > 0
    else
        ok = kind.over == '' or peer.text:find('^HTTP/1.1 ' .. kind.over) ~= nil
    end
    if not ok then
        told[kind.name] = peer.text
    end
    peer:close()
end
for _, kind in ipairs(kinds) do
    tap.is(told[kind.name], nil, kind.name .. ': its time was over, and it was told')
end
tap.is(server:ask(), 4, 'and it serves on')
tap.ok(server:stop(), 'it ends')
rig.done()
tap.done()
