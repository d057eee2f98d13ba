-- Requests of all kinds, and what comes back.
-- test: timeout 120, variants
local fiber = require('fiber')
local fio = require('fio')
local http = require('http.client')
local http_server = require('http.server')
local tap = require('tap')

local seen -- of the last request
local httpd = http_server.new('127.0.0.1', 0, { log_requests = false })

local function note(req)
    local headers = {}
    for name, value in pairs(req:headers()) do
        headers[name] = value
    end
    seen = { method = req:method(), path = req:path(), query = req:query(),
             headers = headers, body = req:read() }
end

httpd:route({ path = '/hello' }, function(req)
    note(req)
    return { status = 200, body = 'hello', headers = {
        ['set-cookie'] = { 'a=b; Path=/; HttpOnly', 'c=', 'd = e f ;Secure', 'g@h=i',
                           'none' },
        ['X-Twice'] = { '1', '2' }, ['X-One'] = ' padded ' } }
end)
httpd:route({ path = '/echo' }, function(req)
    note(req)
    return { status = 201, body = seen.body,
             headers = { ['content-type'] = seen.headers['content-type'] } }
end)
httpd:route({ path = '/away/:n' }, function(req)
    local n = tonumber(req:stash('n'))
    return { status = tonumber(req:query_param('status') or 302),
             headers = { location = n == 0 and '/hello' or '/away/' .. n - 1 },
             body = 'not here' }
end)
httpd:route({ path = '/status/:n' }, function(req)
    return { status = tonumber(req:stash('n')) }
end)
httpd:start()
local base = 'http://127.0.0.1:' .. httpd:port()

-- A response.
local r = assert(http.get(base .. '/hello?x=1&y=%20'))
tap.is(r.status, 200, 'status')
tap.is(r.reason, 'OK', 'reason')
tap.is(r.body, 'hello', 'body')
tap.is(r.proto[1] .. '.' .. r.proto[2], '1.1', 'proto')
tap.is(r.url, base .. '/hello?x=1&y=%20', 'url')
tap.is(r.headers['x-twice'], '1,2', 'a header that comes twice')
tap.is(r.headers['x-one'], 'padded', 'without spaces around it')
tap.is(r.headers['content-length'], '5', 'names in small letters')
tap.is(r.cookies.a[1], 'b', 'a cookie')
tap.is(table.concat(r.cookies.a[2], '|'), 'Path=/|HttpOnly', 'its attributes')
tap.is(r.cookies.c[1], '', 'an empty one')
tap.is(r.cookies.d[1] .. '|' .. r.cookies.d[2][1], 'e f|Secure', 'with spaces about it')
tap.ok(r.cookies['g@h'] == nil and r.cookies.none == nil, 'what no cookie can be called')
tap.is(seen.query, 'x=1&y=%20', 'the query')
tap.is(http.get(base .. '/status/404').status, 404, 'a status is no error')
tap.is(http.get(base .. '/status/204').body, '', 'no body')

-- Methods.
for _, method in ipairs({ 'get', 'delete', 'options' }) do
    r = http[method](base .. '/hello')
    tap.is(seen.method, method:upper(), method)
    tap.is(r.body, 'hello', method .. ': its body')
end
tap.is(http.head(base .. '/hello').body, '', 'HEAD has no body')
tap.is(seen.method, 'HEAD', 'and is one')
for _, method in ipairs({ 'post', 'put', 'patch' }) do
    r = http[method](base .. '/echo', method .. ' body\0\255')
    tap.is(seen.method, method:upper(), method)
    tap.is(r.body, method .. ' body\0\255', method .. ': its body')
    tap.is(seen.headers['content-length'], tostring(#seen.body),
        method .. ': its length')
    r = http[method](base .. '/echo')
    tap.is(r.body, '', method .. ' without a body')
    tap.is(r.status, 201, method .. ' without a body: status')
end
r = http.request('DELETE', base .. '/echo', 'a body')
tap.is(seen.method .. ' ' .. seen.body, 'DELETE a body', 'DELETE with a body')
r = http.request('GET', base .. '/echo', 'a body')
tap.is(seen.method .. ' ' .. seen.body, 'GET a body', 'GET with one')
http.request('MKCOL', base .. '/echo')
tap.is(seen.method, 'MKCOL', 'any other method')
r = http.request('get', base .. '/hello', nil, { params = { k = 1 } })
tap.is(seen.method .. ' ' .. seen.query .. ' ' .. r.body, 'GET k=1 hello', 'in small letters')
http.request('post', base .. '/echo', 'x')
tap.is(seen.method .. ' ' .. seen.body, 'POST x', 'with a body')
local large = ('0123456789abcdef'):rep(256 * 1024)
r = http.post(base .. '/echo', large)
tap.ok(r.body == large, '4 MiB there and back')
r = http.put(base .. '/echo', large)
tap.ok(r.body == large, 'and by PUT')
tap.is(seen.headers.expect, nil, 'nobody is asked whether it may come')

-- Headers.
http.get(base .. '/hello', { headers = { ['X-A'] = 'b', ['x-list'] = { 1, 'two' },
                                         ['X-Empty'] = '', Host = 'other' } })
tap.is(seen.headers['x-a'], 'b', 'a header')
tap.is(seen.headers['x-empty'], '', 'an empty one')
tap.is(seen.headers.host, 'other', 'instead of one of ours')
tap.ok(seen.headers['x-list'] ~= nil, 'a list')

-- Bodies of other types.
r = http.post(base .. '/echo', { a = { 1, 2 } })
tap.is(seen.headers['content-type'], 'application/json', 'a table is JSON')
tap.is(seen.body, '{"a":[1,2]}', 'as text')
tap.is(r:decode().a[2], 2, 'and decoded again')
for _, kind in ipairs({ 'application/msgpack', 'application/yaml',
                        'application/json; charset=utf-8' }) do
    r = http.post(base .. '/echo', { b = 7 }, { headers = { ['content-type'] = kind } })
    tap.is(seen.headers['content-type'], kind, kind)
    tap.is(r:decode().b, 7, kind .. ': decoded')
end
tap.throws(function()
    http.post(base .. '/echo', {}, { headers = { ['content-type'] = 'text/plain' } })
end, 'a table cannot be sent as text/plain', 'not as anything')
tap.throws(function()
    http.post(base .. '/echo', 'x', { headers = { ['content-type'] = 'a/b' } }):decode()
end, 'no decoder for a/b', 'nor decoded from it')

-- Ways of one's own to send and to decode; the options that Tarantool's pages speak of.
local own = http.new({ max_connections = -1, max_total_connections = 0 })
own.encoders['text/csv'] = function(body, kind)
    return kind .. ':' .. table.concat(body, ',')
end
own.decoders = { ['text/csv'] = function(body, kind) return { kind, body } end }
r = own:post(base .. '/echo', { 1, 2 }, {
    headers = { ['content-type'] = 'Text/CSV; x=y' }, max_header_name_len = 32 })
tap.is(r.body, 'Text/CSV; x=y:1,2', 'an encoder of its own')
tap.is(r:decode()[1] .. '|' .. r:decode()[2], 'Text/CSV; x=y|Text/CSV; x=y:1,2',
    'and a decoder')
tap.is(own:post(base .. '/echo', { 1 }):decode()[1], 1, 'beside which there is JSON')
own.encoders['text/csv'] = function() end
tap.throws(function()
    own:post(base .. '/echo', {}, { headers = { ['content-type'] = 'text/csv' } })
end, 'gives a string', 'an encoder that gives none')
http.post(base .. '/echo', 12)
tap.is(seen.body, '12', 'a number is its text')
http.post(base .. '/echo', false)
tap.is(seen.body, 'false', 'so is a boolean')

-- Clients made with a colon, and the ways to encode that all begin with.
local colon = http:new({ max_connections = 2 })
for _, kind in ipairs({ 'json', 'yaml', 'msgpack' }) do
    local name = 'application/' .. kind
    for of, given in pairs({ client = colon, module = http }) do
        local text = given.encoders[name]({ x = { 1 } })
        tap.is(given.decoders[name](text).x[1], 1, kind .. ' of the ' .. of)
    end
end
colon.decoders['application/json'] = function() return 'mine' end
tap.is(colon:post(base .. '/echo', { 1 }):decode(), 'mine', 'replaced for one client')
tap.is(http.new():post(base .. '/echo', { 1 }):decode()[1], 1, 'and for no other')
colon.encoders['text/x'] = function() return 'x' end
r = colon:post(base .. '/echo', { 2 }, { headers = { ['content-type'] = 'application/yaml' } })
tap.is(r:decode()[1], 2, 'beside others')
http.encoders['text/csv'] = function(body) return table.concat(body, ',') end
http.post(base .. '/echo', { 1, 2 }, { headers = { ['content-type'] = 'text/csv' } })
tap.is(seen.body, '1,2', 'added to the client that all share')
http.encoders['text/csv'] = nil
tap.is(http.get(base .. '/hello', { http_version = '2-tls' }).body, 'hello', 'HTTP/2 by TLS alone')

-- Parameters.
local params = { b = 'x y&z', a = 1, l = { 'p', 'q' } }
http.get(base .. '/hello', { params = params })
tap.is(seen.query, 'a=1&b=x%20y%26z&l=p&l=q', 'in the query')
http.get(base .. '/hello?first=1#part', { params = { z = true } })
tap.is(seen.query, 'first=1&z=true', 'behind what is there')
http.post(base .. '/echo', nil, { params = params })
tap.is(seen.body, 'a=1&b=x+y%26z&l=p&l=q', 'or the body, a form')
tap.is(seen.headers['content-type'], 'application/x-www-form-urlencoded',
    'with its type')

-- Redirects.
r = http.get(base .. '/away/3')
tap.is(r.status .. ' ' .. r.body, '200 hello', 'followed')
tap.is(r.url, base .. '/hello', 'to where')
tap.is(r.headers.location, nil, 'the last headers alone')
r = http.get(base .. '/away/3', { follow_location = false })
tap.is(r.status .. ' ' .. r.body, '302 not here', 'not followed')
tap.is(r.headers.location, '/away/2', 'but told')
r = http.post(base .. '/away/0', 'body')
tap.is(seen.method, 'GET', 'POST becomes GET')
r = http.put(base .. '/away/0?status=307', 'body')
tap.is(seen.method .. ' ' .. seen.body, 'PUT body', '307 keeps method and body')
r = http.post(base .. '/away/0?status=308', 'body')
tap.is(seen.method .. ' ' .. seen.body, 'POST body', 'so does 308')
local _, err = http.get(base .. '/away/20')
tap.like(err, 'Maximum %(10%) redirects followed', 'not for ever')
_, err = http.get(base .. '/away/3', { max_redirects = 2 })
tap.like(err, 'Maximum %(2%)', 'or as often as it is said')

-- Passwords.
http.get(base .. '/hello', { username = 'u', password = 'p' })
tap.is(seen.headers.authorization, 'Basic dTpw', 'username and password')
http.get((base:gsub('//', '//u:p@')) .. '/hello')
tap.is(seen.headers.authorization, 'Basic dTpw', 'or in the URL')

-- One connection for many; clients of their own.
local client = http.new({ max_connections = 1 })
for _ = 1, 10 do
    client:get(base .. '/hello')
end
local stat = client:stat()
tap.is(stat.sockets_added, 1, 'one connection for all')
tap.is(stat.total_requests, 10, 'requests')
tap.is(stat.http_200_responses, 10, 'those that went well')
client:get(base .. '/status/500')
client:get('http://127.0.0.1:1/')
stat = client:stat()
tap.is(stat.http_other_responses, 1, 'those with another status')
tap.is(stat.failed_requests, 1, 'those without')
tap.is(stat.active_requests, 0, 'none is under way')

-- Many at once, few connections.
client = http.new({ max_total_connections = 3 })
local good = 0
fiber.group(function(g)
    for i = 1, 50 do
        g:spawn(function()
            local answer = client:post(base .. '/echo', 'number ' .. i)
            good = good + (answer.body == 'number ' .. i and 1 or 0)
        end)
    end
    g:wait()
end)
tap.is(good, 50, 'each gets its own answer')
tap.ok(client:stat().sockets_added <= 3, 'over three connections')

-- A unix socket.
local dir = fio.tempdir()
local path = dir .. '/s'
local by_path = http_server.new('unix/', path, { log_requests = false })
by_path:route({ path = '/' }, function(req) return req:header('host') end)
by_path:start()
r = http.get('http://some.host/', { unix_socket = path })
tap.is(r and r.body, 'some.host', 'over a unix socket')
by_path:stop()
fio.rmtree(dir)

httpd:stop()
tap.done()
