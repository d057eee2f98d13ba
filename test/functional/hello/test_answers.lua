-- What the example answers, with its library built by the command that its
-- README gives.
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local source = assert(os.getenv('NEAP_SOURCE_DIR')) .. '/doc/examples/hello'

local function read(path)
    local file = assert(io.open(path))
    local text = file:read('*a')
    file:close()
    return text
end

local function write(path, text)
    local file = assert(io.open(path, 'w'))
    assert(file:write(text))
    file:close()
end

-- The first command of the page that calls the compiler.
local command = read(source .. '/README.md'):match('\n    (cc [^\n]+)\n')
tap.like(command, ' %-o hello.so hello.c$', 'the README tells the command')
command = command:gsub('%-I%S+', '-I' .. source .. '/../../../src/include')
    :gsub('^cc', os.getenv('CC') or 'cc')
write('hello.c', read(source .. '/hello.c'))
write('app.lua', read(source .. '/app.lua'))
tap.is(os.execute(command), 0, 'it builds the library')
tap.is(os.execute(command .. ' -Wall -Wextra -Werror'), 0, 'without a warning')

-- A port nobody has.
local probe = http_server.new('127.0.0.1', 0)
probe:start()
local port = probe:port()
probe:stop()

arg = { [0] = './app.lua', tostring(port) }
dofile('app.lua')

local function get(target, status, body)
    local answer = raw.request(port, target)
    tap.is(answer.status, status, target .. ': status')
    if body then
        tap.is(answer.body, body, target .. ': body')
    end
end

get('/', 200, 'Hello, world!\n')
get('/sum?a=1&b=2', 200, '3 by build first\n')
get('/sum?b=2&a=-1', 200, '1 by build first\n')
get('/sum?a=-300&b=-70000', 200, '-70300 by build first\n')
get('/sum?a=4294967296&b=255', 200, '4294967551 by build first\n')
get('/sum?a=9007199254740992&b=9007199254740992', 200,
    '18014398509481984 by build first\n')
get('/sum?a=1.5&b=2', 400, 'sum takes integers\n')
get('/sum?a=1e300&b=2', 400, 'sum takes integers\n')
get('/sum?a=1e19&b=2', 400, 'sum takes integers\n')
get('/sum?a=9.2e18&b=9.2e18', 400, 'the sum does not fit 64 bits\n')
get('/sum?a=1', 400, 'a and b must be numbers\n')
get('/sum?a=x&b=2', 400, 'a and b must be numbers\n')
get('/sum', 400, 'a and b must be numbers\n')
get('/nothing', 404)

tap.done()
os.exit(0)
