-- Descriptors, threads and addresses, as sources written for Tarantool use
-- them; and work on a thread that is not done at the end of the program.
local cmod = require('cmod')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

local fds = kit.open_fds()
local m = cmod.load(kit.dir .. 'peer_coio')

-- each gives 0, or the line of what is not as it should be
for _, name in ipairs({ 'wait', 'close_wakes', 'call', 'call_in_fibers',
        'addresses' }) do
    for round = 1, 3 do
        local ok, line = m:load(name)()
        tap.ok(ok == true and line == 0, ('%s, round %d: %s'):format(name,
            round, tostring(line)))
    end
end
fiber.sleep(0.002)

-- the loop is not stalled by a thread
local ticks = 0
local ticker = fiber.new(function()
    while true do
        fiber.sleep(0.001)
        ticks = ticks + 1
    end
end)
local most, rc = 0, nil
for _ = 1, 100 do -- a busy machine may keep all of us from running
    local before = ticks
    rc = select(2, m:load('call_long')(100))
    most = math.max(most, ticks - before)
    if rc ~= 0 or most > 3 then break end
end
tap.is(rc, 0, 'a tenth of a second')
tap.ok(most > 3, 'others ran meanwhile')
ticker:cancel()

-- where nothing can wait, nothing is begun
local ok, err
kit.where_no_wait(function()
    ok, err = m:load('call_long')(1)
end)
tap.ok(ok == true and err > 0, 'inside a callback: refused')

-- a coroutine that turns out to stand where nothing can be put aside: work that
-- has begun on the stack of its call is waited for, other work is taken back
for _ = 1, 20 do
    kit.where_no_wait(function()
        ok, err = coroutine.wrap(function()
            return m:load('call_long')(5)
        end)()
    end)
    tap.is(ok, true, 'in a coroutine inside a callback')
    kit.where_no_wait(function()
        ok, err = coroutine.wrap(function()
            return m:load('addresses')()
        end)()
    end)
    tap.ok(ok == true and err > 0, 'addresses there: refused, left alone')
end

collectgarbage()
fiber.sleep(0.01) -- handles close in the loop
tap.is(kit.open_fds() - fds <= 1, true, 'no descriptor is left')

-- the program ends while a thread is at work on a call's stack
fiber.create(function() m:load('call_long')(1500) end)
tap.done()
os.exit(0)
