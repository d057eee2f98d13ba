#!/bin/sh
# The exit code of every way a program ends by itself.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

run neap -e ''
code_is 0
err_is ''

run neap -e 'error("boom")'
code_is 1
err_has 'neap: (command line):1: boom'
err_has 'stack traceback:'
err_counts 'boom' 1

# A table, nil, an error object: told as well as can be.
run neap -e 'error({})'
code_is 1
err_has 'neap: (error object is a table value)'
run neap -e 'error()'
code_is 1
err_has '(error object is a nil value)'
run neap -e 'error(setmetatable({}, {__tostring = function() return "told" end}))'
code_is 1
err_has 'neap: told'
run neap -e 'require("fiber").sleep("x")'
code_is 1
err_has 'a number is wanted'

for n in 0 1 7 255; do
	run neap -e "os.exit($n)"
	code_is $n
	err_is ''
done
run neap -e 'os.exit(true)'
code_is 0
run neap -e 'os.exit(false)'
code_is 1
run neap -e 'os.exit()'
code_is 0
run neap -e 'os.exit(256 + 5)'
code_is 5

# From wherever it is called, and nothing runs on behind it.
run neap -e 'require("fiber").create(function() os.exit(4) end) print("not here")'
code_is 4
run neap -e 'coroutine.wrap(function() os.exit(5) end)() print("not here")'
code_is 5
out_is
run neap -e 'table.sort({3, 2, 1}, function() os.exit(6) end) print("not here")'
code_is 6
out_is
run neap -e 'print("flushed") table.sort({3, 2, 1}, function() os.exit(6) end)'
out_is 'flushed'
run neap -e 'pcall(function() os.exit(7) end) print("not here")'
code_is 7
out_is
# The first one counts.
run neap -e 'local f = require("fiber") f.new(function() os.exit(9) end) os.exit(8)'
code_is 8

# An error elsewhere is logged and does not end the process.
run neap -e 'require("fiber").create(function() error("aside") end) print("goes on")'
code_is 0
out_is 'goes on'
err_counts 'aside' 1
err_has 'spawned at (command line):1'

# What can never come.
run neap -e 'require("fiber").channel(0):get()'
code_is 1
err_is 'neap: the script waits for what can never come: nothing else is alive'
run neap -e 'local f = require("fiber") for i = 1, 3 do
	f.create(function() f.channel(0):get() end) end'
code_is 0
err_has 'W> 3 fibers waited for what can never come'
err_is_one_line

# The end waits for what is alive.
run neap -e 'local f = require("fiber")
	f.create(function() f.sleep(0.05) print("late") end) print("early")'
code_is 0
out_is 'early' 'late'

# Too few descriptors to begin with: a line, and no abort.
for limit in 4 5 6 8 10; do
	run sh -c "ulimit -n $limit; exec \"\$NEAP_BIN\" -e 'print(1)'"
	[ "$code" = 1 ] || [ "$code" = 127 ] || fail 'refused, by us or the loader'
	err_is_one_line
done
run sh -c 'ulimit -n 12; exec "$NEAP_BIN" -e "print(1)"'
code_is 1
err_is 'neap: cannot open 12 descriptors (ulimit -n): Too many open files'
run sh -c "ulimit -n 20; exec \"\$NEAP_BIN\" -e 'print(1)'"
code_is 0
out_is 1
