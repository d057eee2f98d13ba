-- Where a compiled loop is left to give way is no hot code: nothing is recorded
-- there, for the hook would abort it, and after some tries the exit would be given
-- up, also for what leaves there by itself.
--
-- test: timeout 120
local tap = require('tap')
local fiber = require('fiber')
local ok, vmdef = pcall(require, 'jit.vmdef')

local HOOKED = 0 -- "error thrown or hook called during recording"
if ok then
    tap.is(vmdef.traceerr[HOOKED],
           'error thrown or hook called during recording', 'its number')
end

local compiled, hooked = 0, 0
jit.attach(function(what, _, _, _, err)
    if what == 'stop' then
        compiled = compiled + 1
    elseif what == 'abort' and err == HOOKED then
        hooked = hooked + 1
    end
end, 'trace')

-- Two kinds of elements in the loop, so that traces have traces on their sides.
local items = {}
for i = 1, 50 do
    items[i] = i % 3 == 0 and { size = i } or { size = i, other = i }
end

local function total()
    local sum = 0
    for i = 1, #items do
        local item = items[i]
        sum = sum + (item.other and item.other or -item.size)
    end
    return sum
end

local wanted, wrong = total(), 0
local given = 0
local spinner = fiber.new(function()
    while given < 100 do
        for _ = 1, 1000 do
            wrong = wrong + (total() == wanted and 0 or 1)
        end
        given = fiber.preempted()
    end
end)
spinner:set_joinable(true)
assert(spinner:join())

tap.ok(compiled > 0, 'the loop was compiled: ' .. compiled)
tap.ok(given >= 100, 'and gave way: ' .. given)
tap.is(hooked, 0, 'recordings that a hook has aborted')
tap.is(wrong, 0, 'and its sums are right')
tap.done()
