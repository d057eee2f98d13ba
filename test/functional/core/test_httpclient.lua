-- core.httpclient(): requests of scripts to other servers.
local tap = require('tap')
local fiber = require('fiber')
local http_server = require('http.server')
local socket = require('socket')
local core = require('neap.core_tools')

local handle
local server = http_server.new('127.0.0.1', 0, {
    log_requests = false,
    handler = function(_, req) return handle(req) end,
}):start()
local base = ('http://127.0.0.1:%d'):format(server:port())

handle = function(req)
    return {
        status = 201, body = req.method .. ' ' .. (req:read() or ''),
        headers = { ['x-two'] = { 'a', 'b' }, ['x-got'] = req:header('x-send') or '-' },
    }
end
for _, name in ipairs({ 'get', 'put', 'post', 'delete', 'patch', 'options' }) do
    local client = core.httpclient()
    local sends = name == 'put' or name == 'post' or name == 'patch'
    local res = client[name](client, { url = base .. '/x', body = sends and 'data' or nil })
    tap.is(res.status, 201, name)
    tap.is(res.body, name:upper() .. ' ' .. (sends and 'data' or ''), name .. ': its body')
    tap.is(res.error, nil, name .. ': no error')
end
local res = core.httpclient():head({ url = base })
tap.same({ res.status, res.body }, { 201, '' }, 'head')
res = core.httpclient():get({ url = base, headers = { ['X-Send'] = { [0] = 'zero' } } })
tap.same(res.headers['x-two'], { [0] = 'a', 'b' }, 'headers: lists from 0 on')
tap.same(res.headers['x-got'], { [0] = 'zero' }, 'headers that are sent, from 0 on')
tap.is(res.reason, 'Created', 'reason')
res = core.httpclient():get({ url = base, headers = { ['x-send'] = { 'one' } } })
tap.is(res.headers['x-got'][0], 'one', 'headers that are sent, from 1 on')
res = core.httpclient():get({ url = base, headers = { ['x-send'] = 'text' } })
tap.is(res.headers['x-got'][0], 'text', 'headers that are sent, a text')

-- dst
res = core.httpclient():get({ url = 'http://nowhere.invalid/',
    dst = '127.0.0.1:' .. server:port() })
tap.is(res.status, 201, 'dst')
res = core.httpclient():get({ url = 'http://nowhere.invalid/',
    dst = 'ipv4@127.0.0.1:' .. server:port() })
tap.is(res.status, 201, 'dst: ipv4@')
local path = os.tmpname()
os.remove(path)
local unix = socket.tcp_server('unix/', path, function(s)
    s:read('\r\n\r\n')
    s:write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: a=1\r\n'
        .. 'Set-Cookie: b=2\r\n\r\nunix')
end)
res = core.httpclient():get({ url = 'http://x/', dst = 'unix@' .. path })
tap.is(res.body, 'unix', 'dst: unix@')
tap.same(res.headers['set-cookie'], { [0] = 'a=1', 'b=2' }, 'cookies')
unix:close()

-- Bodies in pieces.
handle = function(req)
    local body = req:read()
    return { status = 200, body = tostring(#body) .. body:sub(1, 6) }
end
local pieces = { 'abc', '', 'def', ('x'):rep(100000) }
res = core.httpclient():post({ url = base, body = function()
    return table.remove(pieces, 1)
end })
tap.is(res.body, '100006abcdef', 'a body in pieces')
local big = ('0123456789'):rep(100000)
handle = function() return { status = 200, body = big } end
res = core.httpclient():get({ url = base, stream = true })
tap.is(res.status, 200, 'stream: the head')
tap.is(res.body, nil, 'stream: no body')
local parts = { res:read(5) }
tap.is(parts[1], '01234', 'stream: bytes')
repeat
    local piece = res:read()
    parts[#parts + 1] = piece
until piece == '' or piece == nil
tap.is(table.concat(parts) == big, true, 'stream: all of it')
res:close()
tap.throws(function() core.httpclient():get({ url = base }):read() end, 'is no stream',
    'read: no stream')
res = core.httpclient({ max_body = 1000 }):get({ url = base })
tap.is(res.status, 0, 'a body that is too long')
tap.ok(res.error ~= nil, 'which is said: ' .. tostring(res.error))

-- Redirects are not followed, unless asked for.
handle = function(req)
    if req.target == '/to' then return { status = 200, body = 'there' } end
    return { status = 302, headers = { location = '/to' } }
end
tap.is(core.httpclient():get({ url = base }).status, 302, 'a redirect')
tap.is(core.httpclient():get({ url = base, redirects = 1 }).body, 'there', 'followed')

-- No answer.
local over = fiber.channel()
handle = function() over:get() return { status = 200 } end
res = core.httpclient():get({ url = base, timeout = 50 })
tap.same({ res.status, res.reason, res.body, res.headers }, { 0, '', '', {} }, 'a timeout')
tap.like(res.error, '0%.05 seconds', 'which is said')
over:close()
local free = socket.tcp_server('127.0.0.1', 0, function() end)
local nobody = free:name().port
free:close()
res = core.httpclient({ retries = 1 }):get({ url = ('http://127.0.0.1:%d/'):format(nobody) })
tap.is(res.status, 0, 'nobody is there')
tap.ok(#res.error > 0, 'which is said: ' .. res.error)

-- Wrong usage.
local client = core.httpclient()
handle = function() return { status = 204 } end
client:get({ url = base })
tap.throws(function() client:get({ url = base }) end, 'each is for one request', 'twice')
for what, t in pairs({
    ['no table'] = 'x', ['no url'] = {}, ['another field'] = { url = base, x = 1 },
    ['a time'] = { url = base, timeout = -1 }, ['no time'] = { url = base, timeout = 'x' },
    ['headers'] = { url = base, headers = 'x' }, ['a body'] = { url = base, body = {} },
    ['dst'] = { url = base, dst = 'x@y' },
}) do
    tap.throws(function() core.httpclient():get(t) end, "bad argument #1 to 'get'",
        'refused: ' .. what)
end
tap.throws(function() core.httpclient({ x = 1 }) end, "there is no option 'x'", 'options')
tap.throws(function() core.httpclient({ verify = 1 }) end, 'a boolean is wanted', 'options')
tap.throws(function() client.get({}, {}) end, 'HTTPClient expected', 'another object')
server:stop()
tap.done()
