-- Two servers of one program with few descriptors: together they take no more than there
-- are. Whoever comes to either is served or told that it is full, handlers can open
-- files all the while, and what one gives back the other may have.
-- test: timeout 60
local fio = require('fio')
local popen = require('popen')
local raw = require('raw')
local tap = require('tap')

local dir = fio.tempdir()
local program = fio.pathjoin(dir, 'server.lua')
local f = io.open(program, 'w')
f:write([[
local http_server = require('http.server')
for _, name in ipairs({ 'a', 'b' }) do
    local httpd = http_server.new('unix/:' .. arg[1] .. '/' .. name, nil)
    httpd:route({ path = '/' }, function()
        local f, why = io.open(arg[0])
        return f and f:close() and 'served' or why
    end)
    httpd:start()
end
io.stdout:write('ready\n')
io.stdout:flush()
]])
f:close()
local bin = os.getenv('NEAP_BIN')
local ph = assert(popen.shell(('ulimit -n 64; exec %s %s %s'):format(bin, program, dir), 'r'))
assert(ph:read() == 'ready\n')

-- A connection, and whether it was served; it stays then.
local function visit(name)
    local peer = raw.connect(fio.pathjoin(dir, name))
    peer:send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    local text = peer:read('\r\n\r\n')
    if text:find('^HTTP/1.1 503') then
        peer:close()
        return nil
    end
    tap.like(text .. (text:find('served') and '' or peer:read('served')), 'served$',
        name .. ': served')
    return peer
end

local function fill(...)
    local peers = {}
    for i = 1, 100 do
        peers[#peers + 1] = visit(select(i % select('#', ...) + 1, ...))
    end
    return peers
end
local function leave(peers)
    for _, peer in ipairs(peers) do
        peer:close()
    end
end

local both = fill('a', 'b')
tap.ok(#both > 20 and #both < 60, #both .. ' connections to both')
for i = 1, 10 do
    table.remove(both):close()
end
local function again(name)
    local peer
    raw.until_true(function()
        peer = visit(name)
        return peer
    end)
    both[#both + 1] = peer
end
again('a')
again('b')
tap.pass('there is room again')
leave(both)
raw.until_true(function()
    local one = fill('b')
    leave(one)
    return #one >= #both
end)
tap.pass('one may have what the other does not need')
ph:terminate()
tap.is(ph:wait().exit_code, 0, 'it ends')
ph:close()
fio.rmtree(dir)
tap.done()
os.exit(0)
