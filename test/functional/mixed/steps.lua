-- The same steps for both kinds of state: `load: {file: steps.lua, args: [s]}` and
-- `load_per_thread: {file: steps.lua, args: [p]}`. What a step does depends on all steps
-- before it and on the kind of state it runs in; the client (chains.lua) knows what
-- comes out.
local kind = ...
local salt = kind == 's' and 1 or 2
assert((core.thread == 0) == (kind == 's'))

local function name(what)
    return kind .. '-' .. what
end

-- Some steps wait, and are put aside.
local function maybe_wait(x)
    if x % 7 == 0 then
        core.msleep(1)
    elseif x % 5 == 0 then
        core.yield()
    end
end

local function mix(sum, x, what)
    return (sum * 31 + x * salt + what) % 65521
end

-- Of the slot that a rule belongs to: asked of the request.
local function number_of(txn, slot)
    return assert(tonumber(txn.sf:req_hdr('x-n' .. slot)))
end

-- Private data is of one request and one kind, variables are of the request.
local function count(txn)
    local own = txn:get_priv() or { kind = kind, count = 0 }
    assert(own.kind == kind, 'private data of the other kind')
    local counted = txn:get_var('txn.' .. kind) or 0
    assert(own.count == counted, 'private data of another request, or none')
    own.count = own.count + 1
    txn:set_priv(own)
    txn:set_var('txn.' .. kind, own.count)
    txn:set_var('txn.trace', (txn:get_var('txn.trace') or '') .. kind)
end

core.register_action(name('step'), { 'http-req' }, function(txn, x)
    x = assert(tonumber(x))
    count(txn)
    maybe_wait(x)
    txn:set_var('txn.sum', mix(txn:get_var('txn.sum'), x, 1))
end, 1)

core.register_fetches(name('step'), function(txn, slot)
    local x = number_of(txn, slot)
    maybe_wait(x)
    count(txn)
    return mix(txn:get_var('txn.sum'), x, 2)
end)

core.register_converters(name('step'), function(sum, slot, ...)
    assert(type(sum) == 'string' and select('#', ...) == 0)
    sum = tonumber(sum)
    maybe_wait(sum)
    return mix(sum, tonumber(slot), 3)
end)

-- A function of the other kind, which calls one of this kind, and so on.
local other = kind == 's' and 'p' or 's'
core.register_fetches(name('nest'), function(txn, depth)
    depth = tonumber(depth)
    maybe_wait(depth)
    local inner = depth == 0 and txn.f:path() or
        txn.f['lua_' .. other .. '_nest'](txn.f, tostring(depth - 1))
    return txn.c['lua_' .. other .. '_wrap'](txn.c, inner, kind)
end)
core.register_converters(name('wrap'), function(text, by)
    core.yield()
    return ('%s%s(%s)'):format(by, kind, text)
end)

served = 0 -- by this state

core.register_service(name('end'), 'http', function(applet)
    served = served + 1
    local own = applet:get_priv()
    assert((own and own.count) == applet:get_var('txn.' .. kind))
    applet:set_priv({ kind = kind, count = own and own.count or 0,
                      service = applet.path })
    maybe_wait(applet:get_var('txn.sum'))
    applet:start_response()
    applet:send(('%d %s'):format(applet:get_var('txn.sum'),
        applet:get_var('txn.trace') or '-'))
end)

-- Behind the service, which may have been of the other kind.
core.register_action(name('res'), { 'http-res' }, function(txn)
    local own = txn:get_priv()
    txn.http:res_add_header('x-seen', ('%s%d%s'):format(kind,
        own and own.count or -1, own and own.service or ''))
end)

core.register_service(name('served'), 'http', function(applet)
    applet:start_response()
    applet:send(('%d %d'):format(core.thread, served))
end)
