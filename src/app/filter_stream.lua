-- The filters of a connection: what its service reads and writes goes through them
-- (require 'neap.filter_stream', which is no public module). It stands for the socket,
-- as far as services use that. What filters are is in filter.lua.
--
-- What comes is pulled and what goes is pushed, a piece at a time: so a peer that does
-- not read holds back the service, and a service that does not read the peer.
local chain = require('neap.filter_chain')
local errno = require('errno')
local pieces = require('neap.pieces')

local error, pcall, setmetatable, sub = error, pcall, setmetatable, string.sub
local max, min, require = math.max, math.min, require
local tostring, type = tostring, type

local M = {}

local PIECE = chain.PIECE
local EAGAIN, ETIMEDOUT = errno.EAGAIN, errno.ETIMEDOUT

local stream = {}
local stream_mt = { __index = stream }

-- A filter has failed: whoever goes on all the same does not get around it.
local function check(self)
    if self.txn.refused then
        error('a filter has ended the connection', 0)
    end
end

-- What a socket said last.
function stream:errno()
    return self.number
end

-- For the log: what has come and gone, and not what the service has seen of it.
local function count(txn, what, n)
    if txn[what] then
        txn[what] = txn[what] + n
    end
end

-- What has come, at most until @due, which is 0 to not wait. Nil: nothing, see errno().
local function take_raw(self, due)
    local socket = self.txn.socket
    while true do
        local text = socket:recv(PIECE)
        if text then
            count(self.txn, 'bytes_in', #text)
            return text
        end
        self.number = socket:errno()
        if self.number ~= EAGAIN or due == 0 then
            return nil
        elseif not socket:readable(due and
                max(0, due - require('fiber').clock())) then
            self.number = ETIMEDOUT
            return nil
        end
    end
end

function stream:pull(due)
    local text = take_raw(self, due)
    if text == nil then
        return nil
    end
    self.ended = text == ''
    pieces.add(self, chain.run(self.txn, false, text, self.ended, 'tcp_payload'))
    return true
end

-- As those of a socket.

function stream:read(what, timeout)
    check(self)
    return pieces.take(self, what,
        timeout and require('fiber').clock() + timeout)
end

function stream:recv(size)
    check(self)
    while self.size == 0 and not self.ended do
        if not self:pull(0) then
            return nil
        end
    end
    return pieces.take(self, min(size, self.size))
end

local function write_piece(self, text, last)
    text = chain.run(self.txn, true, text, last, 'tcp_payload')
    if text == '' then
        return true
    end
    local socket = self.txn.socket
    local n, err = socket:write(text)
    self.number = socket:errno()
    count(self.txn, 'bytes_out', n or 0)
    return n, err
end

function stream:write(text)
    check(self)
    if type(text) == 'number' then
        text = tostring(text)
    end
    for at = 1, #text, PIECE do
        local n, err = write_piece(self, sub(text, at, at + PIECE - 1), false)
        if not n then
            return nil, err
        end
    end
    return #text
end

-- begin(txn) -> boolean: the rules are over, and the service is about to begin. False: the
-- connection ends here.
function M.begin(txn)
    if not chain.answer(txn) then
        return false
    end
    txn.source = pieces.init(setmetatable({ txn = txn, number = 0 }, stream_mt))
    return true
end

-- finish(txn): the service has written all: filters hear so, and may add to it.
function M.finish(txn)
    local ok, err = pcall(write_piece, txn.source, '', true)
    if not ok and not txn.refused then
        error(err, 0)
    end
end

return M
