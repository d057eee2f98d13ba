#!/bin/sh
# The table of all strings has to grow in the turn of one who has taken nothing, and
# there is no room for it: nobody ends by it.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > strings.lua <<'END'
local fiber, neap = require('fiber'), require('neap')
local kept = require('table.new')(65000, 0)
local holder = fiber.new(function() -- LuaJIT's table has 65,536 places
    for i = 1, 65000 do kept[i] = 'name ' .. i end
end)
holder:set_joinable(true)
assert(holder:join())
local before = neap.memory()
local neighbour = fiber.new(function()
    local last
    for i = 1, 3000 do last = 'mine ' .. i end
    return last
end)
neighbour:set_joinable(true)
print(neighbour:join())
print(neap.memory().failures - before.failures)
-- And all is found that there was.
local wrong = 0
for i = 1, 65000 do
    if kept[i] ~= 'name ' .. i then wrong = wrong + 1 end
end
print(wrong)
END
run neap --max-memory 4M strings.lua
out_is 'true	mine 3000
0
0'
err_is ''
code_is 0
