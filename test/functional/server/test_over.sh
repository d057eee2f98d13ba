#!/bin/sh
# What functions keep of a request or a connection is told to be over when it is, in both
# kinds of states: nothing of it does anything then, or goes to somebody else.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > app.lua <<'END'
local kind = ...
local kept = {}
core.register_action(kind .. '.keep', { 'http-req' }, function(txn)
	kept.txn, kept.http, kept.f, kept.sf, kept.path = txn, txn.http, txn.f, txn.sf, txn.f.path
end)
core.register_action(kind .. '.keep-answer', { 'http-res' }, function(txn) kept.answer = txn.http end)
core.register_service(kind .. '.keep', 'http', function(applet)
	kept.applet = applet
	applet:start_response()
	applet:send('kept')
end)
core.register_service(kind .. '.keep-tcp', 'tcp', function(applet)
	kept.tcp = applet
	applet:send('kept')
end)
local uses = {
	get_priv = function() return kept.txn:get_priv() end,
	set_priv = function() return kept.txn:set_priv(1) end,
	get_var = function() return kept.txn:get_var('txn.a') end,
	set_var = function() return kept.txn:set_var('txn.a', 1) end,
	unset_var = function() return kept.txn:unset_var('txn.a') end,
	done = function() return kept.txn:done({ status = 500 }) end,
	log = function() return kept.txn:Info('too late') end,
	set_loglevel = function() return kept.txn:set_loglevel(1) end,
	f = function() return kept.f:path() end,
	sf = function() return kept.sf:req_hdr('host') end,
	method = function() return kept.path(kept.f) end,
	['the f of txn'] = function() return kept.txn.f:src() end,
	req_get_headers = function() return kept.http:req_get_headers() end,
	req_set_header = function() return kept.http:req_set_header('a', 'b') end,
	req_set_path = function() return kept.http:req_set_path('/other') end,
	res_get_headers = function() return kept.answer:res_get_headers() end,
	res_set_header = function() return kept.answer:res_set_header('a', 'b') end,
	res_set_status = function() return kept.answer:res_set_status(500) end,
	['applet send'] = function() return kept.applet:send('too late') end,
	['applet start_response'] = function() return kept.applet:start_response() end,
	['applet receive'] = function() return kept.applet:receive() end,
	['applet getline'] = function() return kept.applet:getline() end,
	['applet add_header'] = function() return kept.applet:add_header('a', 'b') end,
	['applet set_status'] = function() return kept.applet:set_status(500) end,
	['applet get_var'] = function() return kept.applet:get_var('txn.a') end,
	['applet f'] = function() return kept.applet.f:path() end,
	['tcp send'] = function() return kept.tcp:send('too late') end,
	['tcp receive'] = function() return kept.tcp:receive() end,
	['tcp try_receive'] = function() return kept.tcp:try_receive() end,
	['tcp getline'] = function() return kept.tcp:getline() end,
	['tcp get_priv'] = function() return kept.tcp:get_priv() end,
}
core.register_service(kind .. '.use', 'http', function(applet)
	applet:start_response()
	for name, f in pairs(uses) do
		local ok, err = pcall(f)
		local told = tostring(err)
		if ok or not (told:find('the request is over') or told:find('has been answered') or
				told:find('the answer has begun')) then
			applet:send(('%s: %s\n'):format(name, told))
		end
	end
	applet:send('that is all')
end)
END
{
	echo 'workers: 1'
	echo 'load: {file: app.lua, args: [s]}'
	echo 'load_per_thread: {file: app.lua, args: [p]}'
	echo 'listeners:'
	for kind in p s; do
		cat <<END
- address: 'unix:$TMPDIR/$kind'
  rules:
  - {use-service: lua.$kind.use, if: path == /use}
  - action: lua.$kind.keep
  - use-service: lua.$kind.keep
  response_rules:
  - {action: lua.$kind.keep-answer, if: path == /keep}
- {address: 'unix:$TMPDIR/$kind.tcp', protocol: tcp, rules: [use-service: lua.$kind.keep-tcp]}
END
	done
} > server.yaml
serve "$TMPDIR/p" server.yaml
for kind in p s; do
	run "$NEAP_BIN" -e "local s = require('socket').tcp_connect('unix/', '$TMPDIR/$kind.tcp')
		print(s:read(100)) os.exit(0)"
	out_is kept
	run curl -s -m 60 --unix-socket "$TMPDIR/$kind" http://h/keep http://h/use
	[ "$out" = keptthat\ is\ all ] || fail "all of $kind is over"
done
end_server
has_line server.err 'too late' && fail 'something was done'
exit 0
