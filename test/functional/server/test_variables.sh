#!/bin/sh
# How rules and scripts set variables: what has no value leaves the one there is, what a
# failed function was to give is not there; "only if it is there" is about variables of the
# process, which are there when the configuration names them; a name that is none is
# refused without an error.
#
# test: timeout 60, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > functions.lua <<'END'
local kind = ...
core.register_fetches(kind .. '-bad', function() error('on purpose') end)
core.register_fetches(kind .. '-none', function() end)
local function told(...)
	local list = { ... }
	for i = 1, select('#', ...) do list[i] = tostring(list[i]) end
	return table.concat(list, ' ')
end
core.register_action(kind .. '-names', { 'http-req' }, function(txn)
	local function set(...) return (txn:set_var(...)) end
	local list = { told(set('nope', 1), set('no.pe', 1), set('txn.a-b', 1), set('check.a', 1),
		txn:get_var('nope'), txn:get_var('txn.a-b'), (txn:unset_var('nope'))) }
	list[2] = told(txn:set_var('nope', 1))
	list[3] = told(set('txn.n', 1, true), set('sess.n', 2, true), txn:get_var('txn.n'),
		txn:get_var('sess.n'))
	for i, name in ipairs({ 'named', 'set', 'none' }) do
		name = ('proc.%s_%s'):format(name, kind)
		list[3 + i] = told(set(name, kind, true), txn:get_var(name), core.set_var(name, nil),
			core.set_var(name, i, true), core.get_var(name))
	end
	txn:set_var('txn.told', table.concat(list, '\n'))
end)
END
cat > server.yaml <<'END'
load: {file: functions.lua, args: [s]}
load_per_thread: {file: functions.lua, args: [p]}
listeners:
- name: web
  address: unix:web.sock
  rules:
  - {set-var: {proc.set_s: str(x), proc.set_p: str(x)}, if: '{ always_false }'}
  - {action: lua.s-names, if: path == /s/names}
  - {action: lua.p-names, if: path == /p/names}
  - {return: {body: "%[var(txn.told)]\n"}, if: path ends /names}
  - {return: {body: '%[var(proc.named_s)] %[var(proc.named_p)]'}, if: path == /named}
  - {set-var: {txn.one: str(first), txn.two: str(first)}}
  - {set-var: {txn.one: req.hdr(x-one)}}
  - {set-var: {txn.one: req.hdr(x-one), txn.two: req.hdr(x-two)}}
  - {set-var: {txn.one: lua.s-none}, if: path == /s/none}
  - {set-var: {txn.one: lua.p-none}, if: path == /p/none}
  - {set-var: {txn.one: lua.s-bad}, if: path == /s/bad}
  - {set-var: {txn.one: lua.p-bad, txn.two: str(second)}, if: path == /p/bad}
  - {return: {body: "%[var(txn.one,-)] %[var(txn.two,-)] %[str(5),set-var(proc.conv,ifexists)]\n"}}
END
serve web.sock server.yaml
cat > ask.lua <<'END'
local raw, tap = require('raw'), require('tap')
local function body(path, headers)
	return raw.request('web.sock', path, { headers = headers }).body
end
for _, kind in ipairs({ 's', 'p' }) do
	local lines = {}
	for line in body('/' .. kind .. '/names'):gmatch('[^\n]+') do lines[#lines + 1] = line end
	tap.is(lines[1], 'false false false false nil nil false', kind .. ': names that are none')
	tap.ok(lines[2]:find('^false variable .nope.: a name is'), kind .. ': and why')
	tap.is(table.concat(lines, '\n', 3),
		('true true 1 2\ntrue %s true true 1\ntrue %s true true 2\nfalse nil true false nil')
			:format(kind, kind), kind .. ': only if it is there')
end
tap.is(body('/'), 'first first 5\n', 'without a value they stay')
tap.is(body('/', 'X-One: 1\r\nX-Two: 2\r\n'), '1 2 5\n', 'with one they do not')
tap.is(body('/s/none') .. body('/p/none'), 'first first 5\nfirst first 5\n',
	'a function that gives nothing')
tap.is(body('/s/bad') .. body('/p/bad'), '- first 5\n- second 5\n', 'one that fails')
tap.done()
END
export LUA_PATH="$NEAP_SOURCE_DIR/test/lib/?.lua;;"
"$NEAP_BIN" ask.lua > said && ! grep -A3 '^not ok' said ||
	fail "not as it should be: $(cat server.err)"
end_server
