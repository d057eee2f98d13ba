#!/bin/sh
# What HAProxy has and this server has not says so to the script that uses it, in the shared
# state and in a worker's, and not by an attempt to call nil.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > out.lua <<'END'
local kind = ...
local uses = {
	['txn.req'] = function(txn) return txn.req:get() end,
	['txn.res'] = function(txn) return txn.res:dup() end,
	['txn:set_fc_mark'] = function(txn) txn:set_fc_mark(1) end,
	['txn:set_fc_tos'] = function(txn) txn:set_fc_tos(1) end,
	['txn:set_priority_class'] = function(txn) txn:set_priority_class(1) end,
	['core.proxies'] = function() return core.proxies.x end,
	['core.backends'] = function() for _ in pairs(core.backends) do return end end,
	['out.lua:11: there is no fetch \'be_conn\': not in this server'] = function(txn)
		return txn.f:be_conn() end,
	['out.lua:14: there is no converter \'table_gpc0\': not in this server'] = function(txn)

		return txn.c:table_gpc0('a', 'b') end,
	['out.lua:15: there is no fetch \'nothing\''] = function(txn) return txn.sf:nothing() end,
}
core.register_action(kind .. '-out', { 'http-req' }, function(txn)
	local wrong = {}
	for what, use in pairs(uses) do
		local ok, err = pcall(use, txn)
		err = tostring(err)
		if ok or not err:find(what, 1, true) or not err:find('not in this server', 1, true)
		   and not err:find('there is no', 1, true) or err:find('a nil value', 1, true) then
			wrong[#wrong + 1] = what .. ': ' .. err
		end
	end
	txn:set_var('txn.wrong', table.concat(wrong, '\n') .. '.')
end)
END
cat > server.yaml <<'END'
load: {file: out.lua, args: [s]}
load_per_thread: {file: out.lua, args: [p]}
listeners:
- address: unix:web.sock
  rules:
  - {action: lua.s-out, if: path == /s}
  - {action: lua.p-out, if: path == /p}
  - {return: {body: '%[var(txn.wrong)]'}}
END
serve web.sock server.yaml
for kind in s p; do
	run curl -s -m 20 --unix-socket web.sock "http://h/$kind"
	[ "$out" = . ] || fail "nothing but a dot wanted"
done
end_server
