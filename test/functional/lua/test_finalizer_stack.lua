-- The collector at work where the stack is nearly full: finalizers have no room there,
-- and are called elsewhere, each of them.
local tap = require('tap')
local ffi = require('ffi')

jit.off()
local made, done = 0, 0
local function litter()
    for _ = 1, 300 do
        made = made + 1
        ffi.gc(ffi.new('char[1]'), function() done = done + 1 end)
    end
end

-- So many calls deep, and there more garbage than the collector lets be.
local left
local function deep(n)
    left = n
    if n == 0 then
        for _ = 1, 30000 do local _ = {} end
    else
        deep(n - 1)
    end
    return 1
end

tap.is(pcall(deep, 1e6), false, 'there is an end')
local depth = 1e6 - left
for more = -8, 1 do
    litter()
    pcall(deep, depth + more)
end
for _ = 1, 4 do collectgarbage() end
tap.is(done, made, 'every finalizer was called, and came to its end')
tap.done()
