#!/bin/sh
# on_shutdown(): at every orderly end, last one first, errors logged, in time.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > hooks.lua <<'END'
local neap, fiber = require('neap'), require('fiber')
neap.on_shutdown(function() print('first') end)
neap.on_shutdown(function() error('bad hook') end)
neap.on_shutdown(function() fiber.sleep(0.01) print('last') end)
END
run neap hooks.lua
code_is 0
out_is last first
err_counts 'E> shutdown hook: ' 1
err_has 'hooks.lua:3: bad hook'

echo 'dofile("hooks.lua") os.exit(5)' > exit.lua
run neap exit.lua
code_is 5
out_is last first
echo 'dofile("hooks.lua") error("main")' > fail.lua
run neap fail.lua
code_is 1
out_is last first
err_counts 'fail.lua:1: main' 1

# A hook may register, spawn, and end the process.
run neap -e 'local n = require("neap")
	n.on_shutdown(function() n.on_shutdown(function() print("inner") end) end)'
out_is inner
run neap -e 'local n, f = require("neap"), require("fiber")
	n.on_shutdown(function() f.create(function() f.sleep(100) end) end)'
code_is 0
run neap -e 'require("neap").on_shutdown(function() os.exit(6) end)'
code_is 6

# One that takes its fiber with it does not keep the others from running.
run neap -e 'local n = require("neap")
	n.on_shutdown(function() print("last") end)
	n.on_shutdown(function() os.exit(7) end)
	n.on_shutdown(function() os.exit(6) end)
	n.on_shutdown(function() print("first") end)'
code_is 6
out_is first last
err_is ''
# (Under the thread sanitizer nothing interrupts a loop.)
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	run neap --cancel-timeout 60 -e 'local n, f = require("neap"), require("fiber")
		n.on_shutdown(function() print("last") end)
		n.on_shutdown(function()
			f.set_limits(f.self(), {total = 0.02})
			while true do pcall(function() while true do end end) end
		end)
		n.on_shutdown(function()
			f.set_limits(f.self(), {memory = 1e6})
			local t = {}
			while true do pcall(function() t[#t + 1] = {} end) end
		end)
		n.on_shutdown(function() print("first") end)'
	code_is 0
	out_is first last
	err_counts 'E> shutdown hook: ' 2
	err_has 'E> shutdown hook: memory limit'
	err_has 'E> shutdown hook: execution limit'
fi

# os.exit() in one and another that does not end: the time is one for all, and who
# is late is cancelled.
run neap --cancel-timeout 0.1 -e 'local n, f = require("neap"), require("fiber")
	n.on_shutdown(function() print("late") end)
	n.on_shutdown(function() f.sleep(1000) end)
	n.on_shutdown(function() os.exit(6) end)'
code_is 6
out_is late
err_has 'E> the shutdown hooks have not ended in time'

# os.exit() in a member of a group: who waits for the group is not waited for.
run neap --cancel-timeout 100 -e 'local f = require("fiber")
	f.group(function(g)
		g:spawn(os.exit, 8)
		g:spawn(function() pcall(f.sleep, 1000) print("cleaned") end)
		g:wait()
	end)'
code_is 8
out_is cleaned
err_is ''

run neap -e 'require("neap").on_shutdown(1)'
code_is 1
err_has 'a function is wanted, not number'

# One that does not end costs its time, and is cancelled.
run neap --cancel-timeout 0.1 -e 'local n, f = require("neap"), require("fiber")
	n.on_shutdown(function() f.sleep(1000) end)'
code_is 0
err_has 'E> the shutdown hooks have not ended in time'

# Cancelled fibers clean up.
run neap -e 'local f = require("fiber")
	f.create(function() pcall(f.sleep, 1000) print("cleaned") end)
	os.exit(0)'
code_is 0
out_is cleaned
