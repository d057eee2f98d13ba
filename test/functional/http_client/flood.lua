-- A server for test_flood.lua, in a process of its own so that it can send while the client
-- reads: flood.lua PATH [CERTIFICATE KEY], with which it speaks HTTP/2 over TLS. It says to
-- each connection what it finds in the file: behind a line with a number so many bytes
-- once, and the rest until the end. Prints its port.
local socket = require('socket')

local file = assert(io.open(arg[1], 'rb'))
local first = file:read(tonumber(file:read('*l')))
local again = file:read('*a')
file:close()
again = again:rep(math.ceil(65536 / #again))
local _, address = assert(socket.tcp_server('127.0.0.1', 0, {
    tls = arg[2] and { cert_file = arg[2], key_file = arg[3], alpn = { 'h2' } },
    handler = function(s)
        s:sysread(65536, 60)
        s:write(first)
        while s:write(again) do end
    end,
}))
io.stdout:write(address.port, '\n')
io.stdout:flush()
