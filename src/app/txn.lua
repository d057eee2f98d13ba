-- A request as actions and fetches see it: HAProxy's class TXN, and HTTP, its header
-- (require 'neap.txn', which is no public module). It lives in the state of the worker
-- that serves the request; what functions of the shared state get is made by
-- remote.lua.
local c = ...

local act = require('neap.act')
local fields = require('neap.fields')
local states = require('neap.states')

local session_end, session_of = states.session_end, states.session_of

local error, ipairs, type, setmetatable = error, ipairs, type, setmetatable
local pairs, rawset = pairs, rawset

local M = {}

-- --- what natives give ---

local sample, handlers

-- registered(kind, name) -> f, elsewhere | nil: a function that a script has registered, as a
-- native one: it throws what it throws.
local function registered(kind, name)
    handlers = handlers or require('neap.handlers')
    local call, _, elsewhere = handlers.method(kind, name)
    return call and function(...)
        local ok, value = call(...)
        if not ok then
            error(value, 0)
        end
        return value
    end, elsewhere
end
M.registered = registered

-- natives(kind, find, text) -> the metatable of an object whose methods are what @find(name)
-- gives: f(txn, ...). @text: the result is always a string.
local function natives(kind, find, text)
    local methods = {}
    local function method(name)
        sample = sample or require('neap.sample')
        local f = find(name)
        if f == nil then
            error(sample.missing(kind, name), 3)
        elseif not text then
            return function(self, ...)
                return f(self.txn, ...)
            end
        end
        return function(self, ...)
            return sample.text_of(f(self.txn, ...))
        end
    end
    return {
        __index = function(_, name)
            local m = methods[name]
            if m == nil then
                m = method(name)
                methods[name] = m
            end
            return m
        end,
    }
end
M.natives = natives

local function finder(kind, native)
    return function(name)
        return sample[native](name) or registered(kind, name)
    end
end

-- txn.f, txn.sf: fetches as methods; txn.c, txn.sc: converters; those of scripts as
-- lua_NAME.
local find_fetch, find_converter = finder('fetch', 'fetch'), finder('converter', 'convert')
local natives_of = {
    f = natives('fetch', find_fetch), sf = natives('fetch', find_fetch, true),
    c = natives('converter', find_converter),
    sc = natives('converter', find_converter, true),
}

-- --- the header: txn.http ---

local HTTP = {}
local http_mt = { __index = HTTP, __tostring = function() return 'HTTP' end }

local function of_request(self)
    local txn = self.txn
    txn:check()
    if txn._res then
        error('the request cannot be changed any more: this is the answer', 3)
    end
    return txn._req
end

local function of_response(self)
    local txn = self.txn
    txn:check()
    if txn._res == nil then
        error('there is no answer yet: this is the request', 3)
    end
    return txn._res
end

function HTTP:req_get_headers()
    self.txn:check()
    return fields.tables(self.txn._req:fields())
end

function HTTP:res_get_headers()
    return fields.tables(fields.of(of_response(self).headers))
end

for name, change in pairs({
    add_header = fields.with, del_header = fields.without,
    set_header = fields.set,
    rep_header = function(list, name, pattern, replacement)
        return fields.replaced(list, name, fields.replacer(pattern, replacement, 3))
    end,
    rep_value = function(list, name, pattern, replacement)
        return fields.replaced(list, name, fields.replacer(pattern, replacement, 3),
            true)
    end,
}) do
    HTTP['req_' .. name] = function(self, ...)
        local req = of_request(self)
        req:set_fields(change(req:fields(), ...))
    end
    HTTP['res_' .. name] = function(self, ...)
        local res = of_response(self)
        res.headers = fields.map(change(fields.of(res.headers), ...))
    end
end

local function set_target(req, path, query)
    req.target = query == '' and path or path .. '?' .. query
    req.path, req.query, req._target_path = c.decode(path), query, path
end

function HTTP:req_set_method(method)
    of_request(self).method = fields.check_line('method', method)
    return true
end

function HTTP:req_set_path(path)
    local req = of_request(self)
    set_target(req, fields.check_line('path', path), req.query)
    return true
end

function HTTP:req_set_query(query)
    local req = of_request(self)
    if query ~= '' then
        fields.check_line('query', query)
    end
    set_target(req, req.target:match('^[^?]*'), query)
    return true
end

function HTTP:req_set_uri(uri)
    local req = of_request(self)
    local path, query = fields.check_line('uri', uri):match('^([^?]*)%??(.*)$')
    local rest = path:match('^%a[%w+.-]*://[^/]*(.*)$')
    set_target(req, rest == '' and '/' or rest or path, query)
    return true
end

function HTTP:res_set_status(status, reason)
    local res = of_response(self)
    if type(status) ~= 'number' or status < 100 or status > 599 or
       status % 1 ~= 0 then
        error('status: a whole number from 100 to 599 is wanted', 2)
    end
    res.status = status
    res.reason = reason ~= nil and fields.check_reason(reason) or nil
end

-- --- the request ---

local TXN = { flush = false }
M.methods = TXN

local lazy = {
    http = function(txn)
        return txn._req and setmetatable({ txn = txn }, http_mt) or nil
    end,
}
-- HAProxy's Channels: whatever is asked of one says that it is out.
for _, name in ipairs({ 'req', 'res' }) do
    local channel = setmetatable({}, {
        __index = function()
            error(('txn.%s: not in this server: there are no Channels of raw bytes; the header '
                .. "is txn.http's, the body a filter's (core.register_filter)"):format(name), 2)
        end,
    })
    lazy[name] = function()
        return channel
    end
end

-- The same of requests of another state, by remote.lua.
M.elsewhere = {}

for name, mt in pairs(natives_of) do
    lazy[name] = function(txn)
        return setmetatable({ txn = txn }, txn._remote and M.elsewhere[name] or mt)
    end
end

local txn_mt = {
    __index = function(self, name)
        local value = TXN[name]
        if value == nil and lazy[name] then
            value = lazy[name](self)
            rawset(self, name, value)
        end
        return value
    end,
    __tostring = function() return 'TXN' end,
}

-- new(listener, req, socket) -> txn: one of the two.
function M.new(listener, req, socket)
    return setmetatable({ listener = listener, _req = req, socket = socket,
                          over = false, _remote = false, _traced = false }, txn_mt)
end

-- The end of it: nothing of it can be used any more.
function M.finish(txn)
    local owner, session = txn._owner, txn._session
    txn.over = true
    if session then
        txn._session = nil
        session_end(session)
    end
    if owner then
        txn._owner, txn._object = nil, nil
        states.request_end(owner)
    end
end

function TXN:check()
    if self.over or self._remote and self._object:is_over() then
        error('the request is over: what is needed later must be kept before',
            3)
    end
end

-- The object that the request is for other states, where its variables are from
-- then on.
function TXN:object()
    local object = self._object
    if object then
        return object
    end
    self:check()
    local owner
    owner, object = states.request_new()
    self._owner, self._object = owner, object
    states.session_attach(object, self._session or self._req)
    for name, value in pairs(self._vars or {}) do
        object:set_var(name, value)
    end
    self._vars = nil
    object:set_priv(self) -- for what functions elsewhere ask of it
    return object
end

-- What the requests of its connection have in common. @create: if there is nothing yet,
-- which is otherwise nil.
function TXN:session(create)
    local session = self._session
    if session == nil then
        session = session_of(self._req, create)
        self._session = session
    end
    return session
end

-- What other states are told of it beforehand.
function TXN:head()
    local req = self._req
    local peer = req and req.peer or self.peer
    return {
        mode = req and 'http' or 'tcp',
        method = req and req.method,
        target = req and req.target,
        major = req and req.proto[1], minor = req and req.proto[2],
        fields = req and req:fields(),
        src = peer and peer.host, src_port = peer and peer.port,
        status = self._res and self._res.status,
        reason = self._res and self._res.reason,
        response = self._res and fields.of(self._res.headers),
    }
end

function TXN:set_priv(value)
    self:check()
    self._priv = value
end

function TXN:get_priv()
    self:check()
    return self._priv
end

local scopes = { proc = true, sess = true, txn = true, req = true, res = true }

-- The scopes of names that were found good, for they come again and again.
local KNOWN_MAX = 1000
local known_scopes, known_count = {}, 0

-- scope_of(name) -> scope | nil, text: nil when it is no variable's name, and why.
local function scope_of(name)
    local known = known_scopes[name]
    if known then
        return known
    elseif type(name) ~= 'string' then
        return nil, ('the name of a variable is a string, not %s'):format(type(name))
    end
    local scope, rest = name:match('^([^.]*)%.(.+)$')
    if scope == 'check' then
        return nil, ("variable '%s': there is no scope 'check' here"):format(name)
    elseif not scopes[scope] or not rest:find('^[%w_.]+$') then
        return nil, ("variable '%s': a name is proc, sess, txn, req or res, a dot, "
            .. 'and letters, digits and underscores'):format(name)
    end
    if #name <= 64 then
        if known_count == KNOWN_MAX then
            known_scopes, known_count = {}, 0
        end
        known_scopes[name], known_count = scope, known_count + 1
    end
    return scope
end

-- A name in the configuration, which must be one.
function M.check_var(name)
    local scope, why = scope_of(name)
    if scope == nil then
        error(why, 0)
    end
    if scope == 'proc' then
        states.declare_var(name)
    end
end

local function check_value(name, value, level)
    local kind = type(value)
    if kind ~= 'string' and kind ~= 'number' and kind ~= 'boolean' and
       kind ~= 'nil' then
        error(("variable '%s': a string, a number or a boolean is wanted, not "
            .. '%s'):format(name, kind), level + 1)
    end
end

-- Of variables that are kept here, as long as no other state has seen the request.
local FEW, SHORT, NAME_MAX = 16, 1024, 255

local function put_var(self, scope, name, value)
    if scope == 'proc' then
        require('core').set_var(name, value)
    elseif scope == 'sess' and not self._object and #name <= NAME_MAX then
        local session = self:session(value ~= nil)
        if session then
            states.session_set(session, name, value)
        end
    elseif self._object or (self._var_count or 0) >= FEW or #name > NAME_MAX or
           type(value) == 'string' and #value > SHORT then
        self:object():set_var(name, value) -- which has limits
    else
        local vars = self._vars
        if vars == nil then
            vars = {}
            self._vars, self._var_count = vars, 0
        end
        if vars[name] == nil then
            self._var_count = self._var_count + 1
        end
        vars[name] = value
    end
end

-- The name of no variable has no value, and cannot be given one: nothing is thrown, as
-- in HAProxy.
function TXN:get_var(name)
    self:check()
    local scope = scope_of(name)
    if scope == nil then
        return nil
    elseif scope == 'proc' then
        return require('core').get_var(name)
    elseif self._object then
        return self._object:get_var(name)
    elseif scope == 'sess' then
        local session = self:session(false)
        return session and states.session_get(session, name)
    end
    return self._vars and self._vars[name]
end

-- @if_there is about variables of the process alone: those of a request can always be made.
function TXN:set_var(name, value, if_there)
    self:check()
    check_value(name, value, 2)
    local scope, why = scope_of(name)
    if scope == nil then
        return false, why
    elseif scope == 'proc' then
        return require('core').set_var(name, value, if_there)
    end
    put_var(self, scope, name, value)
    return true
end

function TXN:unset_var(name)
    self:check()
    local scope, why = scope_of(name)
    if scope == nil then
        return false, why
    end
    local there = self:get_var(name) ~= nil
    put_var(self, scope, name, nil)
    return there
end

-- What comes next of the body, as req:read(); behind the rules what filters leave of it.
function TXN:read(what, timeout)
    local source = self.source
    if source then
        return source:read(what, timeout)
    end
    return self._req:read(what, timeout)
end

-- The whole body, which is read now, and kept. Nil and an error: it does not come.
function TXN:body()
    if self._body == nil then
        local text, err = self:read()
        if text == nil then
            return nil, err
        end
        self._body = text
    end
    return self._body
end

-- What stands behind the status of an answer in pieces, before it begins.
function TXN:set_reason(text)
    self.reason = text
    self._req:_set_phrase(text)
end

function TXN:reply(t)
    return require('neap.reply').new(t)
end

-- Never returns: ends the request with @reply, or without an answer. A function that
-- has begun to wait elsewhere is not waited for.
function TXN:done(reply)
    self:check()
    self.answer = reply and self:reply(reply) or 'close'
    act.leave(act.DONE)
end

local log

local function log_with(name)
    return function(self, text, ...)
        self:check()
        if text == nil or select('#', ...) > 0 then
            error(('%s(text): one argument is wanted'):format(name), 2)
        end
        log = log or require('core')
        log[name](text)
    end
end

for _, name in ipairs({ 'Debug', 'Info', 'Warning', 'Alert' }) do
    TXN[name] = log_with(name)
end

function TXN:log(level, text)
    self:check()
    require('core').log(level, text)
end

function TXN:deflog(text)
    self:check()
    require('core').Info(text)
end

function TXN:set_loglevel(level)
    self:check()
    if type(level) ~= 'number' or level < -1 or level > 7 then
        error('set_loglevel(level): a level from -1 (silent) to 7 is wanted', 2)
    end
    self.log_level = level
end

for name, why in pairs({
    set_fc_mark = 'packets are not marked', set_mark = 'packets are not marked',
    set_fc_tos = 'packets are not marked', set_tos = 'packets are not marked',
    set_priority_class = 'there is no queue of requests',
    set_priority_offset = 'there is no queue of requests',
}) do
    TXN[name] = function()
        error(('txn:%s(): not in this server: %s'):format(name, why), 2)
    end
end

return M
