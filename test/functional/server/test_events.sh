#!/bin/sh
# What happens to a configured server, as its scripts hear of it: workers, reloads,
# listeners, certificates, C modules; and a worker that is stuck.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS
sh "$NEAP_SOURCE_DIR/test/lib/certs.sh" "$PWD/certs"
cp certs/server.pem cert.pem
cp certs/server.key cert.key
put() { # MODULE
	cp "$NEAP_TEST_CMOD_DIR/$1.so" m.new && mv m.new m.so
}
put bench

configuration() { # SOCKET
	cat > server.yaml <<END
workers: 2
load: shared.lua
load_per_thread: app.lua
console: {address: 'unix:c', language: lua}
listeners:
  - name: web
    address: 'unix:$1'
    rules: [{use-service: lua.it}]
  - name: tls
    address: unix:t
    tls: {cert_file: cert.pem, key_file: cert.key}
    rules: [{use-service: lua.it}]
END
}

# One line for each event, with its fields in their order, and the generation that has
# heard of it. One that has served ends when it has heard of that.
cat > shared.lua <<'END'
local file = assert(io.open('events', 'a'))
file:setvbuf('no')
local generation, serves = require('neap.states').generation, false
require('neap').on_shutdown(function()
	while serves do core.msleep(1) end
end)
local families = { 'WORKER', 'RELOAD', 'LISTENER', 'CERTIFICATE', 'MODULE' }
core.event_sub(families, function(type, data)
	local fields = {}
	for name, value in pairs(data or {}) do
		if name == 'fingerprint' then value = #value end
		if name == 'seconds' then value = value > 0 end
		fields[#fields + 1] = name .. '=' .. tostring(value)
	end
	table.sort(fields)
	fields[#fields + 1] = 'to=' .. generation
	file:write(type, ' ', table.concat(fields, ' '), '\n')
	if data and data.worker == 0 and data.generation == generation then
		serves = type ~= 'WORKER_STOP'
	end
end)
END
cat > app.lua <<'END'
core.register_service('it', 'http', function(applet)
	if applet.path == '/stick' then -- until the file 'spin' has gone
		require('cmod').load(os.getenv('CALLS')):load('spins')()
	end
	applet:start_response()
	applet:send('it')
end)
END

configuration s1
line='server server.yaml'
# So often is looked after the workers: at half of that.
CALLS=$NEAP_TEST_CMOD_DIR/calls NOTIFY_SOCKET=@nobody WATCHDOG_USEC=400000 \
	"$NEAP_BIN" server.yaml > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT

happens() { # EVENT...
	eventually has_line events "$*"
}
count() { # EVENT...
	[ "$(grep -c -x -F -- "$* to=1" events)" = 1 ] || fail "not once: $* in $(cat events)"
}
lua() {
	"$NEAP_BIN" connect c -e "$1" > /dev/null || fail "$1"
}

for i in 0 1 2; do happens "WORKER_START generation=1 worker=$i"; done
count "LISTENER_ADD address=unix/:$PWD/s1 name=web"
count "LISTENER_ADD address=unix/:$PWD/t name=tls"
count "LISTENER_ADD address=unix/:$PWD/c name=console"

# C modules.
lua 'm = require("cmod").load("./m")'
happens "MODULE_LOAD path=$PWD/m.so"
put calls
lua 'n = require("cmod").load("./m")'
happens "MODULE_REPLACE path=$PWD/m.so"
lua 'm, n = nil collectgarbage() collectgarbage()'
happens "MODULE_UNLOAD path=$PWD/m.so"

# One that cannot be, and one that changes an address and a certificate.
echo 'workers: [' > server.yaml
kill -s HUP $server
happens 'RELOAD_BEGIN generation=2'
happens 'RELOAD_FAILED error=server.yaml:2:1: did not find'
configuration s2
cp certs/other.pem cert.pem
cp certs/other.key cert.key
kill -s HUP $server
happens 'RELOAD_DONE generation=2'
for i in 0 1 2; do
	happens "WORKER_STOP generation=1 reason=reload worker=$i"
	happens "WORKER_START generation=2 worker=$i"
done

happens "LISTENER_ADD address=unix/:$PWD/s2 name=web"
happens "LISTENER_DEL address=unix/:$PWD/s1 name=web"
happens "CERTIFICATE_NEW fingerprint=64 name=$PWD/cert.pem"
[ "$(grep -c "address=unix/:$PWD/t" events)" -le 2 ] || fail "$(cat events)"

# Stuck in C code.
: > spin
"$NEAP_BIN" -e "require('http.client').get('http://localhost/stick',
	{ unix_socket = 's2', timeout = 10 }) os.exit(0)" &
asks=$!
eventually has_line server.err 'is stuck: it has not turned for'
happens 'WORKER_STUCK generation=2 seconds=true worker='
rm spin
wait $asks || true
eventually has_line server.err 'turns again'

# A certificate that does not come to serve, as its generation does not, is none that is
# new; it is when another one does.
certificates() {
	grep -c ^CERTIFICATE_NEW events
}
before=$(certificates)
cp certs/server.pem cert.pem
cp certs/server.key cert.key
cp app.lua good.lua
echo "core.register_init(function() error('not this one') end)" >> app.lua
kill -s HUP $server
# shellcheck disable=SC2016
eventually sh -c '[ $(grep -c ^RELOAD_FAILED events) = 2 ]'
[ "$(certificates)" = "$before" ] || fail "told too early: $(cat events)"
mv good.lua app.lua
kill -s HUP $server
happens 'RELOAD_DONE generation=4'
[ "$(certificates)" -gt "$before" ] || fail "not told: $(cat events)"

# All workers serve before a reload is done, and before those that it replaces end.
kill -s HUP $server
for i in 0 1 2; do
	happens "WORKER_START generation=5 worker=$i to=5"
	happens "WORKER_STOP generation=4 reason=reload worker=$i to=5"
done
happens 'RELOAD_DONE generation=5 to=5'
for n in 2 4 5; do
	awk -v n="generation=$n" -v "to=to=$n" '
		$NF != to { next }
		$1 == "WORKER_START" && $2 == n { started++ }
		$1 == "WORKER_STOP" && $3 == "reason=reload" && started < 3 { exit 1 }
		$1 == "RELOAD_DONE" && $2 == n && started < 3 { exit 1 }' events ||
		fail "out of order for generation $n: $(cat events)"
done

kill -s TERM $server
finish
code_is 0
has_line events 'WORKER_STOP generation=5 reason=end worker=0' || fail "$(cat events)"
