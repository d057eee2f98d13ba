# Sourced behind cli.sh by tests of `neap server.yaml`: starts it, waits until it
# serves, ends it. Its errors are in server.err.
unset PORT NEAP_LISTEN NEAP_WORKERS

server=

# A free port: a configuration must name one. It is below those that the system gives to
# clients, or one of them could have it before the server does.
free_port() {
	"$NEAP_BIN" -e "local s, port = require('socket')('AF_INET', 'SOCK_STREAM', 'tcp')
		local random = io.open('/dev/urandom', 'rb')
		repeat
			local a, b = random:read(2):byte(1, 2)
			port = 10000 + (a * 256 + b) % 22000
		until s:bind('127.0.0.1', port)
		print(port) os.exit(0)"
}

# Whether something listens at an address: a port, or the path of a socket.
listens() {
	kill -s 0 "$server" 2> /dev/null ||
		fail "the server has ended: $(cat server.err)"
	"$NEAP_BIN" -e "local socket, at = require('socket'), '$1'
		local s = at:find('^%d+\$') and socket.tcp_connect('127.0.0.1', at)
			or not at:find('^%d+\$') and socket.tcp_connect('unix/', at)
		os.exit(s and 0 or 1)"
}

# serve ADDRESS ARGUMENT..: in the background, until it listens there.
serve() {
	at=$1
	shift
	line="neap $*"
	"$NEAP_BIN" "$@" > server.out 2> server.err &
	server=$!
	trap '[ -z "$server" ] || kill -s KILL "$server" 2> /dev/null || :' EXIT
	eventually listens "$at"
}

# end_server [CODE]: asked to, it ends well.
end_server() {
	kill -s TERM "$server"
	code=0
	wait "$server" || code=$?
	server=
	[ "$code" = "${1:-0}" ] || fail "ended with $code: $(cat server.err)"
}
