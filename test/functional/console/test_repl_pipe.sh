#!/bin/sh
# The console over pipes and files: answers byte for byte, nothing else.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# What the console is to read, through a pipe.
given() {
	cat > given
}

console() {
	run sh -c 'cat given | "$NEAP_BIN" "$@"' sh "$@"
}

printf '1+1\n' | given
console -i
code_is 0
err_is ''
out_is --- '- 2' ...
printf '1+1' | given
console
out_is --- '- 2' ...
given < /dev/null
console
code_is 0
out_is

# One answer for each line; \r\n too.
printf '\nx = 1\r\nx, nil\nnil\nreturn x\n= x\n' | given
console
out_is --- ... --- ... --- '- 1' '- null' ... --- '- null' ... --- '- 1' ... \
	--- '- 1' ...

# Errors, as values of their own.
cat > errors <<'END'
error('text')
error({code = 1})
error()
nosuch()
x = = 1
"unfinished
END
given < errors
console
code_is 0
out_is --- '- error: text' ... --- '- error:' '    code: 1' ... \
	--- '- error: null' ... \
	--- "- error: '[string \"return nosuch()\"]:1: attempt to call global ''nosuch'' (a nil value)'" ... \
	--- "- error: '[string \"x = = 1\"]:1: unexpected symbol near ''='''" ... \
	--- "- error: '[string \"\"unfinished\"]:1: unfinished string near ''<eof>'''" ...

# What no line can catch is told as it is.
cat > limit <<'END'
fiber = require('fiber')
do fiber.set_limits(fiber.self(), {burst = 0.05}) while true do pcall(function() while true do end end) end end
1+1
END
# (The thread sanitizer keeps the ticks back that find it out.)
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	given < limit
	console
	code_is 0
	out_has "- error: 'console: execution limit of fiber ''console'': "
	out_has 'the limit is 0.050 s'
	out_has '- 2'
fi

# Several lines until they are a chunk; the rest at the end is an error.
cat > lines <<'END'
for i = 1, 2 do
    print(i)
end
return 1,

2
--[[ a comment
over lines ]] 3
f(
END
given < lines
console
out_is 1 2 --- ... --- '- 1' '- 2' ... --- '- 3' ... \
	--- "- error: '[string \"f(\"]:1: unexpected symbol near ''<eof>'''" ...

# Commands.
printf '\\set output lua\n1, {a = 2, [1] = "x"}, nil\nerror("e")\nx = 1\n\\set output yaml\n1\n' | given
console
out_is 'true;' '1, {[1] = "x", a = 2}, nil;' '{error = "e"};' ';' --- '- true' ... --- '- 1' ...
printf '\\set output lua\n{[-1ULL] = -2LL, [true] = {[1LL] = 1}, ["1LL"] = 2}\n' | given
console
out_is 'true;' '{[true] = {[1LL] = 1}, [18446744073709551615ULL] = -2LL, ["1LL"] = 2};'
printf '\\set output xml\n\\set\n\\nosuch\n  \\set language lua\n\\set language sql\n' | given
console
out_is --- "- error: 'Invalid format \"xml\", supported are: yaml, lua, json and table.'" ... \
	--- '- error: \set output yaml|lua|json|table, \set language lua|admin, or \set cut on|off,' \
	'    or \set delimiter [TEXT]' ... \
	--- '- error: Invalid command \nosuch. Type \help for help.' ... \
	--- '- true' ... --- "- error: 'language: lua or admin'" ...
printf '\\help\n' | given
console
out_has 'output yaml|lua|json|table'
printf '\\help set\n' | given
console
out_has '\set output table'
printf '1\n\\q\n2\n' | given
console
out_is --- '- 1' ...
printf '1\n\\quit\n2\n' | given
console
out_is --- '- 1' ...

# A line may wait; the next one waits for it; others run meanwhile.
cat > waits <<'END'
fiber = require('fiber')
f = fiber.create(function() for i = 1, 3 do fiber.sleep(0.001) print('tick') end end)
while f:status() ~= 'dead' do fiber.sleep(0.001) end print('after')
fiber.self():name()
END
given < waits
console
out_is --- ... --- ... tick tick tick after --- ... --- '- console' ...

# An error of a fiber that it started is logged, and the console goes on.
printf 'local f = require("fiber").create(error, "aside")\n1\n' | given
console
out_is --- ... --- '- 1' ...
err_has 'E> aside'

# Its end is the program's: what runs is cancelled, servers drain.
printf 'fiber = require("fiber") local f = fiber.create(function() pcall(fiber.sleep, 1000) print("cancelled") end)\n' | given
console
code_is 0
out_is --- ... cancelled
printf 'os.exit(7)\n1\n' | given
console
code_is 7
out_is
echo 'print("script", ...)' > s.lua
printf '1\n' | given
console -i s.lua a
out_is 'script	a' --- '- 1' ...
printf '1\n' | given
console -e 'x = 5' -i
out_is --- '- 1' ...
printf 'm.v\n' | given
console -e 'package.preload.m = function() return {v = 3} end' -l m -i
out_is --- '- 3' ...
printf '1\n' | given
console -i -e 'error("no console after this")'
code_is 1
out_is

# Bytes that are no text, and NUL, do no harm.
printf "#'\\000\\377'\n" | given
console
out_is --- '- 2' ...
head -c 100000 /dev/urandom | tr '\n' x > noise
echo >> noise
echo "'after'" >> noise
given < noise
console
code_is 0
out_has '- after'

# A line beyond the limit is passed over.
{ printf "x = '"; head -c 1100000 /dev/zero | tr '\0' a; printf "'\n#x\n'on'\n"; } | given
console
code_is 0
err_has 'a line of more than 1048576 bytes'
out_has '- on'
# So are lines that together never end.
{ for i in 1 2 3; do printf "x = [["; head -c 500000 /dev/zero | tr '\0' a; echo; done; echo "'on'"; } | given
console
code_is 0
out_has 'at most 1048576 are taken'
out_has '- on'

# An input of many lines is compiled a few times, not at each of them.
{
	echo 'x = [['
	yes a | head -n 10000
	echo ']] return #x'
	echo 't = {'
	yes "{id = 1, name = 'abc', v = 12345}," | head -n 10000
	echo '} return #t'
} | given
run timeout "$patience" sh -c '"$NEAP_BIN" < given'
code_is 0
out_is --- '- 20000' ... --- '- 10000' ...

# In both modes large values are refused.
printf '("x"):rep(17 * 1024 * 1024)\n\\set output lua\n("x"):rep(17 * 1024 * 1024)\n' | given
console
code_is 0
out_has "- error: 'the result is too large to be shown (over 16 MiB): look at a part"
out_has '{error = "the result is too large to be shown (over 16 MiB): look at a part of it"};'
[ "${#out}" -lt 1000 ] || fail 'short'

# Nobody reads the answers any more: no traceback, no endless work.
run sh -c '{ i=0; while [ $i -lt 20000 ]; do echo "(\"x\"):rep(1000)"; i=$((i + 1)); done; } |
	{ "$NEAP_BIN"; echo $? > code; } | head -n 1'
err_is ''
out_is ---
[ "$(cat code)" = 0 ] || fail "code 0, not $(cat code)"

# A full disk behind the answers.
run sh -c 'echo 1 | "$NEAP_BIN" > /dev/full'
code_is 1
err_is 'neap: standard output: not all could be written'

# SIGINT while it reads a pipe ends it.
mkfifo pipe
"$NEAP_BIN" < pipe > out.txt 2>&1 &
pid=$!
exec 3> pipe
echo 'print("up")' >&3
eventually has_line out.txt up
kill -s INT $pid
code=0
wait $pid || code=$?
exec 3>&-
[ $code = 130 ] || fail "130, not $code"
exit 0
