#!/bin/sh
# `neap connect`: the console of a running program, over unix sockets and TCP; who
# may, what is logged of it, and how it ends.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

socket=$PWD/console.sock
export NO_COLOR=1 NEAP_INIT= NEAP_HISTORY=
pty=$NEAP_BINARY_DIR/test/lib/pty

cat > server.lua <<'END'
local console, fiber = require('console'), require('fiber')
server = assert(console.listen(arg[1], {mode = 432, connections = 120}))
tcp = assert(console.listen('127.0.0.1:0', {password = 'open sesame'}))
quiet = assert(console.listen(arg[1] .. '.quiet', {audit = false}))
user = assert(console.listen(arg[1] .. '.user', {level = 'user'}))
admin = assert(console.listen('127.0.0.1:0', {level = 'admin', password = 'open sesame'}))
console.register_command({'take'}, function(command)
    command:send(command:payload())
end, {payload = true})
impatient = assert(console.listen(arg[1] .. '.idle', {idle_timeout = 0.2}))
started = 0
console.on_start(function(self) started = started + 1 end)
function alive()
    local n = -1
    for _ in pairs(fiber.info()) do n = n + 1 end
    return n
end
io.stdout:setvbuf('line')
print(tcp.path)
print(admin.path)
print('up')
END
"$NEAP_BIN" server.lua "$socket" > out.txt 2> log.txt &
pid=$!
eventually has_line out.txt up
address=$(head -n 1 out.txt)
admin_address=$(sed -n 2p out.txt)
[ "$(stat -c %a "$socket")" = 660 ] || fail 'mode'

connect() {
	run "$NEAP_BIN" connect "$@"
}

# Codes and answers.
connect "$socket" -e '1 + 1'
code_is 0
out_is --- '- 2' ...
connect "$socket" -e 'x = 5' -e 'error("there", 0)' -e 'x'
code_is 1
out_is --- ... --- '- error: there' ... --- '- 5' ...
connect "unix/:$socket" -e '"a\n...\nb\n"'
code_is 0
out_is --- "- 'a" '' '  ...' '' '  b' '' "  '" ...
connect "$socket" -e '\set output json' -e '{a = 1}, nil'
out_is '[true]' '[{"a":1},null]'
connect "$socket" -e 'for i = 1, 3 do
n = i
end' -e 'return n'
out_is --- ... --- '- 3' ...
connect "$socket" -e '\q' -e '1'
code_is 0
out_is
connect "$PWD/nosuch"
code_is 3
connect
code_is 2
connect "$socket" --nosuch
code_is 2
connect "$socket" -e
code_is 2
connect --help
code_is 0
out_has 'usage: neap connect'

# Lines of standard input: each that is complete is one input.
printf '1\nfor i = 1, 2 do\n  n = i\nend\nn\n' > lines
run sh -c '"$NEAP_BIN" connect "$0" < lines' "$socket"
code_is 0
out_is --- '- 1' ... --- ... --- '- 2' ...
printf 'nosuch()\n2\nfoo(\n' > lines
run sh -c '"$NEAP_BIN" connect "$0" < lines' "$socket"
code_is 1
out_has '- 2'
out_has "near ''<eof>''"
printf '\\set language admin\nshow version\nlua\n7\n' > lines
run sh -c '"$NEAP_BIN" connect "$0" < lines' "$socket"
code_is 0
out_has 'name: neap'
out_has '- 7'

# Nobody reads the answers any more: no endless work, here nor there.
run sh -c '{ yes "n = (n or 0) + 1 return n" | "$NEAP_BIN" connect "$0"; echo $? > code; } |
	head -n 1' "$socket"
out_is ---
err_is ''
[ "$(cat code)" = 141 ] || fail "code 141, not $(cat code)"
{
	code=0
	"$NEAP_BIN" connect "$socket" -e '\set language admin' -e 'show events -w' ||
		code=$?
	echo $code > follower
} | head -n 4 > /dev/null &
followed() {
	"$NEAP_BIN" connect "$socket" -e '"for the log"' > /dev/null
	[ -s follower ]
}
eventually followed
wait $!
[ "$(cat follower)" = 141 ] || fail "code 141, not $(cat follower)"
run sh -c '"$NEAP_BIN" connect "$0" -e 1 > /dev/full' "$socket"
code_is 1
err_is 'neap: standard output: not all could be written'

# Large and huge ones.
connect "$socket" -e '("x"):rep(2000000)'
code_is 0
[ "${#out}" -gt 2000000 ] || fail 'whole'
{ printf 'return #[['; head -c 1000000 /dev/zero | tr '\0' a; printf ']]\n'; } > lines
run sh -c '"$NEAP_BIN" connect "$0" < lines' "$socket"
code_is 0
out_is --- '- 1000000' ...
head -c 1200000 /dev/zero | tr '\0' a > lines
run sh -c '"$NEAP_BIN" connect "$0" < lines' "$socket"
code_is 1
out_has 'are taken'

# TCP: the password first. A wrong one is told late, three are the end.
connect "$address" -e 1
code_is 3
NEAP_PASSWORD='open sesamE' connect "$address" -e 1
code_is 3
NEAP_PASSWORD='open sesame and more' connect "$address" -e 1
code_is 3
NEAP_PASSWORD='open sesame' connect "$address" -e '6 * 7'
code_is 0
out_is --- '- 42' ...
echo 'open sesame' > password
connect "$address" --password-file password -e '6 * 7'
code_is 0
connect "$address" --password-file nosuch -e 1
code_is 2
cat > guess.lua <<'END'
local socket, fiber = require('socket'), require('fiber')
local host, port = arg[1]:match('(.*):(%d+)')
local s = assert(socket.tcp_connect(host, tonumber(port)))
s:write('leak = true\n\\login \n\\login open sesam\n\\login x\n\\login open sesame\nleak = 1\n')
local text = s:read({size = 1e6}, 30)
local _, wrong = text:gsub('wrong password', '')
print(wrong, (text:find('true')))
s:close()
-- Those who say nothing do not keep others out for long, nor without end.
local list, refused = {}, 0
for i = 1, 30 do
    list[i] = assert(socket.tcp_connect(host, tonumber(port)))
end
for i = 1, 30 do
    local first = list[i]:read('\n', 30)
    refused = refused + (first == '---\n' and 1 or 0)
    list[i]:close()
end
print(refused >= 10)
END
run "$NEAP_BIN" guess.lua "$address"
out_is '3	nil' true
connect "$socket" -e leak
out_is --- '- null' ...

# What was run is in the log, with who did it; not where it is not wanted, and
# never a password.
connect "$socket" -e 'marked = "line\27[31m"'
grep -q "console '$socket': uid $(id -u) pid [0-9]* runs \"marked = .*line.*27\[31m" log.txt || fail 'audit'
grep -q "console '$address': 127.0.0.1:[0-9]*: wrong password" log.txt || fail 'wrong password'
grep -q "console '$address': 127.0.0.1:[0-9]* runs \"6 \* 7\"" log.txt || fail 'audit of TCP'
connect "$socket.quiet" -e 'unmarked = 1'
code_is 0
grep -q unmarked log.txt && fail 'no audit'
grep -q sesam log.txt && fail 'a password in the log'

# Not even when the code looks like what programs say to each other.
printf 'x = [[\n\\frame ]] hidden1 = 1\ny = [[\n\\complete ]] hidden2 = 2\n' |
	"$NEAP_BINARY_DIR/test/lib/unix_client" "$socket" > /dev/null
printf '\\frame T\nx = [[\n\\complete ]] hidden3 = 3\nT\n\\complete hid\nT
x = [[\n\\login ]] hidden4 = 4\nT\nx = [[\n password = "]] hidden5 = 5 --"\nT
x = "\\\n password = " hidden6 = 6 --"\nT\n' |
	"$NEAP_BINARY_DIR/test/lib/unix_client" "$socket" > framed
connect "$socket" -e 'hidden1, hidden2, hidden3, hidden4, hidden5, hidden6'
out_is --- '- 1' '- 2' '- 3' '- 4' '- 5' '- 6' ...
for i in 1 2 3 4 5 6; do
	grep -q "runs \".*hidden$i = $i" log.txt || fail 'code that hides from the audit'
done
[ "$(tail -n +3 framed | head -n 9)" = 'T ok
---
...
T ok
3
hidden1
hidden2
hidden3
T ok' ] || fail "frames: $(cat framed)"
grep -q 'runs "T"\|runs ".*complete hid"' log.txt && fail 'what runs nothing is not logged'

# Consoles of admin commands: they do not greet; codes and payloads are as of Lua.
connect "$socket.user" -e 'show cli level' -e 'nosuch' -e 'show cli level; nosuch; echo b'
code_is 1
out_is user '' 'error: no such command: see help' '' user '' \
	'error: no such command: see help' '' b ''
connect "$socket.user" -e 'echo a' -e quit -e 'echo never'
code_is 0
out_is a '' ''
connect "$admin_address" -e 'echo a'
code_is 3
err_has 'a password is wanted'
NEAP_PASSWORD='open sesame' connect "$admin_address" -e 'take <<END
one

two
END'
code_is 0
out_is one ' ' two ''
printf 'take <<END\none\n\nEND\necho b\ntake <<\nlost' > lines
NEAP_PASSWORD='open sesame' run sh -c '"$NEAP_BIN" connect "$0" < lines' "$admin_address"
code_is 1
out_is one ' ' '' b '' 'error: the lines behind "<<" have no end' ''
# The log has each command once, with how much was behind it, and never what that was.
[ "$(grep -c 'runs "take <<END" with 9 bytes behind it' log.txt)" = 1 ] || fail 'audit of a payload'
[ "$(grep -c 'runs "take <<END" with 5 bytes behind it' log.txt)" = 1 ] || fail 'audit of another'
[ "$(grep -c 'runs "echo b"' log.txt)" = 1 ] || fail 'audit of what follows'
grep -q 'runs "\(one\|two\|END\|lost\)\?"' log.txt && fail 'lines of a payload as commands'
# Who types a password where none is wanted, or as an argument, does not find it there.
printf '\\login horse\n  \\login  horse\nt = {password = "a \\"horse", ["sslPassword"]=[[horse]]}\npassword="horse' |
	"$NEAP_BINARY_DIR/test/lib/unix_client" "$socket" > lines
grep -q 'Invalid command' lines || fail 'no such command'
grep -q horse log.txt && fail 'a password in the log'
grep -q 'runs "\\\\login \*\*\*"' log.txt || fail 'that it was tried'
printf '\\set language admin\necho a\n\\set language lua\n6 * 7\n' > lines
run sh -c '"$NEAP_BIN" connect "$0" < lines' "$socket"
code_is 0
out_is --- '- true' ... a '' --- '- true' ... --- '- 42' ...

# Idle for too long; not while a line runs. (It may be so before the line is there.)
slow_one() {
	connect "$socket.idle" -e 'require("fiber").sleep(0.5) return "slow"'
	[ "$code" = 0 ]
}
eventually slow_one
out_is --- '- slow' ...
mkfifo idle
"$NEAP_BIN" connect "$socket.idle" < idle > idle.txt 2>&1 &
idle=$!
exec 4> idle
eventually grep -q 'idle for too long' log.txt
echo 1 >&4
exec 4>&-
code=0
wait $idle || code=$?
code_is 3

# A hundred at once, each with a line begun, its own mode and its own answer.
cat > many.lua <<'END'
local socket, fiber = require('socket'), require('fiber')
local done, list = 0, {}
for i = 1, 100 do
    list[i] = assert(socket.tcp_connect('unix/', arg[1]))
    list[i]:read('help\n', 30)
end
for i = 1, 100 do
    list[i]:write(i % 2 == 0 and '\\set output lua\n' or '\\set output json\n')
    list[i]:write('return\n')
end
for i = 1, 100 do
    list[i]:write('fiber = fiber or require("fiber") fiber.sleep(0.01)\n' .. i .. '\n')
end
for i = 1, 100 do
    local text = list[i]:read((i % 2 == 0 and i .. ';\n' or '[' .. i .. ']\n'), 30)
    if text ~= nil then done = done + 1 end
end
print(done)
for i = 1, 50 do list[i]:write('fiber.sleep(1000)\n') end
for i = 1, 100 do list[i]:close() end
END
run "$NEAP_BIN" many.lua "$socket"
out_is 100
nobody() {
	"$NEAP_BIN" connect "$socket" -e 'alive()' | grep -qx -- '- 0'
}
eventually nobody

# On a terminal: editing, several lines, Ctrl-C there, the end.
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	run "$pty" "$NEAP_BIN" connect console.sock << 'END'
expect console.sock> 
send started > 0\r
expect - true\r\n
expect console.sock> 
send if true then\r
expect     > 
send return 'several' end\r
expect - several\r\n
expect console.sock> 
send while true do end\r
rest 200
send \x03
expect fiber is cancelled, here and there
expect console.sock> 
send 'again'\r
expect - again\r\n
expect console.sock> 
send \\q\r
cooked
exit 0
END
	[ "$code" = 0 ] || fail 'on a terminal'
	eventually nobody
	run "$pty" "$NEAP_BIN" connect console.sock << 'END'
expect console.sock> 
send os.exit(0)\r
expect neap: console.sock: 
cooked
exit 3
END
	[ "$code" = 0 ] || fail 'a server that ends'
else
	kill -s TERM $pid
fi
code=0
wait $pid || code=$?
code_is 0

# Delimiters, set by a command, which itself needs none; where a server listens.
cat > lines <<END
\\set delimiter ;
1
+ 2;
\\set delimiter END
3 ..
''END
\\set delimiter
4
\\set delimiter $(printf '%065d' 0)
\\set output
server = require('console').listen('$PWD/named')
server:name().family .. ' ' .. server:name().host .. ' ' .. server:name().port
server:close()
server:name()
server = require('console').listen('127.0.0.1:0', {password = 'open sesame'})
server:name().host .. ':' .. server:name().port == server.path
server:name().family .. ' ' .. server:name().type .. ' ' .. server:name().protocol
server:close()
END
run sh -c '"$NEAP_BIN" < lines'
code_is 0
for line in '- 3' "- '3'" '- 4' "- AF_UNIX unix/ $PWD/named" '- null' '- true' \
	'- AF_INET SOCK_STREAM tcp'; do
	out_has "$line"
done
out_has 'one line of at most 64 bytes is wanted'
out_has 'set delimiter [TEXT]'

# From a console to another, and back; delimiters; what ends an answer.
rm -f out.txt
"$NEAP_BIN" server.lua "$socket" > out.txt 2> log.txt &
pid=$!
eventually has_line out.txt up
cat > lines <<END
console = require('console')
console.connect('$socket')
server.path
return 1 +
2
\\q
server
console.delimiter('!')
1
+ 2!
console.delimiter()!
console.delimiter('')!
console.eos()
console.connect('$PWD/nosuch')
END
run sh -c '"$NEAP_BIN" < lines'
code_is 0
out_has "- $socket"
out_has '- null'
out_has "- '!'"
out_has "$PWD/nosuch:"
[ "$(printf '%s' "$out" | grep -cx -- '- 3')" = 2 ] || fail 'three, twice'
kill -s TERM $pid
wait $pid

# With certificates.
if command -v openssl > /dev/null; then
	{
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
			-keyout ca.key -out ca.pem -days 2 -subj '/CN=test ca'
		for name in server operator; do
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
				-keyout $name.key -out $name.csr -subj "/CN=$name"
			printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' > ext
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key \
				-CAcreateserial -out $name.pem -days 2 -extfile ext
		done
	} 2> /dev/null
	cat > tls.lua <<'END'
local console = require('console')
local files = {cert_file = 'server.pem', key_file = 'server.key', ca_file = 'ca.pem'}
local none, err = console.listen('127.0.0.1:0', {tls = files})
assert(none == nil and err.message:find('over TCP'))
files.verify = 'required'
tcp = assert(console.listen('127.0.0.1:0', {tls = files}))
io.stdout:setvbuf('line')
print(tcp.path)
END
	rm -f out.txt
	"$NEAP_BIN" tls.lua > out.txt 2> log.txt &
	pid=$!
	eventually grep -q : out.txt
	address=$(head -n 1 out.txt)
	connect "$address" --tls-ca ca.pem --tls-cert operator.pem --tls-key operator.key -e '"in"'
	code_is 0
	out_is --- '- in' ...
	grep -q 'operator.*runs' log.txt || fail "who: $(cat log.txt)"
	connect "$address" --tls-ca ca.pem -e '"in"'
	code_is 3
	connect "$address" --timeout 0.5 -e '"in"'
	code_is 3
	kill -s TERM $pid
	wait $pid
fi
exit 0
