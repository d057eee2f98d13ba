-- What fails, in both kinds of state: see test_failures.sh.
local kind = ...

local function action(name, f)
    core.register_action(kind .. '-' .. name, { 'http-req', 'http-res' }, f)
end
local function service(name, f)
    core.register_service(kind .. '-' .. name, 'http', f)
end

-- --- private data, and what comes after an error ---

action('keep', function(txn)
    assert(txn:get_priv() == nil, 'of another request')
    txn:set_priv({ kind .. ' keeps this' })
end)
service('kept', function(applet)
    local own = applet:get_priv()
    if own == nil then
        applet:set_priv({ kind .. ' begins with this' })
    end
    applet:start_response()
    applet:send(own and own[1] or 'nothing')
end)
action('tell', function(txn)
    local own = txn:get_priv()
    txn.http:res_add_header('x-kept', own and own[1] or 'nothing')
end)
action('sleep', function() core.msleep(2) end)

-- --- errors ---

local function inner(text)
    error(text)
end
action('fail', function() inner('boom') end)
action('object', function() error({}) end)
core.register_fetches(kind .. '-fail', function() inner('boom') end)
core.register_converters(kind .. '-fail', function() inner('boom') end)
service('fail', function() inner('boom') end)
service('cut', function(applet)
    applet:start_response()
    applet:send(('x'):rep(100000))
    inner('boom')
end)
service('silent', function() end)
action('table', function(txn) txn:set_var('txn.x', {}) end)

-- --- the ways out ---

action('done', function()
    core.done(act.CONTINUE)
    error('not reached')
end)
for name, code in pairs({ continue = act.CONTINUE, stop = act.STOP,
                          err = act.ERROR, deny = act.DENY, abort = act.ABORT,
                          invalid = act.INVALID, out = act.DONE }) do
    action(name, function() return code end)
end
action('end', function(txn)
    txn:done({ status = 202, body = kind .. ' says so' })
end)
action('yield', function(txn)
    local n = (txn:get_var('txn.turns') or 0) + 1
    txn:set_var('txn.turns', n)
    act.wake_time(1)
    return n < 3 and act.YIELD or act.CONTINUE
end)

-- --- limits ---

local function spin()
    while true do end
end
local function swallow()
    while true do
        pcall(spin)
    end
end
counter = 0
local function total()
    while true do
        for i = 1, 1e5 do counter = counter + i % 2 end
        core.yield()
    end
end
local function hog()
    local t = {}
    while true do
        t[#t + 1] = ('x'):rep(1000) .. #t
    end
end
for name, f in pairs({ spin = spin, swallow = swallow, total = total,
                       hog = hog }) do
    action(name, f)
    core.register_fetches(kind .. '-' .. name, f)
    core.register_converters(kind .. '-' .. name, f)
    service(name, f)
end
