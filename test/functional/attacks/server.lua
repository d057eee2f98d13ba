-- The server of these tests, in a process of its own so that what it costs is seen from
-- outside: `neap server.lua FOLDER [OPTION=NUMBER..]`. It prints three ports: plain text
-- with HTTP/1.1 and HTTP/2, the same over TLS, and one that tells how things stand.
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local tap = require('tap')

local folder, options = arg[1], {}
for i = 2, #arg do
    local name, value = arg[i]:match('^([%w_]+)=([%d.]+)$')
    options[name] = tonumber(value)
end

local handled, released, kept = 0, 0, {}
local PIECE = ('x'):rep(65536)
local PEM = { cert_file = folder .. '/server.pem', key_file = folder .. '/server.key',
              handshake_timeout = options.handshake_timeout }
options.handshake_timeout = nil

local function serve(tls)
    local own = { http2 = true, tls = tls and PEM or nil, log_errors = false }
    for name, value in pairs(options) do
        own[name] = value
    end
    local httpd = http_server.new('127.0.0.1', 0, own)
    httpd:hook('before_dispatch', function() handled = handled + 1 end)
    httpd:route({ path = '/' }, function() return 'hello' end)
    httpd:route({ path = '/echo' }, function(req) return req.body end)
    httpd:route({ path = '/read', stream = true }, function(req)
        local size = 0
        while true do
            local piece, err = req:read(65536)
            if piece == nil then error(err) end
            if piece == '' then return tostring(size) end
            size = size + #piece
        end
    end)
    local function wait(req)
        local began = released
        while not req:is_gone() and began == released do
            fiber.sleep(0.05)
        end
    end
    httpd:route({ path = '/wait' }, wait)
    httpd:route({ path = '/unread', stream = true }, wait)
    httpd:route({ path = '/stream' }, function()
        return { body = function() return PIECE end }
    end)
    httpd:route({ path = '/events' }, function(req)
        local events = req:events()
        while events:send({ data = 'now' }) do
            fiber.sleep(0.01)
        end
    end)
    httpd:route({ path = '/ws' }, function(req)
        return req:websocket(function(ws)
            for data, kind in ws:messages() do
                if data == 'flood' then
                    while ws:send(PIECE) do end
                end
                ws:send(data, kind)
            end
        end)
    end)
    httpd:static('/files', folder)
    return httpd:start()
end

local both = { serve(false), serve(true) }
local control = http_server.new('127.0.0.1', 0)

control:route({ path = '/level' }, function()
    collectgarbage()
    local sum, fibers = {}, 0
    for _, httpd in ipairs(both) do
        for name, value in pairs(httpd:stat()) do
            sum[name] = type(value) == 'number' and (sum[name] or 0) + value or nil
        end
    end
    for _ in pairs(fiber.info()) do
        fibers = fibers + 1
    end
    sum.descriptors, sum.memory = #fio.listdir('/proc/self/fd'),
        tap.resident() * 1024
    sum.fibers, sum.handled = fibers, handled
    return { body = sum }
end)
-- Those that wait for a peer that may still read, and has gone, wait no longer.
control:route({ path = '/release' }, function()
    released = released + 1
    return 'released'
end)
-- The twin: what the tests must see.
control:route({ path = '/keep' }, function()
    kept[#kept + 1] = io.open('/dev/null')
    fiber.create(function() fiber.sleep(10000) end)
    return 'kept'
end)
control:route({ path = '/forget' }, function()
    for i = 1, #kept do
        kept[i]:close()
    end
    return 'forgotten'
end)
control:start()

print(both[1]:port(), both[2]:port(), control:port())
io.stdout:flush()
