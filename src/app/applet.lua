-- What services get: HAProxy's classes AppletHTTP and AppletTCP (require 'neap.applet',
-- which is no public module).
local fields = require('neap.fields')

local error, rawset, setmetatable, type = error, rawset, setmetatable, type
local math, tonumber = math, tonumber

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
    method = function(self) return self.txn.req.method end,
    version = function(self)
        local proto = self.txn.req.proto
        return ('%d.%d'):format(proto[1], proto[2])
    end,
    path = function(self) return self.txn.req.target:match('^[^?]*') end,
    qs = function(self) return self.txn.req.query end,
    length = function(self)
        return tonumber(self.txn.req:header('content-length')) or 0
    end,
    headers = function(self) return fields.tables(self.txn.req:fields()) end,
})

-- http(txn) -> applet
function M.http(txn)
    return setmetatable({ txn = txn, status = 200 }, http_mt)
end

function HTTP:set_status(status, reason)
    if type(status) ~= 'number' or status < 100 or status > 599 or
       status % 1 ~= 0 then
        return false
    end
    self.status, self.reason = status, reason
    return true
end

function HTTP:add_header(name, value)
    local list = self._fields
    self._fields = fields.with(list or {}, name, value)
    return true
end

function HTTP:start_response()
    if self.writer then
        error('applet:start_response(): the answer has begun', 2)
    end
    self.txn:check()
    local headers = self._fields and fields.map(self._fields) or {}
    headers['transfer-encoding'] = nil -- it is the server's
    self.writer = self.txn.req:stream({ status = self.status,
        headers = headers })
end

-- Waits until the peer has read enough of what came before. Nil, err: it has gone.
function HTTP:send(text)
    if self.writer == nil then
        error('applet:send(): applet:start_response() comes first', 2)
    end
    local ok, err = self.writer:write(text)
    if not ok then
        return nil, err
    end
    return #text
end

local function take(self, what)
    local txn = self.txn
    txn:check()
    local kept = txn._body
    if kept == nil then
        return txn.req:read(what)
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

-- The function has returned: true when there is an answer.
function M.finish_http(applet)
    local writer = applet.writer
    if writer == nil then
        return false
    end
    writer:finish()
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

-- Text; '' at the end; nil: not in time.
local function read(self, what, timeout)
    local s = self.txn.socket
    self.txn:check()
    local text = s:read(what, timeout or TIMEOUT)
    if text == nil and s:errno() ~= 110 then
        return ''
    end
    return text
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
    local s = self.txn.socket
    self.txn:check()
    local text = s:recv(65536)
    if text == nil and s:errno() ~= 11 then
        return ''
    end
    return text
end

function TCP:send(text)
    local s = self.txn.socket
    self.txn:check()
    local n = s:write(text)
    return n or -1
end

return M
