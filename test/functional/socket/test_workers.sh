#!/bin/sh
# tcp_server in several workers: one port, or one unix socket, and each serves;
# nobody else gets it; at the end the file is gone.
# test: threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > server.lua <<'END'
local fiber = require('fiber')
local neap = require('neap')
local socket = require('socket')
local host, port = arg[1], tonumber(arg[2]) or arg[2]
local s, addr = assert(socket.tcp_server(host, port, function(c)
    c:write(('worker %d\n'):format(neap.worker.id))
    c:read(1, 10)
end))
-- The same worker listens there once only.
local twice = socket.tcp_server(host, addr.port, print)
assert(twice == nil, 'it listens twice')
local file = io.open('ports', 'a')
file:write(addr.port, '\n')
file:close()
END
cat > client.lua <<'END'
local socket = require('socket')
local seen, count = {}, 0
local host, port = arg[1], tonumber(arg[2]) or arg[2]
for _ = 1, 2000 do
    local s = assert(socket.tcp_connect(host, port, 10))
    local line = assert(s:read('\n', 10))
    if not seen[line] then
        seen[line], count = true, count + 1
    end
    s:close()
    if count == 3 then break end
end
for line in pairs(seen) do io.write(line) end
END

begin() {
	rm -f ports
	"$NEAP_BIN" --workers 3 server.lua "$@" 2> log &
	server=$!
	trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
	eventually has_three
}
has_three() { [ "$(wc -l 2> /dev/null < ports)" = 3 ]; }
finish() {
	kill -s TERM "$server"
	code=0
	wait "$server" || code=$?
	trap - EXIT
	[ "$code" = 0 ] || fail "ended with $code: $(cat log)"
	[ ! -s log ] || ! grep -v 'no new work' log || fail "something was logged"
}

begin 127.0.0.1 0
[ "$(sort -u ports | wc -l)" = 1 ] || fail "one port wanted: $(cat ports)"
port=$(sort -u ports)
run neap client.lua 127.0.0.1 "$port"
code_is 0
[ "$(printf '%s' "$out" | grep -c '^worker ')" = 3 ] || fail "not all serve: $out"
cat > other.lua <<'END'
local s, err = require('socket').tcp_server('127.0.0.1', tonumber(arg[1]), print)
assert(s == nil and tostring(err):find('Address already in use'), err)
END
run neap other.lua "$port"
code_is 0
finish

begin unix/ "$PWD/sock"
run neap client.lua unix/ "$PWD/sock"
code_is 0
[ "$(printf '%s' "$out" | grep -c '^worker ')" -ge 1 ] || fail "nobody serves: $out"
finish
[ ! -e sock ] || fail "the file is still there"
