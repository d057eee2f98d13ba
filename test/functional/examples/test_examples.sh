#!/bin/sh
# The examples do what they say, as they are: only where they listen is told them.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"
unset AUTH CHECK

port=$(free_port)
other=$(free_port)

# begin NAME: its server.
begin() {
	cp -r "$NEAP_SOURCE_DIR/doc/examples/$1" .
	run neap check "$1/server.yaml"
	code_is 0
	NEAP_LISTEN=127.0.0.1:$port AUTH=127.0.0.1:$other CHECK=127.0.0.1:$other
	export NEAP_LISTEN AUTH CHECK
	serve "$port" "$1/server.yaml"
	unset NEAP_LISTEN
}

# ask METHOD PATH [BODY [TOKEN]]: the status, a space, the body, into $said.
ask() {
	said=$("$NEAP_BIN" -e "local http = require('http.client')
		local r = assert(http.request('$1', 'http://127.0.0.1:$port$2', '${3-}',
			{ headers = { authorization = '${4-}' ~= '' and '${4-}' or nil } }))
		io.write(r.status, ' ', r.body or '', ' ', r.headers['x-hash'] or '')
		os.exit(0)")
}

said_is() {
	[ "$said" = "$1" ] || fail "answer wanted: $1, got: $said"
}

no_errors() {
	if grep ' [EC]> ' server.err > errors; then fail "$(cat errors)"; fi
}

begin my-hash
ask GET /some/path
hash=${said##* }
case $said in
"200 shard $((hash % 3))
 $hash") ;;
*) fail "not this answer: $said" ;;
esac
ask GET /some/path
[ "${said##* }" = "$hash" ] || fail 'the same hash wanted'
ask GET /another
[ "${said##* }" != "$hash" ] || fail 'another hash wanted'
no_errors
end_server

begin service
ask GET /items
said_is '200 {"items":[]}
 '
ask POST /items 'one thing'
said_is '201 {"id":1}
 '
ask POST /items another
ask DELETE /items/1
said_is '204  '
ask GET /items/2
case $said in
'200 {"id":2,"text":"another"}'* | '200 {"text":"another","id":2}'*) ;;
*) fail "not the item: $said" ;;
esac
ask GET /items/1
said_is '404 {"error":"there is no such item"}
 '
ask POST /items
said_is '400 {"error":"a text is wanted"}
 '
ask GET /else
said_is '404 404 Not Found
 '
no_errors
end_server

begin lines
run neap -e "local s = require('socket').tcp_connect('127.0.0.1', $port)
	for _, text in ipairs({ '', '2\n', '40.5\r\n', 'x\n', 'quit\n' }) do
		s:write(text)
		io.write(s:read('\n'))
	end
	print(s:read(1) == '')
	os.exit(0)"
out_is 'hello 127.0.0.1' 'sum 2' 'sum 42.5' 'what is "x"?' 'bye' true
no_errors
end_server

begin auth
ask GET /public
said_is '200 open to all
 '
ask GET /
said_is '401 who are you?
 '
for _ in 1 2; do
	ask GET / '' 'Bearer sesame'
	said_is '200 hello ali
 '
	ask GET / '' 'Bearer open'
	said_is '401 who are you?
 '
done
no_errors
end_server
# Nobody who could be asked.
sed -i '/^# Who is asked/,$d' auth/server.yaml
AUTH=127.0.0.1:$other NEAP_LISTEN=127.0.0.1:$port serve "$port" auth/server.yaml
ask GET / '' 'Bearer sesame'
said_is '403 403 Forbidden
 '
grep -q "action 'auth' in worker 1: .*auth.lua:[0-9]*: http://.*/check: " server.err ||
	fail "an error wanted: $(cat server.err)"
end_server

begin health
is_found() {
	ask GET /
	[ "$said" = "200 127.0.0.1:$other up
127.0.0.1:1 down
 " ]
}
eventually is_found
no_errors
end_server
sed -i '/^# What is checked/,$d' health/server.yaml
CHECK=127.0.0.1:$other NEAP_LISTEN=127.0.0.1:$port serve "$port" health/server.yaml
ask GET /
said_is '503 no server is there
 '
end_server

begin command
ask GET /
said_is '200 open
 '
connect() {
	run neap connect -e "$1" command/neap.sock
}
connect 'maintenance on "back at noon"'
code_is 0
out_has 'closed: back at noon'
ask GET /
said_is '503 back at noon
 '
connect 'maintenance off'
out_has 'open'
ask GET /
said_is '200 open
 '
connect 'maintenance perhaps'
out_has 'on, off or show is wanted'
connect 'help maintenance'
out_has 'turn requests away'
end_server
