#!/bin/sh
# The load client sees what is wrong: a benchmark must not praise a server for
# answers nobody looked at.
set -eu

tools=${NEAP_BINARY_DIR:?}/test/bench
failed=0

"$tools/fixed" 0 13 > port &
server=$!
"$tools/fixed" 0 echo > port.echo &
echo_server=$!
"$tools/fixed" 0 200 websocket > port.ws &
ws_server=$!
trap 'kill $server $echo_server $ws_server 2> /dev/null || :; wait' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
	if [ -s port ] && [ -s port.echo ] && [ -s port.ws ]; then break; fi
	sleep 0.2
done
port=$(sed 's/port //' port)
echo_port=$(sed 's/port //' port.echo)
ws_port=$(sed 's/port //' port.ws)

# expect WHAT EXIT-CODE TEXT COMMAND..: both its streams are looked at.
expect() {
	what=$1 want=$2 text=$3
	shift 3
	code=0
	"$@" > out 2>&1 || code=$?
	if [ "$code" != "$want" ] || ! grep -q "$text" out; then
		echo "not ok: $what: exit $code, wanted $want and: $text"
		cat out
		failed=1
	else
		echo "ok: $what"
	fi
}

load=$tools/load
expect 'a number of requests, all answered' 0 '^requests 1000 errors 0 ' \
	"$load" -n 1000 -x abcdefghijklm "$port" /
expect 'a number that no batch divides' 0 '^requests 1001 errors 0 ' \
	"$load" -n 1001 -c 7 -d 16 -x abcdefghijklm "$port" /
expect 'a prefix' 0 ' errors 0 ' "$load" -n 10 -p abc "$port" /
expect 'a body with one wrong byte' 1 'another body' \
	"$load" -n 100 -x abcdefghijklX "$port" /
expect 'a body that is short' 1 'another size' \
	"$load" -n 100 -x abcdefghijklmn "$port" /
expect 'a wrong prefix' 1 'another body' "$load" -n 100 -p abX "$port" /
expect 'a POST whose body does not come back' 1 'another size' \
	"$load" -n 100 -b 100 "$port" /
expect 'a time' 0 ' errors 0 rate [1-9]' "$load" -t 0.2 "$port" /
expect 'echo' 0 '^requests 500 errors 0 ' "$load" -n 500 -e 64 "$echo_port"
expect 'echo in batches' 0 '^requests 4096 errors 0 ' \
	"$load" -n 4096 -d 32 -e 2000 "$echo_port"
expect 'an answer that is no HTTP' 1 'begin with HTTP' \
	"$load" -n 10 "$echo_port" /

expect 'times to send at' 0 ' errors 0 rate [1-9]' \
	"$load" -i 5 -c 10 -t 0.2 -w 0 "$port" /
expect 'a body that is no JSON' 1 'another size' "$load" -n 10 -j "$port" /
expect 'messages' 0 '^requests 500 errors 0 ' "$load" -n 500 -m 200 "$ws_port"
expect 'a message of another size' 1 'another size' \
	"$load" -n 10 -m 1000 "$ws_port"
expect 'no WebSocket' 1 'cannot begin' "$load" -n 10 -m 64 "$port" /
expect 'no HTTP/2' 1 'a frame that is too long' \
	"$load" -2 -n 10 "$echo_port" /
expect 'no TLS' 1 'cannot greet' "$load" -s -n 10 "$port" /

kill "$server"
wait "$server" || :
expect 'nobody who listens' 1 'cannot connect' "$load" -n 10 "$port" /
expect 'a bad option' 2 'options' "$load" -q "$port" /
expect 'a bad port' 2 'port' "$load" 70000 /

# What only a real server speaks.
cat > app.lua <<'END'
local server = require('http.server').new('127.0.0.1', 0, { http2 = true })
server:route({ path = '/' }, function(request)
    return { status = 200, body = 'Hello, world!' }
end)
server:route({ path = '/json' }, function(request)
    return request:render({ json = { message = 'Hello, world!',
                                     number = 12345 } })
end)
server:start()
print('port ' .. server:port())
io.stdout:flush()
END
"${NEAP_BINARY_DIR:?}/neap" app.lua > port.neap 2> neap.log &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
	if [ -s port.neap ]; then break; fi
	sleep 0.2
done
port=$(sed 's/port //' port.neap)
expect 'HTTP/2' 0 '^requests 1000 errors 0 ' \
	"$load" -2 -n 1000 -d 16 -x 'Hello, world!' "$port" /
expect 'HTTP/2 with one wrong byte' 1 'another body' \
	"$load" -2 -n 100 -d 16 -x 'Hello, World!' "$port" /
expect 'HTTP/2 with another status' 1 'not status 200' \
	"$load" -2 -n 100 "$port" /none
expect 'a new connection each time' 0 '^requests 100 errors 0 ' \
	"$load" -r -c 4 -n 100 -x 'Hello, world!' "$port" /
expect 'JSON with another number' 1 'another' "$load" -n 10 -j "$port" /json
exit $failed
