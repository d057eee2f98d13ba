#!/bin/sh
# log_format: a line for each request and connection, whatever becomes of it, and what
# rules say of its level.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

mkdir -p public
head -c 300000 /dev/zero | tr '\0' x > public/large.txt
cat > shared.lua <<'END'
core.register_fetches('shared', function(txn) return 'shared ' .. tostring(txn.f:path()) end)
core.register_service('shared', 'http', function(applet)
	applet:add_header('x-by', 'shared')
	applet:start_response()
	applet:send('shared')
end)
core.register_service('lines', 'tcp', function(applet)
	applet:send('got ' .. applet:getline())
end)
END
cat > app.lua <<'END'
core.register_action('name', { 'http-req' }, function(txn)
	txn:set_var('txn.name', txn.sf:req_hdr('x-name'))
end)
core.register_action('quiet', { 'http-req' }, function(txn) txn:set_loglevel(core.silent) end)
core.register_fetches('own', function(txn) return 'own ' .. tostring(txn.f:path()) end)
core.register_fetches('broken', function(txn)
	if txn.f:path() == '/plain' then error('on purpose: no value') end
	return 'whole'
end)
core.register_service('stream', 'http', function(applet)
	applet:set_status(201)
	applet:start_response()
	for i = 1, 3 do applet:send(('y'):rep(i)) core.msleep(1) end
end)
core.register_service('fails', 'http', function() error('on purpose') end)
core.register_service('waits', 'http', function(applet)
	core.set_var('proc.waits', true)
	while core.get_var('proc.waits') do core.msleep(1) end
	applet:start_response()
end)
core.register_service('go', 'http', function(applet)
	core.set_var('proc.waits', nil)
	applet:start_response()
end)
core.register_service('there', 'http', function(applet)
	applet:start_response()
	applet:send(tostring(core.get_var('proc.waits')))
end)
core.register_service('lines', 'tcp', function(applet)
	applet:send(applet:get_var('txn.who') .. applet:getline())
end)
local Filter = {}
function Filter:new() return setmetatable({}, { __index = self }) end
function Filter:start_analyze(_, channel) filter.register_data_filter(self, channel) end
function Filter:tcp_payload(_, channel)
	if not channel:is_resp() then
		channel:set((channel:data():gsub('hello', 'hi')))
	elseif not channel:may_recv() then
		channel:append('bye')
	end
end
core.register_filter('short', Filter)
END
cat > server.yaml <<END
workers: 2
load: shared.lua
load_per_thread: app.lua
listeners:
  - name: web
    address: 'unix:$TMPDIR/s'
    options: {http2: true}
    static: {/files: ./public}
    rules:
      - action: lua.name
      - {action: lua.quiet, if: path == /quiet}
      - {set-log-level: silent, if: path == /silent}
      - {set-log-level: warn, if: path == /warn}
      - {log: 'told of %[path] and %[req.hdr(none)]', if: path == /warn or path == /silent or path == /log}
      - {set-path: /changed, if: path == /change}
      - {deny: 403, if: path == /deny}
      - {return: {status: 200, body: hello, headers: {x-by: rule}}, unless: path begins /s or path begins /f}
      - {use-service: lua.stream, if: path == /stream}
      - {use-service: lua.shared, if: path == /shared}
      - {use-service: lua.fails, if: path == /fails}
      - {use-service: lua.waits, if: path == /s/waits}
      - {use-service: lua.go, if: path == /s/go}
      - {use-service: lua.there, if: path == /s/there}
    response_rules:
      - {add-header: {x-more: yes}}
    log_format: '[%f] "%r" %ST %U %B "%[req.hdr(x-name)]" %[var(txn.name)] %[res.hdr(x-by)] %[res.hdr(x-more)] %[lua.own] %[lua.shared] %[lua.broken] %[src] %[txn.timer.total,mul(0)]%[req.timer.hdr,mul(0)]%[res.timer.hdr,mul(0)] %[request_date,mul(0)]'
  - name: tcp
    address: 'unix:$TMPDIR/t'
    protocol: tcp
    rules:
      - {set-var: {txn.who: str(you)}}
      - {use-service: lua.lines}
    log_format: '[%f] %U %B %[var(txn.who)] %[txn.timer.total,mul(0)]'
  - name: other
    address: 'unix:$TMPDIR/o'
    protocol: tcp
    rules:
      - {use-service: lua.both}
    log_format: '[%f] %U %B'
  - name: filtered
    address: 'unix:$TMPDIR/f'
    protocol: tcp
    rules:
      - {set-var: {txn.who: str(you)}}
      - {filter: lua.short}
      - {use-service: lua.lines}
    log_format: '[%f] %U %B'
  - name: both
    address: 'unix:$TMPDIR/b'
    protocol: tcp
    rules:
      - {filter: lua.short}
      - {use-service: lua.both}
    log_format: '[%f] %U %B'
END
sed -i 's/lua.lines/lua.own_lines/' server.yaml
sed -i "s/register_service('lines', 'tcp'/register_service('own_lines', 'tcp'/" app.lua
sed -i "s/register_service('lines', 'tcp'/register_service('both', 'tcp'/" shared.lua
line='server server.yaml'
"$NEAP_BIN" server.yaml > out 2> err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -S "$TMPDIR/b"

cat > ask.lua <<'END'
local fiber, raw = require('fiber'), require('raw')
local folder = os.getenv('TMPDIR')
local where = folder .. '/s'
local function ask(path, options) return raw.request(where, path, options) end
ask('/plain?a=b', { method = 'POST', headers = 'X-Name: me\r\n', body = 'abc' })
ask('/change')
ask('/deny')
ask('/stream')
ask('/shared')
ask('/fails')
ask('/files/large.txt')
ask('/files/none.txt')
ask('/quiet')
ask('/silent')
ask('/warn')
ask('/log')
ask('/plain', { headers = 'X-Name: a\t"b\\#\r\n' })
ask('/plain', { method = 'HEAD' })
-- Who goes before there is an answer.
local peer = raw.connect(where)
peer:send('GET /s/waits HTTP/1.1\r\nHost: a\r\n\r\n')
raw.until_true(function() return ask('/s/there').body == 'true' end)
peer:close()
ask('/s/go')
-- What is no request.
peer = raw.connect(where)
peer:send('NONSENSE\r\n\r\n')
peer:read()
peer:close()
for _, name in ipairs({ 't', 'o', 'f', 'b' }) do
	peer = raw.connect(folder .. '/' .. name)
	peer:send('hello\n')
	peer:read()
	peer:close()
end
os.exit(0)
END
run neap ask.lua
code_is 0
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
code_is 0

# A line as the format has it, once.
logged() { # TEXT
	[ "$(grep -cF -- "$1" err)" = 1 ] || { cat err; fail "once wanted: $1"; }
}
unlogged() { # TEXT
	! grep -F -- "$1" err || fail "not wanted: $1"
}
logged 'I> [web] "POST /plain?a=b HTTP/1.1" 200 3 5 "me" me rule yes own /plain shared /plain - - 000 0'
logged 'own /changed shared /changed whole - 000 0'
has_line err 'on purpose: no value' || fail 'the error of a fetch is wanted'
logged '"GET /changed HTTP/1.1" 200 0 5'
logged '"GET /deny HTTP/1.1" 403 0 14 "-" - - yes own /deny'
logged '"GET /stream HTTP/1.1" 201 0 6 "-" - - yes'
logged '"GET /shared HTTP/1.1" 200 0 6 "-" - shared yes'
logged '"GET /fails HTTP/1.1" 500 0 26 "-" - - yes'
logged '"GET /files/large.txt HTTP/1.1" 200 0 300000 "-" - - yes'
logged '"GET /files/none.txt HTTP/1.1" 404 0 '
unlogged '/quiet'
unlogged '/silent'
logged 'W> told of /warn and -'
logged 'I> told of /log and -'
logged 'W> [web] "GET /warn HTTP/1.1" 200'
logged '"GET /plain HTTP/1.1" 200 0 5 "a#09#22b#5C#23" a#09#22b#5C#23 rule'
logged '"HEAD /plain HTTP/1.1" 200 0 0 "-"'
logged '"GET /s/waits HTTP/1.1" '
logged '"<BADREQ>'
logged '[tcp] 6 9 you 0'
logged '[other] 6 10'
# What filters take away and add: the line has what has come and gone.
logged '[filtered] 6 9'
logged '[both] 6 10'
