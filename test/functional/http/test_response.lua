-- What handlers may return, and what comes of the rest.
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local logged = {}
local httpd = http_server.new('127.0.0.1', 0, {
    log_errors = function(fmt, ...)
        logged[#logged + 1] = fmt:format(...)
    end,
})
local run
httpd:route({ path = '/' }, function(req)
    return run(req)
end)
httpd:route({ path = '/named/:x', name = 'named' }, function() end)
httpd:start()
local port = httpd:port()

local function answer_of(f, options)
    run = type(f) == 'function' and f or function() return f end
    return raw.request(port, '/', options)
end

local TEXT = 'text/plain; charset=utf-8'

local a = answer_of('text')
tap.is(a.status, 200, 'a string')
tap.is(a.body, 'text', 'is the body')
tap.is(a.headers['content-type'], TEXT, 'of plain text')
tap.is(a.headers['content-length'], '4', 'and its length')
tap.like(a.headers.date, '^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$',
    'with the date')

a = answer_of(function() end)
tap.is(a.status, 200, 'nothing')
tap.is(a.body, '', 'is an empty body')
tap.is(a.headers['content-type'], nil, 'of no type')

a = answer_of({ status = 201, headers = {
    ['X-One'] = 'a', ['x-two'] = { 'b', 3 }, ['x-three'] = 4.5,
    ['Content-Type'] = 'image/png', ['Content-Length'] = 99,
}, body = 'png' })
tap.is(a.status, 201, 'a table')
tap.is(a.headers['x-one'], 'a', 'a header field')
tap.is(a.headers['x-two'], 'b | 3', 'a list of them')
tap.is(a.headers['x-three'], '4.5', 'a number')
tap.is(a.headers['content-type'], 'image/png', 'its own type')
tap.is(a.headers['content-length'], '3', 'but not its own length')
tap.is(a.body, 'png', 'and the body')

a = answer_of({ body = { a = { 1, 2 } } })
tap.is(a.body, '{"a":[1,2]}', 'a table as body is JSON')
tap.like(a.headers['content-type'], '^application/json', 'and says so')
tap.is(answer_of({ body = 42 }).body, '42', 'a number as body')
tap.is(answer_of({ status = 204 }).headers['content-length'], nil,
    'an answer without a body')
tap.is(answer_of({ status = 299 }).text:match('^[^\r]*'), 'HTTP/1.1 299 ',
    'a status nobody knows')
for _, status in ipairs({ 0, 99, 1000, -200, 2 ^ 32 + 200, 1e300 }) do
    tap.is(answer_of({ status = status }).status, 500,
        ('%g is no status'):format(status))
end
a = answer_of({ body = ('x'):rep(300000) })
tap.is(#a.body, 300000, 'a large body')
a = answer_of('text', { method = 'HEAD' })
tap.is(a.body, '', 'HEAD gets no body')
tap.is(a.headers['content-length'], '4', 'but its length')

-- many fields: all are sent, one too many is refused
local many = {}
for i = 1, 100 do
    many['x-' .. i] = i
end
a = answer_of({ headers = many })
tap.is(a.headers['x-100'], '100', 'a hundred fields')
many['x-101'] = 1
tap.is(answer_of({ headers = many }).status, 500, 'but not more')

-- render and the like
a = answer_of(function(req)
    return req:render({ json = { 1 }, status = 202, headers = { ['x-a'] = 1 } })
end)
tap.is(a.status .. a.body .. a.headers['x-a'], '202[1]1', 'render{json=}')
tap.like(a.headers['content-type'], '^application/json', 'its type')
a = answer_of(function(req) return req:render({ text = 'ä' }) end)
tap.is(a.headers['content-type'], TEXT, 'render{text=}')
a = answer_of(function(req) return req:render({ data = 'd' }) end)
tap.is(a.headers['content-type'], 'application/octet-stream', 'render{data=}')
a = answer_of(function(req) return req:redirect_to('/there?a=b') end)
tap.is(a.status, 302, 'redirect_to a path')
tap.is(a.headers.location, '/there?a=b', 'location')
a = answer_of(function(req)
    return req:redirect_to('named', { x = 'y z' }, { q = 1 }, 307)
end)
tap.is(a.status .. a.headers.location, '307/named/y%20z?q=1',
    'redirect_to a route')
a = answer_of(function(req) return req:redirect_to('https://a.test/') end)
tap.is(a.headers.location, 'https://a.test/', 'redirect_to a URL')
a = answer_of(function(req)
    local resp = req:response({ status = 200 })
    resp:setcookie({ name = 'a', value = 'x y;', path = '/', max_age = 5,
                     httponly = true, samesite = 'Lax', secure = true })
    resp:setcookie({ name = 'b', value = 1, expires = '+1d', domain = 'd.test' })
    return resp
end)
tap.like(a.headers['set-cookie'], 'a=x%%20y%%3B; path=/; max%-age=5; '
    .. 'samesite=Lax; secure; httponly | b=1; domain=d.test; '
    .. 'expires=%a+, %d+ %a+ %d+ [%d:]+ GMT', 'setcookie')

-- What a cookie may have it keeps; all comes back as it was.
local odd = {}
for byte = 0, 255 do
    odd[byte + 1] = string.char(byte)
end
odd = table.concat(odd)
a = answer_of(function(req)
    return req:response():setcookie({ name = 'a', value = odd })
end)
local sent = a.headers['set-cookie']:match('^a=(.*)$')
tap.is(sent:match('%%1F(.*)%%7F'), "%20!%22#$%25&'()*+%2C-./0123456789:%3B<=>?@ABCDEFGHIJKLMNOPQ"
    .. 'RSTUVWXYZ[%5C]^_`abcdefghijklmnopqrstuvwxyz{|}~', 'what is escaped')
a = answer_of(function(req)
    return { body = req:cookie('a') == odd and 'same' or 'another' }
end, { headers = 'Cookie: a=' .. sent .. '\r\n' })
tap.is(a.body, 'same', 'and read again')
a = answer_of(function(req)
    return req:response():setcookie({ name = 'a', value = 'x y,"%41' }, { raw = true })
end)
tap.is(a.headers['set-cookie'], 'a=x y,"%41', 'nothing is, if it is wanted so')

-- An iterator's values are the body.
a = answer_of(function(req)
    return req:iterate(ipairs({ 'in ', 'three ', 'pieces' }))
end)
tap.is(a.headers['transfer-encoding'], 'chunked', 'iterate()')
tap.is(a.body, '3\r\nin \r\n6\r\nthree \r\n6\r\npieces\r\n0\r\n\r\n', 'one after the other')

-- nonsense is answered 500, and the log says what it was
local function nonsense(value, pattern, name)
    logged = {}
    local resp = answer_of(value)
    tap.is(resp.status, 500, name .. ' is answered 500')
    tap.is(resp.body, 'Internal Server Error\n', '  without the cause')
    tap.is(#logged, 1, '  logged once')
    tap.like(logged[1], pattern, '  with the cause')
    tap.like(logged[1], 'traceback', '  and the traceback')
end

nonsense(42, 'test_response.lua:%d+ returned a number', 'a number')
nonsense(true, 'returned a boolean', 'a boolean')
nonsense(function() return print end, 'returned a function', 'a function')
nonsense({ status = 200, header = { a = 'b' }, body = 'x' }, "with 'header'",
    'a field that no response has')
nonsense({ 200, 'x' }, "with '[12]'", 'a list')
nonsense({ header = {}, body = function() end }, "with 'header'",
    'a field that no response has, beside chunks')
nonsense(function(req)
    return req:partial({ header = {}, body = 'x' })
end, "no 'header'", 'a field that no response has, in req:partial()')
nonsense({ status = 'x' }, 'no whole number', 'a status of text')
nonsense({ status = 200.5 }, 'no whole number', 'half a status')
nonsense({ status = 99 }, 'not in 200', 'a status too small')
nonsense({ status = 101 }, 'not in 200', 'a status between')
nonsense({ status = 600 }, 'not in 200', 'a status too large')
nonsense({ headers = 'x' }, 'headers are no table', 'headers of text')
nonsense({ body = true }, 'body is a boolean', 'a body that is a boolean')
nonsense({ body = { print } }, 'cannot be JSON: .*function',
    'a body that cannot be JSON')
nonsense({ headers = { 'x' } }, 'name is no string', 'a header without a name')
nonsense({ headers = { ['a b'] = 'x' } }, "'a b': the name is no token",
    'a name with a space')
nonsense({ headers = { [''] = 'x' } }, 'no token', 'an empty name')
nonsense({ headers = { ['a\r\nb'] = 'x' } }, 'no token',
    'a name with a line end')
nonsense({ headers = { a = 'x\r\nb: c' } }, 'control character',
    'a value with a line end')
nonsense({ headers = { a = 'x\nb' } }, 'control character', 'a bare LF')
nonsense({ headers = { a = 'x\0b' } }, 'control character', 'a NUL')
nonsense({ headers = { a = { 'x', 'y\r' } } }, 'control character',
    'one value of a list')
nonsense({ headers = { a = true } }, "'a': the value is no string",
    'a value that is a boolean')
nonsense({ headers = { a = { {} } } }, 'no string or number',
    'a list in a list')
nonsense({ headers = { ['Transfer-Encoding'] = 'chunked' } },
    "server's own", 'an encoding of its own')
nonsense({ headers = { ['Content-Type'] = 'a/b', ['content-type'] = 'c/d' } },
    'there twice', 'two types')
nonsense({ headers = { ['content-type'] = { 'a/b', 'c/d' } } }, 'there twice',
    'a list of types')
nonsense(function() error('thrown') end, 'thrown', 'an error')
nonsense(function() error({ code = 1 }) end, 'table', 'an error that is a table')
nonsense(function() error() end, 'nil', 'an error that is nothing')
nonsense(function() local t; return t.x end, "local 't'", 'a mistake')
nonsense(function() fiber.sleep(0.01) error('late') end, 'late',
    'an error after a wait')
nonsense(function(req) return req:render({}) end, 'no templates',
    'a template')

nonsense(function(req)
    return req:render({ text = 'x', header = {} })
end, "no 'header' of a response", 'a field that no response has, to be rendered')
a = answer_of(function(req)
    return req:render({ text = 'x', headers = { ['CONTENT-TYPE'] = 'text/x' } })
end)
tap.is(a.headers['content-type'], 'text/x', 'a type of its own, whatever its case')

-- bad cookies are mistakes, too
tap.throws(function()
    httpd.router.add(nil)
end, '', 'misuse throws')
nonsense(function(req)
    return req:response():setcookie({ name = 'a;b', value = 1 })
end, 'no token', 'a cookie with a semicolon')
nonsense(function(req)
    return req:response():setcookie({ name = 'a', value = 'x\r\ny' }, { raw = true })
end, 'a has a semicolon or a control', 'a raw value with a line end')
nonsense(function(req)
    return req:response():setcookie({ name = 'a', value = 1, path = '/;x' })
end, 'semicolon', 'a path with a semicolon')
nonsense(function(req)
    return req:response():setcookie({ name = 'a', value = 1, httpOnly = true })
end, "a cookie has no 'httpOnly'", 'a field that no cookie has')
nonsense(function(req)
    return req:response():setcookie({ name = 'a', value = 1, samesite = 'sometimes' })
end, 'samesite is', 'a samesite that is none')
nonsense(function(req)
    req:stream({ statu = 201 })
end, "no option 'statu'", 'an option that req:stream() has not')

-- a handler that is cancelled has done nothing wrong
logged = {}
a = answer_of(function()
    fiber.self():cancel()
    fiber.sleep(1)
end)
tap.is(a.status, 503, 'a cancelled handler')
tap.is(#logged, 0, 'is not logged')

tap.is(answer_of('still here').body, 'still here', 'and the server lives')

-- a connection closed by the handler
local peer = raw.connect(port)
run = function() return { headers = { Connection = 'close' } } end
peer:send('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')
local text, ended = peer:read()
tap.ok(ended, 'closed on demand')
tap.like(text, '\r\nConnection: close\r\n', 'and says so')
local _, count = text:gsub('HTTP/1.1 200', '')
tap.is(count, 1, 'after one answer')
peer:close()

-- what every answer has may be the handler's, and is not there twice
local client = require('http.client')
local both = http_server.new('127.0.0.1', 0, { http2 = true })
for name, fields in pairs({
    server = { Server = 'mine' }, date = { date = 'today' },
    all = { Server = 'mine', date = 'today' }, none = {},
}) do
    both:route({ path = '/' .. name }, function(req)
        return { headers = fields, status = tonumber(req.query) }
    end)
end
both:start()
for _, version in ipairs({ '1.1', '2-prior-knowledge' }) do
    for _, status in ipairs({ 200, 404 }) do
        local function fields_of(name)
            return client.get(('http://127.0.0.1:%d/%s?%d'):format(both:port(), name,
                status), { http_version = version }).headers
        end
        local name = ('%d by HTTP/%s: '):format(status, version)
        local date = '^%a+, %d+ %a+ %d+ %d+:%d+:%d+ GMT$'
        tap.is(fields_of('server').server, 'mine', name .. "the handler's server")
        tap.like(fields_of('server').date, date, name .. 'and our date')
        tap.is(fields_of('date').date, 'today', name .. "the handler's date")
        tap.is(fields_of('date').server, 'neap', name .. 'and our server')
        tap.is(fields_of('all').server, 'mine', name .. 'both: server')
        tap.is(fields_of('all').date, 'today', name .. 'both: date')
        tap.is(fields_of('none').server, 'neap', name .. 'none: server')
        tap.like(fields_of('none').date, date, name .. 'none: date')
    end
end
both:stop(1)

-- trailers beside a body that is not in pieces
local plain = http_server.new('127.0.0.1', 0, {
    http2 = true, log_errors = function(fmt, ...) logged[#logged + 1] = fmt:format(...) end,
})
local function trailed(body, way)
    return function(req)
        local resp = { body = body, trailers = { ['x-sum'] = 5 } }
        return way == 'partial' and req:partial(resp) or resp
    end
end
plain:route({ path = '/text' }, trailed('hello'))
plain:route({ path = '/nothing' }, trailed(nil))
plain:route({ path = '/json' }, trailed({ 1, 2 }))
plain:route({ path = '/whole' }, trailed('hello', 'partial'))
plain:route({ path = '/small', compress = true }, trailed(('a'):rep(5000)))
plain:route({ path = '/typo', compress = true }, function()
    return { body = ('a'):rep(5000), header = {} }
end)
plain:route({ path = '/length' }, function()
    return { body = 'x', trailers = { ['content-length'] = 5 } }
end)
plain:route({ path = '/too_large' }, function()
    return { headers = { x = ('x'):rep(2 ^ 21) } }
end)
plain:start()
for _, version in ipairs({ '1.1', '2-prior-knowledge' }) do
    local function get(path)
        return client.get(('http://127.0.0.1:%d/%s'):format(plain:port(), path),
            { http_version = version, accept_encoding = 'gzip', timeout = 20 })
    end
    for path, body in pairs({ text = 'hello', nothing = '', json = '[1,2]',
        whole = 'hello', small = ('a'):rep(5000) }) do
        local got = get(path)
        tap.is(got.body, body, ('%s with trailers, by HTTP/%s'):format(path, version))
        tap.is(got.trailers and got.trailers['x-sum'], '5', '  which come')
    end
    logged = {}
    tap.is(get('too_large').status, 500, 'not one of 2 MB')
    tap.like(logged[1], 'larger than 1 MiB', '  and is told')
    tap.is(get('typo').status, 500, 'a field that no response has, to be compressed')
    logged = {}
    tap.is(get('length'), nil, 'a length that is a trailer cuts the answer')
    tap.like(logged[1], 'no trailers', '  and is told')
end
plain:stop(1)

-- the traceback for the peer, if wanted
httpd:stop(1)
local open = http_server.new('127.0.0.1', 0,
    { display_errors = true, log_errors = false })
open:route({ path = '/' }, function() error('seen by all') end)
open:start()
a = raw.request(open:port(), '/')
tap.is(a.status, 500, 'display_errors')
tap.like(a.body, 'seen by all.*traceback', 'shows the error')
open:route({ path = '/cancel' }, function()
    fiber.self():cancel()
    fiber.testcancel()
end)
tap.is(raw.request(open:port(), '/cancel').status, 503, 'cancelled, again')
open:stop(1)

tap.done()
