#!/bin/sh
# SIGQUIT where the first worker is kept by C code and cannot answer: the log has where each
# worker stands, the first time and the next, and the process goes on; with one worker, with
# two, and in a configured server, where the thread that hears of it serves nothing.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"
patience=20
unset PORT NEAP_LISTEN NEAP_WORKERS

# The thread sanitizer keeps signals back.
if [ "${NEAP_SANITIZE:-}" = thread ]; then exit 77; fi

calls=$NEAP_BINARY_DIR/test/cmod/calls

cat > server.lua <<'END'
local cmod, fiber, neap = require('cmod'), require('fiber'), require('neap')
local spins = cmod.load(arg[1]):load('spins')
local function inner()
	spins()
	return 1
end
fiber.create(function()
	fiber.name('stuck')
	while true do
		if neap.worker.id == 1 and io.open('spin') then
			io.open('spinning', 'w'):close()
			inner()
		end
		fiber.sleep(0.01)
	end
end)
local f = io.open('ports', 'a')
f:write('up\n')
f:close()
END

lines() { [ "$(grep -c "$1" log)" -ge "$2" ]; }

asked_often() {
	kill -s QUIT "$server"
	lines "$1" 3
}

stuck() { # how many workers there are
	: > spin
	eventually test -e spinning
	for time in 1 2; do
		kill -s QUIT "$server"
		kill -s QUIT "$server" # at once: it is one question
		eventually lines "state: worker 1: fiber [0-9]* 'stuck' runs, in C function 'spins' of module '.*calls.so'.*, called at server.lua:4 < server.lua:12\$" $time
		for other in $(seq 2 "$1"); do
			eventually lines "state: worker $other: no fiber runs\$" $time
		done
	done
	kill -s 0 "$server" || fail 'it goes on'
	# Somebody who asks again and again is answered, too.
	eventually asked_often "state: worker 1: fiber [0-9]* 'stuck' runs"
	rm spin spinning
	eventually lines "worker 1 fiber [0-9]* 'stuck' \(waiting\|ready\)" 1 # it sleeps briefly
}

for n in 1 2; do
	rm -f ports
	serve $n server.lua "$calls"
	stuck $n
	end_served
done

# The log of JSON has a line of JSON.
rm -f ports
serve 1 --log-format json server.lua "$calls"
: > spin
eventually test -e spinning
kill -s QUIT "$server"
eventually lines 'state: worker 1: fiber' 1
rm spin spinning
end_served
run neap -e "local json, n = require('json'), 0
	for line in io.lines('log') do n = n + (json.decode(line).message and 1 or 0) end
	print(n > 2) os.exit(0)"
out_is true

# A loop that was compiled, where nothing makes it give way.
cat > loop.lua <<'END'
require('fiber').create(function()
	require('fiber').name('looping')
	io.open('looping', 'w'):close()
	while true do end
end)
END
line='neap --slice 0 loop.lua'
"$NEAP_BIN" --slice 0 loop.lua 2> log &
server=$!
eventually test -e looping
# Asked again, when there was time to answer: it may still be about to close the file.
loops() {
	kill -s QUIT "$server"
	sleep 3
	grep -q "state: worker 1: fiber [0-9]* 'looping' runs, in [a-z ]*Lua" log
}
eventually loops
kill -s KILL "$server"
wait "$server" 2> /dev/null

# Generations of a configured server.
cat > app.lua <<END
local spins = require('cmod').load('$calls'):load('spins')
core.register_init(function()
	io.open('starting', 'w'):close()
	while not io.open('go') do core.msleep(10) end
end)
core.register_service('spin', 'http', function(applet)
	io.open('spinning', 'w'):close()
	spins()
	applet:start_response()
	applet:send('spun')
end)
END
cat > server.yaml <<END
workers: 1
load_per_thread: app.lua
listeners:
  - address: 'unix:$TMPDIR/s'
    rules:
      - use-service: lua.spin
END
line='server server.yaml'
"$NEAP_BIN" server.yaml 2> log &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
# Asked before it serves, it answers when it does.
eventually test -e starting
kill -s QUIT "$server"
: > go
eventually lines 'state: .*version: ' 1
: > spin
"$NEAP_BIN" -e "print(require('http.client').get('http://a.example/',
	{ unix_socket = os.getenv('TMPDIR') .. '/s' }).body) os.exit(0)" > answer &
asker=$!
eventually test -e spinning
kill -s QUIT "$server"
eventually lines "state: worker 1 of generation 1: fiber [0-9]* 'spin' runs, in C function 'spins'" 1
rm spin spinning
wait $asker || fail 'an answer' # be it that so long was too long
eventually lines 'state: .*version: ' 2
end_served
