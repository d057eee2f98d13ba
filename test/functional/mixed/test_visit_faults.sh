#!/bin/sh
# What goes wrong in rules that make the way to the shared state together: the limits of a
# service end what goes round for ever, what was changed before a rule throws stays changed,
# a service that fails at its end is one that fails, and a call inside an action of the answer
# leaves the answer to it.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > shared.lua <<'END'
core.register_action('note', { 'http-req' }, function() end)
core.register_action('round', { 'http-req' }, function()
	act.wake_time(0)
	return act.YIELD
end)
core.register_action('long', { 'http-req' }, function()
	act.wake_time(1000000)
	return act.YIELD
end)
core.register_action('again', { 'http-req' }, function(txn)
	if not txn:get_var('txn.again') then
		txn:set_var('txn.again', true)
		return act.YIELD
	end
end)
core.register_action('change', { 'http-req' }, function(txn)
	txn.http:req_set_header('x-c', 'changed')
end)
core.register_action('silent', { 'http-req' }, function(txn) txn:set_loglevel(-1) end)
core.register_service('long', 'http', function(applet)
	applet:add_header('content-length', 'abc')
	applet:start_response()
	applet:send('text')
end)
core.register_fetches('text', function() return 'text' end)
core.register_action('answer', { 'http-res' }, function(txn)
	txn.http:res_set_header('x-before', 'yes')
	txn.http:res_set_header('x-text', txn.f:lua_text())
	txn.http:res_set_header('x-after', 'yes')
end)
END
cat > own.lua <<'END'
core.register_action('own', { 'http-req' }, function() end)
END
rules() { # PATH RULE..
	path=$1
	shift
	cat <<-YAML
	- address: unix:$path
	  log_format: '%[path] x-c=%[req.hdr(x-c)]'
	  response_rules:
	  - {set-header: {x-rule: 'yes'}}
	  - {action: lua.answer}
	  rules:
	YAML
	for rule; do echo "  - {$rule}"; done
}
{
	echo 'load: shared.lua'
	echo 'load_per_thread: own.lua'
	echo 'limits: {service: {total: 500ms, burst: 500ms}}'
	echo 'listeners:'
	rules round 'action: lua.round' 'action: lua.note' 'return: {body: over}'
	rules throws 'action: lua.change' 'action: lua.note' \
		"set-header: {x-d: '%[path,url_dec,lower]'}" \
		'action: lua.note' 'return: {body: over}'
	rules service 'action: lua.note' 'use-service: lua.long'
	rules level 'action: lua.silent' 'action: lua.note' 'set-log-level: info' \
		'action: lua.own' 'action: lua.note' 'return: {body: over}'
	rules long 'action: lua.long' 'return: {body: over}'
	rules again 'action: lua.again' 'action: lua.note' 'return: {body: over}'
	rules answer 'action: lua.note' 'action: lua.note' 'return: {body: over}'
} > server.yaml
serve answer server.yaml

ask() { # SOCKET PATH
	run curl -s -i -m 60 --unix-socket "$1" "http://h$2"
	code_is 0
}

ask answer /
for name in before after rule; do out_has "x-$name: yes"; done
out_has 'x-text: text'
# The thread sanitizer keeps back the signals that limits need.
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	ask round /
	out_has 'HTTP/1.1 500'
	has_line server.err 'execution limit of service' || fail 'the limit is told'
fi
ask throws /a%0ab
out_has 'HTTP/1.1 500'
eventually has_line server.err '/a%0ab x-c=changed'
ask service /
out_has 'HTTP/1.1 500'
out_has 'x-rule: yes'
has_line server.err "service 'lua.long'" || has_line server.err 'content-length' ||
	fail 'the service is told of'
# When one is to be called again is nothing to another request.
run curl -s -m 3 --unix-socket long http://h/
ask again /
out_has over
ask level /level
out_has over
eventually has_line server.err '/level x-c='
end_server
