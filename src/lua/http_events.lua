-- Server-sent events of the module `http.server`: what EventSource of a browser
-- reads.
local c, request = ...

local usage = c.usage

local events = {}
local events_mt = { __index = events }

local HEARTBEAT = 15

-- One field for each line of @text: CR, LF and CRLF end one.
local function lines(out, name, text)
    text = text:gsub('\r\n?', '\n') .. '\n'
    for line in text:gmatch('(.-)\n') do
        out[#out + 1] = name .. ': ' .. line
    end
end

local function one_line(what, value)
    if type(value) ~= 'string' and type(value) ~= 'number' or
       tostring(value):find('[\r\n%z]') then
        usage(('events:send{%s=}: a string without line ends is wanted')
            :format(what))
    end
    return what .. ': ' .. value
end

-- Writers take turns: a beat must not get into the middle of an event.
local function put(self, text)
    while self.writing do
        self.turn:wait()
    end
    if self.ended then
        return nil, self.err
    end
    if c.is_ending(self.writer.req) then
        -- It would hold the server until it is cut; who is ended comes again.
        self.ended, self.err = true, 'the server ends'
        self.writer:finish()
        self.err = select(2, self.writer:write(text))
        return nil, self.err
    end
    self.writing = true
    local done, ok, err = pcall(self.writer.write, self.writer, text)
    self.writing = false
    self.turn:broadcast()
    if not done then
        error(ok, 0)
    end
    self.last = self.clock()
    if not ok then
        self.ended, self.err = true, err
    end
    return ok, err
end

-- A line that says nothing, when nothing else was said: so a peer that has gone
-- is noticed, and nobody in between takes the connection for dead. That the server ends
-- is told without beats, too. Ends with the request.
local function beat(self)
    require('fiber').name('http events')
    while not self.ended and not c.is_gone(self.writer.req) do
        local rest = self.heartbeat and self.last + self.heartbeat - self.clock()
        if (not rest or rest > 0) and not c.is_ending(self.writer.req) then
            c.wait_change(self.writer.req, rest or nil)
        elseif not put(self, ':\n\n') then
            break
        end
    end
end

local known = { headers = true, heartbeat = true, retry = true, compress = true }

--- req:events([options]) -> events
-- Answer with a stream of events, as EventSource in a browser reads it. @options:
-- `headers`; `heartbeat`, seconds (15) after which a line is sent that says nothing,
-- false: none; `retry`, seconds the peer is to wait before it comes again; `compress` as
-- of `req:stream()`: each event arrives at once all the same, but an encoder takes memory,
-- from 256 KiB on, as long as the peer stays. What the
-- peer had got when it lost the last connection, `req:header('last-event-id')` tells. A
-- handler that returns ends the stream.
--
--     local events = req:events()
--     while events:send{event = 'tick', data = tostring(n)} do
--         fiber.sleep(1)
--     end
--
-- Yields: no. Throws: as `req:stream()`.
function request.methods:events(options)
    options = options or {}
    local heartbeat = type(options) == 'table' and options.heartbeat
    local retry = type(options) == 'table' and options.retry
    if type(options) ~= 'table' or
       heartbeat and (type(heartbeat) ~= 'number' or not (heartbeat > 0)) or
       retry and (type(retry) ~= 'number' or not (retry >= 0)) then
        usage('req:events{headers=, heartbeat=, retry=}: a table and seconds '
            .. 'are wanted')
    end
    for name in pairs(options) do
        if not known[name] then
            usage(("req:events: there is no option '%s'"):format(tostring(name)))
        end
    end
    if heartbeat == nil then
        heartbeat = HEARTBEAT
    end
    local headers = {
        ['content-type'] = 'text/event-stream',
        ['cache-control'] = 'no-cache',
    }
    for name, value in pairs(options.headers or {}) do
        headers[type(name) == 'string' and name:lower() or name] = value
    end
    local fiber = require('fiber')
    local self = setmetatable({
        turn = fiber.cond(), clock = fiber.clock, last = fiber.clock(),
        heartbeat = heartbeat, ended = false, writing = false,
        writer = self:stream({ headers = headers, compress = options.compress }),
    }, events_mt)
    if retry then
        put(self, ('retry: %d\n\n'):format(retry * 1000))
    end
    fiber.new(beat, self)
    return self
end

--- events:send(event) -> true | nil, err
-- Send @event: a string, its data, or `{data=, event=, id=, retry=, comment=}`;
-- `data` may have several lines, `retry` is in seconds. It is waited until the peer
-- has read enough of what came before; several fibers may send. Nil: the peer has
-- gone, or the stream has ended, as it does when the server stops: the browser comes
-- again, to who serves then. Yields: maybe. Throws: what cannot be sent;
-- cancelled; the deadline.
function events:send(event)
    if type(event) == 'string' or type(event) == 'number' then
        event = { data = event }
    elseif type(event) ~= 'table' then
        usage(('events:send(event): a string or a table is wanted, not %s')
            :format(type(event)))
    end
    local out = {}
    if event.comment ~= nil then
        lines(out, '', tostring(event.comment))
    end
    if event.event ~= nil then
        out[#out + 1] = one_line('event', event.event)
    end
    if event.id ~= nil then
        out[#out + 1] = one_line('id', event.id)
    end
    if event.retry ~= nil then
        if type(event.retry) ~= 'number' or not (event.retry >= 0) then
            usage('events:send{retry=}: seconds are wanted')
        end
        out[#out + 1] = ('retry: %d'):format(event.retry * 1000)
    end
    if event.data ~= nil then
        lines(out, 'data', tostring(event.data))
    end
    if #out == 0 then
        usage('events:send{data=}: there is nothing in it')
    end
    return put(self, table.concat(out, '\n') .. '\n\n')
end

--- events:close() -> true | nil, err
-- End the stream; a browser comes again unless it is told not to. The handler's
-- return does it, too. Yields: no.
function events:close()
    if self.ended then
        return nil, self.err
    end
    self.ended = true
    return self.writer:finish()
end

return events
