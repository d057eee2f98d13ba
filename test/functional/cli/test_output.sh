#!/bin/sh
# Standard output that is a closed pipe, full, or closed.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# A script stops as quietly as SIGPIPE would stop it.
run sh -c '{ "$NEAP_BIN" -e "while true do print(1) end"; echo $? > code; } | head -n 1'
out_is 1
err_is ''
[ "$(cat code)" = 141 ] || fail 'code 141'

# io.write tells; the script may go on.
run sh -c '{ "$NEAP_BIN" -e "local ok, err
	repeat ok, err = io.write((\"x\"):rep(100000)) until not ok
	io.stderr:write(err)"; echo $? > code; } | head -c 1'
out_has x
err_has 'Broken pipe'
[ "$(cat code)" = 0 ] || fail 'code 0'

# What was printed and could not be stored is an error.
run sh -c '"$NEAP_BIN" -e "print(1)" > /dev/full'
code_is 1
err_is 'neap: standard output: No space left on device'
run sh -c '"$NEAP_BIN" -e "print(1) os.exit(3)" > /dev/full'
code_is 3

# A server does not end because nobody reads what it prints.
run sh -c '{ "$NEAP_BIN" -e "
	local f = require(\"fiber\")
	f.create(function()
		for i = 1, 100 do print((\"x\"):rep(10000)) f.sleep(0) end
		os.exit(9)
	end)"; echo $? > code; } | head -c 1'
[ "$(cat code)" = 9 ] || fail 'code 9'

# Closed from the start: no file of ours becomes standard output.
run sh -c '"$NEAP_BIN" --log-file x.log -e "print(1) require(\"fiber\").create(error, \"logged\")" >&-'
code_is 0
grep -q logged x.log || fail 'the log'
grep -q '^1' x.log && fail 'print went into the log'
run sh -c '"$NEAP_BIN" -e "print(2)" <&- 2>&-'
code_is 0
out_is 2

# print as Lua's.
run neap -e 'print() print(nil, 1, "a", true) print(setmetatable({}, {__tostring = function() return "T" end}))'
out_is '' 'nil	1	a	true' T
run neap -e 'tostring = function() return 1 end print(1)'
code_is 0
run neap -e 'tostring = function() return {} end print(1)'
code_is 1
err_has "'tostring' must return a string to 'print'"

# A line is written whole or not at all.
run neap -e 'pcall(print, "half", setmetatable({}, {__tostring = error}))
	print(1, nil, "x")'
out_is "$(printf '1\tnil\tx')"
