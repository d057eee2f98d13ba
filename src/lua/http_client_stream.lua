-- A part of the module `http.client`: a response, and a request's body, in pieces.
local c, own = ...

local usage = c.usage
local wait, due_of, HEADERS, BODY, ROOM = own.wait, own.due_of, 0, 1, 2
local wait_or_abort, take_head, parse_head = own.wait_or_abort, own.take_head,
    own.parse_head
local READ_MAX = 16 * 1024 * 1024 -- bytes of a piece
local WINDOW = 256 * 1024 -- HTTP_CALL_WINDOW

local stream = {}
local stream_mt = { __index = stream, __name = 'http stream' }

-- The headers, when they are not there yet.
function stream:_head()
    if self.status ~= nil then
        return true
    end
    local ok, err = wait_or_abort(self, HEADERS)
    if not ok then
        return nil, err
    end
    ok, err = c.result(self.call, self.what)
    if not ok and c.head(self.call) == 0 then
        return nil, err
    end
    take_head(self, self)
    return true
end

local function check_stream(self)
    if getmetatable(self) ~= stream_mt then
        usage('http.client: use stream:method(...), with a colon')
    elseif self.closed then
        usage('http.client: the stream is closed')
    end
end

-- Which end of the next piece: how many bytes, or behind which text.
local function check_what(what)
    local limit, delimiter = what, nil
    if type(what) == 'table' then
        limit, delimiter = what.chunk or what.size, what.delimiter
    elseif type(what) == 'string' then
        limit, delimiter = nil, what
    end
    if limit == nil then
        return READ_MAX, delimiter
    elseif type(limit) == 'number' and limit >= 0 then
        return math.min(limit, READ_MAX), delimiter
    end
    usage('stream:read(limit | delimiter | {chunk=, delimiter=}, timeout)')
end

-- Up to where the next piece goes, of @size bytes that are there; nil: more is wanted.
local function piece_end(self, limit, delimiters, size, seen)
    local first
    for _, delimiter in ipairs(delimiters) do
        local at = c.find(self.call, delimiter, math.max(0, seen - #delimiter + 1))
        if at ~= nil and at <= limit and (first == nil or at < first) then
            first = at
        end
    end
    return first or size >= limit and limit or nil
end

--- stream:read(limit | delimiter | {chunk=, delimiter=}, [timeout]) -> string | nil, err
-- The next piece of the response's body: @limit bytes, or all up to and with the
-- @delimiter, a string or a list of strings; less at the end, and '' behind it. At most
-- 16 MiB. The server is held back while 256 KiB wait to be read. When @timeout (seconds) is
-- over it is `nil, err`, and nothing is lost. Yields: yes. Throws: cancelled, the
-- deadline, wrong usage.
function stream:read(what, timeout)
    check_stream(self)
    local limit, delimiters = check_what(what)
    delimiters = type(delimiters) == 'table' and delimiters
        or delimiters ~= nil and { delimiters } or {}
    for _, delimiter in ipairs(delimiters) do
        if type(delimiter) ~= 'string' or delimiter == '' then
            usage('stream:read: a delimiter is a string that is not empty')
        end
    end
    local due, seen = math.min(due_of(timeout), self.due), 0
    local ok, err = true, nil
    if self.status == nil and timeout ~= nil then
        ok, err = wait(self, HEADERS, due)
    end
    if ok then
        ok, err = self:_head()
    end
    if not ok then
        return nil, err
    end
    local any = what == nil
    c.window(self.call, math.max(WINDOW, #delimiters > 0 and 0 or limit))
    while true do
        local ended, _, size = c.state(self.call)
        local to = any and size > 0 and size
            or piece_end(self, limit, delimiters, size, seen)
        if to ~= nil then
            return c.take(self.call, to)
        elseif ended then
            ok, err = c.result(self.call, self.what)
            if not ok then
                return nil, err
            end
            self:_trailers()
            return c.take(self.call, size)
        end
        if #delimiters > 0 and size >= WINDOW then
            c.window(self.call, math.min(2 * size, limit))
        end
        seen = size
        ok, err = wait(self, BODY, due, size)
        if not ok then
            return nil, err
        end
    end
end

function stream:_trailers()
    local text = c.trailers(self.call)
    if text ~= '' then
        self.trailers = select(2, parse_head('\n' .. text))
    end
end

--- stream:write(data, [timeout]) -> number | nil, err
-- Send @data as the next piece of the body: how many bytes these were; fewer, in the end
-- 0, are those that a `Content-Length` of the request's has left. It waits, for
-- @timeout seconds at most, while the server does not take what is there (256 KiB). Yields: yes. Throws: cancelled, the
-- deadline, wrong usage.
function stream:write(data, timeout)
    check_stream(self)
    if type(data) ~= 'string' then
        usage(('stream:write(data): a string is wanted, not %s'):format(type(data)))
    elseif not self.out or self.sent_all then
        usage('stream:write: the body of this request was sent')
    end
    local due = math.min(due_of(timeout), self.due)
    if self.left ~= nil and #data > self.left then
        data = data:sub(1, self.left)
    end
    for from = 1, #data, 65536 do
        local ok, err = wait(self, ROOM, due)
        local ended = c.state(self.call)
        if ok and ended then
            ok, err = c.result(self.call, self.what)
            if ok then -- a response without waiting for the rest
                return from - 1
            end
        end
        if ok then
            ok, err = c.send(self.call, data:sub(from, from + 65535))
        end
        if not ok then
            return nil, err
        elseif self.left ~= nil then
            self.left = self.left - math.min(65536, #data - from + 1)
        end
    end
    return #data
end

--- stream:finish([timeout]) -> true | nil, err
-- The body is complete: send its end, and wait, for @timeout seconds at most, for the
-- headers of the response, which are
-- in `stream.status`, `stream.headers` and so on afterwards; `stream:read()` has its body.
-- Yields: yes. Throws: cancelled, the deadline; less than the `Content-Length` was written.
function stream:finish(timeout)
    check_stream(self)
    if self.out and not self.sent_all then
        if self.left ~= nil and self.left > 0 then
            usage(('stream:finish: %d bytes of the Content-Length are left')
                :format(self.left))
        end
        self.sent_all = true
        c.send_end(self.call)
    end
    local before = self.due
    self.due = math.min(before, due_of(timeout))
    local ok, err = self:_head()
    self.due = before
    if not ok then
        return nil, err
    end
    return true
end

--- stream:close()
-- The end of it, wherever it is: what has not come is not waited for. Yields: no.
function stream:close()
    if not self.closed then
        self.closed = true
        c.close(self.call)
    end
end

-- Make a stream of a request as soon as there is something to do with it.
return function(self)
    local io = setmetatable(self, stream_mt)
    if not self.out then
        local ok, err = io:_head()
        if not ok then
            return nil, err
        end
    end
    return io
end
