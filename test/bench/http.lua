-- What `make bench` asks over HTTP: `neap http.lua PORT`.

local server = require('http.server').new('127.0.0.1', tonumber(arg[1]))

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

server:start()
