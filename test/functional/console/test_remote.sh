#!/bin/sh
# The console over a unix socket.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

client=$NEAP_BINARY_DIR/test/lib/unix_client
socket=$PWD/console.sock

cat > server.lua <<'END'
local fiber, console, neap = require('fiber'), require('console'), require('neap')
server, err = console.listen(arg[1])
if server == nil then
    print(err)
    os.exit(3)
end
neap.on_shutdown(function() print('hook') end)
function alive() -- fibers but for the one that asks
    local n = -1
    for _ in pairs(fiber.info()) do n = n + 1 end
    return n
end
fiber_module = fiber
io.stdout:setvbuf('line')
print('up')
END

start() {
	rm -f out.txt err.txt
	"$NEAP_BIN" "$@" server.lua "$socket" > out.txt 2> err.txt &
	pid=$!
	eventually has_line out.txt up
}

stop() { # CODE
	kill -s TERM $pid
	line=server
	code=0
	wait $pid || code=$?
	out=$(cat out.txt; echo .)
	out=${out%.}
	err=$(cat err.txt)
	code_is "$1"
	[ ! -e "$socket" ] || fail 'the socket is removed'
}

# Asks with the lines of the first argument (as printf has it).
ask() {
	printf "$1" > question
	run sh -c '"$1" "$2" < question | tail -n +3' sh "$client" "$socket"
}

start
[ "$(stat -c %a "$socket")" = 600 ] || fail 'mode 0600'
printf '' > question
run "$client" "$socket" < question
out_is 'neap (Lua console)' "type '\\help' for help"
ask '1 + 1\nnil\nx = 5\n'
out_is --- '- 2' ... --- '- null' ... --- ...
# Who ran it is in the log as it is when nobody has asked for more.
grep -q " I> console '$socket': uid $(id -u) pid [0-9]* runs \"x = 5\"" err.txt ||
	fail "the audit: $(cat err.txt)"
# One state for all sessions, each with its own lines begun and its own mode.
ask 'x\n\\set output lua\nx\nfor i = 1, 2 do\nend\n'
out_is --- '- 5' ... 'true;' '5;' ';'
ask 'x\nf(\n'
out_is --- '- 5' ... --- "- error: '[string \"f(\"]:1: unexpected symbol near ''<eof>'''" ...
ask '1\n\\q\n2\n'
out_is --- '- 1' ...
ask 'fiber_module.sleep(0.05)\n"behind"'
out_is --- ... --- '- behind' ...

# Two at once: one that waits does not hold up the other.
mkfifo slow
"$client" "$socket" < slow > slow.txt &
slow=$!
exec 3> slow
echo 'waiting = fiber_module.channel(0) waiting:get()' >&3
eventually sh -c 'printf "waiting ~= nil\n" | "$1" "$2" | grep -q true' sh "$client" "$socket"
ask 'waiting:put("from the other", 1)\n'
out_is --- '- true' ...
eventually has_line slow.txt '...'
echo 'return "and", waiting:get(0)' >&3
eventually has_line slow.txt '- and'
exec 3>&-
wait $slow || fail 'the slow one'

# A client that vanishes: what it started is cancelled.
nobody() {
	printf 'alive()\n' | "$client" "$socket" | grep -qx -- '- 0'
}
eventually nobody
printf 'fiber_module.sleep(1000)\n' | "$client" -v "$socket" > vanished.txt
eventually nobody

# One that reads nothing is given no more than a bound.
mkfifo deaf
"$client" -d "$socket" < deaf > deaf.out &
deaf=$!
exec 4> deaf
{
	echo 'fill = ("x"):rep(1000000) count = 0'
	for i in 1 2 3 4 5; do
		for j in 1 2 3 4 5 6 7 8 9 10; do
			echo 'count = count + 1 return fill'
		done
	done
} >&4
counted() {
	printf 'count\n' | "$client" "$socket" | grep -q '^- [1-9]'
}
eventually counted
ask 'fiber_module.sleep(0.1) return count < 20\n'
out_is --- '- true' ...
exec 4>&-
wait $deaf || fail 'the deaf one'
[ "$(grep -c '^- x' deaf.out)" = 50 ] || fail 'all answers in the end'
ask 'count\n'
out_is --- '- 50' ...

# Lines beyond the limit, noise, an error in an answer.
{ head -c 1200000 /dev/zero | tr '\0' a; echo; } > long
run sh -c '"$1" "$2" < long | tail -n +3' sh "$client" "$socket"
out_has 'the line is too long'
head -c 100000 /dev/urandom > noise
run "$client" "$socket" < noise
ask '1\n'
out_is --- '- 1' ...

# An input of many lines: others are answered while it is sent, and it runs at
# the line that completes it.
mkfifo many
"$client" "$socket" < many > many.txt &
many=$!
exec 3> many
{ echo 'big = [['; yes a | head -n 200000; } >&3
answers() {
	printf '"here"\n' | timeout "$patience" "$client" "$socket" |
		grep -qx -- '- here'
}
answers || fail 'answered while a string is sent'
echo ']] return #big' >&3
eventually has_line many.txt '- 400000'
{ echo 'big = {'; yes "{id = 1, name = 'abc', v = 12345}," | head -n 20000; } >&3
answers || fail 'answered while a table is sent'
echo '} return #big' >&3
eventually has_line many.txt '- 20000'
exec 3>&-
wait $many || fail 'the one with many lines'

# Many short ones that are whole: a fiber runs between them.
{
	echo 'n, ticks = 0, 0'
	echo 'f = fiber_module.create(function() repeat fiber_module.sleep(0.001) ticks = ticks + 1 until n == 30000 end)'
	yes 'n = n + 1' | head -n 30000
	echo 'fiber_module.sleep(0.01) return n, ticks > 3'
} > question
run sh -c '"$1" "$2" < question | tail -n 4' sh "$client" "$socket"
out_is --- '- 30000' '- true' ...

# Too many connections: refused with a word. (While we look, our own takes the
# place of one that is to stay: for each that was not refused there comes another.)
holders=
hold() {
	"$client" "$socket" < hold > /dev/null &
	holders="$holders $!"
}
refused() {
	printf '1\n' | "$client" "$socket" 2> /dev/null |
		grep -q 'too many connections' && return
	hold
	return 1
}
i=0
mkfifo hold
exec 5<> hold
while [ $i -lt 100 ]; do
	hold
	i=$((i + 1))
done
eventually refused
kill $holders 2> /dev/null
wait $holders 2> /dev/null
exec 5>&-
eventually nobody
ask '1\n'
out_is --- '- 1' ...

# The end: idle consoles are closed, one that evaluates may finish.
mkfifo last
"$client" "$socket" < last > last.txt &
last=$!
exec 6> last
echo 'begun = true fiber_module.sleep(0.3) return "finished"' >&6
eventually sh -c 'printf "begun\n" | "$1" "$2" | grep -q true' sh "$client" "$socket"
"$client" "$socket" < /dev/zero > /dev/null 2>&1 &
zero=$!
stop 0
wait $last
kill $zero 2> /dev/null
wait $zero 2> /dev/null
exec 6>&-
grep -qx -- '- finished' last.txt || fail 'finished'
out_has hook

# Lines that wait for their turn are not begun any more.
start
mkfifo rest
"$client" "$socket" < rest > rest.txt 2>&1 &
rest=$!
exec 6> rest
{
	echo 'begun = true'
	yes 'local c = os.clock() repeat until os.clock() > c + 0.01' |
		head -n 10000
} >&6
eventually sh -c 'printf "begun\n" | "$1" "$2" | grep -q true' sh "$client" "$socket"
stop 0
wait $rest
exec 6>&-
[ "$(grep -c '^---' rest.txt)" -lt 10000 ] || fail 'ended at once'

# One that does not finish in time is cut.
start --drain-timeout 0.2
mkfifo stuck
"$client" "$socket" < stuck > stuck.txt &
stuck=$!
exec 6> stuck
echo 'begun = true fiber_module.sleep(1000)' >&6
eventually sh -c 'printf "begun\n" | "$1" "$2" | grep -q true' sh "$client" "$socket"
stop 0
exec 6>&-
wait $stuck

# The socket of a server that is gone is replaced; a live one's, and a file
# that is none, are left alone.
start
run "$NEAP_BIN" server.lua "$socket"
code_is 3
out_is "console.listen('$socket'): Address already in use"
kill -s KILL $pid
wait $pid 2> /dev/null
[ -S "$socket" ] || fail 'left behind'
start
ask '"replaced"\n'
out_is --- '- replaced' ...
stop 0
echo precious > file
run "$NEAP_BIN" server.lua "$PWD/file"
code_is 3
[ "$(cat file)" = precious ] || fail 'the file'
run "$NEAP_BIN" server.lua "$PWD/no/such/folder/x"
code_is 3
out_has 'No such file or directory'
run "$NEAP_BIN" server.lua "$(printf 'x%.0s' $(seq 200))"
code_is 3
out_has 'at most 107 bytes'

# close(): at once, and the process may end.
start
ask 'server.path\n'
out_is --- "- $socket" ...
ask 'server:close() server:close()\n'
line=server
code=0
wait $pid || code=$?
code_is 0
[ ! -e "$socket" ] || fail 'removed'
cat err.txt
exit 0
