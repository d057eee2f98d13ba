#!/bin/sh
# A listener: its rules in their order, what answers when none does, static folders, and
# what it refuses at the start.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

mkdir -p public
echo 'a file' > public/a.txt
cat > app.lua <<'END'
core.register_action('seen', { 'http-req' }, function(txn)
	txn:set_var('txn.seen', txn.f:path())
end)
core.register_action('fails', { 'http-req' }, function() error('on purpose') end)
core.register_service('hello', 'http', function(applet)
	applet:add_header('content-type', 'text/plain')
	applet:start_response()
	applet:send('hello ' .. applet:get_var('txn.seen') .. '\n')
end)
-- What would end the status line, or is no regular expression.
core.register_action('wrong', { 'http-req' }, function(txn)
	local reply = txn:reply()
	local ok = pcall(reply.set_status, reply, 200, 'a\r\nx-b: c')
		or pcall(reply.set_status, reply, 200, ('a'):rep(257))
		or pcall(txn.http.req_rep_value, txn.http, 'host', '(', '')
	txn:done({ body = tostring(ok), reason = ('a'):rep(256) })
end)
END
cat > server.yaml <<END
load_per_thread: app.lua
listeners:
  - address: 'unix:$TMPDIR/s'
    static: {/assets: ./public}
    rules:
      - action: lua.seen
      - {action: lua.fails, on_error: deny, if: path == /closed}
      - {action: lua.fails, if: path == /open}
      - {deny: 403, if: path begins /private}
      - {set-path: /assets/a.txt, if: path == /moved}
      - {return: {file: ./public/a.txt}, if: path == /file}
      - {return: {status: 200, body: 'for %[req.hdr(host)]'}, if: path == /host}
      - {action: lua.wrong, if: path == /wrong}
      - {return: 299, if: path == /short}
      - {redirect: /elsewhere, if: path == /away}
      - {use-service: lua.hello, unless: path begins /assets}
    response_rules:
      - set-header: {x-seen: '%[var(txn.seen)]'}
END
line='server server.yaml'
"$NEAP_BIN" server.yaml > out 2> err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -S "$TMPDIR/s"

cat > ask.lua <<'END'
local http = require('http.client').new()
for _, target in ipairs(arg) do
	local r = http:get('http://a.example' .. target,
		{ unix_socket = os.getenv('TMPDIR') .. '/s', follow_location = false })
	print(target, r.status, (r.body:gsub('\n$', '')), r.headers['x-seen'])
end
os.exit(0)
END
# A file of a folder is read alone; one that a rule names may be the answer to anything.
for asked in 'POST /assets/a.txt 405' 'DELETE /assets/b.txt 405' 'POST /file 200'; do
	# shellcheck disable=SC2086
	set -- $asked
	run curl -s -m 10 -o answer -D head -X "$1" -w '%{http_code}\n' --unix-socket "$TMPDIR/s" "http://h$2"
	out_is "$3"
	[ "$3" = 200 ] || grep -qi '^allow: GET, HEAD' head || fail 'what is allowed?'
done
run neap ask.lua / /closed /open /private/x /host /assets/a.txt /assets/b.txt /moved /file /wrong /short /away
code_is 0
tab=$(printf '\t')
[ "$out" = "/${tab}200${tab}hello /${tab}/
/closed${tab}403${tab}403 Forbidden${tab}/closed
/open${tab}200${tab}hello /open${tab}/open
/private/x${tab}403${tab}403 Forbidden${tab}/private/x
/host${tab}200${tab}for a.example${tab}/host
/assets/a.txt${tab}200${tab}a file${tab}/assets/a.txt
/assets/b.txt${tab}404${tab}Not Found${tab}/assets/b.txt
/moved${tab}200${tab}a file${tab}/moved
/file${tab}200${tab}a file${tab}/file
/wrong${tab}200${tab}false${tab}/wrong
/short${tab}299${tab}${tab}/short
/away${tab}302${tab}302 Found${tab}/away
" ] || fail 'not these answers'
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
code_is 0
[ "$(grep -c 'on purpose' err)" = 2 ] || fail 'two errors wanted, told once each'

