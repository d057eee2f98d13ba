-- Readers that hardly read: their generators stand still and the server's memory
-- is level, beside others who get all of theirs.
-- test: timeout 120
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local SLOW, CHUNK, CHUNKS = 20, ('x'):rep(65536), 1024
local httpd = http_server.new('127.0.0.1', 0)
local given = {}
httpd:route({ path = '/:who' }, function(req)
    local who, n = req:stash('who'), 0
    return {
        headers = { ['content-length'] = #CHUNK * CHUNKS },
        body = function()
            n = n + 1
            given[who] = n
            return n <= CHUNKS and CHUNK or nil
        end,
    }
end)
-- As many small pieces as it likes: what they cost besides counts, too.
httpd:route({ path = '/bytes' }, function()
    return { body = function()
        given.bytes = (given.bytes or 0) + 1
        return 'x'
    end }
end)
httpd:start()
local port = httpd:port()

local function ask(who, options)
    local peer = raw.connect(port, options)
    peer:send(('GET /%s HTTP/1.1\r\nHost: a\r\n\r\n'):format(who))
    return peer
end

local ffi = require('ffi')
local small = ffi.new('char[1024]')
local function sip(peer)
    return tonumber(ffi.C.recv(peer.fd, small, 1024, 0x40))
end

-- All there is, thrown away; a fiber of its own.
local sink = ffi.new('char[65536]')
local function gulp(who)
    local peer, got = ask(who), 0
    while got < #CHUNK * CHUNKS do
        local n = tonumber(ffi.C.recv(peer.fd, sink, 65536, 0x40))
        if n > 0 then
            got = got + n
        elseif n == 0 then
            break
        else
            fiber.sleep(0.001)
        end
    end
    peer:close()
    return got
end

gulp('warm')
local before = tap.resident()
local peers = {}
for i = 1, SLOW do
    peers[i] = ask('slow' .. i, { rcvbuf = 8192 })
end
peers[SLOW + 1] = ask('bytes', { rcvbuf = 8192 })
raw.until_true(function()
    for i = 1, SLOW do
        if not given['slow' .. i] then
            return false
        end
    end
    return given.bytes
end)
local sips = 0
local stop
local sipper = fiber.new(function()
    while not stop do
        for i = 1, SLOW + 1 do
            if sip(peers[i]) > 0 then
                sips = sips + 1
            end
        end
        fiber.sleep(0.01)
    end
end)
sipper:set_joinable(true)
local got = gulp('fast')
tap.ok(got >= #CHUNK * CHUNKS, 'somebody who reads gets all of 64 MiB')
raw.until_true(function() return sips > 200 end)
local grown = tap.resident() - before
tap.diag(('%d slow readers of 64 MiB: %.1f MiB more'):format(SLOW, grown))
tap.ok(grown < 16, 'the memory is level')
local most = 0
for i = 1, SLOW do
    most = math.max(most, given['slow' .. i])
end
tap.diag(('the generators gave %d chunks of %d at most'):format(most, CHUNKS))
tap.ok(most < CHUNKS / 4, 'the generators stand still')
tap.is(httpd:stat().waiting, SLOW + 1, 'all are still being answered')
stop = true
sipper:join()
for i = 1, SLOW + 1 do
    peers[i]:reset()
end
raw.until_true(function() return httpd:stat().waiting == 0 end)
tap.ok(httpd:stop(5), 'and end when their peers do')
tap.done()
os.exit(0)
