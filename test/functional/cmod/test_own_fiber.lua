-- Fibers that C modules make by neap's own header.
local cmod = require('cmod')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

local m = cmod.load(kit.dir .. 'own_fibers')

local ok, err = m:load('was_refused')()
tap.ok(ok == true and err == true, 'no fiber from init: ' .. tostring(err))
for _ = 1, 3 do
    ok, err = m:load('join')()
    tap.ok(ok == true and err == true, 'joins: ' .. tostring(err))
end
ok, err = m:load('join_failed')()
tap.is(ok, nil, 'a failure is handed on')
tap.is(err.message, 'failed with reason', 'with its error')
tap.ok(err.trace[1].line > 0, 'and its place')
ok, err = m:load('loner')()
tap.is(ok, true, 'one without a name, whose error is logged')
fiber.sleep(0.005)

-- in a coroutine of the user's, and where nothing can wait
ok, err = coroutine.wrap(function() return m:load('join')() end)()
tap.ok(ok == true and err == true, 'inside a coroutine')
kit.where_no_wait(function() ok, err = m:load('join_refused')() end)
tap.ok(ok == true and err == true, 'inside a callback a join is refused')

m = nil
fiber.sleep(0.01)
tap.is(kit.live_count(), 0, 'no module is left, joined or not')
tap.done()
os.exit(0)
