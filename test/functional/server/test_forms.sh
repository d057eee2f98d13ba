#!/bin/sh
# Forms in which scripts for HAProxy are written: one name for the action of a request and for
# that of its answer, converters that get texts, whatever comes before them, and nil for
# arguments that are left out.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > forms.lua <<'END'
local kind = ...
core.register_action(kind .. '-side', { 'http-req' }, function(txn)
	txn:set_var('txn.side', 'request')
end, 0)
core.register_action(kind .. '-side', { 'http-res' }, function(txn, a, b)
	txn.http:res_add_header('x-side', ('%s, %s%s'):format(txn:get_var('txn.side'), a, b))
end, 2)
core.register_converters(kind .. '-type', function(value, ...)
	return type(value) .. ' ' .. value .. ' ' .. select('#', ...)
end)
core.register_fetches(kind .. '-give', function(_, what)
	return what == 'true' or tonumber(what)
end)
core.register_action(kind .. '-nil', { 'http-req' }, function(txn)
	local function refused(f, ...)
		local ok, err = pcall(f, ...)
		return ok and 'taken' or tostring(err):match('[^\n]*')
	end
	txn:set_var('txn.nil', ('%s %s %s\n%s'):format(txn.f:req_hdr('x-a', nil), txn.sc:sdbm('a', nil),
		txn.sf:url_param('q', nil, nil), refused(txn.f.req_hdr, txn.f, {})))
end)
END
cat > server.yaml <<'END'
load: {file: forms.lua, args: [s]}
load_per_thread: {file: forms.lua, args: [p]}
listeners:
- address: unix:web.sock
  rules:
  - {action: lua.s-side, if: path begins /s}
  - {action: lua.p-side, if: path begins /p}
  - return: {body: "%[int(-5),lua.s-type] %[always_true,lua.s-type(x)] %[lua.p-give(1.5),lua.s-type] %[lua.s-give(true),lua.s-type]\n"}
    if: path == /s
  - return: {body: "%[int(-5),lua.p-type] %[always_true,lua.p-type(x)] %[lua.s-give(1.5),lua.p-type] %[lua.p-give(true),lua.p-type]\n"}
    if: path == /p
  - {action: lua.s-nil, if: path == /s-nil}
  - {action: lua.p-nil, if: path == /p-nil}
  - return: {body: "%[var(txn.nil)]\n"}
  response_rules:
  - {action: lua.s-side, args: [one, two], if: path begins /s}
  - {action: lua.p-side, args: [one, two], if: path begins /p}
END
serve web.sock server.yaml
get() {
	run curl -s -m 20 -D head -H 'x-a: one' --unix-socket web.sock "http://h$1"
}
for kind in s p; do
	get "/$kind"
	out_is 'string -5 0 string 1 1 string 1.5 0 string 1 0'
	grep -q '^x-side: request, onetwo' head || fail "the answer's action: $(cat head)"
	get "/$kind-nil?q=v"
	out_is 'one 97 v' \
		'req_hdr(name, [occ]): a string, a number or a boolean is wanted, not table'
done
end_server
grep 'registered again' server.err && fail 'they are two actions'

# The same name for the same side: the last one counts, and the log says where it is.
cat > forms.lua <<'END'
core.register_action('x', { 'http-req', 'http-res' }, function() end, 1)
core.register_action('x', { 'http-req' },
	function() end, 0)
END
cat > server.yaml <<'END'
load: forms.lua
listeners:
- address: unix:web.sock
  rules: [{action: lua.x}, {return: 200}]
  response_rules: [{action: lua.x, args: [y]}]
END
run "$NEAP_BIN" check server.yaml
code_is 0
case $err in
*"action 'x' is registered again: the one of "*"forms.lua:3 counts"*) ;;
*) fail 'a warning with the place wanted' ;;
esac
sed -i 's/, args: .y.//' server.yaml
run "$NEAP_BIN" check server.yaml
code_is 1
case $err in
*"server.yaml:5:29: action 'lua.x' takes 1 arguments, not 0"*) ;;
*) fail 'the number of arguments wanted' ;;
esac
