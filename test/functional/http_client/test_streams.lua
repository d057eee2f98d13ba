-- Bodies in pieces, both ways, and what holds the other side back.
-- test: timeout 180, variants
local fiber = require('fiber')
local http = require('http.client')
local http_server = require('http.server')
local socket = require('socket')
local tap = require('tap')

local MIB = 1024 * 1024
local sent, received, released = 0, 0, nil
local httpd = http_server.new('127.0.0.1', 0, {
    log_requests = false, max_body_size = 256 * MIB, log_errors = function() end,
})
httpd:route({ path = '/lines' }, function()
    return { status = 200, body = 'one\ntwo\r\n\nlast', headers = { ['x-a'] = 'b' } }
end)
httpd:route({ path = '/pieces' }, function()
    local n = 0
    return { status = 200, trailers = { ['x-end'] = 'reached' }, body = function()
        n = n + 1
        fiber.sleep(0.005)
        return n <= 5 and 'piece ' .. n .. ';' or nil
    end }
end)
httpd:route({ path = '/flood' }, function()
    local chunk = ('x'):rep(65536)
    return { status = 200, body = function()
        sent = sent + #chunk
        return sent <= 64 * MIB and chunk or nil
    end }
end)
httpd:route({ path = '/sink', stream = true }, function(req)
    while released ~= nil do
        released:get()
    end
    while true do
        local piece = req:read(65536)
        if piece == nil or piece == '' then
            break
        end
        received = received + #piece
    end
    return { status = 200, body = tostring(received) }
end)
httpd:route({ path = '/echo', stream = true }, function(req)
    return { status = 200, body = function()
        local piece = req:read(1024)
        return piece ~= '' and piece or nil
    end }
end)
httpd:route({ path = '/refuse' }, function() return { status = 413, body = 'no' } end)
httpd:start()
local base = 'http://127.0.0.1:' .. httpd:port()

-- --- what comes ---

local s = assert(http.get(base .. '/lines', { chunked = true }))
tap.is(s.status, 200, 'the status is there')
tap.is(s.headers['x-a'], 'b', 'the headers are')
tap.is(s.proto[1], 1, 'the protocol is')
tap.is(s:read('\n'), 'one\n', 'up to a delimiter')
tap.is(s:read({ delimiter = { '\r\n', '\n' } }), 'two\r\n', 'of several')
tap.is(s:read({ chunk = 1, delimiter = 'x' }), '\n', 'or so many bytes')
tap.is(s:read(2), 'la', 'bytes')
tap.is(s:read('\n'), 'st', 'less at the end')
tap.is(s:read('\n'), '', 'and nothing behind it')
tap.is(s:read(10), '', 'ever')
s:close()
s:close()
tap.throws(function() s:read(1) end, 'is closed', 'a closed one')

s = assert(http.get(base .. '/pieces', { chunked = true }))
tap.is(s:read('1;'), 'piece 1;', 'as it comes')
local rest, n = '', 0
repeat
    local piece = s:read()
    rest, n = rest .. piece, n + 1
until piece == ''
tap.is(rest, 'piece 2;piece 3;piece 4;piece 5;', 'whatever is there')
tap.is(s.trailers and s.trailers['x-end'], 'reached', 'trailers')
s:close()
tap.is(http.get(base .. '/pieces').trailers['x-end'], 'reached', 'also of a whole one')

-- A reader that stops holds the server back.
s = assert(http.get(base .. '/flood', { chunked = true }))
tap.is(#s:read(1000), 1000, 'the first of many bytes')
local before = -1
while before ~= sent do
    before = sent
    fiber.sleep(0.3)
end
tap.ok(sent < 32 * MIB, ('it has sent %d of 64 MiB, and waits'):format(sent / MIB))
n = 1000
repeat
    local piece = s:read(300000)
    n = n + #piece
until piece == ''
tap.is(n, 64 * MIB, 'and goes on to the last byte')
s:close()

-- Longer than the window.
sent = 63 * MIB
s = assert(http.get(base .. '/flood', { chunked = true }))
tap.is(#s:read(MIB - 5), MIB - 5, 'more at once than is held back')
tap.is(#s:read('no such thing'), 5, 'or without the delimiter that it looks for')
s:close()

-- Times.
local server, address = socket.tcp_server('127.0.0.1', 0, function(peer)
    peer:read({ delimiter = '\r\n\r\n' }, 10)
    peer:write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
    peer:read(1, 30)
end)
local silent = 'http://127.0.0.1:' .. address.port
s = assert(http.get(silent, { chunked = true }))
local piece, err = s:read(5, 0.05)
tap.is(piece, nil, 'the time of a read is over')
tap.is(err.type, 'TimedOut', 'and it says so')
tap.is(s:read(3), 'abc', 'nothing is lost')
tap.ok(not pcall(fiber.deadline, 0.05, s.read, s, 1), 'the deadline ends it')
piece, err = s:read(1)
tap.ok(piece == nil and tostring(err):find('aborted'), 'for good')
s:close()
repeat -- which may be over before the head is there
    s = http.get(silent, { chunked = true, timeout = 0.1 })
until s
s:read(3)
piece, err = s:read(1)
tap.ok(piece == nil and err.type == 'TimedOut', 'the time of the request is over')
s:close()
-- Cut short: what came is read, then the error.
server:close()
server, address = socket.tcp_server('127.0.0.1', 0, function(peer)
    peer:read({ delimiter = '\r\n\r\n' }, 10)
    peer:write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
end)
s = assert(http.get('http://127.0.0.1:' .. address.port, { chunked = true }))
tap.is(s:read(3), 'abc', 'what came')
piece, err = s:read(5)
tap.ok(piece == nil and tostring(err):find('7 bytes remaining'), 'and that there is no more')
s:close()
server:close()

-- --- what goes ---

for _, method in ipairs({ 'post', 'put', 'patch' }) do
    s = assert(http[method](base .. '/sink', nil, { chunked = true }))
    received = 0
    tap.is(s:write('abc'), 3, method .. ': a piece')
    tap.is(s:write(''), 0, method .. ': an empty one')
    tap.is(s:write(('x'):rep(200000)), 200000, method .. ': a large one')
    tap.is(s.status, nil, method .. ': no answer yet')
    tap.ok(s:finish(), method .. ': the end')
    tap.is(s.status, 200, method .. ': the status')
    tap.is(s:read(100), '200003', method .. ': the answer')
    tap.throws(function() s:write('x') end, 'was sent', method .. ': no more')
    s:close()
end
tap.throws(function()
    local get = http.get(base .. '/lines', { chunked = true })
    get:write('x')
end, 'was sent', 'GET has no body')
s = http.post(base .. '/sink', nil, { chunked = true })
tap.throws(function() s:write(1) end, 'a string is wanted', 'a number is no piece')
s:close()

-- A server that does not read holds the writer back.
released, received = fiber.channel(0), 0
s = assert(http.post(base .. '/sink', nil, { chunked = true }))
local written = 0
local writer = fiber.new(function()
    for _ = 1, 64 * 16 do
        written = written + s:write(('y'):rep(65536))
    end
    return s:finish()
end)
writer:set_joinable(true)
before = -1
while before ~= written do
    before = written
    fiber.sleep(0.3)
end
tap.ok(written < 32 * MIB, ('%d of 64 MiB written'):format(written / MIB))
local gate = released
released = nil
gate:put(true)
tap.ok(select(2, writer:join()), 'and all of it when it reads')
tap.is(s:read(100), tostring(64 * MIB), 'every byte')
s:close()

-- Both at once.
-- So many bytes as its header says, and not in chunks.
local fields
httpd:route({ path = '/length', stream = true }, function(req)
    fields = { req:header('content-length'), req:header('transfer-encoding') }
    return req:read()
end)
for _, length in ipairs({ '8', 8, 200000 }) do
    s = assert(http.post(base .. '/length', nil,
        { chunked = true, headers = { ['content-length'] = length } }))
    tap.throws(function() s:finish() end, length .. ' bytes of the Content%-Length are left',
        'none is there yet')
    local text = ('x'):rep(length - 3)
    tap.is(s:write(text), length - 3, 'a part')
    tap.is(s:write('yyyyy'), 3, 'and what there is room for')
    tap.is(s:write('z') + s:write(''), 0, 'then nothing')
    tap.ok(s:read(1e6) == text .. 'yyy', 'the body has ended by itself')
    tap.ok(s:finish(), 'finish')
    tap.same(fields, { tostring(length) }, 'as the server was told')
    s:close()
end
s = assert(http.post(base .. '/echo', nil, { chunked = true }))
local early, why = s:read(1, 0.01)
tap.ok(early == nil and why.type == 'TimedOut', 'a time for a body whose answer has not begun')
tap.is(s:write('late') .. tostring(s:finish()) .. s:read(10), '4truelate', 'and nothing is lost')
s:close()
s = assert(http.put(base .. '/length', 'abc',
    { chunked = true, headers = { ['content-length'] = '3' } }))
tap.is(s:read(10), 'abc', 'of a body that is there')
tap.same(fields, { '3' }, 'too')
s:close()

s = assert(http.post(base .. '/echo', nil, { chunked = true }))
s:write(('a'):rep(1024))
tap.is(s:read(1024), ('a'):rep(1024), 'an answer before the end')
s:write(('b'):rep(1024))
tap.is(s:read(1024), ('b'):rep(1024), 'and another')
s:finish()
tap.is(s:read(1), '', 'until the end')
s:close()

-- An answer that did not wait for the body.
s = assert(http.post(base .. '/refuse', nil, { chunked = true }))
local ok
for _ = 1, 100 do
    n, err = s:write(('x'):rep(65536), 5)
    if n == nil or n < 65536 then
        break
    end
end
ok, err = s:finish(5)
tap.ok(not ok or s.status == 413, 'refused, or cut: ' .. tostring(ok and s.status or err))
s:close()

-- Streams that nobody closes end with their garbage, and a client in the middle.
for _ = 1, 50 do
    http.get(base .. '/pieces', { chunked = true })
    http.post(base .. '/sink', nil, { chunked = true })
    http.new():get(base .. '/pieces', { chunked = true })
end
collectgarbage()
collectgarbage()
tap.is(http.get(base .. '/lines').status, 200, 'others go on')
httpd:stop(1)
tap.done()
