-- Behind a proxy: whose a connection is, is what its PROXY header says, in text and
-- in binary, in pieces, in front of TLS, and by curl; what does not begin with one
-- never reaches a handler, and is gone without a trace.
local fiber = require('fiber')
local fio = require('fio')
local headers = require('proxy_headers')
local http_server = require('http.server')
local raw = require('raw')
local rig = require('tls_rig')
local tap = require('tap')

local served = 0
local own -- the address that the last one has connected to

local function new_server(options, host)
    options = options or {}
    options.proxy_protocol = true
    local httpd = http_server.new(host or '127.0.0.1', 0, options)
    httpd:route({path = '/'}, function(req)
        served = served + 1
        local peer = req:peer()
        own = req.own_address
        return ('%s %s %s'):format(peer.host, peer.port, peer.family)
    end)
    httpd:start()
    return httpd, httpd:port()
end

local REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
local V1, V2 = headers.V1, headers.V2

local function body_of(text)
    return text:match('\r\n\r\n(.*)$')
end

-- What the handler saw of a connection that sends @pieces, a moment apart.
local function peer_of(where, ...)
    local peer = assert(raw.connect(where))
    for i, piece in ipairs({...}) do
        if i > 1 then
            fiber.sleep(0.002)
        end
        peer:send(piece)
    end
    peer:shutdown()
    local text = peer:read()
    peer:close()
    return body_of(text)
end

do
    local httpd, port = new_server()
    tap.is(peer_of(port, V1 .. REQUEST), '198.51.100.1 35646 AF_INET', 'a line of text')
    tap.is_deeply({ own.host, own.port }, { '203.0.113.7', 443 }, 'where it has connected to')
    tap.is(peer_of(port, headers.V1_SIX .. REQUEST), '2001:db8::1 4000 AF_INET6', 'of IPv6')
    tap.is(peer_of(port, V2 .. REQUEST), '198.51.100.1 35646 AF_INET', 'binary')
    tap.is(peer_of(port, headers.V2_MORE, REQUEST), '198.51.100.1 35646 AF_INET',
        'with what is skipped')
    for name, header in pairs({UNKNOWN = 'PROXY UNKNOWN\r\n', LOCAL = headers.V2_LOCAL}) do
        tap.like(peer_of(port, header .. REQUEST), '^127%.0%.0%.1 %d+ AF_INET$', name)
        tap.is_deeply({ own.host, own.port }, { '127.0.0.1', port }, name .. ', to us')
    end
    tap.like(peer_of(port, headers.V2_UNIX .. REQUEST), 'AF_UNIX$', 'a unix socket')
    for _, header in ipairs({V1, V2}) do
        local all, wrong = header .. REQUEST, nil
        for at = 1, #header + 1 do
            local got = peer_of(port, all:sub(1, at), all:sub(at + 1))
            if got ~= '198.51.100.1 35646 AF_INET' then
                wrong = wrong or ('cut at %d: %s'):format(at, tostring(got))
            end
        end
        tap.is(wrong, nil, 'cut at every place')
        local pieces = {}
        for i = 1, #all do
            pieces[i] = all:sub(i, i)
        end
        tap.is(peer_of(port, unpack(pieces)), '198.51.100.1 35646 AF_INET', 'by bytes')
    end
    -- One header for a connection, and not for each request.
    local peer = assert(raw.connect(port))
    peer:send(V2 .. REQUEST .. REQUEST)
    peer:read('AF_INET', 2)
    local before = served
    peer:send(V2 .. REQUEST)
    tap.like(peer:read(), '^HTTP/1.1 501 ', 'a second header is no request')
    tap.is(served, before, 'nobody is asked')
    peer:close()
    tap.is(httpd:stat().unproxied, 0, 'all had one')
    tap.is(httpd:stat().handshakes, 0, 'which is no handshake')
    httpd:stop()
end

-- What is none.
do
    local httpd, port = new_server()
    local bad = {REQUEST}
    for i, header in ipairs(headers.BAD) do
        bad[i + 1] = header .. REQUEST
    end
    local before = served
    local answered = 0
    for _, text in ipairs(bad) do
        local peer = assert(raw.connect(port))
        peer:send(text)
        answered = answered + #peer:read()
        peer:close()
    end
    tap.is(answered, 0, 'no answer to what has no header')
    tap.is(httpd:stat().unproxied, #bad, 'counted')
    httpd:stop()
    -- Nothing, half of one, and an end before it.
    httpd, port = new_server({header_timeout = 0.2})
    for _, text in ipairs({'', V1:sub(1, 20), V2:sub(1, 20)}) do
        local peer = assert(raw.connect(port))
        peer:send(text)
        tap.is(peer:read(), '', 'late')
        peer:close()
        tap.is(peer_of(port, text), nil, 'ended')
    end
    tap.is(httpd:stat().timeouts, 3, 'in time or not at all')
    tap.is(served, before, 'no handler')
    raw.until_true(function() return httpd:stat().connections == 0 end)
    httpd:stop()
end

-- In front of TLS.
do
    local httpd, port = new_server({tls = rig.own('server')})
    local text, code = rig.shell(('curl -sS --http1.1 --haproxy-protocol --cacert "%s" '
        .. '--resolve localhost:%d:127.0.0.1 https://localhost:%d/'):format(
        rig.pem('ca'), port, port))
    tap.is(code, 0, 'curl')
    tap.like(text, '^127%.0%.0%.1 %d+ AF_INET$', 'with its own address')
    text, code = rig.shell(('curl -sS --cacert "%s" --resolve localhost:%d:127.0.0.1 '
        .. 'https://localhost:%d/'):format(rig.pem('ca'), port, port))
    tap.ok(code ~= 0, 'without a header: ' .. text)
    tap.is(httpd:stat().unproxied, 1, 'counted')
    tap.is(httpd:stat().handshakes, 1, 'one handshake')
    tap.like(peer_of(port, V1 .. REQUEST), 'this port speaks TLS: ask by https://',
        'a header and no TLS')
    httpd:stop()
end

-- A unix socket, and too many connections.
do
    local path = fio.pathjoin(rig.dir, 'proxied.sock')
    local httpd = new_server({max_connections = 1}, 'unix/:' .. path)
    local first = assert(raw.connect(path))
    first:send(V2 .. REQUEST)
    tap.like(first:read('AF_INET'), '198.51.100.1 35646', 'by a unix socket')
    local second = assert(raw.connect(path))
    second:send(V2 .. REQUEST)
    tap.like(second:read(), '^HTTP/1.1 503 ', 'one too many')
    second:close()
    first:close()
    httpd:stop()
end

-- Ends at any time leave nothing behind.
do
    local httpd, port = new_server()
    local function visit(n)
        for i = 1, n do
            local peer = assert(raw.connect(port))
            peer:send(V2:sub(1, i % (#V2 + 1)))
            if i % 3 == 0 then
                peer:reset()
            else
                peer:close()
            end
        end
        raw.until_true(function() return httpd:stat().connections == 0 end)
    end
    visit(200)
    local fds = #fio.listdir('/proc/self/fd')
    visit(tap.soak(20000, 1000))
    raw.until_true(function() return #fio.listdir('/proc/self/fd') <= fds end)
    tap.ok(true, 'no descriptor is left')
    local peer = assert(raw.connect(port))
    peer:send(V1:sub(1, 10))
    fiber.sleep(0.01)
    tap.is(httpd:stop(), true, 'a stop with one half in')
    peer:close()
end

tap.ok(not pcall(http_server.new, '127.0.0.1', 0, {proxy_protocol = 1}), 'a boolean')
rig.done()
tap.done()
