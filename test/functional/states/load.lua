-- Run by each worker of test_load.sh: fibers that do all there is, in any order,
-- and are cancelled now and then. arg[1]: for how many seconds.
local fiber = require('fiber')
local states = require('neap.states')

local seconds = tonumber(arg[1])
local sanitized = os.getenv('NEAP_SANITIZE') or ''
local fibers = sanitized:find('thread') and 20 or 100
local me = states.id
local stop_at = fiber.clock() + seconds

local function other(kind)
    return kind == 'S' and 'P' or 'S'
end

local function kind()
    return math.random(2) == 1 and 'S' or 'P'
end

local work = {
    function(r)
        local k = kind()
        local id = r:call('action', k .. '-where')
        assert(id == (k == 'S' and 0 or me))
    end,
    function(r)
        local k, v = kind(), math.random(1000)
        r:call('action', k .. '-set-priv', v)
        r:call('action', other(k) .. '-sleep', math.random(3) / 1000)
        local got_kind, got = r:call('fetch', k .. '-get-priv')
        assert(got_kind == k and got == v)
    end,
    function(r)
        local v = ('v'):rep(math.random(2000))
        r:call('action', kind() .. '-set-var', 'x', v)
        assert(r:call('fetch', kind() .. '-get-var', 'x') == v)
        assert(r:get_var('x') == v)
    end,
    function(r)
        assert(r:call('action', 'S-nest', 'abc') == 'S(P(ABC))')
    end,
    function(r)
        local k = kind()
        local ok, err = pcall(r.call, r, 'action', k .. '-fail', 'wanted')
        assert(not ok)
        assert(err.type == 'FiberIsCancelled'
            or tostring(err):find('wanted', 1, true), tostring(err))
        fiber.testcancel()
    end,
    function(r)
        local ok, err = pcall(fiber.deadline, math.random(3) / 1000, r.call, r,
            'action', kind() .. '-sleep', 100)
        assert(not ok and (err.type == 'TimedOut'
            or err.type == 'FiberIsCancelled'), tostring(err))
        fiber.testcancel()
    end,
    function(r)
        local t = {}
        for i = 1, math.random(50) do t[i] = {i, tostring(i)} end
        local n, back = r:call('action', kind() .. '-echo', t)
        assert(n == 1 and #back == #t)
    end,
}

math.randomseed(me)
local function requests()
    while fiber.clock() < stop_at do
        states.with_request(function(r)
            for _ = 1, math.random(8) do
                work[math.random(#work)](r)
            end
        end)
    end
    return true
end

-- Half of them live on, the others are cancelled after a while and replaced.
local live = {}
for i = 1, fibers do
    live[i] = fiber.new(requests)
    live[i]:set_joinable(true)
end
while fiber.clock() < stop_at do
    fiber.sleep(0.005)
    local i = math.random(fibers / 2)
    pcall(live[i].cancel, live[i]) -- at the end it may be dead already
    local ok, err = live[i]:join()
    assert(ok or err.type == 'FiberIsCancelled', tostring(err))
    live[i] = fiber.new(requests)
    live[i]:set_joinable(true)
end
for i = 1, fibers do
    local ok, err = live[i]:join()
    assert(ok, tostring(err))
end

states.with_request(function(r)
    r:call('action', 'finish', me)
end)
if me == 1 then
    states.with_request(function(r)
        while r:call('action', 'finished') < states.count do
            fiber.sleep(0.01)
        end
        r:call('action', 'pipe-close')
    end)
    collectgarbage()
    local left, contexts
    for _ = 1, 1000 do
        left, contexts = states.counts()
        if left == 0 and contexts == 0 then break end
        fiber.sleep(0.01)
    end
    assert(left == 0 and contexts == 0, left .. ' ' .. contexts)
end
print('done')
