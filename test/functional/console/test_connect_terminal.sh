#!/bin/sh
# `neap connect` on a terminal: Tab asks the program there, in both languages; history,
# another size of the window, Ctrl-C while candidates are awaited. Admin commands are
# completed as they are declared.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/terminal.sh"

cat > server.lua <<'END'
local console, fiber = require('console'), require('fiber')
for _, level in ipairs({'user', 'admin'}) do
    assert(console.listen(level .. '.sock', {level = level}))
end
assert(console.listen('lua.sock'))
assert(console.listen('other.sock'))
treasure = {chest = {gold = 1, silver = 2}}
function stall(seconds)
    fiber.create(function()
        fiber.sleep(0.05)
        local stop = fiber.clock() + seconds
        while fiber.clock() < stop do end
    end)
end
assert(console.on_start(function(self) started = (started or 0) + 1 end) == nil)
io.open('ready', 'w'):close()
fiber.sleep(1000)
END
"$NEAP_BIN" server.lua > out.txt 2> log.txt &
pid=$!
trap 'kill -s KILL "$pid" 2> /dev/null || true' EXIT
eventually test -e ready

# Lua there: globals, fields, methods; several lines; what is off there is off.
terminal connect lua.sock << 'END'
expect lua.sock> 
send trea\t.ch\t.go\t\r
expect - 1\r
expect lua.sock> 
send treasure.chest.\t\t
expect gold
expect silver
expect lua.sock> 
send \x15for i = 1, 2 do\r
expect     > 
send kept = treasure.che\t.sil\t\r
expect     > 
send end return kept\r
expect - 2\r
expect lua.sock> 
send \\hel\t\r
expect \\help
expect lua.sock> 
send console = require('console') console.ac(false) return 'silent'\r
expect - silent
expect lua.sock> 
send trea\t\x15'none'\r
expect - none
never sure
expect lua.sock> 
send \\set language admin\r
expect - true
expect lua.sock> 
send sho\tlis\t\r
expect worker server
expect lua.sock> 
send show cli s\t\t
expect sessions
expect sockets
expect lua.sock> 
send \x15\\set language lua\r
expect - true
expect lua.sock> 
send 6 * 7\r
expect - 42
expect lua.sock> 
size 30 20
send 'a line that is longer than the window is wide'\r
expect - a line that is longer than the window is wide
expect lua.sock> 
size 24 80
send \x04
exit 0
END

# Another session of it: it completes, and the lines of the first are in the history,
# which is the client's.
terminal connect lua.sock << 'END'
expect lua.sock> 
send trea\t\r
expect chest:
expect lua.sock> 
send \x1b[A\x1b[A\r
expect - a line that is longer
expect lua.sock> 
send \\history 2\r
expect - treasure
expect lua.sock> 
send \x04
exit 0
END
grep -q '^6 \* 7$' history || fail 'the history has what was typed there'

# Admin commands: of the level that the socket has.
terminal connect user.sock << 'END'
expect user.sock> 
send show ver\t\r
expect name: neap
expect user.sock> 
send set sev\tnum\t\r
expect user.sock> 
send kill \t\x15nosuch\r
expect [3]: no such command
never fiber
expect user.sock> 
send echo a <<\r
expect     > 
send \r
expect takes no lines
expect user.sock> 
send quit\r
exit 0
END
terminal connect admin.sock << 'END'
expect admin.sock> 
send kill fi\t9999999 wor\t1 js\t\r
expect there is no such fiber
expect admin.sock> 
send set log lev\tin\t\r
expect admin.sock> 
send lua\r
expect admin.sock> 
send trea\t.ch\t.go\t\r
expect - 1\r
expect admin.sock> 
send \x04
exit 0
END

# From there to another one: \q leads back by one, as each has its own output mode.
terminal connect lua.sock << 'END'
expect lua.sock> 
send \\set output json\r
expect true
expect lua.sock> 
send require('console').connect('other.sock')\r
expect true
expect lua.sock> 
send 'in it'\r
expect - in it
expect lua.sock> 
send \\q\r
expect lua.sock> 
send 'back'\r
expect "back"
expect lua.sock> 
send \\q\r
exit 0
END
terminal -q << 'END'
expect neap> 
send require('console').connect('lua.sock')\r
expect lua.sock> 
send \\set output json\r
expect true
expect lua.sock> 
send require('console').connect('other.sock')\r
expect lua.sock> 
send \\q\r
expect lua.sock> 
send 'back'\r
expect "back"
expect lua.sock> 
send \\quit\r
expect neap> 
send \\q\r
exit 0
END

# A program that is busy: Tab is given up by Ctrl-C, and what it says late is no answer
# to the next line.
terminal connect lua.sock << 'END'
expect lua.sock> 
send stall(0.5) return 'begun'\r
expect - begun
expect lua.sock> 
rest 150
send trea\t
rest 50
send \x03
expect lua.sock> 
send 'the next'\r
expect - the next
never gold
expect lua.sock> 
send 'one more'\r
expect - one more
expect lua.sock> 
send trea\t.ch\t.go\t\r
expect - 1\r
expect lua.sock> 
send \x04
exit 0
END

# One that dies: nothing is completed, and the line tells.
terminal connect lua.sock << 'END'
expect lua.sock> 
send require('os').exit(0, true)\r
expect neap: 
exit 3
END
wait "$pid" || true

# Admin commands at home.
terminal -q << 'END'
expect neap> 
send \\set language ad\t\r
expect > 
send show wor\tjs\t\r
expect "worker":1
expect > 
send prompt ti\t\r
expect ]> 
send set lim\tac\t
expect tion 
send \x15quit\r
exit 0
END
