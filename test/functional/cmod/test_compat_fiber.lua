-- Fibers made in C, as sources written for Tarantool make them, and what Lua
-- sees of them.
local cmod = require('cmod')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

local fds = kit.open_fds()
local m = cmod.load(kit.dir .. 'peer_fibers')

local function count()
    local n = 0
    for _ in pairs(fiber.info()) do
        n = n + 1
    end
    return n
end

local function find(name)
    for id, f in pairs(fiber.info({ backtrace = true })) do
        if f.name == name then
            return fiber.find(id), f
        end
    end
end

-- each gives 0, or the line of what is not as it should be
local before = count()
for _, name in ipairs({ 'start_join', 'results', 'fail_alone',
        'fail_alone_at_once', 'tree', 'chain', 'cancel_wakeup', 'cancellable',
        'bad_joins', 'conds', 'cond_delete', 'attributes', 'on_a_thread',
        'descriptors' }) do
    for round = 1, 3 do
        local ok, line = m:load(name)()
        tap.ok(ok == true and line == 0, ('%s, round %d: %s'):format(name,
            round, tostring(line)))
    end
end
fiber.sleep(0.002)
tap.is(count(), before, 'no fiber is left')

-- a condition between two calls
local x = fiber.new(function() return m:load('cond_of_calls_wait')() end)
x:set_joinable(true)
fiber.sleep(0)
tap.is(select(2, m:load('cond_of_calls_signal')()), 0, 'signalled by a call')
local _, ok, rc = x:join()
tap.ok(ok == true and rc == 0, 'and the other call goes on')

-- Lua sees it
tap.is(select(2, m:load('show')()), 0, 'one to see')
local f, info = find('a fiber with a name longer than ours used to be')
tap.ok(f ~= nil, 'fiber.info() and fiber.find() know it by its name')
tap.is(info.backtrace[1].C, 'made in C', 'it has no traceback')
tap.is(info.status, 'suspended', 'its status')
tap.is(f:status(), 'suspended', 'its own status')
tap.is(fiber.find(f:id()), f, 'its object is one')
f:name('renamed')
tap.is(f:name(), 'renamed', 'and can be renamed')
f.storage.key = 'value'
tap.is(f.storage.key, 'value', 'it has a storage')
tap.ok(f:csw() >= 1, 'its switches are counted')
f:wakeup()
fiber.sleep(0)
tap.is(select(2, m:load('is_shown')()), 1, 'woken, it sleeps on')
f:cancel()
fiber.sleep(0)
tap.is(select(2, m:load('is_shown')()), 0, 'cancelled, it has ended')
tap.is(f:status(), 'dead', 'dead')
tap.ok(not pcall(f.cancel, f), 'and cannot be cancelled any more')
tap.is(fiber.find(f:id()), nil, 'nor found')

-- Lua joins it
for _, fails in ipairs({ true, false }) do
    x = fiber.new(function() return m:load('for_lua')(fails) end)
    fiber.sleep(0)
    f = find('for lua')
    f:set_joinable(true)
    local ok, err = f:join()
    tap.is(ok, not fails, 'join: ok')
    tap.is(fails and err.message or err, fails and 'for Lua' or nil,
        'join: its error')
    tap.ok(not pcall(f.join, f), 'once')
end
tap.is((m:load('show')()), true, 'another')
f = find('a fiber with a name longer than ours used to be')
f:set_joinable(true)
tap.ok(select(2, f:join(0.001)).type == 'TimedOut', 'join: not yet')
f:cancel()
tap.is((f:join()), true, 'join: after a cancel')

-- its library stays while it lives
tap.is((m:load('show')()), true, 'one more')
m = nil
f = nil
tap.is(kit.live_count(), 1, 'its library is held by the fiber alone')
find('a fiber with a name longer than ours used to be'):cancel()
fiber.sleep(0)
tap.is(kit.live_count(), 0, 'and gone when it has ended')
tap.is(kit.open_fds(), fds, 'no descriptor is left')

-- what is left at the end of the program is ended or given up with it
m = cmod.load(kit.dir .. 'peer_fibers')
tap.is(select(2, m:load('leave_some')()), 0, 'some are left for the end')
tap.done()
os.exit(0)
