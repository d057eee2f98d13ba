-- Services of HAProxy's shape: each gets an applet, which is the request and the answer.
local json = require('json')

local items, last = {}, 0

local function answer(applet, status, value)
    local text = value and json.encode(value) .. '\n' or ''
    applet:set_status(status)
    applet:add_header('content-type', 'application/json')
    applet:add_header('content-length', tostring(#text))
    applet:start_response()
    applet:send(text)
end

local handlers = {}

function handlers.GET(applet)
    local list = {}
    for id = 1, last do
        if items[id] then
            list[#list + 1] = { id = id, text = items[id] }
        end
    end
    answer(applet, 200, { items = list })
end

function handlers.POST(applet)
    local text = applet:receive() -- all of the body; it may wait for it
    if text == '' then
        return answer(applet, 400, { error = 'a text is wanted' })
    end
    last = last + 1
    items[last] = text
    answer(applet, 201, { id = last })
end

core.register_service('items', 'http', function(applet)
    local handle = handlers[applet.method]
    if handle == nil then
        return answer(applet, 405, { error = 'GET or POST is wanted' })
    end
    handle(applet)
end)

core.register_service('item', 'http', function(applet)
    local id = tonumber(applet.path:match('^/items/(%d+)$'))
    if items[id or 0] == nil then
        return answer(applet, 404, { error = 'there is no such item' })
    elseif applet.method == 'DELETE' then
        items[id] = nil
        return answer(applet, 204)
    end
    answer(applet, 200, { id = id, text = items[id] })
end)
