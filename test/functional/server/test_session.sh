#!/bin/sh
# Variables of a connection, sess.NAME: the requests of one connection have them in
# common, whatever state a function runs in; they are limited, and gone with it.
#
# test: timeout 60, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > functions.lua <<'END'
local kind = ...
core.register_action(kind .. '-count', { 'http-req', 'tcp-req' }, function(txn)
	txn:set_var('sess.count', (txn:get_var('sess.count') or 0) + 1)
end)
core.register_action(kind .. '-drop', { 'http-req' }, function(txn)
	txn:set_var('txn.told', tostring(txn:unset_var('sess.count')) ..
		tostring(txn:unset_var('sess.none')))
end)
core.register_action(kind .. '-fill', { 'http-req' }, function(txn)
	local n, why = 0
	while n < 1000 do
		local ok, err = pcall(txn.set_var, txn, 'sess.n' .. n, n)
		if not ok then why = err break end
		n = n + 1
	end
	local ok, large = pcall(txn.set_var, txn, 'sess.n0', ('x'):rep(65536))
	txn:set_var('txn.told', ('%d %s %s'):format(n, tostring(why):match('a connection has[^/]*'),
		tostring(not ok and tostring(large):match('65536'))))
end)
core.register_action(kind .. '-wait', { 'http-req' }, function(txn)
	txn:set_var('sess.count', 1)
	core.set_var('proc.waits', true)
	while core.get_var('proc.waits') do core.msleep(1) end
	core.set_var('proc.found', txn:get_var('sess.count'))
end)
core.register_service(kind .. '-tcp', 'tcp', function(applet)
	applet:set_var('sess.name', (applet:getline():gsub('\n', '')))
	applet:send(('%s %d'):format(applet:get_var('sess.name'), applet:get_var('sess.count')))
end)
if kind == 'p' then
	core.register_service('there', 'http', function(applet)
		local requests, _, sessions = require('neap.states').counts()
		core.set_var('proc.waits', applet.qs ~= 'go' and core.get_var('proc.waits') or nil)
		applet:start_response()
		applet:send(('%d %d %s %s'):format(requests, sessions, tostring(core.get_var('proc.waits')),
			tostring(core.get_var('proc.found'))))
	end)
end
END
sh "$NEAP_SOURCE_DIR/test/lib/certs.sh" certs
cat > server.yaml <<'END'
workers: 2
load: {file: functions.lua, args: [s]}
load_per_thread: {file: functions.lua, args: [p]}
listeners:
- name: web
  address: unix:web.sock
  rules:
  - {use-service: lua.there, if: path == /there}
  - {set-var: {sess.rule: path, txn.once: str(once)}, if: path == /set}
  - {unset-var: sess.rule, if: path == /unset}
  - {action: lua.s-count, if: 'path in (/s, /both)'}
  - {action: lua.p-count, if: 'path in (/p, /both)'}
  - {action: lua.s-drop, if: path == /s/drop}
  - {action: lua.p-drop, if: path == /p/drop}
  - {action: lua.s-fill, if: path == /s/fill}
  - {action: lua.p-fill, if: path == /p/fill}
  - {action: lua.s-wait, if: path == /s/wait}
  - {action: lua.p-wait, if: path == /p/wait}
  - return: {body: '%[var(sess.rule)] %[var(txn.once)] %[var(sess.count)] %[var(txn.told)].'}
  log_format: '%HP told %[var(sess.rule)] %[var(sess.count)]'
- address: unix:tls.sock
  tls: {cert_file: certs/server.pem, key_file: certs/server.key}
  options: {http2: true}
  rules:
  - {set-var: {sess.rule: path, txn.once: str(once)}, if: path == /set}
  - {action: lua.s-count, if: path != /set}
  - {action: lua.p-count, if: path == /both}
  - return: {body: '%[var(sess.rule)] %[var(txn.once)] %[var(sess.count)].'}
- name: lines
  address: unix:s.sock
  protocol: tcp
  rules: [{action: lua.p-count}, {action: lua.s-count}, {use-service: lua.s-tcp}]
  log_format: 'lines told %[var(sess.name)] %[var(sess.count)]'
- address: unix:p.sock
  protocol: tcp
  rules: [{action: lua.p-count}, {use-service: lua.p-tcp}]
  log_format: 'own told %[var(sess.name)] %[var(sess.count)]'
END
serve p.sock server.yaml

cat > ask.lua <<'END'
local raw, tap = require('raw'), require('tap')
local peer
local function ask(path, from)
	from = from or peer
	local request = 'GET ' .. path .. ' HTTP/1.1\r\nHost: a\r\n\r\n'
	from:send(request)
	from.text = ''
	local head = from:read('\r\n\r\n')
	local size = tonumber(head:lower():match('content%-length: (%d+)'))
	local body = head:match('\r\n\r\n(.*)$')
	while #body < size do
		from.text = ''
		body = body .. from:read('.')
	end
	return body
end
local function there() return raw.request('web.sock', '/there').body end
local function sessions() return (there():match('^%d+ (%d+)')) end

-- Of one connection, and of no other.
peer = raw.connect('web.sock')
tap.is(ask('/'), '   .', 'nothing')
tap.is(sessions(), '0', 'who keeps nothing costs nothing')
tap.is(ask('/set'), '/set once  .', 'set by a rule')
tap.is(ask('/'), '/set   .', 'there for the next request, txn. is not')
for i, path in ipairs({ '/p', '/s', '/p', '/both', '/s' }) do
	local n = i < 4 and i or i + 1
	tap.is(ask(path), ('/set  %d .'):format(n), path)
end
tap.is(raw.request('web.sock', '/').body, '   .', 'another connection')
tap.is(sessions(), '1', 'that of one connection')
tap.is(ask('/unset'), '  6 .', 'removed by a rule')
tap.is(ask('/s/drop'), '   truefalse.', 'by a function')
tap.is(ask('/p'), '  1 .', 'and again')
tap.is(ask('/p/drop'), '   truefalse.', 'by the other')
peer:close()

-- Limits.
for _, kind in ipairs({ 's', 'p' }) do
	peer = raw.connect('web.sock')
	tap.is(ask('/' .. kind .. '/fill'),
		'   64 a connection has at most 64 variables with 65536 bytes in all 65536.',
		kind .. ': limits')
	tap.is(ask('/set'):sub(1, 8), 'Internal', 'rules have them, too')
	peer:close()
end
raw.until_true(function() return sessions() == '0' end)
tap.pass('gone with its connection')

-- Many, which come and go.
local peers = {}
for i = 1, 50 do
	peers[i] = raw.connect('web.sock')
	tap.ok(ask(i % 2 == 0 and '/p' or '/s', peers[i]) == '  1 .', 'of its own')
end
tap.is(sessions(), '50', 'as many as connections')
for i = 1, 50 do peers[i]:close() end
raw.until_true(function() return there():find('^0 0 ') end)
tap.pass('all of them gone')

-- Who goes in the middle of a request.
for _, kind in ipairs({ 's', 'p' }) do
	peer = raw.connect('web.sock')
	peer:send('GET /' .. kind .. '/wait HTTP/1.1\r\nHost: a\r\n\r\n')
	raw.until_true(function() return there():find(' true ') end)
	peer:close()
	raw.request('web.sock', '/there?go')
	raw.until_true(function() return there():find('^0 0 nil 1') end)
	tap.pass(kind .. ': it has them to its end')
end

for name, n in pairs({ s = 2, p = 1 }) do
	peer = raw.connect(name .. '.sock')
	peer:send('me\n')
	tap.is(peer:read(), 'me ' .. n, name .. ': a connection of TCP')
	peer:close()
end
raw.until_true(function() return there():find('^0 0 ') end)
tap.pass('gone, too')
tap.done()
END
export LUA_PATH="$NEAP_SOURCE_DIR/test/lib/?.lua;;"
"$NEAP_BIN" ask.lua > said && ! grep -A3 '^not ok' said ||
	fail "not as it should be: $(cat server.err)"
# Two requests and more of one connection of HTTP/2.
run curl -sS --cacert certs/ca.pem --unix-socket tls.sock -w '%{http_version} ' \
	https://localhost/set https://localhost/both https://localhost/s
code_is 0
[ "$out" = '/set once .2 /set  2.2 /set  3.2 ' ] || fail 'not these answers'
end_server
for text in '/set told /set ' '/p told /set 1' '/both told /set 5' '/ told - -' \
	'lines told me 2' 'own told me 1'; do
	has_line server.err "$text" || fail "a line wanted: $text: $(cat server.err)"
done
