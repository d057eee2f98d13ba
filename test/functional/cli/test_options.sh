#!/bin/sh
# What each option does.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# -e: in order, one state; the script after them.
echo 'print("script", a, ...)' > s.lua
run neap -e 'a = 1' -e 'a = a + 1' s.lua x y
code_is 0
out_is 'script	2	x	y'
run neap -e'print(1)' --eval 'print(2)' --eval='print(3)'
out_is 1 2 3
# A failed one stops what follows.
run neap -e 'print(1)' -e 'error("no")' -e 'print(3)' s.lua
code_is 1
out_is 1

# arg, and "...".
cat > args.lua <<'END'
for i = -3, #arg do print(i, arg[i]) end
print(select('#', ...), ...)
END
run neap -q args.lua one '' '-e'
out_is '-3	nil' "-2	$NEAP_BIN" '-1	-q' '0	args.lua' '1	one' '2	' '3	-e' \
	'3	one		-e'
run neap -- args.lua -e
out_has '0	args.lua'
out_has '1	-e'
run neap -e 'print(arg[0] ~= nil, arg[1])'
out_is 'true	-e'

# --: a script whose name looks like an option.
echo 'print("dashed")' > -dashed.lua
run neap -- -dashed.lua
out_is dashed

# -: standard input.
run sh -c 'echo "print(\"stdin\", ...)" | "$NEAP_BIN" - a b'
out_is 'stdin	a	b'
run sh -c 'echo "x = = 1" | "$NEAP_BIN" -'
code_is 1
err_is "neap: stdin:1: unexpected symbol near '='"

# A first line for the kernel; a byte order mark.
printf '#!/usr/bin/env neap\nprint("ran")\nerror("at 3")' > bang.lua
run neap bang.lua
code_is 1
out_is ran
err_has 'bang.lua:3: at 3'
chmod +x bang.lua
sed -i "1s|.*|#!$NEAP_BIN|" bang.lua
run ./bang.lua
out_is ran

# -l: into a global of its name, or another.
echo 'return { v = 42 }' > m.lua
run neap -l m -e 'print(m.v)'
out_is 42
run neap -l g=m -e 'print(g.v, m)'
out_is '42	nil'
run neap -e 'print(m)' -l m -e 'print(m.v)'
out_is nil 42
# Its top level may wait.
echo 'require("fiber").sleep(0.01) return { v = 7 }' > w.lua
run neap -l w -e 'print(w.v)'
out_is 7

# -j: as luajit's.
run neap -joff -e 'print((jit.status()))'
out_is false
run neap -j off -j on -e 'print((jit.status()))'
out_is true
run neap -jflush -e ''
code_is 0
run neap -jopt=3 -e ''
code_is 0
run neap -jopt=hotloop=nonsense -e ''
code_is 1
if "$NEAP_BIN" -e 'os.exit(pcall(require, "jit.v") and 0 or 1)'; then
	run neap -jv -e 'for i = 1, 1000 do end'
	code_is 0
	err_has '[TRACE'
fi

# -v, -h.
for flag in -v --version version; do
	run neap $flag
	code_is 0
	out_has 'neap 0.'
	for part in LuaJIT libuv llhttp msgpack libyaml openssl libedit uthash; do
		out_has "$part"
	done
	err_is ''
done
for flag in -h --help; do
	run neap $flag
	code_is 0
	out_has 'usage: neap'
	out_has '--log-level LEVEL'
	out_has 'NEAP_HISTORY='
done
run sh -c '"$NEAP_BIN" --help > /dev/full'
code_is 1
err_has 'No space left on device'

# Settings: flag, environment, default.
run neap -e 'require("fiber").create(error, "told")'
err_has 'told'
run neap --log-level=fatal -e 'require("fiber").create(error, "told")'
err_is ''
run env NEAP_LOG_LEVEL=fatal "$NEAP_BIN" -e 'require("fiber").create(error, "told")'
err_is ''
run env NEAP_LOG_LEVEL=fatal "$NEAP_BIN" --log-level error -e 'require("fiber").create(error, "told")'
err_has 'told'
# An empty variable is none.
run env NEAP_LOG_LEVEL= "$NEAP_BIN" -e 'require("fiber").create(error, "told")'
code_is 0
err_has 'told'
