#!/bin/sh
# A listener of TCP: its rules, services of both kinds of state, how connections end, and
# what it refuses at the start.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

cat > common.lua <<'END'
local total = 0
core.register_service('sum', 'tcp', function(applet)
	for line in applet.getline, applet do
		if line == '' then break end
		total = total + tonumber(line)
		applet:send(total .. '\n')
	end
end)
END
cat > app.lua <<'END'
core.register_action('who', { 'tcp-req' }, function(txn)
	txn:set_var('txn.who', 'you')
end)
core.register_action('fails', { 'tcp-req' }, function() error('on purpose') end)
core.register_fetches('mine', function(txn) return txn:get_var('txn.who') end)
core.register_service('echo', 'tcp', function(applet)
	applet:send(applet:get_var('txn.who') .. ' said ' .. applet:receive())
end)
core.register_service('breaks', 'tcp', function(applet)
	applet:send(applet:receive())
	error('broken on purpose')
end)
END
listener() { # NAME RULES
	echo "  - name: $1"
	echo "    address: 'unix:$TMPDIR/$1'"
	echo '    protocol: tcp'
	echo "    rules: [$2]"
}
{
	echo 'workers: 2'
	echo 'load: common.lua'
	echo 'load_per_thread: app.lua'
	echo 'listeners:'
	listener echo '{action: lua.who}, {set-var: {txn.x: lua.mine}}, {use-service: lua.echo, if: "var(txn.x) == you"}'
	listener sum '{use-service: lua.sum}'
	listener denied '{deny: {}}, {use-service: lua.echo}'
	listener none ''
	listener closed '{action: lua.fails, on_error: deny}, {use-service: lua.sum}'
	listener open '{action: lua.fails}, {use-service: lua.sum}'
	listener breaks '{use-service: lua.breaks}'
	listener few '{use-service: lua.sum}'
	echo '    options: {max_connections: 1, backlog: 10}'
} > server.yaml
line='server server.yaml'
"$NEAP_BIN" server.yaml > out 2> err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -S "$TMPDIR/few"

cat > ask.lua <<'END'
local socket = require('socket')
for i = 1, #arg, 2 do
	local s = assert(socket.tcp_connect('unix/', os.getenv('TMPDIR') .. '/' .. arg[i]))
	s:write(arg[i + 1])
	s:shutdown(1)
	print(arg[i], ((s:read(1e6, 30) or ''):gsub('\n', ' ')))
	s:close()
end
os.exit(0)
END
n='
'
run neap ask.lua echo "abc" sum "1${n}2$n" sum "4$n" denied x none x closed "1$n" \
	open "10$n" breaks before few "100$n" few "1000$n"
code_is 0
tab=$(printf '\t')
[ "$out" = "echo${tab}you said abc
sum${tab}1 3 
sum${tab}7 
denied${tab}
none${tab}
closed${tab}
open${tab}17 
breaks${tab}before
few${tab}117 
few${tab}1117 
" ] || fail 'not these answers'
# Who is in is served to its end, or to the end of its time.
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
code_is 0
[ "$(grep -c 'on purpose' err)" = 3 ] || fail 'three errors wanted, told once each'
[ ! -e "$TMPDIR/echo" ] || fail 'no socket left'

# What cannot be is refused before anything listens.
cat > server.yaml <<END
listeners:
  - address: 'unix:$TMPDIR/s'
    protocol: tcp
    rules:
      - set-header: {a: b}
  - address: 'unix:$TMPDIR/t'
    protocol: tcp
    options: {max_body_size: 1K}
  - address: 'unix:$TMPDIR/u'
    protocol: tcp
    static: {/: .}
END
run neap server.yaml
code_is 1
err_is "server.yaml:5:21: 'set-header' is for listeners of http
server.yaml:8:30: 'max_body_size' is for listeners of http
server.yaml:11:13: 'static' is for listeners of http"
