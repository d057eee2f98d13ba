-- What actions find out of a connection, services know by its variables.
core.register_action('greet', { 'tcp-req' }, function(txn)
    txn:set_var('txn.who', txn.sf:src())
    txn:Info('a caller: ' .. txn.sf:src())
end)

-- One fiber for each connection: it waits for a line, and the others go on.
core.register_service('sum', 'tcp', function(applet)
    local sum = 0
    applet:send(('hello %s\n'):format(applet:get_var('txn.who')))
    while true do
        local line = applet:getline()
        if line == '' then -- the caller has gone
            return
        end
        local text = line:gsub('%s+$', '')
        local number = tonumber(text)
        if text == 'quit' then
            applet:send('bye\n')
            return -- and the connection is closed
        elseif number then
            sum = sum + number
            applet:send(('sum %g\n'):format(sum))
        else
            applet:send(('what is %q?\n'):format(text))
        end
    end
end)
