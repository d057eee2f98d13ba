-- The server of these tests: `neap --workers N server.lua ADDRESS` answers every
-- request with the number of its worker. ADDRESS is "unix/:PATH", or a file,
-- into which each worker writes the port of 127.0.0.1 that it has, a line.
local neap, fiber = require('neap'), require('fiber')
local http = require('http.server')

local address = arg[1]
local id = neap.worker.id
local path = address:match('^unix/:')
local httpd = http.new(path and address or '127.0.0.1', 0)

httpd:route({path = '/'}, function()
    return ('%d.'):format(id)
end)
-- Of everything a little: the log, other fibers, C functions on this thread and
-- on others, files, modules loaded anew, garbage.
local cmod = require('cmod').load(os.getenv('NEAP_TEST_CMOD_DIR') .. '/calls')
local first = cmod:load('first')
local away = cmod:load('first', {offload = true})
local json, log = require('json'), require('log')
httpd:route({path = '/mix'}, function(req)
    local channel = fiber.channel(1)
    fiber.create(function()
        fiber.sleep(0.0005)
        channel:put(json.decode(json.encode({id = id, {1.5, 'x', os.date()}})))
    end)
    log.info('mix in %d', id)
    local _, here = first(id)
    local _, there = away(here)
    local other = require('cmod').load(os.getenv('NEAP_TEST_CMOD_DIR') ..
        '/calls'):load('first')
    local file = io.open(arg[0])
    local text = file:read('*a')
    file:close()
    package.loaded.console = nil
    assert(require('console') and #text > 100)
    assert(select(2, other(text)) == text)
    return ('%d.'):format(channel:get().id == there and there or 0)
end)
httpd:route({path = '/exit'}, function()
    os.exit(9)
end)
httpd:route({path = '/never'}, function()
    log.info('never')
    fiber.sleep(1000)
end)
httpd:start()

local file = assert(io.open(path and address:gsub('^unix/:', '') .. '.ready' or
    address, 'a'))
file:write(httpd:port() or 'unix', '\n')
file:close()

neap.on_shutdown(function()
    print('hook', id)
end)
