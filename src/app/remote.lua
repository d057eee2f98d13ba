-- A request in a state it does not live in: what functions of the shared state get is
-- made of a copy of its header, and asks the request's worker for the rest (require
-- 'neap.remote', which is no public module).
--
--     shared state: f(txn, ..) -> txn.req:read() -- object:call('internal', 'op') -->
--     worker:       op(object, 'read', ..) -> the request itself
local c = ...

local applet = require('neap.applet')
local cli = require('neap.cli')
local fields = require('neap.fields')
local handlers = require('neap.handlers')
local states = require('neap.states')
local txns = require('neap.txn')

local error, type, tostring = error, type, tostring
local rawget, rawset, select, setmetatable = rawget, rawset, select, setmetatable

-- --- in the worker ---

local ops = {}

function ops.fetch(txn, name, ...)
    local f = txn.f
    return f[name](f, ...)
end

function ops.read(txn, what)
    return txn:read(what)
end

function ops.body(txn)
    return txn:body()
end

function ops.set(txn, name, value)
    txn.req[name] = value
end

function ops.set_fields(txn, list)
    txn.req:set_fields(list)
end

function ops.set_response(txn, list, status, reason)
    local res = txn.res
    res.headers, res.status, res.reason = fields.map(list), status, reason
end

function ops.set_reason(txn, text)
    txn:set_reason(text)
end

function ops.stream(txn, options)
    txn.writer = txn.req:stream(options)
end

function ops.write(txn, text)
    return txn.writer:write(text)
end

function ops.finish(txn)
    return txn.writer:finish()
end

-- For the log; filters count for themselves.
local function count(txn, what, n, ...)
    if n and txn[what] and not txn.source then
        txn[what] = txn[what] + n
    end
    return n, ...
end

function ops.socket_read(txn, what, timeout)
    local s = txn.source or txn.socket
    local text = s:read(what, timeout)
    count(txn, 'bytes_in', text and #text)
    return text, s:errno()
end

function ops.socket_recv(txn, size)
    local s = txn.source or txn.socket
    local text = s:recv(size)
    count(txn, 'bytes_in', text and #text)
    return text, s:errno()
end

function ops.socket_write(txn, text)
    return count(txn, 'bytes_out', (txn.source or txn.socket):write(text))
end

-- Of a console command: what it is is kept as the request.
function ops.cli_send(command, text)
    command:send(text)
end

-- Errors of the world are userdata, which other states cannot have.
local function sendable(value, err, ...)
    if type(err) == 'userdata' then
        err = tostring(err)
    end
    return value, err, ...
end

if states.id ~= 0 then
    states.register('internal', 'op', function(object, name, ...)
        local txn = object:get_priv()
        if txn == nil then
            error('the request is over', 0)
        end
        return sendable(ops[name](txn, ...))
    end)
end

-- --- where the function is ---

local function ask(self, ...)
    return self.object:call('internal', 'op', ...)
end

local writer = {}
local writer_mt = { __index = writer }

function writer:write(text)
    return ask(self, 'write', text)
end

function writer:finish()
    return ask(self, 'finish')
end

local request = {}

function request:fields()
    return self.list
end

function request:set_fields(list)
    ask(self, 'set_fields', list)
    self.list = list
end

function request:header(name)
    return fields.joined(self.list)[name:lower()]
end

function request:read(what)
    return ask(self, 'read', what)
end

function request:_set_phrase(text)
    ask(self, 'set_reason', text)
end

function request:stream(options)
    ask(self, 'stream', options)
    return setmetatable({ object = self.object }, writer_mt)
end

local known = { method = true, target = true, path = true, query = true,
                _target_path = true }

local request_mt = {
    __index = function(self, name)
        local values = rawget(self, 'values')
        return request[name] or values and values[name]
    end,
    __newindex = function(self, name, value)
        if known[name] then
            ask(self, 'set', name, value)
            self.values[name] = value
        else
            rawset(self, name, value)
        end
    end,
}

-- What may have changed since the last call.
local function update_request(req, head)
    local values, target = req.values, head.target
    req.list, values.method = head.fields, head.method
    if target ~= values.target then
        local path, query = target:match('^([^?]*)%??(.*)$')
        values.target, values.path, values.query = target, c.decode(path), query
    end
end

local function make_request(object, head)
    local major, minor = head.version:match('(%d).(%d)')
    local req = setmetatable({
        object = object,
        values = {
            proto = { tonumber(major), tonumber(minor) },
            peer = { host = head.src, port = head.src_port },
        },
    }, request_mt)
    update_request(req, head)
    return req
end

local socket = {}
local socket_mt = { __index = socket }

function socket:read(what, timeout)
    local text
    text, self.number = ask(self, 'socket_read', what, timeout)
    return text
end

function socket:recv(size)
    local text
    text, self.number = ask(self, 'socket_recv', size)
    return text
end

function socket:write(text)
    return ask(self, 'socket_write', text)
end

function socket:errno()
    return self.number
end

-- Fetches are asked for; converters need no request.
local fetches = {
    __index = function(self, name)
        local function method(_, ...)
            local value = ask(self, 'fetch', name, ...)
            if self.text then
                return value == nil and '' or tostring(value)
            end
            return value
        end
        rawset(self, name, method)
        return method
    end,
}

-- The request of @object as this state sees it, one for all its functions.
local function txn_of(object, head)
    local txn = object:get_priv()
    if txn == nil then
        txn = txns.new({}, head.mode == 'http' and make_request(object, head),
            head.mode == 'tcp' and setmetatable({ object = object }, socket_mt))
        txn._object, txn._remote = object, true
        txn.f = setmetatable({ object = object, text = false }, fetches)
        txn.sf = setmetatable({ object = object, text = true }, fetches)
        object:set_priv(txn)
    elseif head.fields then
        update_request(txn.req, head)
    end
    txn.res = head.response and { status = head.status, reason = head.reason,
                                  headers = fields.map(head.response) } or nil
    return txn
end

local function result(ok, value)
    if not ok then
        error(value, 0)
    end
    return value
end

function handlers.serve.action(call, object, head, ...)
    local txn = txn_of(object, head)
    local code = result(call(txn, ...))
    local answer, res = txn.answer, txn.res
    if res then
        ask(txn.req, 'set_response', fields.of(res.headers), res.status, res.reason)
    end
    txn.answer = nil
    return code, answer, txn.log_level
end

function handlers.serve.fetch(call, object, head, ...)
    return result(call(txn_of(object, head), ...))
end

function handlers.serve.converter(call, _, _, ...)
    return result(call(...))
end

-- An answer of txn:done() stays with what the call returns.
function handlers.serve.filter(call, object, head, ...)
    local txn = txn_of(object, head)
    local value = result(call(txn, ...))
    local answer = txn.answer
    txn.answer = nil
    return value, answer, txn.log_level
end

function handlers.serve.service(call, object, head, ...)
    local txn = txn_of(object, head)
    local made = txn.socket and applet.tcp(txn) or applet.http(txn)
    result(call(made, ...))
    if txn.req then
        return applet.finish_http(made)
    end
end

function handlers.serve.command(call, object, head, ...)
    return result(call(cli.new(function(text)
        object:call('internal', 'op', 'cli_send', text)
    end, head.payload, head.level), ...))
end

return {}
