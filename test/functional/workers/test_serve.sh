#!/bin/sh
# An HTTP server in four workers: one port, every worker serves, connections
# stay where they are; nobody else gets the port.
#
# test: timeout 120, soak 3600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"

connections=2000
if [ -n "${NEAP_SOAK:-}" ]; then connections=100000; fi

check_load() {
	run "$client" "$@"
	code_is 0
	printf '%s' "$out" > said
	[ "$(workers_in said)" = 4 ] || fail "four workers wanted"
	[ "$(value_of said failed)" = 0 ] || fail "none was to fail"
	[ "$(value_of said ended)" = 0 ] || fail "none was to end"
}

begin 4 ports
has_lines ports 4 || fail "four lines wanted"
[ "$(sort -u ports | wc -l)" = 1 ] || fail "one port wanted: $(cat ports)"
check_load "$port" 8 "$connections" 3
[ "$(value_of said answers)" = $((connections * 3)) ] || fail "answers"
check_load "$port" 8 $((connections / 10)) 5 /mix

# The port is this process's: of another program's workers too.
cat > other.lua <<'END'
local http = require('http.server')
http.new('127.0.0.1', tonumber(arg[1])):start()
END
run neap other.lua "$port"
code_is 1
err_has 'Address already in use'
run neap --workers 3 other.lua "$port"
code_is 1
err_has 'Address already in use'
err_counts 'Address already in use' 1

# A worker listens twice at one address as little as before.
cat > twice.lua <<'END'
local fiber, http = require('fiber'), require('http.server')
local together = require('shared').dict('together')
local function all(what) -- have come as far
    together:incr(what, 1, 0)
    while together:get(what) < require('neap').worker.count do fiber.sleep(0.01) end
end
local first = http.new('127.0.0.1', 0)
first:start()
local ok, err = pcall(function()
    http.new('127.0.0.1', first:port()):start()
end)
assert(not ok and tostring(err):find('Address already in use'), err)
-- But another free port it may have, and the first one again.
local second = http.new('127.0.0.1', 0)
second:start()
assert(first:port() ~= second:port())
local port = first:port()
all('twice')
first:stop()
local again = http.new('127.0.0.1', port)
again:start()
assert(again:port() == port)
print(port, second:port())
all('again')
os.exit(0)
END
for count in 1 3; do
	run neap --workers $count twice.lua
	code_is 0
done
end_by TERM
code_is 0
err_has 'w4 I> '

# The same over a unix socket, whose file goes with the last one.
begin 4 "unix/:$TMPDIR/s"
check_load "$TMPDIR/s" 8 "$connections" 2
run neap --workers 2 "$here/server.lua" "unix/:$TMPDIR/s"
code_is 1
err_has 'Address already in use'
[ -S "$TMPDIR/s" ] || fail "the socket's file is gone"
end_by TERM
code_is 0
[ ! -e "$TMPDIR/s" ] || fail "the socket's file was left"
