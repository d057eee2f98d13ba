-- What `make bench` asks over HTTP: `neap http.lua PORT [MODE]`, where MODE may
-- be http2 (in plain text) or tls CERT KEY.

local fiber = require('fiber')

local options = {}
if arg[2] == 'http2' then
    options.http2 = true
elseif arg[2] == 'tls' then
    options.tls = { cert_file = arg[3], key_file = arg[4] }
end
options.idle_timeout = 600
local server = require('http.server').new('127.0.0.1', tonumber(arg[1]),
                                          options)

server:route({ path = '/', method = 'GET' }, function()
    return { status = 200, headers = { ['content-type'] = 'text/plain' },
             body = 'Hello, world!' }
end)

-- Built and encoded for each request.
local count = 0
server:route({ path = '/json', method = 'GET' }, function(request)
    count = count + 1
    return request:render({ json = { message = 'Hello, world!',
                                     number = 1000 + count % 9000 } })
end)

server:route({ path = '/echo', method = 'POST' }, function(request)
    return { status = 200, body = request:read() }
end)

server:route({ path = '/websocket', method = 'GET' }, function(request)
    return request:websocket(function(ws)
        for data, kind in ws:messages() do
            ws:send(data, kind)
        end
    end)
end)

-- Computes for that many seconds of CPU time, more than a handler may unless it
-- is let.
server:route({ path = '/burn', method = 'GET' }, function(request)
    fiber.set_limits(fiber.self(), { burst = 0, total = 0 })
    local to = os.clock() + tonumber(request:query_param('seconds'))
    local x = 0
    repeat
        for i = 1, 10000 do
            x = (x + i) % 7
        end
    until os.clock() >= to
    return { status = 200, body = 'burned' }
end)

server:start()
