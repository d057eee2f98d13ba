#!/bin/sh
# What peers send, where rules put it: no answer is split, no file is served that is in no
# folder, no pattern keeps a worker, nothing grows without end.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

mkdir -p public/sub
echo secret > secret.txt
echo public > public/a.txt
ln -s ../secret.txt public/link.txt
cat > app.lua <<'END'
local function x(txn) return txn.c:url_dec(txn.f:url_param('x')) end
core.register_action('header', { 'http-req' }, function(txn) txn.http:req_set_header('x', x(txn)) end)
core.register_action('done', { 'http-req' }, function(txn)
	txn:done({ status = 200, headers = { x = { x(txn) } }, body = 'done' })
end)
core.register_action('much', { 'http-req' }, function(txn)
	for i = 1, tonumber(txn.f:url_param('n')) do txn:set_var('txn.v' .. i, ('v'):rep(1000)) end
end)
core.register_action('long', { 'http-req' }, function(txn)
	txn:set_var('txn.' .. ('n'):rep(tonumber(txn.f:url_param('n'))), true)
end)
core.register_service('applet', 'http', function(applet)
	applet:add_header('x', applet.c:url_dec(applet.f:url_param('x')))
	applet:start_response()
end)
core.register_service('lines', 'http', function(applet)
	local n = 0
	for line in applet.getline, applet do
		if line == '' then break end
		n = n + 1
	end
	applet:start_response()
	applet:send(n .. ' lines\n')
end)
local Pass = { new = function(class) return setmetatable({}, { __index = class }) end }
function Pass:start_analyze(txn, chn) filter.register_data_filter(self, chn) end
function Pass:http_payload() end
core.register_filter('pass', Pass)
END
cat > server.yaml <<END
load_per_thread: app.lua
listeners:
- address: 'unix:$TMPDIR/s'
  static: {/files: public}
  rules:
  - {set-header: {x: '%[url_param(x),url_dec]'}, if: path == /set}
  - {add-header: {x: '%[url_param(x),url_dec]'}, if: path == /add}
  - {redirect: '%[url_param(x),url_dec]', if: path == /redirect}
  - {return: {status: 200, headers: {x: '%[url_param(x),url_dec]'}}, if: path == /return}
  - {deny: {status: 403, headers: {x: '%[url_param(x),url_dec]'}}, if: path == /deny}
  - {set-method: '%[url_param(x),url_dec]', if: path == /method}
  - {set-path: '%[url_param(x),url_dec]', if: path == /path}
  - {set-query: '%[url_param(x),url_dec]', if: path == /query}
  - {set-uri: '%[url_param(x),url_dec]', if: path == /uri}
  - {action: lua.header, on_error: deny, if: path == /action}
  - {action: lua.done, on_error: deny, if: path == /done}
  - {use-service: lua.applet, if: path == /applet}
  - {log: 'told: %[url_param(x),url_dec]', if: path == /log}
  - {return: {body: "%[str(x),regsub(x,a)]"}, if: path == /log}
  - {action: lua.much, on_error: deny, if: path == /much}
  - {action: lua.long, on_error: deny, if: path == /long}
  - {return: {body: 'as wanted'}, if: path == /much or path == /long}
  - {return: {body: 'match'}, if: "path == /pattern and url_param(x) matches '^(a+)+\$'"}
  - {filter: lua.pass, if: path == /lines}
  - {use-service: lua.lines, if: path == /lines}
  - {return: {body: 'by x'}, unless: path begins /files}
  response_rules:
  - {set-header: {x-y: '%[url_param(y),url_dec]'}, if: url_param(y) -m found}
END
# A million lines are much on a busy machine.
echo 'limits: {service: {total: 60s, burst: 60s}, filter: {total: 60s, burst: 60s}}' >> server.yaml
sed -i 's/if: url_param(y) -m found/if: "{ url_param(y) -m found }"/' server.yaml
serve "$TMPDIR/s" server.yaml

ask() { # TARGET OPTION..
	target=$1
	shift
	run curl -s -i -m 60 --path-as-is --unix-socket "$TMPDIR/s" "$@" "http://h$target"
}
split='a%0d%0aInjected:%20yes'
for path in set add redirect return deny method path query uri action done applet; do
	ask "/$path?x=$split"
	case $out in *[Ii]njected:*) fail "/$path is split" ;; esac
	case $out in 'HTTP/1.1 500'* | 'HTTP/1.1 403'*) ;; *) fail "/$path: 500 or 403 wanted" ;; esac
	ask "/$path?x=/b"
	case $out in 'HTTP/1.1 500'*) fail "/$path without it is well" ;; esac
done
ask "/return?x=a&y=$split"
case $out in *[Ii]njected:*) fail 'response rules are split' ;; 'HTTP/1.1 500'*) ;; *) fail '500 wanted' ;; esac
has_line server.err "server.yaml:6:18: header field 'x': the value has a control character" || fail 'no place told'
ask "/log?x=one%0d%0atwo"
has_line server.err 'told: one#0D#0Atwo' || fail 'a line of the log is split'

for path in ..%2fsecret.txt ../secret.txt %2e%2e/secret.txt sub/..%2f..%2fsecret.txt ..%5csecret.txt \
	link.txt a.txt%00.html /../../secret.txt; do
	ask "/files/$path"
	case $out in *secret*) fail "/files/$path is served" ;; 'HTTP/1.1 40'*) ;; *) fail '40x wanted' ;; esac
	ask "/path?x=/files/$path"
	case $out in *secret*) fail "/files/$path is served by another path" ;; esac
done
ask '/path?x=/files/a.txt'
out_has public

ask "/pattern?x=$(printf '%064d' 0 | tr 0 a)b"
out_has 'by x'
ask '/much?n=200'
out_has 'as wanted'
ask '/much?n=100000'
out_has 'HTTP/1.1 403'
ask '/long?n=200'
out_has 'as wanted'
ask '/long?n=300'
out_has 'HTTP/1.1 403'

# Many short lines in one piece.
yes '' | head -c 1000000 > lines
ask /lines --data-binary @lines
out_has '1000000 lines'
end_server
