-- Answers in pieces: what goes over the wire, and what holds the writer back.
-- test: timeout 120, variants
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local logged = {}
local httpd = http_server.new('127.0.0.1', 0, {
    log_errors = function(fmt, ...)
        logged[#logged + 1] = fmt:format(...)
    end,
})
local run
httpd:route({ path = '/' }, function(req) return run(req) end)
httpd:start()
local port = httpd:port()

-- What comes back for @head; the connection is closed behind it.
local function exchange(f, line, fields)
    run = f
    local peer = raw.connect(port)
    peer:send((line or 'GET / HTTP/1.1') .. '\r\nHost: a\r\n' ..
        (fields or 'Connection: close\r\n') .. '\r\n')
    local text = peer:read()
    peer:close()
    local head, body = text:match('^(.-\r\n)\r\n(.*)$')
    return head or text, body, text
end

-- The bytes of a chunked body, its trailers, or nil when it is cut.
local function unchunk(text)
    local parts, at = {}, 1
    while true do
        local from, to, size = text:find('^(%x+)\r\n', at)
        if from == nil then
            return nil, parts
        end
        size = tonumber(size, 16)
        if size == 0 then
            return table.concat(parts), text:sub(to + 1)
        end
        parts[#parts + 1] = text:sub(to + 1, to + size)
        if text:sub(to + size + 1, to + size + 2) ~= '\r\n' then
            return nil, parts
        end
        at = to + size + 3
    end
end

local function counter(count, f)
    local n = 0
    return function()
        n = n + 1
        if f then
            f(n)
        end
        return n <= count and 'chunk ' .. n .. '\n' or nil
    end
end

-- generators
local head, body = exchange(function() return { body = counter(3) } end)
tap.like(head, 'HTTP/1.1 200 OK.*Transfer%-Encoding: chunked', 'chunked')
tap.unlike(head, 'Content%-Length', 'without a length')
tap.like(head, 'Content%-Type: text/plain', 'of some type')
tap.is(body, '8\r\nchunk 1\n\r\n8\r\nchunk 2\n\r\n8\r\nchunk 3\n\r\n0\r\n\r\n',
    'byte by byte')
head, body = exchange(function()
    return { status = 201, headers = { ['x-a'] = 1 },
             body = counter(3, function() fiber.sleep(0.001) end),
             trailers = function() return { ['x-sum'] = 6 } end }
end)
tap.like(head, '^HTTP/1.1 201.*x%-a: 1', 'status and fields')
local all, trailers = unchunk(body)
tap.is(all, 'chunk 1\nchunk 2\nchunk 3\n', 'chunks that take time')
tap.is(trailers, 'x-sum: 6\r\n\r\n', 'and trailers')
head, body = exchange(function() return { body = counter(0) } end)
tap.is(body, '0\r\n\r\n', 'no chunk at all')
head, body = exchange(function()
    local list = { 'a', '', 'b' }
    return { body = function() return table.remove(list, 1) end }
end)
tap.is(unchunk(body), 'ab', 'an empty chunk is none')
head, body = exchange(function()
    return { body = { gen = ipairs({}), param = { 'x', 'y' }, state = 0 } }
end)
tap.is(unchunk(body), 'xy', 'an iterator')
head, body = exchange(function() return { body = counter(2) } end,
    'GET / HTTP/1.0')
tap.unlike(head, 'Transfer%-Encoding', 'HTTP/1.0 knows no chunks')
tap.like(head, 'Connection: close', 'the connection ends')
tap.is(body, 'chunk 1\nchunk 2\n', 'with the body')
head, body = exchange(function()
    return { headers = { ['content-length'] = 16 }, body = counter(2) }
end, 'GET / HTTP/1.0')
tap.like(head, 'Content%-Length: 16', 'a length that is given')
tap.is(body, 'chunk 1\nchunk 2\n', 'is kept')
local called = 0
for _, version in ipairs({ '0', '1' }) do
    head, body = exchange(function()
        return { body = function() called = called + 1 end }
    end, 'HEAD / HTTP/1.' .. version)
    tap.is(body, '', 'HEAD: no body in 1.' .. version)
end
tap.is(called, 0, 'and the generator is not run')
head, body = exchange(function()
    return { headers = { ['content-length'] = 5 }, body = function() end }
end, 'HEAD / HTTP/1.1')
tap.like(head, 'Content%-Length: 5', 'HEAD: with the length')
head, body = exchange(function()
    return { status = 204, body = counter(1) }
end)
tap.is(body, '', 'a status without a body')
tap.unlike(head, 'Transfer', 'nor a framing')

-- writers
head, body = exchange(function(req)
    local w = req:stream({ status = 202, headers = { a = 'b' } })
    w:write('one')
    w:write(2)
    w:write('')
    fiber.sleep(0.001)
    w:write('three')
    assert(w:finish({ t = 'u' }) == true)
    local ok, err = w:write('more')
    assert(ok == nil and err, 'written behind the end')
    ok, err = w:finish()
    assert(ok == nil and err, 'ended twice')
end)
tap.like(head, '^HTTP/1.1 202.*a: b', 'a writer: its head')
all, trailers = unchunk(body)
tap.is(all, 'one2three', 'its body')
tap.is(trailers, 't: u\r\n\r\n', 'its trailers')
head, body = exchange(function(req) req:stream():write('x') end)
tap.is(unchunk(body), 'x', 'the end of the handler is the end')
head, body = exchange(function(req)
    local w = req:stream()
    w:write('x')
    w:finish()
end, 'HEAD / HTTP/1.1')
tap.is(body, '', 'HEAD: nothing of it')
local big = ('0123456789abcdef'):rep(65536)
head, body = exchange(function(req)
    local w = req:stream()
    w:write(big)
    w:write('end')
end)
all = unchunk(body)
tap.ok(all == big .. 'end', 'a chunk of a megabyte')
tap.same(logged, {}, 'nothing to complain of')

-- the next requests of the connection wait for the end
run = function(req)
    if req.query == 'a' then
        local w = req:stream()
        for i = 1, 5 do
            w:write('a' .. i)
            fiber.sleep(0.001)
        end
    else
        return { body = counter(1) }
    end
end
local peer = raw.connect(port)
local GET = 'GET /?%s HTTP/1.1\r\nHost: a\r\n\r\n'
peer:send(GET:format('a') .. GET:format('b') .. GET:format('a'))
local text = peer:read('\r\n0\r\n\r\n', 3)
local order = {}
for what in text:gmatch('\r\n(a?%d?c?h?u?n?k? ?%d?)\n?\r\n') do
    if what:find('^[ac]') then
        order[#order + 1] = what:sub(1, 2)
    end
end
tap.is(table.concat(order, ' '), 'a1 a2 a3 a4 a5 ch a1 a2 a3 a4 a5',
    'in order, on one connection')
peer:close()

-- what is wrong
local function fails(f, what, name, ...)
    logged = {}
    local h, b = exchange(f, ...)
    raw.until_true(function() return #logged > 0 end)
    tap.is(#logged, 1, name .. ': said once')
    tap.like(logged[1], what, name)
    return h, b
end
head, body = fails(function()
    return { body = counter(3, function(n)
        if n == 2 then error('a generator fails') end
    end) }
end, 'a generator fails.*traceback', 'an error after the head')
tap.like(head, '^HTTP/1.1 200', 'cannot change the status')
local ended, parts = unchunk(body)
tap.is(ended, nil, 'but shows, as the last chunk is missing')
tap.is(parts[1], 'chunk 1\n', 'what was written has come')
head, body = fails(function()
    return { headers = { ['content-length'] = 20 }, body = counter(2) }
end, 'ends before its Content%-Length', 'too few bytes')
tap.is(body, 'chunk 1\nchunk 2\n', 'are all there is')
head, body = fails(function()
    return { headers = { ['content-length'] = 10 }, body = counter(2) }
end, 'longer than its Content%-Length', 'too many bytes')
tap.is(body, 'chunk 1\n', 'are not sent')
head = fails(function()
    return { headers = { ['content-length'] = 'x' }, body = counter(2) }
end, 'no whole number', 'a length that is none')
tap.like(head, '^HTTP/1.1 500', 'before the head: 500')
fails(function() return { body = function() return {} end } end,
    'a chunk that is a table', 'a chunk of the wrong type')
head = fails(function() return { headers = { a = 'b\n' }, body = counter(1) } end,
    'control character', 'a field that cannot be sent')
tap.like(head, '^HTTP/1.1 500', 'is found before the head')
fails(function(req) req:stream() return 'x' end, 'streamed already',
    'a stream and a body')
fails(function(req) req:stream() req:stream() end, 'answered already',
    'two streams')
fails(function(req) req:stream():write({}) end, 'a string is wanted',
    'a table written')
fails(function(req) req:stream():finish({ a = 'b\r\n' }) end,
    'control character', 'trailers that cannot be sent')
head = fails(function(req) req:stream({ status = 99 }) end, '200 .. 599',
    'a wrong status')
tap.like(head, '^HTTP/1.1 500', 'is a 500')
fails(function(req)
    req:stream():finish()
    error('too late')
end, 'too late', 'an error after the end')
head, body = fails(function()
    return { body = counter(2, function(n)
        if n == 2 then error('no more') end
    end) }
end, 'no more', 'an error to HTTP/1.0', 'GET / HTTP/1.0')
logged = {}

-- cancel and deadline
for _, how in ipairs({ 'cancel', 'deadline' }) do
    local self, outcome
    run = function(req)
        self = fiber.self()
        local w = req:stream()
        local function pour()
            while true do
                assert(w:write(big))
            end
        end
        local ok, err
        if how == 'deadline' then
            ok, err = pcall(fiber.deadline, 0.05, pour)
        else
            ok, err = pcall(pour)
        end
        outcome = err
        error(err, 0)
    end
    peer = raw.connect(port, { rcvbuf = 4096 })
    peer:send(GET:format(''))
    if how == 'cancel' then
        raw.until_true(function()
            return self and httpd:stat().bytes_out > 0
        end)
        fiber.sleep(0.02)
        self:cancel()
    end
    raw.until_true(function() return outcome end)
    tap.is(outcome.type, how == 'cancel' and 'FiberIsCancelled' or 'TimedOut',
        how .. ' reaches one who waits for the peer')
    text = peer:read()
    tap.is(unchunk((text:gsub('^.-\r\n\r\n', '', 1))), nil, 'which is cut off')
    peer:close()
    raw.until_true(function() return httpd:stat().connections == 0 end)
end

-- the peer goes
for _, how in ipairs({ 'close', 'reset' }) do
    logged = {}
    local result, rounds = nil, 0
    run = function(req)
        local w = req:stream()
        local ok, err
        repeat
            ok, err = w:write(big)
            rounds = rounds + 1
        until not ok
        result = { ok, err, req:is_gone() }
    end
    peer = raw.connect(port)
    peer:send(GET:format(''))
    peer:read('0123')
    peer[how](peer)
    raw.until_true(function() return result end)
    tap.is(result[1], nil, how .. ': write() is told')
    tap.is(result[2].type, 'SystemError', 'by an error object')
    tap.is(result[3], true, 'the request is gone')
    local n = 0
    run = function()
        return { body = function()
            n = n + 1
            return big
        end }
    end
    peer = raw.connect(port)
    peer:send(GET:format(''))
    peer:read('0123')
    peer[how](peer)
    raw.until_true(function() return httpd:stat().waiting == 0 end)
    local before = n
    fiber.sleep(0.02)
    tap.is(n, before, how .. ': the generator is not called any more')
    tap.same(logged, {}, 'which is no error')
end

-- The handler gives it up: before an answer, in the middle of one, and behind it.
for _, begun in ipairs({ false, true }) do
    logged = {}
    run = function(req)
        if begun then req:stream():write('the first piece') end
        req:abort()
        req:abort()
    end
    peer = raw.connect(port)
    peer:send(GET:format(''):rep(2))
    local bytes, ended = peer:read()
    tap.is(ended, true, 'abort: the connection is closed')
    tap.is(bytes:find('the first piece', 1, true) ~= nil, begun,
        'abort: what was written before was sent')
    tap.is(select(2, bytes:gsub('HTTP/1', '')), begun and 1 or 0,
        'abort: and no more')
    tap.same(logged, {}, 'abort: no error')
    peer:close()
end

-- a stop in the middle
local go = false
run = function()
    return { body = counter(3, function(k)
        while k == 3 and not go do fiber.sleep(0.001) end
    end) }
end
peer = raw.connect(port)
peer:send(GET:format(''))
peer:read('chunk 2')
local stopped
fiber.create(function() stopped = httpd:stop(20) end)
go = true
text = peer:read()
tap.like(text, 'chunk 3\n\r\n0\r\n\r\n$', 'a stop waits for the last chunk')
raw.until_true(function() return stopped ~= nil end)
tap.is(stopped, true, 'nothing was cut')
peer:close()
httpd:start()
port = httpd:port()
local outcome
run = function(req)
    local w = req:stream()
    local ok, err
    repeat ok, err = w:write(big) until not ok
    outcome = err
end
peer = raw.connect(port, { rcvbuf = 4096 })
peer:send(GET:format(''))
raw.until_true(function() return httpd:stat().waiting == 1 end)
tap.is(httpd:stop(0.02), false, 'its deadline cuts')
raw.until_true(function() return outcome end)
tap.is(outcome.type, 'SystemError', 'and the writer is told')
peer:close()
tap.done()
os.exit(0)
