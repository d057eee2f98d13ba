#!/bin/sh
# What rules fetch that only a server knows: when a request has come, what its answer has in it,
# parameters whose names have any case; in the shared state, too. And what is not there is
# told when the rules are compiled, with what of HAProxy's it belongs to.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > functions.lua <<'END'
local kind = ...
core.register_service(kind .. '-whole', 'http', function(applet)
	applet:start_response()
	applet:send('whole')
end)
core.register_service(kind .. '-pieces', 'http', function(applet)
	core.msleep(1100)
	applet:start_response()
	for _ = 1, 4 do
		applet:send(('piece '):rep(20000))
		core.msleep(1)
	end
end)
core.register_action(kind .. '-look', { 'http-res' }, function(txn)
	txn.http:res_set_header('x-' .. kind, ('%s %s %s'):format(txn.sf:res_body(),
		txn.sf:res_body_len(), txn.f:request_date() == txn:get_var('txn.date')))
end)
core.register_action(kind .. '-date', { 'http-req', 'tcp-req' }, function(txn)
	txn:set_var('txn.' .. kind, txn.f:accept_date('us'))
end)
core.register_service(kind .. '-dates', 'tcp', function(applet)
	local seconds = applet:get_var('txn.date')
	local same = applet:get_var('txn.s') == applet:get_var('txn.p') and
		math.floor(applet:get_var('txn.s') / 1e6) == seconds
	applet:send(('%s %s\n'):format(same, math.abs(seconds - core.now().sec) < 100))
end)
END
{
	cat <<-'YAML'
	load: {file: functions.lua, args: [s]}
	load_per_thread: {file: functions.lua, args: [p]}
	listeners:
	- address: unix:web
	  rules:
	  - {set-var: {txn.date: request_date, txn.ms: request_date(ms), txn.us: accept_date(us)}}
	  - {set-var: {txn.now: date, txn.ms_s: 'var(txn.ms),div(1000)', txn.us_s: 'var(txn.us),div(1000000)'}}
	  - {use-service: lua.p-pieces, if: path == /p-pieces}
	  - {use-service: lua.p-whole, if: path == /p-whole}
	  - {use-service: lua.s-whole, if: path == /s-whole}
	  - return:
	      body: '%[req.body_param(one)],%[req.body_param(ONE)],%[req.body_param(ONE,i)],%[urlp(Two)],%[urlp(TWO,,i)]'
	  response_rules:
	  - set-header:
	      x-body: '%[res.body] %[res.body_len] %[res.body_size] %[capture.res.ver]'
	      x-date: '%[request_date,sub(txn.date)] %[date,sub(txn.now)]'
	      x-same: '%[var(txn.us_s),sub(txn.date)] %[var(txn.ms_s),sub(txn.date)]'
	  - {action: lua.s-look}
	  - {action: lua.p-look}
	- address: unix:asked
	  rules:
	  - {action: lua.s-date}
	  - {action: lua.p-date}
	  - {return: {body: '%[var(txn.s),sub(txn.p)] %[var(txn.s),div(1000000)]'}}
	- address: unix:tcp
	  protocol: tcp
	  rules:
	  - {set-var: {txn.date: accept_date}}
	  - {action: lua.s-date}
	  - {action: lua.p-date}
	  - {use-service: lua.p-dates}
	YAML
} > server.yaml
serve tcp server.yaml
ask() { # PATH ARGUMENT..
	path=$1
	shift
	run curl -s -i -m 60 --unix-socket web "$@" "http://h$path"
	code_is 0
	out_has 'x-same: 0 0'
}
ask '/?two=2' -d 'One=1&one=3'
out_has 'x-body: 3,,1,,2 7 7 HTTP/1.1'
out_has 'x-date: 0 0'
out_has 'x-s: 3,,1,,2 7 true'
out_has 'x-p: 3,,1,,2 7 true'
for kind in s p; do
	ask "/$kind-whole"
	out_has 'x-body: whole 5 5 HTTP/1.1'
done
ask /p-pieces
out_has "x-body:    HTTP/1.1"
case $out in *'x-date: 0 0'*) fail 'that of the answer is not that of the request' ;; esac
out_has 'x-date: 0 '
out_has 'x-s:   true'
out_has 'x-p:   true'
run curl -s -m 60 --unix-socket asked http://h/
seconds=${out#0 }
[ "$seconds" != "$out" ] && [ $(($(date +%s) - seconds)) -lt 100 ] || fail 'a date that is asked for'
run neap -e "local peer = require('raw').connect('tcp') io.write((peer:read())) peer:close() os.exit(0)"
out_is 'true true'
end_server

for name in be_conn sc0_get_gpc0 fc_rtt req.hdrs_bin res.comp fe_req_rate cpu_calls wait_end \
	req.ssl_sni last_rule_line txn.sess_term_state acl; do
	printf 'listeners:\n- {address: unix:x, rules: [{return: {body: "%%[%s]"}}]}\n' \
		"$name" > server.yaml
	run neap check server.yaml
	code_is 1
	err_has "server.yaml:2:"
	err_has "the fetch '$name' is not there: it is of HAProxy's"
done
