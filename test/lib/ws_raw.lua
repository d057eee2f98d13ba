-- WebSockets by hand, for tests: frames as bytes, right and wrong ones.
--
--     local peer, head = ws_raw.connect(port, '/path')
--     peer:send(ws_raw.frame(1, 'hello'))
--     local opcode, data, fin = ws_raw.read(peer)
local bit = require('bit')
local raw = require('raw')

local M = {}

M.KEY, M.ACCEPT = 'dGhlIHNhbXBsZSBub25jZQ==', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

--- A frame of a client; @options: {fin=, rsv=, mask=}, with `mask = false` none.
function M.frame(opcode, data, options)
    options = options or {}
    data = data or ''
    local first = opcode + (options.fin == false and 0 or 128) +
        (options.rsv or 0)
    local mask = options.mask
    if mask == nil then
        mask = #data < 1000 and '\1\2\3\4' or '\0\0\0\0'
    end
    local flag = mask and 128 or 0
    local head
    if #data < 126 then
        head = string.char(first, flag + #data)
    elseif #data < 65536 then
        head = string.char(first, flag + 126, math.floor(#data / 256),
            #data % 256)
    else
        head = string.char(first, flag + 127, 0, 0, 0, 0,
            math.floor(#data / 2 ^ 24) % 256, math.floor(#data / 65536) % 256,
            math.floor(#data / 256) % 256, #data % 256)
    end
    if not mask or mask == '\0\0\0\0' then
        return head .. (mask or '') .. data
    end
    local out = {}
    for i = 1, #data do
        out[i] = string.char(bit.bxor(data:byte(i),
            mask:byte((i - 1) % 4 + 1)))
    end
    return head .. mask .. table.concat(out)
end

--- A Close.
function M.close(code, reason)
    return M.frame(8, code and string.char(math.floor(code / 256), code % 256)
        .. (reason or '') or '')
end

--- The request; @lines replace those of the same name, false leaves one out.
function M.request(path, lines, method, version)
    local fields = {
        host = 'localhost', upgrade = 'websocket', connection = 'Upgrade',
        ['sec-websocket-key'] = M.KEY, ['sec-websocket-version'] = '13',
    }
    for name, value in pairs(lines or {}) do
        fields[name] = value or nil
    end
    local out = { ('%s %s HTTP/%s\r\n'):format(method or 'GET', path or '/',
        version or '1.1') }
    for name, value in pairs(fields) do
        for _, one in ipairs(type(value) == 'table' and value or { value }) do
            out[#out + 1] = name .. ': ' .. one .. '\r\n'
        end
    end
    return table.concat(out) .. '\r\n'
end

--- A peer behind the handshake, and the head of the answer.
function M.connect(where, path, lines, options)
    local peer = assert(raw.connect(where, options))
    peer.kept = ''
    peer:send(M.request(path, lines))
    local text = ''
    repeat
        local more, ended = peer:read('\r\n\r\n')
        text = text .. more
    until ended or text:find('\r\n\r\n', 1, true)
    local head, rest = text:match('^(.-\r\n\r\n)(.*)$')
    peer.kept = rest or ''
    return peer, head or text
end

-- The first frame in @text: opcode, data, fin, the reserved bits, how long it is; nil:
-- not whole.
local function parse(text)
    if #text < 2 then
        return nil
    end
    local first, size, at = text:byte(1), text:byte(2), 3
    if size == 126 then
        if #text < 4 then
            return nil
        end
        size, at = text:byte(3) * 256 + text:byte(4), 5
    elseif size == 127 then
        if #text < 10 then
            return nil
        end
        size = ((text:byte(7) * 256 + text:byte(8)) * 256 + text:byte(9)) * 256
            + text:byte(10)
        at = 11
    end
    if #text < at + size - 1 then
        return nil
    end
    return first % 16, text:sub(at, at + size - 1), first >= 128,
        math.floor(first / 16) % 8 * 16, at + size - 1
end

--- The next frame of a server: opcode, data, fin, the reserved bits as frame() has them;
-- nil: the connection has ended.
function M.read(peer)
    local ffi, fiber = require('ffi'), require('fiber')
    local buffer = ffi.new('char[65536]')
    local deadline = fiber.clock() + 20
    while true do
        local opcode, data, fin, rsv, used = parse(peer.kept)
        if opcode then
            peer.kept = peer.kept:sub(used + 1)
            return opcode, data, fin, rsv
        end
        local n = tonumber(ffi.C.recv(peer.fd, buffer, 65536, 0x40))
        if n > 0 then
            peer.kept = peer.kept .. ffi.string(buffer, n)
        elseif n == 0 or ffi.errno() ~= 11 then
            return nil
        elseif fiber.clock() > deadline then
            error('waited in vain for a frame', 2)
        else
            fiber.sleep(0.001)
        end
    end
end

--- Read up to the server's Close: its code (1005: none), or nil without one; reason.
function M.read_close(peer)
    while true do
        local opcode, data = M.read(peer)
        if opcode == nil then
            return nil
        elseif opcode == 8 and data == '' then
            return 1005
        elseif opcode == 8 then
            return data:byte(1) * 256 + data:byte(2), data:sub(3)
        end
    end
end

return M
