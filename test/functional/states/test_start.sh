#!/bin/sh
# How states are started: the order, what is refused, tasks, that all are alike.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

head="local states, fiber = require('neap.states'), require('fiber')
local id, register = states.id, states.register
local function f() end"

file() {
	{ printf '%s\n' "$head"; cat; } > "$1"
}

start() {
	n=$1
	shift
	run neap --workers "$n" --load s.lua --load-per-thread p.lua "$@"
}

# Refuses to start, and names it.
refused() {
	start "$1" -e 'print("started")'
	code_is 1
	[ -z "$out" ] || fail "no start wanted"
	shift
	for text; do
		case $err in *"$text"*) ;; *) fail "wanted: $text" ;; esac
	done
}

# Init: the shared state's files, all others, then init in that order; tasks of
# the shared state once, of the workers' in each; main scripts come last.
file s.lua <<'END'
local order = require('shared').dict('order')
print('load', id)
states.init(function() fiber.sleep(0.02) print('init', id) order:set('s', 1) end)
states.init(function() print('second', id) end)
states.task(function(a, b) print('task', id, states.id, a, b) end, 1, nil)
register('action', 'who', function() return id end)
END
file p.lua <<'END'
local order = require('shared').dict('order')
print('load', id)
states.init(function() print('init', id, order:get('s')) end)
states.task(function() fiber.sleep(0.01) print('task', id, states.id) end)
if id == 1 then states.task(function() print('guarded', id) end) end
END
start 3 -e 'print("main", require("neap").worker.id)'
code_is 0
err_is ''
sorted=$(printf '%s' "$out" | tr '\t' ' ' | sort | paste -s -d ',' -)
[ "$sorted" = "guarded 1,init 0,init 1 1,init 2 1,init 3 1,load 0,load 1,load 2,load 3,main 1,main 2,main 3,second 0,task 0 0 1 nil,task 1 1,task 2 2,task 3 3" ] ||
	fail "not these lines: $sorted"
places=$(printf '%s' "$out" | awk '{ print NR, $1, $2 }')
at() {
	printf '%s\n' "$places" | awk -v what="$1" -v id="$2" \
		'$2 == what && $3 == id { print $1 }'
}
before() {
	[ "$(at "$1" "$2")" -lt "$(at "$3" "$4")" ] ||
		fail "$1 $2 before $3 $4 wanted"
}
for i in 1 2 3; do
	before load 0 load $i
	before load $i init 0
	before second 0 init $i
	for j in 1 2 3; do
		before load $i init $j
		before init $i main $j
		before init $i task $j
	done
	before init $i task 0
done

# Registered where it must not be, or not where it must.
file s.lua <<'END'
register('action', 'both', f)
register('fetch', 'fine', f)
END
file p.lua <<'END'
register('action', 'both', f)
if id == 1 then register('action', 'first only', f) end
if id ~= 3 then register('converter', 'not in 3', f) end
register('action', 'fine', f)
register('filter', 'everywhere', f)
END
refused 4 "action 'both' is registered in the shared state and in workers too" \
	"action 'first only' is registered in not every worker: it is missing in 2, 3, 4" \
	"converter 'not in 3' is registered in not every worker: it is missing in 3" \
	"3 functions: "
case $err in *fine* | *everywhere*) fail "only the wrong ones wanted" ;; esac
refused 1 "action 'both'" "1 function: "

# An error in one state alone.
file s.lua < /dev/null
file p.lua <<'END'
if id == 3 then error('only here') end
END
refused 4 'neap: worker 3: p.lua:4: only here'
start 2 -e 'print(1)'
code_is 0
echo 'syntax error here' > p.lua
refused 2 "p.lua:1:"
rm p.lua
refused 2 "cannot run 'p.lua': No such file"
file p.lua < /dev/null
file s.lua <<'END'
local function broken() error({}) end
broken()
END
refused 2 'neap: shared state: (error object is a table value)' "in function 'broken'"
file s.lua <<'END'
states.init(function() error('in init') end)
END
refused 2 'neap: shared state: s.lua:4: in init'
file s.lua <<'END'
fiber.channel(0):get()
END
refused 2 'neap: shared state: loading waits for what can never come'
file s.lua <<'END'
register('action', 'x', f)
states.with_request(function(r) r:call('action', 'x') end)
END
refused 2 "action 'x' cannot be called yet: not all states are loaded"

# Twice in one state: a warning, and the last counts. Also in each worker.
file s.lua <<'END'
register('filter', 'again', function() return 1 end)
register('filter', 'again', function() return 2 end)
END
file p.lua <<'END'
register('action', 'own', function() return 3 end)
register('action', 'own', function() return 4 end)
END
start 1 -e 'local states = require("neap.states")
	states.with_request(function(r)
		print(r:call("filter", "again"), r:call("action", "own"))
	end)'
code_is 0
out_is '2	4'
case $err in
*"filter 'again' is registered again: the one of s.lua:5 counts"*) ;;
*) fail 'a warning wanted' ;;
esac

# Names.
file s.lua <<'END'
for _, name in ipairs({'', ('x'):rep(256), 'a\0b', 5, {}}) do
	local ok, err = pcall(register, 'action', name, f)
	print(ok, (tostring(err):gsub('^[^:]+:%d+: ', '')))
end
print(pcall(register, 'task', 'x', f))
print(pcall(register, 'action', 'x'))
register('action', ('x'):rep(255), f)
END
file p.lua < /dev/null
start 1 -e 'print(1)'
code_is 0
[ "$(printf '%s' "$out" | grep -c '^false')" = 7 ] || fail 'seven refused'

# Files of both kinds are read in their order; one kind alone is fine, and then
# a name is in every worker.
echo 'print("a", ...)' > a.lua
echo 'print("b", arg[0])' > b.lua
echo 'print("main", ...)' > main.lua
run neap --load a.lua --load=b.lua main.lua x
code_is 0
out_is 'a	a.lua' 'b	main.lua' 'main	x'
run neap --load-per-thread b.lua --load-per-thread a.lua main.lua
out_is 'b	main.lua' 'a	a.lua' 'main'
run neap --load
code_is 2

# The states are alike before any file has run, and a change would be seen.
cat > finger.lua <<'END'
local states = require('neap.states')
local before = states.fingerprint()
assert(select(2, before:gsub('\n', '')) > 200)
for _, change in ipairs({
	function() string.extra = 1 end,
	function() string['zero\0byte'] = {['\n'] = 1, ['\0'] = 2} end,
	function() package.path = package.path .. ';x' end,
	function() math.pi = 3 end,
	function() table.insert = function() end end,
	function() require('fiber').set_limits('action', {burst = 7}) end,
	function() debug.getmetatable('').__extra = 1 end,
}) do
	local now = states.fingerprint()
	change()
	assert(states.fingerprint() ~= now)
end
print('seen')
END
run neap --workers 4 --load finger.lua --load-per-thread finger.lua -e ''
code_is 0
[ "$(printf '%s' "$out" | grep -c '^seen')" = 5 ] || fail 'five wanted'

# The end: the shared state has hooks, its tasks are cancelled, os.exit works
# in its functions, and calls in progress end.
file s.lua <<'END'
require('neap').on_shutdown(function() print('hook', id) end)
local begun
states.task(function()
	begun = true
	local ok, err = pcall(fiber.sleep, 1000)
	print('cancelled', ok, err.type)
end)
register('action', 'exit', function()
	while not begun do fiber.sleep(0.001) end
	os.exit(7)
end)
register('action', 'sleep', function() fiber.sleep(1000) end)
END
start 2 -e 'local states = require("neap.states")
	for i = 1, 20 do
		require("fiber").create(states.with_request, function(r)
			r:call("action", "sleep")
		end)
	end
	if states.id == 1 then
		states.with_request(function(r) r:call("action", "exit") end)
	end'
code_is 7
err_is ''
out_is 'hook	0' 'cancelled	false	FiberIsCancelled'

# It keeps the application alive as long as it has something to do.
file s.lua <<'END'
states.task(function() fiber.sleep(0.05) print('late') end)
END
start 1 -e ''
code_is 0
out_is late

# Its lines in the log say whose they are.
file s.lua <<'END'
require('log').warn('from it')
END
start 1 -e ''
code_is 0
case $err in *' w0/'*' W> from it') ;; *) fail 'w0 wanted' ;; esac
