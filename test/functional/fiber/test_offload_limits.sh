#!/bin/sh
# fiber.offload() from outside: limits of memory, time and the queue, the end of the
# process, several workers, the report of an error.
#
# test: threads, timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# Nobody catches it: both tracebacks, and who spawned the fiber.
cat > uncaught.lua <<'LUA'
local fiber = require('fiber')
local function job()
    local function deep() error('too deep') end
    deep()
end
fiber.create(function() fiber.offload(job) end)
LUA
run neap uncaught.lua
err_has 'uncaught.lua:3: too deep'
err_has "in function 'deep'"
err_has 'which was thrown on by'
err_has 'uncaught.lua:6: in function'
err_has 'spawned at uncaught.lua:6'
err_has_not 'scratch.lua'
run neap -e "require('fiber').offload(function() error('main') end)"
code_is 1
err_has 'main'

# A hog ends alone: its neighbours, in that state and in ours, are well.
cat > hog.lua <<'LUA'
local fiber = require('fiber')
local function hog()
    local t = {}
    while true do t[#t + 1] = ('x'):rep(1000) .. #t end
end
local turns, wrong = 0, 0
local neighbour = fiber.new(function()
    while true do turns = turns + 1 fiber.sleep(0.001) end
end)
for round = 1, 2 do
    fiber.group(function(g)
        for i = 1, 4 do
            g:spawn(function()
                local ok, err = pcall(fiber.offload, hog)
                if ok or err.type ~= 'OutOfMemory' then wrong = wrong + 1 end
                ok, err = pcall(fiber.offload, function()
                    for _ = 1, 3 do
                        pcall(function()
                            local s = 'x'
                            while true do s = s .. s end
                        end)
                    end
                    return 'caught'
                end)
                if err ~= 'caught' then wrong = wrong + 1 end
            end)
            g:spawn(function()
                if fiber.offload(function(n) return n + 1 end, i) ~= i + 1 then
                    wrong = wrong + 1
                end
            end)
        end
        g:wait()
    end)
end
neighbour:cancel()
print(wrong, turns > 0, require('neap').memory().failures)
LUA
run neap --max-memory 8M hog.lua
code_is 0
out_is "0	true	0"

# The execution limits of the fiber hold there, and what it took counts.
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	run neap -e "
		local fiber = require('fiber')
		local function limited(limits, f)
			local fb = fiber.new(f)
			fb:set_joinable(true)
			fiber.set_limits(fb, limits)
			local ok, err = fb:join()
			print(ok, ok and err or err.type)
		end
		limited({ burst = 0.05 }, function()
			fiber.offload(function() while true do end end)
		end)
		limited({ total = 10 }, function()
			for _ = 1, 3 do
				fiber.offload(function()
					for _ = 1, 1e6 do end
				end)
			end
			fiber.sleep(0)
			return fiber.limits(fiber.self()).used_total > 0
		end)
		limited({ total = 0.05 }, function()
			while true do
				fiber.offload(function()
					for _ = 1, 4e5 do math.random() end
				end)
			end
		end)"
	out_is 'false	LimitExceeded' 'true	true' 'false	LimitExceeded'
fi

# No more than fit into the queue.
run neap --offload-threads 2 --offload-queue 3 -e "
	local fiber = require('fiber')
	local function forever() while true do end end
	local fibers, refused = {}, 0
	for i = 1, 8 do
		fibers[i] = fiber.create(function()
			local ok, err = pcall(fiber.offload, forever)
			if not ok and tostring(err):find('offload.queue') then
				refused = refused + 1
			end
		end)
	end
	fiber.sleep(0.05)
	print(refused)
	for _, f in ipairs(fibers) do pcall(f.cancel, f) end
	print(fiber.offload(function() return 'free' end))"
out_is 3 free

# What would wait for a reader or a writer is refused.
mkfifo pipe
exec 9<> pipe
run neap -e 'print(pcall(require("fiber").offload, function() return io.read() end))' \
	< pipe
exec 9>&-
out_has 'no event loop'

# The process ends while they run, whatever ends it.
endless="
	local fiber = require('fiber')
	for i = 1, 4 do
		fiber.create(function()
			fiber.offload(function()
				while true do
					pcall(function() while true do end end)
				end
			end)
		end)
	end"
run timeout -s KILL $((patience * 3)) "$NEAP_BIN" -e "$endless
	fiber.sleep(0.05)
	os.exit(7)"
code_is 7
err_is ''
run timeout -s KILL $((patience * 3)) "$NEAP_BIN" -e "$endless error('no')"
code_is 1
err_has_not 'did not end'
run timeout -s KILL $((patience * 3)) sh -c '"$NEAP_BIN" -e "$1
	print(\"begun\") io.stdout:flush()" > begun & pid=$!
	until grep -q begun begun 2> /dev/null; do sleep 0.05; done
	kill -TERM $pid; wait $pid' sh "$endless"
code_is 0
err_has_not 'did not end'

# Two workers at once.
cat > both.lua <<'LUA'
local fiber = require('fiber')
local wrong = 0
fiber.group(function(g)
    for i = 1, 16 do
        g:spawn(function()
            for k = 1, 20 do
                local t = fiber.offload(function(a, b)
                    local json = require('json')
                    mine = (mine or 0) + a
                    return json.decode(json.encode({ mine, b }))
                end, i, k)
                if t[1] ~= i or t[2] ~= k then wrong = wrong + 1 end
                local ok, err = pcall(fiber.deadline, 0.001 * (k % 3),
                    fiber.offload, function() for _ = 1, 1e7 do end error('end', 0) end)
                if ok or err ~= 'end' and err.type ~= 'TimedOut' then
                    wrong = wrong + 1
                end
            end
        end)
    end
    g:wait()
end)
print(wrong)
LUA
run neap --workers 2 both.lua
code_is 0
out_is 0 0

# What was offloaded counts for the fiber, which cannot go on by catching the error.
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	cat > again.lua <<'LUA'
local fiber = require('fiber')
local rounds = 0
local f = fiber.new(function()
    while rounds < 1000 do
        rounds = rounds + 1
        pcall(fiber.offload, function() while true do end end)
    end
end)
f:set_joinable(true)
fiber.set_limits(f, { total = 0.1 })
local ok, err = f:join()
print(ok, err.type, rounds)
LUA
	run neap again.lua
	code_is 0
	out_is 'false	LimitExceeded	1'
fi
