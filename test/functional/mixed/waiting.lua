-- What waits, and what goes on meanwhile, in both kinds of state: see test_waiting.sh.
local kind, version = ...
local dict = require('shared').dict('waiting')

local function count(what)
    dict:incr(kind .. '-' .. what, 1, 0)
end

-- Until the client says so; the time between is asleep.
local function park(txn)
    count('parked')
    while not dict:get('go') do
        core.msleep(2)
    end
    count('gone_on')
    txn:set_var('txn.way', (txn:get_var('txn.way') or '') .. kind .. version)
end
core.register_action(kind .. '-park', { 'http-req', 'tcp-req' }, park)

-- Before and behind a wait, in rules that go together.
core.register_action(kind .. '-before', { 'http-req' }, function(txn)
    txn:set_priv('kept')
    txn.http:req_set_header('x-before', kind .. version)
end)
core.register_action(kind .. '-after', { 'http-req' }, function(txn)
    count('after')
    txn:set_var('txn.way', ('%s %s %s'):format(txn:get_var('txn.way'), txn:get_priv(),
        txn.f:req_hdr('x-before')))
end)

core.register_action(kind .. '-spin', { 'http-req' }, function()
    count('spinning')
    while not dict:get('go') do end
end)

core.register_service(kind .. '-quick', 'http', function(applet)
    applet:start_response()
    applet:send(('%s%s %s'):format(kind, version,
        applet:get_var('txn.way') or '-'))
end)

core.register_service(kind .. '-park', 'http', function(applet)
    park(applet)
    applet:start_response()
    applet:send(applet:get_var('txn.way'))
end)

-- What is alive of requests in the process, beside this one.
core.register_service(kind .. '-alive', 'http', function(applet)
    local requests, contexts = require('neap.states').counts()
    applet:start_response()
    applet:send(('%d %d'):format(requests, contexts))
end)

-- Lines, over TCP, behind actions of both kinds.
core.register_action(kind .. '-mark', { 'tcp-req' }, function(txn)
    core.msleep(1)
    txn:set_priv((txn:get_priv() or '') .. kind)
    txn:set_var('txn.way', (txn:get_var('txn.way') or '') .. kind)
end)
core.register_service(kind .. '-lines', 'tcp', function(applet)
    local own = applet:get_priv()
    while true do
        local line = applet:getline()
        if line == '' then break end
        core.yield()
        applet:send(('%s %s %s: %s'):format(kind, own,
            applet:get_var('txn.way'), line))
    end
    count('lines_ended')
end)

-- Tasks: one for each copy of this file, and one with the guard; a socket of theirs works
-- on behind each wait.
core.register_task(function(a, b)
    assert(a == 1 and b == nil)
    count('tasks')
    if version ~= '1' then return end
    local socket = core.tcp()
    while not socket:connect('unix@lines.' .. kind) do
        socket:close()
        core.msleep(5)
        socket = core.tcp()
    end
    for i = 1, 5 do
        core.msleep(1)
        socket:send(('line %d\n'):format(i))
        assert(socket:receive('*l') == ('%s %s sps: line %d'):format(kind,
            kind == 's' and 'ss' or 'p', i))
    end
    socket:close()
    count('tasks_ended')
end, 1, nil)
if core.thread <= 1 then
    core.register_task(function() count('guarded') end)
end

-- Subscribed while it is loaded: each state gets each event once.
core.event_sub({ 'CERTIFICATE_NEW' }, function(event, data)
    assert(event == 'CERTIFICATE_NEW')
    count('events')
end)
core.register_service(kind .. '-publish', 'http', function(applet)
    require('neap.core_events').publish('CERTIFICATE_NEW', { n = 1 })
    applet:start_response()
    applet:send('published')
end)

-- For the client, which is another process.
core.register_service(kind .. '-dict', 'http', function(applet)
    local name, value = applet.qs:match('^([%w_-]*)=?(.*)$')
    if value ~= '' then
        dict:set(name, value)
    elseif applet.path == '/dict/delete' then
        dict:delete(name)
    end
    applet:start_response()
    applet:send(tostring(dict:get(name) or 0))
end)
