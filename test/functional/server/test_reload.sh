#!/bin/sh
# Reloads under load: no connection is lost and no answer is half of one, what does
# not start leaves what serves as it is, and nothing is left of those before.
#
# test: timeout 180, soak 3600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

reloads=10
if [ -n "${NEAP_SOAK:-}" ]; then reloads=100; fi

# A free port: the configuration must name one that stays the same.
free_port() {
	"$NEAP_BIN" -e "local s = require('socket')('AF_INET', 'SOCK_STREAM', 'tcp')
		s:bind('127.0.0.1', 0) print(s:name().port) os.exit(0)"
}
port=$(free_port) lines=$(free_port)
# Somebody else's.
"$NEAP_BIN" -e "local s = require('socket')('AF_INET', 'SOCK_STREAM', 'tcp')
	s:bind('127.0.0.1', 0) s:listen() print(s:name().port) io.flush()
	require('fiber').sleep(3600)" > taken &
other=$!
trap 'kill -s KILL $other 2> /dev/null || true' EXIT
eventually [ -s taken ]
taken=$(cat taken)

configuration() { # VERSION, WORKERS
	cat > server.yaml <<END
workers: ${2:-2}
load: shared.lua
load_per_thread: {file: app.lua, args: ['$1']}
listeners:
  - name: web
    address: ['127.0.0.1:$port', 'unix:$TMPDIR/s']
    rules:
      - action: lua.shared
        if: path == /shared
      - use-service: lua.version
        if: path == /version
      - use-service: lua.worker
  - {address: '127.0.0.1:$lines', protocol: tcp, rules: [{use-service: lua.lines}]}
END
}

cat > shared.lua <<'END'
core.register_action('shared', { 'http-req' }, function(txn)
	txn:set_var('txn.seen', 'yes')
end)
END
cat > app.lua <<'END'
local version = ...
local function text(applet, body)
	applet:start_response()
	applet:send(body)
end
core.register_service('worker', 'http', function(applet)
	text(applet, core.thread .. '.')
end)
core.register_service('lines', 'tcp', function(applet)
	repeat until #applet:getline() < 3
	applet:send('HTTP/1.1 200 OK\r\n\r\n' .. core.thread .. '.')
end)
core.register_service('version', 'http', function(applet)
	text(applet, version .. '\n')
end)
core.register_init(function()
	if version == 'broken' then error('this one cannot start') end
end)
END

ask() { # TARGET
	"$NEAP_BIN" -e "local r = assert(require('http.client').get(
		'http://127.0.0.1:$port$1')) io.write(r.body) os.exit(0)"
}

answers() { # VERSION; nobody listens at the start
	[ "$(ask /version 2> ask.err)" = "$1" ]
}

configuration 0
line="server server.yaml"
"$NEAP_BIN" server.yaml > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" $other 2> /dev/null || true' EXIT
eventually answers 0
[ -n "$(ask /shared)" ] || fail 'no answer'

descriptors() {
	find "/proc/$server/fd" -mindepth 1 | wc -l
}
threads() {
	find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l
}
# What a worker has only when it computes alone may come later than the measure: a
# thread, and its descriptors. One for each reload would be more.
rests_at() { # THREADS DESCRIPTORS
	[ "$(threads)" -le $(($1 + 6)) ] && [ "$(descriptors)" -le $(($2 + 6)) ]
}
memory() {
	awk '$1 == "VmRSS:" { print $2 }' "/proc/$server/status"
}
lines_with() {
	grep -c "$1" server.err || true
}
tried() { # COUNT
	[ "$(($(lines_with 'serves, the one before') + \
		$(lines_with 'reload has failed')))" = "$1" ]
}

kill -s HUP $server
eventually tried 1
eventually answers 0

# The load: connections of few and of many requests, over TCP and the unix socket, with
# a listener of TCP.
"$client" "$port" 2 steady 1 > said.1 2> said.err.1 &
load_1=$!
"$client" "$port" 2 steady 20 /shared > said.2 2> said.err.2 &
load_2=$!
"$client" "$TMPDIR/s" 2 steady 5 > said.3 2> said.err.3 &
load_3=$!
"$client" "$lines" 2 steady 1 > said.4 2> said.err.4 &
load_4=$!
for i in 1 2 3 4; do eventually has_line said.$i begun; done

i=1 broken=0
while [ $i -le "$reloads" ]; do
	case $((i % 10)) in
	3 | 8) # of ten: it does not start, for one of four reasons
		broken=$((broken + 1))
		case $((i / 5 % 4)) in
		0) configuration broken ;;
		1) # when it listens at the others already
			echo "  - {address: '127.0.0.1:$taken'}" >> server.yaml ;;
		2) echo 'listeners: [' > server.yaml ;;
		3) sed -i 's/lua.worker/lua.nobody/' server.yaml ;;
		esac
		kill -s HUP $server
		eventually tried $((i + 1))
		answers $((i - 1)) || fail "reload $i: another version: $(cat ask.err)"
		;;
	*)
		configuration $i $((1 + i % 3)) # fewer workers, and more again
		kill -s HUP $server
		eventually answers $i
		eventually tried $((i + 1))
		;;
	esac
	if [ $i = $((reloads / 2)) ]; then middle=$(memory); fi
	i=$((i + 1))
done
[ "$(lines_with 'reload has failed')" = $broken ] || fail 'not all failures told'
grep -q 'this one cannot start' server.err || fail 'not told why'
grep -q 'Address already in use' server.err || fail 'not told why'

# Nothing is left of the states before, with the load on it and without.
last=$(memory)
if [ -z "${NEAP_SANITIZE:-}" ]; then # which keeps what is freed
	[ "$last" -lt $((middle + middle / 2)) ] ||
		fail "memory: $middle, then $last KiB"
fi
for i in 1 2 3 4; do
	eval "kill -s USR1 \$load_$i" || fail "load $i has ended: $(cat said.$i said.err.$i)"
	eventually has_line said.$i told
done
kill -s TERM $server
finish
trap 'kill -s KILL $other 2> /dev/null || true' EXIT
code_is 0
for i in 1 2 3 4; do
	lost=0
	eval wait "\$load_$i" || lost=$?
	[ $lost = 0 ] || fail "load $i: $(cat said.$i said.err.$i)"
	[ "$(value_of said.$i answers)" -gt 0 ] || fail "load $i: nothing was answered"
done

# And without load the same threads and descriptors as before.
configuration 0
"$NEAP_BIN" server.yaml > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" $other 2> /dev/null || true' EXIT
eventually answers 0
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	kill -s HUP $server
	eventually has_line server.err "generation $i has ended"
	eventually answers 0
	# Once before it is measured: what is made at first use is there then.
	if [ $i = 1 ]; then
		threads_before=$(threads) descriptors_before=$(descriptors)
	fi
done
eventually rests_at "$threads_before" "$descriptors_before"
kill -s TERM $server
finish
trap 'kill -s KILL $other 2> /dev/null || true' EXIT
code_is 0
kill -s KILL $other
