#!/bin/sh
# The console on a terminal: editing, several lines, history, completion,
# Ctrl-C and Ctrl-D.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/terminal.sh"

terminal << 'END'
expect \help for help
expect neap> 
send 1 + 1\r
expect ---\r\n- 2\r\n...\r\n\r\n
expect neap> 
send nil, 'a b', {1, {k = 'v'}}\r
expect - null\r\n- a b\r\n- - 1\r\n  - k: v\r\n...\r\n
expect neap> 
send error('oops')\r
expect :1: oops'\r\n
expect neap> 
send \x04
cooked
exit 0
END

# Several lines.
terminal -q << 'END'
expect neap> 
send for i = 1, 2 do\r
expect     > 
send   print('line ' .. i)\r
expect     > 
send end\r
expect line 1\r\nline 2\r\n---\r\n...
expect neap> 
send x = [[one\r
expect     > 
send two]] return #x\r
expect - 7\r
expect neap> 
send f(\r
expect     > 
send \x03
expect neap> 
send 'fresh'\r
expect - fresh
expect neap> 
send \\q\r
exit 0
END

# So many that not each of them is compiled.
{
	printf '%s\n' 'expect neap> ' 'send t = {\r'
	i=0
	while [ $i -lt 80 ]; do
		printf "expect     > \nsend '%0100d',\\\\r\n" $i
		i=$((i + 1))
	done
	cat << 'END'
expect     > 
send } return #t\r
expect - 80\r
expect neap> 
send for i = 1, 2 do\r
expect     > 
send end return 5\r
expect - 5\r
expect neap> 
send \\q\r
exit 0
END
} > many
terminal -q < many

# Editing: left and right, home and end, delete, kill, letters beyond ASCII.
terminal -q << 'END'
expect neap> 
send 13\e[D2\r
expect - 123\r
expect neap> 
send 23\x01\x1b[C\x1b[D1\x05 + 1\r
expect - 124\r
expect neap> 
send 4\e[H1\e[F2\r
expect - 142\r
expect neap> 
send 12x\x7f3\r
expect - 123\r
expect neap> 
send wrong\x15'right'\r
expect - right\r
expect neap> 
send #'h\xc3\xa9llo', 'h\xc3\xa9llo'\r
expect - 6\r\n- h\xc3\xa9llo\r
expect neap> 
send \x04
exit 0
END

# Bytes that are no character: each stands for itself, and takes none of what follows.
terminal -q << 'END'
expect neap> 
send 'a\xc3b'\r
expect - a\xef\xbf\xbdb\r
expect neap> 
send 'a\xe9'\r
expect - a\xef\xbf\xbd\r
expect neap> 
send '\xe6\x97\xe6\x97\xa5', 5\r
expect - \xef\xbf\xbd\xe6\x97\xa5\r\n- 5\r
expect neap> 
send 'x\xf0\x9f\r
expect unfinished string
expect neap> 
send \e[200~'p\xffq\xe9r\xe6\x97\xa5\xc3'\e[201~\r
expect - p\xef\xbf\xbdq\xef\xbf\xbdr\xe6\x97\xa5\xef\xbf\xbd\r
expect neap> 
send \x04
exit 0
END

# History: recalled, searched, several lines as one entry, over sessions.
rm -f history
terminal -q << 'END'
expect neap> 
send a = 'first'\r
expect ...\r\n\r\n\e[?2004hneap> 
send if true then\r
expect     > 
send a = 'second' end\r
expect ...\r\n\r\n\e[?2004hneap> 
send a = 'first'\r
expect ...\r\n\r\n\e[?2004hneap> 
send \e[A\e[A\r
expect ...\r\n\r\n\e[?2004hneap> 
send a\r
expect - second\r
expect neap> 
send \x04
exit 0
END
[ "$(stat -c %a history)" = 600 ] || fail 'mode 0600'
cat > want <<'END'
a = 'first'
if true then\na = 'second' end
a
END
cmp history want || fail "history: $(cat history)"
terminal -q << 'END'
expect neap> 
send \e[A\e[A\e[A\r
expect ...\r\n\r\n\e[?2004hneap> 
send a\r
expect - first\r
expect neap> 
send \x12tru\r
expect ...\r\n\r\n\e[?2004hneap> 
send \x04
exit 0
END
grep -c . history | grep -qx 3 || fail "no duplicates: $(cat history)"

# None when it is not wanted; one line of warning when it cannot be written.
NEAP_HISTORY= terminal -q << 'END'
expect neap> 
send 1\r
expect - 1
expect neap> 
send \x04
exit 0
END
mkdir folder
NEAP_HISTORY=$PWD/folder terminal -q << 'END'
expect W> history file
expect folder': Is a directory
send 1\r
expect - 1
expect neap> 
send \x04
exit 0
END
(
	unset NEAP_HISTORY
	export XDG_STATE_HOME=$PWD/state
	terminal -q << 'END'
expect neap> 
send 77\r
expect - 77
expect neap> 
send \x04
exit 0
END
	[ "$(cat state/neap/history)" = 77 ] || fail 'XDG_STATE_HOME'
	[ "$(stat -c %a state/neap)" = 700 ] || fail 'mode of the folder'
	export XDG_STATE_HOME=relative/is/invalid HOME=$PWD/home
	terminal -q << 'END'
expect neap> 
send 78\r
expect - 78
expect neap> 
send \x04
exit 0
END
	[ "$(cat home/.local/state/neap/history)" = 78 ] || fail 'HOME'
) || exit 1

# Completion.
terminal -q << 'END'
expect neap> 
send string.form\t'%d', 5)\r
expect - '5'\r
expect neap> 
send  math.hu\t\r
expect - inf\r
expect neap> 
send io.std\t\t
expect stderr
expect stdin
expect stdout
expect neap> io.std
send out ~= nil\r
expect - true\r
expect neap> 
send t = {alpha = {beta = 'deep'}} s = 'x'\r
expect neap> 
send t.al\t.be\t\r
expect - deep\r
expect neap> 
send s:upp\t)\r
expect - X\r
expect neap> 
send require('fib\t).time ~= nil\r
expect - true\r
expect neap> 
send nosuch.thing\t\x15'still here'\r
expect - still here\r
expect neap> 
send \\he\t\r
expect \\quit
expect neap> 
send \x04
exit 0
END
# It calls nothing: a trap in a metatable stays shut.
terminal -q << 'END'
expect neap> 
send trap = setmetatable({}, {__index = function() print('SPRUNG') os.exit(9) end})\r
expect neap> 
send trap.x\ttrap.a.b\t\x15
send real = setmetatable({own = 1}, {__index = {behind = 2}})\r
expect neap> 
send real.beh\t\r
expect - 2\r
never SPRUNG
expect neap> 
send \x04
exit 0
END

# Names that a terminal would obey are no candidates.
terminal -q << 'END'
expect neap> 
send package.loaded['fic\\27[2Jx'] = 1 package.loaded['fic\\nx'] = 1 package.loaded['fictive'] = 5\r
expect ...
expect neap> 
send require('fic\t)\r
expect - 5\r
expect neap> 
send \x04
exit 0
END

# Ctrl-C: the line, what is begun, what runs; never the program.
terminal -q << 'END'
expect neap> 
send half a line\x03
expect ^C
expect neap> 
send 'whole'\r
expect - whole
expect neap> 
send fiber = require('fiber')\r
expect neap> 
send fiber.sleep(1000)\r
rest 200
send \x03
expect - error: fiber is cancelled\r
expect neap> 
send \x03\x03\x03
expect neap> 
send 'alive'\r
expect - alive
expect neap> 
send \x04
cooked
exit 0
END

# Fibers run while somebody types, in the middle of a key too.
terminal -q << 'END'
expect neap> 
send fiber = require('fiber') fiber.create(function() for i = 1, 3 do fiber.sleep(0.05) end print('TICKED') end)\r
expect neap> 
send abc\e
expect TICKED\r\n
send [D
send \x15
send \x12sea
send \x07\x15'end'\r
expect - end
expect neap> 
send \x04
exit 0
END

# The window changes; the job is stopped and goes on.
terminal -q << 'END'
expect neap> 
send 12
expect 12
size 30 20
expect neap> 12
send 34\r
expect - 1234\r
expect neap> 
send 56
signal STOP
rest 100
signal CONT
rest 100
send 78\r
expect - 5678\r
expect neap> 
send \x04
exit 0
END

# Asked to end while it waits at the prompt, or runs something: the terminal
# is given back.
terminal -q << 'END'
expect neap> 
send typing
signal TERM
cooked
exit 143
END
terminal -q << 'END'
expect neap> 
send require('fiber').sleep(1000)\r
rest 200
signal TERM
cooked
exit 143
END
# (The thread sanitizer holds signals back while compiled code runs.)
case ${NEAP_SANITIZE:-} in
*thread*) ;;
*)
	terminal -q << 'END'
expect neap> 
send while true do end\r
rest 200
signal TERM
rest 100
signal TERM
cooked
exit 143
END
	;;
esac
terminal -q << 'END'
expect neap> 
send os.exit(5)\r
cooked
exit 5
END

# A script first, then the console while its fibers live.
cat > app.lua <<'END'
local fiber = require('fiber')
count = 0
fiber.create(function() while true do fiber.sleep(0.01) count = count + 1 end end)
print('started', ...)
END
terminal -q -i app.lua x << 'END'
expect started	x
expect neap> 
rest 100
send count > 3\r
expect - true
expect neap> 
send \x04
exit 0
END
terminal -i nosuch.lua << 'END'
expect neap: cannot run 'nosuch.lua'
never neap> 
exit 1
END
terminal -e 'print(5)' -i << 'END'
expect 5
expect neap> 
send \x04
exit 0
END

# console.start(): the script goes on when the user leaves.
terminal -e 'print(require("console").start()) print("behind")' << 'END'
expect neap> 
send require('console').start()\r
expect the console is open already
expect neap> 
send \x04
expect true
expect behind
cooked
exit 0
END

# A terminal that can do nothing gets lines and a prompt, no editor.
run "$pty" /usr/bin/env TERM=dumb "$NEAP_BIN" -q << 'END'
expect neap> 
send 6 * 7\r
expect - 42
expect neap> 
send \x04
exit 0
END
code_is 0

# Standard output elsewhere: answers there, the prompt on the terminal.
run "$pty" /bin/sh -c '"$NEAP_BIN" -q > answers' << 'END'
expect neap> 
send 6 * 7\r
expect neap> 
never ---
send \x04
exit 0
END
code_is 0
grep -qx -- '- 42' answers || fail 'answers'
grep -q neap answers && fail 'no prompt among the answers'
[ "$(wc -l < answers)" = 3 ] || fail 'an answer and no more'
exit 0
