-- Socket: LuaSocket's methods, from an action and from a service.
core.register_service('sockets', 'http', function(applet)
    local out = {}
    local function say(...)
        local list = { ... }
        for i = 1, select('#', ...) do
            list[i] = tostring(list[i])
        end
        out[#out + 1] = table.concat(list, ' ')
    end
    local port = tonumber(os.getenv('LINES'))
    local s = core.tcp()
    say('settimeout', s:settimeout(3))
    say('connect', s:connect('127.0.0.1', port))
    say('peer', s:getpeername() == '127.0.0.1:' .. port)
    say('own', s:getsockname():match('^127%.0%.0%.1:%d+$') ~= nil)
    say('send', s:send('one\ntwo\nthree\n'))
    say('line', s:receive())
    say('line', s:receive('*l'))
    say('number', s:receive(3))
    say('prefix', s:receive('*l', 'more: '))
    s:send('xxpartxx\n', 3, 6)
    s:send('\nbye\n')
    say('all', s:receive('*a'))
    s:close()

    s = core.tcp()
    say('together', s:connect('127.0.0.1:' .. port))
    s:send('four\n')
    say('line', s:receive('*l'))
    s:close()

    s = core.tcp()
    s:settimeout(1)
    say('nobody', s:connect('127.0.0.1', 1) == nil)
    s:close()
    local text = table.concat(out, '\n') .. '\n'
    applet:set_status(200)
    applet:add_header('content-length', #text)
    applet:start_response()
    applet:send(text)
end)

core.register_action('ask', { 'http-req' }, function(txn)
    local s = core.tcp()
    s:connect('127.0.0.1', tonumber(os.getenv('LINES')))
    s:send('asked\n')
    txn:set_var('txn.answer', s:receive('*l'))
    s:close()
end)
