-- What `make bench` asks over TCP: lines that come back. The same program is run by
-- ours and by the peer: PROGRAM tcp_echo.lua PORT

local socket = require('socket')

local ok, err = socket.tcp_server('127.0.0.1', tonumber(arg[1]), function(s)
    s:setsockopt('tcp', 'TCP_NODELAY', true)
    while true do
        local line = s:read('\n')
        if line == nil or line == '' then
            return
        end
        s:write(line)
    end
end)
if not ok then
    io.stderr:write(tostring(err), '\n')
    os.exit(1)
end
