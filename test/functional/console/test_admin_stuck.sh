#!/bin/sh
# A worker that stands in C code: which function of which module, or of Lua's own, and who
# has called it, is told by what asks it in vain, by the log and by SIGQUIT, also twice.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"
patience=20
export NEAP_STALL=100

# The thread sanitizer keeps signals back.
if [ "${NEAP_SANITIZE:-}" = thread ]; then exit 77; fi

client=$NEAP_BINARY_DIR/test/lib/unix_client
socket=$PWD/console.sock

cat > server.lua <<'END'
local cmod, console, fiber, neap = require('cmod'), require('console'), require('fiber'),
    require('neap')
console.listen(arg[1])
for i = 1, 50 do
    fiber.create(function() fiber.name('sleeper') fiber.sleep(3600) end)
end
local spins = cmod.load(arg[2]):load('spins')
local function inner(n)
    spins()
    return n
end
local function outer(...)
    local n = inner(1)
    return n, ...
end
local text, pattern = ('a'):rep(28), ('a*'):rep(28) .. 'b'
if neap.worker.id == 2 then
    fiber.create(function()
        fiber.name('stuck')
        while true do
            if io.open('spin') then
                outer(1, 2)
            end
            if io.open('search') then
                text:find(pattern)
            end
            fiber.sleep(0.01)
        end
    end)
end
local f = io.open('ports', 'a')
f:write('up\n')
f:close()
END

ask() {
	printf '\\set language admin\n'"$1" > question
	run sh -c '"$1" "$2" < question | sed "1,/^\\.\\.\\.\$/d"' sh "$client" "$socket"
}

serve 2 server.lua "$socket" "$NEAP_BINARY_DIR/test/cmod/calls"

told() {
	ask 'show workers worker 2 json\n'
	case $out in *"$1"*) ;; *) return 1 ;; esac
}

: > spin
eventually told "'stuck' has kept it for "
out_has "C function 'spins' of module '"
out_has "calls.so'"
out_has ', called at server.lua:9 < server.lua:13 < server.lua:22"}'

# The others are told of, and the one that is stuck in their midst.
kill -s QUIT "$server"
eventually has_line log "'stuck' has kept it for "
has_line log "C function 'spins' of module '" || fail 'SIGQUIT names the function'
# Once more while the first is being told: it is not told twice at once.
kill -s QUIT "$server"
ask 'show workers worker 1 json\n'
out_has '[{"worker":1,'

rm spin
eventually told '[{"worker":2,"fibers"'
eventually has_line log "'stuck' kept the others waiting for "
grep "'stuck' kept the others" log | grep -q "of them, in C function 'spins' of module '" ||
	fail 'the stall report names the function'

# Lua's own functions by the names that scripts have for them.
: > search
eventually told "in C function 'string.find', called at server.lua:25"
kill -s KILL "$server" # it searches for days
wait "$server" 2> /dev/null

# Without slices no tick has found it: it is asked.
rm -f ports search
serve 2 --slice 0 server.lua "$socket" "$NEAP_BINARY_DIR/test/cmod/calls"
: > spin
eventually told "'stuck' has kept it for "
out_has "C function 'spins' of module '"
out_has ', called at server.lua:9 < server.lua:13 < server.lua:22"}'
rm spin
eventually told '[{"worker":2,"fibers"'
ask 'show info json\n'
out_has '"taints":"worker_stuck"'
kill -s KILL "$server"
