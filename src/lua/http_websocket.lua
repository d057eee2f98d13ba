-- The module `http.websocket`: WebSockets (RFC 6455) of clients, and the object that
-- servers have, too: `req:websocket()`.
--
--     local websocket = require('http.websocket')
--     local ws = assert(websocket.connect('wss://example.org/chat'))
--     ws:send('hello')
--     local text = ws:receive()
--     ws:close()
--
-- Messages are whole: fragments are put together, up to a limit. Pings are answered,
-- whether anybody receives or not; a peer that has vanished is noticed by pings of our
-- own. Text is checked to be UTF-8, and whatever the peer does wrong ends the
-- connection with the code for it.
local c = ...

local fiber = require('fiber')
local socket = require('socket')
local uri = require('uri')

local usage = c.usage
local class = c.class

local M = {}

local PIECE, HEAD_MAX, TIMEOUT = 65536, 16384, 10
local FLUSH = 5

M._serve = c.server

-- --- the handshake ---

local known = {
    headers = 'table', protocols = 'table', timeout = 'number',
    tls = 'table or boolean', unix_socket = 'string',
}

local function parse_url(url)
    local parts = type(url) == 'string' and uri.parse(url)
    local scheme = parts and parts.scheme and parts.scheme:lower()
    if not parts or scheme ~= 'ws' and scheme ~= 'wss' or
       not parts.host or parts.fragment then
        usage('http.websocket.connect(url): ws://HOST or wss://HOST, a port, '
            .. 'path and query, and no fragment, are wanted')
    end
    if parts.login then
        usage('http.websocket.connect(url): a user and a password are not sent: give '
            .. 'headers.authorization')
    end
    local secure = scheme == 'wss'
    local target = parts.path or ''
    if target:sub(1, 1) ~= '/' then
        target = '/' .. target
    end
    if parts.query then
        target = target .. '?' .. parts.query
    end
    local host = parts.ipv6 or parts.host
    local authority = parts.ipv6 and '[' .. parts.ipv6 .. ']' or parts.host
    local port = tonumber(parts.service) or secure and 443 or 80
    if parts.service ~= nil then
        authority = authority .. ':' .. parts.service
    end
    if (target .. authority):find('[%c ]') then
        usage('http.websocket.connect(url): there is a space or a control '
            .. 'character in it')
    end
    return { secure = secure, host = host, port = port, target = target,
             authority = authority,
             name = scheme .. '://' .. authority .. (parts.path or '') }
end

local reserved = {
    host = true, upgrade = true, connection = true, ['content-length'] = true,
    ['transfer-encoding'] = true, ['sec-websocket-key'] = true,
    ['sec-websocket-version'] = true, ['sec-websocket-protocol'] = true,
    ['sec-websocket-extensions'] = true,
}

local function request_of(place, options, key)
    local lines = {
        'GET ' .. place.target .. ' HTTP/1.1',
        'Host: ' .. place.authority,
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Key: ' .. key,
        'Sec-WebSocket-Version: 13',
    }
    if options.compress then
        lines[#lines + 1] = 'Sec-WebSocket-Extensions: '
            .. c.offer(options.compress.window, options.compress.context)
    end
    if options.protocols and #options.protocols > 0 then
        lines[#lines + 1] = 'Sec-WebSocket-Protocol: '
            .. table.concat(options.protocols, ', ')
    end
    for name, value in pairs(options.headers or {}) do
        if type(name) ~= 'string' or not name:find(class.TOKEN) or
           reserved[name:lower()] then
            usage(("http.websocket.connect: header field '%s' cannot be given")
                :format(tostring(name)))
        elseif type(value) ~= 'string' and type(value) ~= 'number' or
               tostring(value):find('[\r\n%z]') then
            usage(("http.websocket.connect: header field '%s': a string "
                .. 'without line ends is wanted'):format(name))
        end
        lines[#lines + 1] = name .. ': ' .. tostring(value)
    end
    return table.concat(lines, '\r\n') .. '\r\n\r\n'
end

-- Status and fields of a head; nil: it is none.
local function parse_head(text)
    local status, reason = text:match('^HTTP/1%.1 (%d%d%d) ?([^\r\n]*)\r\n')
    if status == nil then
        return nil
    end
    local headers = {}
    for line in text:gmatch('\r\n([^\r]+)') do
        local name, value = line:match('^([^%s:]+):[ \t]*(.-)[ \t]*$')
        if name == nil then
            return nil
        end
        name = name:lower()
        headers[name] = headers[name] and headers[name] .. ', ' .. value or
            value
    end
    return tonumber(status), reason, headers
end

local function has_token(value, token)
    for word in (value or ''):gmatch('[^,%s]+') do
        if word:lower() == token then
            return true
        end
    end
    return false
end

-- Is that what a server says who speaks it? Nil, or why not.
local function judge(box, headers, accept, options)
    local compress = options.compress or {}
    local extensions = headers['sec-websocket-extensions']
    if not has_token(headers.upgrade, 'websocket') or
       not has_token(headers.connection, 'upgrade') then
        return 'its 101 is for another protocol'
    elseif headers['sec-websocket-accept'] ~= accept then
        return 'its Sec-WebSocket-Accept is not for our key'
    elseif extensions and
           not c.agree(box, extensions, compress.window, compress.context) then
        return options.compress and
            'it answers another extension than was offered' or
            'it wants an extension nobody has asked for'
    end
    local chosen = headers['sec-websocket-protocol']
    if chosen == nil then
        return nil
    end
    for _, name in ipairs(options.protocols or {}) do
        if name == chosen then
            return nil
        end
    end
    return 'it has chosen a protocol nobody has asked for'
end

-- Ask, and read the answer. Its headers; or nil and an error.
local function greet(s, box, place, options, due)
    local key, accept = c.key()
    local function left()
        return math.max(0, due - fiber.clock())
    end
    local what = 'http.websocket.connect: ' .. place.name
    local ok, err = s:write(request_of(place, options, key), left())
    if not ok then
        return nil, c.about(err, what)
    end
    local text
    text, err = s:read({ delimiter = '\r\n\r\n', chunk = HEAD_MAX }, left())
    if text == nil then
        return nil, c.about(err, what)
    end
    what = what .. ': '
    if text == '' then
        return c.fail(what .. 'the server has closed the connection')
    end
    local status, reason, headers = parse_head(text)
    if status == nil or text:sub(-4) ~= '\r\n\r\n' then
        return c.fail(what .. 'the answer is no HTTP, or too long')
    elseif status ~= 101 then
        return c.fail(('%sthe server answers %d %s'):format(what, status,
            reason))
    end
    local why = judge(box, headers, accept, options)
    if why then
        return c.fail(what .. why)
    end
    return headers
end

-- --- what works while it is open ---

-- Until all has left behind the end, true, or cannot leave.
local function write_loop(self)
    fiber.name('websocket writer')
    local box = self.box
    while true do
        c.wait(box, c.OUT)
        local over, text = c.state(box) == 'closed', c.out(box)
        if text ~= '' then
            if not self.socket:write(text) then
                return false
            end
        elseif over then
            return true
        end
    end
end

-- Bytes to the server; behind them nothing is read either.
local function write_all(self)
    local ran, sent = pcall(write_loop, self) -- it may be closed meanwhile
    if not ran or not sent then
        c.lost(self.box)
    end
    self.written = true
    self:_disconnect()
    self.all_written:broadcast()
end

-- What has come; nil: nothing in time; false: no more will.
local function more(self, timeout)
    local s = self.socket
    if self.disconnected then
        return false
    elseif not s:readable(timeout) then
        return nil
    elseif self.disconnected then -- meanwhile
        return false
    end
    local data = s:sysread(PIECE)
    if data == nil then
        local no = s:errno()
        return (no == 11 or no == 4) and '' or false
    end
    return data ~= '' and data or false
end

local function feed(box, data)
    local taken, behind = 0, false
    repeat
        taken, behind = c.feed(box, data, taken)
        if behind then
            c.wait(box, c.READ)
            fiber.sleep(0) -- also when there was nothing to wait for
        end
    until taken == #data and not behind
end

-- Nothing has come for the time that was waited, and for that before: the server has
-- vanished. Else it is asked.
local function is_dead(self)
    local dead = self.pinged
    self.pinged = true
    return dead or c.ping(self.box) == nil
end

local function read_loop(self)
    fiber.name('websocket reader')
    local box = self.box
    local beat = self.options.heartbeat or nil
    while true do
        c.wait(box, c.READ)
        if c.state(box) == 'closed' then
            break
        end
        local data = more(self, beat)
        if data then
            self.pinged = false
            feed(box, data)
            fiber.sleep(0) -- there may be more at once, without end
        elseif data == false or is_dead(self) then
            break
        end
    end
end

local function wait_written(self)
    local due = fiber.clock() + FLUSH
    while not self.written and fiber.clock() < due do
        self.all_written:wait(due - fiber.clock())
    end
end

-- Bytes of the server; and the end of all.
local function read_all(self)
    local ok, err = pcall(read_loop, self)
    c.lost(self.box)
    pcall(wait_written, self)
    self:_disconnect()
    if not ok then
        error(err, 0)
    end
end

function class.methods:_disconnect()
    if not self.disconnected then
        self.disconnected = true
        pcall(self.socket.close, self.socket) -- connect() may have
    end
end

-- The object, when the server has greeted; who calls it closes what has failed.
local function open(s, box, place, options, due)
    local headers, why = greet(s, box, place, options, due)
    if headers == nil then
        return nil, why
    end
    local self = class.new(box, options)
    self.protocol = headers['sec-websocket-protocol']
    self.headers, self.socket = headers, s
    self.written, self.pinged = false, false
    self.all_written = fiber.cond() -- not `turn`, whose signals are for senders
    fiber.new(write_all, self)
    fiber.new(read_all, self)
    return self
end

--- http.websocket.connect(url, [options]) -> ws | nil, err
-- Connect to @url, `ws://HOST[:PORT]/PATH` or `wss://` for TLS, and greet. A user is no
-- part of it: give `headers.authorization`. @options:
--
-- | option | default | what |
-- |---|---|---|
-- | `headers` | none | further fields of the request |
-- | `protocols` | none | names of protocols, of which the server may choose one: `ws.protocol` |
-- | `timeout` | 10 | seconds for all of it |
-- | `tls` | verified | options of TLS as `socket.tls_client()` has them, or `context` |
-- | `unix_socket` | none | the path of a socket to connect to |
-- | `max_message` | 1048576 | bytes of a message; a larger one ends the connection with 1009 |
-- | `heartbeat` | 30 | seconds of silence after which a ping is sent, and after as many the connection is taken for dead; false: never |
-- | `close_timeout` | 5 | seconds for the server's answer to `ws:close()` |
-- | `compress` | false | offer to compress messages, [as a server has it](http.server.md#reqwebsocket) |
--
-- `ws.headers` has the fields of the answer. Nil: no connection, no certificate that is
-- trusted, no time left, or an answer that is no WebSocket; redirects are not
-- followed. Two fibers work for each connection; it lasts until one side closes it, also
-- when nobody has the object any more. Yields: yes. Throws: cancelled; the deadline.
function M.connect(url, options)
    local place = parse_url(url)
    options = class.options(options, known, 'http.websocket.connect')
    class.check_protocols(options.protocols, 'http.websocket.connect')
    request_of(place, options, '') -- what is wrong with it is told before
    local due = fiber.clock() + (options.timeout or TIMEOUT)
    local box = c.new(options.max_message)
    local tls
    if place.secure then
        tls = options.tls
        if type(tls) ~= 'table' then
            tls = {}
        end
    end
    local host, port = place.host, place.port
    if options.unix_socket then
        host, port = 'unix/', options.unix_socket
        if tls and tls.server_name == nil then
            local copy = { server_name = place.host }
            for name, value in pairs(tls) do
                copy[name] = value
            end
            tls = copy
        end
    end
    local s, err = socket.tcp_connect(host, port, {
        timeout = options.timeout or TIMEOUT, tls = tls })
    if s == nil then
        if options.unix_socket then
            err = c.about(err, 'by ' .. options.unix_socket)
        end
        return nil, c.about(err, 'http.websocket.connect: ' .. place.name)
    end
    local ran, self, why = pcall(open, s, box, place, options, due)
    if not ran or self == nil then
        c.lost(box)
        s:close()
        if not ran then
            error(self, 0)
        end
        return nil, why
    end
    return self
end

return M
