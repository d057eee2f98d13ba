-- Peers that vanish in every state a connection has: closed, reset, shut, or silent
-- without a word, in plain text, over TLS, HTTP/2 and WebSockets; and thousands of
-- requests of HTTP/2 that wait when their peers do. Nothing is left of them:
-- descriptors, fibers, requests and memory are level. A twin that keeps something on
-- purpose is seen.
-- test: timeout 180, soak 1800
local raw = require('raw')
local rig = require('attack_rig')
local tap = require('tap')
local w = require('ws_raw')

local h2 = rig.h2
local SLACK = (os.getenv('NEAP_SANITIZE') or '') == '' and 1 or 50
rig.raise_descriptors()

local f = assert(io.open(rig.dir .. '/large', 'w')) -- of holes
f:seek('set', 64 * 1024 * 1024)
f:write('end')
f:close()

local GET = 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n'
local POST = 'POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n'
local function ask(path) return GET:format(path) end
local UPGRADE = w.request('/ws')

-- name, what is sent, what is waited for before the peer vanishes; `busy`: the server
-- may wait for its own handler as long as the peer is there.
local one = {
    { 'nothing said', '' },
    { 'in the request line', 'GET / HT' },
    { 'in the headers', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: y' },
    { 'before the last line end', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r' },
    { 'in a body', POST:format('/echo', 'Content-Length: 10') .. 'half' },
    { 'in a body that is read', POST:format('/read', 'Content-Length: 10') .. 'half' },
    { 'in a chunk', POST:format('/echo', 'Transfer-Encoding: chunked') .. 'a\r\nhalf' },
    { 'in a chunk that is read', POST:format('/read', 'Transfer-Encoding: chunked')
        .. 'a\r\nhalf' },
    { 'in the trailers', POST:format('/read', 'Transfer-Encoding: chunked')
        .. '0\r\nA: b' },
    { 'invited', POST:format('/read', 'Expect: 100-continue\r\nContent-Length: 10'),
      '100 Continue' },
    { 'while the handler runs', ask('/wait'), busy = true },
    { 'while it does not read', POST:format('/unread', 'Content-Length: 1000000')
        .. ('x'):rep(100000), busy = true },
    { 'with requests behind it', ask('/wait'):rep(50) .. 'GET /', busy = true },
    { 'while the answer streams', ask('/stream'), '200 OK' },
    { 'while a file is sent', ask('/files/large'), '200 OK' },
    { 'while events are sent', ask('/events'), 'now', busy = true },
    { 'kept alive', ask('/'), 'hello' },
    { 'in the second request', ask('/') .. 'GET / H', 'hello' },
    { 'refused', 'GARBAGE\r\n\r\n', '501' },
    { 'as a WebSocket', UPGRADE, '101', busy = true },
    { 'in the head of a frame', UPGRADE .. '\129', '101', busy = true },
    { 'in a frame', UPGRADE .. w.frame(1, 'hello'):sub(1, 8), '101', busy = true },
    { 'in a message', UPGRADE .. w.frame(1, 'hello', { fin = false }), '101',
      busy = true },
    { 'while messages come', UPGRADE .. w.frame(1, 'flood'), ('x'):rep(1000) },
    { 'behind its Close', UPGRADE .. w.close(1000), '101' },
}
local two = {
    { 'in the preface', h2.START:sub(1, 10) },
    { 'behind the preface', h2.START:sub(1, 24) },
    { 'behind the settings', h2.START },
    { 'in the head of a frame', h2.START .. '\0\0' },
    { 'in the fields', h2.START .. h2.request(1, 'GET', '/', 1) },
    { 'in a continuation', h2.START .. h2.request(1, 'GET', '/', 1)
        .. h2.frame(h2.CONTINUATION, 0, 1, 100) .. '\0\1x' },
    { 'in a body', h2.START .. h2.request(1, 'POST', '/echo', 4)
        .. h2.frame(h2.DATA, 0, 1, 'half') },
    { 'in a frame of a body that is read', h2.START .. h2.request(1, 'POST', '/read', 4)
        .. h2.frame(h2.DATA, 0, 1, 1000) .. 'half' },
    { 'while handlers run', h2.START .. h2.request(1, 'GET', '/wait', 5)
        .. h2.request(3, 'GET', '/wait', 5), busy = true },
    { 'while it does not read', h2.START .. h2.request(1, 'POST', '/unread', 4)
        .. h2.frame(h2.DATA, 0, 1, ('x'):rep(16000)), busy = true },
    { 'without a window', h2.START .. h2.request(1, 'GET', '/stream', 5),
      ('x'):rep(1000) },
    { 'while a file is sent', h2.START .. h2.request(1, 'GET', '/files/large', 5),
      ('\0'):rep(1000) },
    { 'while events are sent', h2.START .. h2.request(1, 'GET', '/events', 5), 'now',
      busy = true },
    { 'idle', h2.START .. h2.request(1, 'GET', '/', 5), 'hello' },
    { 'taken back', h2.START .. h2.request(1, 'GET', '/wait', 5)
        .. h2.frame(h2.RESET, 0, 1, '\0\0\0\8') },
    { 'behind its GOAWAY', h2.START .. h2.request(1, 'GET', '/wait', 5)
        .. h2.frame(h2.GOAWAY, 0, 0, ('\0'):rep(8)), busy = true },
    { 'behind an error', h2.START .. h2.frame(h2.DATA, 0, 0, 'x') },
}
local greeting = '\22\3\1\0\200\1\0\0\196\3\3'

-- Peers in every state, one for each of @hows; without those that are @skipped.
local function all(server, hows, skipped)
    local peers = {}
    local function add(case, how, peer, over)
        if case[skipped] then
            peer:close()
            return
        end
        peer:send(case[2])
        if case[3] then
            rig.read(peer, case[3])
        end
        peer.how, peer.name = how, over .. case[1]
        peers[#peers + 1] = peer
    end
    for _, how in ipairs(hows) do
        for _, over_tls in ipairs({ false, true }) do
            local over = over_tls and 'TLS: ' or ''
            for _, case in ipairs(one) do
                add(case, how, rig.peer(server, over_tls), over)
            end
            for _, case in ipairs(two) do
                add(case, how, rig.peer(server, over_tls, 'h2'), 'HTTP/2, ' .. over)
            end
        end
        for at = 0, #greeting do
            add({ 'in a hello', greeting:sub(1, at) }, how, rig.bare_peer(server), '')
        end
    end
    return peers
end

local function vanish(server, peers)
    for _, peer in ipairs(peers) do
        peer[peer.how](peer)
    end
    server:level()
    for _, peer in ipairs(peers) do
        if peer.how == 'shutdown' then
            peer:close()
        end
    end
end

-- --- they close, reset, shut ---

local HOWS = { 'close', 'reset', 'shutdown' }
local server = rig.start({ max_body_size = 10000000 })
local function round()
    local peers = all(server, HOWS)
    vanish(server, peers)
    return server:rest('/release'), #peers
end
local first, count
for _ = 1, 4 do
    first, count = round()
end
local last
for _ = 1, tap.soak(100, 2) do
    last = round()
end
local function level(now, name)
    tap.is(now.descriptors, first.descriptors, name .. ': no descriptor is left')
    tap.is(now.fibers, first.fibers, name .. ': no fiber')
    tap.ok(now.memory < first.memory + 2000 * SLACK, ('%s: %d KiB, then %d KiB'):format(
        name, first.memory, now.memory))
end
level(last, count .. ' states')
raw.request(server.control, '/keep')
local twin = round()
tap.is(twin.descriptors, last.descriptors + 1, 'the twin: a descriptor is seen')
tap.is(twin.fibers, last.fibers + 1, 'and a fiber')
raw.request(server.control, '/forget')
tap.is(server:ask(), 4, 'it serves on')

-- A handler learns of a reset.
local peers = all(server, { 'reset' })
vanish(server, peers)
server:rest()
tap.pass('who waits for a peer that was reset learns of it')

-- --- thousands of requests that wait, and their peers vanish ---

local PEERS, STREAMS = tap.soak(75, 16), 128
local function wait_for(path, body)
    local before, peers = server:rest(), {}
    for i = 1, PEERS do
        local parts = { h2.START }
        for n = 0, STREAMS - 1 do
            parts[#parts + 1] = h2.request(2 * n + 1, 'POST', path, body and 4 or 5)
            if body then
                parts[#parts + 1] = h2.frame(h2.DATA, 0, 2 * n + 1, body)
            end
        end
        peers[i] = rig.peer(server, i % 4 == 0, 'h2')
        peers[i]:send(table.concat(parts))
    end
    local now
    raw.until_true(function()
        now = server:level()
        return now.handled - before.handled == PEERS * STREAMS
            and now.waiting == PEERS * STREAMS
    end)
    for i, peer in ipairs(peers) do
        peer[i % 2 == 0 and 'close' or 'reset'](peer)
    end
    return now, server:rest()
end
for name, body in pairs({ ['without a body'] = false, ['with half of one'] = ('x'):rep(4000) }) do
    wait_for('/unread', body)
    wait_for('/unread', body)
    local full, after = wait_for('/unread', body)
    local again, rest = wait_for('/unread', body)
    tap.ok(again.memory < full.memory + 2000 * SLACK, ('%s: %d KiB, then %d KiB'):format(
        name, full.memory, again.memory))
    tap.is(rest.fibers, after.fibers, name .. ': their fibers have ended')
    tap.is(rest.descriptors, after.descriptors, name .. ': no descriptor is left')
end
tap.is(server:ask(), 4, 'it serves on')
tap.ok(server:stop(), 'and ends')

-- --- they say nothing more ---

-- (Long enough for each to begin on a busy machine.)
server = rig.start({ header_timeout = 1, body_timeout = 1, idle_timeout = 1,
    send_timeout = 1, handshake_timeout = 1 })
local function silence()
    local silent = all(server, { 'close' }, 'busy')
    raw.until_true(function() return server:level().connections == 0 end)
    vanish(server, silent)
    return server:rest(), #silent
end
silence()
first, count = silence()
level(silence(), count .. ' that are silent have had their time')
tap.is(server:ask(), 4, 'it serves on')
tap.ok(server:stop(), 'and ends')
rig.done()
tap.done()
os.exit(0)
