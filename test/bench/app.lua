-- An application of HAProxy's shape, run as it is by HAProxy and by neap: a request goes
-- through two actions, a fetch, a converter and a service. See peers/haproxy_app.cfg and
-- peers/neap.yaml.

core.register_action('first', { 'http-req' }, function(txn)
    txn:set_var('txn.user', txn.sf:req_hdr('host'))
end)

core.register_action('second', { 'http-req' }, function(txn)
    txn.http:req_set_header('x-user', txn:get_var('txn.user'))
end)

core.register_fetches('shard', function(txn, salt)
    return salt .. txn.sf:path()
end)

core.register_converters('mark', function(value, sign)
    return sign .. value
end)

core.register_service('hello', 'http', function(applet)
    applet:set_status(200)
    applet:add_header('content-type', 'text/plain')
    applet:add_header('content-length', '13')
    applet:add_header('x-shard', applet:get_var('txn.shard'))
    applet:start_response()
    applet:send('Hello, world!')
end)
