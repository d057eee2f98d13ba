-- Large uploads: to a route that takes them in pieces with level memory, with a
-- length and in chunks, by curl; one that must lie in memory is refused above 1 GiB.
-- NEAP_SOAK=1 sends more than 4 GiB.
-- test: timeout 300
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local rig = require('tls_rig')
local tap = require('tap')

local MIB = 1048576
local SIZE = tap.soak(4096, 64) * MIB + 17
local file = rig.path('large')

do
    local f = assert(io.open(file, 'w'))
    f:write('begin')
    f:seek('set', SIZE - 3)
    f:write('end')
    f:close()
end

local most
local function take(req)
    local size, tail = 0, ''
    while true do
        local text, err = req:read({chunk = 262144})
        if text == nil then error(err, 0) end
        if text == '' then break end
        size, tail = size + #text, #text < 3 and tail .. text or text
        if size % 64 < 2 then
            most = math.max(most, tap.resident())
        end
    end
    return ('%.0f %s'):format(size, tail:sub(-3))
end

local httpd = http_server.new('127.0.0.1', 0, {max_body_size = SIZE})
httpd:route({path = '/pieces', method = 'PUT', stream = true}, take)
httpd:route({path = '/whole', method = 'PUT'}, function(req)
    return tostring(#req:read())
end)
httpd:start()
local port = httpd:port()

local function put(path, options)
    return rig.shell(('curl -sS --http1.1 -T "%s" %s http://127.0.0.1:%d%s'):format(
        file, options or '', port, path))
end

for name, options in pairs({['with a length'] = '',
                            ['in chunks'] = '-H "Transfer-Encoding: chunked"'}) do
    local before = tap.resident()
    most = before
    tap.is(put('/pieces', options), ('%.0f end'):format(SIZE), name)
    tap.ok(most - before < 24, ('level memory, %.0f MiB more at most'):format(
        most - before))
end

-- One byte more than there may be, told before any of it comes.
local function refused(length, path)
    local peer = assert(raw.connect(port))
    peer:send(('PUT %s HTTP/1.1\r\nHost: a\r\nContent-Length: %.0f\r\n\r\n'):format(
        path, length))
    local text = peer:read('\r\n')
    peer:close()
    return text
end

tap.like(refused(SIZE + 1, '/pieces'), ' 413 ', 'too large')
tap.like(refused(1.8e19, '/pieces'), ' 413 ', 'nearly 2^64')
if SIZE > 1024 * MIB then
    -- curl goes on for a while, and is told in the end.
    tap.like(put('/whole', '-w "%{http_code}"'), '413', 'too large for memory')
    raw.until_true(function() return httpd:stat().connections == 0 end)
    tap.ok(tap.resident() < 200, 'which is given back')
end
httpd:stop()

-- Where nothing is taken in pieces 1 GiB is the most there may be.
do
    local small = http_server.new('127.0.0.1', 0, {max_body_size = 2 ^ 40})
    small:route({path = '/', method = 'PUT'}, function(req) return req:read() end)
    small:start()
    port = small:port()
    tap.like(refused(1024 * MIB + 1, '/'), ' 413 ', 'at once')
    small:stop()
end
tap.ok(not pcall(http_server.new, '127.0.0.1', 0, {max_body_size = 1e16}), 'a limit')

rig.done()
tap.done()
