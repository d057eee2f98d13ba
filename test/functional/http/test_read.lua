-- Bodies in pieces: what a handler reads while they come, what holds back the
-- peer, and what becomes of those that are not read, or not right.
-- test: timeout 120, variants
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local logged = {}
local httpd = http_server.new('127.0.0.1', 0, {
    max_body_size = 4000000, body_timeout = 5,
    log_errors = function(fmt, ...)
        logged[#logged + 1] = fmt:format(...)
    end,
})
local run
local ran = 0
httpd:route({ path = '/', stream = true }, function(req) return run(req) end)
httpd:route({ path = '/whole' }, function(req)
    ran = ran + 1
    return #req.body .. ' ' .. req:read(3) .. ' ' .. req.body:sub(1, 3)
end)
httpd:start()
local port = httpd:port()

local HEAD = 'POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n'
local LENGTH, CHUNKED = 'Content-Length: %d\r\n',
    'Transfer-Encoding: chunked\r\n'

local function start(fields, target)
    local peer = raw.connect(port)
    peer:send(HEAD:format(target or '/', fields))
    return peer
end

-- One answer of @peer with a Content-Length.
local function answer(peer)
    local text, ended = peer.kept or '', false
    while true do
        local head, body = text:match('^(.-\r\n\r\n)(.*)$')
        local length = head and tonumber(head:match('Content%-Length: (%d+)'))
        if ended or length and #body >= length then
            peer.kept = length and body:sub(length + 1)
            return raw.parse(length and head .. body:sub(1, length) or text)
        end
        local more
        more, ended = peer:read('')
        text = text .. more
    end
end

-- what the handler gets, wherever the bytes are cut
local function read_all(req)
    local parts = {}
    parts[1] = req:read(3)
    parts[2] = req:read('\n')
    parts[3] = req:read({ chunk = 4, delimiter = 'z' })
    parts[4] = req:read({ chunk = 100, delimiter = '--' })
    parts[5] = req:read()
    parts[6] = req:read()
    local trailers = req:trailers()
    return table.concat(parts, '|') .. '|' .. (trailers.sum or 'none')
end
local BODY = 'abcdef\n0123456-7--rest'
local WANTED = 'abc|def\n|0123|456-7--|rest||'
local messages = {
    [HEAD:format('/', LENGTH:format(#BODY)) .. BODY] = WANTED .. 'none',
    [HEAD:format('/', CHUNKED) .. '4;x=y\r\nabcd\r\n' ..
        ('%x\r\n%s\r\n'):format(#BODY - 4, BODY:sub(5)) ..
        '0\r\nSum: 7\r\n\r\n'] = WANTED .. '7',
}
run = read_all
for message, wanted in pairs(messages) do
    local wrong = 0
    for cut = 1, #message do
        local peer = raw.connect(port)
        peer:send(message:sub(1, cut))
        fiber.sleep(cut % 8 == 0 and 0.002 or 0)
        peer:send(message:sub(cut + 1) .. message)
        -- The second one is on the same connection.
        for _ = 1, 2 do
            local got = answer(peer).body
            if got ~= wanted then
                tap.diag(('cut at %d: %s'):format(cut, got))
                wrong = wrong + 1
            end
        end
        peer:close()
    end
    tap.is(wrong, 0, 'read in pieces, cut at every offset')
    local peer = raw.connect(port)
    for i = 1, #message do
        peer:send(message:sub(i, i))
        fiber.sleep(i % 4 == 0 and 0.001 or 0)
    end
    tap.is(answer(peer).body, wanted, 'byte by byte')
    peer:close()
end
tap.same(logged, {}, 'no errors')

-- it arrives while it is sent
local seen = {}
run = function(req)
    repeat
        local line = req:read('\n')
        seen[#seen + 1] = line
    until line == ''
    return 'read'
end
local peer = start(CHUNKED)
for i = 1, 5 do
    peer:send('2\r\n' .. i .. '\n\r\n')
    raw.until_true(function() return #seen == i end)
end
tap.is(table.concat(seen), '1\n2\n3\n4\n5\n', 'each line when it is sent')
peer:send('0\r\n\r\n')
tap.is(answer(peer).body, 'read', 'and the end')
peer:close()

-- echo, both ways at once
run = function(req)
    local w = req:stream()
    while true do
        local piece = req:read({ chunk = 1000, delimiter = '\n' })
        if piece == '' then
            break
        end
        w:write(piece)
    end
end
peer = start(CHUNKED)
peer:send('3\r\nab\n\r\n')
tap.like((peer:read('ab\n')), 'ab\n', 'what was sent comes back')
peer:send('3\r\ncd\n\r\n0\r\n\r\n')
tap.like((peer:read('0\r\n\r\n')), 'cd\n', 'before the end')
peer:send(HEAD:format('/whole', LENGTH:format(3)) .. 'xyz')
tap.is(answer(peer).body, '3 xyz xyz', 'and the connection goes on')
peer:close()

-- a route that does not read in pieces has the whole body, as ever
peer = start(LENGTH:format(300000), '/whole')
peer:send(('x'):rep(150000))
fiber.sleep(0.01)
tap.is(ran, 1, 'not called before the end')
peer:send(('x'):rep(150000))
tap.is(answer(peer).body, '300000 xxx xxx', 'but with all')
peer:close()
peer = start(LENGTH:format(300000), '/nowhere')
tap.is(answer(peer).status, 404, 'no route: said at once')
peer:close()

-- a slow handler holds back the peer
local go, waits = false, false
run = function(req)
    req:read(1)
    waits = true
    while not go do fiber.sleep(0.001) end
    local n = 1
    repeat
        local piece = req:read(50000)
        n = n + #piece
    until piece == ''
    return tostring(n)
end
local SIZE = 3900000
peer = start(LENGTH:format(SIZE))
local sent
local sender = fiber.new(function()
    peer:send(('y'):rep(SIZE))
    sent = true
end)
sender:set_joinable(true)
local last
raw.until_true(function() -- no more is read
    local before = last
    fiber.sleep(0.05)
    last = httpd:stat().bytes_in
    return waits and before == last
end)
local base = httpd:stat().bytes_in
tap.is(httpd:stat().waiting, 1, 'the handler waits')
go = true
sender:join()
tap.is(answer(peer).body, tostring(SIZE), 'then it reads all')
tap.ok(httpd:stat().bytes_in - base > SIZE - 3 * 65536,
    'most of which was not let in before')
peer:close()

-- timeouts, cancel, deadline
local late
run = function(req)
    local none, err = req:read(10, 0.01)
    assert(none == nil and err.type == 'TimedOut', 'no timeout')
    local ok
    ok, err = pcall(fiber.deadline, 0.01, function() req:read(10) end)
    assert(not ok and err.type == 'TimedOut', 'no deadline')
    ok, err = pcall(function() return req.body end)
    assert(not ok and tostring(err):find('pieces'), 'half a body')
    assert(req:trailers() == nil)
    late = true
    return req:read(10)
end
peer = start(LENGTH:format(10))
peer:send('01234')
raw.until_true(function() return late end)
peer:send('56789')
tap.is(answer(peer).body, '0123456789', 'nothing is lost by a timeout')
peer:close()
local self
run = function(req)
    self = fiber.self()
    req:read()
end
peer = start(LENGTH:format(10))
raw.until_true(function() return self end)
self:cancel()
tap.is(answer(peer).status, 503, 'a cancel reaches the reader')
peer:close()

-- Expect: 100-continue
run = function(req)
    if req.query == 'no' then
        return { status = 403 }
    end
    fiber.sleep(0.01)
    return req:read()
end
peer = start('Expect: 100-continue\r\n' .. LENGTH:format(3))
tap.is(peer:read('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n',
    'invited when the handler reads')
peer:send('abc')
tap.is(answer(peer).body, 'abc', 'and answered')
peer:close()
peer = start('Expect: 100-continue\r\n' .. LENGTH:format(3), '/?no')
local a = answer(peer)
tap.is(a.status, 403, 'or answered at once')
tap.is(a.headers.connection, 'close', 'and closed')
peer:close()
peer = start('Expect: 100-continue\r\n' .. LENGTH:format(3), '/whole')
tap.is(peer:read('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n',
    'invited for the whole body')
peer:send('abc')
tap.is(answer(peer).body, '3 abc abc', 'which comes')
peer:close()
peer = start('Expect: 100-continue\r\n' .. LENGTH:format(5000000))
tap.is(answer(peer).status, 413, 'too large: not invited')
peer:close()

-- what is wrong with a body is told the peer, and the reader
local function broken(f, name)
    local began, outcome
    run = function(req)
        began = true
        local _, err = req:read()
        outcome = { err, req:is_gone() }
        return 'not this'
    end
    local p = start(CHUNKED)
    f(p, function() raw.until_true(function() return began end) end)
    raw.until_true(function() return outcome end)
    tap.is(outcome[1].type, 'SystemError', name .. ': the reader is told')
    tap.is(outcome[2], true, name .. ': that it is over')
    return p, tostring(outcome[1])
end
local p, err = broken(function(p, until_read)
    p:send('3\r\nabc\r\n')
    until_read()
    p:send('zz\r\n')
end, 'a bad chunk')
tap.is(answer(p).status, 400, 'a bad chunk: 400')
p:close()
p, err = broken(function(p, until_read)
    p:send('3\r\nabc\r\n')
    until_read()
    p:send('3d0900\r\n')
end, 'too large in the middle')
tap.is(answer(p).status, 413, 'too large in the middle: 413')
tap.like(err, 'too large', 'the reader knows why')
p:close()
p = broken(function(p, until_read)
    p:send('3\r\nabc\r\n')
    until_read()
    p:send('0\r\nA : b\r\n\r\n')
end, 'a bad trailer')
tap.is(answer(p).status, 400, 'a bad trailer: 400')
p:close()
p = broken(function(p, until_read)
    p:send('3\r\nabc\r\n')
    until_read()
    p:shutdown()
end, 'an end in the middle')
p:close()
p = broken(function(p, until_read)
    p:send('3\r\nabc\r\n')
    until_read()
    p:reset()
end, 'a reset')
ran = 0
peer = start(CHUNKED, '/whole')
peer:send('3\r\nabc\r\nzz\r\n')
tap.is(answer(peer).status, 400, 'whole: refused')
tap.is(ran, 0, 'and no handler runs')
peer:close()

-- answered without reading: closed behind the answer, which arrives
run = function() return 'enough' end
for _, size in ipairs({ 100000, 3000000 }) do
    peer = start(LENGTH:format(size))
    local text
    local reader = fiber.new(function() text = peer:read() end)
    reader:set_joinable(true)
    peer:send(('x'):rep(size))
    peer:shutdown()
    reader:join()
    tap.like(text, 'Connection: close.*enough$',
        ('not read: %d bytes are dropped'):format(size))
    peer:close()
end
run = function(req)
    req:stream():finish()
end
peer = start(LENGTH:format(10))
tap.like((peer:read()), '\r\n0\r\n\r\n$', 'nor by a streamed answer')
peer:close()

-- no time for more
local impatient = http_server.new('127.0.0.1', 0, { body_timeout = 0.05 })
local outcome
impatient:route({ path = '/', stream = true }, function(req)
    outcome = { req:read() }
    return 'x'
end)
impatient:start()
peer = raw.connect(impatient:port())
peer:send(HEAD:format('/', LENGTH:format(10)) .. 'abc')
tap.is(answer(peer).status, 408, 'a body that does not come: 408')
raw.until_true(function() return outcome end)
tap.like(outcome[2], 'in time', 'and the reader knows')
peer:close()
tap.ok(impatient:stop(5), 'nothing is left')
tap.same(logged, {}, 'none of it is an error')
raw.until_true(function() return httpd:stat().waiting == 0 end)
tap.ok(httpd:stop(5), 'nothing is left of all')
tap.done()
os.exit(0)
