#!/bin/sh
# A lack of memory, ten thousand times: the state is as large as before, and does
# what it did.
#
# test: timeout 120, soak 1200
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

count=1000
if [ -n "${NEAP_SOAK:-}" ]; then count=10000; fi

cat > events.lua <<'END'
local fiber, neap = require('fiber'), require('neap')
local count, kept = tonumber(arg[1]), arg[2] and {}

-- Lacks of several kinds: at once, in small steps, caught, in a coroutine, and in
-- compiled code.
local kinds = {
    function() return ('x'):rep(2 ^ 24) end,
    function() local s = 'x' while true do s = s .. s end end,
    function() local t = {} for i = 1, math.huge do t[i] = { i } end end,
    function()
        local t, n = {}, 0
        pcall(function() while true do n = n + 1 t[n] = ('y'):rep(n) end end)
        error('not enough memory')
    end,
    coroutine.wrap(function()
        while true do
            local _, err = pcall(function()
                local s = {}
                while true do s[#s + 1] = coroutine.create(print) end
            end)
            coroutine.yield(err)
        end
    end),
}

local function used()
    collectgarbage()
    collectgarbage()
    return neap.memory().used
end

local function lack(i)
    local f = fiber.new(function()
        local kind = (i - 1) % #kinds + 1
        if kind == 5 then error(kinds[kind](), 0) end
        return kinds[kind]()
    end)
    f:set_joinable(true)
    local ok, err = f:join()
    if ok or not tostring(err):find('not enough memory') then
        print('event ' .. i .. ' ended by ' .. tostring(err))
        os.exit(1)
    end
end

local sum = 0
local function work()
    local t = {}
    for i = 1, 100 do t[i] = tostring(i) end
    return #table.concat(t)
end

for i = 1, 100 do lack(i) end
local before, failures = used(), neap.memory().failures
for i = 1, count do
    lack(i)
    sum = sum + work()
    if kept then kept[i] = ('kept'):rep(25) .. i end
end
local after = used()
print('sum', sum == 192 * count)
print('events', neap.memory().failures - failures >= count)
print('level', after < before + 65536 or after - before)
print('peak', neap.memory().peak <= 4.5 * 2 ^ 20 or neap.memory().peak)
END
run neap --log-level fatal --max-memory 4M events.lua $count
out_is 'sum	true' 'events	true' 'level	true' 'peak	true'
err_is ''
code_is 0

# And is seen to be larger, when a hundred bytes of each stay.
run neap --log-level fatal --max-memory 4M events.lua 1000 leak
case $out in *'level	true'*) fail 'a leak is seen' ;; esac
