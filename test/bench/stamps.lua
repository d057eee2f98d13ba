-- Writes lines that tell when they were written, every 1 to 3 ms, until nobody
-- reads any more or the seconds are over: `bare stamps.lua CORE SECONDS`.

local bare = bare
local core, seconds = tonumber(arg[1]), tonumber(arg[2])
if core >= 0 then
    bare.pin(core)
end
io.stdout:setvbuf('no')
local to = bare.clock() + seconds
while bare.clock() < to do
    bare.sleep(0.001 + math.random() * 0.002)
    if not io.stdout:write(('%.9f\n'):format(bare.clock())) then
        break
    end
end
