-- Actions: the header, variables, private data, answers, and those of answers.
core.register_action('dress', { 'http-req' }, function(txn)
    local headers = txn.http:req_get_headers()
    txn:Info('a request of ' .. tostring(headers['host'][0]))
    txn.http:req_add_header('x-list', 'c')
    txn.http:req_set_header('x-set', 'only')
    txn.http:req_del_header('x-gone')
    txn.http:req_rep_header('x-whole', '^a(.*)z$', '<\\1>')
    txn.http:req_rep_value('x-list', '^(.)$', '[\\1]')
    txn:set_priv({ from = 'dress' })
end)

core.register_action('tell', { 'http-req' }, function(txn)
    local out = { 'private ' .. tostring((txn:get_priv() or {}).from) }
    for _, name in ipairs({ 'x-list', 'x-set', 'x-gone', 'x-whole' }) do
        local values, list = txn.http:req_get_headers()[name], {}
        local i = 0
        while values and values[i] do
            list[#list + 1] = values[i]
            i = i + 1
        end
        out[#out + 1] = name .. ' ' .. table.concat(list, ',')
    end
    local reply = txn:reply()
    reply:set_status(203, 'Told')
    reply:add_header('x-told', 'one')
    reply:add_header('x-told', 'two')
    reply:set_body(table.concat(out, '\n') .. '\n')
    txn:done(reply)
end)

core.register_action('move', { 'http-req' }, function(txn)
    txn.http:req_set_method('PUT')
    txn.http:req_set_path('/show')
    txn.http:req_set_query('moved=' .. txn.sf:query())
end)

core.register_action('count', { 'http-req' }, function(txn, word, other)
    txn:set_var('txn.word', word .. '-' .. other)
    txn:set_var('txn.number', 42)
    txn:set_var('txn.gone', 'x')
    txn:unset_var('txn.gone')
end, 2)

core.register_action('refuse', { 'http-req' }, function()
    return act.DENY
end)

core.register_action('bad', { 'http-req' }, function()
    return act.INVALID
end)

core.register_action('plain', { 'http-req' }, function(txn)
    txn:done({ status = 402, reason = 'Pay', body = 'pay\n',
               headers = { ['x-why'] = { 'money' } } })
end)

core.register_action('stop', { 'http-req' }, function()
    return act.STOP
end)

core.register_action('fails', { 'http-req' }, function()
    error('on purpose')
end)

core.register_action('waits', { 'http-req' }, function(txn)
    core.sleep(0)
    core.msleep(2)
    core.yield()
    txn:set_var('txn.waited', true)
end)

core.register_action('stamp', { 'http-res' }, function(txn)
    txn.http:res_add_header('x-stamp', 'a')
    txn.http:res_add_header('x-stamp', 'b')
    txn.http:res_rep_value('x-stamp', 'a', 'A')
    txn.http:res_set_header('x-had', txn.http:res_get_headers()['x-told'] ~= nil
        and 'told' or 'nothing')
    if txn:get_var('txn.word') == 'a-b' then
        txn.http:res_set_status(299, 'Word')
    end
end)
