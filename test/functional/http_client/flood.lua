-- A server for test_flood.lua, in a process of its own so that it can send while the client
-- reads: flood.lua PATH [CERTIFICATE KEY], with which it speaks HTTP/2 over TLS. It says to
-- each connection what it finds in the file: behind a line with a number so many bytes
-- once, and the rest until the end; ACCEPT in the former is what a WebSocket asks for.
-- Prints its port.
local digest = require('digest')
local socket = require('socket')

local file = assert(io.open(arg[1], 'rb'))
local first = file:read(tonumber(file:read('*l')))
local again = file:read('*a')
file:close()
again = again:rep(math.ceil(65536 / #again))
local _, address = assert(socket.tcp_server('127.0.0.1', 0, {
    tls = arg[2] and { cert_file = arg[2], key_file = arg[3], alpn = { 'h2' } },
    handler = function(s)
        s:readable(60)
        local key = (s:sysread(65536) or ''):match('Sec%-WebSocket%-Key: (%S+)')
        local accept = key and digest.base64_encode(digest.sha1(key
            .. '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'))
        s:write((first:gsub('ACCEPT', accept or '')))
        while s:write(again) do end
    end,
}))
io.stdout:write(address.port, '\n')
io.stdout:flush()
