#!/bin/sh
# What becomes of a request when a rule fails: its condition, a text, an argument. Each
# kind of rule does what on_error says, and without it what its kind does; a failure is
# told once, with the place of the rule.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

mkdir -p public
echo 'a file' > public/a.txt
cat > functions.lua <<'END'
local kind = ...
core.register_fetches(kind .. '-bad', function() error('on purpose') end)
core.register_fetches(kind .. '-slow', function() while true do end end)
core.register_fetches(kind .. '-hog', function() return ('x'):rep(1e9) .. 'y' end)
core.register_converters(kind .. '-bad', function() error('on purpose') end)
core.register_action(kind .. '-bad', { 'http-req', 'http-res' }, function() error('on purpose') end)
core.register_action(kind .. '-take', { 'http-req' }, function(txn, text)
	txn:set_var('txn.b', ('<%s>'):format(text or ''))
end)
core.register_service(kind .. '-tell', 'http', function(applet)
	applet:start_response()
	core.msleep(1)
	applet:send('a secret')
end)
core.register_service(kind .. '-tcp', 'tcp', function(applet) applet:send('hello') end)
local Pass = { new = function(class) return setmetatable({}, { __index = class }) end }
core.register_filter(kind .. '-pass', Pass, function(flt) return flt end)
END
rule() { # PATH RULE
	echo "  - {if: \"$1\", $2}"
}
# A condition of that path which fails.
fails() { # PATH FUNCTION
	echo "path == /$1 and lua.$2"
}
each() { # NAME FUNCTION RULE: the rule with each on_error
	rule "$(fails "$1" "$2")" "$3"
	rule "$(fails "$1/on" "$2")" "on_error: continue, $3"
	rule "$(fails "$1/deny" "$2")" "on_error: deny, $3"
}
text() { # NAME RULE: that fails by itself
	rule "path == /$1" "$2"
	rule "path == /$1/on" "on_error: continue, $2"
	rule "path == /$1/deny" "on_error: deny, $2"
}
configuration() {
	cat <<-YAML
	workers: 1
	load: {file: functions.lua, args: [s]}
	load_per_thread: {file: functions.lua, args: [p]}
	limits:
	  memory: 64M
	  fetch: {burst: 50ms, total: 130ms}
	listeners:
	- address: unix:web.sock
	  rules:
	YAML
	for k in s p; do
		for f in bad slow hog; do
			each $k/$f $k-$f 'deny: 429'
		done
		rule "path == /$k/convert and path,lua.$k-bad == x" 'deny: 429'
		each $k/redirect $k-bad 'redirect: {location: /}'
		each $k/return $k-bad 'return: {body: granted}'
		each $k/service $k-bad "use-service: lua.$k-tell"
		each $k/static $k-bad 'static: ./public'
		each $k/stop $k-bad 'stop: true'
		each $k/filter $k-bad "filter: lua.$k-pass"
		each $k/set $k-bad 'set-header: {x-a: set}'
		each $k/var $k-bad 'set-var: {txn.a: str(set)}'
		each $k/action $k-bad "action: lua.$k-take"
		each $k/log $k-bad 'log: never told'
		cat <<-YAML
		  - {deny: 429, unless: path != /$k/unless or lua.$k-bad}
		  - {return: {body: granted}, unless: path != /$k/grant or lua.$k-bad}
		  - {set-header: {x-a: set}, unless: path != /$k/unset or lua.$k-bad}
		YAML
		text $k/t/redirect "redirect: {location: '/%[lua.$k-bad]'}"
		text $k/t/return "return: {body: 'of %[lua.$k-bad]'}"
		text $k/t/deny "deny: {status: 429, headers: {x-why: '%[lua.$k-bad]'}}"
		text $k/t/service "use-service: lua.$k-tell, args: ['%[lua.$k-bad]']"
		text $k/t/filter "filter: lua.$k-pass, args: ['%[lua.$k-bad]']"
		text $k/t/set "set-header: {x-a: first, x-b: '%[lua.$k-bad]'}"
		text $k/t/convert "set-header: {x-b: '%[path,lua.$k-bad]'}"
		text $k/t/var "set-var: {txn.a: str(first), txn.b: lua.$k-bad}"
		text $k/t/action "action: lua.$k-take, args: ['%[lua.$k-bad]']"
		text $k/f/action "action: lua.$k-bad"
	done
	text native "set-path: '%[req.hdr(none)]'"
	cat <<-YAML
	  - {use-service: lua.p-tell, if: path begins /back/stream}
	  - {return: {file: ./public/a.txt}, if: path begins /back/file}
	  - {return: {body: '%[req.hdr(x-a)] %[req.hdr(x-b)] %[var(txn.a)] %[var(txn.b)]'}}
	  response_rules:
	YAML
	each back p-bad 'set-header: {x-c: set}'
	each back/stream p-bad 'set-status: 201'
	each back/file s-bad 'set-status: 201'
	text back/t "set-header: {x-c: '%[lua.s-bad]'}"
	text back/f 'action: lua.p-bad'
	for how in '' ', on_error: continue' ', on_error: deny'; do
		n=$((${n:-0} + 1))
		cat <<-YAML
		- address: unix:tcp$n.sock
		  protocol: tcp
		  rules:
		  - {deny: 403, if: lua.s-bad$how}
		  - {use-service: lua.s-tcp}
		YAML
	done
}
configuration > server.yaml
serve tcp3.sock server.yaml

cat > ask.lua <<'END'
local raw, tap = require('raw'), require('tap')
local function ask(path)
	return raw.request('web.sock', path, { headers = 'X-A: mine\r\nX-B: yours\r\n' })
end
local function is(path, status, body)
	local r = ask(path)
	tap.is(r.status, status, path)
	if body then
		tap.is(r.body, body, path .. ': what comes')
	end
	return r
end
local REFUSED = '403 Forbidden\n'
local FAILED = '500 Internal Server Error\n'
local ON = 'mine yours  '
for _, kind in ipairs({ '/s', '/p' }) do
	-- What ends the way of a request, without a word: nobody gets through.
	for _, name in ipairs({ '/bad', '/slow', '/hog', '/redirect', '/return', '/service',
		'/static', '/stop', '/filter', '/t/redirect', '/t/return', '/t/deny',
		'/t/service', '/t/filter' }) do
		is(kind .. name, 500, FAILED)
	end
	is(kind .. '/convert', 500, FAILED)
	is(kind .. '/unless', 500, FAILED)
	is(kind .. '/grant', 500, FAILED)
	-- What changes something: it is left out, a text that fails is nothing.
	for _, name in ipairs({ '/set', '/var', '/action', '/log', '/unset', '/f/action' }) do
		is(kind .. name, 200, ON)
	end
	is(kind .. '/t/set', 200, 'first   ')
	is(kind .. '/t/convert', 200, 'mine   ')
	is(kind .. '/t/var', 200, 'mine yours first ')
	is(kind .. '/t/action', 200, 'mine yours  <>')
	-- With a word all of them obey it, and no half of them is done.
	for _, name in ipairs({ '/bad', '/slow', '/hog', '/redirect', '/return', '/service',
		'/static', '/stop', '/filter', '/set', '/var', '/action', '/log',
		'/t/redirect', '/t/return', '/t/deny', '/t/service', '/t/filter', '/t/set',
		'/t/convert', '/t/var', '/t/action', '/f/action' }) do
		is(kind .. name .. '/on', 200, ON)
		is(kind .. name .. '/deny', 403, REFUSED)
	end
end
is('/native', 500)
is('/native/on', 200, ON)
is('/native/deny', 403, REFUSED)
-- Of answers.
is('/back', 200, ON)
is('/back/on', 200, ON)
is('/back/deny', 502, '502 Bad Gateway\n')
for _, name in ipairs({ '/back/stream', '/back/stream/on' }) do
	tap.like(is(name, 200).body, 'a secret', name)
end
is('/back/stream/deny', 502, '502 Bad Gateway\n')
is('/back/file', 200, 'a file\n')
is('/back/file/on', 200, 'a file\n')
is('/back/file/deny', 502, '502 Bad Gateway\n')
tap.is(is('/back/t', 200).headers['x-c'], '', 'a field of nothing')
tap.is(is('/back/t/on', 200).headers['x-c'], nil, 'no field')
is('/back/t/deny', 502)
is('/back/f', 200, ON)
is('/back/f/on', 200, ON)
is('/back/f/deny', 502)
for path, wanted in pairs({ tcp1 = '', tcp2 = 'hello', tcp3 = '' }) do
	local peer = raw.connect(path .. '.sock')
	tap.is(peer:read(), wanted, path)
	peer:close()
end
tap.done()
END
export LUA_PATH="$NEAP_SOURCE_DIR/test/lib/?.lua;;"
"$NEAP_BIN" ask.lua > said && ! grep -A3 '^not ok' said ||
	fail 'not as it should be'
end_server
! has_line server.err 'never told' || fail 'a rule was not skipped'
for text in "deny (server.yaml:11:" "set-header (server.yaml:" "use-service (server.yaml:"; do
	has_line server.err "$text" || fail "a line wanted: $text"
done
