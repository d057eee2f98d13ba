#!/bin/sh
# Tasks of both kinds of state: which are started again, and how often, what their limits do,
# cancel and join.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > tasks.lua <<'END'
local kind = ...
local dict = require('shared').dict('tasks')
local function count(what)
	return dict:incr(kind .. what, 1, 0)
end
local tasks = {}
tasks.once = core.register_task(function() count('once') error('on purpose') end)
tasks.never = core.register_task(function() count('never') error('on purpose') end)
	:restart('never')
tasks.again = core.register_task(function(a, b)
	assert(a == 1 and b == nil)
	if count('again') < 4 then error('on purpose') end
end, 1, nil):restart('on-failure', 0.001)
-- Each time a little later, to a limit; one that has ended well begins anew.
tasks.later = core.register_task(function()
	if count('later') ~= 6 then error('on purpose') end
end):restart('on-failure', 0.001, 0.035)
tasks.heals = core.register_task(function()
	local n = count('heals')
	if n == 6 then tasks.heals:cancel()
	elseif n ~= 3 then error('on purpose') end
end):restart('always', 0, 0.05)
tasks.always = core.register_task(function()
	if count('always') == 5 then tasks.always:cancel() end
end):restart('always', 0.001)
-- One that is over its limit has it anew when it is started again.
tasks.over = core.register_task(function()
	local n, due = count('over'), os.clock() + 0.06
	while n < 3 or os.clock() < due do end
end):restart('on-failure', 0.001)
tasks.dies = core.register_task(function() while true do end end)
tasks.unborn = core.register_task(function() count('unborn') end)
tasks.unborn:cancel()
tasks.waits = core.register_task(function() while true do core.sleep(100) end end):restart('always', 0.001)
tasks.paused = core.register_task(function() count('paused') end):restart('always', 1000)

local function told(name)
	local state, err = tasks[name]:status()
	return ('%s %s %s'):format(state, err and tostring(err):match('on purpose') or
		err and tostring(err):match('execution limit') or '-', tostring(dict:get(kind .. name)))
end
core.register_service(kind, 'http', function(applet)
	local what, name = applet.qs:match('^(%w+)=(%w+)$')
	local task, answer = tasks[name], nil
	if what == 'join' then
		answer = tostring(task:join(60)) .. ' ' .. told(name)
	elseif what == 'brief' then
		answer = tostring(task:join(0.01)) .. ' ' .. told(name)
	elseif what == 'cancel' then
		task:cancel()
		answer = tostring(task:join(60)) .. ' ' .. told(name)
	elseif what == 'start' then -- while it serves
		tasks.late = core.register_task(function(n) count('late') error('on purpose ' .. n) end, name)
		answer = tostring(tasks.late:join(60)) .. ' ' .. told('late')
	end
	applet:start_response()
	applet:send(answer)
end)
END
cat > server.yaml <<'END'
workers: 1
load: {file: tasks.lua, args: [s]}
load_per_thread: {file: tasks.lua, args: [p]}
limits: {task: {total: 100ms, burst: 0}}
listeners:
- address: unix:web.sock
  rules:
  - {use-service: lua.s, if: path == /s}
  - {use-service: lua.p}
END
serve web.sock server.yaml

cat > ask.lua <<'END'
local raw, tap = require('raw'), require('tap')
for _, kind in ipairs({ 's', 'p' }) do
	local function is(what, wanted)
		tap.is(raw.request('web.sock', ('/%s?%s'):format(kind, what)).body, wanted, kind .. ': ' .. what)
	end
	is('join=once', 'true failed on purpose 1')
	is('join=never', 'true failed on purpose 1')
	is('join=again', 'true ended on purpose 4')
	is('join=later', 'true ended on purpose 6')
	is('join=heals', 'true cancelled on purpose 6')
	is('join=always', 'true cancelled - 5')
	is('join=over', 'true ended execution limit 3')
	is('join=dies', 'true failed execution limit nil')
	is('join=unborn', 'true cancelled - nil')
	is('brief=waits', 'false running - nil')
	is('cancel=waits', 'true cancelled - nil')
	is('cancel=waits', 'true cancelled - nil')
	is('brief=paused', 'false ended - 1')
	is('cancel=paused', 'true cancelled - 1')
	is('start=x', 'true failed on purpose 1')
end
tap.done()
END
export LUA_PATH="$NEAP_SOURCE_DIR/test/lib/?.lua;;"
"$NEAP_BIN" ask.lua > said && ! grep -A3 '^not ok' said ||
	fail "not as it should be: $(cat server.err)"
end_server
[ "$(grep -c "E> .*: on purpose" server.err)" = 30 ] || fail "each failure once wanted: $(cat server.err)"
[ "$(grep -c 'E> .*execution limit' server.err)" = 6 ] || fail "limits: $(cat server.err)"
# One line says which task, which clock, used and limit, and where it was stands below it.
line=$(grep -n 'tasks.dies = ' tasks.lua | cut -d: -f1)
[ "$(grep -A2 "E> task '.*tasks.lua:$line': execution limit of task 'task': .* in all, the limit is 0.100 s" \
	server.err | grep -c "tasks.lua:$line: in function")" = 2 ] || fail "where: $(cat server.err)"
pauses() { # TIMES IN-A-ROW SECONDS
	[ "$(grep -c "has failed $2 times in a row: it is started again in $3 s" server.err)" = "$1" ] ||
		fail "$1 pauses of $3 s wanted: $(cat server.err)"
}
pauses 10 2 0.02 # of later, again, over, and twice of heals
pauses 2 3 0.035
pauses 2 3 0.04
pauses 2 4 0.035
pauses 2 5 0.035
