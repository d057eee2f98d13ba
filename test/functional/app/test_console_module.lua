-- The module console as a script meets it: arguments, results, errors.
local tap = require('tap')
local console = require('console')
local fiber = require('fiber')

tap.plan(41)

tap.throws(function() console.listen() end, 'a path or HOST:PORT is wanted, not nil', 'none')
tap.throws(function() console.listen('') end, 'an empty string', 'empty')
tap.throws(function() console.listen({}) end, 'not table', 'table')
for _, uri in ipairs({'3301', '127.0.0.1:3301', '*:3301', '[::1]:3301'}) do
    local none, err = console.listen(uri)
    tap.is(none, nil, 'TCP without a word: ' .. uri)
    tap.like(err.message, 'over TCP a password is wanted', 'and why')
end
local none, err = console.listen('127.0.0.1:0', {password = 'short'})
tap.is(none, nil, 'a short password')
tap.like(err.message, 'a password has 8 to 256 bytes', 'and why')
tap.throws(function() console.listen('x', {nosuch = 1}) end,
    'there is no option nosuch', 'no such option')
tap.throws(function() console.listen('x', {mode = 'rw'}) end,
    'mode: a number is wanted, not string', 'mode')
tap.throws(function() console.listen('x', {mode = 4096}) end, 'mode: 0 to 511',
    'range of mode')
tap.throws(function() console.listen('x', {password = 'has\na line end'}) end,
    'no line ends', 'password with a line end')
tap.throws(function() console.listen('1:0', {mode = 1, password = '12345678'}) end,
    'are of unix sockets', 'mode of TCP')
tap.throws(function() console.listen('a:b:c') end, 'HOST:PORT is wanted',
    'no address')

-- What consoles have in common.
tap.throws(function() console.delimiter() end, 'need existing console',
    'delimiter')
tap.throws(function() console.connect('x') end, 'need existing console',
    'connect')
tap.is(console.eos(), '\n...\n', 'eos of YAML')
tap.throws(function() console.eos('x') end, 'is immutable for output yaml',
    'and for ever')
console.set_default_output('lua,block')
tap.is(console.get_default_output().fmt, 'lua', 'mode')
tap.is(console.get_default_output().opts, 'block', 'its option')
tap.is(console.eos(), ';', 'eos of Lua')
tap.throws(function() console.set_default_output('lua,blo') end,
    'Wrong option \"blo\"', 'no such option of a mode')
tap.throws(function() console.set_default_output('xml') end,
    'Invalid format \"xml\"', 'no such mode')
console.set_default_output('yaml')
tap.throws(function() console.on_start(1) end, 'Wrong type of on_start hook',
    'on_start')
tap.is(console.ac(), true, 'ac')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen('unix/:' .. path))
tap.is(server.path, path, 'path')
tap.is(tostring(server), 'console: ' .. path, 'tostring')
tap.is(server.nosuch, nil, 'no such field')

none, err = console.listen(path)
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
