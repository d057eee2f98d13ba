-- Raw client sockets for functional tests: bytes out, bytes in, nothing made
-- nice. Through the FFI, so that the thing under test is not its own client.
-- All waiting is done by looking again after a short sleep of the fiber.
--
--     local peer = raw.connect(port)          -- or a unix socket's path
--     peer:send('GET / HTTP/1.1\r\n')
--     local text, ended = peer:read('ok\n')   -- until this text, or the end
--     peer:close()                            -- or peer:reset()
local ffi = require('ffi')
local fiber = require('fiber')

ffi.cdef([[
    struct raw_in { uint16_t family; uint16_t port; uint32_t addr; char pad[8]; };
    struct raw_un { uint16_t family; char path[108]; };
    struct raw_linger { int on; int seconds; };
    int socket(int domain, int type, int protocol);
    int connect(int fd, const void *addr, uint32_t size);
    int setsockopt(int fd, int level, int name, const void *value,
                   uint32_t size);
    long send(int fd, const void *data, size_t size, int flags);
    long recv(int fd, void *data, size_t size, int flags);
    int shutdown(int fd, int how);
    int close(int fd);
]])

local AF_UNIX, AF_INET, SOCK_STREAM, SOCK_CLOEXEC = 1, 2, 1, 0x80000
local SOL_SOCKET, SO_RCVBUF, SO_LINGER, TCP, NODELAY = 1, 8, 13, 6, 1
local MSG_DONTWAIT, MSG_NOSIGNAL = 0x40, 0x4000
local EAGAIN, SHUT_WR = 11, 1
local PATIENCE, NAP = 60, 0.001

local raw, peer = {}, {}
peer.__index = peer

local one = ffi.new('int[1]', 1)
local buffer = ffi.new('char[65536]')

--- A connected peer; @options: {rcvbuf=}.
function raw.connect(where, options)
    local unix = type(where) == 'string'
    local fd = ffi.C.socket(unix and AF_UNIX or AF_INET,
        SOCK_STREAM + SOCK_CLOEXEC, 0)
    assert(fd >= 0, 'socket')
    local addr
    if unix then
        addr = ffi.new('struct raw_un', AF_UNIX, where)
    else
        addr = ffi.new('struct raw_in', AF_INET)
        addr.port = bit.bor(bit.lshift(bit.band(where, 255), 8),
            bit.rshift(where, 8))
        addr.addr = 0x0100007f
        ffi.C.setsockopt(fd, TCP, NODELAY, one, 4)
    end
    if options and options.rcvbuf then
        ffi.C.setsockopt(fd, SOL_SOCKET, SO_RCVBUF,
            ffi.new('int[1]', options.rcvbuf), 4)
    end
    if ffi.C.connect(fd, addr, ffi.sizeof(addr)) ~= 0 then
        local err = ffi.errno()
        ffi.C.close(fd)
        return nil, err
    end
    return setmetatable({ fd = fd, text = '' }, peer)
end

--- Send all of @text; false when the other side has gone.
function peer:send(text)
    local at = 0
    while at < #text do
        local n = tonumber(ffi.C.send(self.fd, text:sub(at + 1), #text - at,
            MSG_DONTWAIT + MSG_NOSIGNAL))
        if n > 0 then
            at = at + n
        elseif ffi.errno() ~= EAGAIN then
            return false
        else
            fiber.sleep(NAP)
        end
    end
    return true
end

--- Read until @wanted (plain text, found @times times) or the end of the
-- stream. All that came since the last call, and whether it has ended.
function peer:read(wanted, times)
    local deadline = fiber.clock() + PATIENCE
    local text, from = '', 1
    times = times or 1
    while true do
        local n = tonumber(ffi.C.recv(self.fd, buffer, 65536, MSG_DONTWAIT))
        if n > 0 then
            text = text .. ffi.string(buffer, n)
        elseif n == 0 or ffi.errno() ~= EAGAIN then
            return text, true
        end
        while wanted ~= nil and times > 0 do
            local _, to = text:find(wanted, from, true)
            if to == nil then
                break
            end
            times, from = times - 1, to + 1
        end
        if wanted ~= nil and times == 0 then
            return text, false
        end
        if n < 0 then
            if fiber.clock() > deadline then
                error(('waited in vain for %q, got %q'):format(
                    wanted or 'the end', text), 2)
            end
            fiber.sleep(NAP)
        end
    end
end

--- No more will be sent; answers can still be read.
function peer:shutdown()
    ffi.C.shutdown(self.fd, SHUT_WR)
end

function peer:close()
    ffi.C.close(self.fd)
end

--- Close with a reset.
function peer:reset()
    ffi.C.setsockopt(self.fd, SOL_SOCKET, SO_LINGER,
        ffi.new('struct raw_linger', 1, 0), 8)
    ffi.C.close(self.fd)
end

--- One request on a connection of its own: {status=, headers=, body=, text=}.
-- @options: {method=, headers= (lines), body=}.
function raw.request(where, target, options)
    options = options or {}
    local self = assert(raw.connect(where))
    local body = options.body
    self:send(('%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s%s\r\n%s')
        :format(options.method or 'GET', target, options.headers or '',
            body and ('Content-Length: %d\r\n'):format(#body) or '',
            body or ''))
    local text = self:read()
    self:close()
    return raw.parse(text)
end

function raw.parse(text)
    local head, body = text:match('^(.-\r\n)\r\n(.*)$')
    local answer = { text = text, body = body, headers = {} }
    if head == nil then
        return answer
    end
    answer.status = tonumber(head:match('^HTTP/1.1 (%d+)'))
    for name, value in head:gmatch('\r\n([^:\r]+): ([^\r]*)') do
        name = name:lower()
        local old = answer.headers[name]
        answer.headers[name] = old and old .. ' | ' .. value or value
    end
    return answer
end

--- Wait until @f() is true.
function raw.until_true(f)
    local deadline = fiber.clock() + PATIENCE
    while not f() do
        if fiber.clock() > deadline then
            error('waited in vain', 2)
        end
        fiber.sleep(NAP)
    end
end

return raw
