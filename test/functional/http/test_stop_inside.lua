-- A handler that stops its own server, with answers of its batch gathered and
-- a stranger in the listener's queue: each gets what is his.
-- test: timeout 60
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local stranger
local httpd = http_server.new('127.0.0.1', 0, { max_connections = 1 })
httpd:route({ path = '/secret' }, function() return 'the secret' end)
httpd:route({ path = '/stop' }, function()
    stranger = raw.connect(httpd:port())
    httpd:stop(1)
    return 'stopped'
end)
httpd:start()

local client = raw.connect(httpd:port())
client:send('GET /secret HTTP/1.1\r\nHost: a\r\n\r\n' ..
    'GET /stop HTTP/1.1\r\nHost: a\r\n\r\n')
local mine = client:read()
local his = stranger:read()
tap.like(mine, 'the secret.*stopped', 'the client has both answers, in order')
tap.ok(not his:find('secret'), 'the stranger has none of them')
tap.like(his, '^HTTP/1.1 503 ', 'but one of his own')
client:close()
stranger:close()
tap.done()
