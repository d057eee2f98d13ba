-- Options that are none are refused when they are given, by name and value.
-- test: timeout 60
local http_server = require('http.server')
local tap = require('tap')

local function check(name, f, ...)
    local ok, err = pcall(f)
    tap.ok(not ok, name .. ': refused')
    tap.is(not ok and err.type, 'IllegalParams', name .. ': type')
    for _, text in ipairs({ ... }) do
        tap.ok(not ok and tostring(err):find(text, 1, true), ('%s: %s in %s')
            :format(name, text, tostring(err)))
    end
end

for _, port in ipairs({ 70000, -1, 1.5, 'x', 0 / 0, 1 / 0, true }) do
    check('port', function() http_server.new('127.0.0.1', port) end, 'port',
        'whole number from 0 to 65535', (tostring(port):gsub('^%-nan', 'nan')))
end
check('host', function() http_server.new('', 0) end, 'host')
check('host', function() http_server.new(5, 0) end, 'host', '5')
check('path', function() http_server.new('unix/:', 0) end, 'host', 'unix/:')

local most = { max_header_size = 16777216, max_uri_size = 16777216,
    max_requests = 4e9, max_streams = 65536, idle_timeout = 2e6,
    header_timeout = 2e6, body_timeout = 2e6, send_timeout = 2e6,
    max_connections = 1048576 }
for name, limit in pairs(most) do
    for _, value in ipairs({ -1, 0, limit * 2, 1 / 0 }) do
        check(name, function() http_server.new('*', 0, { [name] = value }) end,
            'http.server.new: ' .. name, ('%d'):format(limit), 'not ' .. ('%.14g')
                :format(value))
    end
end
for _, value in ipairs({ -1, 0, 1.5, 2 ^ 31, 0 / 0, 1 / 0 }) do
    check('backlog', function() http_server.new('*', 0, { backlog = value }) end,
        'backlog', 'from 1 to 2147483647')
end
check('charset', function()
    http_server.new('*', 0, { charset = 'a\r\nb' })
end, 'charset')

local httpd = http_server.new('127.0.0.1', 0, { backlog = 5 })
for name, row in pairs({
    ['no method'] = { { method = 'GTE' }, "'GTE'", 'GET' },
    ['a word in a list'] = { { method = { 'GET', 'PSOT' } }, 'PSOT' },
    ['a number in a list'] = { { method = { 'GET', 5 } }, '5' },
    ['no methods'] = { { method = {} }, 'empty' },
    ['a name'] = { { name = 1 }, 'name' },
    ['stream'] = { { stream = 1 }, 'stream' },
    ['a log'] = { { log_requests = 'x' }, 'log_requests' },
}) do
    row[1].path = '/a'
    check(name, function() httpd:route(row[1], print) end, 'httpd:route: /a: ',
        (row[2]:gsub("'", '"')), row[3])
end
for _, method in ipairs({ 'get', 'PROPFIND', 'M-SEARCH', 'ANY', 'any' }) do
    tap.ok(httpd:route({ path = '/' .. method, method = method }, print), method)
end
for _, value in ipairs({ -1, 0 / 0, 'x' }) do
    check('stop', function() httpd:stop(value) end, 'httpd:stop(deadline)')
end
check('cache_control', function()
    httpd:static('/s', '/tmp', { cache_control = -1 })
end, 'cache_control', '-1')
for _, value in ipairs({ false, 5, {} }) do
    check('match', function() httpd:match('GET', value) end, 'path')
end

-- Of a request, and of a response.
local raw = require('raw')
httpd:route({ path = '/request' }, function(req)
    local resp = req:response({ body = 'asked' })
    for _, value in ipairs({ false, 5, print }) do
        check('redirect_to', function() req:redirect_to(value) end, 'req:redirect_to')
        check('set_fields', function() req:set_fields(value) end, 'req:set_fields')
        check('setcookie', function() resp:setcookie(value) end, 'resp:setcookie')
        if value ~= 5 then
            check('expires', function()
                resp:setcookie({ name = 'a', value = 'b', expires = value })
            end, 'resp:setcookie', 'expires')
        end
    end
    return resp
end)
httpd:start()
tap.is(raw.request(httpd:port(), '/request').body, 'asked')
httpd:stop()

tap.done()
os.exit(0)
