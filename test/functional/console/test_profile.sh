#!/bin/sh
# profile lua: what each worker's Lua spends its time on, compiled and not, in C functions, by
# itself or waiting; two at once; clients that leave; a worker that does not answer.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"
patience=30

if [ "${NEAP_SANITIZE:-}" = thread ]; then
	exit 77 # there are no ticks
fi

client=$NEAP_BINARY_DIR/test/lib/unix_client
socket=$PWD/console.sock

cat > server.lua <<'END'
local cmod, console, ffi, fiber, neap = require('cmod'), require('console'), require('ffi'),
    require('fiber'), require('neap')
ffi.cdef('int usleep(unsigned us);')
console.listen(arg[1])
local spins = cmod.load(arg[2]):load('spins')
local function loop(n)
    local s = 0
    for i = 1, n do s = s + i % 7 end
    return s
end
local function compiled()
    local s = loop(1e6)
    return s
end
local function interpreted(n)
    local s = 0
    for i = 1, n do s = s + i % 7 end
    return s
end
jit.off(interpreted)
local function searching(text)
    local found = text:find(('a*'):rep(8) .. 'b')
    return found
end
local function sorting()
    local t = {}
    for i = 1, 5000 do t[i] = (i * 7919) % 10007 end
    table.sort(t, function(a, b) return a < b end)
    return t
end
local function blocking()
    for _ = 1, 5 do ffi.C.usleep(3000) end -- each is over at a tick
    return 1
end
jit.off(blocking)
local text = ('a'):rep(12)
fiber.create(function()
    fiber.name('wo;rk')
    while true do
        compiled() interpreted(1e5) searching(text) sorting()
        fiber.yield()
        blocking()
        fiber.sleep(0.001)
    end
end)
fiber.create(function()
    fiber.name('nested')
    while true do
        coroutine.wrap(function() interpreted(2e5) end)()
        fiber.sleep(0.001)
    end
end)
fiber.create(function()
    fiber.name('module')
    while true do
        if neap.worker.id == 2 and io.open('spin') then
            spins()
        end
        fiber.sleep(0.01)
    end
end)
local f = io.open('ports', 'a')
f:write('up\n')
f:close()
END

ask() {
	printf '\\set language admin\n'"$1" > question
	run sh -c '"$1" "$2" < question | sed "1,/^\\.\\.\\.\$/d"' sh "$client" "$socket"
}

serve 2 server.lua "$socket" "$NEAP_BINARY_DIR/test/cmod/calls"

# A machine that is busy may have less of a look: until all is found.
found() {
	ask 'profile lua 2\n'
	for stack in 'wo_rk;server.lua:37;compiled@server.lua:11;loop@server.lua:6 ' \
		'wo_rk;server.lua:37;interpreted@server.lua:15 ' \
		'wo_rk;server.lua:37;searching@server.lua:21;string.find ' \
		'wo_rk;server.lua:37;sorting@server.lua:25' \
		'nested;(coroutine);server.lua:49;interpreted@server.lua:15 ' \
		'(loop) '; do
		case $out in *"
$stack"* | "$stack"*) ;; *) missing=$stack; return 1 ;; esac
	done
	missing='(blocked)'
	printf '%s' "$out" | grep -q '^wo_rk;server.lua:37;blocking@server.lua:31;.*;(blocked) '
}
tries=15
until found; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] || fail "in vain: $missing"
done
bad=$(printf '%s' "$out" | grep -v '^[^;].* [1-9][0-9]*$' | grep -v '^$')
[ -z "$bad" ] || fail "each line is a stack and a count: $bad"

ask 'profile lua 100ms worker 2 json\n'
out_has '[{"worker":2,"stack":"'
case $out in *'"worker":1'*) fail 'one worker only' ;; esac

ask 'profile lua 301; profile lua x\n'
out_has 'error: at most 300 s'
out_has "error: a time as 10s or 100ms is wanted, not 'x'"

# One at a time; who leaves ends his.
mkfifo pipe
"$client" "$socket" < pipe > /dev/null 2>&1 &
long=$!
exec 3> pipe
printf '\\set language admin\nprofile lua 300\n' >&3
refused() {
	ask 'profile lua 10ms\n'
	case $out in *'another profile is being taken'*) ;; *) return 1 ;; esac
}
# The one before may not have ended at each worker yet: asked for once more.
begun() {
	ask 'show cli sessions\n'
	case $out in *'profile lua'*) return ;; esac
	printf 'profile lua 300\n' >&3
	return 1
}
eventually begun
refused || fail 'one at a time'
kill -s KILL "$long"
exec 3>&-
accepted() { ! refused; }
eventually accepted

# A function of a module, in which a worker stands for a while; the end of all amidst one.
spun() {
	: > spin
	(sleep 0.7; rm -f spin) &
	ask 'profile lua 1 worker 2\n'
	wait $!
	case $out in *'module;server.lua:53;spins@calls.so '*) ;; *) return 1 ;; esac
}
eventually spun
"$client" -v "$socket" < question > /dev/null
printf '\\set language admin\nprofile lua 300\n' > question
"$client" -v "$socket" < question > /dev/null
end_served
