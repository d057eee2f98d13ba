-- Server-sent events: what they look like, and when they end.
-- test: timeout 60
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local run
local httpd = http_server.new('127.0.0.1', 0, { log_errors = false })
httpd:route({ path = '/' }, function(req) return run(req) end)
httpd:start()

local function ask(f)
    run = f
    local peer = raw.connect(httpd:port())
    peer:send('GET / HTTP/1.0\r\n\r\n') -- no chunks
    local text = peer:read()
    peer:close()
    return text:match('^(.-\r\n)\r\n(.*)$')
end

local head, body = ask(function(req)
    local events = req:events({ retry = 1.5, headers = { ['X-A'] = 'b' } })
    tap.is(events:send('one'), true)
    events:send({ data = 'a\nb\r\nc\rd\n', event = 'tick', id = 7 })
    events:send({ retry = 2, comment = 'why\nnot' })
    events:send(5)
    events:send('')
    for _, wrong in ipairs({ {}, { event = 'a\nb' }, { id = 'a\rb', data = '' },
                             { id = 'a\0' }, { retry = 'x' }, true }) do
        tap.ok(not pcall(events.send, events, wrong))
    end
end)
tap.ok(head:find('\r\ncontent-type: text/event-stream\r\n', 1, true), head)
tap.ok(head:find('\r\ncache-control: no-cache\r\n', 1, true))
tap.ok(head:find('\r\nx-a: b\r\n', 1, true))
tap.is(body, 'retry: 1500\n\ndata: one\n\n'
    .. 'event: tick\nid: 7\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n'
    .. ': why\n: not\nretry: 2000\n\ndata: 5\n\ndata: \n\n')

head, body = ask(function(req)
    local events = req:events()
    events:send('x')
    tap.is(events:close(), true)
    tap.is(events:send('y'), nil)
    tap.is(events:close(), nil)
end)
tap.is(body, 'data: x\n\n')

-- A beat when nothing is said, none in the middle of an event.
head, body = ask(function(req)
    local events = req:events({ heartbeat = 0.01 })
    fiber.sleep(0.1)
    events:send('x')
end)
tap.ok(body:find('^:\n\n') and body:find('data: x\n\n', 1, true), body)
tap.is((body:gsub(':\n\n', '')), 'data: x\n\n')

-- Who goes away ends it, and the beat with it.
local ended
run = function(req)
    local events = req:events({ heartbeat = 0.01 })
    while events:send(('x'):rep(1000)) do
        fiber.sleep(0.001)
    end
    ended = true
end
local peer = raw.connect(httpd:port())
peer:send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
peer:read('data: ')
peer:reset()
raw.until_true(function() return ended end)
tap.ok(ended, 'the sender is told')
raw.until_true(function()
    for _, f in pairs(fiber.info()) do
        if f.name == 'http events' then
            return false
        end
    end
    return true
end)
tap.ok(true, 'no beat is left')
for _, options in ipairs({ 5, { heartbeat = 0 }, { heartbeat = 'x' }, { hartbeat = 1 },
                           { retry = -1 } }) do
    local text = ask(function(req) req:events(options) end)
    tap.ok(text:find('^HTTP/1.1 500'), 'wrong use')
end

-- A server that stops ends them, those that say nothing for long and those of HTTP/2 too:
-- nobody is cut.
local http = require('http.client')
local two = http_server.new('127.0.0.1', 0, { http2 = true })
local told, begun = 0, 0
two:route({ path = '/sends' }, function(req)
    local events = req:events()
    begun = begun + 1
    while events:send('x') do
        fiber.sleep(0.001)
    end
    told = told + 1
end)
two:route({ path = '/waits/:how' }, function(req)
    local events = req:events({ heartbeat = req:stash('how') == 'beats' and 50 })
    events:send('x')
    begun = begun + 1
    while not req:is_gone() do -- too long for any drain
        fiber.sleep(0.01)
    end
    told = told + 1
end)
two:start()
local ends, readers = {}, 0
for _, path in ipairs({ '/sends', '/waits/beats', '/waits/without' }) do
    local one = raw.connect(two:port())
    one:send(('GET %s HTTP/1.1\r\nHost: a\r\n\r\n'):format(path))
    readers = readers + 2
    fiber.create(function()
        local text = one:read()
        ends[#ends + 1] = text:sub(-7)
        one:close()
    end)
    fiber.create(function()
        local stream = http.get(('http://127.0.0.1:%d%s'):format(two:port(), path),
            { http_version = '2-prior-knowledge', chunked = true })
        local piece, err
        repeat
            piece, err = stream:read()
        until piece == nil or piece == ''
        ends[#ends + 1] = err and tostring(err) or '\r\n0\r\n\r\n'
        stream:close()
    end)
end
raw.until_true(function() return begun == readers end)
tap.is(two:stop(50), true, 'nothing was cut')
raw.until_true(function() return #ends == readers end)
for i = 1, readers do
    tap.is(ends[i], '\r\n0\r\n\r\n', 'a whole answer')
end
raw.until_true(function() return told == readers end)
tap.ok(true, 'the handlers find out')
tap.done()
os.exit(0)
