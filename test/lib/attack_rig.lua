-- What tests of peers that are no good have in common: a server in another process
-- (functional/attacks/server.lua), and peers of one kind over plain text and over TLS.
--
--     local server = rig.start({idle_timeout = 1})
--     local peer = rig.peer(server, secure, [alpn])
--     peer:send(bytes); local text, ended = peer:take(); peer:close() -- or :reset()
--     server:level().descriptors
local bit = require('bit')
local ffi = require('ffi')
local fiber = require('fiber')
local http = require('http.client')
local json = require('json')
local popen = require('popen')
local raw = require('raw')
local socket = require('socket')
local tls = require('tls_rig')

local rig = { ca = tls.pem('ca'), dir = tls.dir, done = tls.done }

-- --- the server ---

ffi.cdef([[
    struct attack_limit { unsigned long now, most; };
    int getrlimit(int what, struct attack_limit *limit);
    int setrlimit(int what, const struct attack_limit *limit);
]])

--- As many descriptors as there may be, for us and for whom we start.
function rig.raise_descriptors()
    local limit = ffi.new('struct attack_limit')
    assert(ffi.C.getrlimit(7, limit) == 0)
    limit.now = limit.most
    ffi.C.setrlimit(7, limit)
    return tonumber(limit.now)
end

local server = {}
server.__index = server

--- @options of the server: numbers; `prefix`: a command before it.
function rig.start(options)
    options = options or {}
    local argv = { os.getenv('NEAP_BIN'), os.getenv('NEAP_SOURCE_DIR')
        .. '/test/functional/attacks/server.lua', rig.dir }
    for name, value in pairs(options) do
        if name ~= 'prefix' then
            argv[#argv + 1] = name .. '=' .. value
        end
    end
    local ph
    if options.prefix then
        ph = assert(popen.new({ options.prefix .. '; exec ' ..
            table.concat(argv, ' ') }, { shell = true, stdout = popen.opts.PIPE }))
    else
        ph = assert(popen.new(argv, { stdout = popen.opts.PIPE }))
    end
    local text = ''
    while not text:find('\n') do
        local more = assert(ph:read({ timeout = 60 }))
        assert(more ~= '', 'the server has ended')
        text = text .. more
    end
    local plain, secure, control = text:match('(%d+)%s+(%d+)%s+(%d+)')
    return setmetatable({ ph = ph, plain = tonumber(plain),
        secure = tonumber(secure), control = tonumber(control) }, server)
end

--- How it stands: the sums of its counters, and descriptors, memory (KiB), fibers.
function server:level()
    return json.decode(raw.request(self.control, '/level').body)
end

--- Until nobody is connected and nothing under way; @path of the control port is asked
-- for meanwhile.
function server:rest(path)
    local now
    raw.until_true(function()
        fiber.sleep(0.01)
        if path then
            raw.request(self.control, path)
        end
        now = self:level()
        return now.connections == 0 and now.waiting == 0
    end)
    return now
end

--- True when it has ended as it should.
function server:stop()
    self.ph:terminate()
    local status = self.ph:wait(60)
    self.ph:close()
    return status ~= nil and status.exit_code == 0
end

--- One request in each way there is: how many of the four were answered. No connection
-- is kept.
function server:ask()
    local client, good = http.new(), 0
    for _, way in ipairs({
        { 'http://127.0.0.1:' .. self.plain, { http_version = '1.1' } },
        { 'http://127.0.0.1:' .. self.plain, { http_version = '2-prior-knowledge' } },
        { 'https://localhost:' .. self.secure, { http_version = '1.1' } },
        { 'https://localhost:' .. self.secure, { http_version = '2' } },
    }) do
        way[2].ca_file, way[2].timeout = rig.ca, 60
        local answer, err = client:get(way[1] .. '/', way[2])
        good = good + (answer and answer.body == 'hello' and 1 or 0)
        rig.last_error = err or rig.last_error
    end
    client = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    return good
end

-- --- peers ---

local plain, secure = {}, {}
plain.__index, secure.__index = plain, secure

local contexts = {}
local function context_of(alpn)
    contexts[alpn] = contexts[alpn] or assert(socket.tls_client({
        ca_file = rig.ca, alpn = { alpn }, session_cache = false }))
    return contexts[alpn]
end

--- Connected, and over TLS greeted.
function rig.peer(to, over_tls, alpn)
    if not over_tls then
        return setmetatable({ raw = assert(raw.connect(to.plain)) }, plain)
    end
    local s = assert(socket.tcp_connect('127.0.0.1', to.secure, { timeout = 60,
        tls = { context = context_of(alpn or 'http/1.1'),
                server_name = 'localhost' } }))
    return setmetatable({ s = s }, secure)
end

--- To the TLS port, but without any.
function rig.bare_peer(to)
    return setmetatable({ raw = assert(raw.connect(to.secure)) }, plain)
end

local bytes = ffi.new('char[65536]')

function plain:send(text) return self.raw:send(text) end
function plain:shutdown() self.raw:shutdown() end
function plain:close() self.raw:close() end
function plain:reset() self.raw:reset() end

--- What has come, without waiting, and whether that was all.
function plain:take()
    local n = tonumber(ffi.C.recv(self.raw.fd, bytes, 65536, 0x40))
    if n > 0 then
        return ffi.string(bytes, n), false
    end
    return '', n == 0 or ffi.errno() ~= 11
end

function secure:send(text) return self.s:write(text, 20) ~= nil end
function secure:shutdown() pcall(self.s.shutdown, self.s, 'W') end
function secure:close() self.s:close() end

-- Below TLS, which would announce its end.
ffi.cdef('int dup2(int from, int to); int open(const char *path, int flags, ...);')
function secure:reset()
    self.s:linger(true, 0)
    local nothing = ffi.C.open('/dev/null', 2)
    ffi.C.dup2(nothing, self.s:fd())
    ffi.C.close(nothing)
    pcall(self.s.close, self.s)
end

function secure:take()
    if not self.s:readable(0) then
        return '', false
    end
    local data = self.s:recv(65536)
    if data == nil then
        return '', self.s:errno() ~= 11
    end
    return data, data == ''
end

--- Until @wanted has come, or the end: all of it, and whether it has ended.
function rig.read(peer, wanted)
    local text, ended = '', false
    raw.until_true(function()
        local more
        more, ended = peer:take()
        text = text .. more
        return ended or wanted and text:find(wanted, 1, true)
    end)
    return text, ended
end

-- --- HTTP/2 ---

local h2 = { DATA = 0, HEADERS = 1, RESET = 3, SETTINGS = 4, PING = 6, GOAWAY = 7,
             WINDOW = 8, CONTINUATION = 9 }
rig.h2 = h2

local function number(n, size)
    local out = ''
    for i = size - 1, 0, -1 do
        out = out .. string.char(math.floor(n / 256 ^ i) % 256)
    end
    return out
end

--- A frame, or only its head if @data is a size.
function h2.frame(kind, flags, id, data)
    local size = type(data) == 'number' and data or #data
    return number(size, 3) .. string.char(kind, flags) .. number(id, 4)
        .. (size == data and '' or data)
end

local function hpack_number(n)
    if n < 127 then
        return string.char(n)
    end
    local out = '\127'
    n = n - 127
    while n >= 128 do
        out, n = out .. string.char(bit.bor(n % 128, 128)), math.floor(n / 128)
    end
    return out .. string.char(n)
end

--- Fields as they are, uncompressed: name, value, name, value...
function h2.fields(...)
    local out = {}
    for i = 1, select('#', ...) do
        local text = select(i, ...)
        out[i] = (i % 2 == 1 and '\0' or '') .. hpack_number(#text) .. text
    end
    return table.concat(out)
end

function h2.request(id, method, path, flags, ...)
    return h2.frame(h2.HEADERS, flags, id, h2.fields(':method', method, ':scheme',
        'http', ':authority', 'localhost', ':path', path, ...))
end

h2.START = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' .. h2.frame(h2.SETTINGS, 0, 0, '')

--- The frames that are whole in @text: {kind=, flags=, id=, data=}..
function h2.frames(text)
    local out, at = {}, 1
    while #text - at + 1 >= 9 do
        local a, b, c, kind, flags, i1, i2, i3, i4 = text:byte(at, at + 8)
        local size = (a * 256 + b) * 256 + c
        if #text - at + 1 < 9 + size then
            break
        end
        out[#out + 1] = { kind = kind, flags = flags,
            id = ((i1 % 128 * 256 + i2) * 256 + i3) * 256 + i4,
            data = text:sub(at + 9, at + 8 + size) }
        at = at + 9 + size
    end
    return out
end

--- How many frames of @kind are in @text.
function h2.count(text, kind, id)
    local n = 0
    for _, frame in ipairs(h2.frames(text)) do
        n = n + (frame.kind == kind and (id == nil or frame.id == id) and 1 or 0)
    end
    return n
end

return rig
