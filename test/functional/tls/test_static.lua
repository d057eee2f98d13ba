-- Files over TLS, by HTTP/1.1 and HTTP/2: ranges, conditions, one that is cut while it is
-- sent, one that is replaced, readers that leave and those that hardly read; memory and
-- descriptors are level. The kernel's sendfile() has no part in these.
-- test: timeout 120
local fiber = require('fiber')
local fio = require('fio')
local http = require('http.client')
local http_server = require('http.server')
local raw = require('raw')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local MIB = 1048576
local SLACK = (os.getenv('NEAP_SANITIZE') or '') == '' and 1 or 8
local root = fio.tempdir()
local function make(name, size)
    local part, f = {}, assert(io.open(root .. '/' .. name, 'w'))
    for i = 1, 8192 do
        part[i] = ('%s %8d\n'):format(name:sub(1, 3), i)
    end
    part = table.concat(part)
    for at = 0, size - 1, #part do
        f:write(part:sub(1, math.min(#part, size - at)))
    end
    f:close()
    f = assert(io.open(root .. '/' .. name))
    local text = f:read('*a')
    f:close()
    return text
end

local httpd = http_server.new('127.0.0.1', 0, { tls = rig.own('server') })
httpd:static('/', root)
httpd:start()
local port = httpd:port()
local base, ca = 'https://localhost:' .. port, rig.pem('ca')

local function descriptors() return #fio.listdir('/proc/self/fd') end

-- --- what comes ---

local texts = { small = make('small', 1000), edge = make('edge', 65536),
                large = make('large', 5 * MIB + 7) }
for _, version in ipairs({ '1.1', '2' }) do
    local client = http.new()
    local function get(path, headers, method)
        return assert(client:request(method or 'GET', base .. path, nil,
            { ca_file = ca, http_version = version, headers = headers, timeout = 60 }))
    end
    for name, text in pairs(texts) do
        local what = ('HTTP/%s, %s: '):format(version, name)
        local r = get('/' .. name)
        tap.is(r.proto[1], tonumber(version:sub(1, 1)), what .. 'the version')
        tap.ok(r.status == 200 and r.body == text, what .. 'all of it')
        local etag = r.headers.etag
        r = get('/' .. name, nil, 'HEAD')
        tap.is(r.headers['content-length'], tostring(#text), what .. 'HEAD')
        tap.is(get('/' .. name, { ['If-None-Match'] = etag }).status, 304, what .. '304')
        for _, range in ipairs({ { 0, 0 }, { 10, 99 }, { #text - 5, #text - 1 },
                                 { 1, #text - 2 } }) do
            r = get('/' .. name, { Range = ('bytes=%d-%d'):format(range[1], range[2]) })
            tap.ok(r.status == 206 and r.body == text:sub(range[1] + 1, range[2] + 1),
                what .. ('%d to %d'):format(range[1], range[2]))
        end
        r = get('/' .. name, { Range = 'bytes=0-9,20-29' })
        tap.ok(r.status == 206 and r.body:find(text:sub(1, 10), 1, true)
            and r.body:find(text:sub(21, 30), 1, true), what .. 'two ranges')
        tap.is(get('/' .. name, { Range = ('bytes=%d-'):format(#text) }).status, 416,
            what .. 'behind its end')
        tap.is(get('/' .. name, { Range = 'bytes=0-1', ['If-Range'] = '"x"' }).status,
            200, what .. 'of another one')
    end
    tap.is(get('/../' .. fio.basename(root)).status, 404, 'nothing outside')
end

-- --- while it is sent ---

-- A peer that has read the head and waits.
local function ask(path)
    local s = assert(socket.tcp_connect('127.0.0.1', port, { timeout = 60,
        tls = { ca_file = ca, server_name = 'localhost' } }))
    s:write(('GET %s HTTP/1.1\r\nHost: a\r\n\r\n'):format(path))
    local head = assert(s:read('\r\n\r\n', 60))
    return s, tonumber(head:match('Content%-Length: (%d+)'))
end

-- What comes until the end: how much, or nil and why.
local function drain(s, size)
    local got, err = 0, nil
    while got < size do
        local piece
        piece, err = s:read({ chunk = math.min(65536, size - got) }, 60)
        if piece == nil or piece == '' then break end
        got = got + #piece
    end
    return got, err
end

make('cut', 16 * MIB)
local s, size = ask('/cut')
fio.truncate(root .. '/cut', 2 * MIB)
local got, err = drain(s, size)
tap.ok(got < size, ('cut while it is sent: %d of %d came'):format(got, size))
tap.ok(err ~= nil, 'and it was no orderly end: ' .. tostring(err))
s:close()

local stream = http.get(base .. '/large', { ca_file = ca, http_version = '2',
    chunked = true, timeout = 60 })
local first = stream:read(1000)
fio.truncate(root .. '/large', MIB)
local rest, piece, why = #first, nil, nil
repeat
    piece, why = stream:read(65536)
    rest = rest + #(piece or '')
until piece == nil or piece == ''
tap.ok(rest < #texts.large and why, ('HTTP/2: %d came, %s'):format(rest, tostring(why)))
stream:close()

make('new', 16 * MIB)
s, size = ask('/new')
os.remove(root .. '/new')
make('new', 1000)
tap.is(drain(s, size), 16 * MIB, 'one that is replaced comes whole')
s:close()

-- --- level ---

make('big', 16 * MIB)
local function round(count)
    local peers = {}
    for i = 1, count do
        peers[i] = ask('/big')
    end
    local full = tap.resident()
    for i, peer in ipairs(peers) do
        if i % 2 == 0 then
            peer:linger(true, 0)
        end
        peer:close()
    end
    raw.until_true(function()
        return httpd:stat().connections == 0 and httpd:stat().waiting == 0
    end)
    return full
end
http.get(base .. '/small', { ca_file = ca, headers = { Connection = 'close' } })
collectgarbage()
collectgarbage()
raw.until_true(function() -- those of http.client have been idle, and are not kept
    return httpd:stat().waiting == 0
end)
httpd:stop(5)
httpd:start()
port = httpd:port()
round(30)
local memory = round(30)
local before = descriptors()
local again
for _ = 1, tap.soak(50, 3) do
    again = round(30)
end
raw.until_true(function() return descriptors() <= before end)
tap.ok(true, 'no descriptor is left')
tap.ok(again < memory + 8 * SLACK, ('level: %.0f MiB, then %.0f MiB'):format(memory,
    again))
fiber.sleep(0)
tap.ok(httpd:stop(10), 'stopped, nothing cut')
fio.rmtree(root)
rig.done()
tap.done()
os.exit(0)
