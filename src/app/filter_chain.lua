-- The filters of a request, in the worker that serves it: when their callbacks are called,
-- and how a body gets through them (require 'neap.filter_chain', which is no public
-- module). What callbacks are is in filter.lua.
--
-- A request's body is pulled: who reads it has the next piece of what came go through all
-- filters. An answer is pushed: what is written goes through them first. In between
-- nothing is gathered, so who reads slowly holds back who writes.
local c = ...

local fields = require('neap.fields')
local pieces = require('neap.pieces')

local error, ipairs, pcall, require = error, ipairs, pcall, require
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type
local concat, sub = table.concat, string.sub

local M = {}

local ERROR, WAIT = -1, 0 -- of the global `filter`

local PIECE = 65536 -- bytes at once
M.PIECE = PIECE
local HELD_MAX = 65536 -- of an answer that may yet get a length
local WAIT_S = 1 -- unless filter.wake_time() says when

-- --- a call of a callback ---

-- Why a request ends here: its filter has failed, and is not to be left out.
local function refuse(txn, stage, text)
    c.log_error(text)
    if stage.open then
        stage.off = true
        return nil
    end
    txn.refused = txn.answering and 502 or 403
    error(("filter '%s' has failed: the request ends here"):format(stage.name), 0)
end

-- The table that op @op of the filter returns, or nil: it has failed, and is left out
-- from now on. Throws: it has failed, or it has ended the request.
local function invoke(txn, stage, op, ...)
    local ok, r = stage.call(txn, op, stage.n, ...)
    if not ok then
        return refuse(txn, stage, r)
    elseif txn.answer and op ~= 'stop' then
        txn.refused = 403 -- but there is an answer
        error(("filter '%s' has ended the request"):format(stage.name), 0)
    elseif type(r) ~= 'table' then -- by core.done()
        local code = tonumber(r)
        if op == 'new' then
            return { skip = true }
        end
        ok, r = stage.call(txn, 'left', stage.n, (...))
        if not ok then
            return refuse(txn, stage, r)
        end
        r.code = code
    end
    if r.code == ERROR then
        return refuse(txn, stage, ("filter '%s' has returned filter.ERROR")
            :format(stage.name))
    end
    if r.data ~= nil then
        stage.data[(...)] = r.data
    end
    return r
end

-- As long as the filter waits it is asked again.
local function invoke_until(txn, stage, op, ...)
    while true do
        local r = invoke(txn, stage, op, ...)
        if r == nil or r.code ~= WAIT then
            return r
        elseif txn._req and txn._req:is_gone() then
            error('the peer has gone', 0)
        end
        require('fiber').sleep(r.wake and r.wake / 1000 or WAIT_S)
    end
end

-- --- heads ---

local function version_of(req)
    local proto = req.proto
    return ('%d.%d'):format(proto[1], proto[2])
end

local function request_head(req)
    return { method = req.method, target = req.target, version = version_of(req),
             fields = req:fields() }
end

local function change_request(txn, r)
    local http = txn.http
    if r.fields then
        txn._req:set_fields(r.fields)
    end
    if r.method then
        http:req_set_method(r.method)
    end
    if r.target then
        http:req_set_uri(r.target)
    end
end

-- --- a body on its way through ---

-- What the filters leave of @data, of which @last says that no more comes. The piece is
-- at most PIECE bytes; what one filter makes of it the next one gets whole.
local function run(txn, response, data, last, name)
    for _, stage in ipairs(txn.filters) do
        if stage.data[response] and not stage.off and (data ~= '' or last) then
            local r = stage.has[name] and
                invoke(txn, stage, 'payload', response, data, last, name)
            data = r and r.out or data
        end
    end
    return data
end

M.run = run

local function finish(txn, response)
    for _, stage in ipairs(txn.filters) do
        if stage.has.http_end and stage.begun[response] and not stage.off then
            invoke_until(txn, stage, 'finish', response)
        end
    end
end

local function has_data(txn, response)
    for _, stage in ipairs(txn.filters) do
        if stage.data[response] and not stage.off then
            return true
        end
    end
    return false
end

-- --- attaching ---

local function start(txn, stage, response, head)
    stage.begun[response] = true
    if not stage.off then
        return invoke_until(txn, stage, 'start', response, head)
    end
end

local function attach(txn, spec, args)
    local filters = txn.filters
    if filters == nil then
        filters = { count = 0 }
        txn.filters = filters
    end
    filters.count = filters.count + 1
    local stage = setmetatable({ n = filters.count, data = {}, begun = {} },
        { __index = spec })
    local r = invoke(txn, stage, 'new', spec.key, args)
    if r == nil or r.skip then
        return
    end
    stage.has = r.has
    filters[#filters + 1] = stage
    if txn._res == nil then
        start(txn, stage, false, txn._req and request_head(txn._req))
    end
end

-- False: it has failed. Other errors go on.
local function guarded(f, txn, ...)
    local ok, err = pcall(f, txn, ...)
    if not ok and not txn.refused then
        error(err, 0)
    end
    return ok
end

-- attach(txn, spec, args) -> boolean: the request gets an instance of a filter. @spec:
-- {name, call, key, open}: its name, its caller, a key when @args are always the same, and
-- whether the request goes on without it when it fails. False: the request ends here.
function M.attach(txn, spec, args)
    return guarded(attach, txn, spec, args)
end

-- --- the request ---

local source = {}
local source_mt = { __index = source }

-- It is known that there is no body.
local function is_empty(txn)
    local ok, body = true, txn._body -- a rule has read it
    if body == nil then
        ok, body = pcall(function() return txn._req.body end)
    end
    return ok and body == ''
end

local function begin(txn)
    for _, stage in ipairs(txn.filters) do
        if stage.has.http_headers and stage.begun[false] and not stage.off then
            local r = invoke_until(txn, stage, 'headers', false,
                request_head(txn._req))
            if r then
                change_request(txn, r)
            end
        end
    end
    if is_empty(txn) or not has_data(txn, false) then
        finish(txn, false)
    else
        txn.source = pieces.init(setmetatable({ txn = txn, at = 0 }, source_mt))
    end
end

-- begin(txn) -> boolean: the rules are over, and somebody is about to read. False: the
-- request ends here.
function M.begin(txn)
    return guarded(begin, txn)
end

-- A piece as it came, and whether it is the last one; nil, err.
local function take_raw(self, timeout)
    local kept, at = self.txn._body, self.at
    local text, err, last
    if kept then
        text = sub(kept, at + 1, at + PIECE)
        last = at + #text >= #kept
    else
        local req = self.txn._req
        text, err = req:read({ chunk = PIECE, least = 1 }, timeout)
        if text == nil then
            return nil, err
        end
        last = text == '' or #text < PIECE and req:trailers() ~= nil
    end
    self.at = at + #text
    return text, last
end

function source:pull(timeout)
    local text, last = take_raw(self, timeout)
    if text == nil then
        return nil, last
    end
    self.ended = last
    if self.at > 0 then -- otherwise there is no body
        text = run(self.txn, false, text, last, 'http_payload')
    end
    if last then
        finish(self.txn, false)
    end
    pieces.add(self, text)
    return true
end

-- read(what, timeout) -> text | nil, err: as req:read(), of what the filters have left.
function source:read(what, timeout)
    return pieces.take(self, what, timeout)
end

-- --- the answer ---

local out = {}
local out_mt = { __index = out }

local function write_piece(self, text, last)
    text = run(self.txn, true, text, last, 'http_payload')
    if text == '' then
        return true
    end
    return self.inner:write(text)
end

function out:write(text)
    if type(text) == 'number' then
        text = tostring(text)
    end
    for at = 1, #text, PIECE do
        self.any = true
        local ok, err = write_piece(self, sub(text, at, at + PIECE - 1), false)
        if not ok then
            return nil, err
        end
    end
    return true
end

function out:finish(trailers)
    if self.any then -- otherwise there is no body
        local ok, err = write_piece(self, '', true)
        if not ok then
            return nil, err
        end
    end
    finish(self.txn, true)
    return self.inner:finish(trailers)
end

local function wrap_for(txn)
    return function(inner)
        return setmetatable({ txn = txn, inner = inner }, out_mt)
    end
end

local function has_body(txn, status)
    return txn._req.method ~= 'HEAD' and status ~= 204 and status ~= 304
end

-- Of a filter's own: what it changes counts when its callback has returned.
local function copy(head)
    return { status = head.status, fields = head.fields, version = head.version }
end

-- The head of the answer goes through the filters: its status and headers, and whether
-- its body does.
local function pass_head(txn, status, headers)
    txn.answering = true
    local head = { status = status, fields = fields.of(headers),
                   version = version_of(txn._req) }
    local length
    for _, stage in ipairs(txn.filters) do
        start(txn, stage, true, copy(head))
    end
    for _, stage in ipairs(txn.filters) do
        if stage.has.http_headers and not stage.off then
            local r = invoke_until(txn, stage, 'headers', true, copy(head)) or {}
            head.status = r.status or head.status
            head.fields = r.fields or head.fields
            length = r.length or length
        end
    end
    local through = has_data(txn, true)
    if through or length then
        head.fields = fields.without(head.fields, 'content-length')
    end
    if type(length) == 'number' then
        head.fields = fields.set(head.fields, 'content-length',
            ('%d'):format(length))
    end
    return head.status, fields.map(head.fields),
        through and has_body(txn, head.status), through
end

-- stream(txn, status, headers) -> status, headers, wrap: of an answer in pieces; wrap(writer)
-- is a writer whose pieces go through the filters.
function M.stream(txn, status, headers)
    local through
    status, headers, through = pass_head(txn, status, headers)
    if not through then
        finish(txn, true)
    end
    return status, headers, through and wrap_for(txn) or nil
end

-- Send what comes of the rest of @body, behind what is held; without one the head alone.
local function send_rest(txn, status, headers, held, body, at)
    local req = txn._req
    req._on_head = nil -- which has been
    txn.begun = true
    local writer = wrap_for(txn)(req:stream({ status = status, headers = headers }))
    if body == nil then
        writer.inner:finish()
        return nil
    end
    writer.any = true
    if writer.inner:write(held) and writer:write(sub(body, at)) then
        writer:finish()
    end
    return nil
end

local function respond(txn, resp)
    local body = tostring(resp.body or '')
    local status, headers, through, off =
        pass_head(txn, resp.status or 200, resp.headers)
    if not through or body == '' then
        finish(txn, true)
        if off and txn._req.method == 'HEAD' then -- its length is not that of GET
            return send_rest(txn, status, headers)
        end
        return { status = status, headers = headers, body = resp.body }
    end
    local parts, size, at = {}, 0, 1
    while at <= #body do
        local last = at + PIECE > #body
        local text = run(txn, true, sub(body, at, at + PIECE - 1), last,
            'http_payload')
        parts[#parts + 1], size, at = text, size + #text, at + PIECE
        if size > HELD_MAX and not last then
            return send_rest(txn, status, headers, concat(parts), body, at)
        end
    end
    finish(txn, true)
    headers['content-length'] = nil
    return { status = status, headers = headers, body = concat(parts) }
end

-- respond(txn, resp) -> resp | nil (it has been sent) | false (a filter has failed): an answer that is there as a whole.
function M.respond(txn, resp)
    local ok, value = pcall(respond, txn, resp)
    if ok then
        return value
    elseif txn.begun or not txn.refused then
        error(value, 0)
    end
    return false
end

local function answer_connection(txn)
    for _, stage in ipairs(txn.filters) do
        start(txn, stage, true)
    end
end

-- answer(txn) -> boolean: of a connection, whose service is about to begin. False: it ends
-- here.
function M.answer(txn)
    return guarded(answer_connection, txn)
end

-- stop(txn): it is over, however it has ended.
function M.stop(txn)
    for _, stage in ipairs(txn.filters) do
        for _, response in ipairs({ false, true }) do
            if stage.has.end_analyze and stage.begun[response] and not stage.off then
                local told, ok, text = pcall(stage.call, txn, 'stop', stage.n,
                    response)
                if told and not ok then -- otherwise the fiber is cancelled
                    c.log_error(text)
                end
            end
        end
    end
end

return M
