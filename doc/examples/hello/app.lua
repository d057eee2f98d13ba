-- The example: a script that serves HTTP and calls C.
--
--     neap app.lua [PORT]
--
--   GET /               answered by Lua
--   GET /sum?a=1&b=2    answered by hello.c, always by its newest build
--
-- PORT is the argument, the environment's, or 8080. With CONSOLE=PATH in the
-- environment the console is served at that unix socket, too.

local cmod = require('cmod')
local console = require('console')
local http_server = require('http.server')

local here = arg[0]:match('^(.*)/') or '.'
local port = tonumber(arg[1] or os.getenv('PORT') or 8080)

-- Follows the file: when hello.so is built again, the next call is its.
local sum = cmod.live(here .. '/hello', 'sum')

local server = http_server.new('127.0.0.1', port)

server:route({ path = '/', method = 'GET' }, function()
    return { status = 200, body = 'Hello, world!\n' }
end)

server:route({ path = '/sum', method = 'GET' }, function(request)
    local a = tonumber(request:query_param('a'))
    local b = tonumber(request:query_param('b'))
    if not a or not b then
        return { status = 400, body = 'a and b must be numbers\n' }
    end
    -- true and the results, or nil and the error.
    local ok, total, build = sum(a, b)
    if not ok then
        return { status = 400, body = tostring(total) .. '\n' }
    end
    -- As an integer of 64 bits, which is printed whole.
    local text = tostring(0LL + total):gsub('LL$', '')
    return { status = 200, body = ('%s by build %s\n'):format(text, build) }
end)

server:start()

if os.getenv('CONSOLE') then
    assert(console.listen(os.getenv('CONSOLE')))
end
