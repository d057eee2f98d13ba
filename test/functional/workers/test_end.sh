#!/bin/sh
# The end of several workers: whatever asks for it, all go the same way, and
# together.
#
# test: timeout 180, soak 3600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"

drains=4
if [ -n "${NEAP_SOAK:-}" ]; then drains=200; fi

hooks_are() {
	sorted=$(printf '%s' "$out" | tr '\t' ' ' | sort | paste -s -d ' ' -)
	[ "$sorted" = "$1" ] || fail "hooks wanted: $1"
}

# SIGTERM under load: whoever was let in gets his answer.
i=0 total=0
while [ $i -lt "$drains" ]; do
	address=ports
	if [ $((i % 2)) = 1 ]; then address=unix/:$TMPDIR/s; fi
	begin 4 "$address"
	to=$port
	if [ $((i % 2)) = 1 ]; then to=$TMPDIR/s; fi
	rm -f said
	"$client" "$to" 8 0 $((1 + i % 3 * 10)) > said 2> said.err &
	load=$!
	eventually has_line said begun
	sleep 0.1 # of load
	if [ $((i % 4)) -ge 2 ]; then signal=INT; else signal=TERM; fi
	end_by $signal
	code_is 0
	hooks_are 'hook 1 hook 2 hook 3 hook 4'
	lost=0
	wait $load || lost=$?
	[ $lost = 0 ] || fail "round $i: $(cat said said.err)"
	total=$((total + $(value_of said answers)))
	i=$((i + 1))
done
[ $total -gt 0 ] || fail "no load"

# Requests that are not over in time are cut, and the code says so; a second
# signal does not wait.
begin 4 ports --drain-timeout 0.3
"$client" "$port" 1 1 1 /never > said 2> said.err &
asked=$!
eventually has_line server.err never
end_by TERM
code_is 1
err_counts '1 request was not finished in time: cut' 1
hooks_are 'hook 1 hook 2 hook 3 hook 4'
wait $asked || true
begin 4 ports
"$client" "$port" 1 1 1 /never > said 2> said.err &
asked=$!
eventually has_line server.err never
kill -s TERM "$server"
eventually has_line server.err 'no new work'
end_by TERM
code_is 143
wait $asked || true

# os.exit() in one of them, while the others serve.
begin 4 ports
"$client" "$port" 1 1 1 /exit > said 2> said.err || true
finish
code_is 9
hooks_are 'hook 1 hook 2 hook 3 hook 4'

# Hooks wait until all have drained, and fibers until all hooks have run.
cat > order.lua <<'END'
local neap, fiber = require('neap'), require('fiber')
local http = require('http.server')
local id = neap.worker.id
local function say(what)
    io.stdout:write(what, '\n')
    io.stdout:flush()
end
fiber.create(function()
    pcall(fiber.sleep, 1000)
    say('3 cancelled')
end)
neap.on_shutdown(function() say('2 hook') end)
neap.on_shutdown(function() fiber.sleep(id / 10) end)
if id == 2 then
    local httpd = http.new('unix/:' .. arg[1])
    httpd:route({path = '/'}, function()
        io.open(arg[1] .. '.asked', 'w'):close()
        fiber.sleep(0.5)
        say('1 answered')
        return '2.'
    end)
    httpd:start()
end
io.open(arg[1] .. '.' .. id, 'w'):close()
END
line="order.lua"
"$NEAP_BIN" --workers 3 order.lua "$TMPDIR/o" > server.out 2> server.err &
server=$!
for id in 1 2 3; do eventually test -e "$TMPDIR/o.$id"; done
"$client" "$TMPDIR/o" 1 1 1 > said 2> said.err &
asked=$!
eventually test -e "$TMPDIR/o.asked"
end_by TERM
wait $asked || fail "no answer: $(cat said.err)"
code_is 0
err_counts 'Terminated: no new work' 1
out_is '1 answered' '2 hook' '2 hook' '2 hook' \
	'3 cancelled' '3 cancelled' '3 cancelled'
rm -f "$TMPDIR"/o.*

# One that is idle waits for the others; the end is when all are.
run neap --workers 3 -e 'local n, f = require("neap"), require("fiber")
	n.on_shutdown(function() print("hook") end)
	f.sleep(n.worker.id == 2 and 0.3 or 0)
	if n.worker.id == 2 then print("over") end'
code_is 0
out_is over hook hook hook
err_is ''

# A script that was at work when it was told to end.
line="interrupted"
"$NEAP_BIN" --workers 4 -e 'io.stdout:write("up\n") io.stdout:flush()
	require("fiber").sleep(1000)' > server.out 2> server.err &
server=$!
eventually has_lines server.out 4
end_by INT
code_is 130

# A worker whose thread is kept by C code is left behind, and named.
run neap --workers 3 --cancel-timeout 0.2 -e '
	local ffi, w = require("ffi"), require("neap").worker
	ffi.cdef("int pipe(int *); long read(int, void *, size_t);")
	local ends, byte = ffi.new("int[2]"), ffi.new("char[1]")
	ffi.C.pipe(ends)
	local state, fiber = require("shared").dict("state"), require("fiber")
	if w.id == 3 then state:set("kept", true) ffi.C.read(ends[0], byte, 1) end
	if w.id == 2 then
		while not state:get("kept") do fiber.sleep(0.01) end
		fiber.sleep(0.2)
		os.exit(4)
	end'
code_is 4
err_has 'worker 3 does not end: the process leaves it after 0.2 s'

# When it is worker 1, to which signals come, the others end as ever, and so does
# the process.
cat > first.lua <<'END'
local ffi, neap = require('ffi'), require('neap')
ffi.cdef('int pipe(int *); long read(int, void *, size_t);')
local ends, byte = ffi.new('int[2]'), ffi.new('char[1]')
neap.on_shutdown(function()
    io.stdout:write('hook ', neap.worker.id, '\n')
    io.stdout:flush()
end)
io.open('up' .. neap.worker.id, 'w'):close()
if neap.worker.id == 1 then
    ffi.C.pipe(ends)
    ffi.C.read(ends[0], byte, 1)
end
require('fiber').sleep(1000)
END
# (The thread sanitizer keeps the signal back while the thread is in that code.)
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	line="first.lua"
	"$NEAP_BIN" --workers 3 --drain-timeout 0.1 --cancel-timeout 3 first.lua \
		> server.out 2> server.err &
	server=$!
	for id in 1 2 3; do eventually test -e "up$id"; done
	kill -s TERM "$server"
	eventually has_lines server.out 2
	finish
	code_is 1
	hooks_are 'hook 2 hook 3'
	err_is 'neap: the end takes too long: the process leaves now'
fi

# A log that was rotated is opened once, and all write into the new one.
cat > log.lua <<'END'
local log, fiber = require('log'), require('fiber')
while true do
    log.info('line')
    fiber.sleep(0.01)
end
END
line="log.lua"
"$NEAP_BIN" --workers 4 --log-file log log.lua 2> server.err > server.out &
server=$!
eventually has_line log ' w4'
mv log log.1
kill -s USR1 "$server"
for id in 1 2 3 4; do eventually has_line log " w$id"; done
end_by TERM
code_is 143
err_is ''
