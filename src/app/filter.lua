-- Filters in the state they are registered in: their classes, the instances of a request,
-- and their callbacks (require 'neap.filter', which is no public module; scripts have
-- the global `filter`). filter_chain.lua, in the worker, says when.
--
-- An instance is known by the number it has in its request. What a callback has changed
-- goes back as a table of copies, for the request may live in another state:
--
--     {code=, out=, data=, wake=, fields=, method=, target=, status=, length=}
local handlers = require('neap.handlers')
local message = require('neap.http_message')

local error, next, pairs, require, select, setmetatable, type =
    error, next, pairs, require, select, setmetatable, type

local M = {}

-- --- the global `filter` ---

local script = {
    CONTINUE = 1, WAIT = 0, ERROR = -1, FLT_CFG_FL_HTX = 1,
}
M.script = script

-- The channel of a call, before which the filter may stand.
local function channel_of(name, ...)
    local n = select('#', ...)
    local chn = n > 0 and select(n, ...)
    if not message.is_channel(chn) then
        error(('filter.%s(flt, chn): a channel is wanted'):format(name), 3)
    end
    return chn.message
end

function script.register_data_filter(...)
    channel_of('register_data_filter', ...).registered = true
end

function script.unregister_data_filter(...)
    channel_of('unregister_data_filter', ...).registered = false
end

function script.wake_time(ms)
    if type(ms) ~= 'number' or not (ms >= 0) then
        error('filter.wake_time(ms): milliseconds are wanted', 2)
    end
    require('fiber').self().storage.filter_wake = ms
end

-- --- classes and instances ---

local CALLBACKS = { 'start_analyze', 'end_analyze', 'http_headers', 'http_payload',
                    'http_end', 'tcp_payload' }

-- The class as its parser has left it for these arguments; false: it wants no filter.
local function configure(self, args)
    local copy = setmetatable({}, { __index = self.class })
    copy.__index = copy
    local class = self.parser(copy, args)
    if class == nil then
        return false
    elseif type(class) ~= 'table' or type(class.new) ~= 'function' then
        error(("filter '%s': what it was registered with returned a %s, not a class "
            .. 'that has new()'):format(self.name, type(class)), 0)
    end
    return class
end

local ops = {}

-- @key: of arguments that are always the same; the class is made once for them.
local function class_of(self, key, args)
    local class = key and self.classes[key]
    if class == nil or key == false then
        class = configure(self, args)
        if key then
            self.classes[key] = class
        end
    end
    return class
end

function ops.configure(self, _, _, key, args)
    return { skip = class_of(self, key, args) == false }
end

-- A new instance. {has = callbacks by their names}, or {skip = true}.
function ops.new(self, txn, n, key, args)
    local class = class_of(self, key, args)
    if class == false then
        return { skip = true }
    end
    local object = class.new(class)
    if type(object) ~= 'table' then
        error(("filter '%s': new() returned a %s, not an object"):format(self.name,
            type(object)), 0)
    end
    local has = {}
    for _, name in pairs(CALLBACKS) do
        has[name] = object[name] ~= nil
    end
    local instances = txn._filters
    if instances == nil then
        instances = {}
        txn._filters = instances
    end
    instances[n] = { object = object }
    return { has = has }
end

-- What has come of a callback.
local function result(m, code)
    local storage = require('fiber').self().storage
    local r = { code = code, data = m.registered or false,
                wake = storage.filter_wake }
    storage.filter_wake = nil
    local changed = m.changed
    if next(changed) then
        local head = m.head
        r.length = changed.length
        r.fields = changed.fields and head.fields
        r.method = changed.method and head.method
        r.target = changed.target and head.target
        r.status = changed.status and head.status
        m.changed = {}
    end
    return r
end

local function way(response)
    return response and 'res' or 'req'
end

-- A message of the instance @n begins; callback @name gets its channel.
function ops.start(_, txn, n, response, head)
    local own = txn._filters[n]
    local m = own[way(response)]
    if m == nil then -- otherwise it has waited
        m = message.new(txn, response, head)
        own[way(response)] = m
        m.channel, m.http = message.objects(m)
    end
    local f = own.object.start_analyze
    return result(m, f and f(own.object, txn, m.channel))
end

local function call(txn, n, response, name)
    local own = txn._filters[n]
    local m = own[way(response)]
    txn.http_req = own.req and own.req.http
    txn.http_res = own.res and own.res.http
    local object = own.object
    return m, object[name](object, txn, m.http or m.channel)
end

function ops.headers(_, txn, n, response, head)
    local m = txn._filters[n][way(response)]
    m.head = head
    return result(call(txn, n, response, 'http_headers'))
end

function ops.payload(_, txn, n, response, data, last, name)
    local m = txn._filters[n][way(response)]
    m.sent = true
    message.begin(m, data, last)
    local _, code = call(txn, n, response, name)
    local r = result(m, code)
    r.out = message.take(m)
    return r
end

-- The same, of a callback that has been left in the middle.
function ops.left(_, txn, n, response)
    local m = txn._filters[n][way(response)]
    local r = result(m)
    r.out = message.take(m)
    return r
end

function ops.finish(_, txn, n, response)
    local m = txn._filters[n][way(response)]
    m.coming, m.sent = false, true
    return result(call(txn, n, response, 'http_end'))
end

function ops.stop(_, txn, n, response)
    local own = txn._filters[n]
    local m = own[way(response)]
    m.coming, m.sent = false, true
    own.object.end_analyze(own.object, txn, m.channel)
    return {}
end

-- --- registering ---

-- register(name, class, parser)
function M.register(name, class, parser)
    local self = { name = name, class = class, parser = parser, classes = {} }
    handlers.register('filter', name, function(txn, op, ...)
        return ops[op](self, txn, ...)
    end, nil, parser)
end

return M
