#!/bin/sh
# A reload, or a new process of an upgrade, that does not come to serve: after its time what
# serves goes on, log and whoever has asked are told, and the next one may come.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

configuration() { # VERSION, SECONDS it has, what init does
	cat > server.yaml <<END
workers: 2
start_timeout: ${2}s
drain_timeout: 1s
cancel_timeout: 0.2s
load_per_thread: app.lua
console: [{address: 'unix:admin', language: admin, level: admin}]
listeners:
  - {address: 'unix:s', rules: [{return: {body: $1}}]}
END
	echo "core.register_init(function() ${3:-} end)" > app.lua
}
answers() { # VERSION
	run neap -e "local r = require('http.client').get('http://a/', { unix_socket = 's' })
		print(r and r.body) os.exit(0)"
	[ "$out" = "$1
" ]
}
lines_with() { # TEXT COUNT
	[ "$(grep -c "$1" server.err)" = "$2" ]
}
gone() {
	! kill -s 0 "$1" 2> /dev/null || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]
}

configuration one 0.1
serve s server.yaml
eventually [ -S admin ]

# The thread sanitizer keeps back the signals that end what computes.
computes='while true do end'
if [ "${NEAP_SANITIZE:-}" = thread ]; then computes='core.sleep(1e6)'; fi

# One that waits, one that computes, and one that waits in C.
n=0
for init in 'core.sleep(1e6)' "$computes" \
	'local ffi = require("ffi") ffi.cdef("int usleep(unsigned);")
	 for _ = 1, 20 do ffi.C.usleep(100000) end'; do
	n=$((n + 1))
	configuration other 0.1 "$init"
	run neap reload server.yaml
	code_is 1
	err_has 'it has not come to serve within 0.1 s (start_timeout)'
	lines_with 'reload has failed, nothing has changed: it has not come' $n ||
		fail "not told $n times: $(cat server.err)"
	answers one || fail "reload $n: another version"
done
for i in 2 3 4; do eventually has_line server.err "generation $i has ended"; done

n=0
for init in 'core.sleep(1e6)' "$computes"; do
	n=$((n + 1))
	configuration other 0.1 "$init"
	run neap upgrade server.yaml
	code_is 1
	err_has 'it has not come to serve within 0.1 s (start_timeout)'
	lines_with 'it has not come to serve within 0.1 s (start_timeout), and is asked' $n ||
		fail "not told $n times: $(cat server.err)"
	answers one || fail "upgrade $n: another version"
done
if [ -n "${NEAP_SOAK:-}" ]; then # one that cannot be asked is waited for
cat > app.lua <<'END'
core.register_init(function()
	local ffi = require('ffi')
	ffi.cdef('int raise(int);')
	io.open('stopped', 'w'):close()
	ffi.C.raise(19)
end)
END
run neap upgrade server.yaml
code_is 1
[ -e stopped ] || fail 'it did not begin'
err_has 'it has not come to serve within 0.1 s (start_timeout)'
grep -q 'does not end and is killed' server.err || fail "not told: $(cat server.err)"
fi

# The server is asked to end while a new process starts, and has a request that outlives
# the time of that.
cat > app.lua <<'END'
core.register_init(function()
	if io.open('ends') then core.sleep(1e6) end
end)
core.register_service('wait', 'http', function(applet)
	io.open('waits', 'w'):close()
	core.sleep(1e6)
end)
END
cat > server.yaml <<'END'
workers: 1
start_timeout: 2s
drain_timeout: 4s
cancel_timeout: 0.2s
load_per_thread: app.lua
listeners: [{address: 'unix:e', rules: [{use-service: lua.wait}]}]
END
first=$server
"$NEAP_BIN" server.yaml > ends.out 2> ends.err &
server=$!
eventually listens e
"$NEAP_BIN" -e "require('http.client').get('http://a/', { unix_socket = 'e' })" \
	> asks.out 2>&1 &
asks=$!
eventually [ -e waits ]
touch ends
kill -s USR2 "$server"
eventually has_line ends.err 'starts, as process'
kill -s TERM "$server"
wait "$server" || true
wait "$asks" || true
has_line ends.err 'was not finished in time: cut' || fail "not cut: $(cat ends.err)"
if grep 'process 0' ends.err; then fail "$(cat ends.err)"; fi
server=$first

# What is well comes to serve.
configuration two 60
run neap reload server.yaml
code_is 0
answers two || fail 'another version'
configuration three 60
run neap upgrade server.yaml
code_is 0
before=$server
server=${out#process }
server=${server%% *}
eventually answers three
eventually gone "$before"
wait "$before" || fail "the one before has ended with $?"
kill -s TERM "$server"
eventually gone "$server"
server=
if grep -q 'leak\|left open' server.err; then fail "$(cat server.err)"; fi
