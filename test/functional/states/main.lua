-- Run by each worker of test_states.sh: what is wrong is a line with FAIL, and
-- one with "done" is last.
local fiber = require('fiber')
local states = require('neap.states')

local tsan = (os.getenv('NEAP_SANITIZE') or ''):find('thread') ~= nil
local preempted = not tsan
local me = states.id

local function check(v, name, ...)
    if not v then
        print('FAIL', me, name, ...)
    end
end

local function is(got, want, name)
    check(got == want, name, 'got', got, 'want', want)
end

local function fails(pattern, name, f, ...)
    local ok, err = pcall(f, ...)
    check(not ok, name, 'it did not fail')
    check(tostring(err):find(pattern), name, tostring(err))
    return err
end

collectgarbage('stop')

-- MT1, MT33: chains, each function where it belongs.
for _, chain in ipairs({'SP', 'PS', 'SPS', 'PSP', 'SSPP'}) do
    states.with_request(function(r)
        for kind in chain:gmatch('.') do
            is(r:call('action', kind .. '-where'), kind == 'S' and 0 or me,
                chain)
        end
    end)
end

-- MT2: any mixture gives what one state alone would.
math.randomseed(me)
for seed = 1, tsan and 100 or 1000 do
    local sum, trace = 0, ''
    states.with_request(function(r)
        for _ = 1, 20 do
            local kind = math.random(2) == 1 and 'S-step' or 'P-step'
            local x, what = math.random(1000), math.random(3)
            if what == 1 then
                sum = sum * 31 % 65521 + x
                trace = trace .. 'a'
                r:call('action', kind, x)
            elseif what == 2 then
                local got, way = r:call('fetch', kind, x)
                is(got, sum + x, 'fetch')
                is(way or '', trace, 'trace')
            else
                is(r:call('converter', kind, x),
                    ('%d:%d'):format(x, x * x % 997), 'converter')
            end
        end
        is(r:get_var('sum') or 0, sum, 'seed ' .. seed)
    end)
end

-- MT3: nested, there and back and there; and no end of it.
states.with_request(function(r)
    is(r:call('action', 'S-nest', 'abc'), 'S(P(ABC))', 'nested')
    fails('calls are 64 deep', 'depth', r.call, r, 'action', 'S-deep', 0)
    is(r:call('action', 'S-nest', 'x'), 'S(P(X))', 'nested after that')
end)

-- MT4 and MT33: the counter of each state is its own.
states.with_request(function(r)
    local id, n = r:call('action', 'own-count')
    is(id, me, 'own state')
    check(n > me * 1000000 and n < (me + 1) * 1000000, 'own counter', n)
    check(r:call('action', 'count') > 0, 'shared counter')
end)

-- MT6, MT8, MT9, MT10: private data.
states.with_request(function(r)
    r:call('action', 'S-set-priv', 'one')
    is(r:call('fetch', 'P-get-priv'), nil, 'P has nothing yet')
    is(r:get_priv(), nil, 'nor here')
    r:call('action', 'P-set-priv', 'two')
    is(r:get_priv()[2], 'two', 'the object is the same in one state')
    local function both(name)
        local kind, v = r:call('fetch', 'S-get-priv')
        is(kind .. v, 'Sone', name)
        kind, v = r:call('fetch', 'P-get-priv')
        is(kind .. v, 'Ptwo', name)
    end
    both('own values')
    fails('', 'error', r.call, r, 'action', 'S-fail', 'x')
    fails('', 'error', r.call, r, 'action', 'P-fail', 'x')
    both('after errors')
    r:call('action', 'S-sleep', 0.001)
    r:call('action', 'P-sleep', 0.001)
    both('after a sleep')
    fails('deadline is over', 'timeout', fiber.deadline, 0.01, r.call, r, 'action',
        'S-sleep', 100)
    fails('deadline is over', 'timeout', fiber.deadline, 0.01, r.call, r, 'action',
        'P-sleep', 100)
    both('after timeouts')
end)
states.with_request(function(r)
    is(r:call('fetch', 'S-get-priv'), nil, 'next request, S')
    is(r:call('fetch', 'P-get-priv'), nil, 'next request, P')
    is(r:get_var('sum'), nil, 'next request, variables')
end)

-- MT7: variables cross, with their types.
states.with_request(function(r)
    local values = {'text', '', 'a\0b', 0, -1.5, 2 ^ 52 + 0.5, 1 / 0, true, false}
    for _, from in ipairs({'S', 'P'}) do
        for i, v in ipairs(values) do
            r:call('action', from .. '-set-var', 'v' .. i, v)
        end
        for _, to in ipairs({'S', 'P'}) do
            for i, v in ipairs(values) do
                is(r:call('fetch', to .. '-get-var', 'v' .. i), v,
                    from .. to .. i)
                is(type(r:get_var('v' .. i)), type(v), 'its type')
            end
        end
    end
    r:set_var('v1', 2 ^ 60)
    is(r:get_var('v1'), 2 ^ 60, 'a large number')
    r:set_var('v1', nil)
    is(r:call('fetch', 'S-get-var', 'v1'), nil, 'removed')
    for _, kind in ipairs({'S', 'P'}) do
        fails("variable 'bad': a string, a number or a boolean is wanted, "
            .. 'not table', 'a table', r.call, r, 'action',
            kind .. '-set-bad-var')
    end
    fails('wanted, not function', 'a function', r.set_var, r, 'f', print)
    fails('the name of a variable', 'no name', r.set_var, r, '', 1)
    fails('at most 256 variables', 'too many', function()
        for i = 1, 1000 do r:set_var('n' .. i, i) end
    end)
end)
states.with_request(function(r)
    fails('bytes', 'too large', r.set_var, r, 'x', ('x'):rep(1100000))
    r:set_var('x', ('x'):rep(600000))
    fails('bytes in all', 'too large', r.set_var, r, 'y', ('y'):rep(600000))
    r:set_var('x', 1)
    r:set_var('y', ('y'):rep(600000))
    is(#r:get_var('y'), 600000, 'it was given back')
end)

-- Values by copy, nil where it was.
states.with_request(function(r)
    for _, kind in ipairs({'S', 'P'}) do
        local n, a, b, c, d = r:call('action', kind .. '-echo', nil, {1, {x = 2}},
            'x', nil)
        is(n, 4, 'count')
        is(a, nil, 'nil')
        is(b[2].x, 2, 'table')
        is(c, 'x', 'string')
        is(d, nil, 'last nil')
        is(r:call('action', kind .. '-echo'), 0, 'nothing')
        is(#select(2, r:call('action', kind .. '-echo', ('z'):rep(1e6))), 1e6,
            'much')
        is((r:call('action', kind .. '-echo', unpack({}, 1, 200))), 200,
            'many')
        fails('function', 'result', r.call, r, 'fetch', kind .. '-function')
        fails('function', 'argument', r.call, r, 'action', kind .. '-echo',
            print)
    end
end)

-- MT11: errors name state, place and function; then others run.
states.with_request(function(r)
    local err = fails('boom', 'S', r.call, r, 'action', 'S-fail', 'boom')
    check(tostring(err):find("^action 'S%-fail' in the shared state: "
        .. "[^\n]*states_common.lua:%d+: boom\n"), 'text', err)
    check(tostring(err):find("in function 'inner'", 1, true), 'function', err)
    check(not tostring(err):find('neap.states', 1, true), 'no frames of ours',
        err)
    is(r:call('action', 'P-where'), me, 'P runs on')
    err = fails('boom', 'P', r.call, r, 'action', 'P-fail', 'boom')
    check(tostring(err):find("^action 'P%-fail' in worker " .. me), 'text', err)
    is(r:call('action', 'S-where'), 0, 'S runs on')
    fails("there is no action 'nowhere'", 'none', r.call, r, 'action',
        'nowhere')
    fails("there is no fetch 'S%-where'", 'kind', r.call, r, 'fetch',
        'S-where')
    fails('one of action', 'kind', r.call, r, 'thing', 'S-where')
end)

-- MT13: limits of each call, its clock begins at zero.
if preempted then
    fiber.set_limits('filter', {burst = 0.02})
    states.with_request(function(r)
        r:call('action', 'P-set-priv', 'kept')
        for _ = 1, 2 do
            local err = fails('limit of filter', 'burst', r.call, r, 'filter',
                'P-burst')
            is(err.type, 'LimitExceeded', 'type')
            check(tostring(err):find('since its last wait'), 'which', err)
        end
        fails('limit of filter', 'swallow', r.call, r, 'filter', 'P-swallow')
        fiber.set_limits('filter', {total = 0.05})
        local err = fails('limit of filter', 'total', r.call, r, 'filter',
            'P-total')
        check(not tostring(err):find('since its last wait'), 'which', err)
        is(r:call('action', 'S-where'), 0, 'S is fine')
        is(r:call('action', 'P-where'), me, 'and P')
        is(select(2, r:call('fetch', 'P-get-priv')), 'kept', 'private data')
    end)
end

-- MT15: the client goes while they sleep, or before, or between.
for _, kind in ipairs({'S', 'P'}) do
    local fibers, begun = {}, fiber.channel(100)
    for i = 1, 20 do
        fibers[i] = fiber.create(function()
            states.with_request(function(r)
                begun:put(true)
                r:call('action', 'S-set-priv', i)
                r:call('action', 'P-set-priv', i)
                r:call('action', kind .. '-sleep-counted', 1000)
            end)
        end)
        fibers[i]:set_joinable(true)
    end
    for _ = 1, 20 do begun:get() end
    for i = 1, 20 do
        if i % 2 == 0 then fiber.sleep(0.001) end
        fibers[i]:cancel()
    end
    for i = 1, 20 do
        local ok, err = fibers[i]:join()
        check(not ok and err.type == 'FiberIsCancelled', 'cancelled', err)
    end
end

-- A request that is over is so in all states.
local kept
states.with_request(function(r)
    kept = r
    r:call('action', 'S-where')
end)
fails('the request is over', 'call', kept.call, kept, 'action', 'S-where')
fails('the request is over', 'priv', kept.get_priv, kept)
fails('the request is over', 'var', kept.set_var, kept, 'x', 1)
check(tostring(kept):find('over'), 'tostring')
fails('oops', 'its error', states.with_request, function() error('oops') end)
is(select('#', states.with_request(function() return nil, nil end)), 2,
    'its results')

-- Too late, and in vain.
fails('comes too late', 'register', states.register, 'action', 'late',
    function() end)
fails('a function is wanted', 'register', states.register, 'action', 'x', 1)
fails('too late', 'init', states.init, function() end)
local done = fiber.channel(1)
states.task(function(x) done:put(x) end, 'now')
is(done:get(10), 'now', 'a task of a started state')

-- Inside a user's coroutine.
states.with_request(function(r)
    is(coroutine.wrap(function() return r:call('action', 'S-where') end)(), 0,
        'in a coroutine')
end)

-- MT5: all at once, and nobody lost. S and P go on while others sleep there.
local count, finished = tsan and 200 or 2500, {}
local group = fiber.group()
for i = 1, count do
    group:spawn(function()
        states.with_request(function(r)
            local first, second = 'S-sleep', 'P-sleep'
            if i % 2 == 0 then first, second = second, first end
            r:call('action', 'S-set-priv', i)
            is(r:call('action', first, 0.02), first == 'S-sleep' and 0 or me,
                'first')
            is(r:call('action', second, 0.01), second == 'S-sleep' and 0 or me,
                'second')
            is(select(2, r:call('fetch', 'S-get-priv')), i, 'its own')
        end)
        finished[i] = true
    end)
end
group:wait()
is(#finished, count, 'all have finished')

-- MT25: a queue of the shared state serves all workers; what one puts another
-- may get, and none is lost or doubled.
states.with_request(function(r)
    for i = 1, 50 do
        r:call('action', 'put', me * 1000 + i)
    end
    for _ = 1, 50 do
        r:call('action', 'got', r:call('action', 'get'))
    end
end)

-- MT24: so does a pipe, whichever worker opened it.
states.with_request(function(r)
    local line = r:call('action', 'pipe-line')
    check(tonumber(line) ~= nil, 'a line of the pipe', line)
end)

states.with_request(function(r)
    r:call('action', 'finish', me)
end)
if me == 1 then
    states.with_request(function(r)
        while r:call('action', 'finished') < states.count do
            fiber.sleep(0.01)
        end
        is(r:call('fetch', 'got'), states.count * 50, 'all values got')
        r:call('action', 'pipe-close')
    end)
    -- What was cancelled, here and there, goes soon; nothing waits for the
    -- collector.
    local requests, contexts
    for _ = 1, 1000 do
        requests, contexts = states.counts()
        if requests == 0 and contexts == 0 then break end
        fiber.sleep(0.01)
    end
    is(requests, 0, 'no request is left')
    is(contexts, 0, 'no context is left')
end
print('done')
