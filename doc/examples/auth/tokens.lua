-- The server that knows the tokens, for the example.
local users = { ['Bearer sesame'] = 'ali' }

core.register_service('tokens', 'http', function(applet)
    local fields = applet.headers['authorization']
    local user = fields and users[fields[0]] -- HAProxy's lists begin with 0
    applet:set_status(user and 200 or 401)
    applet:start_response()
    applet:send(user or '')
end)
