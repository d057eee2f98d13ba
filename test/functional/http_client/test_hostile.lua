-- Servers that are no good: bombs of all encodings, whole and in pieces, headers
-- without end, redirects in circles, ends at every byte, answers that nobody asked for;
-- and no time at all. What is kept of it has its bound.
-- test: timeout 180, soak 900
local fiber = require('fiber')
local fio = require('fio')
local http = require('http.client')
local http_server = require('http.server')
local raw = require('raw')
local socket = require('socket')
local tap = require('tap')

local MIB = 1024 * 1024
local SLACK = (os.getenv('NEAP_SANITIZE') or '') == '' and 1 or 8

-- One that says @answer, in these pieces, to whatever comes.
local function server_of(...)
    local pieces = { ... }
    local server, address = socket.tcp_server('127.0.0.1', 0, function(s)
        s:read({ delimiter = '\r\n\r\n' }, 20)
        for _, piece in ipairs(pieces) do
            if type(piece) == 'function' then
                piece(s)
            elseif s:write(piece, 20) == nil then
                return
            end
        end
    end)
    return 'http://127.0.0.1:' .. address.port .. '/', server
end

-- --- bombs ---

-- Zeros, as a server of ours packs them.
local packer = http_server.new('127.0.0.1', 0)
packer:route({ path = '/', compress = { types = { 'text/plain' } } }, function()
    local n, zeros = 0, ('\0'):rep(MIB)
    return { headers = { ['content-type'] = 'text/plain' }, body = function()
        n = n + 1
        return n <= 128 and zeros or nil
    end }
end)
packer:start()
for _, coding in ipairs({ 'gzip', 'br', 'zstd' }) do
    local text = raw.request(packer:port(), '/',
        { headers = 'Accept-Encoding: ' .. coding .. '\r\n' }).text
    if not text:lower():find('content-encoding: ' .. coding, 1, true) then
        tap.skip('a bomb of ' .. coding, 'nothing here makes one')
    else
        local url, server = server_of(text)
        local before, grown = tap.resident(), nil
        local opts = { accept_encoding = coding, max_body = MIB, timeout = 60 }
        local r, err = http.get(url, opts)
        tap.is(r, nil, ('%s: %.1f KiB that are 128 MiB'):format(coding, #text / 1024))
        tap.like(err, 'larger than 1048576 bytes', coding .. ': why')
        opts.chunked = true
        -- In pieces: the same limit, if it was given.
        local s, got = assert(http.get(url, opts)), 0
        repeat
            local piece
            piece, err = s:read(65536)
            got = got + #(piece or '')
        until piece == nil or piece == ''
        tap.like(err, 'larger than 1048576 bytes', coding .. ': a stream ends, too')
        tap.ok(got <= MIB, ('%s: with %d bytes'):format(coding, got))
        s:close()
        grown = tap.resident() - before
        tap.ok(grown < 16 * SLACK, ('%s: %.0f MiB are kept'):format(coding, grown))
        -- Without one nobody reads it, and no more comes than libcurl may keep.
        opts.max_body = nil
        s = assert(http.get(url, opts))
        tap.is(#s:read(1000), 1000, coding .. ': the first bytes')
        fiber.sleep(0.2)
        grown = tap.resident() - before
        tap.ok(grown < 100 * SLACK, ('%s: %.0f MiB are kept'):format(coding, grown))
        s:close()
        server:close()
    end
end
packer:stop(1)

-- What a decoder itself keeps is its window, which the server chooses: of zstd up to
-- 128 MiB, touched as it fills; a larger one is refused before a byte comes of it.
local function zstd_frame(log, blocks)
    local size = 131072
    local block = 2 + size * 8 -- one byte, so often
    local head = string.char(block % 256, math.floor(block / 256) % 256,
        math.floor(block / 65536))
    return '\x28\xb5\x2f\xfd\0' .. string.char((log - 10) * 8)
        .. (head .. 'x'):rep(blocks) .. '\1\0\0'
end
local function windowed(log, blocks)
    return server_of('HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nConnection: close\r\n\r\n',
        zstd_frame(log, blocks))
end
local url, server = windowed(27, 1200)
local opts = { accept_encoding = 'zstd', chunked = true, timeout = 60 }
local s, err = http.get(url, opts)
if s == nil and tostring(err):find('content encoding', 1, true) then
    tap.skip('windows of zstd', 'libcurl has none')
else
    local before, got, most, piece = tap.resident(), 0, 0, nil
    repeat
        piece = assert(s:read(1048576))
        got = got + #piece
        most = math.max(most, tap.resident() - before)
    until piece == ''
    tap.is(got, 1200 * 131072, '150 MiB of zstd come whole')
    tap.ok(most < 128 + 48 * SLACK, ('with a window of 128: %.0f MiB are kept'):format(most))
    s:close()
    server:close()
    url, server = windowed(28, 1)
    opts.chunked = nil
    s, err = http.get(url, opts)
    tap.is(s, nil, 'a larger window')
    tap.like(err, '[Ee]ncoding', 'is refused')
end
server:close()

-- What is there at the limit comes, and one byte more is too much.
for _, more in ipairs({ 0, 1 }) do
    local url, server = server_of(('HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n'):format(
        100000 + more), ('x'):rep(100000 + more))
    local s, got, err, piece = assert(http.get(url, { chunked = true,
        max_body = 100000 })), 0, nil, nil
    repeat
        piece, err = s:read(3000)
        got = got + #(piece or '')
    until piece == nil or piece == ''
    tap.is(err == nil, more == 0, 'a stream of the limit and ' .. more)
    tap.ok(got <= 100000, 'no more than that')
    s:close()
    server:close()
end

-- --- no time ---

local httpd = http_server.new('127.0.0.1', 0, { http2 = true })
httpd:route({ path = '/' }, function() return 'hello' end)
httpd:start()
local base = 'http://127.0.0.1:' .. httpd:port() .. '/'
for _ = 1, 20 do
    local r, err = http.get(base, { timeout = 0 })
    if r ~= nil or err.type ~= 'TimedOut' then
        tap.fail('no time: ' .. tostring(r and r.status or err))
    end
    local s
    s, err = http.get(base, { timeout = 0, chunked = true })
    if s ~= nil or err.type ~= 'TimedOut' then
        tap.fail('no time for a stream: ' .. tostring(s or err))
    end
end
tap.is(http.get(base).body, 'hello', 'but with some it is there')

-- The connection of HTTP/2 is used again, or another one made.
local client = http.new()
for i = 1, 5 do
    for _, version in ipairs({ '2-prior-knowledge', '1.1' }) do
        local r, err = client:get(base, { http_version = version, timeout = 20 })
        tap.is(r and r.proto[1], version == '1.1' and 1 or 2, ('%s, %d: %s'):format(
            version, i, tostring(err)))
    end
end

-- --- without end ---

local function forever(text)
    return function(s)
        while s:write(text, 20) do end
    end
end
local before = tap.resident()
for name, case in pairs({
    headers = { 'HTTP/1.1 200 OK\r\n', forever('X: ' .. ('y'):rep(1000) .. '\r\n'),
                'headers are larger than 262144' },
    ['one header'] = { 'HTTP/1.1 200 OK\r\nX: ', forever(('y'):rep(10000)), '.' },
    ['a status line'] = { 'HTTP/1.1 200 ', forever(('y'):rep(10000)), '.' },
    ['100s'] = { '', forever('HTTP/1.1 100 Continue\r\n\r\n'), '.' },
    ['103s'] = { '', forever('HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'), '.' },
    trailers = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n',
                 forever('X: ' .. ('y'):rep(1000) .. '\r\n'), '.' },
    ['a chunk size'] = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
                         forever('0'), '.' },
    ['a chunk extension'] = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;',
                              forever('x'), '.' },
    ['a body'] = { 'HTTP/1.1 200 OK\r\n\r\n', forever(('y'):rep(10000)),
                   'larger than 1048576 bytes' },
    ['a body of chunks'] = { 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
                             forever('1\r\nx\r\n'), 'larger than 10 bytes',
                             { max_body = 10 } },
    ['a body of a redirect'] = { 'HTTP/1.1 302 F\r\nLocation: /\r\n\r\n',
                                 forever(('y'):rep(10000)), '.' },
}) do
    local url, server = server_of(case[1], case[2])
    local opts = case[4] or { max_body = MIB }
    opts.timeout = 1
    local r, err = http.get(url, opts)
    tap.is(r, nil, 'no end of ' .. name)
    tap.like(err, case[3], 'no end of ' .. name .. ': ' .. tostring(err))
    server:close()
end
local grown = tap.resident() - before
tap.ok(grown < 24 * SLACK, ('%.1f MiB are kept'):format(grown))

-- --- redirects in circles, of length one to three ---

for length = 1, 3 do
    local seen = 0
    local ring = http_server.new('127.0.0.1', 0)
    ring:route({ path = '/:n' }, function(req)
        seen = seen + 1
        return { status = 302, headers = { location = '/'
            .. (tonumber(req:stash('n')) + 1) % length } }
    end)
    ring:start()
    local r, err = http.get('http://127.0.0.1:' .. ring:port() .. '/0')
    tap.is(r, nil, 'a circle of ' .. length)
    tap.like(err, 'redirects followed', 'is left')
    tap.is(seen, 11, 'after ten')
    ring:stop(1)
end
-- One that leads from HTTPS and names a password, and to another host: no header of
-- ours with a secret goes along.
local told = {}
local other = http_server.new('127.0.0.1', 0)
other:route({ path = '/' }, function(req)
    told = { auth = req:header('authorization'), cookie = req:header('cookie') }
    return 'ok'
end)
other:start()
local url, server = server_of(('HTTP/1.1 302 F\r\nLocation: http://localhost:%d/\r\n'
    .. 'Content-Length: 0\r\n\r\n'):format(other:port()))
http.get(url, { username = 'me', password = 'secret' })
tap.is(told.auth, nil, 'a password does not go to another host')
told = {}
http.get(url, { headers = { Authorization = 'Bearer secret', Cookie = 'a=b' } })
tap.is(told.auth, nil, 'nor does one in a header')
tap.is(told.cookie, nil, 'nor a cookie')
server:close()
other:stop(1)

-- --- an end at every byte ---

local answers = {
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
}
for i, text in ipairs(answers) do
    for _, how in ipairs({ 'closed', 'reset' }) do
        local cut
        local at
        at, server = server_of(function(s)
            s:write(text:sub(1, cut))
            if how == 'reset' then
                s:linger(true, 0)
            end
        end)
        local wrong = {}
        for n = 0, #text - 2 do -- libcurl takes a CR for the last line's end
            cut = n
            local r = http.get(at, { timeout = 20 })
            local s = http.get(at, { timeout = 20, chunked = true })
            local parts, piece, err = {}, nil, nil
            while s do
                piece, err = s:read(2)
                if piece == nil or piece == '' then break end
                parts[#parts + 1] = piece
            end
            if r ~= nil or s and err == nil then
                wrong[#wrong + 1] = n
            end
            if s then s:close() end
        end
        tap.same(wrong, {}, ('answer %d, %s after each byte: never whole'):format(i, how))
        server:close()
    end
end

-- Of a length that is none, or that is told twice, nobody knows where the end is.
for _, length in ipairs({ '+5', '-5', '0x5', '5x', '5 5', '5,6', '5,', ',5', '5;', '',
    '99999999999999999999', '5\r\nContent-Length: 3', '5\r\ncontent-length: 6' }) do
    local at, one = server_of('HTTP/1.1 200 OK\r\nContent-Length: ' .. length
        .. '\r\n\r\nhello!')
    for _, opts in ipairs({ {}, { chunked = true } }) do
        opts.timeout = 20
        local r, why = http.get(at, opts)
        tap.is(r, nil, 'no length: ' .. length)
        tap.like(why, 'Content%-Length', 'no length: ' .. length)
    end
    one:close()
end
for _, length in ipairs({ '5', ' 5 ', '05', '5, 5', '5\r\nContent-Length: 5' }) do
    local at, one = server_of('HTTP/1.1 200 OK\r\nContent-Length: ' .. length
        .. '\r\n\r\nhello!')
    tap.is(http.get(at, { timeout = 20 }).body, 'hello', 'a length: ' .. length)
    one:close()
end
-- A header that goes on in another line is one value still, and never another header.
url, server = server_of('HTTP/1.1 200 OK\r\nX-A: a\r\n b: c\r\n\t \r\nX-B: d\r\n'
    .. 'Content-Length: 0\r\n\r\n')
local folded = assert(http.get(url, { timeout = 20 })).headers
tap.is(folded['x-a'], 'a b: c', 'a folded header')
tap.is(folded['x-b'], 'd', 'and the next one')
server:close()

-- More than was promised: the rest is nobody's, and no answer to the next request.
local n = 0
url, server = server_of(function(s)
    n = n + 1
    s:write(('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d'):format(n)
        .. 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    s:read(1000, 20)
end)
for i = 1, 5 do
    local r, err = http.get(url, { timeout = 20 })
    if r then
        tap.is(r.body, tostring(n), 'what was not asked for is no answer, ' .. i)
    else
        tap.ok(err, 'or an error: ' .. tostring(err))
    end
end
server:close()

-- --- nothing is left ---

local function descriptors() return #fio.listdir('/proc/self/fd') end
local function round()
    local c = http.new()
    for _, how in ipairs({ 'headers', 'body', 'silence' }) do
        local at, one = server_of(how ~= 'silence' and 'HTTP/1.1 200 OK\r\n' or '',
            how == 'body' and 'Content-Length: 5\r\n\r\nhe' or '',
            function(s) s:linger(true, 0) end)
        for _ = 1, 5 do
            c:get(at, { timeout = 20 })
            c:get(at, { timeout = 20, chunked = true })
            c:post(at, nil, { chunked = true }):write('x')
        end
        one:close()
    end
end
local function settled()
    local now
    for _ = 1, 200 do
        collectgarbage()
        fiber.sleep(0.01)
        local last = now
        now = descriptors()
        if last == now and _ > 20 then break end
    end
    return now
end
round()
local fds = settled()
for _ = 1, tap.soak(200, 5) do
    round()
end
raw.until_true(function()
    collectgarbage()
    return descriptors() <= fds
end)
tap.ok(true, 'descriptors are level')
httpd:stop(1)
tap.done()
os.exit(0)
