#!/bin/sh
# Sockets that a service manager has opened: listeners and consoles take them by address
# and by name, through reloads and from one start to the next; the manager's they stay.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"
activate=$NEAP_BINARY_DIR/test/lib/activate

configuration() { # VERSION, ADDRESSES of the first listener
	cat > server.yaml <<END
workers: 3
load_per_thread: {file: app.lua, args: ['$1']}
console:
- {address: 'fd:admin', language: admin, level: admin}
listeners:
- {name: web, address: [$2], rules: [{use-service: lua.version}]}
- {name: lines, protocol: tcp, address: 'fd:lines', rules: [{use-service: lua.line}]}
END
}
cat > app.lua <<'END'
local version = ...
if os.getenv('LISTEN_FDS') or os.getenv('LISTEN_PID') or os.getenv('LISTEN_FDNAMES') then
	error('that is not for scripts')
end
core.register_service('version', 'http', function(applet)
	applet:start_response()
	applet:send(version)
end)
core.register_service('line', 'tcp', function(applet)
	applet:send('line ' .. version)
end)
END
# Its number, then itself.
cat > start.sh <<'END'
echo $$ > pid
exec "$NEAP_BIN" "$@"
END

begin() { # TIMES SOCKET.. -- ARGUMENT..
	line="activate $*"
	rm -f pid
	"$activate" "$@" > ports 2> server.err &
	manager=$!
	# shellcheck disable=SC2046
	trap 'kill -s KILL $manager $(cat pid) 2> /dev/null || true' EXIT
}
ask() { # ADDRESS
	case $1 in
	*[!0-9]*) url="'http://localhost/', { unix_socket = '$1' }" ;;
	*) url="'http://127.0.0.1:$1/'" ;;
	esac
	run neap -e "local r = require('http.client').get($url)
		print(r and r.body) os.exit(0)"
}
answers() { # ADDRESS TEXT
	ask "$1"
	[ "$out" = "$2
" ]
}
says() { # HOST PORT TEXT
	run neap -e "local s = require('socket').tcp_connect('$1', '$2')
		print(s and s:read({ chunk = 100 })) os.exit(0)"
	[ "$out" = "$3
" ]
}
descriptors() {
	find "/proc/$(cat pid)/fd" -mindepth 1 | wc -l
}
rests_at() { # COUNT
	[ "$(descriptors)" -le "$1" ]
}
ends_manager() {
	code=0
	wait $manager || code=$?
	trap - EXIT
	err=$(cat server.err)
}

# By address, a unix socket's by another path; by name, several of one; a console. What
# nobody uses is told.
port=$(free_port)
mkdir folder
ln -s folder other
configuration 1 "'127.0.0.1:$port', 'unix:other/s'"
begin 2 "web=$port" files=folder/s admin="$PWD/admin" lines=lines "lines=@neap-$$" \
	spare=spare -- /bin/sh start.sh server.yaml
eventually answers "$port" 1
eventually answers folder/s 1
eventually says unix/ lines 'line 1'
run neap connect admin -e 'show workers'
code_is 0
eventually has_line server.err "the socket 'spare' (unix:spare), which was given"

# A reload that leaves one out, and one that takes it again.
configuration 2 "'127.0.0.1:$port'"
run neap reload admin
code_is 0
answers "$port" 2 || fail 'another version'
eventually has_line server.err "the socket 'files' (unix:folder/s), which was given"
configuration 3 "'127.0.0.1:$port', 'unix:folder/s'"
run neap reload admin
code_is 0
eventually answers folder/s 3
before=$(descriptors)
for i in 1 2 3 4 5; do
	run neap reload admin
	code_is 0
done
eventually rests_at $((before + 2))

# The next start serves at the same sockets, also who came when nobody served.
first=$(cat pid)
kill -s TERM "$first"
eventually sh -c "[ -s pid ] && [ \$(cat pid) != $first ]"
eventually answers "$port" 3
answers folder/s 3 || fail 'the unix socket is not what it was'
says unix/ lines 'line 3' || fail 'the lines are not what they were'
kill -s TERM "$(cat pid)"
ends_manager
code_is 0
for file in folder/s admin lines spare; do
	[ -S $file ] || fail "$file has been removed"
done
err_has_not 'leak'

# The one of all addresses that systemd makes of a mere port; by a script, too.
rm -f folder/s admin lines spare
cat > script.lua <<END
local httpd = require('http.server').new('*', $port)
httpd:route({ path = '/' }, function() return 'script' end)
httpd:start()
END
begin 1 "web=*$port" -- /bin/sh start.sh script.lua
eventually answers "$port" script
kill -s TERM "$(cat pid)"
ends_manager
code_is 0

# What cannot be taken, and a name that nobody has given.
begin 1 "datagram:web=$port" -- /bin/sh start.sh server.yaml
ends_manager
code_is 1
err_has "the inherited descriptor 3 ('web') is a socket for datagrams"
begin 1 "bound:web=$port" -- /bin/sh start.sh server.yaml
ends_manager
code_is 1
err_has 'that does not listen'
begin 1 "web=$port" -- /bin/sh start.sh server.yaml
ends_manager
code_is 1
err_has "no socket named 'lines' has been given"
# They were somebody else's.
run env LISTEN_PID=1 LISTEN_FDS=1 "$NEAP_BIN" -e 'print(os.getenv("LISTEN_FDS"))'
code_is 0
out_is nil
