-- Wrong usage throws error objects, with the place of the caller, everywhere.
local tap = require('tap')
local cmod = require('cmod')
local console = require('console')
local fiber = require('fiber')
local http_server = require('http.server')
local json = require('json')
local log = require('log')
local msgpack = require('msgpack')
local neap = require('neap')
local yaml = require('yaml')

local httpd = http_server.new('127.0.0.1', 0)
local function f() end
local wrong = {
    { 'cmod.load()', function() cmod.load() end },
    { 'cmod.load("")', function() cmod.load('') end },
    { 'cmod.live("x")', function() cmod.live('x') end },
    { 'console.listen()', function() console.listen() end },
    { 'console.listen("")', function() console.listen('') end },
    { 'console.listen("a:b:c")', function() console.listen('a:b:c') end },
    { 'fiber.create(1)', function() fiber.create(1) end },
    { 'fiber.sleep("soon")', function() fiber.sleep('soon') end },
    { 'fiber.find()', function() fiber.find() end },
    { 'fiber.channel(-1)', function() fiber.channel(-1) end },
    { 'channel:get("x")', function() fiber.channel():get('x') end },
    { 'cond:wait("x")', function() fiber.cond():wait('x') end },
    { 'http.server.new(1)', function() http_server.new(1) end },
    { 'http.server.new(, "x")', function() http_server.new('a', 'x') end },
    { 'an option', function() http_server.new('a', 1, { nosuch = 1 }) end },
    { 'of a type', function() http_server.new('a', 1, { handler = 1 }) end },
    { 'options', function() http_server.new('a', 1, 1) end },
    { 'httpd:route()', function() httpd:route() end },
    { 'httpd:route(, 1)', function() httpd:route({ path = '/' }, 1) end },
    { 'a pattern', function() httpd:route({ path = '/:a/:a' }, f) end },
    { 'a method', function() httpd:route({ path = '/', method = 1 }, f) end },
    { 'httpd:hook("x")', function() httpd:hook('nosuch', f) end },
    { 'httpd:hook(, 1)', function() httpd:hook('before_dispatch', 1) end },
    { 'httpd:url_for("x")', function() httpd:url_for('nosuch') end },
    { 'httpd:stop(-1)', function() httpd:stop(-1) end },
    { 'json.cfg', function() json.cfg { encode_max_depth = 'x' } end },
    { 'msgpack.cfg', function() msgpack.cfg { encode_max_depth = 'x' } end },
    { 'yaml.cfg', function() yaml.cfg { encode_max_depth = 'x' } end },
    { 'log.level("x")', function() log.level('nosuch') end },
    { 'neap.on_shutdown(1)', function() neap.on_shutdown(1) end },
}

for _, case in ipairs(wrong) do
    local name, call = case[1], case[2]
    local ok, err = pcall(call)

    tap.ok(not ok, name .. ' throws')
    tap.is(type(err) == 'userdata' and err.type, 'IllegalParams',
        name .. ': its type', tostring(err))
    local place = type(err) == 'userdata' and err.trace[1] or {}
    tap.is(place.file, 'test_usage.lua', name .. ': its file')
    tap.is(place.line, debug.getinfo(call, 'S').linedefined,
        name .. ': its line')
end
tap.done()
