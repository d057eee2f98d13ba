-- What goes wrong: usage, servers that are not there, that answer wrongly, slowly or
-- too much; the ends that a fiber may have in the middle.
-- test: timeout 180, variants
local errno = require('errno')
local fiber = require('fiber')
local fio = require('fio')
local http = require('http.client')
local raw = require('raw')
local socket = require('socket')
local tap = require('tap')

-- --- wrong usage throws ---

local function misuse(pattern, name, ...)
    local n, args = select('#', ...), { ... }
    local ok, err = pcall(function() return http.request(unpack(args, 1, n)) end)
    tap.ok(not ok and err.type == 'IllegalParams', name .. ': throws')
    tap.like(err, pattern, name)
end

misuse('the method is a word', 'no method')
misuse('the method is a word', 'a method with a space', 'GET / HTTP/1.1\r\nX:', 'http://a/')
misuse('URL is a string', 'no URL', 'GET')
misuse('URL is a string', 'a URL with a line end', 'GET', 'http://a/\r\nX: y')
misuse('URL is a string', 'a URL with a zero byte', 'GET', 'http://a/\0')
misuse('URL is a string', 'a URL with a space', 'GET', 'http://a/ b')
misuse('a string or a table, not function', 'a function as a body', 'POST', 'http://a/',
    print)
misuse('a string or a table, not cdata', 'a number of 64 bits', 'POST', 'http://a/', 1LL)
misuse('opts is a table', 'opts', 'GET', 'http://a/', nil, 1)
misuse('unknown option time_out', 'an unknown option', 'GET', 'http://a/', nil,
    { time_out = 1 })
misuse('option timeout: a number, 0 or more', 'a timeout', 'GET', 'http://a/', nil,
    { timeout = 'x' })
misuse('option timeout', 'NaN', 'GET', 'http://a/', nil, { timeout = 0 / 0 })
misuse('option ca_file: a string', 'a file', 'GET', 'http://a/', nil, { ca_file = 1 })
misuse('option ca_file: a string', 'a zero byte', 'GET', 'http://a/', nil,
    { ca_file = 'a\0b' })
misuse('option verify_peer: true or false', 'a boolean', 'GET', 'http://a/', nil,
    { verify_peer = 0 })
misuse('option http_version', 'a version', 'GET', 'http://a/', nil,
    { http_version = '9' })
misuse('a header has a name', 'a header without a name', 'GET', 'http://a/', nil,
    { headers = { [''] = 'x' } })
misuse('a header has a name', 'a header with a line end', 'GET', 'http://a/', nil,
    { headers = { ['a\r\nb'] = 'x' } })
misuse('its value has a line end', 'a value with one', 'GET', 'http://a/', nil,
    { headers = { a = 'x\r\nEvil: 1' } })
misuse('its value has a line end', 'a value with a zero byte', 'GET', 'http://a/', nil,
    { headers = { a = 'x\0' } })
for _, value in ipairs({ 'x', '-1', '1x', '', '1.5', '9999999999999999' }) do
    misuse('Content%-Length header value must be', 'a length of ' .. value, 'POST',
        'http://a/', nil, { headers = { ['content-Length'] = value } })
end
for _, headers in ipairs({ { ['content-length'] = { 2, 2 } },
                            { ['Content-Length'] = 2, ['content-length'] = 2 } }) do
    misuse('Content%-Length is given twice', 'a length that is there twice', 'POST',
        'http://a/', 'ab', { headers = headers })
end
misuse('Content%-Length is 3, and the body has 2 bytes', 'another length than that',
    'POST', 'http://a/', 'ab', { headers = { ['Content-Length'] = '3' } })
misuse('and the body has 0 bytes', 'a length without a body', 'POST', 'http://a/', nil,
    { headers = { ['Content-Length'] = 3 } })
for _, value in ipairs({ true, print, { { 'a' } }, require('json').NULL }) do
    misuse('a string or a number, not ' .. type(type(value) == 'table' and value[1] or value),
        'a header that is neither', 'GET', 'http://a/', nil, { headers = { a = value } })
end
misuse('params are the body', 'two bodies', 'POST', 'http://a/', 'x',
    { params = { a = 1 } })
misuse('params: a is a string', 'a parameter', 'GET', 'http://a/', nil,
    { params = { a = { {} } } })
misuse('option max_body: a number, 1 or more', 'no body at all', 'GET', 'http://a/', nil,
    { max_body = 0 })
tap.throws(function() http.new(1) end, 'opts is a table', 'new: no table')
tap.throws(function() http.new({ a = 1 }) end, 'unknown option a', 'new: unknown')
tap.throws(function() http.new({ max_connections = 0 }) end, '1 or more', 'new: none')
tap.throws(function() http.new().get('http://a/') end, 'with a colon', 'no colon')

-- --- servers ---

-- One that says @answer to whatever comes, and closes the connection.
local function server_of(answer)
    local server, address = socket.tcp_server('127.0.0.1', 0, function(s)
        s:read({ delimiter = '\r\n\r\n' }, 10)
        if type(answer) == 'function' then
            answer(s)
        else
            s:write(answer)
        end
    end)
    return 'http://127.0.0.1:' .. address.port .. '/p?secret', server
end

local function fails(name, kind, pattern, url, opts)
    local before = fiber.clock()
    local r, err = http.get(url, opts)
    tap.is(r, nil, name .. ': no response')
    tap.is(err and err.type, kind, name .. ': type')
    tap.like(err, pattern, name .. ': text')
    tap.like(err, '^http%.client: GET ', name .. ': names the request')
    tap.ok(not tostring(err):find('secret'), name .. ': and not its query')
    return err, fiber.clock() - before
end

local err = fails('refused', 'SystemError', '127%.0%.0%.1', 'http://127.0.0.1:1/?secret')
tap.is(err.errno, errno.ECONNREFUSED, 'refused: errno')
fails('a password', 'SystemError', 'GET http://127%.0%.0%.1:1/x: ',
    'http://me:secret@127.0.0.1:1/x')
for _, given in ipairs({ 'me:secret@127.0.0.1:1/x', 'http:///me:secret@127.0.0.1:1/x' }) do
    fails('a password of ' .. given, 'SystemError', '127%.0%.0%.1:1/x: ', given)
end
for _, given in ipairs({ 'sec/ret', 's/ecret', '1s/ecret' }) do
    local _, why = http.get('http://me:' .. given .. '@127.0.0.1:1/x')
    tap.ok(why and not tostring(why):find('cret') and not tostring(why):find('sec/'),
        'a password with a slash: ' .. tostring(why))
end
fails('no such host', 'ClientError', 'resolve', 'http://no-such-host.invalid/')
fails('another protocol', 'ClientError', 'not supported', 'file:///etc/passwd')
fails('no URL', 'ClientError', 'URL', 'http://')
fails('no unix socket', 'SystemError', 'No such file', 'http://a/',
    { unix_socket = '/no/such/socket' })

-- Away to where nobody wanted to go.
local url, server = server_of('HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\n' ..
    'Content-Length: 0\r\n\r\n')
fails('redirected to a file', 'ClientError', 'not supported', url)
server:close()

-- To nowhere: that is the response.
url, server = server_of('HTTP/1.1 302 F\r\nLocation: \r\nContent-Length: 2\r\n\r\nok')
local answer = http.get(url)
tap.is(answer and answer.status, 302, 'an empty Location')
tap.is(answer and answer.body, 'ok', 'an empty Location: its body')
server:close()

-- Wrong usage of what has come.
url, server = server_of('HTTP/1.1 200 OK\r\nContent-Type: ;\r\n' ..
    'Content-Length: 2\r\n\r\n{}')
answer = http.get(url)
tap.throws(function() answer:decode() end, 'http.client: no decoder', 'no content type')
local io_ = http.get(url, { chunked = true })
for name, chunk in pairs({ ['less than none'] = -1, NaN = 0 / 0, ['a text'] = 'x' }) do
    tap.throws(function() io_:read({ chunk = chunk }) end, 'stream:read%(limit',
        'chunk: ' .. name)
end
tap.throws(function() io_:read(1, 'x') end, 'a timeout is a number', 'a text as a timeout')
tap.throws(function() io_:read(1, 0 / 0) end, 'a timeout is a number', 'NaN as one')
tap.is(io_:read({ chunk = math.huge }), '{}', 'and it can be read')
io_:close()
server:close()

for name, case in pairs({
    nothing = { '', 'Empty reply' },
    garbage = { 'SSH-2.0-OpenSSH\r\n', 'HTTP/0.9' },
    ['half a head'] = { 'HTTP/1.1 200 OK\r\nContent-Le',
                        'ended within its headers' },
    ['half a body'] = { 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
                        'bytes remaining' },
    ['half a chunk'] = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' ..
                         'a\r\nhalf', 'outstanding' },
    ['a chunk of no size'] = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' ..
                               'zz\r\n', '[Cc]hunk' },
    ['endless headers'] = { 'HTTP/1.1 200 OK\r\n' ..
                            ('X-Field: ' .. ('y'):rep(1000) .. '\r\n'):rep(400) ..
                            '\r\n', 'headers are larger than 262144 bytes' },
    ['a long line'] = { 'HTTP/1.1 200 OK\r\nX: ' .. ('y'):rep(110000) .. '\r\n\r\n',
                        'a line of more than 100 KB' },
    ['a long first line'] = { 'HTTP/1.1 200 ' .. ('y'):rep(110000) .. '\r\n\r\n',
                              'a line of more than 100 KB' },
    ['a long trailer'] = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' ..
                           '0\r\nX: ' .. ('y'):rep(5000) .. '\r\n\r\n',
                           'trailers have a line of more than 4 KB' },
    ['no gzip'] = { 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n' ..
                    'Content-Length: 4\r\n\r\nabcd', 'unencoding' },
}) do
    url, server = server_of(case[1])
    fails(name, 'ClientError', case[2], url, { accept_encoding = 'gzip' })
    server:close()
end

-- Too much.
url, server = server_of('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n' ..
    ('x'):rep(100000))
fails('a large body', 'ClientError', 'larger than 99999 bytes', url, { max_body = 99999 })
tap.is(#http.get(url, { max_body = 100000 }).body, 100000, 'just not too large')
server:close()

-- Too slow: from the first byte on, in the headers, in the body.
for name, first in pairs({ silence = '', ['slow headers'] = 'HTTP/1.1 200 OK\r\n',
    ['a slow body'] = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab' }) do
    url, server = server_of(function(s)
        s:write(first)
        s:read(1, 30)
    end)
    fails(name, 'TimedOut', 'no response within 0.2 seconds', url, { timeout = 0.2 })
    local ok, why = pcall(fiber.deadline, 0.2, http.get, url)
    tap.ok(not ok and why.type == 'TimedOut', name .. ': the deadline throws')
    local f = fiber.new(function() http.get(url) end)
    f:set_joinable(true)
    fiber.sleep(0.1)
    f:cancel()
    ok, why = f:join()
    tap.ok(not ok and why.type == 'FiberIsCancelled', name .. ': so does a cancel')
    server:close()
end

-- Reset in the middle.
url, server = server_of(function(s)
    s:write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab')
    fiber.sleep(0.05)
    s:linger(true, 0)
    s:close()
end)
err = fails('a reset', 'SystemError', 'reset', url)
tap.is(err.errno, errno.ECONNRESET, 'a reset: errno')
server:close()

-- The connection that was kept is gone: another one is made.
local count = 0
server = socket.tcp_server('127.0.0.1', 0, function(s)
    count = count + 1
    s:read({ delimiter = '\r\n\r\n' }, 10)
    s:write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
end)
local address = server:name()
for _ = 1, 5 do
    local r = http.get('http://127.0.0.1:' .. address.port)
    tap.is(r and r.body, 'ok', 'though the last one was closed')
    fiber.sleep(0.01)
end
tap.is(count, 5, 'five connections')
server:close()

-- --- nothing is left ---

local function descriptors() return #fio.listdir('/proc/self/fd') end
url, server = server_of(function(s) s:read(1, 30) end)
local kept = {}
local function round(keep)
    local client = http.new()
    for _ = 1, 5 do
        client:get(url, { timeout = 0.01 })
        client:get('http://127.0.0.1:1/')
    end
    pcall(fiber.deadline, 0.01, client.get, client, url)
    -- Begun, and nobody reads it.
    local s = fiber.create(function() client:get(url) end)
    fiber.sleep(0.01)
    pcall(s.cancel, s)
    if keep then
        -- A stream that nobody closes.
        kept[#kept + 1] = client:post(url, nil, { chunked = true })
        kept[#kept]:write('x')
        fiber.sleep(0.05)
    end
    fiber.sleep(0.01)
end
local function settled()
    local calm, last = 0, -1
    while calm < 10 do
        collectgarbage()
        fiber.sleep(0.02)
        local now = descriptors()
        calm = now == last and calm + 1 or 0
        last = now
    end
    return last
end
round()
local before = settled()
for _ = 1, 20 do
    round()
end
raw.until_true(function()
    collectgarbage()
    return descriptors() <= before
end)
tap.ok(true, 'descriptors are level')
round(true)
tap.ok(settled() > before, 'and one that is kept is seen')
kept[1]:close()
server:close()
kept = nil
tap.done()
