-- What services get: HAProxy's classes AppletHTTP and AppletTCP (require 'neap.applet',
-- which is no public module).
local fields = require('neap.fields')

local error, rawset, setmetatable, type = error, rawset, setmetatable, type
local math, pcall, tonumber = math, pcall, tonumber
local concat = table.concat

local M = {}

local LINE_MAX = 1048576 -- bytes of getline()

-- Both have the private data and the variables of their request, and what natives
-- give.
local function common(methods)
    for _, name in ipairs({ 'get_priv', 'set_priv', 'get_var', 'set_var',
                            'unset_var' }) do
        methods[name] = function(self, ...)
            local txn = self.txn
            return txn[name](txn, ...)
        end
    end
    return methods
end

local function make_class(name, methods, lazy)
    for _, kind in ipairs({ 'f', 'sf', 'c', 'sc' }) do
        lazy[kind] = function(self) return self.txn[kind] end
    end
    return {
        __index = function(self, key)
            local value = methods[key]
            if value == nil and lazy[key] then
                value = lazy[key](self)
                rawset(self, key, value)
            end
            return value
        end,
        __tostring = function() return name end,
    }
end

-- --- HTTP ---

local HTTP = common({})

local http_mt = make_class('AppletHTTP', HTTP, {
    method = function(self) return self.txn._req.method end,
    version = function(self)
        local proto = self.txn._req.proto
        return ('HTTP/%d.%d'):format(proto[1], proto[2])
    end,
    path = function(self) return self.txn._req.target:match('^[^?]*') end,
    qs = function(self) return self.txn._req.query end,
    length = function(self)
        return tonumber(self.txn._req:header('content-length')) or 0
    end,
    headers = function(self) return fields.tables(self.txn._req:fields()) end,
})

-- http(txn) -> applet
function M.http(txn)
    return setmetatable({ txn = txn, status = 200 }, http_mt)
end

function HTTP:set_status(status, reason)
    self.txn:check()
    if type(status) ~= 'number' or status < 100 or status > 599 or
       status % 1 ~= 0 then
        return false
    end
    self.status = status
    self.reason = reason ~= nil and fields.check_reason(reason) or nil
    return true
end

function HTTP:add_header(name, value)
    local headers = self._headers
    self.txn:check()
    name = fields.check_name(name)
    value = fields.check_value(value)
    if headers == nil then
        headers = {}
        self._headers = headers
    end
    local before = headers[name]
    if before == nil then
        headers[name] = value
    elseif type(before) == 'table' then
        before[#before + 1] = value
    else
        headers[name] = { before, value }
    end
    return true
end

-- An answer that is complete before its function waits is sent in one piece. What it
-- has sent is held until then, or until it is this much.
local HELD_MAX = 65536
local PIECES_MAX = 1000 -- small ones, before they are joined

function HTTP:start_response()
    if self.held then
        error('applet:start_response(): the answer has begun', 2)
    end
    self.txn:check()
    local headers = self._headers
    if headers then
        headers['transfer-encoding'] = nil -- it is the server's
    end
    self.held, self.held_size = '', 0
end

local function hold(self, text)
    local pieces = self.pieces
    self.held_size = self.held_size + #text
    if self.held == '' then
        self.held = text
    elseif pieces == nil then
        self.pieces = { text }
    elseif #pieces < PIECES_MAX then
        pieces[#pieces + 1] = text
    else
        self.held = self.held .. concat(pieces) .. text
        self.pieces = nil
    end
end

local function all_held(self)
    return self.pieces and self.held .. concat(self.pieces) or self.held
end

-- What is held, and what comes from now on, is written as it comes.
local function begin(self)
    local held = all_held(self)
    self.held, self.pieces = '', nil
    if self.reason then
        self.txn:set_reason(self.reason)
    end
    self.writer = self.txn._req:stream({ status = self.status,
        headers = self._headers })
    if held ~= '' then
        return self.writer:write(held)
    end
    return true
end

-- Two may write: the function, and who serves it and has found it waiting.
local function wait_turn(self)
    while self.flushing do
        require('fiber').yield()
    end
end

-- The function has begun to wait.
function HTTP:flush()
    if self.held == nil or self.writer or self.beginning then
        return
    end
    self.flushing = true
    local ok, err = pcall(begin, self)
    self.flushing = nil
    if not ok then
        self.broken = err
    end
end

-- Waits until the peer has read enough of what came before. Nil, err: it has gone.
function HTTP:send(text)
    local ok, err = true, nil
    self.txn:check()
    if self.held == nil then
        error('applet:send(): applet:start_response() comes first', 2)
    elseif type(text) ~= 'string' then
        error(('applet:send(text): a string is wanted, not %s')
            :format(type(text)), 2)
    end
    wait_turn(self)
    if self.broken then
        error(self.broken, 0)
    elseif self.writer then
        ok, err = self.writer:write(text)
    else
        hold(self, text)
        if self.held_size <= HELD_MAX then
            return #text
        end
        self.beginning = true -- where to begin is to wait
        ok, err = begin(self)
        self.beginning = nil
    end
    if not ok then
        return nil, err
    end
    return #text
end

local function take(self, what)
    local txn = self.txn
    txn:check()
    local kept = txn._body
    if kept == nil or txn.source then
        return txn:read(what)
    end
    -- Somebody has read it all before.
    local from = self._read or 1
    local to = #kept
    if type(what) == 'number' then
        to = math.min(to, from + what - 1)
    elseif what then
        to = kept:find(what.delimiter, from, true) or to
    end
    self._read = to + 1
    return kept:sub(from, to)
end

function HTTP:receive(size)
    return take(self, size)
end

function HTTP:getline()
    return take(self, { chunk = LINE_MAX, delimiter = '\n' })
end

-- The function has returned: a response, true (it has been sent), or nil (there is
-- none).
function M.finish_http(applet)
    local headers = applet._headers
    wait_turn(applet)
    if applet.held == nil then
        return nil
    elseif applet.broken then
        error(applet.broken, 0)
    elseif applet.writer == nil then
        local held = all_held(applet)
        local length = headers and headers['content-length']
        if not length or tonumber(length) == #held then
            if length then
                headers['content-length'] = nil
            end
            return { status = applet.status, reason = applet.reason,
                     headers = headers, body = held }
        end
        begin(applet)
    end
    applet.writer:finish()
    return true
end

-- --- TCP ---

local TCP = common({})
local tcp_mt = make_class('AppletTCP', TCP, {})

-- tcp(txn) -> applet
function M.tcp(txn)
    return setmetatable({ txn = txn }, tcp_mt)
end

local TIMEOUT = 365 * 86400

-- What has come, for the log; filters count for themselves.
local function counted(self, text)
    local txn = self.txn
    if text and txn.bytes_in and not txn.source then
        txn.bytes_in = txn.bytes_in + #text
    end
    return text
end

-- Where its data come from and go to.
local function socket_of(self)
    local txn = self.txn
    txn:check()
    return txn.source or txn.socket
end

-- Text; '' at the end; nil: not in time.
local function read(self, what, timeout)
    local s = socket_of(self)
    local text = s:read(what, timeout or TIMEOUT)
    if text == nil and s:errno() ~= 110 then
        return ''
    end
    return counted(self, text)
end

function TCP:getline()
    return read(self, { chunk = LINE_MAX, delimiter = '\n' })
end

-- receive([size], [milliseconds]): all to the end without a size.
function TCP:receive(size, ms)
    return read(self, size or 2147483647, ms and ms / 1000)
end

-- What has come: nil: nothing; '': nothing more comes.
function TCP:try_receive()
    local s = socket_of(self)
    local text = s:recv(65536)
    if text == nil and s:errno() ~= 11 then
        return ''
    end
    return counted(self, text)
end

function TCP:send(text)
    local s = socket_of(self)
    local n = s:write(text)
    local txn = self.txn
    if n and txn.bytes_out and not txn.source then
        txn.bytes_out = txn.bytes_out + n
    end
    return n or -1
end

return M
