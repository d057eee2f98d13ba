#!/bin/sh
# SIGTERM and a tcp_server: nobody comes in any more, who is in ends its
# conversation, and then the program ends with 0; one that never ends is cut by
# the deadline, which says so.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > server.lua <<'END'
local socket = require('socket')
local server, addr = assert(socket.tcp_server('127.0.0.1', 0, {name = 'talk',
    handler = function(s)
        while true do
            local line = s:read('\n')
            if line == nil or line == '' then return end
            s:write('you said ' .. line)
        end
    end}))
local file = io.open('port', 'w')
file:write(addr.port, '\n')
file:close()
END
cat > client.lua <<'END'
local fiber = require('fiber')
local socket = require('socket')
local port = io.open('port'):read('*n')
local s = assert(socket.tcp_connect('127.0.0.1', port, 10))
assert(s:write('one\n') and s:read('\n', 10) == 'you said one\n')
io.open('inside', 'w'):close()
if arg[1] == 'stay' then
    assert(s:read(1, 60) == '')
    os.exit(0)
end
local other
repeat -- until nobody is let in
    fiber.sleep(0.01)
    other = socket.tcp_connect('127.0.0.1', port, 10)
    if other then other:close() end
until other == nil
assert(s:write('two\n') and s:read('\n', 10) == 'you said two\n')
s:close()
END

begin() {
	rm -f port inside
	"$NEAP_BIN" "$@" server.lua 2> log &
	server=$!
	trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
	eventually test -s port
}

begin
"$NEAP_BIN" client.lua &
client=$!
eventually test -e inside
kill -s TERM "$server"
code=0
wait "$server" || code=$?
[ "$code" = 0 ] || fail "the server ended with $code: $(cat log)"
wait "$client" || fail "the client"

begin --drain-timeout 0.5
"$NEAP_BIN" client.lua stay &
client=$!
eventually test -e inside
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
[ "$code" = 1 ] || fail "the deadline ended it with $code"
grep -q 'socket server talk: 1 connection was not finished in time: cut' log ||
	fail "nothing was said: $(cat log)"
wait "$client" || fail "the client that stays"

# Nobody may begin to listen at the end.
cat > late.lua <<'END'
local fiber = require('fiber')
local socket = require('socket')
local neap = require('neap')
neap.on_shutdown(function()
    local s, err = socket.tcp_server('127.0.0.1', 0, print)
    local file = io.open('refused', 'w')
    file:write(tostring(s), ' ', tostring(err))
    file:close()
end)
local file = io.open('port', 'w')
file:write('0\n')
file:close()
fiber.sleep(100)
END
rm -f port
"$NEAP_BIN" late.lua 2> log &
server=$!
eventually test -s port
kill -s TERM "$server"
wait "$server" || true
grep -q '^nil .*ending' refused || fail "not refused: $(cat refused log)"
