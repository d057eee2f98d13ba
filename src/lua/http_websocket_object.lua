-- A part of the module `http.websocket`: what a WebSocket can, whichever side it is.
local c = ...

local fiber = require('fiber')

local usage, deflating = c.usage, c.deflating
local c_take, c_wait, c_send = c.take, c.wait, c.send
local MESSAGE, ROOM = c.MESSAGE, c.ROOM
local PIECE, ETIMEDOUT = 65536, -110

local ws = {}
local ws_mt = { __index = ws, __name = 'websocket' }

local class = {
    methods = ws,
    TOKEN = "^[%w!#$%%&'*+%-.^_`|~]+$",
}

local defaults = { max_message = 1048576, heartbeat = 30, close_timeout = 5 }
local kinds = {
    max_message = 'number', heartbeat = 'number', close_timeout = 'number',
    compress = 'boolean or table',
}
local most = { max_message = 2 ^ 30, heartbeat = 1e6, close_timeout = 1e6 }

-- A copy of @options with what is not given; @known are those of @what alone.
function class.options(options, known, what)
    local out = {}
    if options ~= nil and type(options) ~= 'table' then
        usage(('%s: options are a table, not %s'):format(what, type(options)))
    end
    for name, value in pairs(options or {}) do
        local kind = known[name] or kinds[name]
        if kind == nil then
            usage(("%s: there is no option '%s'"):format(what, tostring(name)))
        elseif name == 'heartbeat' and value == false then
            kind = 'boolean'
        end
        if not kind:find(type(value), 1, true) then
            usage(('%s: %s is a %s, not %s'):format(what, name, kind,
                type(value)))
        elseif type(value) == 'number' and
               not (value > 0 and value <= (most[name] or 1e6)) then
            usage(('%s: %s: a number over 0 and up to %g is wanted')
                :format(what, name, most[name] or 1e6))
        end
        out[name] = value
    end
    for name, value in pairs(defaults) do
        if out[name] == nil then
            out[name] = value
        end
    end
    out.compress = deflating.options(out.compress, what)
    return out
end

function class.check_protocols(protocols, what)
    for _, name in ipairs(protocols or {}) do
        if type(name) ~= 'string' or not name:find(class.TOKEN) then
            usage(what .. ': protocols is an array of tokens')
        end
    end
end

function class.new(box, options)
    local self = setmetatable({
        box = box, options = options, sending = false,
        turn = fiber.cond(),
    }, ws_mt)
    deflating.begin(self)
    return self
end

-- How it ended stays known when the request is over.
local function note_end(self)
    local state, code, reason, by_peer, clean = c.state(self.box)
    if state ~= nil and state ~= 'open' and code ~= 0 then
        self.close_code, self.close_reason = code, reason
        self.by_peer, self.clean = by_peer, clean
    end
    return state
end
class.note_end = note_end

local function closed(self)
    note_end(self)
    local code, reason = self.close_code, self.close_reason
    if code == nil then
        return c.fail('the WebSocket is over')
    elseif code == 1006 then
        return c.fail('the WebSocket has ended without a Close: the peer has '
            .. 'gone')
    end
    return c.fail(('the WebSocket was closed %s: %d%s'):format(
        self.by_peer and 'by the peer' or 'here', code,
        reason ~= '' and ' ' .. reason or ''))
end

--- ws:receive([timeout]) -> string, string | nil, err
-- The next message and its kind, "text" or "binary", waited for, @timeout seconds at
-- most. Nil: the time is over, and nothing is lost; or it has been closed:
-- `ws.close_code` and `ws.close_reason` say how. Messages that came before the end are
-- given first. Who does not receive holds back the peer, when 64 KiB of messages are
-- there. Yields: maybe. Throws: cancelled; the deadline.
function ws:receive(timeout)
    local due = timeout and c.due(timeout)
    while true do
        local data, kind = c_take(self.box)
        if data then
            return data, kind
        elseif data == false then
            return closed(self)
        end
        local status = c_wait(self.box, MESSAGE, due)
        if status ~= 0 then
            return c.give_up(status, 'ws:receive()')
        end
    end
end

local function next_message(self)
    local data, kind = self:receive()
    return data, kind -- an error ends the loop as nil does
end

--- ws:messages() -> iterator
-- For a loop over all messages until it is closed:
-- `for data, kind in ws:messages() do .. end`. Yields: maybe.
function ws:messages()
    return next_message, self
end

-- A whole message. True; nil: it is closed.
local function send_whole(self, is_text, data)
    local box, taken, deflated = self.box, 0, nil
    if #data >= self.deflate_from then
        if is_text then
            c.check_text(data)
        end
        deflated = deflating.deflate(self, data)
        data = deflated or data
    end
    while true do
        local n = c_send(box, is_text, data, taken, deflated)
        if n == #data then
            return true
        elseif n == nil then
            return nil
        elseif n == false then
            local status = c_wait(box, ROOM)
            if status ~= 0 then
                c.failed(status)
            end
        else
            taken = n
        end
    end
end

-- Until the peer has said so, too. For a server's there is a timer.
local function await_end(self)
    local due = self.socket and c.due(self.options.close_timeout)
    while note_end(self) == 'closing' do
        local status = c_wait(self.box, c.CLOSED, due)
        if status ~= 0 and self.socket then
            c.lost(self.box)
            self:_disconnect()
        end
        if status ~= 0 and status ~= ETIMEDOUT then
            c.failed(status)
        end
    end
end

-- Writers take turns: the pieces of a message must not mix with another's.
local function send_in_turn(self, is_text, data)
    while self.sending do
        self.turn:wait()
    end
    self.sending = true
    local done, ok = pcall(send_whole, self, is_text, data)
    self.sending = false
    self.turn:signal()
    if not done then
        if c.cut(self.box) and not pcall(fiber.new, await_end, self)
            and self.socket then
            c.lost(self.box)
            self:_disconnect()
        end
        error(ok, 0)
    elseif ok == nil then
        return closed(self)
    end
    return true
end

--- ws:send(data, [kind]) -> true | nil, err
-- Send @data as a message, "text", which must be UTF-8, unless @kind is "binary". It is
-- waited until the peer has read so much of what was sent before that there is room:
-- nothing is gathered. A message over 64 KiB goes in fragments of that size; several
-- fibers may send. Nil: it is closed. If this throws in the middle of a large message,
-- the connection is closed with 1011. Yields: maybe. Throws: text that is no UTF-8;
-- cancelled; the deadline.
function ws:send(data, kind)
    local is_text = kind == nil or kind == 'text'
    if type(data) == 'number' then
        data = tostring(data)
    elseif type(data) ~= 'string' then
        usage(('ws:send(data): a string is wanted, not %s'):format(type(data)))
    end
    if not is_text and kind ~= 'binary' then
        usage("ws:send(data, kind): kind is 'text' or 'binary'")
    end
    if #data <= PIECE and #data < self.deflate_from and not self.sending then
        local n = c_send(self.box, is_text, data, 0)
        if n then
            return true
        elseif n == nil then
            return closed(self)
        end
    end
    return send_in_turn(self, is_text, data)
end

--- ws:ping([timeout]) -> number | nil, err
-- Ask the peer whether it is there: the seconds that its answer took. Nil: it did not
-- answer in @timeout seconds, or it is closed. The heartbeat does it by itself.
-- Yields: yes. Throws: cancelled; the deadline.
function ws:ping(timeout)
    local clock = fiber.clock
    local due, begin = timeout and c.due(timeout), clock()
    local number = c.ping(self.box)
    if number == nil then
        return closed(self)
    end
    while not c.ponged(self.box, number) do
        if c.state(self.box) ~= 'open' then
            return closed(self)
        end
        local status = c_wait(self.box, c.PONG, due, number)
        if status ~= 0 then
            return c.give_up(status, 'ws:ping()')
        end
    end
    return clock() - begin
end

--- ws:close([code], [reason]) -> true | nil, err
-- Say that it ends, with a @code, 1000 unless given (or 1001 to 1014 but for those that
-- are never sent, or 3000 to 4999), and a @reason, UTF-8 of at most 123 bytes; and wait
-- for the peer to say so, too, for `close_timeout` seconds. What it has sent before
-- that is dropped, but for what is there already. Nil: it was closed before, or the peer
-- did not answer. A server's handler that returns closes with 1000, one that fails with
-- 1011; its connection waits for the peer alone, as long.
-- Yields: yes. Throws: another code; cancelled; the deadline.
function ws:close(code, reason)
    if not c.close(self.box, code, reason) then
        return closed(self)
    end
    await_end(self)
    if self.clean then
        return true
    end
    return c.fail('ws:close(): the peer has not answered')
end

--- ws:is_open() -> boolean
-- Neither side has closed it, as far as is known. Yields: no.
function ws:is_open()
    return c.state(self.box) == 'open'
end

--- ws.protocol -> string | nil
-- The protocol that both sides have agreed on.

--- ws.compressed -> boolean
-- Both sides have agreed to compress messages. Those that are small, or do not become
-- smaller, are not.

--- ws.close_code -> number | nil
-- How it ended, known when `ws:receive()` or another call has said that it did: the code
-- of the first Close, 1005 for one without, 1006 if there was none.

--- ws.close_reason -> string | nil
-- The reason beside that, perhaps "".

--- ws.headers -> table | nil
-- A client's: the header fields of the server's answer, their names in small letters.

return class
