-- HTTP/2 with others' clients: curl, nghttp and h2load, over TLS by ALPN and in plain
-- text by prior knowledge; what HTTP/1 does is done here, too, by the same routes.
-- test: timeout 120, soak 3600
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local rig = require('tls_rig')
local tap = require('tap')

local ca = rig.pem('ca')
local LARGE = ('0123456789abcdef'):rep(65536)
local folder = fio.tempdir()

local function put(name, text)
    local f = assert(io.open(fio.pathjoin(folder, name), 'w'))
    f:write(text)
    f:close()
end

put('small.txt', 'a small file\n')
put('large.bin', LARGE)

local lines = {}

local function new_server(options)
    options.log_requests = function(...)
        lines[#lines + 1] = string.format(...)
    end
    local httpd = http_server.new('127.0.0.1', 0, options)
    httpd:route({path = '/'}, function() return 'hello' end)
    httpd:route({path = '/who'}, function(req)
        return {body = {proto = req.proto, scheme = req.scheme,
            host = req:header('host'), cookie = req:cookie('b'),
            cookies = req.headers.cookie, line = req:request_line(),
            alpn = (req:tls_info() or {}).alpn}}
    end)
    httpd:route({path = '/echo', method = 'POST'}, function(req)
        return req.body
    end)
    httpd:route({path = '/pieces', method = 'POST', stream = true}, function(req)
        local w = req:stream()
        while true do
            local text = assert(req:read(50000))
            if text == '' then break end
            w:write(text)
        end
        w:finish({['x-end'] = 'yes'})
    end)
    httpd:route({path = '/text', compress = true}, function()
        return {headers = {['content-type'] = 'text/plain'}, body = LARGE}
    end)
    httpd:route({path = '/large_head'}, function()
        local fields = {}
        for i = 1, 90 do
            fields['x-' .. i] = ('abc'):rep(400)
        end
        return {headers = fields}
    end)
    httpd:route({path = '/events'}, function(req)
        local events = req:events()
        for i = 1, 3 do
            events:send({data = 'event ' .. i})
        end
    end)
    httpd:route({path = '/form', method = 'POST'}, function(req)
        return req:post_param('a')
    end)
    httpd:route({path = '/abort'}, function(req) req:abort() end)
    httpd:route({path = '/fail'}, function() error('on purpose') end)
    httpd:static('/files', folder)
    return httpd:start(), httpd:port()
end

-- curl of a path: what it prints, and its code.
local function curl(port, path, options, tls)
    return rig.shell(('curl -sS %s %s "%s://localhost:%d%s"'):format(
        tls and '--cacert "' .. ca .. '"' or '--http2-prior-knowledge',
        options or '', tls and 'https' or 'http', port, path))
end

local body = fio.pathjoin(folder, 'body')
put('body', LARGE .. 'end')
local huge = fio.pathjoin(folder, 'huge')
put('huge', LARGE:rep(3))

for _, tls in ipairs({true, false}) do
    local how = tls and 'TLS: ' or 'plain: '
    local httpd, port = new_server({tls = tls and rig.own('server') or nil,
        http2 = not tls or nil, log_errors = function() end,
        max_body_size = 2 * #LARGE})
    lines = {}
    local function get(path, options)
        return curl(port, path, options, tls)
    end
    local text = get('/', '-w " %{http_version} %{http_code}"')
    tap.is(text, 'hello 2 200', how .. 'an answer')
    text = get('/who', '-H "Cookie: a=1" -H "Cookie: b=2"')
    tap.like(text, '"proto":%[2,0%]', how .. 'the version')
    tap.like(text, '"scheme":"' .. (tls and 'https' or 'http') .. '"', how .. 'the scheme')
    tap.like(text, '"host":"localhost:' .. port .. '"', how .. 'the host')
    tap.like(text, '"cookie":"2"', how .. 'a cookie')
    tap.like(text, '"cookies":"a=1; b=2"', how .. 'cookies are one field')
    tap.like(text, '"line":"GET /who HTTP/2.0"', how .. 'the line')
    if tls then
        tap.like(text, '"alpn":"h2"', how .. 'the protocol')
        tap.is(get('/', '--http1.1 -w " %{http_version}"'), 'hello 1.1',
            how .. 'HTTP/1.1 is offered, too')
    else
        tap.is(rig.shell(('curl -sS --http2 -w " %%{http_version}" http://localhost:%d/')
            :format(port)), 'hello 1.1', how .. 'no upgrade: HTTP/1.1 goes on')
    end
    tap.like(lines[1], '^GET / HTTP/2.0 200$', how .. 'the log')

    -- Bodies.
    local _, code
    for _, path in ipairs({'/echo', '/pieces'}) do
        _, code = rig.shell(('curl -sS %s --data-binary @"%s" "%s://localhost:%d%s" | cmp - "%s"')
            :format(tls and '--cacert "' .. ca .. '"' or '--http2-prior-knowledge', body,
            tls and 'https' or 'http', port, path, body))
        tap.is(code, 0, how .. 'a body there and back by ' .. path)
    end
    tap.like(get('/pieces', '-i -d x'), 'x%-end: yes', how .. 'trailers')
    tap.is(get('/form', '-d a=b%20c'), 'b c', how .. 'a form')
    tap.like(get('/echo', '-H "Expect: 100-continue" -d abc -v'), '< HTTP/2 100',
        how .. '100')
    text = get('/', '-I')
    tap.like(text, 'content%-length: 5', how .. 'HEAD')
    tap.like(get('/none', '-i'), '^HTTP/2 404', how .. 'no route')
    tap.like(get('/echo', '-i --data-binary @"' .. huge .. '"'), '^HTTP/2 413',
        how .. 'too large a body')
    tap.like(get('/fail', '-i'), '^HTTP/2 500', how .. 'an error')
    tap.like(get('/abort', '2>&1'), 'HTTP/2 stream %d+ was not closed cleanly',
        how .. 'a stream is reset')

    -- Files, compression, events.
    tap.is(get('/files/small.txt'), 'a small file\n', how .. 'a small file')
    _, code = rig.shell(('curl -sS %s "%s://localhost:%d/files/large.bin" | cmp - "%s"')
        :format(tls and '--cacert "' .. ca .. '"' or '--http2-prior-knowledge',
        tls and 'https' or 'http', port, fio.pathjoin(folder, 'large.bin')))
    tap.is(code, 0, how .. 'a large file')
    text = get('/files/large.bin', '-i -r 16-31')
    tap.like(text, '^HTTP/2 206', how .. 'a range')
    tap.like(text, '0123456789abcdef$', how .. 'and its bytes')
    text = get('/text', '-i --compressed -o /dev/null -D /dev/stdout')
    tap.like(text, 'content%-encoding: ', how .. 'compressed')
    tap.is(#get('/text', '--compressed'), #LARGE, how .. 'and the same')
    text = get('/large_head', '-w "%{http_code} %{size_header}" -D /dev/null -m 20')
    tap.ok(tonumber(text:match('^200 (%d+)$') or 0) > 108000, how .. 'a large head: ' .. text)
    tap.like(get('/events', '-m 5'), 'event 1.*event 2.*event 3', how .. 'events')

    -- Many at once. (These ask the system for names, and a bare Debian knows none.)
    local url = ('%s://127.0.0.1:%d'):format(tls and 'https' or 'http', port)
    text = rig.shell('nghttp -nv ' .. url .. '/text')
    tap.like(text, 'recv DATA frame <length=%d+, flags=0x01', how .. 'nghttp')
    local before = httpd:stat().requests
    text = rig.shell('h2load -n 10000 -c 4 -m 100 ' .. url .. '/')
    tap.like(text, '10000 succeeded, 0 failed, 0 errored', how .. 'h2load: ' .. text)
    tap.like(text, 'status codes: 10000 2xx', how .. 'all answered 200')
    tap.is(httpd:stat().requests, before + 10000, how .. 'as many as were served')
    text = rig.shell('h2load -n 200 -c 2 -m 50 ' .. url .. '/files/large.bin')
    tap.like(text, '200 succeeded, 0 failed', how .. 'large files at once: ' .. text)
    text = rig.shell(('h2load -n 200 -c 2 -m 50 -d "%s" %s/pieces'):format(body, url))
    tap.like(text, '200 succeeded, 0 failed', how .. 'large bodies at once: ' .. text)

    local stat = httpd:stat()
    tap.is(stat.waiting, 0, how .. 'nobody waits')
    tap.is(stat.http2_floods, 0, how .. 'nobody was ended')
    tap.ok(stat.http2 > 10, how .. 'connections of HTTP/2')
    tap.ok(httpd:stop(10), how .. 'stopped, nothing cut')
end

-- Without it nothing is different from before.
do
    local httpd, port = new_server({tls = rig.own('server'), http2 = false})
    tap.is(curl(port, '/', '-w " %{http_version}"', true), 'hello 1.1', 'off: HTTP/1.1')
    httpd:stop()
    httpd, port = new_server({})
    tap.like(select(1, rig.shell(('printf "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" | '
        .. 'curl -sS --max-time 5 telnet://localhost:%d'):format(port))),
        '^HTTP/1.1 505 ', 'plain text: not unless told')
    httpd:stop()
    tap.throws(function() http_server.new('127.0.0.1', 0, {http2 = 1}) end,
        'http2 is a boolean', 'a wrong option')
end

-- Stopped in the middle of it, again and again: whatever a handler has seen was
-- answered, and the client was told which requests none will see.
do
    for round = 1, 5 do
        local httpd = http_server.new('127.0.0.1', 0, {http2 = true})
        local served = 0
        httpd:route({path = '/'}, function()
            fiber.sleep(math.random() * 0.005)
            served = served + 1
            return 'hello'
        end)
        httpd:start()
        local out
        local load = fiber.new(function()
            out = rig.shell(('h2load -n 1000000 -c 5 -m 50 http://127.0.0.1:%d/')
                :format(httpd:port()))
        end)
        load:set_joinable(true)
        while served < 200 * round do
            fiber.sleep(0.001)
        end
        tap.ok(httpd:stop(20), 'stopped, nothing cut')
        load:join()
        -- It goes on asking until it is told which was the last one.
        local succeeded = out:match('(%d+) succeeded')
        tap.is(tonumber(succeeded), served, 'all that was served has come')
        tap.like(out, ('status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx'):format(served),
            'as it should: ' .. out)
    end
end

fio.rmtree(folder)
fio.rmtree(rig.dir)
tap.done()
