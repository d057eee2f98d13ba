-- What rules of test_visits.sh call, for both kinds of state: `load: {file:
-- visits_steps.lua, args: [s]}` and `load_per_thread: {.., args: [p]}`. What a step does must
-- not depend on the kind.
local kind = ...
local fiber = require('fiber')
local other = kind == 's' and 'lua_p' or 'lua_s'

local function name(what)
    return kind .. '-' .. what
end

local function note(txn, text)
    txn:set_var('txn.trace', (txn:get_var('txn.trace') or '') .. text)
end

local actions = {
    note = function(txn)
        local n = (txn:get_priv() or 0) + 1
        txn:set_priv(n)
        note(txn, 'n' .. n)
    end,
    header = function(txn)
        note(txn, 'h' .. #txn.sf:req_fhdr('x-a'))
        txn.http:req_add_header('x-a', 'one')
        txn.http:req_set_header('x-b', txn.sf:method() .. txn.sf:path())
        note(txn, 'h' .. txn.f:req_fhdr_cnt('x-a'))
    end,
    path = function(txn)
        txn.http:req_set_path('/changed' .. txn.sf:path())
        note(txn, txn.sf:path() .. (txn.sf:query()))
    end,
    method = function(txn)
        txn.http:req_set_method('PUT')
    end,
    ask = function(txn) -- the worker, for what the copy of a request has not
        txn.http:req_set_header('x-asked', 'yes')
        note(txn, 'a' .. txn.sf:nbthread() .. txn.sf:req_hdr('x-asked'))
    end,
    wait = function(txn)
        note(txn, 'w')
        core.msleep(1)
        note(txn, 'W')
    end,
    yield = function(txn)
        local turn = (txn:get_var('txn.turn') or 0) + 1
        txn:set_var('txn.turn', turn)
        note(txn, 'y')
        if turn % 2 == 1 then
            act.wake_time(2)
            return act.YIELD
        end
    end,
    silent = function(txn)
        txn:set_loglevel(-1)
    end,
    fail = function(txn)
        txn.http:req_set_header('x-failed', 'yes') -- which stays
        note(txn, 'f')
        error('on purpose')
    end,
    nest = function(txn) -- into the other kind of state, and what it sees of the changes
        txn.http:req_set_header('x-nest', 'yes')
        note(txn, 'N' .. tostring(txn.f[other .. '_where'](txn.f, 'n')))
    end,
    session = function(txn)
        local n = (txn:get_var('sess.n') or 0) + 1
        txn:set_var('sess.n', n)
        txn:set_var('txn.x', ('long '):rep(500 * n))
        txn:unset_var('txn.y')
        note(txn, 'v' .. n)
    end,
    many = function(txn)
        for i = 1, 30 do
            txn.http:req_add_header('x-many', tostring(i))
        end
        txn.http:req_del_header('x-none')
        note(txn, 'm' .. txn.f:req_fhdr_cnt('x-many'))
    end,
    object = function(txn)
        note(txn, 'o')
        error({ 'no text' })
    end,
    leave = function(txn)
        note(txn, 'l')
        core.done(act.CONTINUE)
    end,
    cancel = function(txn)
        note(txn, 'c')
        fiber.self():cancel()
        core.msleep(1)
        note(txn, 'C')
    end,
    stop = function(txn)
        note(txn, 's')
        return act.STOP
    end,
    deny = function()
        return act.DENY
    end,
    abort = function()
        return act.ABORT
    end,
    done = function(txn)
        local reply = txn:reply()
        reply:set_status(202)
        reply:add_header('x-trace', txn:get_var('txn.trace') or '-')
        reply:set_body('done')
        txn:done(reply)
    end,
}
for what, f in pairs(actions) do
    core.register_action(name(what), { 'http-req' }, f)
end

core.register_fetches(name('where'), function(txn, text)
    return text .. txn.sf:path() .. ':' .. txn.sf:req_hdr('x-a')
end)
core.register_fetches(name('none'), function() end)
core.register_fetches(name('throw'), function() error('on purpose') end)
core.register_fetches(name('yes'), function() core.yield() return true end)

core.register_converters(name('mark'), function(value, sign)
    return sign .. tostring(value)
end)
core.register_converters(name('drop'), function() end)
core.register_converters(name('throw'), function() error('on purpose') end)

local function answer(applet)
    applet:set_status(201, 'Told')
    applet:add_header('x-trace', applet:get_var('txn.trace') or '-')
    applet:add_header('x-x', tostring(applet:get_var('txn.x')))
    applet:add_header('x-y', tostring(applet:get_var('txn.y')))
    applet:add_header('x-seen', applet.method .. applet.path .. applet.qs ..
        (applet.headers['x-b'] and applet.headers['x-b'][0] or '') ..
        (applet.headers['x-failed'] and 'failed' or ''))
    applet:start_response()
end

local services = {
    whole = function(applet)
        answer(applet)
        applet:send('whole ' .. applet:receive())
    end,
    pieces = function(applet)
        answer(applet)
        for i = 1, 3 do
            applet:send(('piece %d\n'):format(i))
            core.msleep(1)
        end
    end,
    nothing = function() end,
    early = function() error('on purpose') end,
    late = function(applet)
        answer(applet)
        applet:send('begun')
        core.msleep(1)
        error('on purpose')
    end,
}
for what, f in pairs(services) do
    core.register_service(name(what), 'http', f)
end
