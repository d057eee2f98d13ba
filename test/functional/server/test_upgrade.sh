#!/bin/sh
# New processes take the place of a server that is under load: no request fails, what does
# not start leaves what serves as it is, and says why; nothing is left of those before.
#
# test: timeout 180, soak 3600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"
unset NEAP_PASSWORD

upgrades=10
if [ -n "${NEAP_SOAK:-}" ]; then upgrades=100; fi
port=$(free_port)

configuration() { # VERSION, WORKERS
	cat > server.yaml <<END
workers: ${2:-2}
load_per_thread: {file: app.lua, args: ['$1']}
console: [{address: 'unix:admin', language: admin, level: admin}]
listeners:
  - name: web
    address: ['127.0.0.1:$port', 'unix:s', '127.0.0.1:0', '127.0.0.1:0']
    rules:
      - {use-service: lua.version, if: path == /version}
      - {use-service: lua.worker}
END
}
cat > app.lua <<'END'
local version = ...
for _, name in ipairs({ 'NEAP_UPGRADE', 'NOTIFY_SOCKET', 'WATCHDOG_USEC' }) do
	if os.getenv(name) then error(name .. ' is not for scripts') end
end
local function text(applet, body)
	applet:start_response()
	applet:send(body)
end
core.register_service('worker', 'http', function(applet)
	text(applet, core.thread .. '.')
end)
core.register_service('version', 'http', function(applet)
	text(applet, version .. '\n')
end)
core.register_init(function()
	if version == 'broken' then error('this one cannot start') end
end)
END

answers() { # VERSION
	run neap -e "local r = require('http.client').get('http://127.0.0.1:$port/version')
		print(r and r.body) os.exit(0)"
	[ "$out" = "$1

" ]
}
lines_with() {
	grep -c "$1" server.err || true
}
serving() { # COUNT of upgrades that have come to serve
	[ "$(lines_with 'upgrade: this process serves')" = "$1" ]
}
failures() {
	[ "$(lines_with 'the upgrade has failed, nothing has changed')" = "$1" ]
}
last_pid() {
	sed -n 's/.*upgrade: process \([0-9]*\) serves.*/\1/p' server.err | tail -n 1
}
gone() {
	! kill -s 0 "$1" 2> /dev/null || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]
}
replaced() {
	[ -n "$(last_pid)" ] && [ "$(last_pid)" != "$server" ]
}
changes_process() {
	eventually replaced
	before=$server
	server=$(last_pid)
	eventually gone "$before"
}
descriptors() {
	find "/proc/$server/fd" -mindepth 1 | wc -l
}
rests_at() {
	[ "$(descriptors)" -le "$1" ]
}
addresses() {
	run neap connect admin -e 'show listeners json'
	printf '%s' "$out" | grep -o '127.0.0.1:[0-9]*' | sort -u
}

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
trap 'kill -s KILL $manager $server 2> /dev/null || true' EXIT
eventually [ -S notify ]

ln -s "$NEAP_BIN" program
configuration 0
line='server server.yaml'
NOTIFY_SOCKET=$PWD/notify ./program server.yaml > server.out 2> server.err &
server=$!
eventually answers 0
eventually [ -S admin ]
ports=$(addresses)
[ "$(echo "$ports" | wc -l)" = 3 ] || fail "listeners: $ports"

# Once before the load: asked in the console, which says what has come of it.
configuration 1
run neap upgrade server.yaml
code_is 0
out_has 'process '
before=$server
server=${out#process }
server=${server%% *}
answers 1 || fail 'the answer came too early'
[ "$server" = "$(last_pid)" ] || fail 'another process'
eventually gone "$before"
wait "$before" || fail "the one before has ended with $?"
eventually has_line heard "MAINPID=$server READY=1 STATUS=process $server serves"
eventually sh -c "tail -n 1 heard | grep -q 'READY=1 STATUS=serving'"
[ "$(addresses)" = "$ports" ] || fail "listeners: $out, not $ports"

# The load: connections of few and of many requests, over TCP and the unix socket.
"$client" "$port" 2 steady 1 > said.1 2> said.err.1 &
load_1=$!
"$client" "$port" 2 steady 20 > said.2 2> said.err.2 &
load_2=$!
"$client" "$PWD/s" 2 steady 5 > said.3 2> said.err.3 &
load_3=$!
for i in 1 2 3; do eventually has_line said.$i begun; done

i=1 good=1 broken=0 version=1
while [ $i -le "$upgrades" ]; do
	case $((i % 2)) in
	0)
		broken=$((broken + 1))
		case $((i / 2 % 5)) in
		0) rm program ;;
		1) rm program; : > program ;;
		2) echo 'listeners: [' > server.yaml ;;
		3) configuration broken ;;
		4) ln -sf /bin/true program ;;
		esac
		kill -s USR2 "$server"
		eventually failures $broken
		answers $version || fail "upgrade $i: another version"
		rm -f program
		ln -s "$NEAP_BIN" program
		;;
	*)
		good=$((good + 1)) version=$((i + 1))
		# Fewer workers, and more of them again.
		configuration $version $((1 + i / 2 % 3))
		kill -s USR2 "$server"
		eventually serving $good
		eventually answers $version
		changes_process
		;;
	esac
	i=$((i + 1))
done
for text in "cannot start './program': no such file" \
	"cannot start './program': permission denied" \
	'server.yaml:2:1: did not find expected' 'this one cannot start' \
	'has ended with code 0 before it served'; do
	grep -qi "has failed, nothing has changed.*$text" server.err ||
		fail "not told: $text"
done
for i in 1 2 3; do
	eval "kill -s USR1 \$load_$i" || fail "load $i has ended: $(cat said.$i said.err.$i)"
	eventually has_line said.$i told
done

kill -s TERM "$server"
eventually gone "$server"
server=
for i in 1 2 3; do
	lost=0
	eval wait "\$load_$i" || lost=$?
	[ $lost = 0 ] || fail "load $i: $(cat said.$i said.err.$i)"
	[ "$(value_of said.$i answers)" -gt 0 ] || fail "load $i: nothing was answered"
done
[ ! -e s ] && [ ! -e admin ] || fail 'sockets are left'
if grep -q 'leak\|left open' server.err; then fail "$(cat server.err)"; fi

# Without load: the same descriptors from process to process; a second one is refused,
# and a signal to end reaches both.
configuration 0
./program server.yaml > server.out 2> server.err &
server=$!
eventually answers 0
for i in 1 2 3 4 5 6; do
	eventually [ -S admin ]
	kill -s USR2 "$server"
	changes_process
	if [ $i = 1 ]; then descriptors_before=$(descriptors); fi
done
eventually rests_at $((descriptors_before + 3))
cat > app.lua <<'END'
core.register_init(function()
	io.open('begun', 'w'):close()
	core.sleep(100)
end)
END
sed -i '/^ *-.*use-service/d; /rules:/d' server.yaml
kill -s USR2 "$server"
eventually [ -e begun ]
kill -s USR2 "$server"
eventually has_line server.err 'upgrade: refused: process'
starting=$(sed -n 's/.*starts, as process \([0-9]*\).*/\1/p' server.err | tail -n 1)
kill -s TERM "$server"
eventually gone "$server"
eventually gone "$starting"
server=

# A script alone cannot be.
echo "require('fiber').sleep(100)" > script.lua
"$NEAP_BIN" script.lua 2> server.err &
server=$!
run neap upgrade --pid x
code_is 2
run neap upgrade
code_is 2
eventually [ "$(awk '$1 == "SigCgt:" { print substr($2, 12, 5) }' /proc/$server/status)" != 00000 ]
sleep 0.2
run neap upgrade --pid "$server"
code_is 0
eventually has_line server.err 'only a server that a configuration declares'
kill -s TERM "$server"
wait "$server" || true
server=
