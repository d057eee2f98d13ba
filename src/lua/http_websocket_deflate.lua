-- A part of the module `http.websocket`: messages made smaller (permessage-deflate), the
-- way there; what comes is inflated by the protocol itself.
local c = ...

local usage = c.usage

local M = {}

local LEVEL, MIN_SIZE = 5, 1024
-- A window that is kept between messages costs eight times its size, for each connection.
local WINDOW, KEPT_WINDOW, LEAST_WINDOW = 15, 12, 9
local UNUSED = 262 -- of a window

-- name = { the least, the most }
local numbers = {
    level = { 1, 9 }, min_size = { 1, 2 ^ 30 },
    window = { LEAST_WINDOW, WINDOW },
}

-- What the option `compress` says, checked: nil, or a table.
function M.options(value, who)
    if not value then
        return nil
    elseif value == true then
        value = {}
    end
    local out = { level = LEVEL, min_size = MIN_SIZE, context = false }
    for name, v in pairs(value) do
        local range = numbers[name]
        if not (range and type(v) == 'number' and v >= range[1] and
                v <= range[2]) and
           not (name == 'context' and type(v) == 'boolean') then
            usage(('%s: compress = {level= (1 to 9), min_size=, context=, '
                .. 'window= (9 to 15)} is wanted, not %s = %s'):format(who,
                tostring(name), tostring(v)))
        end
        out[name] = range and math.floor(v) or v
    end
    out.window = out.window or out.context and KEPT_WINDOW or WINDOW
    local why = c.no_deflate()
    if why then
        error('compress: ' .. why, 0)
    end
    return out
end

-- A new WebSocket, of which is known what both sides have agreed on.
function M.begin(ws)
    ws.window, ws.keeps = c.deflate(ws.box)
    ws.compressed = ws.window ~= nil
    ws.deflate_from = ws.compressed and ws.options.compress.min_size or
        math.huge
end

-- The window that a message of @size bytes needs: one that is larger only costs.
local function window_for(ws, size)
    local bits = ws.window
    while not ws.keeps and bits > LEAST_WINDOW and
          size + UNUSED <= 2 ^ (bits - 1) do
        bits = bits - 1
    end
    return bits
end

-- What @data becomes, nil: nothing smaller. Whoever is cut off here, or what is sent as
-- it is, leaves an encoder that is ahead of the peer: the next message has a new one,
-- which does not refer to anything before.
function M.deflate(ws, data)
    local encoder, why = ws.encoder, nil
    ws.encoder = nil
    if encoder == nil then
        encoder, why = c.encoder('d', ws.options.compress.level,
            window_for(ws, #data))
        if encoder == nil then
            error('ws:send(): compress: ' .. why, 0)
        end
    end
    local status, out = c.encode(encoder, data, not ws.keeps)
    if status ~= true then
        c.blocking_failed(status)
    elseif #out >= #data then
        return nil
    end
    ws.encoder = ws.keeps and encoder or nil
    return out
end

return M
