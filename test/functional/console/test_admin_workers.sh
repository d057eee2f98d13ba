#!/bin/sh
# Admin commands of several workers: rows of each, one that does not answer, and whose late
# answer harms nothing; the end of the process beside them; what SIGQUIT has the log told.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"

client=$NEAP_BINARY_DIR/test/lib/unix_client
socket=$PWD/console.sock

cat > server.lua <<'END'
local console, ffi, fiber, neap = require('console'), require('ffi'), require('fiber'),
    require('neap')
ffi.cdef('int system(const char *command);')
console.listen(arg[1])
for i = 1, 200 do
    fiber.create(function() fiber.name('sleeper') fiber.sleep(3600) end)
end
-- Whoever has its file is stuck in C code until it is gone.
fiber.create(function()
    fiber.name('stuck')
    while true do
        local stuck = 'stuck.' .. neap.worker.id
        if io.open(stuck) then
            io.open('is_' .. stuck, 'w'):close()
            ffi.C.system('while [ -e ' .. stuck .. ' ] && kill -0 $PPID; do sleep 0.02; done')
        end
        fiber.sleep(0.01)
    end
end)
console.register_command({'where'}, function(command)
    command:send(neap.worker.id .. '\n')
end)
local f = io.open('ports', 'a')
f:write('up\n')
f:close()
END

# Asks with the lines of the first argument (as printf has it).
ask() {
	printf '\\set language admin\n'"$1" > question
	run sh -c '"$1" "$2" < question | sed "1,/^\\.\\.\\.\$/d"' sh "$client" "$socket"
}

serve 3 server.lua "$socket"
ask 'show workers\n'
lines=$(printf '%s\n' "$out" | grep -c '^ *[123]  *20[0-9] ')
[ "$lines" = 3 ] || fail 'a row of each worker'
ask 'show fibers\n'
for n in 1 2 3; do
	count=$(printf '%s\n' "$out" | grep -c "^ *$n  *[0-9]* sleeper  *waiting")
	[ "$count" = 200 ] || fail "200 fibers of worker $n wanted, not $count"
done
ask 'show fibers worker 2\n'
[ "$(printf '%s\n' "$out" | grep -c sleeper)" = 200 ] || fail 'one worker only'
ask 'show workers worker 4; where\n'
out_is 'error: there is no worker 4, but 1 to 3' '' 1 ''
ask 'kill fiber 105\n'
out_has 'say which, as worker 1'
ask 'show fibers worker 3\n'
id=$(printf '%s\n' "$out" | sed -n 's/^ *3  *\([0-9]*\) sleeper .*/\1/p' | tail -n 1)
ask "kill fiber $id worker 3 json\n"
out_is "[{\"worker\":3,\"id\":$id,\"name\":\"sleeper\",\"what\":\"cancelled\"}]" ''

# Stuck: it is told of after a while, and the others answer.
stick() {
	rm -f "is_stuck.$1"
	: > "stuck.$1"
	eventually test -e "is_stuck.$1"
}
stick 2
ask 'show workers json; show stat json; dump state\n'
out_has '{"worker":2,"error":"does not answer'
out_has '{"worker":3,"fibers":'
out_has '     2 does not answer'
[ "$(printf '%s\n' "$out" | grep -c "^worker 3 fiber.*'sleeper'")" = 199 ] ||
	fail 'the others are dumped'
# Clients that leave while it does not answer, and mails that come back much later.
for i in 1 2 3 4 5; do
	printf '\\set language admin\nshow fibers worker 2\n' > question
	"$client" -v "$socket" < question > /dev/null
done
ask 'show lua worker 3 json\n'
out_has '"worker":3'
rm stuck.2
answers() {
	ask 'show workers json\n'
	case $out in *'{"worker":2,"fibers"'*) ;; *) return 1 ;; esac
}
eventually answers
gone() {
	ask 'show cli sessions json\n'
	[ "$(printf '%s\n' "$out" | grep -o '"id"' | wc -l)" = 1 ]
}
eventually gone

# Several clients at once, while workers stick and go on.
for i in 1 2 3; do
	printf '\\set language admin\n' > "question.$i"
	for j in $(seq 10); do
		echo 'show workers json; show fibers json; dump state; show lua json'
	done >> "question.$i"
done
stick 3
pids=
for i in 1 2 3; do
	"$client" "$socket" < "question.$i" > "answer.$i" &
	pids="$pids $!"
done
sleep 0.2
rm stuck.3
wait $pids || fail 'a client'
for i in 1 2 3; do
	[ "$(grep -c '^$' "answer.$i")" = 40 ] || fail 'all answers are there'
done

# SIGQUIT: the log has the state of all, and the process goes on. (The thread sanitizer
# keeps signals back while Lua computes.)
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	kill -s QUIT "$server"
	eventually has_line log "worker 3 fiber"
	dumped() { [ "$(grep -c "worker 3 fiber.*'sleeper' waiting" log)" -ge 199 ]; }
	eventually dumped
	has_line log 'pid: ' || fail 'show info'
	has_line log '[C] in c_sleep' || fail 'stacks'
	ask 'where\n'
	out_is 1 ''
fi

# The end comes with a command under way, and with a worker that does not answer.
stick 2
printf '\\set language admin\nshow fibers\n' > question
"$client" -v "$socket" < question > /dev/null
rm stuck.2
end_served
