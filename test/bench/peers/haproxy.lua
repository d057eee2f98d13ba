-- What HAProxy answers: see haproxy.cfg.

local encode = require('cjson').encode

local function answer(applet, kind, body)
    applet:set_status(200)
    applet:add_header('content-type', kind)
    applet:add_header('content-length', tostring(#body))
    applet:start_response()
    applet:send(body)
end

core.register_service('hello', 'http', function(applet)
    answer(applet, 'text/plain', 'Hello, world!')
end)

local count = 0
core.register_service('json', 'http', function(applet)
    count = count + 1
    answer(applet, 'application/json',
           encode({ message = 'Hello, world!', number = 1000 + count % 9000 }))
end)

core.register_service('echo', 'http', function(applet)
    answer(applet, 'text/plain', applet:receive())
end)

core.register_service('burn', 'http', function(applet)
    local to = os.clock() + tonumber(applet.qs:match('seconds=(.*)'))
    local x = 0
    repeat
        for i = 1, 10000 do
            x = (x + i) % 7
        end
    until os.clock() >= to
    answer(applet, 'text/plain', 'burned')
end)
