#!/bin/sh
# A request that ends, or whose caller goes, while its functions run in both
# kinds of states: they meet an error when they use it, a cancel reaches them
# through all calls, and neither a request nor a context is left.
#
# test: timeout 120, threads, turns
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > common.lua <<'END'
local fiber, states = require('fiber'), require('neap.states')

return function(kind, other)
    local function action(name, f)
        states.register('action', kind .. '-' .. name, f)
    end

    local kept, waiting, cancelled, open = {}, {}, {}, {}

    -- Until it is told to go on; then what it finds of its request.
    action('wait-and-use', function(r, id)
        r:set_priv('mine')
        kept[id] = r
        waiting[id] = fiber.channel(1)
        waiting[id]:get()
        waiting[id] = nil
        local out = {}
        for i, f in ipairs({
            function() r:set_priv(1) end,
            function() return r:get_priv() end,
            function() r:set_var('x', 1) end,
            function() return r:get_var('x') end,
            function() r:call('action', kind .. '-where') end,
            function() r:call('action', other .. '-where') end,
        }) do
            local ok, err = pcall(f)
            out[i] = ok and 'it works' or tostring(err)
        end
        return unpack(out)
    end)
    action('is-waiting', function(_, id)
        return waiting[id] ~= nil
    end)
    action('go-on', function(_, id)
        waiting[id]:put(true)
    end)
    action('kept', function(_, id)
        local ok, err = pcall(kept[id].get_priv, kept[id])
        return tostring(kept[id]), ok, tostring(err)
    end)
    action('where', function()
        return states.id
    end)
    -- Tells that the other kind has been called: not before it waits for that.
    action('ask-back', function(r, key)
        fiber.new(function()
            require('shared').dict('asked'):set(key, true)
        end)
        return r:call('action', other .. '-where')
    end)

    -- Calls the other kind, back and forth; the innermost waits for ever.
    action('down', function(r, id, depth)
        open[id] = (open[id] or 0) + 1
        local ok, err = pcall(function()
            if depth == 0 then
                fiber.sleep(1e6)
            end
            r:call('action', other .. '-down', id, depth - 1)
        end)
        if not ok and err.type == 'FiberIsCancelled' then
            cancelled[id] = (cancelled[id] or 0) + 1
        end
        open[id] = open[id] - 1
        error(err, 0)
    end)
    action('open', function(_, id)
        return open[id] or 0
    end)
    action('cancelled', function(_, id)
        return cancelled[id] or 0
    end)
end
END
echo "require('common')('S', 'P')" > s.lua
echo "require('common')('P', 'S')" > p.lua
cat > main.lua <<'END'
local fiber, states = require('fiber'), require('neap.states')
local me = states.id

local function eventually(what, f)
    for _ = 1, 4000 do
        if f() then return end
        fiber.sleep(0.005)
    end
    error('in vain: ' .. what)
end

local function ask(...)
    return states.with_request(function(r, ...)
        return r:call('action', ...)
    end, ...)
end

-- The request ends under a function that waits: another fiber ends it.
for _, kind in ipairs({'S', 'P'}) do
    local id, caller, results = kind .. me, nil, nil
    states.with_request(function(r)
        r:set_var('x', 'text')
        caller = fiber.new(function()
            results = {r:call('action', kind .. '-wait-and-use', id)}
        end)
        caller:set_joinable(true)
        eventually('a function that waits', function()
            return ask(kind .. '-is-waiting', id)
        end)
    end)
    ask(kind .. '-go-on', id)
    local ok, err = caller:join()
    assert(ok, tostring(err))
    assert(#results == 6, #results)
    for i, text in ipairs(results) do
        assert(text == 'the request is over', i .. text)
    end
    -- The object that somebody kept is not the request.
    local text, fine, why = ask(kind .. '-kept', id)
    assert(text == 'request (over)', text)
    assert(not fine and why == 'the request is over', why)
end

-- With the call still on its way: whether it begins or not, its caller is told.
for i = 1, 200 do
    local caller
    local kind = i % 2 == 0 and 'S' or 'P'
    states.with_request(function(r)
        caller = fiber.new(function()
            return r:call('action', kind .. '-where')
        end)
        caller:set_joinable(true)
        if i % 4 < 2 then fiber.yield() end
    end)
    local ok, got = caller:join()
    if ok then
        assert(got == (kind == 'S' and 0 or me), got)
    else
        assert(tostring(got):find('the request is over', 1, true), tostring(got))
    end
end

-- With a call of the shared state's on its way here: it comes after the end of the
-- request has been dealt with here, and must not begin it anew.
local asked = require('shared').dict('asked')
for i = 1, 20 do
    local caller
    local key = me .. ' ' .. i
    states.with_request(function(r)
        caller = fiber.new(function()
            return r:call('action', 'S-ask-back', key)
        end)
        caller:set_joinable(true)
        fiber.yield()
        local last = fiber.clock() + 5
        repeat until asked:get(key) or fiber.clock() > last
    end)
    local ok, got = caller:join()
    assert(ok and got == me
        or tostring(got):find('the request is over', 1, true), tostring(got))
end

-- The caller is cancelled: so is everybody in the chain, from either kind.
for i, kind in ipairs({'S', 'P', 'S', 'P'}) do
    local id, depth = ('%d %d'):format(me, i), 2 + i
    local f = fiber.new(states.with_request, function(r)
        r:call('action', kind .. '-down', id, depth)
    end)
    f:set_joinable(true)
    eventually('all of them open', function()
        return ask('S-open', id) + ask('P-open', id) == depth + 1
    end)
    f:cancel()
    local ok, err = f:join()
    assert(not ok and err.type == 'FiberIsCancelled', tostring(err))
    eventually('all of them closed', function()
        return ask('S-open', id) == 0 and ask('P-open', id) == 0
    end)
    local told = ask('S-cancelled', id) + ask('P-cancelled', id)
    assert(told == depth + 1, told)
end

local dict = require('shared').dict('done')
if dict:incr('workers', 1, 0) == states.count then
    local requests, contexts
    for _ = 1, 2000 do
        requests, contexts = states.counts()
        if requests == 0 and contexts == 0 then break end
        fiber.sleep(0.005)
    end
    assert(requests == 0 and contexts == 0, requests .. ' ' .. contexts)
    print('nothing is left')
end
END
LUA_PATH="./?.lua;${LUA_PATH:-;}"
export LUA_PATH
for workers in 1 3; do
	run neap --workers $workers --load s.lua --load-per-thread p.lua main.lua
	err_is ''
	code_is 0
	out_is 'nothing is left'
done
