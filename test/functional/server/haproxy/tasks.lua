-- What runs beside requests: a task that asks another server by a socket, again and
-- again, and what init has found.
local found, started = 'nothing yet', false

core.register_init(function()
    started = true
end)

core.register_task(function()
    while true do
        local s = core.tcp()
        s:settimeout(2)
        if s:connect('127.0.0.1', tonumber(os.getenv('LINES'))) then
            s:send('hello\n')
            found = s:receive('*l')
        end
        s:close()
        core.msleep(20)
    end
end)

core.register_service('found', 'http', function(applet)
    for _ = 1, 200 do
        if found ~= 'nothing yet' then break end
        core.msleep(10)
    end
    applet:set_status(200)
    applet:start_response()
    applet:send(tostring(started) .. ' ' .. tostring(found) .. '\n')
end)
