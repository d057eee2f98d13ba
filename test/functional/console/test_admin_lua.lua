-- What `show lua` tells of a state: how many coroutines it has, and how many of its fibers
-- a limit has ended.
-- test: timeout 60
local admin = require('admin_client')
local console = require('console')
local fiber = require('fiber')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path))
local c = admin.connect(path)

local function look()
    collectgarbage()
    return c:json('show lua')[1]
end

-- --- coroutines: those of scripts, of fibers, and none that is garbage ---

local before = look()
local kept, count = {}, 1000
for i = 1, count do
    kept[i] = coroutine.create(function() coroutine.yield() end)
    coroutine.resume(kept[i])
end
local after = look()
tap.is(after.coroutines - before.coroutines, count, 'suspended coroutines')
tap.is(after.fibers, before.fibers, 'they are no fibers')
tap.ok(before.coroutines >= before.fibers, 'each fiber has one')
kept = nil
tap.is(look().coroutines, before.coroutines, 'nobody has them any more')

-- --- time-outs ---

local function limited(limits, f)
    local go = fiber.channel(1)
    local done = fiber.new(function()
        go:get()
        return f()
    end)
    done:set_joinable(true)
    fiber.set_limits(done, limits)
    go:put(true)
    return done, done:join()
end

local function compute()
    while true do end
end

local function grown(what, since)
    local now, all = look(), {}
    for _, name in ipairs({ 'timeouts', 'timeouts_burst', 'timeouts_in_all',
        'timeouts_memory' }) do
        all[#all + 1] = now[name] - since[name]
    end
    tap.is(table.concat(all, ' '), what.wants, what[1])
    return now
end

-- The thread sanitizer keeps back the signals that limits need.
if os.getenv('NEAP_SANITIZE') ~= 'thread' then
    local now = look()
    limited({ burst = 0.02 }, compute)
    now = grown({ 'since its last wait', wants = '1 1 0 0' }, now)
    limited({ total = 0.02 }, function()
        while true do
            local till = os.clock() + 0.005
            while os.clock() < till do end
            fiber.sleep(0)
        end
    end)
    now = grown({ 'in all', wants = '1 0 1 0' }, now)
    limited({ memory = 2 ^ 20 }, function()
        local t = {}
        while true do
            t[#t + 1] = { #t }
        end
    end)
    now = grown({ 'memory', wants = '1 0 0 1' }, now)
    limited({ burst = 10 }, function() return true end)
    limited({ burst = 10 }, function() error('its own') end)
    local f = fiber.new(compute)
    f:set_joinable(true)
    fiber.sleep(0)
    f:cancel()
    f:join()
    grown({ 'no other end is one', wants = '0 0 0 0' }, now)
end

-- --- everywhere ---

local metrics = c:ask('show metrics')
tap.like(metrics, '\n# TYPE neap_lua_coroutines gauge\n', 'coroutines, a metric')
tap.like(metrics, '\nneap_lua_coroutines{worker="1"} %d+\n', 'with its number')
for _, name in ipairs({ 'timeouts', 'timeouts_burst', 'timeouts_in_all', 'timeouts_memory' }) do
    tap.like(metrics, ('\n# TYPE neap_lua_%s_total counter\n'):format(name), name)
end
tap.like(c:ask('show lua typed'), '%.timeouts%.1:%u%u%u%u:%w+:%d+\n', 'typed')

c:close()
server:close()
tap.done()
