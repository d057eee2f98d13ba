-- The lines of a listener's log_format (require 'neap.request_log', which is no public
-- module).
--
-- What a line needs is known when the answer has left, and the request is gone by then. So a
-- transaction lives on until its line is written, with a copy of what was asked; http.server
-- tells of each request when it is over, with the number it was given here.
local c = ...

local core_log = require('neap.core_log')
local sample = require('neap.sample')
local txns = require('neap.txn')

local clock = require('clock').time
local fiber_self = require('fiber').self
local floor, max = math.floor, math.max
local next, pcall, setmetatable, tonumber, tostring =
    next, pcall, setmetatable, tonumber, tostring

local M = {}

local QUEUE = 100000 -- requests that may wait for their lines
local INFO, SILENT = 6, -1

-- --- copies ---

local kept = {}
local kept_mt = { __index = kept }

function kept:fields()
    return self.list
end

function kept:header(name)
    local value
    name = name:lower()
    for i = 1, #self.list, 2 do
        if self.list[i] == name then
            value = value and value .. (name == 'cookie' and '; ' or ', ')
                .. self.list[i + 1] or self.list[i + 1]
        end
    end
    return value
end

function kept:tls_info()
    return self.tls
end

local function copy_request(req)
    return setmetatable({
        method = req.method, target = req.target, path = req.path,
        query = req.query, scheme = req.scheme, proto = req.proto,
        peer = req.peer, own_address = req.own_address, list = req:fields(),
        tls = req.scheme == 'https' and req:tls_info() or nil,
    }, kept_mt)
end

local function peer_of(access)
    if access.port then
        return { host = access.remote, port = access.port }
    end
    return { family = 'AF_UNIX', host = 'unix/', port = '' }
end

-- Of a request that no rule has seen.
local function refused_request(access)
    local major, minor = (access.protocol or ''):match('(%d)%.(%d)')
    local list = {}
    if access.referer then
        list[1], list[2] = 'referer', access.referer
    end
    if access.user_agent then
        list[#list + 1], list[#list + 2] = 'user-agent', access.user_agent
    end
    local target = access.target or ''
    return setmetatable({
        method = access.method or '<BADREQ>', target = target,
        path = target:match('^[^?]*'), query = target:match('%?(.*)$') or '',
        proto = { tonumber(major) or 0, tonumber(minor) or 0 },
        peer = peer_of(access),
        scheme = 'http', list = list,
    }, kept_mt)
end

-- --- lines ---

local function ms(seconds)
    return seconds and floor(seconds * 1000 + 0.5)
end

local function write(self, txn)
    if txn.log_level ~= SILENT then
        local ok, line = pcall(self.format, txn)
        if ok then
            core_log.log(txn.log_level or INFO, line)
        else
            c.log_error('log_format: ' .. tostring(line))
        end
    end
    txns.finish(txn)
end

local function write_access(self, txn, access)
    local res, head = txn._res, access.head
    txn._res = { status = access.status, headers = res and res.headers or {} }
    txn.started, txn.time_total = access.time, ms(access.duration)
    txn.time_user = txn.time_total
    txn.bytes_in, txn.bytes_out = access.received, access.sent
    local before = txn._seen and max(txn._seen - access.time, 0)
    txn.time_request = ms(before)
    txn.time_response = head and ms(max(head - (before or 0), 0))
    txn.time_data = head and ms(access.duration - head)
    write(self, txn)
end

-- --- transactions that wait for their line ---

local log = {}
local log_mt = { __index = log }

-- new(listener, text, env, place) -> log. Throws: as of templates.
function M.new(listener, text, env, place)
    local own = setmetatable({ log = true, response = true }, { __index = env })
    return setmetatable({
        listener = listener, format = sample.template(text, own, place),
        waiting = {}, free = {}, count = 0, late = {},
    }, log_mt)
end

-- begin(txn): a request comes.
function log:begin(txn)
    local free = self.free
    local n = free[#free]
    if n then
        free[#free] = nil
    else
        n = self.count + 1
        self.count = n
    end
    txn._note, txn._seen, txn._fiber = n, clock(), fiber_self()
    self.waiting[n] = txn
    txn._req:set_note(n)
end

-- keep(txn): the answer is about to be sent, what is asked of the request is copied.
function log:keep(txn)
    if txn._kept == nil then
        local ok, copy = pcall(copy_request, txn._req)
        txn._kept = ok and copy or refused_request({})
        txn:session(false)
    end
end

local function settle(self, txn)
    self.waiting[txn._note] = nil
    self.free[#self.free + 1] = txn._note
    txn._fiber, self.late[txn] = nil, nil
    local access, copy = txn._access, txn._kept
    txn._req, txn.source = copy, nil
    if access then
        copy.peer = copy.peer or peer_of(access) -- who has gone
        write_access(self, txn, access)
    else
        txns.finish(txn) -- too many wait
    end
end

-- finish(txn): its handler has returned.
function log:finish(txn)
    self:keep(txn)
    txn._done = true
    if txn._access ~= nil then
        settle(self, txn)
    end
end

-- A limit ends a fiber without a last word: finish() is not called. When nobody has asked for
-- it before, the header is not known any more.
local function settle_ended(self)
    for txn in next, self.late do
        if txn._fiber:status() == 'dead' then
            txn._kept = txn._kept or refused_request(txn._access or {})
            settle(self, txn)
        end
    end
end

-- options() -> what the option access_log of http.server is.
function log:options()
    return { queue = QUEUE, sink = function(access)
        local txn = self.waiting[access.note]
        if txn == nil then
            if not access.note then
                write_access(self, txns.new(self.listener, refused_request(access)),
                    access)
            end
            return
        end
        txn._access = not access.lost and access
        if txn._done then
            settle(self, txn)
        else
            self.late[txn] = true
        end
        if next(self.late) then
            settle_ended(self)
        end
    end }
end

-- --- connections of TCP ---

local socket = {}
local socket_mt = { __index = socket }

function socket:peer()
    return self.peer_address
end

function socket:name()
    return self.own_address
end

function socket:tls_info()
    return self.tls
end

-- begin_tcp(txn), finish_tcp(txn): a connection comes, and goes.
function log:begin_tcp(txn)
    local s = txn.socket
    txn.started = clock()
    txn._kept = setmetatable({ peer_address = s:peer(), own_address = s:name(),
        tls = s:tls_info() }, socket_mt)
    txn.bytes_in, txn.bytes_out = 0, 0
end

function log:finish_tcp(txn)
    txn.time_total = ms(max(clock() - txn.started, 0))
    txn.time_user = txn.time_total
    txn.socket = txn._kept
    write(self, txn)
end

return M
