-- The module console as a script meets it: arguments, results, errors.
local tap = require('tap')
local console = require('console')
local fiber = require('fiber')

tap.plan(16)

tap.throws(function() console.listen() end, 'a path is wanted, not nil', 'none')
tap.throws(function() console.listen('') end, 'an empty string', 'empty')
tap.throws(function() console.listen({}) end, 'not table', 'table')
tap.throws(function() console.listen('3301') end, 'only unix sockets', 'port')
tap.throws(function() console.listen('127.0.0.1:3301') end,
    'only unix sockets', 'address')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen('unix/:' .. path))
tap.is(server.path, path, 'path')
tap.is(tostring(server), 'console: ' .. path, 'tostring')
tap.is(server.nosuch, nil, 'no such field')

local none, err = console.listen(path)
tap.is(none, nil, 'taken')
tap.is(err.type, 'SystemError', 'a system error')
tap.like(err.message, 'Address already in use', 'that says why')

-- It goes on without its object.
server = nil
collectgarbage()
collectgarbage()
none = console.listen(path)
tap.is(none, nil, 'still taken')

local other = assert(console.listen(path .. '2'))
other:close()
other:close()
tap.is(other.path, nil, 'closed')
tap.is(tostring(other), 'console: closed', 'tostring when closed')
fiber.sleep(0.01)
tap.isnt(console.listen(path .. '2'), nil, 'a path may be used again')

-- Standard input is at its end here: the console is left at once.
tap.is(console.start(), true, 'start() comes back')

tap.check()
os.exit(0)
