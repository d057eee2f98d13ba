#!/bin/sh
# What goes on until the client types, over neap connect: each line is there as it comes; it
# ends by Ctrl-C, which is no end of the client, by the end of the process, and by no part of
# its own input.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/terminal.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"
patience=30

cat > server.lua <<'END'
local console, fiber, log = require('console'), require('fiber'), require('log')
console.listen('lua.sock', { audit = false })
console.listen('admin.sock', { language = 'admin', level = 'admin', audit = false })
local f = io.open('ports', 'a')
f:write('up\n')
f:close()
for i = 1, math.huge do
	log.info('beat %d', i)
	fiber.sleep(0.05)
end
END
serve 1 --drain-timeout 3600 server.lua

more_than() { [ "$(grep -c ' beat ' "$1")" -gt "$2" ]; }

"$NEAP_BIN" connect -e 'show events -w' admin.sock > followed &
follower=$!
eventually more_than followed 20

# Lines of the input that come behind it are no reason to end.
printf '%s\n' 'show events -w -n' | "$NEAP_BIN" connect admin.sock > followed.2 &
second=$!
eventually more_than followed.2 20

terminal connect admin.sock << 'END'
expect admin.sock> 
send show events -w -n\r
expect beat
expect beat
send \x03
expect admin.sock> 
send echo still here\r
expect still here\r
expect admin.sock> 
send wait 1h; echo waited\r
rest 100
send \x03
expect admin.sock> 
send \x04
exit 0
END

# From a console that is connected to it: of our own, and of another process's.
terminal << 'END'
expect neap> 
send require('console').connect('admin.sock')\r
expect admin.sock> 
send show events -w\r
expect beat
expect beat
send \x03
expect admin.sock> 
send echo still here\r
expect still here\r
expect admin.sock> 
send add map nosuch <<END\r
send key value\r
send END\r
expect there is no map or ACL 'nosuch'
expect admin.sock> 
send \\q\r
expect neap> 
send \x04
exit 0
END
terminal connect lua.sock << 'END'
expect lua.sock> 
send require('console').connect('admin.sock')\r
expect - true
expect lua.sock> 
send add map nosuch <<END\r
send key value\r
send END\r
expect there is no map or ACL 'nosuch'
expect lua.sock> 
send show events -w\r
expect beat
expect beat
send \x03
expect lua.sock> 
send 1 + 1\r
expect - 2\r
expect lua.sock> 
send \x04
exit 0
END

# The end of the process is theirs, too, and they have gone on until then.
sed -n '$p' followed > last
eventually more_than followed "$(grep -c ' beat ' followed)"
kill -s 0 $follower && kill -s 0 $second || fail 'they go on'
end_served
code=0
wait $follower || code=$?
[ "$code" = 0 ] || fail "the client ended with $code"
wait $second || code=$?
[ "$code" = 0 ] || fail "the second client ended with $code"
