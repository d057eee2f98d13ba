#!/bin/sh
# Output whose reader is slow: other fibers go on, and nothing is lost.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > slow.lua <<'LUA'
local fiber = require('fiber')
local at, last, turns = 0, 0, 0
fiber.create(function()
    while turns < 20 do
        turns = at == last and turns + 1 or 0
        last = at
        fiber.sleep(0.002)
    end
    io.open('full', 'w'):close()
end)
for i = 1, 40000 do
    at = i
    if i % 2 == 0 then print(i) else io.write(i, '\n') end
end
os.exit(7)
LUA

# The reader waits until the pipe is full and another fiber has had its turns,
# then reads all: in order, whole, also through os.exit().
run sh -c '{ "$NEAP_BIN" slow.lua; echo $? > code; } | {
	n=0; until [ -e full ] || [ $n = 1200 ]; do sleep 0.05; n=$((n+1)); done
	cat; } > all'
[ -e full ] || fail 'the others stood still'
seq 40000 > want
cmp all want || fail 'all of it, in order'
[ "$(cat code)" = 7 ] || fail 'code 7'

# A cancelled writer's line is whole.
run sh -c '"$NEAP_BIN" -e "
	local fiber = require(\"fiber\")
	local f = fiber.new(function() print((\"x\"):rep(300000)) end)
	fiber.sleep(0.05)
	f:cancel()
	fiber.sleep(0.05)
	io.stderr:write(f:status())
	print(\"end\")" | { sleep 0.5; cat; } > all'
err_is dead
[ "$(wc -c < all)" = 300005 ] || fail 'a whole line and the end'
[ "$(tail -n 1 all)" = end ] || fail 'the end comes last'

# An error of the script: what was printed before comes out.
run sh -c '"$NEAP_BIN" -e "print((\"y\"):rep(200000)) error(\"no\")" | { sleep 0.2; wc -c; }'
out_is 200001
err_has 'no'

# A signal, with a reader that never reads: it ends.
rm code
run sh -c '{ NEAP_CANCEL_TIMEOUT=1 "$NEAP_BIN" -e "
	io.open(\"begun\", \"w\"):close()
	print((\"z\"):rep(1000000))" & echo $! > pid; wait $!; echo $? > code; } | {
	while ! [ -e begun ]; do sleep 0.05; done
	kill -TERM $(cat pid); while ! [ -s code ]; do sleep 0.05; done; }'
[ "$(cat code)" = 143 ] || fail 'code 143'

# Standard input that comes late keeps nobody waiting.
run sh -c '{ n=0; until [ -e turned ] || [ $n = 1200 ]; do sleep 0.05; n=$((n+1)); done
	echo 12 line; } | "$NEAP_BIN" -e "
	local fiber, n = require(\"fiber\"), 0
	fiber.create(function() while true do
		n = n + 1
		if n == 21 then io.open(\"turned\", \"w\"):close() end
		fiber.sleep(0.001)
	end end)
	local number, line = io.read(\"*n\", \"*l\")
	print(number, line, n > 20, io.read())
	os.exit(0)"'
out_is '12	 line	true	nil'
