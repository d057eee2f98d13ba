#!/bin/sh
# What a service manager hears of a configured server, on a real datagram socket: ready,
# reloading, stopping, and the watchdog's word only while the workers turn.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

cat > server.yaml <<'END'
workers: 2
load_per_thread: app.lua
listeners: [{address: 'unix:s', rules: [{use-service: lua.it}]}]
END
cp server.yaml good.yaml
cat > app.lua <<'END'
if os.getenv('NOTIFY_SOCKET') or os.getenv('WATCHDOG_USEC') then
	error('that is not for scripts')
end
core.register_service('it', 'http', function(applet)
	if applet.path == '/stick' then -- until the file 'spin' has gone
		require('cmod').load(os.getenv('CALLS')):load('spins')()
	end
	applet:start_response()
	applet:send('it')
end)
END

# The manager: each word it hears is one line, its parts with spaces between.
cat > manager.lua <<'END'
local s = require('socket')('AF_UNIX', 'SOCK_DGRAM', 0)
assert(s:bind('unix/', 'notify'))
local file = assert(io.open('heard', 'w'))
file:setvbuf('no')
while true do
	if s:readable() then
		local text = s:recv(4096)
		if text then file:write((text:gsub('\n', ' ')), '\n') end
	end
end
END
"$NEAP_BIN" manager.lua > manager.out 2> manager.err &
manager=$!
server=
trap 'kill -s KILL "$manager" $server 2> /dev/null || true' EXIT
eventually [ -S notify ]

line='server server.yaml'
CALLS=$NEAP_TEST_CMOD_DIR/calls NOTIFY_SOCKET=$PWD/notify WATCHDOG_USEC=400000 \
	"$NEAP_BIN" server.yaml > server.out 2> server.err &
server=$!
count() { # WORD
	grep -c -- "$1" heard || true
}
grows() { # WORD COUNT
	[ "$(count "$1")" -gt "$2" ]
}
eventually has_line heard 'READY=1 STATUS=serving'
eventually grows WATCHDOG=1 1

kill -s HUP $server
eventually has_line heard 'READY=1 STATUS=generation 2 serves'
[ "$(count 'RELOADING=1 MONOTONIC_USEC=[0-9]')" = 1 ] || fail "$(cat heard)"
echo 'workers: [' > server.yaml
kill -s HUP $server
eventually has_line heard 'READY=1 STATUS=the reload has failed: server.yaml:2:1'
[ "$(count 'RELOADING=1 MONOTONIC_USEC=[0-9]')" = 2 ] || fail "$(cat heard)"

# A worker that is stuck: nothing is said until it turns again.
: > spin
"$NEAP_BIN" -e "require('http.client').get('http://localhost/stick',
	{ unix_socket = 's', timeout = 30 }) os.exit(0)" &
asks=$!
eventually has_line server.err 'is stuck'
before=$(count WATCHDOG=1)
sleep 1
[ "$(count WATCHDOG=1)" = "$before" ] || fail 'the watchdog hears of a stuck server'
rm spin
wait $asks || true
eventually grows WATCHDOG=1 "$before"

kill -s TERM $server
code=0
wait $server || code=$?
code_is 0
eventually has_line heard 'STOPPING=1'
kill -s KILL $manager
wait $manager 2> /dev/null || true
trap - EXIT

# A manager that is not there is no reason to fail.
cp good.yaml server.yaml
NOTIFY_SOCKET=@nobody-is-there "$NEAP_BIN" server.yaml > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually [ -S s ]
kill -s TERM $server
finish
code_is 0
