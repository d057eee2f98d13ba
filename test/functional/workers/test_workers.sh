#!/bin/sh
# A script in several workers: what each of them is, errors, the log, limits.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

lines_are() {
	sorted=$(printf '%s' "$out" | tr '\t' ' ' | sort | paste -s -d ' ' -)
	[ "$sorted" = "$1" ] || fail "lines wanted: $1"
}

cat > who.lua <<'END'
local w = require('neap').worker
print(w.id, w.count, seen, arg[0], ...)
seen = true
END
run neap --workers 4 who.lua a b
code_is 0
err_is ''
lines_are '1 4 nil who.lua a b 2 4 nil who.lua a b 3 4 nil who.lua a b 4 4 nil who.lua a b'
run neap who.lua
out_is '1	1	nil	who.lua'
run env NEAP_WORKERS=2 "$NEAP_BIN" -e 'n = 1' -e 'print(n)' -l neap
lines_are '1 1'

# All states are alike.
cat > alike.lua <<'END'
local seen, lines = {}, {}
local function walk(t, path)
    if seen[t] then return end
    seen[t] = true
    local keys = {}
    for k in pairs(t) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, k in ipairs(keys) do
        local v, name = t[k], path .. '.' .. tostring(k)
        lines[#lines + 1] = name .. ' ' .. type(v) ..
            (type(v) == 'string' and ' ' .. v or '')
        if type(v) == 'table' then walk(v, name) end
    end
end
walk(_G, '_G')
local hash = 0
for byte in table.concat(lines, '\n'):gmatch('.') do
    hash = (hash * 31 + byte:byte()) % 2147483648
end
print(#lines > 200, hash)
END
run neap --workers 4 alike.lua
code_is 0
[ "$(printf '%s' "$out" | grep -c '^true')" = 4 ] || fail "four wanted"
[ "$(printf '%s' "$out" | sort -u | wc -l)" = 1 ] || fail "all alike wanted"

# What nests may go as deep in each of them.
run neap --workers 3 -e 'local function f(n) return n == 0 and 0 or 1 + f(n - 1) end
	print(f(15000), (pcall(string.rep, "x", -1)))
	local t = {} for i = 1, 100 do t = {t} end
	print(#require("json").encode(t))'
code_is 0
lines_are '15000 true 15000 true 15000 true 202 202 202'

# One failure ends all, and is told once, with its worker.
run neap --workers 4 -e 'error("boom")'
code_is 1
err_counts 'boom' 1
err_counts 'neap: worker ' 1
echo 'local w = require("neap").worker
	if w.id == 3 then error("boom") end
	require("fiber").sleep(1000)' > third.lua
run neap --workers 4 third.lua
code_is 1
err_has 'neap: worker 3: third.lua:2: boom'
run neap --workers 4 --log-format json third.lua
code_is 1
err_has '"worker":3,'
err_has '"message":"third.lua:2: boom'
err_has_not 'neap: '
run neap --workers 4 no_such.lua
code_is 1
err_is_one_line
run neap --workers 4 -e 'if require("neap").worker.id == 2 then
		require("fiber").channel():get()
	end
	require("fiber").sleep(1000)'
code_is 1
err_has 'neap: worker 2: the script waits for what can never come'

# An error elsewhere is logged, and its line names the worker.
run neap --workers 3 -e 'if require("neap").worker.id == 2 then
		require("fiber").create(function() error("oops") end)
	end'
code_is 0
err_has ' w2/'
err_has 'E> '
run neap -e 'require("fiber").create(function() error("oops") end)'
code_is 0
err_has_not ' w1'

# os.exit() in any of them, at once or later; the first code counts.
run neap --workers 4 -e 'if require("neap").worker.id == 3 then os.exit(7) end
	require("fiber").sleep(1000)'
code_is 7
run neap --workers 4 -e 'os.exit(require("neap").worker.id)'
[ "$code" -ge 1 ] && [ "$code" -le 4 ] || fail "a code of a worker's wanted"
run neap --workers 4 -e 'require("neap").on_shutdown(function() os.exit(6) end)'
code_is 6

# Fibers that compute give way in each of them. (Not with the thread sanitizer,
# which delivers signals late.)
case ${NEAP_SANITIZE:-} in
*thread*) ;;
*)
	run neap --workers 3 -e 'local f, w = require("fiber"), require("neap").worker
		local told = require("shared").dict("told")
		f.create(function() while true do end end)
		f.sleep(0.05)
		print(w.id)
		told:incr("count", 1, 0)
		while w.id == 2 do
			f.sleep(0.01)
			if told:get("count") == 3 then os.exit(0) end
		end'
	code_is 0
	lines_are '1 2 3'
	;;
esac

# What is not to be.
run neap --workers 0 who.lua
code_is 2
err_has 'a whole number from 1 to 256'
run neap --workers 257 who.lua
code_is 2
run neap --workers=2 -
code_is 2
err_has 'cannot run in 2 workers'
run sh -c 'ulimit -n 40; exec "$NEAP_BIN" --workers 64 who.lua'
code_is 1
err_has 'Too many open files'
err_counts 'neap: ' 1

# The console is worker 1's.
run sh -c 'echo "return require(\"neap\").worker.id" |
	"$NEAP_BIN" -i --workers 3 -e "x = 1"'
code_is 0
out_is --- '- 1' ...
run neap --workers 2 -e 'local c, w = require("console"), require("neap").worker
	if w.id == 2 then print(select(2, c.start()).message) end'
code_is 0
out_is "the console on standard input is worker 1's"
cat > listen.lua <<'END'
local console, w = require('console'), require('neap').worker
local server = assert(console.listen(arg[1]))
print(w.id, server.path == arg[1])
server:close()
END
run neap --workers 3 listen.lua "$TMPDIR/c"
code_is 0
lines_are '1 true 2 false 3 false'

# Many, up and down, leave nothing.
run neap --workers 64 -e 'require("fiber").sleep(0.01)'
code_is 0
err_is ''
