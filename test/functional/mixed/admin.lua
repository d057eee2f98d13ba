-- Both kinds of state at the console: see test_admin.sh.
local ffi = require('ffi')
local fiber = require('fiber')
local kind = ...

-- What this state has, for as long as it lives.
kept = kind == 's' and ('x'):rep(8 * 1024 * 1024) or nil

core.register_task(function()
    fiber.name('counts')
    for _ = 1, 3 do
        fiber.create(function()
            fiber.name('sleeper')
            fiber.sleep(3600)
        end)
    end
    fiber.sleep(3600)
end)

local function computes()
    local sum = 0
    for i = 1, 1e5 do sum = sum + i % 7 end
    return sum
end

core.register_task(function()
    fiber.name('computes')
    while true do
        local sum = computes()
        fiber.sleep(0.001 + sum * 0)
    end
end)

core.register_service(kind .. '.own', 'http', function(applet)
    applet:start_response()
    applet:send(kind)
end)

core.register_service(kind .. '.asks', 'http', function(applet)
    local answer, err = require('console').command('show workers json; show fibers', 'operator')
    applet:start_response()
    applet:send(answer or tostring(err))
end)

core.register_service(kind .. '.waits', 'http', function()
    fiber.name(kind .. '.waits')
    fiber.sleep(3600)
end)

-- A server of the shared state's own.
if kind == 's' then
    httpd = require('http.server').new('127.0.0.1', 0)
    httpd:route({ path = '/mine' }, function() return 'worker ' .. core.thread end)
    httpd:start()
end

-- Until somebody writes to the pipe.
ffi.cdef('int open(const char *, int); int close(int);')
local function stuck_here(name)
    local fd = ffi.C.open(name, 0)
    return ffi.C.close(fd)
end
core.register_service(kind .. '.stuck', 'http', function(applet)
    fiber.name(kind .. '.stuck')
    local code = stuck_here('door')
    applet:start_response()
    applet:send('freed ' .. code)
end)
