#!/bin/sh
# A function of the shared state that stands in C code, called by a rule: log and SIGQUIT tell
# that the shared state is stuck, and where; the workers' own functions go on, so does a
# reload, and who waits for it is served when it comes back.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > s.lua <<'END'
local ffi = require('ffi')
ffi.cdef('int open(const char *, int); int close(int);')
local function stuck_here(name)
	local fd = ffi.C.open(name, 0) -- until somebody writes there
	return ffi.C.close(fd)
end
core.register_service('stuck', 'http', function(applet)
	local code = stuck_here('door')
	applet:start_response()
	applet:send('freed ' .. code)
end)
core.register_action('shared', { 'http-req' }, function(txn) txn:set_var('txn.s', 'seen') end)
END
cat > p.lua <<'END'
core.register_service('own', 'http', function(applet)
	applet:start_response()
	applet:send('own ' .. tostring(applet:get_var('txn.s')))
end)
END
cat > server.yaml <<'END'
workers: 2
load: s.lua
load_per_thread: p.lua
listeners:
- address: unix:web.sock
  rules:
  - {use-service: lua.stuck, if: path == /stuck}
  - {action: lua.shared, if: path == /shared}
  - {use-service: lua.own}
END
get() { # PATH
	"$NEAP_BIN" -e "local r, e = require('http.client').get('http://a$1', { unix_socket = 'web.sock' })
		print(r and r.body or e) os.exit(0)"
}
is() { # PATH ANSWER
	[ "$(get "$1")" = "$2" ] || fail "$1: $2 wanted"
}
places() { # COUNT
	[ "$(grep -c "state: worker 0 (the shared state) of generation 1: fiber .* in .*called at .*s.lua:4 < .*s.lua:8" \
		server.err)" = "$1" ]
}

mkfifo door
# Workers are looked after as often as a watchdog wants it.
NOTIFY_SOCKET=@nobody WATCHDOG_USEC=400000 serve web.sock server.yaml
is /shared 'own seen'
get /stuck > stuck.out &
stuck=$!
eventually has_line server.err "worker 0 (the shared state) is stuck"
eventually places 1
is / 'own nil'
get /shared > waits.out &
waits=$!
kill -s QUIT "$server"
eventually places 2
is / 'own nil'
kill -s HUP "$server"
eventually has_line server.err 'generation 2 serves'
eventually is /shared 'own seen'
: > door
wait $stuck
[ "$(cat stuck.out)" = 'freed 0' ] || fail "not freed: $(cat stuck.out)"
wait $waits
[ "$(cat waits.out)" = 'own seen' ] || fail "not served: $(cat waits.out)"
eventually has_line server.err 'generation 1 has ended'
end_server
