-- Services: what a request is made of, bodies as a whole and by lines, an answer in
-- pieces, lines over TCP.
local function page(applet, text)
    applet:set_status(200, 'Fine')
    applet:add_header('Content-Length', string.len(text))
    applet:add_header('Content-Type', 'text/plain')
    applet:start_response()
    applet:send(text)
end

core.register_service('show', 'http', function(applet)
    local out = {}
    out[#out + 1] = applet.method .. ' ' .. applet.version .. ' ' .. applet.path
    out[#out + 1] = 'query ' .. applet.qs
    out[#out + 1] = 'length ' .. tostring(applet.length)
    for _, name in ipairs({ 'x-one', 'x-two' }) do
        local values = applet.headers[name]
        if values ~= nil then
            local i = 0
            while values[i] do
                out[#out + 1] = name .. '[' .. i .. '] ' .. values[i]
                i = i + 1
            end
        end
    end
    out[#out + 1] = 'converter ' .. applet.c:upper('ab') .. applet.sc:hex('A')
    applet:set_var('txn.seen', 'yes')
    out[#out + 1] = 'variable ' .. applet:get_var('txn.seen')
    page(applet, table.concat(out, '\n') .. '\n')
end)

core.register_service('body', 'http', function(applet)
    page(applet, 'got ' .. applet:receive() .. '\n')
end)

core.register_service('pieces', 'http', function(applet)
    local first, second = applet:getline(), applet:getline()
    page(applet, first .. '|' .. second .. '|' .. applet:receive() .. '\n')
end)

core.register_service('stream', 'http', function(applet)
    applet:set_status(206)
    applet:start_response()
    for i = 1, 3 do
        applet:send('part ' .. i .. '\n')
        core.msleep(5)
    end
end)

core.register_service('silent', 'http', function() end)

core.register_service('throws', 'http', function()
    error('not today')
end)

core.register_service('upper', 'tcp', function(applet)
    while true do
        local line = applet:getline()
        if line == nil or line == '' or line == 'bye\n' then
            return
        end
        applet:send(string.upper(line))
    end
end)
