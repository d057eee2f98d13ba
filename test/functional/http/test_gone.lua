-- Peers of HTTP/1 that leave while a handler waits and nothing is read of them:
-- the handler learns of it, what they had asked for besides is dropped, and who has
-- only ended its side gets its answer.
-- test: timeout 60, variants
local ffi = require('ffi')
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local path = os.tmpname()
os.remove(path)

-- What the handler of each path has seen: 'waits', 'gone' or 'done'.
local seen, release = {}, {}
local function wait(req)
    local name = req.path
    seen[name] = 'waits'
    while not req:is_gone() and not release[name] do
        fiber.sleep(0.005)
    end
    seen[name] = req:is_gone() and 'gone' or 'done'
    return name
end

local function serve(...)
    local httpd = http_server.new(...)
    httpd:route({ path = '/ended' }, function(req)
        seen[req.path] = 'waits'
        while not req:has_ended() do
            fiber.sleep(0.005)
        end
        seen[req.path] = req:is_gone() and 'gone' or 'ended'
        return 'read me'
    end)
    httpd:route({ path = '/slow/*rest', stream = true }, function(req)
        wait(req)
        seen.body = req:read()
    end)
    httpd:route({ path = '/pieces' }, function(req)
        local writer = req:stream()
        while writer:write('piece') do
            seen[req.path] = 'writes'
            fiber.sleep(0.005)
        end
        seen[req.path] = 'gone'
    end)
    httpd:route({ path = '/*rest' }, wait)
    return httpd:start()
end
local tcp = serve('127.0.0.1', 0)
local unix = serve('unix/:' .. path)

local function ask(name, more) return ('GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n'):format(
    name, more or '') end
local function becomes(name, what, text)
    raw.until_true(function() return seen['/' .. name] == what end)
    tap.pass(text)
end
local function begin(where, name, text)
    local peer = raw.connect(where)
    peer:send(text or ask(name))
    becomes(name, 'waits', name .. ': begun')
    return peer
end

-- unix: a close is a close
local peer = begin(path, 'close')
peer:close()
becomes('close', 'gone', 'a unix socket that is closed')
peer = begin(path, 'pipelined', ask('pipelined') .. ask('never'))
peer:close()
becomes('pipelined', 'gone', 'with another request behind')
peer = begin(path, 'full', ask('full') .. ('GET'):rep(100000))
peer:close()
becomes('full', 'gone', 'with more than is read behind')
peer = begin(path, 'half')
peer:shutdown()
fiber.sleep(0.05)
tap.is(seen['/half'], 'waits', 'half of one has not gone')
release['/half'] = true
tap.like(peer:read(), '200 OK.*/half$', 'it gets its answer')
peer:close()

-- TCP: resets, behind all that keeps us from reading
peer = begin(tcp:port(), 'shut')
peer:shutdown()
raw.until_true(function() return tcp:stat().reads > 0 end)
fiber.sleep(0.05)
tap.is(seen['/shut'], 'waits', 'who has ended his side has not gone')
peer:reset()
becomes('shut', 'gone', 'a reset behind an end')
peer = begin(tcp:port(), 'held', ask('held') .. ('GET'):rep(100000))
peer:reset()
becomes('held', 'gone', 'a reset behind more than is read')
peer = begin(tcp:port(), 'ended')
peer:shutdown()
becomes('ended', 'ended', 'an end is told')
tap.like(peer:read('read me'), '200 OK', 'and who reads on is answered')
peer:close()
peer = raw.connect(tcp:port())
peer:send(ask('pieces'))
peer:read('piece')
peer:shutdown()
raw.until_true(function() return tcp:stat().reads > 3 end)
tap.is(seen['/pieces'], 'writes', 'an answer in pieces goes on behind an end')
peer:reset()
becomes('pieces', 'gone', 'until a reset')

-- A close of TCP: the kernel knows nothing more of it after a while, here a second.
-- (The end of the test waits for it; meanwhile the rest.)
local TCP, LINGER2 = 6, 8
peer = begin(tcp:port(), 'closed')
ffi.C.setsockopt(peer.fd, TCP, LINGER2, ffi.new('int[1]', 1), 4)
peer:close()

-- bodies
local body = ('x'):rep(50000)
local post = ('POST /slow/%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s')
local function upload(where, name, size, sent)
    return begin(where, 'slow/' .. name, post:format(name, size, sent))
end
peer = upload(tcp:port(), 'reset', 1000000, ('x'):rep(200000))
peer:reset()
becomes('slow/reset', 'gone', 'a reset in a body that is not read')
peer = upload(path, 'closed', 150000, body:rep(3))
seen.body = nil
peer:close()
becomes('slow/closed', 'gone', 'a close behind a whole body')
raw.until_true(function() return seen.body end)
tap.is(#seen.body, 150000, 'which can be read to its end')

-- what was asked for and has no handler yet is dropped
tap.is(seen['/never'], nil, 'nobody is served that has gone')
raw.until_true(function()
    local a, b = tcp:stat(), unix:stat()
    return a.connections == 1 and b.connections == 0 and b.waiting == 0
end)
tap.is(tcp:stat().waiting, 1, 'one is left')
tap.is(unix:stat().gone, 3, 'those that left before they were answered are counted')
local thousand = {}
for i = 1, 1000 do
    thousand[i] = ask('many', i == 1000 and 'Connection: close\r\n' or '')
end
release['/many'] = true
peer = raw.connect(tcp:port())
peer:send(table.concat(thousand))
peer:shutdown()
local _, count = peer:read():gsub('200 OK', '')
tap.is(count, 1000, 'a thousand behind an end are answered')
peer:close()

becomes('closed', 'gone', 'a TCP connection that is closed, in the end')
tap.is(tcp:stop(1), true, 'both stop')
tap.is(unix:stop(1), true, 'with nothing left')
tap.done()
