-- A server for test_flood.lua, in a process of its own so that it can send while the client
-- reads: flood.lua PATH. It says to each connection what it finds in the file, up to
-- a byte 0 once and what is behind that until the end. Prints its port.
local socket = require('socket')

local file = assert(io.open(arg[1], 'rb'))
local first, again = file:read('*a'):match('^(.-)%z(.*)$')
file:close()
again = again:rep(math.ceil(65536 / #again))
local _, address = assert(socket.tcp_server('127.0.0.1', 0, function(s)
    s:sysread(65536, 60)
    s:write(first)
    while s:write(again) do end
end))
io.stdout:write(address.port, '\n')
io.stdout:flush()
