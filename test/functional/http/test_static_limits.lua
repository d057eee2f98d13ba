-- The limit of a handler's whole time: files do not count, however large, and sending
-- one is no way to begin anew.
-- test: timeout 60
local clock = require('clock')
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

if fiber.limits('service').total == nil or not pcall(fiber.set_limits, 'service',
    { total = 4 }) then
    tap.skip('limits', 'there are none')
    tap.done()
    os.exit(0)
end

local folder = fio.tempdir()
local function put(name, size) -- of holes
    local f = assert(io.open(fio.pathjoin(folder, name), 'w'))
    f:seek('set', size - 1)
    f:write('x')
    f:close()
end
local MIB = 1024 * 1024
put('large', 8 * MIB)
put('huge', 400 * MIB)

local httpd = http_server.new('127.0.0.1', 0, { log_errors = false })
httpd:static('/', folder)
httpd:start()

-- The bytes that come.
local function fetch(name)
    local peer = raw.connect(httpd:port())
    peer:send(('GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'):format(name))
    local size, head = 0, nil
    while true do
        local text, ended = peer:read('\0')
        if head == nil then
            head = text:match('^(.-\r\n\r\n)')
            size = -#head
        end
        size = size + #text
        if ended then
            peer:close()
            return size
        end
    end
end
local function burn(seconds)
    local f = fiber.self()
    local limit = fiber.limits(f).used_total + seconds
    while fiber.limits(f).used_total < limit do
        for _ = 1, 1000 do end
    end
end

-- --- a file is no work ---

-- How much of what the process computes is the handler's: sending is most of it.
local used
httpd:hook('after_dispatch', function()
    used = fiber.limits(fiber.self()).used_total
end)
local begun = clock.proc()
tap.is(fetch('huge'), 400 * MIB, 'a large file is sent whole')
raw.until_true(function() return used ~= nil end)
tap.diag(('%.3f of %.3f s'):format(used, clock.proc() - begun))
tap.ok(used < (clock.proc() - begun) / 5, 'and its handler has computed little')

-- --- but it does not wash off what was ---

fiber.set_limits('service', { total = 0.4 })
local before, after = 0, 0
httpd:hook('before_dispatch', function()
    burn(0.25)
    before = before + 1
end)
httpd:hook('after_dispatch', function()
    burn(0.25)
    after = after + 1
end)
tap.is(fetch('large'), 8 * MIB, 'sent')
raw.until_true(function() return httpd:stat().waiting == 0 end)
fiber.sleep(0.05)
raw.until_true(function() return httpd:stat().connections == 0 end)
tap.is(before, 1, 'what comes before it is under the limit')
tap.is(after, 0, 'and with what comes behind it over')
fiber.set_limits('service', { total = 0.8 })
tap.is(fetch('large'), 8 * MIB, 'sent again')
raw.until_true(function() return after == 1 end)
tap.pass('both are under a larger one')
fiber.set_limits('service', { burst = 1, total = 4 })
tap.ok(httpd:stop(5), 'nothing is left')
fio.rmtree(folder)
tap.done()
os.exit(0)
