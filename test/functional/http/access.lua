-- The server of test_access_log_end.sh: `neap access.lua SOCKET LOG`.
local fiber = require('fiber')
local httpd = require('http.server').new('unix/:' .. arg[1], nil, {
    access_log = { path = arg[2], format = 'json' },
})

httpd:route({ path = '/slow' }, function()
    io.stdout:write('inside\n')
    io.stdout:flush()
    fiber.sleep(0.2)
    return 'slow but sure'
end)
httpd:route({ path = '/quick' }, function()
    return 'quick'
end)
httpd:start()
