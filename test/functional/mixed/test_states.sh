#!/bin/sh
# The states of a configured server: what a start refuses and how it is told, that all are
# alike, in which order they begin, and what of one may be used in another.
#
# test: timeout 90
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

configuration() { # WORKERS RULES
	cat <<-YAML
	workers: $1
	load: {file: s.lua, args: [a, 'b c']}
	load_per_thread: {file: p.lua, args: [a, 'b c']}
	paths: {lua: [./lib/?.lua]}
	limits: {memory: 64M, fetch: {burst: 123ms}}
	listeners:
	- address: unix:web.sock
	  rules: [$2]
	YAML
}
refused() { # TEXT..
	run neap check server.yaml
	code_is 1
	[ -z "$out" ] || fail 'no output wanted'
	for text; do err_has "$text"; done
	run neap server.yaml
	code_is 1
	for text; do err_has "$text"; done
}
configuration 3 'stop: true' > server.yaml

# MT18: a name of both kinds, or not of all workers.
cat > s.lua <<'END'
core.register_fetches('both', function() end)
END
cat > p.lua <<'END'
core.register_fetches('both', function() end)
if core.thread == 1 then core.register_converters('first', function(v) return v end) end
if core.thread ~= 3 then core.register_action('most', { 'http-req' }, function() end) end
END
refused "fetch 'both' is registered in the shared state and in workers too" \
	"converter 'first' is registered in not every worker: it is missing in 2, 3" \
	"action 'most' is registered in not every worker: it is missing in 3"

# MT19: an error in one state alone.
: > s.lua
echo "if core.thread == 3 then error('only here') end" > p.lua
refused 'worker 3: ' 'p.lua:1: only here'

# MT20 and MT21: arguments, paths, limits and libraries are those of all; the order.
mkdir -p lib
echo 'return { found = true }' > lib/mine.lua
cat > s.lua <<'END'
local list = require('shared').channel('order', 1000)
local function note(what) assert(list:put(what .. core.thread)) end
local a, b, c = ...
assert(a == 'a' and b == 'b c' and c == nil and require('mine').found)
local names = {}
for name in pairs(_G) do names[#names + 1] = tostring(name) end
table.sort(names)
core.set_var('proc.alike' .. core.thread, table.concat(names, ' ') .. package.path .. package.cpath ..
	require('fiber').limits('fetch').burst .. ' ' .. require('fiber').limits('action').burst)
note('load')
core.register_init(function() note('init') end)
core.register_init(function() note('second') end)
core.register_task(function() note('task') end)
END
cat s.lua > p.lua
cat >> p.lua <<'END'
core.register_service('order', 'http', function(applet)
	local all, same = {}, true
	for thread = 0, 3 do
		same = same and core.get_var('proc.alike' .. thread) == core.get_var('proc.alike0')
	end
	while #all < 16 do all[#all + 1] = list:get(60) end
	applet:start_response()
	applet:send(tostring(same) .. ' ' .. table.concat(all, ' '))
end)
END
configuration 3 'use-service: lua.order' > server.yaml
serve web.sock server.yaml
run curl -sS --unix-socket web.sock http://a/
code_is 0
[ "${out%% *}" = true ] || fail 'states that are alike wanted'
at() {
	printf '%s' "$out" | tr ' ' '\n' | awk -v what="$1" '$1 == what { print NR }'
}
before() {
	[ "$(at "$1")" -lt "$(at "$2")" ] || fail "once each, $1 before $2 wanted: $out"
}
for i in 1 2 3; do
	before load0 load$i
	before init0 init$i
	before second0 init$i
	before init$i second$i
	before second$i task$i
	before second$i task0
	for j in 1 2 3; do before load$i init$j; done
done
end_server

# MT24 and MT25: a socket of the shared state serves functions that all workers call; a
# queue goes from one of them to another, and what is of another state is refused.
cat > s.lua <<'END'
local socket, queue, turn = core.tcp(), core.queue(), core.queue()
turn:push(true)
core.register_fetches('socket', function(txn)
	turn:pop_wait()
	if not socket.mine then
		assert(socket:connect('unix@echo.sock') == 1)
		socket.mine = true
	end
	socket:send('line\n')
	local text = socket:receive('*l')
	if txn.sf:path() == '/last' then socket:close() end
	turn:push(true)
	return text
end)
core.register_action('push', { 'http-req' }, function(txn) queue:push(txn.sf:path()) end)
core.register_fetches('pop', function() return queue:pop_wait() end)
core.register_fetches('give', function(txn)
	local ok, err = pcall(txn.set_var, txn, 'txn.queue', queue)
	return tostring(ok) .. ' ' .. tostring(err):match('a string, a number or a boolean')
end)
core.register_service('echo', 'tcp', function(applet)
	for line in applet.getline, applet do
		if line == '' then break end
		applet:send(line)
	end
end)
END
cat > p.lua <<'END'
local queue = core.queue()
core.register_action('own-push', { 'http-req' }, function(txn) queue:push(txn.sf:path()) end)
core.register_fetches('own-pop', function() return queue:pop_wait() end)
END
{
	configuration 3 '{action: lua.push}, {action: lua.own-push}, {return: {body: "%[lua.socket] %[lua.pop] %[lua.own-pop] %[lua.give]."}}'
	printf -- '- {address: unix:echo.sock, protocol: tcp, rules: [use-service: lua.echo]}\n'
} > server.yaml
serve echo.sock server.yaml
for path in /1 /2 /3 /4 /5 /6 /7 /8 /last; do
	run curl -sS --unix-socket web.sock http://a$path
	code_is 0
	[ "$out" = "line $path $path false a string, a number or a boolean." ] || fail 'not this answer'
done
end_server
! grep ' [EC]> ' server.err || fail 'no errors wanted'
