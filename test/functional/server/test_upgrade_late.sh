#!/bin/sh
# Listeners that a script opens when the new process of an upgrade serves already, and the one
# before, which is stuck, still listens there: they have their address at once, and what the
# one before does at its end is not done to them.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

port=$(free_port) lines=$(free_port)
configuration() { # VERSION
	cat > server.yaml <<END
workers: 1
load_per_thread: {file: app.lua, args: ['$1']}
listeners:
- address: 'unix:s'
  rules:
  - {use-service: lua.open, if: path == /open}
  - {use-service: lua.stuck, if: path == /stuck}
  - {return: {body: '$1'}}
END
}
cat > app.lua <<'END'
local version = ...
local ffi = require('ffi')
ffi.cdef('int open(const char *, int); int close(int);')
local function text(applet, body)
	applet:start_response()
	applet:send(body)
end
core.register_service('open', 'http', function(applet)
	local http = require('http.server')
	local options = { handler = function() return version end }
	local ok, err = pcall(function()
		http.new('127.0.0.1', PORT, options):start()
		http.new('unix/:late', 0, options):start()
		assert(require('socket').tcp_server('127.0.0.1', LINES, function(s)
			s:write(version .. '\n')
		end))
	end)
	text(applet, ok and version or err)
end)
core.register_service('stuck', 'http', function(applet)
	io.open('is_stuck', 'w'):close()
	ffi.C.close(ffi.C.open('pipe', 0))
	text(applet, 'not any more')
end)
END
sed -i "s/PORT/$port/; s/LINES/$lines/" app.lua
mkfifo pipe
asks() { # URL SOCKET
	run neap -e "local r, err = require('http.client').get('$1', { unix_socket = $2 })
		print(r and r.body or err) os.exit(0)"
}
answers() { # PATH TEXT
	asks "http://a$1" "'s'"
	[ "$out" = "$2
" ]
}
says() { # VERSION
	run neap -e "print(require('socket').tcp_connect('127.0.0.1', $lines):read('\n'))
		os.exit(0)"
	[ "$out" = "$1

" ]
}
late_answers() { # VERSION
	for i in 1 2 3 4 5; do
		asks "http://127.0.0.1:$port/" nil
		[ "$out" = "$1
" ] || return 1
		says "$1" || return 1
	done
	asks 'http://a/' "'late'"
	[ "$out" = "$1
" ]
}
gone() {
	! kill -s 0 "$1" 2> /dev/null || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]
}

configuration 1
serve s server.yaml
answers /open 1 || fail 'the first one cannot open it'
late_answers 1 || fail 'the first one does not answer'
"$NEAP_BIN" -e "print(require('http.client').get('http://a/stuck',
	{ unix_socket = 's' }).body) os.exit(0)" > stuck.out 2>&1 &
stuck=$!
eventually [ -e is_stuck ]
configuration 2
before=$server
kill -s USR2 "$before"
eventually answers / 2
server=$(sed -n 's/.*starts, as process \([0-9]*\).*/\1/p' server.err)
trap 'kill -s KILL $before $server $stuck 2> /dev/null || true' EXIT
answers /open 2 || fail 'the second one cannot open it'
asks 'http://a/' "'late'"
out_is 2

# The one before goes on: whoever waits there is answered, too.
: > pipe
eventually gone "$before"
wait $stuck || fail "$(cat stuck.out)"
has_line stuck.out 'not any more' || fail "$(cat stuck.out)"
late_answers 2 || fail 'the second one does not answer'
kill -s TERM "$server"
eventually gone "$server"
server=
[ ! -e late ] && [ ! -e s ] || fail 'sockets are left'
if grep -q 'leak\|left open' server.err; then fail "$(cat server.err)"; fi
