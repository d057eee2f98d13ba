-- Answers by a writer, made smaller: what the peer reads is what was written, at once;
-- who does not read holds the writer back; and who leaves leaves nothing behind.
-- test: timeout 120
local fiber = require('fiber')
local http_server = require('http.server')
local popen = require('popen')
local raw = require('raw')
local tap = require('tap')

local run
local logged = {}
local httpd = http_server.new('127.0.0.1', 0, { compress = true, http2 = true,
    log_errors = function(fmt, ...) logged[#logged + 1] = fmt:format(...) end })
httpd:route({ path = '/' }, function(req) return run(req) end)
httpd:route({ path = '/off', compress = false }, function(req) return run(req) end)
httpd:start()
local bare = http_server.new('127.0.0.1', 0, { log_errors = false })
bare:route({ path = '/' }, function(req) return run(req) end)
bare:start()

local text = ('all work and no play '):rep(200)

-- The answer of @f as curl reads it, by pieces: @next(piece) is called for each.
local function curl(f, options, next)
    run = f
    local ph = popen.shell(('curl -sN -i --compressed %s http://127.0.0.1:%d/%s 2>&1; '
        .. 'echo " exit $?"'):format(options, httpd:port(), ''), 'r')
    local all = ''
    while true do
        local piece = ph:read()
        if piece == nil or piece == '' then
            break
        end
        all = all .. piece
        if next then
            next(all)
        end
    end
    ph:close()
    local head, body, code = all:match('^(.-)\r?\n\r?\n(.*) exit (%d+)\n$')
    return body, head and head:lower() or all, code
end

local function ask(f, accept, options)
    options = options or {}
    run = f
    return raw.request(options.port or httpd:port(), options.path or '/', {
        method = options.method,
        headers = accept and 'Accept-Encoding: ' .. accept .. '\r\n',
    })
end

-- Each write can be read before the next one is made, in every coding and protocol.
for _, coding in ipairs({ 'gzip', 'br', 'zstd' }) do
    for _, version in ipairs({ '', '--http2-prior-knowledge', '-0' }) do
        local go, sent = fiber.cond(), 0
        local body, head, code = curl(function(req)
            local writer = req:stream({ headers = { etag = '"x"', vary = 'a' } })
            for i = 1, 3 do
                assert(writer:write(('piece %d\n'):format(i)))
                sent = i
                go:wait(30)
            end
            writer:write(text)
        end, ('%s -H "Accept-Encoding: %s"'):format(version, coding), function(all)
            if sent > 0 and all:find(('piece %d\n'):format(sent), 1, true) then
                go:signal()
            end
        end)
        local name = coding .. ' ' .. version
        tap.is(body, 'piece 1\npiece 2\npiece 3\n' .. text, name)
        tap.is(code, '0', name .. ': whole')
        tap.like(head, 'content%-encoding: ' .. coding, name .. ': encoded')
        tap.like(head, 'vary: a, accept%-encoding', name .. ': it varies')
        tap.like(head, 'etag: w/"x"', name .. ': other bytes')
    end
end

-- Events, if they are asked to.
local go = fiber.cond()
local body, head = curl(function(req)
    local events = req:events({ compress = true, heartbeat = 0.05 })
    events:send('one')
    go:wait(30)
    events:send('two')
    events:close()
end, '', function(all)
    -- behind a beat, so both have written
    if all:find('data: one\n\n:\n\n', 1, true) then
        go:signal()
    end
end)
tap.like(body, '^data: one\n\n[:\n]*data: two\n\n[:\n]*$', 'events arrive at once')
tap.like(head, 'content%-encoding: %a+', 'encoded')

-- What is touched, and what is not.
local function once(options, what, trailers)
    return function(req)
        local writer = req:stream(options)
        writer:write(what or text)
        tap.ok(writer:finish(trailers), 'finished')
    end
end
local function coding_of(...) return ask(...).headers['content-encoding'] end
local function with(headers, compress) return once({ headers = headers, compress = compress }) end
tap.is(coding_of(once(), 'gzip'), 'gzip', 'text by itself')
tap.is(coding_of(once(), 'identity'), nil, 'who does not like it')
tap.is(ask(once(), 'identity').headers.vary, 'Accept-Encoding', 'but it varies')
tap.is(coding_of(once(), 'gzip', { path = '/off' }), nil, 'not where it is off')
tap.is(coding_of(with(nil, true), 'gzip', { path = '/off' }), 'gzip', 'but by its own word')
tap.is(coding_of(with(nil, false), 'gzip'), nil, 'or not by it')
tap.is(coding_of(once(), 'gzip', { port = bare:port() }), nil, 'not by a bare server')
tap.is(coding_of(with(nil, { brotli = false }), 'br, gzip', { port = bare:port() }), 'gzip',
    'but with options')
tap.is(coding_of(with({ ['Content-Type'] = 'image/png' }), 'gzip'), nil, 'no image')
tap.is(coding_of(with({ ['content-type'] = 'image/png' }, true), 'gzip'), 'gzip',
    'unless told')
tap.is(coding_of(with({ ['content-type'] = 'text/event-stream' }), 'gzip'), nil, 'no events')
tap.is(coding_of(with({ ['Content-Encoding'] = 'x' }, true), 'gzip'), 'x',
    'never what is encoded')
tap.is(coding_of(with({ ['cache-control'] = 'no-transform' }, true), 'gzip'), nil,
    'nor what must not be')
tap.is(coding_of(once({ status = 206 }), 'gzip'), nil, 'nor a part')
local r = ask(with({ ['content-length'] = #text }), 'gzip')
tap.is(r.headers['content-length'], nil, 'a length of other bytes is dropped')
tap.is(ask(with({ ['content-length'] = #text }), 'identity').headers['content-length'],
    tostring(#text), 'and kept without')
r = ask(function(req) req:stream():write('never') end, 'gzip', { method = 'HEAD' })
tap.is(r.headers['content-encoding'], 'gzip', 'HEAD')
tap.is(r.body, '', 'without a body')
r = ask(once(nil, nil, { ['x-sum'] = 1 }), 'gzip')
tap.like(r.text, '\r\n0\r\nx%-sum: 1\r\n\r\n$', 'trailers')
for _, bad in ipairs({ 5, { level = 10 } }) do
    ask(with(nil, bad), 'gzip')
    tap.like(logged[#logged], 'compress', 'options that are none')
end
tap.is(ask(function(req)
    req:stream({ compress = true })
    return 'and more'
end, 'gzip').text:find('\r\n0\r\n\r\n$'), nil, 'what is returned besides cuts it')

-- Several writers, of much: on threads, each whole.
body = curl(function(req)
    local writer = req:stream()
    local group = {}
    for i, letter in ipairs({ 'a', 'b', 'c' }) do
        group[i] = fiber.new(function() assert(writer:write(letter:rep(300000))) end)
        group[i]:set_joinable(true)
    end
    for i = 1, 3 do
        group[i]:join()
    end
end, '')
local order = {}
for letter in body:gmatch('[abc]') do
    if order[#order] ~= letter then
        order[#order + 1] = letter
    end
end
tap.is(#body, 900000, 'much by several')
tap.is(#order, 3, 'one behind the other')

-- Who does not read holds back; who leaves is told of, and leaves nothing.
-- Noise, more of it than an encoder looks back on.
local noise = {}
do
    local f = assert(io.open('/dev/urandom', 'rb'))
    for i = 1, 16 do
        noise[i] = f:read(65536)
    end
    f:close()
end
local written, ended
local function flood(req)
    local writer = req:stream({ compress = true })
    written, ended = 0, nil
    local ok, err
    repeat
        ok, err = writer:write(noise[written / 65536 % 16 + 1])
        written = written + (ok and 65536 or 0)
    until not ok
    ended = tostring(err)
    tap.is(writer:write('x'), nil, 'nothing more is taken')
    tap.is(writer:finish(), nil, 'and no end')
end
for _, coding in ipairs({ 'gzip', 'br', 'zstd' }) do
    run = flood
    written = 0
    local peer = raw.connect(httpd:port(), { rcvbuf = 4096 })
    peer:send('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: ' .. coding .. '\r\n\r\n')
    local before
    raw.until_true(function()
        local same = written > 0 and written == before
        before = written
        fiber.sleep(0.05)
        return same
    end)
    tap.ok(written < 16e6, ('%s: held back after %d'):format(coding, written))
    peer:reset()
    raw.until_true(function() return ended end)
    tap.like(ended, 'gone', coding .. ': told')
end

-- What a deadline has interrupted is cut: half a block cannot be gone on with.
local after
run = function(req)
    local writer = req:stream()
    pcall(function()
        fiber.deadline(0.1, function()
            while true do
                writer:write(noise[1])
            end
        end)
    end)
    after = { writer:write('more') }
end
local peer = raw.connect(httpd:port(), { rcvbuf = 4096 })
peer:send('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n')
raw.until_true(function() return after end)
tap.is(after[1], nil, 'after a deadline nothing is written')
tap.unlike(peer:read(), '\r\n0\r\n\r\n$', 'and the answer is cut')
peer:close()

-- An encoder is gone with its answer, not with the collector.
local function round(count)
    for i = 1, count do
        ask(i % 2 == 0 and once() or function(req) req:stream():write(text) end, 'br')
    end
    return tap.resident(true)
end
if (os.getenv('NEAP_SANITIZE') or '') == '' then
    collectgarbage()
    collectgarbage('stop')
    local before = round(20)
    local now = round(100)
    collectgarbage('restart')
    tap.ok(now - before < 30, ('resident: %d MiB, then %d'):format(before, now))
end
raw.until_true(function() return httpd:stat().waiting == 0 end)
tap.ok(httpd:stop(1), 'nothing is left')
tap.done()
os.exit(0)
