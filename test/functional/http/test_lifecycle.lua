-- Servers come and go: start, stop, start again, fail to start.
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local function hello()
    return 'hello'
end

local GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

-- start, stop, again
local httpd = http_server.new('127.0.0.1', 0)
httpd:route({ path = '/' }, hello)
tap.is(httpd:port(), nil, 'no port before the start')
tap.is(httpd:start(), httpd, 'start')
local port = httpd:port()
tap.ok(port > 0, 'a port of its own')
tap.is(httpd:address(), '127.0.0.1', 'and the address')
tap.throws(function() httpd:start() end, 'started already', 'not twice')
tap.is(raw.request(port, '/').body, 'hello', 'it serves')
tap.is(httpd:stop(), true, 'stop')
tap.is(httpd:stop(), true, 'twice is harmless')
tap.is(raw.connect(port), nil, 'nobody listens')
httpd:start()
tap.is(raw.request(httpd:port(), '/').body, 'hello', 'started again')

-- the address is taken
local other = http_server.new('127.0.0.1', httpd:port())
local ok, err = pcall(other.start, other)
tap.ok(not ok, 'a port that is taken')
tap.is(err.type, 'SystemError', 'is an error object')
tap.like(err, '127.0.0.1:%d+.*Address already in use', 'that names it')
httpd:stop()
other:start()
tap.ok(other:port(), 'free again')
other:stop()

-- unix sockets
local path = os.tmpname()
os.remove(path)
local unix = http_server.new('unix/:' .. path)
unix:route({ path = '/' }, function(req) return req.peer.family end)
unix:start()
tap.is(unix:port(), path, 'the path of a unix socket')
tap.is(raw.request(path, '/').body, 'AF_UNIX', 'serves')
unix:stop()
tap.is(io.open(path), nil, 'and is removed')
unix = http_server.new('unix/', path):start()
tap.is(unix:address(), 'unix/', 'in two parts')
unix:stop()
tap.throws(function()
    http_server.new('unix/:/nowhere/at/all/s'):start()
end, '/nowhere/at/all/s.*No such file', 'a folder that is not there')

-- wrong usage
local function new(...)
    local args = { ... }
    return function()
        http_server.new(unpack(args, 1, 3)):start()
    end
end
tap.throws(new(1, 2), 'host is an address', 'a host that is a number')
tap.throws(new('127.0.0.1', 'http'), 'port is a whole number', 'a port of text')
tap.throws(new('127.0.0.1', 65536), '0 to 65535', 'a port too large')
tap.throws(new('127.0.0.1', -1), '0 to 65535', 'a port too small')
tap.throws(new('example.test', 0), 'IPv4 or IPv6', 'a name')
tap.throws(new('127.0.0.1', 0, { max_boddy_size = 1 }),
    "no option 'max_boddy_size'", 'an unknown option')
tap.throws(new('127.0.0.1', 0, { max_body_size = '1' }),
    'max_body_size is a number', 'an option of the wrong type')
tap.throws(new('127.0.0.1', 0, { max_body_size = -1 }), 'over 0',
    'a negative limit')
tap.throws(new('127.0.0.1', 0, { idle_timeout = 0 / 0 }), 'over 0',
    'no number at all')
tap.throws(new('127.0.0.1', 0, 5), 'options are a table', 'no options')

-- a stop waits for the requests, and they get their answers
local slow = http_server.new('127.0.0.1', 0)
local go = fiber.cond()
slow:route({ path = '/' }, function()
    go:wait()
    return 'late'
end)
slow:start()
local peer, idle = raw.connect(slow:port()), raw.connect(slow:port())
peer:send(GET)
raw.until_true(function() return slow:stat().waiting == 1 end)
local stopped = false
local stopper = fiber.new(function()
    slow:stop(20)
    stopped = true
end)
stopper:set_joinable(true)
fiber.sleep(0.01)
tap.is(raw.connect(slow:port() or port), nil, 'no new connection')
tap.ok(not stopped, 'stop() waits')
go:broadcast()
local text = peer:read()
tap.like(text, 'Connection: close.*late', 'answered, and told that it ends')
tap.is((idle:read()), '', 'the idle one is closed')
stopper:join()
tap.ok(stopped, 'then it is over')
peer:close()
idle:close()

-- the deadline cuts
slow:start()
peer = raw.connect(slow:port())
peer:send(GET)
raw.until_true(function() return slow:stat().waiting == 1 end)
slow:stop(0.02)
text = peer:read()
tap.is(text, '', 'cut at the deadline')
tap.ok(not slow:stat().running, 'and over')
go:broadcast()
raw.until_true(function() return slow:stat().waiting == 0 end)
peer:close()

-- a handler may stop its own server
local own
own = http_server.new('127.0.0.1', 0)
own:route({ path = '/' }, function()
    own:stop(10)
    return 'my last'
end)
own:start()
tap.is(raw.request(own:port(), '/').body, 'my last', 'stopped by its handler')
raw.until_true(function() return not own:stat().running end)

-- limits reach the server
local small = http_server.new('127.0.0.1', 0, {
    max_header_size = 200, max_uri_size = 50, max_body_size = 10,
    max_requests = 2, max_connections = 1,
})
small:route({ path = '/' }, hello)
small:start()
local function status(target, options)
    local answer = raw.request(small:port(), target, options)
    -- One connection at a time: the last one has to be gone.
    raw.until_true(function() return small:stat().connections == 0 end)
    return answer.status
end
tap.is(status('/' .. ('x'):rep(50)), 414, 'max_uri_size')
tap.is(status('/', { headers = 'A: ' .. ('x'):rep(200) .. '\r\n' }), 431,
    'max_header_size')
tap.is(status('/', { method = 'POST', body = 'eleven byte' }), 413,
    'max_body_size')
tap.is(status('/', { method = 'POST', body = 'ten bytes!' }), 200,
    'the limit itself is fine')
peer = raw.connect(small:port())
peer:send(GET)
text = peer:read('hello')
other = raw.request(small:port(), '/')
tap.is(other.status, 503, 'max_connections')
peer:send(GET)
tap.like((peer:read()), 'Connection: close', 'max_requests')
peer:close()
raw.until_true(function() return small:stat().connections == 0 end)
small:stop(1)
local stat = small:stat()
tap.is(stat.requests, 3, 'counted: requests')
tap.is(stat.refused_connections, 1, 'connections refused')
tap.is(stat.connections, 0, 'none open')
local hasty = http_server.new('127.0.0.1', 0, { header_timeout = 0.03 })
hasty:start()
peer = raw.connect(hasty:port())
peer:send('GET')
tap.like((peer:read()), '^HTTP/1.1 408', 'header_timeout')
peer:close()
hasty:stop(1)
tap.is(hasty:stat().timeouts, 1, 'counted: timeouts')

-- pipelining from Lua: in order, in few writes
httpd:start()
local before = httpd:stat().writes
peer = raw.connect(httpd:port())
peer:send(GET:rep(1000))
text = peer:read('hello', 1000)
local _, count = text:gsub('HTTP/1.1 200 OK', '')
tap.is(count, 1000, 'a thousand answers')
tap.ok(httpd:stat().writes - before < 10, 'in few writes')
peer:close()
httpd:stop(1)

-- logs of requests
local lines = {}
local logging = http_server.new('127.0.0.1', 0, {
    log_requests = function(fmt, ...) lines[#lines + 1] = fmt:format(...) end,
})
logging:route({ path = '/a/:b' }, hello)
logging:route({ path = '/quiet', log_requests = false }, hello)
logging:start()
raw.request(logging:port(), '/a/b?c')
raw.request(logging:port(), '/none')
raw.request(logging:port(), '/quiet')
logging:stop(1)
tap.same(lines, { 'GET /a/b?c HTTP/1.1 200', 'GET /none HTTP/1.1 404' },
    'log_requests')

-- a server that is forgotten is collected, one that runs is not
local weak = setmetatable({}, { __mode = 'v' })
weak[1] = http_server.new('127.0.0.1', 0)
weak[2] = http_server.new('127.0.0.1', 0):start()
weak[2]:route({ path = '/' }, hello)
local running = weak[2]:port()
collectgarbage()
collectgarbage()
tap.is(weak[1], nil, 'a forgotten server is collected')
tap.is(raw.request(running, '/').body, 'hello', 'a running one serves on')
weak[2]:stop(1)
collectgarbage()
collectgarbage()
tap.is(weak[2], nil, 'until it is stopped')

-- the last one is left running: the end of the script closes it
http_server.new('127.0.0.1', 0):start()
tap.done()
os.exit(0)
