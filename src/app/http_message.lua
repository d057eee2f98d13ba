-- Messages as filters see them: HAProxy's classes HTTPMessage and Channel (require
-- 'neap.http_message', which is no public module). Both look at one message: its head,
-- and what of its body has come and not gone on yet.
--
-- A payload callback may change what has come; what it leaves there goes on when it has
-- returned.
local c = ...

local fields = require('neap.fields')

local error, getmetatable, setmetatable = error, getmetatable, setmetatable
local tonumber, tostring, type = tonumber, tostring, type
local concat, pairs, sub = table.concat, pairs, string.sub

local M = {}

-- Bytes that a callback may have in a message, both what has come and what goes on.
local ROOM = 16 * 1024 * 1024

-- new(txn, response, head) -> message. @head: of HTTP, {fields=, method=, ..}.
function M.new(txn, response, head)
    return { txn = txn, response = response, head = head, input = '', out = {},
             out_size = 0, coming = true, changed = {} }
end

-- begin(message, data, last): a payload callback comes.
function M.begin(m, data, last)
    m.input, m.out, m.out_size = data, {}, 0
    m.payload, m.coming = true, not last
end

-- take(message) -> text: what goes on behind a payload callback.
function M.take(m)
    local out, input = m.out, m.input
    m.payload, m.input, m.out, m.out_size = false, '', {}, 0
    if out[1] == nil then
        return input
    end
    out[#out + 1] = input
    return concat(out)
end

-- --- what both classes have ---

local common = {}

function common:is_resp()
    return self.message.response
end

function common:may_recv()
    return self.message.coming
end

function common:input()
    return #self.message.input
end

function common:output()
    return self.message.out_size
end

local function room(m)
    return ROOM - #m.input - m.out_size
end

function common:is_full()
    return room(self.message) <= 0
end

-- The message of an object whose body a callback may change now.
local function body_of(self, name)
    local m = self.message
    m.txn:check()
    if not m.payload then
        error(('%s(): the body is there in http_payload and tcp_payload alone')
            :format(name), 3)
    end
    return m
end

-- An offset, which may be one from the end: behind so many bytes.
local function offset_in(m, offset, name)
    local size = #m.input
    if offset == nil then
        return 0
    end
    local n = tonumber(offset)
    if n == nil or n % 1 ~= 0 or n > size then
        error(('%s: offset %s is out of range, there are %d bytes'):format(name,
            tostring(offset), size), 3)
    elseif n < 0 then
        n = n + size
    end
    return n < 0 and 0 or n
end

local function length_in(m, offset, length, name)
    local left = #m.input - offset
    if length == nil or length == -1 then
        return left
    end
    local n = tonumber(length)
    if n == nil or n % 1 ~= 0 or n < 0 then
        error(('%s: a length of %s cannot be'):format(name, tostring(length)), 3)
    end
    return n < left and n or left
end

local function text_of(text, name)
    if type(text) == 'number' then
        return tostring(text)
    elseif type(text) ~= 'string' then
        error(('%s: a string is wanted, not %s'):format(name, type(text)), 3)
    end
    return text
end

local function peek(name)
    return function(self, offset, length)
        local m = body_of(self, name)
        offset = offset_in(m, offset, name)
        length = length_in(m, offset, length, name)
        if length == #m.input then
            return m.input
        end
        return sub(m.input, offset + 1, offset + length)
    end
end

common.data = peek('data')

local function put(m, text, offset, length)
    if #text - length > room(m) then
        return -1
    end
    m.input = sub(m.input, 1, offset) .. text .. sub(m.input, offset + length + 1)
    return #text
end

function common:insert(text, offset)
    local m = body_of(self, 'insert')
    return put(m, text_of(text, 'insert'), offset_in(m, offset, 'insert'), 0)
end

function common:prepend(text)
    return put(body_of(self, 'prepend'), text_of(text, 'prepend'), 0, 0)
end

function common:append(text)
    local m = body_of(self, 'append')
    return put(m, text_of(text, 'append'), #m.input, 0)
end

function common:set(text, offset, length)
    local m = body_of(self, 'set')
    offset = offset_in(m, offset, 'set')
    return put(m, text_of(text, 'set'), offset, length_in(m, offset, length, 'set'))
end

function common:remove(offset, length)
    local m = body_of(self, 'remove')
    offset = offset_in(m, offset, 'remove')
    length = length_in(m, offset, length, 'remove')
    put(m, '', offset, length)
    return length
end

local function go_on(m, text)
    m.out[#m.out + 1] = text
    m.out_size = m.out_size + #text
end

-- Goes on now, before what has come.
function common:send(text)
    local m = body_of(self, 'send')
    text = text_of(text, 'send')
    if #text > room(m) then
        return -1
    end
    go_on(m, text)
    return #text
end

function common:forward(length)
    local m = body_of(self, 'forward')
    length = length_in(m, 0, length, 'forward')
    go_on(m, sub(m.input, 1, length))
    m.input = sub(m.input, length + 1)
    return length
end

-- --- HTTPMessage ---

local HTTP = {}
for name, f in pairs(common) do
    HTTP[name] = f
end
HTTP.data = nil

local http_mt = {
    __index = HTTP, __tostring = function() return 'HTTPMessage' end,
}

HTTP.body = peek('body')

function HTTP:eom()
    return not self.message.coming
end

local versions = {}

local function version_of(head)
    local text = versions[head.version]
    if text == nil then
        text = 'HTTP/' .. head.version
        versions[head.version] = text
    end
    return text
end

function HTTP:get_stline()
    local m = self.message
    local head = m.head
    m.txn:check()
    if m.response then
        return { version = version_of(head), code = tostring(head.status),
                 reason = head.reason or c.reasons[head.status] or '' }
    end
    return { method = head.method, uri = head.target, version = version_of(head) }
end

function HTTP:get_headers()
    self.message.txn:check()
    return fields.tables(self.message.head.fields)
end

-- The head of a message that has not been sent yet, and its note of changes.
local function head_of(self, name, response)
    local m = self.message
    m.txn:check()
    if response ~= nil and m.response ~= response then
        error(('%s(): this is the %s'):format(name,
            response and 'request' or 'answer'), 3)
    elseif m.sent then
        error(('%s(): the header has gone on'):format(name), 3)
    end
    return m.head, m.changed
end

for name, change in pairs({
    add_header = fields.with, del_header = fields.without, set_header = fields.set,
    rep_header = function(list, field, pattern, replacement)
        return fields.replaced(list, field, fields.replacer(pattern, replacement, 3))
    end,
    rep_value = function(list, field, pattern, replacement)
        return fields.replaced(list, field, fields.replacer(pattern, replacement, 3),
            true)
    end,
}) do
    HTTP[name] = function(self, ...)
        local head, changed = head_of(self, name)
        head.fields = change(head.fields, ...)
        changed.fields = true
    end
end

function HTTP:set_method(method)
    local head, changed = head_of(self, 'set_method', false)
    head.method = fields.check_line('set_method', method)
    changed.method = true
    return true
end

local function set_target(self, name, path, query)
    local head, changed = head_of(self, name, false)
    local old_path, old_query = head.target:match('^([^?]*)%??(.*)$')
    path, query = path or old_path, query or old_query
    head.target = query == '' and path or path .. '?' .. query
    changed.target = true
    return true
end

function HTTP:set_path(path)
    return set_target(self, 'set_path', fields.check_line('set_path', path))
end

function HTTP:set_query(query)
    if query ~= '' then
        fields.check_line('set_query', query)
    end
    return set_target(self, 'set_query', nil, query)
end

function HTTP:set_uri(uri)
    local path, query = fields.check_line('set_uri', uri):match('^([^?]*)%??(.*)$')
    local rest = path:match('^%a[%w+.-]*://[^/]*(.*)$')
    return set_target(self, 'set_uri', rest == '' and '/' or rest or path, query)
end

function HTTP:set_status(status, reason)
    local head, changed = head_of(self, 'set_status', true)
    status = tonumber(status)
    if status == nil or status < 200 or status > 599 or status % 1 ~= 0 then
        error('set_status(status): a whole number from 200 to 599 is wanted', 2)
    end
    head.status, head.reason = status, reason
    changed.status = true
    return true
end

-- How long the body is that the filters leave, or "chunked": which it is anyway when a
-- filter of bodies has registered, unless all of it is known before the head is sent.
function HTTP:set_body_len(length)
    local _, changed = head_of(self, 'set_body_len')
    local n = tonumber(length)
    if length ~= 'chunked' and (n == nil or n < 0 or n % 1 ~= 0) then
        error('set_body_len(length): bytes, or "chunked", is wanted', 2)
    end
    changed.length = n or length
end

for _, name in pairs({ 'set_eom', 'unset_eom' }) do
    HTTP[name] = function()
        error(('http_msg:%s(): not in this server: a body ends where it ends')
            :format(name), 2)
    end
end

-- --- Channel ---

local Channel = {}

local function refuse(name, level)
    error(('%s(): of a message of HTTP the HTTPMessage has the body'):format(name), level)
end

for name, f in pairs(common) do
    Channel[name] = function(self, ...)
        if self.message.head and name ~= 'is_resp' and name ~= 'may_recv' and
           name ~= 'input' and name ~= 'output' and name ~= 'is_full' then
            refuse(name, 3)
        end
        return f(self, ...)
    end
end

function Channel:line(offset, length)
    if self.message.head then
        refuse('line', 3)
    end
    local text = self:data(offset, length)
    local at = text:find('\n', 1, true)
    return at and sub(text, 1, at) or text
end

for _, name in pairs({ 'get', 'dup', 'getline', 'get_in_len', 'get_out_len' }) do
    Channel[name] = function()
        error(('channel:%s(): not in this server: HAProxy has given it up')
            :format(name), 2)
    end
end

local channel_mt = {
    __index = Channel, __tostring = function() return 'Channel' end,
}

-- objects(message) -> channel, http_message | nil: what callbacks get.
function M.objects(m)
    local channel = setmetatable({ message = m }, channel_mt)
    return channel,
        m.head and setmetatable({ message = m, channel = channel }, http_mt)
end

function M.is_channel(value)
    return type(value) == 'table' and getmetatable(value) == channel_mt
end

return M
