-- HTTP over TLS with others' clients and by hand: what curl says of certificates, who
-- does not speak TLS, cuts everywhere, pipelining, large bodies with level memory, a
-- slow reader, certificates that change and a stop, both under load.
-- test: timeout 240, soak 3600
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local ca = rig.pem('ca')
local PART = ('0123456789abcdef'):rep(4096)

local function new_server(tls, options)
    options = options or {}
    options.tls = tls
    local httpd = http_server.new('127.0.0.1', 0, options)
    httpd:route({path = '/'}, function() return 'hello' end)
    httpd:route({path = '/who'}, function(req)
        local info = req:tls_info()
        return {body = {scheme = req.scheme, same = req:scheme() == req.scheme,
            version = info.version, alpn = info.alpn, sni = info.sni,
            verified = info.verified, resumed = info.resumed,
            subject = info.peer and info.peer.subject}}
    end)
    httpd:route({path = '/sum', method = 'POST', stream = true}, function(req)
        local size = 0
        while true do
            local text, err = req:read(100000)
            if text == nil then error(err, 0) end
            if text == '' then break end
            size = size + #text
        end
        return tostring(size)
    end)
    httpd:route({path = '/large'}, function()
        local n = 0
        return {body = function()
            n = n + 1
            return n <= 256 and PART or nil
        end}
    end)
    httpd:start()
    return httpd, httpd:port()
end

-- curl of a path, to the name @host: what it prints, and its code.
local function curl(port, path, options, host)
    host = host or 'localhost'
    return rig.shell(('curl -sS --http1.1 --cacert "%s" --resolve %s:%d:127.0.0.1 '
        .. '%s "https://%s:%d%s"'):format(ca, host, port, options or '', host, port,
        path))
end

-- A connection of ours, and one request on it.
local function connect(port, options)
    options = options or {ca_file = ca, server_name = 'localhost'}
    return socket.tcp_connect('127.0.0.1', port, {tls = options, timeout = 60})
end

local function ask(s, path)
    local ok, err = s:write(('GET %s HTTP/1.1\r\nHost: a\r\n\r\n'):format(path or '/'))
    if not ok then
        return nil, err
    end
    local head
    head, err = s:read('\r\n\r\n', 60)
    if head == nil or head == '' then
        return head, err
    end
    local body = s:read(tonumber(head:match('Content%-Length: (%d+)')), 60)
    return head, body
end

-- Clients and certificates.
do
    local httpd, port = new_server(rig.own('server', {
        sni = {['other.test'] = rig.own('other')},
    }))
    local text, code = curl(port, '/')
    tap.is(text, 'hello', 'curl')
    for _, version in ipairs({'1.2', '1.3'}) do
        text = curl(port, '/who', '--tlsv1.2 --tls-max ' .. version)
        tap.like(text, '"version":"TLSv' .. version .. '"', version)
        tap.like(text, '"scheme":"https"', 'the scheme')
        tap.like(text, '"same":true', 'it may be called')
        tap.like(text, '"alpn":"http/1.1"', 'the protocol')
        tap.like(text, '"sni":"localhost"', 'the name')
        tap.like(text, '"verified":false', 'nobody is asked')
    end
    local accepted = httpd:stat().accepted
    text = curl(port, '/[1-5]', '-w "%{http_code} %{num_connects}\\n" -o /dev/stdout')
    tap.is(httpd:stat().accepted, accepted + 1, 'five requests, one connection')
    text, code = curl(port, '/', '', 'other.test')
    tap.is(text, 'hello', 'a name with a certificate of its own')
    text, code = curl(port, '/', '', 'wrong.test')
    tap.is(code, 60, 'a wrong host: ' .. text)
    text, code = rig.shell(('curl -sS https://localhost:%d/'):format(port))
    -- 77: curl has no file of authorities at all.
    tap.ok(code == 60 or code == 77, 'an authority that nobody knows: ' .. code)
    text = rig.shell(('curl -sS -i http://127.0.0.1:%d/'):format(port))
    tap.like(text, '^HTTP/1.1 400 ', 'plain text on the port of TLS')
    tap.like(text, 'speaks TLS', 'is told why')
    text = rig.shell(('openssl s_client -connect 127.0.0.1:%d -quiet -alpn x')
        :format(port), '')
    tap.like(text, 'no application protocol', 'who speaks only another protocol')
    text = rig.shell(('openssl s_client -connect 127.0.0.1:%d -quiet')
        :format(port), 'this is no request\r\n\r\n')
    tap.like(text, 'HTTP/1.1 501 ', 'garbage inside TLS')
    text = rig.shell(('openssl s_client -connect 127.0.0.1:%d -quiet')
        :format(port), 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    tap.like(text, 'hello$', 'openssl, until the end')
    tap.is(text:find('unexpected eof', 1, true), nil, 'which is announced')
    httpd:stop()

    httpd, port = new_server(rig.own('expired'))
    text, code = curl(port, '/')
    tap.is(code, 60, 'expired: ' .. text)
    httpd:stop()
end

-- Clients' certificates.
for _, verify in ipairs({'peer', 'required'}) do
    local httpd, port = new_server(rig.own('server', {verify = verify, ca_file = ca}))
    local own = '--cert "' .. rig.pem('%s') .. '" --key "' .. rig.key('%s') .. '" '
    for _, version in ipairs({'1.2', '1.3'}) do
        local max = '--tls-max ' .. version
        local text, code = curl(port, '/who', own:format('client', 'client') .. max)
        tap.like(text, '"subject":"CN=ann"', verify .. version .. ': who it is')
        tap.like(text, '"verified":true', 'it is sure')
        text, code = curl(port, '/who', own:format('clients', 'clients') .. max)
        tap.ok(code ~= 0, 'one that nobody trusts: ' .. text)
        text, code = curl(port, '/who', max)
        if verify == 'required' then
            tap.ok(code ~= 0, 'none: ' .. text)
        else
            tap.like(text, '"verified":false', 'none')
        end
    end
    tap.is(httpd:stat().handshakes_failed, verify == 'required' and 4 or 2, 'counted')
    httpd:stop()
end

-- What cannot be.
local function refused(tls, pattern, name)
    local ok, err = pcall(http_server.new, '127.0.0.1', 0, {tls = tls})
    tap.ok(not ok, name)
    tap.like(tostring(err), pattern, name)
end
refused({}, 'cert_file', 'no certificate')
refused({cert_file = '/nowhere.pem'}, '/nowhere.pem', 'no such file')
refused(rig.own('server', {key_file = rig.key('other')}), 'key', 'another key')
refused(rig.own('server', {colour = 'red'}), 'colour', 'no such option')
refused(rig.own('server', {handshake_timeout = -1}), 'handshake_timeout', 'no time')
refused(true, 'tls', 'no table')
refused({context = assert(socket.tls_client({}))}, 'tls_server', 'a client\'s')
refused({context = {}}, 'tls_server', 'no context')
local shared_context = assert(socket.tls_server(rig.own('server')))
refused({context = shared_context, alpn = {'x'}}, 'alpn', 'two of them')
tap.ok(not pcall(function()
    http_server.new('127.0.0.1', 0):reload_tls()
end), 'nothing to reload')

-- Contexts of socket's, and a unix socket.
for _, tls in ipairs({shared_context, {context = shared_context, handshake_timeout = 5}}) do
    local httpd, port = new_server(tls)
    tap.is(curl(port, '/'), 'hello', 'a context')
    httpd:stop()
end
do
    local path = rig.path('sock')
    local httpd = http_server.new('unix/:' .. path, 0, {tls = rig.own('server')})
    httpd:route({path = '/'}, function() return 'by a path' end)
    httpd:start()
    tap.is(rig.shell(('curl -sS --cacert "%s" --unix-socket "%s" https://localhost/')
        :format(ca, path)), 'by a path', 'a unix socket')
    httpd:stop()
end

-- Who never gets done with the greeting costs a connection and a time.
do
    local httpd, port = new_server(rig.own('server', {handshake_timeout = 1}))
    local peers = {}
    for i = 1, 60 do
        peers[i] = assert(raw.connect(port))
        peers[i]:send(('\22\3\1\2\0\1\0\1\252\3\3'):sub(1, i % 12))
    end
    tap.is(curl(port, '/'), 'hello', 'beside sixty who say little')
    for _, peer in ipairs(peers) do
        peer:read()
        peer:close()
    end
    tap.is(httpd:stat().timeouts, 60, 'each has had his time')
    tap.is(httpd:stat().handshakes_failed, 0, 'and nobody more')
    httpd:stop()
end

-- Cut after so many bytes, either way, by one in the middle.
do
    local handled, cut_short = 0, 0
    local httpd, port = new_server(rig.own('server'), {log_errors = false})
    httpd:route({path = '/whole', method = 'POST'}, function(req)
        handled = handled + 1
        if #req.body ~= 300 then cut_short = cut_short + 1 end
        return ('y'):rep(300)
    end)
    local function between(limit, up)
        local listener = socket('AF_INET', 'SOCK_STREAM', 'tcp')
        listener:bind('127.0.0.1', 0)
        listener:listen()
        local to = listener:name().port
        fiber.create(function()
            listener:readable(20)
            local a = listener:accept()
            local b = socket.tcp_connect('127.0.0.1', port)
            local function pump(from, into, left)
                while left > 0 do
                    if not from:readable(20) then break end
                    local data = from:sysread(100000)
                    if data == nil or data == '' then break end
                    data = data:sub(1, left)
                    left = left - #data
                    if into:write(data, 20) == nil then break end
                end
            end
            fiber.create(function()
                pcall(pump, b, a, up and 1e9 or limit)
                pcall(a.close, a)
                pcall(b.close, b)
            end)
            pcall(pump, a, b, up and limit or 1e9)
            pcall(a.close, a)
            pcall(b.close, b)
            listener:close()
        end)
        local s = connect(to)
        if s == nil then return nil end
        s:write('POST /whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n'
            .. 'Content-Length: 300\r\n\r\n' .. ('x'):rep(300), 20)
        local head = s:read('\r\n\r\n', 20)
        local body, err = s:read(1000, 20)
        s:close()
        return head, body, err
    end
    local whole, silent, count = 0, 0, 0
    for _, up in ipairs({true, false}) do
        for limit = 1, 2400, tap.soak(1, 83) do
            local head, body = between(limit, up)
            count = count + 1
            if head and body and #body == 300 then
                whole = whole + 1
            elseif head and body then
                silent = silent + 1
            end
        end
    end
    tap.is(cut_short, 0, ('%d cuts: no body is cut short for a handler'):format(count))
    tap.is(silent, 0, 'nor one for a client without a word')
    tap.ok(whole > 0 and whole < count, ('%d came through'):format(whole))
    tap.ok(rig.soon(function() return httpd:stat().connections == 0 end), 'none is left')
    tap.is(curl(port, '/'), 'hello', 'it serves')
    httpd:stop()
end

-- A thousand at once.
do
    local httpd, port = new_server(rig.own('server'))
    local s = assert(connect(port))
    s:write(('GET / HTTP/1.1\r\nHost: a\r\n\r\n'):rep(1000))
    local answers = 0
    for _ = 1, 1000 do
        local head = s:read('\r\n\r\n', 60)
        if head and head:find('^HTTP/1.1 200') and s:read(5, 60) == 'hello' then
            answers = answers + 1
        end
    end
    tap.is(answers, 1000, 'a thousand in a row')
    s:close()
    httpd:stop()
end

-- 16 MiB up and down, again and again.
local function resident()
    return tap.resident() * 1024
end
do
    local httpd, port = new_server(rig.own('server'), {max_body_size = 1e9})
    local file = rig.path('large')
    local f = io.open(file, 'w')
    for _ = 1, 256 do f:write(PART) end
    f:close()
    local sum = rig.shell(('cksum < "%s"'):format(file))
    httpd:static('/files', rig.dir) -- which the kernel cannot send by itself
    tap.is(rig.shell(('curl -sS --cacert "%s" https://localhost:%d/files/large | cksum')
        :format(ca, port)), sum, 'a file')
    tap.is(curl(port, '/files/large', '-r 100-115'), PART:sub(101, 116), 'a part of it')
    local first
    for i = 1, tap.soak(30, 4) do
        local text = curl(port, '/sum', ('-T "%s" -X POST -H Expect:'):format(file))
        if text ~= tostring(256 * #PART) then tap.fail('up: ' .. text) end
        text = rig.shell(('curl -sS --cacert "%s" https://localhost:%d/large | cksum')
            :format(ca, port))
        if text ~= sum then tap.fail('down: ' .. text) end
        first = first or resident()
    end
    local last = resident()
    tap.diag(('%d KiB, then %d'):format(first, last))
    if (os.getenv('NEAP_SANITIZE') or '') == '' then
        tap.ok(last - first < 4096, 'memory is level')
    end
    tap.pass('up and down')
    httpd:stop()
end

-- Who does not read holds back the one who writes.
do
    local httpd, port = new_server(rig.own('server'), {log_errors = false})
    local given, ended = 0, false
    httpd:route({path = '/endless'}, function()
        return {body = function()
            given = given + 1
            return PART
        end}
    end)
    httpd:route({path = '/writer'}, function(req)
        local w = req:stream()
        while w:write(PART) do given = given + 1 end
        ended = true
    end)
    for _, path in ipairs({'/endless', '/writer'}) do
        given = 0
        local s = socket('AF_INET', 'SOCK_STREAM', 'tcp')
        s:setsockopt('SOL_SOCKET', 'SO_RCVBUF', 8192)
        s:sysconnect('127.0.0.1', port)
        s:writable(20)
        assert(s:starttls({ca_file = ca, server_name = 'localhost'}))
        s:write(('GET %s HTTP/1.1\r\nHost: a\r\n\r\n'):format(path))
        s:readable(20)
        local before
        rig.soon(function() -- it stands still
            local still = before == given and given > 0
            before = given
            fiber.sleep(0.05)
            return still
        end)
        tap.ok(given * #PART < 32 * 1024 * 1024, path .. ' stands still')
        tap.is(curl(port, '/'), 'hello', 'others are served')
        for _ = 1, 200 do
            assert(s:read(#PART, 60))
        end
        tap.ok(rig.soon(function() return given > before end), 'goes on')
        s:close()
    end
    tap.ok(rig.soon(function() return ended end), 'and ends with the reader')
    httpd:stop(5)
end

local anyone = assert(socket.tls_client({verify = 'none', session_cache = false}))

-- Clients all the time: what went wrong, and how much went right.
local function load(port, count, each)
    local state = {answers = 0, failed = {}, stop = false, running = count, seen = {}}
    for i = 1, count do
        fiber.create(function()
            local ok, why = pcall(function()
                while not state.stop do
                    local s, err = connect(port, anyone)
                    if s == nil then
                        if state.refused_is_fine then break end
                        error('connect: ' .. tostring(err), 0)
                    end
                    local info = s:tls_info()
                    state.seen[info.peer.subject] = true
                    for n = 1, each or (i % 5 + 1) do
                        local head, body = ask(s)
                        -- One that was used may end between two requests.
                        if n > 1 and (head == nil or head == '') then break end
                        if not head or not head:find('^HTTP/1.1 200') or
                           body ~= 'hello' then
                            error(('answer %d: %s %s'):format(n, tostring(head),
                                tostring(body)), 0)
                        end
                        state.answers = state.answers + 1
                        if head:find('Connection: close', 1, true) then break end
                    end
                    s:close()
                end
            end)
            if not ok then table.insert(state.failed, tostring(why)) end
            state.running = state.running - 1
        end)
    end
    return state
end

local function copy(from, to)
    assert(fio.copyfile(from, to .. '.new'))
    assert(fio.rename(to .. '.new', to))
end

do
    local pem, key = rig.pem('live'), rig.key('live')
    copy(rig.pem('server'), pem)
    copy(rig.key('server'), key)
    local httpd, port = new_server({cert_file = pem, key_file = key})
    local kept = assert(connect(port))
    tap.like(ask(kept), '^HTTP/1.1 200', 'one that stays')
    local state = load(port, 8)
    for round = 1, tap.soak(500, 20) do
        local name = round % 2 == 1 and 'other' or 'server'
        copy(rig.pem(name), pem)
        copy(rig.key(name), key)
        local ok, err = httpd:reload_tls()
        if not ok then tap.fail(tostring(err)) end
        local before = state.answers
        if not rig.soon(function() return state.answers > before + 5 end) then
            tap.fail('no answers')
        end
    end
    copy(rig.pem('other'), pem)
    local ok, err = httpd:reload_tls()
    tap.is(ok, nil, 'a certificate without its key is not taken')
    tap.like(err, 'live', 'and named')
    local before = state.answers
    tap.ok(rig.soon(function() return state.answers > before + 5 end), 'it serves on')
    state.stop = true
    tap.ok(rig.soon(function() return state.running == 0 end), 'all have ended')
    tap.is(state.failed[1], nil, ('none of %d failed'):format(state.answers))
    tap.ok(state.seen['CN=localhost'] and state.seen['CN=other.test'], 'both were seen')
    tap.like(ask(kept), '^HTTP/1.1 200', 'the one that stayed')
    kept:close()
    httpd:stop()
end

-- A stop under load.
for round = 1, tap.soak(100, 5) do
    local httpd, port = new_server(rig.own('server'))
    local state = load(port, 12)
    rig.soon(function() return state.answers > 50 + round end)
    state.refused_is_fine = true
    tap.is(httpd:stop(20), true, 'nothing was cut')
    tap.ok(rig.soon(function() return state.running == 0 end), 'all have ended')
    tap.is(state.failed[1], nil, ('none of %d failed'):format(state.answers))
    tap.is(httpd:stat().connections, 0, 'none is open')
end

rig.done()
tap.done()
