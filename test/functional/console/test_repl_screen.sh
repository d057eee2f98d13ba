#!/bin/sh
# What a person in front of a terminal gets: cut values, tracebacks, colours, the
# commands, pastes, the file that runs first, and Ctrl-C for what computes.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/terminal.sh"

# Large values end in "...", by the number of entries, size and depth; small ones
# are as ever.
terminal -q << 'END'
expect neap> 
send t = {} for i = 1, 500 do t[i] = i end return t\r
expect   - 100\r\n  - '... (400 more)'\r\n...\r\n
expect \\all shows all
expect neap> 
send \\all\r
expect   - 101\r\n
expect   - 500\r\n...\r\n
never shows all
expect neap> 
send \\all\r
expect nothing was cut
expect neap> 
send ('x'):rep(3000)\r
expect (3000 bytes)
expect neap> 
send m = {} for i = 1, 300 do m['k' .. i] = true end return m\r
expect '...': '... (200 more)'
expect neap> 
send {{{{{{{{{{{{'deep'}}}}}}}}}}}}\r
never deep'\r
expect - '...'\r\n
expect neap> 
send \\set cut off\r
expect - true
expect neap> 
send t\r
expect   - 500\r\n
expect neap> 
send \\set output lua\r
expect true;
expect neap> 
send \\set cut on\r
expect neap> 
send t\r
expect 100, "... (400 more)"};
expect neap> 
send \x04
exit 0
END

# Where an error happened, without what is not the user's; the error as it is.
terminal -q << 'END'
expect neap> 
send function inner() error('oops', 0) end function outer() inner() return 1 end\r
expect neap> 
send (outer())\r
expect - error: oops\r\n  traceback:\r\n
expect in function ''inner''
expect in function ''outer''
expect ...\r\n
never neap/
never xpcall
expect neap> 
send x =\r
expect     > 
send )\r
expect - error: '[string "x =..."]:2: unexpected symbol near '')'''\r\n...\r\n
expect neap> 
send function r() return r() + 1 end return r()\r
expect - error: 
expect stack overflow
expect neap> 
send \\set output json\r
expect neap> 
send local function f() error('oops', 0) end f()\r
expect {"error":"oops"}\r\nstack traceback:\r\n
expect neap> 
send \x04
exit 0
END

# Frames that say nothing, and those of neap's own functions in C, are none.
terminal -q << 'END'
expect neap> 
send error('boom', 0)\r
expect - error: boom\r\n  traceback:\r\n  - '[C]: in function ''error''
expect in main chunk
never neap/
expect neap> 
send assert(false)\r
expect assertion failed
expect in function ''assert''
expect in main chunk
expect neap> 
send (function(...) return ... end)(1, nil, nil)\r
expect - 1\r\n- null\r\n- null\r\n...
expect neap> 
send nil + 1\r
expect [string "return nil + 1"]:1: attempt to perform arithmetic
expect neap> 
send function naps() require('fiber').sleep(100) end naps()\r
rest 100
send \x03
expect - error: fiber is cancelled\r\n  traceback:\r\n  - '[string "function naps() require
expect in function ''naps''
expect neap> 
send function fails() error('deep', 0) end fails()\r
expect - error: deep\r\n  traceback:\r\n  - '[C]: in function ''error''
expect in function ''fails''
expect in main chunk
expect neap> 
send \x04
exit 0
END

# Over a pipe nothing of that.
printf 't = {} for i = 1, 500 do t[i] = i end return t\nerror("oops", 0)\n' > given
run sh -c '"$NEAP_BIN" < given'
out_has '  - 500'
out_has '- error: oops
...
'
case $out in *traceback* | *more*) fail 'whole, and nothing else' ;; esac

# Colours, if they are wanted.
(
	unset NO_COLOR
	terminal -q << 'END'
expect neap> 
send {key = true}\r
expect \e[36mkey:\e[0m\e[35m true\e[0m
expect neap> 
send error('red', 0)\r
expect \e[31m- error: red\e[0m
expect neap> 
send '\\27[31m'\r
expect - "\\e[31m"
expect neap> 
send \x04
exit 0
END
) || exit 1
(
	unset NO_COLOR
	run "$pty" /usr/bin/env TERM=dumb "$NEAP_BIN" -q << 'END'
expect neap> 
send {key = true}\r
expect - key: true\r\n
expect neap> 
send \x04
exit 0
END
	code_is 0
) || exit 1
terminal -q << 'END'
expect neap> 
send {key = true}\r
expect - key: true\r\n
expect neap> 
send \x04
exit 0
END

# Commands.
rm -f history
terminal -q << 'END'
expect neap> 
send fiber = require('fiber') f = fiber.create(function() fiber.name('sleeper') fiber.sleep(100) end)\r
expect neap> 
send \\fibers\r
expect id  name     status     switches  memory  at\r\n
expect sleeper  suspended
expect neap> 
send \\top 0.05\r
expect fiber
expect percent  seconds  slices  preempted\r\n
expect sleeper
expect neap> 
send \\modules\r
expect kind  name           from
expect lua   fiber          neap\r\n
expect neap> 
send \\history 2\r
expect - - \\top 0.05\r\n  - \\modules\r\n...\r\n
expect neap> 
send \\history 0\r
expect - error: \\history [COUNT]\r\n
expect neap> 
send \\set output table\r
expect true
expect neap> 
send {{id = 1, name = 'one'}, {id = 20, name = 'a\\27b'}}\r
expect id  name\r\n--  ------\r\n 1  one\r\n20  a\\x1bb\r\n\r\n
expect neap> 
send \\reload\r
expect there is nothing that can be reloaded
expect neap> 
send \\help top\r
expect \\top [SECONDS]\r\n
expect neap> 
send f:cancel()\r
expect neap> 
send \x04
exit 0
END

# A paste is one input, and nothing of it runs before Enter.
rm -f history
terminal -q << 'END'
expect \e[?2004h
expect neap> 
send \e[200~print('RUN' .. 1)\r\tprint('RUN' .. 2)\r\n\e[201~
rest 200
never RUN1
send \r
expect \e[?2004l
expect RUN1
expect RUN2
expect neap> 
send \e[200~x = 1\x04\x12\t\e[A\r\e[201~ + 4 return x\r
expect - error
expect neap> 
send \e[200~dropped\e[201~\x15'typed'\r
expect - typed
expect neap> 
send \e[200~never ended\x03
expect ^C
expect neap> 
send \e[A\e[A\e[A\r
expect RUN1
expect neap> 
send \x04
exit 0
END
grep -q "^print('RUN' .. 1)\\\\n	print('RUN' .. 2)$" history || fail "one entry: $(cat history)"
{
	printf 'expect neap> \nsend \\e[200~t = {}\\r'
	i=0
	while [ $i -lt 200 ]; do
		printf "t[#t + 1] = 'some text of the line %d'\\\\r" $i
		i=$((i + 1))
	done
	printf '\\e[201~\\r\nexpect ---\nexpect neap> \nsend #t\\r\nexpect - 200\\r\nexpect neap> \nsend \\x04\nexit 0\n'
} > large
terminal -q < large

# What runs first; not over pipes; its errors end nothing.
mkdir -p config/neap home/.config/neap
echo 'print("INIT", ...) from_init = 5' > config/neap/init.lua
(
	unset NEAP_INIT
	export XDG_CONFIG_HOME=$PWD/config
	terminal -q << 'END'
expect INIT
expect neap> 
send from_init\r
expect - 5
expect neap> 
send \x04
exit 0
END
	echo 1 > given
	run sh -c '"$NEAP_BIN" < given'
	out_is --- '- 1' ...
	terminal -q --init '' << 'END'
expect neap> 
never INIT
send from_init\r
expect - null
expect neap> 
send \x04
exit 0
END
	echo 'function a() error("in init") end a()' > config/neap/init.lua
	terminal -q << 'END'
expect - error: '
expect neap/init.lua:1: in init'
expect neap> 
send 'alive'\r
expect - alive
expect neap> 
send \x04
exit 0
END
	echo 'while true do end' > config/neap/init.lua
	terminal -q << 'END'
rest 300
send \x03
expect - error: fiber is cancelled
expect neap> 
send \x04
exit 0
END
	echo 'x = = 1' > config/neap/init.lua
	terminal -q << 'END'
expect symbol near ''=''
expect neap> 
send \x04
exit 0
END
	unset XDG_CONFIG_HOME
	export HOME=$PWD/home
	echo 'print("AT HOME")' > home/.config/neap/init.lua
	terminal -q << 'END'
expect AT HOME
expect neap> 
send \x04
exit 0
END
	terminal -q --init "$PWD/nosuch.lua" << 'END'
expect nosuch.lua
expect neap> 
send \x04
exit 0
END
) || exit 1

# Ctrl-C ends what computes and never waits: a loop, compiled or not, one that
# catches errors, one in a callback of C code, and the matching of a pattern.
terminal -q --stall 0 << 'END'
expect neap> 
send while true do end\r
rest 150
send \x03
expect - error: fiber is cancelled\r\n
expect neap> 
send n = 0 while true do pcall(function() while true do n = n + 1 end end) end\r
rest 150
send \x03
expect - error: 'console: fiber is cancelled, and went on computing
expect neap> 
send string.gsub('x', 'x', function() while true do end end)\r
rest 150
send \x03
expect - error: fiber is cancelled\r\n
expect neap> 
send ('a'):rep(30):find(('a*'):rep(30) .. 'b')\r
rest 150
send \x03
expect - error: 'console: fiber is cancelled, and went on computing
expect neap> 
send 'alive'\r
expect - alive\r\n
expect neap> 
send \x04
cooked
exit 0
END
exit 0
