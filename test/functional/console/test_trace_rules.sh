#!/bin/sh
# trace request in a configured server of two workers: the rules that a request takes, the
# worker that serves it; the process ends amidst one, also where a worker does not answer.
#
# test: timeout 60, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

client=$NEAP_BINARY_DIR/test/lib/unix_client

cat > app.lua <<'END'
core.register_action('seen', { 'http-req' }, function(txn)
	txn:set_var('txn.seen', 'yes')
end)
core.register_service('hello', 'http', function(applet)
	applet:start_response()
	applet:send('hello')
end)
core.register_service('spin', 'http', function(applet)
	io.open('spinning', 'w'):close()
	require('ffi').cdef('int usleep(unsigned us);')
	for _ = 1, 10 do require('ffi').C.usleep(100000) end
	applet:start_response()
	applet:send('spun')
end)
END
cat > server.yaml <<END
workers: 2
load_per_thread: app.lua
console:
  - {address: 'unix:$TMPDIR/c', language: admin}
listeners:
  - address: 'unix:$TMPDIR/s'
    rules:
      - action: lua.seen
      - {deny: 403, if: path begins /private}
      - {use-service: lua.spin, if: path == /spin}
      - use-service: lua.hello
    response_rules:
      - set-header: {x-seen: '%[var(txn.seen)]'}
END
line='server server.yaml'
"$NEAP_BIN" server.yaml 2> log &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -S "$TMPDIR/s"
eventually test -S "$TMPDIR/c"

cat > ask.lua <<'END'
local http = require('http.client').new()
for _, target in ipairs(arg) do
	local r = http:get('http://a.example' .. target,
		{ unix_socket = os.getenv('TMPDIR') .. '/s' })
	print(r.status)
end
os.exit(0)
END

# Until the client types, or leaves: what it was told is in "rows".
mkfifo pipe
follow() {
	"$client" "$@" "$TMPDIR/c" < pipe > rows 2>&1 &
	follower=$!
	exec 3> pipe
	printf 'trace request for 1h\n' >&3
	eventually follows
}
follows() {
	printf 'show cli sessions\n' | "$client" "$TMPDIR/c" | grep -q 'trace request$'
}
is_over() { ! follows; }

events() {
	awk '$1 ~ /^[0-9]+\./ && $7 != "accepted" {
		sub(/:.*/, "", $12); printf "%s %s %s;", $7, $11, $12 }' rows
}

has_closed() {
	[ "$(grep -c ' closed ' rows)" = "$1" ]
}

follow
run neap ask.lua /a
out_is 200
eventually has_closed 1
[ "$(events)" = 'request GET /a;rule action (server.yaml;rule use-service (server.yaml;rule set-header (server.yaml;answer - ;sent - ;done - ;closed - ;' ] ||
	fail "not its life: $(cat rows)"
run neap ask.lua /private/b
out_is 403
eventually has_closed 2
case $(events) in *'request GET /private/b;rule action (server.yaml;rule deny (server.yaml;'*) ;;
*) fail "not its rules: $(cat rows)" ;; esac
printf 'echo over\n' >&3
exec 3>&-
wait $follower
grep -q '^over$' rows || fail "what is typed ends it: $(cat rows)"

# Some requests are each worker's.
both() {
	follow
	run neap ask.lua /1
	run neap ask.lua /2
	eventually has_closed 2
	printf '\n' >&3
	exec 3>&-
	wait $follower
	grep ' request ' rows | grep -q '^ *[0-9.]* *1 ' && seen_1=1
	grep ' request ' rows | grep -q '^ *[0-9.]* *2 ' && seen_2=1
	[ -n "$seen_1" ] && [ -n "$seen_2" ]
}
seen_1= seen_2=
eventually both

# Who vanishes while a worker does not answer; it lets go when it does.
neap ask.lua /spin > spun &
asker=$!
eventually test -e spinning
follow
kill -s KILL $follower
exec 3>&-
wait $asker
eventually is_over
[ "$(cat spun)" = 200 ] || fail "the answer is $(cat spun)"
run neap ask.lua /after
out_is 200

# The end amidst one.
follow
run neap ask.lua /a
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
exec 3>&-
wait $follower || true
[ "$code" = 0 ] || fail "ended with $code: $(cat log)"
