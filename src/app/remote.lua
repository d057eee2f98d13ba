-- A request in a state it does not live in: what functions of the shared state get is
-- made of a copy of its header, and asks the request's worker for the rest (require
-- 'neap.remote', which is no public module).
--
--     shared state: f(txn, ..) -> txn._req:read() -- object:call('internal', 'op') -->
--     worker:       op(object, changes, 'read', ..) -> the request itself
--
-- Each such call wakes two threads. So what the copy can answer is not asked for, and what a
-- function changes is told with its result, or before anything is asked.
local c = ...

local act = require('neap.act')
local applet = require('neap.applet')
local cli = require('neap.cli')
local fields = require('neap.fields')
local handlers = require('neap.handlers')
local states = require('neap.states')
local txns = require('neap.txn')

local error, type, tostring = error, type, tostring
local pairs, pcall, rawget, rawset = pairs, pcall, rawget, rawset
local setmetatable = setmetatable

local concat, huge, min, sub = table.concat, math.huge, math.min, string.sub

local M = {}

-- What is larger goes from state to state in pieces: a message has 64 MiB.
local PIECE = 16777216

-- --- in the worker ---

-- What has been changed there: {fields =, set = {name = value}}.
local function apply(txn, changes)
    local req = txn._req
    for name, value in pairs(changes.set or {}) do
        req[name] = value
    end
    if changes.fields then
        req:set_fields(changes.fields)
    end
end

-- What functions there have told with their results, see told().
function handlers.settle(txn, after)
    local response = after.response
    if after.changes then
        apply(txn, after.changes)
    end
    if response then
        local res = txn._res
        res.headers = fields.map(response.fields)
        res.status, res.reason = response.status, response.reason
    end
    act.wake_in(after.woken_in)
    if after.answer then
        txn.answer = after.answer
        if txn._parts then
            txn.answer.body, txn._parts = concat(txn._parts), nil
        end
    end
    txn.log_level = after.log_level or txn.log_level
end

local ops = {}

function ops.flush()
end

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

-- Of the body of an answer that comes when the function has ended.
function ops.body_part(txn, text, first)
    txn._parts = first and {} or txn._parts
    txn._parts[#txn._parts + 1] = text
end

function ops.set_reason(txn, text)
    txn:set_reason(text)
end

function ops.stream(txn, options)
    txn.writer = txn._req:stream(options)
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
    states.register('internal', 'op', function(object, changes, name, ...)
        local txn = object:get_priv()
        if txn == nil then
            error('the request is over', 0)
        elseif changes then
            apply(txn, changes)
        end
        return sendable(ops[name](txn, ...))
    end)
end

-- --- where the function is ---

-- link: {object =, changes = what the worker has not been told of yet}
local function ask(self, ...)
    local link = self.link
    local changes = link.changes
    link.changes = nil
    return link.object:call('internal', 'op', changes or false, ...)
end

local function changes_of(link)
    local changes = link.changes
    if changes == nil then
        changes = { set = {} }
        link.changes = changes
    end
    return changes
end

-- write(self, op, text) -> true | number | nil, error
local function write(self, op, text)
    for from = 1, #text - PIECE, PIECE do
        local ok, err = ask(self, op, sub(text, from, from + PIECE - 1))
        if not ok then
            return nil, err
        end
    end
    if #text <= PIECE then
        return ask(self, op, text)
    end
    local last = (#text - 1) % PIECE + 1
    local ok, err = ask(self, op, sub(text, -last))
    return ok and (ok == true or #text), err
end

-- read(self, op, size, ...) -> text | nil, error: fewer bytes at the end alone.
local function read(self, op, size, ...)
    local list, got = {}, 0
    repeat
        local wanted = min(size - got, PIECE)
        local text, err = ask(self, op, wanted, ...)
        if text == nil then
            if got == 0 then
                return nil, err
            end
            break
        end
        list[#list + 1] = text
        got = got + #text
    until #text < wanted or got == size
    return concat(list)
end

local writer = {}
local writer_mt = { __index = writer }

function writer:write(text)
    return write(self, 'write', text)
end

function writer:finish()
    return ask(self, 'finish')
end

local request = {}

function request:fields()
    return self.list
end

function request:set_fields(list)
    changes_of(self.link).fields = list
    self.list, self.joined = list, false
end

function request:header(name)
    local joined = self.joined
    if not joined then
        joined = fields.joined(self.list)
        self.joined = joined
    end
    return joined[name:lower()]
end

function request:read(what)
    if what == nil or type(what) == 'number' and what > PIECE then
        return read(self, 'read', what or huge)
    end
    return ask(self, 'read', what)
end

function request:_set_phrase(text)
    ask(self, 'set_reason', text)
end

function request:stream(options)
    ask(self, 'stream', options)
    return setmetatable({ link = self.link }, writer_mt)
end

local known = { method = true, target = true, path = true, query = true,
                _target_path = true }

-- What is made of the copy when somebody asks for it.
local computed = {
    path = function(head)
        return c.decode(head.target:match('^[^?]*'))
    end,
    query = function(head)
        return head.target:match('%?(.*)$') or ''
    end,
    proto = function(head)
        return { head.major, head.minor }
    end,
    peer = function(head)
        return { host = head.src, port = head.src_port }
    end,
}

local request_mt = {
    __index = function(self, name)
        local value = request[name]
        if value == nil then
            local head = rawget(self, 'head')
            value = head[name]
            if value == nil and computed[name] then
                value = computed[name](head)
                head[name] = value
            end
        end
        return value
    end,
    __newindex = function(self, name, value)
        if known[name] then
            changes_of(self.link).set[name] = value
            self.head[name] = value
        else
            rawset(self, name, value)
        end
    end,
}

-- What may have changed since the last call.
local function update_request(req, head)
    req.head, req.list, req.joined = head, head.fields, false
end

local function make_request(link, head)
    return setmetatable({ link = link, head = head, list = head.fields, joined = false },
        request_mt)
end

local socket = {}
local socket_mt = { __index = socket }

function socket:read(what, timeout)
    local text
    if type(what) == 'number' and what > PIECE then
        text, self.number = read(self, 'socket_read', what, timeout)
    else
        text, self.number = ask(self, 'socket_read', what, timeout)
    end
    return text
end

function socket:recv(size)
    local text
    text, self.number = ask(self, 'socket_recv', size)
    return text
end

function socket:write(text)
    return write(self, 'socket_write', text)
end

function socket:errno()
    return self.number
end

function socket:peer()
    return self.peer_address
end

local function make_socket(link, head)
    return setmetatable({
        link = link, peer_address = { host = head.src, port = head.src_port },
    }, socket_mt)
end

-- Fetches of what has been copied, and those that scripts of this state have registered, are
-- had here, the others are asked for. Converters need no request.
local sample

local function fetch(name)
    sample = sample or require('neap.sample')
    local f, elsewhere = sample.copied(name), false
    if f == nil then
        elsewhere = true
        if sample.fetch(name) == nil then
            f, elsewhere = txns.registered('fetch', name)
        end
    end
    if not elsewhere then
        return f and function(txn, ...)
            txn:check()
            return f(txn, ...)
        end
    end
    return function(txn, ...)
        return ask({ link = txn._link }, 'fetch', name, ...)
    end
end

txns.elsewhere.f = txns.natives('fetch', fetch)
txns.elsewhere.sf = txns.natives('fetch', fetch, true)

-- The request of @object as this state sees it, one for all its functions.
local function txn_of(object, head)
    local txn = object:get_priv()
    if txn == nil then
        local link = { object = object }
        txn = txns.new({}, head.mode == 'http' and make_request(link, head),
            head.mode == 'tcp' and make_socket(link, head))
        txn._object, txn._remote, txn._link = object, true, link
        object:set_priv(txn)
    elseif head.fields then
        update_request(txn._req, head)
    end
    txn._res = head.response and { status = head.status, reason = head.reason,
                                  headers = fields.map(head.response) } or nil
    return txn
end
M.txn_of = txn_of

-- A body that is too much for a message goes before it.
local function send_body(link, answer)
    local body = type(answer) == 'table' and answer.body
    if type(body) ~= 'string' or #body <= PIECE then
        return
    end
    for from = 1, #body, PIECE do
        link.object:call('internal', 'op', false, 'body_part',
            sub(body, from, from + PIECE - 1), from == 1)
    end
    answer.body = nil
end

-- What the worker is told besides a function's result; nil: nothing.
local function told(txn)
    local link, res, answer = txn._link, txn._res, txn.answer
    local changes, level = link.changes, txn.log_level
    if changes == nil and res == nil and answer == nil and level == nil then
        return nil
    end
    link.changes, txn.answer, txn.log_level = nil, nil, nil
    send_body(link, answer)
    return { changes = changes, answer = answer, log_level = level,
             response = res and { fields = fields.of(res.headers),
                                  status = res.status, reason = res.reason } }
end
M.told = told

local function result(ok, value)
    if not ok then
        error(value, 0)
    end
    return value
end

-- What has been changed before a function fails stays changed.
local function outcome(txn, ok, ...)
    if not ok then
        if txn._link.changes then
            pcall(ask, { link = txn._link }, 'flush')
        end
        error((...), 0)
    end
    return ...
end

function handlers.serve.action(call, object, head, ...)
    local txn = txn_of(object, head)
    local code = outcome(txn, call(txn, ...))
    local after, woken_in = told(txn), act.take_wake()
    if woken_in then
        after = after or {}
        after.woken_in = woken_in
    end
    return code, after
end

-- These do not change the answer by its object, which may be that of an action in the
-- middle that has called them.
function handlers.serve.fetch(call, object, head, ...)
    local known = object:get_priv()
    local res = known and known._res
    local txn = txn_of(object, head)
    txn._res = res or txn._res
    local value = outcome(txn, call(txn, ...))
    txn._res = nil
    local after = told(txn)
    txn._res = res
    return value, after
end

handlers.serve.filter = handlers.serve.fetch

function handlers.serve.converter(call, _, _, ...)
    return result(call(...))
end

function handlers.serve.service(call, object, head, ...)
    local txn = txn_of(object, head)
    local made = txn.socket and applet.tcp(txn) or applet.http(txn)
    local resp
    outcome(txn, call(made, ...))
    if txn._req then
        resp = applet.finish_http(made)
    end
    return resp, told(txn)
end

function handlers.serve.command(call, object, head, ...)
    return result(call(cli.new(function(text)
        object:call('internal', 'op', false, 'cli_send', text)
    end, head.payload, head.level), ...))
end

return M
