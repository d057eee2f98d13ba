-- The server of the tests that look at it from outside: `neap server.lua PATH`
-- listens on the unix socket PATH.
local fiber = require('fiber')
local httpd = require('http.server').new('unix/:' .. arg[1])

httpd:route({ path = '/' }, function()
    return 'hello'
end)
httpd:route({ path = '/error' }, function()
    error('an error of the handler')
end)
-- Told line by line: who is in.
local function inside()
    io.stdout:write('inside\n')
    io.stdout:flush()
end
httpd:route({ path = '/slow' }, function()
    inside()
    fiber.sleep(0.5)
    return 'slow but sure'
end)
httpd:route({ path = '/never' }, function()
    inside()
    fiber.sleep(1000)
end)
httpd:start()
