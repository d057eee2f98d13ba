-- Whose request it is: the host of an absolute target is what Host says, whatever that
-- says; ":authority" and "host" of HTTP/2 are one, or refused.
-- test: timeout 60
local raw = require('raw')
local rig = require('attack_rig')
local tap = require('tap')

local h2 = rig.h2
local httpd = require('http.server').new('127.0.0.1', 0, { http2 = true })
local seen
httpd:route({ path = '/*any', method = { 'GET', 'POST' } }, function(req)
    seen = { req:header('host'), req.headers.host, req.path, req:read() }
    return table.concat(seen, ' ')
end)
httpd:start()

local function ask(text)
    local peer = raw.connect(httpd:port())
    peer:send(text)
    local got = raw.parse((peer:read()))
    peer:close()
    return got.status, got.body
end

local function check(target, lines, wanted, version)
    local status, body = ask(('GET %s HTTP/%s\r\n%sConnection: close\r\n\r\n')
        :format(target, version or '1.1', lines))
    tap.is(status == 200 and body or status, wanted, target .. ' ' .. lines)
end

check('/a', 'Host: one\r\n', 'one one /a ')
for _, scheme in ipairs({ 'http', 'HTTP', 'https' }) do
    check(scheme .. '://two:81/a', 'Host: one\r\n', 'two:81 two:81 /a ')
end
check('http://two/', 'Host: one\r\n', 'two two / ')
check('http://two', 'hOsT: two\r\n', 'two two / ')
check('http://[::1]:8080?b', 'Host: \r\n', '[::1]:8080 [::1]:8080 / ')
check('http://two/a', 'Accept: x\r\nHost: one\r\nA: b\r\n', 'two two /a ')
check('http://two/a', 'Host: one\r\nHost: two\r\n', 400)
check('http://two/a', '', 400)
check('http://two/a', 'Host: o/ne\r\n', 400)
check('http://two@three/a', 'Host: two\r\n', 400)
check('http:///a', 'Host: one\r\n', 400)
check('http://tw\\o/a', 'Host: one\r\n', 400)
check('ftp://two/a', 'Host: one\r\n', 400)
check('//two/a', 'Host: one\r\n', 'one one //two/a ') -- a path
check('http://two//a', 'Host: one\r\n', 'two two //a ')

-- Kept when the request is moved: cut anywhere, with a body that comes later.
local text = 'POST http://two/a HTTP/1.1\r\nA: b\r\nHost: one\r\nContent-Length: 5\r\n'
    .. 'Connection: close\r\n\r\nhello'
for cut = 1, #text - 1, 7 do
    local peer, before = raw.connect(httpd:port()), httpd:stat().bytes_in
    peer:send(text:sub(1, cut))
    raw.until_true(function() return httpd:stat().bytes_in - before == cut end)
    peer:send(text:sub(cut + 1))
    local got = raw.parse((peer:read()))
    peer:close()
    tap.is(got.body, 'two two /a hello', 'cut at ' .. cut)
end

-- HTTP/2: what the handler saw; nil: it did not run.
local function stream(name, wanted, ...)
    seen = nil
    local peer = raw.connect(httpd:port())
    peer:send(h2.START .. h2.frame(h2.HEADERS, 5, 1, h2.fields(':method', 'GET', ':scheme',
        'http', ...)))
    local got = ''
    repeat
        got = got .. peer:read('\0')
    until h2.count(got, h2.HEADERS, 1) > 0 or h2.count(got, h2.RESET, 1) > 0
        or h2.count(got, h2.GOAWAY) > 0
    peer:close()
    tap.is(seen and seen[1], wanted, name)
end
stream(':authority', 'one', ':path', '/a', ':authority', 'one')
stream('host', 'one', ':path', '/a', 'host', 'one')
stream('both', 'one', ':path', '/a', ':authority', 'one', 'host', 'one')
stream('both, in capitals', 'one', ':path', '/a', ':authority', 'one', 'host', 'ONE')
stream('two', nil, ':path', '/a', ':authority', 'one', 'host', 'two')
stream('two hosts', nil, ':path', '/a', 'host', 'one', 'host', 'two')
stream('with a port', nil, ':path', '/a', ':authority', 'one', 'host', 'one:80')
stream('neither', nil, ':path', '/a')
stream('a user', nil, ':path', '/a', ':authority', 'u@one')
stream('an absolute path', nil, ':path', 'http://two/a', ':authority', 'one')

httpd:stop()
rig.done()
tap.done()
os.exit(0)
