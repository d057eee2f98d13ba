-- Access logs: one line, or one call, for each request that is over, whatever ended
-- it, with what has really been sent; nobody forges one, and none is waited for.
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local json = require('json')
local raw = require('raw')
local rig = require('tls_rig')
local tap = require('tap')
local websocket = require('http.websocket')

local folder = fio.tempdir()
local path = fio.pathjoin(folder, 'access.log')
local LARGE = ('0123456789abcdef'):rep(65536)
local SIZE = #LARGE

local function read(name)
    local f = io.open(name)
    if f == nil then
        return ''
    end
    local text = f:read('*a')
    f:close()
    return text
end

local function write(name, text)
    local f = assert(io.open(fio.pathjoin(folder, name), 'w'))
    f:write(text)
    f:close()
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch('(.-)\n') do
        lines[#lines + 1] = line
    end
    return lines
end

write('large.bin', LARGE)

local function add_routes(httpd)
    httpd:route({path = '/', name = 'home'}, function() return 'hello' end)
    httpd:route({path = '/hello/:name'}, function(req)
        return {status = 201, body = req:stash('name')}
    end)
    httpd:route({path = '/echo', method = 'POST'}, function(req)
        return req.body
    end)
    httpd:route({path = '/pieces', method = 'POST', stream = true}, function(req)
        local w = req:stream()
        repeat
            local text = req:read(1000)
            if text ~= '' then w:write(text) end
        until text == ''
        w:finish()
    end)
    httpd:route({path = '/endless'}, function(req)
        local w = req:stream()
        while w:write(LARGE) do end
    end)
    httpd:route({path = '/never'}, function(req)
        while not req:is_gone() do fiber.sleep(0.001) end
    end)
    httpd:route({path = '/error'}, function() error('an error') end)
    httpd:route({path = '/ws'}, function(req)
        return req:websocket(function(ws)
            for message in ws:messages() do ws:send(message) end
        end)
    end)
    httpd:static('/files', folder)
    httpd:start()
    return httpd, httpd:port()
end

local told = {}
local function sink(a) told[#told + 1] = a end

local function new_server(options)
    options.access_log = options.access_log or sink
    options.log_errors = false
    told = {}
    return add_routes(http_server.new('127.0.0.1', 0, options))
end

-- What was told since the last time, when there are @count.
local function take(count)
    raw.until_true(function() return #told >= count end)
    fiber.sleep(0.002)
    tap.is(#told, count, 'so many were told of')
    local taken = told
    told = {}
    return unpack(taken)
end

local function summary(a)
    return ('%s %s %s %s %s %s %s %s'):format(a.method, a.target, a.protocol,
        a.status, a.sent, a.received, a.complete, a.route)
end

-- HTTP/1
do
    local httpd, port = new_server({max_body_size = 5000000, max_uri_size = 100})
    local before = fiber.time()
    raw.request(port, '/?a=b', {headers = 'Referer: http://x/\r\nUser-Agent: me\r\n'})
    local a = take(1)
    tap.is(summary(a), 'GET /?a=b HTTP/1.1 200 5 0 true home', 'a request')
    tap.is(a.referer .. a.user_agent .. a.remote, 'http://x/me127.0.0.1', 'of whom')
    tap.ok(a.port > 0 and a.duration > 0 and a.head > 0 and a.head <= a.duration,
        'how long')
    tap.ok(a.time > before - 1 and a.time < before + 60, 'when')
    raw.request(port, '/hello/you')
    tap.is(summary(take(1)), 'GET /hello/you HTTP/1.1 201 3 0 true /hello/:name',
        'a route without a name')
    raw.request(port, '/none', {method = 'HEAD'})
    tap.is(summary(take(1)), 'HEAD /none HTTP/1.1 404 0 0 true nil', 'HEAD')
    raw.request(port, '/error')
    tap.is(summary(take(1)), 'GET /error HTTP/1.1 500 22 0 true /error', 'an error')
    raw.request(port, '/echo', {method = 'POST', body = LARGE})
    tap.is(summary(take(1)), ('POST /echo HTTP/1.1 200 %d %d true /echo')
        :format(SIZE, SIZE), 'a large body')
    raw.request(port, '/pieces', {method = 'POST', body = LARGE})
    tap.is(summary(take(1)), ('POST /pieces HTTP/1.1 200 %d %d true /pieces')
        :format(SIZE, SIZE), 'in pieces')
    raw.request(port, '/files/large.bin')
    tap.is(summary(take(1)), ('GET /files/large.bin HTTP/1.1 200 %d 0 true /files/*path')
        :format(SIZE), 'a file')
    raw.request(port, '/files/large.bin', {headers = 'Range: bytes=5-9\r\n'})
    tap.is(take(1).sent, 5, 'a part of it')

    -- refused
    raw.request(port, '/' .. ('x'):rep(200))
    tap.is(take(1).status, 414, 'a long URI')
    raw.request(port, '/', {headers = 'X: ' .. ('x'):rep(20000) .. '\r\n'})
    a = take(1)
    tap.is(a.status .. a.method .. a.target, '431GET/', 'a long header')
    raw.request(port, '/', {headers = 'Content-Length: 6000000\r\n'})
    tap.ok(summary(take(1)):find('^GET / HTTP/1.1 413 %d+ 0 true'), 'a large body')
    local peer = raw.connect(port)
    peer:send('\22\3\1\0\n')
    peer:read()
    a = take(1)
    tap.is(a.target, '\22\3\1\0', 'no request')
    tap.is(a.method or a.protocol, nil)
    peer:close()
    local hasty, hasty_port = new_server({header_timeout = 0.1})
    peer = raw.connect(hasty_port)
    peer:send('GET /slow HTTP/1.1\r\nX: ')
    peer:read()
    peer:close()
    a = take(1)
    tap.is(a.status .. a.target, '408/slow', 'too slow')
    hasty:stop(1)

    -- gone
    peer = raw.connect(port)
    peer:send('GET /never HTTP/1.1\r\nHost: a\r\n\r\n')
    raw.until_true(function() return httpd:stat().waiting == 1 end)
    peer:reset()
    tap.is(summary(take(1)), 'GET /never HTTP/1.1 499 0 0 false /never', 'gone')
    peer = raw.connect(port, {rcvbuf = 4096})
    peer:send('GET /endless HTTP/1.1\r\nHost: a\r\n\r\n')
    local got = #peer:read('0123')
    peer:reset()
    a = take(1)
    tap.ok(a.sent >= got - 500 and a.sent < 2 ^ 26, 'sent is what was sent')
    tap.is(a.status .. tostring(a.complete), '200false')
    peer = raw.connect(port, {rcvbuf = 4096})
    peer:send('GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n')
    peer:read('0123')
    peer:reset()
    a = take(1)
    tap.ok(a.sent > 0 and a.sent <= SIZE, 'of a file, too')

    -- a batch, and no line for what was no request
    peer = raw.connect(port)
    peer:send(('GET / HTTP/1.1\r\nHost: a\r\n\r\n'):rep(100))
    peer:read('hello', 100)
    tap.is(#{take(100)}, 100, 'each of a batch')
    peer:close()
    raw.connect(port):close()

    -- WebSocket
    local ws = assert(websocket.connect(('ws://127.0.0.1:%d/ws'):format(port)))
    ws:send('hello')
    tap.is(ws:receive(), 'hello')
    tap.is(#told, 0, 'it is not over')
    ws:close()
    a = take(1)
    tap.is(summary(a):match('^GET /ws HTTP/1.1 101'), 'GET /ws HTTP/1.1 101')
    tap.ok(a.sent >= 7 and a.received >= 11, 'bytes of its frames')
    httpd:stop(1)
    tap.is(httpd:stat().unlogged, 0)
    httpd:start()
    tap.is(raw.request(httpd:port(), '/').body, 'hello', 'started again')
    tap.is(summary(take(1)), 'GET / HTTP/1.1 200 5 0 true home')
    httpd:stop(1)
end

-- HTTP/2, TLS, PROXY
do
    local httpd, port = new_server({http2 = true})
    local function curl(url)
        rig.shell(('curl -sSk %s > /dev/null'):format(url:format(port)))
        return take(1)
    end
    local a = curl('--http2-prior-knowledge -d hello http://127.0.0.1:%d/echo')
    tap.is(summary(a), 'POST /echo HTTP/2.0 200 5 5 true /echo', 'HTTP/2')
    tap.is(a.user_agent:match('^curl'), 'curl')
    httpd:stop(1)
    httpd, port = new_server({proxy_protocol = true})
    local peer = raw.connect(port)
    peer:send('PROXY TCP4 198.51.100.1 203.0.113.7 35646 443\r\n'
        .. 'GET / HTTP/1.0\r\n\r\n')
    peer:read()
    peer:close()
    a = take(1)
    tap.is(a.remote .. ' ' .. a.port .. ' ' .. a.protocol, '198.51.100.1 35646 HTTP/1.0',
        'behind a proxy')
    httpd:stop(1)

    httpd, port = new_server({tls = rig.own('server')})
    tap.is(summary(curl('https://127.0.0.1:%d/files/large.bin')), ('GET /files/large.bin HTTP/2.0 200 %d 0 true /files/*path')
        :format(SIZE), 'HTTP/2 over TLS')
    tap.is(summary(curl('--http1.1 https://127.0.0.1:%d/files/large.bin')), ('GET /files/large.bin HTTP/1.1 200 %d 0 true /files/*path')
        :format(SIZE), 'HTTP/1 over TLS')
    raw.request(port, '/')
    tap.is(take(1).status, 400, 'plain text')
    httpd:stop(1)
end

-- one too many
do
    local httpd, port = new_server({max_connections = 1})
    local peer = raw.connect(port)
    raw.until_true(function() return httpd:stat().connections == 1 end)
    local other = raw.connect(port)
    tap.is(other:read():match('^HTTP/1.1 503'), 'HTTP/1.1 503')
    other:close()
    local a = take(1)
    tap.is(a.status .. a.remote, '503127.0.0.1', 'refused at the door')
    peer:close()
    httpd:stop(1)
end

-- files of lines
do
    local httpd, port = new_server({access_log = path})
    raw.request(port, '/a"b', {headers = 'User-Agent: a" 1\t\255\r\n'})
    raw.request(port, '/', {headers = 'Referer: http://x/\r\n'})
    httpd:stop(1)
    local lines = lines_of(read(path))
    tap.is(#lines, 2, 'written at the end')
    tap.ok(lines[1]:find('^127%.0%.0%.1 %- %- %[%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d '
        .. '[+-]%d%d%d%d%] "GET /a\\x22b HTTP/1%.1" 404 10 "%-" "a\\x22 1\\x09\\xff" '
        .. '%d+%.%d%d%d%d%d%d$'), 'combined: ' .. lines[1])
    tap.ok(lines[2]:find('"GET / HTTP/1.1" 200 5 "http://x/" "-" ', 1, true))

    -- reopened: by hand, and with the log
    httpd:start()
    port = httpd:port()
    os.rename(path, path .. '.1')
    tap.is(httpd:reopen_log(), true)
    raw.request(port, '/2')
    httpd:stop(1)
    tap.is(#lines_of(read(path)), 1, 'a new file')
    tap.is(#lines_of(read(path .. '.1')), 2, 'and the old one')
    os.remove(path)
    fio.mkdir(path)
    local ok, err = httpd:reopen_log()
    tap.is(ok, nil)
    tap.ok(tostring(err):find('access log', 1, true), tostring(err))
    fio.rmdir(path)
    require('log').reopen()
    httpd:start()
    raw.request(httpd:port(), '/3')
    -- by itself, in a while
    raw.until_true(function() return #lines_of(read(path)) == 1 end)
    httpd:stop(1)
    tap.is(httpd:stat().unlogged, 0)
end

do
    os.remove(path)
    local httpd, port = new_server({access_log = {path = path, format = 'json',
        flush_interval = 0.001}})
    raw.request(port, '/a"b%', {headers = 'User-Agent: a" 1\255\194\155\r\n'})
    local peer = raw.connect(port)
    peer:send('a\1\\"{}\r\n\r\n')
    peer:read()
    peer:close()
    raw.request(port, '/')
    raw.until_true(function() return #lines_of(read(path)) == 3 end)
    httpd:stop(1)
    local lines = lines_of(read(path))
    local a, b, c = json.decode(lines[1]), json.decode(lines[2]), json.decode(lines[3])
    tap.is(a.target, '/a"b%', 'json')
    tap.is(a.user_agent, 'a" 1\\xff\\xc2\\x9b', 'what is no text, or is not to be seen')
    tap.is(b.target, 'a\1\\"{}')
    tap.is(b.method, json.null)
    tap.is(c.status, 200)
    tap.is(c.route, 'home')
    tap.is(c.time:match('^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d[+-]%d%d%d%d$'), c.time)
end

-- two servers and one file, and many lines
do
    os.remove(path)
    local one, port1 = new_server({access_log = {path = path, format = 'json'}})
    local two, port2 = new_server({access_log = {path = path, format = 'json'}})
    local PIPED = ('GET /hello/you HTTP/1.1\r\nHost: a\r\n\r\n'):rep(1000)
    for _ = 1, 5 do
        local peers = {raw.connect(port1), raw.connect(port2)}
        for _, peer in ipairs(peers) do peer:send(PIPED) end
        for _, peer in ipairs(peers) do
            peer:read('\r\n\r\nyou', 1000)
            peer:close()
        end
    end
    one:stop(1)
    two:stop(1)
    local count = 0
    for _, line in ipairs(lines_of(read(path))) do
        count = count + (json.decode(line).status == 201 and 1 or 0)
    end
    tap.is(count, 10000, 'whole lines, each once')
end

-- a disk that is full costs lines, no request
do
    local httpd, port = new_server({access_log = '/dev/full'})
    for _ = 1, 10 do
        tap.is(raw.request(port, '/').body, 'hello')
    end
    tap.ok(httpd:stop(1), 'it stops')
    tap.is(httpd:stat().unlogged, 10, 'counted')
end

-- a sink that fails, and one that waits
do
    local calls = 0
    local httpd, port = new_server({access_log = function()
        calls = calls + 1
        if calls % 2 == 0 then error('of the sink') end
    end})
    for _ = 1, 5 do
        raw.request(port, '/')
    end
    httpd:stop(1)
    tap.is(calls, 5, 'an error ends only its own call')

    local go = fiber.cond()
    calls = 0
    httpd, port = new_server({access_log = {queue = 3, sink = function()
        calls = calls + 1
        go:wait()
    end}})
    for _ = 1, 10 do
        tap.is(raw.request(port, '/').body, 'hello')
    end
    raw.until_true(function() return calls == 1 end)
    tap.is(httpd:stat().unlogged, 6, 'what does not fit is counted')
    fiber.create(function()
        while calls < 4 do
            go:broadcast()
            fiber.sleep(0.001)
        end
        go:broadcast()
    end)
    httpd:stop(60)
    tap.is(calls, 4, 'the end waits for the rest')

    -- notes come back, those of what was lost, too
    local notes, lost, number = {}, {}, 0
    calls = 0
    httpd = http_server.new('127.0.0.1', 0, {access_log = {queue = 3, sink = function(access)
        calls = calls + 1
        local list = access.lost and lost or notes
        list[#list + 1] = access.note
        if calls == 1 then go:wait() end
    end}})
    httpd:route({path = '/'}, function(req)
        number = number + 1
        req:set_note(number)
        return 'hello'
    end)
    port = httpd:start():port()
    for _ = 1, 6 do raw.request(port, '/') end
    raw.until_true(function() return calls == 1 end)
    for _ = 1, 4 do raw.request(port, '/') end
    go:broadcast()
    raw.until_true(function() return #notes + #lost == 10 end)
    tap.is(#lost, httpd:stat().unlogged, 'all that were not logged')
    table.sort(notes)
    for _, n in ipairs(lost) do notes[#notes + 1] = n end
    table.sort(notes)
    tap.same(notes, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, 'each once')
    httpd:stop(60)

    -- one that never comes back is not waited for for ever
    httpd, port = new_server({access_log = function() fiber.sleep(1000) end})
    raw.request(port, '/')
    raw.request(port, '/')
    tap.ok(httpd:stop(1))
end

-- options
local function fails(options, text)
    local ok, err = pcall(http_server.new, '127.0.0.1', 0, {access_log = options})
    tap.ok(not ok and tostring(err):find(text, 1, true), text .. ': ' .. tostring(err))
end
fails(1, 'access_log is a string or function or table')
fails({}, 'a path or a sink is wanted')
fails({path = 'a', sink = sink}, 'a path or a sink is wanted')
fails({path = path, format = 'common'}, "format is 'combined' or 'json'")
fails({path = path, buffer = 1}, 'buffer is a number from')
fails({path = path, flush_interval = 0 / 0}, 'flush_interval is a number from')
fails({path = path, x = 1}, "there is no 'x'")
fails({sink = sink, format = 'json'}, 'format is nothing for a sink')
fails({path = folder}, 'Is a directory')
fails('/none/such', 'No such file')
tap.ok(not pcall(function() http_server.new('127.0.0.1', 0):reopen_log() end),
    'nothing to reopen')
http_server.new('127.0.0.1', 0, {access_log = false})

fio.rmtree(folder)
fio.rmtree(rig.dir)
tap.done()
os.exit(0)
