-- httpclient: requests from a service and from an action.
local base = 'http://127.0.0.1:' .. os.getenv('WEB')

core.register_service('client', 'http', function(applet)
    local out = {}
    local function say(name, response)
        out[#out + 1] = name .. ' ' .. response.status .. ' ' .. response.reason
        out[#out + 1] = (response.body or '-'):gsub('\n$', '')
    end
    local response = core.httpclient():get({ url = base .. '/show?a=1',
        headers = { ['x-one'] = { 'first', 'second' }, host = { 'here' } } })
    say('get', response)
    out[#out + 1] = 'type ' .. response.headers['content-type'][0]
    say('post', core.httpclient():post({ url = base .. '/body', body = 'data',
        headers = { host = { 'here' }, ['content-length'] = { '4' } } }))
    say('put', core.httpclient():put({ url = base .. '/body', body = 'more' }))
    response = core.httpclient():head({ url = base .. '/show' })
    out[#out + 1] = 'head ' .. response.status .. ' ' .. #(response.body or '')
    say('delete', core.httpclient():delete({ url = base .. '/plain' }))
    local text = table.concat(out, '\n') .. '\n'
    applet:set_status(200)
    applet:add_header('content-length', #text)
    applet:start_response()
    applet:send(text)
end)

core.register_action('authority', { 'http-req' }, function(txn)
    local response = core.httpclient():get({ url = base .. '/plain', timeout = 3000 })
    txn:set_var('txn.status', response.status)
    txn:set_var('txn.reason', response.headers['x-why'][0])
end)
