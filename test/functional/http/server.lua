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
httpd:route({ path = '/slow' }, function()
    fiber.sleep(0.5)
    return 'slow but sure'
end)
httpd:route({ path = '/never' }, function()
    fiber.sleep(1000)
end)
httpd:start()
