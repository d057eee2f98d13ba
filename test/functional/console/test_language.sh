#!/bin/sh
# console.listen() of admin commands: the first line is one, levels hold, and Lua is
# for the level admin alone.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > ask.lua <<'END'
local s = require('socket').tcp_connect('unix/', arg[1])
s:write(io.read('*a'))
s:shutdown(1)
io.write(s:read(2 ^ 20, 20) or '')
END
cat > server.lua <<'END'
local console = require('console')
assert(console.listen(arg[1] .. '.user', { level = 'user', audit = false }))
assert(console.listen(arg[1] .. '.operator', { language = 'admin', audit = false }))
assert(console.listen(arg[1] .. '.admin', { level = 'admin', audit = false,
                                            password = 'a long one' }))
assert(console.listen(arg[1] .. '.one', { level = 'user', connections = 1 }))
assert(console.listen(arg[1] .. '.two', { connections = 1 }))
for _, wrong in ipairs({ { language = 'lua', level = 'user' }, { level = 'root' },
                         { language = 'sql' } }) do
    assert(not pcall(console.listen, arg[1] .. '.wrong', wrong))
end
io.open(arg[1] .. '.ready', 'w'):close()
require('fiber').sleep(1000)
END
"$NEAP_BIN" server.lua "$TMPDIR/c" > server.out 2>&1 &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -e "$TMPDIR/c.ready"

asks() {
	run sh -c 'printf "$2" | "$NEAP_BIN" ask.lua "$1"' sh "$TMPDIR/c.$1" "$2"
	code_is 0
}

asks user 'show cli level\n'
out_is user ''
asks user 'show fibers\n'
out_is "error: permission denied: 'show fibers' is for the level operator, this \
session has the level user" ''
asks user 'lua\n'
out_is "error: permission denied: 'lua' is for the level admin, this session has the \
level user" ''
asks user '\\set language lua\n'
out_is 'error: no such command: see help' ''
asks operator 'show cli level; user; show cli level; operator\n'
out_is operator '' '' user '' 'error: there is no way up' ''

# A password first, asked for as everything is said here: answers, each with an empty line
# behind it.
asks admin 'show info\n'
out_is 'neap (admin commands)' "type 'login PASSWORD' to log in" '' 'error: wrong password' ''
asks admin 'login a long one\necho x\n'
out_is 'neap (admin commands)' "type 'login PASSWORD' to log in" '' '' x ''
asks admin '\\login a long one\nshow cli level\nlua\n1 + 1\n\\set language admin\necho x\n'
case $out in
*"to log in


admin


---
- 2
...
---
- true
...
x
"*) ;;
*) fail 'the password, a command, Lua and back' ;;
esac


# So are refusals.
cat > many.lua <<'END'
local socket, kept = require('socket'), {}
local function first(name)
    local s = socket.tcp_connect('unix/', arg[1] .. name)
    kept[#kept + 1] = s
    s:shutdown(1)
    return s:read(2 ^ 20, 20) or ''
end
local function hold(name, count)
    for _ = 1, count do
        kept[#kept + 1] = socket.tcp_connect('unix/', arg[1] .. name)
    end
end
hold('.one', 1)
io.write(first('.one'))
hold('.two', 1)
io.write(first('.two'))
hold('.admin', 21)
io.write(first('.admin'))
os.exit(0)
END
run "$NEAP_BIN" many.lua "$TMPDIR/c"
out_is 'error: too many connections' '' --- "- error: 'too many connections'" ... \
	'error: too many connections that have not logged in' ''
head -c 1200000 /dev/zero | tr '\0' a > long
run sh -c '"$NEAP_BIN" ask.lua "$0" < long' "$TMPDIR/c.user"
out_is 'error: the line is too long' ''

kill -s TERM "$server"
wait "$server" || true
rm -f "$TMPDIR"/c.*
