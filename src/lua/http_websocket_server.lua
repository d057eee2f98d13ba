-- A part of the module `http.websocket`: requests of a server that become WebSockets.
local c, class = ...

local usage = c.usage

local TEXT = 'text/plain; charset=utf-8'

local known = {
    headers = 'table', protocols = 'table',
    origin = 'string or table or function or boolean',
}

-- The fields that each refusal needs besides.
local refusals = {
    [405] = { allow = 'GET' },
    [426] = { upgrade = 'websocket', ['sec-websocket-version'] = '13' },
}

-- A page of another site may not use the cookies of a browser here.
local function is_welcome(req, origin, wanted)
    if origin == nil or wanted == '*' or wanted == false then
        return true -- no browser; or all may
    elseif type(wanted) == 'function' then
        return wanted(origin, req)
    elseif type(wanted) == 'table' then
        for _, one in ipairs(wanted) do
            if one == origin then
                return true
            end
        end
        return false
    elseif type(wanted) == 'string' then
        return wanted == origin
    end
    local host = origin:match('^%a[%w+.-]*://([^/]+)$')
    return host ~= nil and host:lower() == (req:header('host') or ''):lower()
end

local function refuse(req, reply, status, why)
    local headers = { connection = 'close' }
    for name, value in pairs(refusals[status] or {}) do
        headers[name] = value
    end
    req._streamed = { status = status, headers = headers }
    reply(req, status, headers, why .. '\n', TEXT)
end

-- The first of the client's protocols that is ours.
local function choose(req, protocols)
    for name in (req:header('sec-websocket-protocol') or ''):gmatch('[^,%s]+') do
        for _, one in ipairs(protocols or {}) do
            if one == name then
                return name
            end
        end
    end
end

local reserved = {
    upgrade = true, ['sec-websocket-accept'] = true,
    ['sec-websocket-protocol'] = true, ['sec-websocket-extensions'] = true,
}

local function fields_of(headers, protocol)
    local fields = {}
    local function add(name, value)
        if type(name) ~= 'string' or reserved[name:lower()] or
           type(value) ~= 'string' and type(value) ~= 'number' then
            usage(("req:websocket: header field '%s' cannot be given")
                :format(tostring(name)))
        end
        fields[#fields + 1] = name
        fields[#fields + 1] = tostring(value)
    end
    for name, value in pairs(headers or {}) do
        for _, one in ipairs(type(value) == 'table' and value or { value }) do
            add(name, one)
        end
    end
    if protocol then
        fields[#fields + 1] = 'Sec-WebSocket-Protocol'
        fields[#fields + 1] = protocol
    end
    return fields
end

-- What req:websocket() is; @reply answers a request.
return function(req, reply, options, handler)
    if handler == nil then
        options, handler = nil, options
    end
    if type(handler) ~= 'function' then
        usage('req:websocket([options], handler): a function is wanted')
    end
    options = class.options(options, known, 'req:websocket')
    class.check_protocols(options.protocols, 'req:websocket')
    local status, why = c.check(req)
    if status == nil and
       not is_welcome(req, req:header('origin'), options.origin) then
        status, why = 403, 'pages of this origin may not'
    end
    if status ~= nil then
        return refuse(req, reply, status, why)
    end
    local protocol = choose(req, options.protocols)
    local compress = options.compress or {}
    local box = c.accept(req, fields_of(options.headers, protocol),
        options.max_message, options.heartbeat or 0, options.close_timeout,
        compress.window, compress.context)
    if box == false then
        return refuse(req, reply, 503, 'the server stops')
    end
    req._streamed = { status = 101, headers = options.headers or {} }
    if box == nil then
        return
    end
    local ws = class.new(box, options)
    ws.protocol = protocol
    handler(ws, req)
    class.note_end(ws)
end
