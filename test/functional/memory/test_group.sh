#!/bin/sh
# Groups where memory runs out: members do not outlive the scope of who took it all, and
# nobody waits for ever for a member that could not be spawned.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > group.lua <<'END'
local fiber = require('fiber')
local alive, caught = 0, false

local function member()
    alive = alive + 1
    pcall(fiber.sleep, 1000)
    alive = alive - 1
end

local function scope(f)
    fiber.group(function(g)
        for _ = 1, 3 do g:spawn(member) end
        fiber.yield()
        f(g)
    end)
end

local function take_all()
    local t, n = {}, 0
    while true do
        n = n + 1
        t[n] = {}
    end
end

local function spawn_all(g)
    while true do g:spawn(member) end
end

for _, compile in ipairs({ 'on', 'off' }) do
    jit[compile]()
    for what, f in pairs({ takes = take_all, spawns = spawn_all }) do
        for round = 1, 3 do
            local one = fiber.new(scope, f)
            one:set_joinable(true)
            local ok, err = one:join()
            if ok or tostring(err) ~= 'not enough memory' or alive ~= 0 then
                print(what, compile, round, ok, err, alive)
                os.exit(1)
            end
        end
    end
end
print('ok')
END

run neap --log-level fatal --max-memory 16M group.lua
out_is ok
code_is 0
