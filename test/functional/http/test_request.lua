-- The request object: fields, parameters, cookies, body; kept too long.
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local httpd = http_server.new('127.0.0.1', 0)
local run -- what the handler does
httpd:route({ path = '/*all' }, function(req)
    return run(req)
end)
httpd:start()
local port = httpd:port()

-- Have f(req) run in a handler; what it returns, or throws, comes back.
local function within(target, options, f)
    local result
    run = function(req)
        result = { pcall(f, req) }
        return 'done'
    end
    raw.request(port, target, options)
    assert(result, 'the handler did not run')
    assert(result[1], result[2])
    return unpack(result, 2, 10)
end

local function fields(req)
    return {
        method = req.method, path = req.path, query = req.query,
        target = req.target, body = req.body, proto = req.proto,
        headers = req.headers, peer = req.peer,
    }
end

local got = within('/a%20b%2Fc/%C3%A9?x=1&y', {
    method = 'POST', body = 'the body',
    headers = 'X-A: 1\r\nx-a: 2\r\nCookie: a=1\r\nCOOKIE: b=2\r\n',
}, fields)
tap.is(got.method, 'POST', 'method')
tap.is(got.path, '/a b/c/é', 'path')
tap.is(got.query, 'x=1&y', 'query')
tap.is(got.target, '/a%20b%2Fc/%C3%A9?x=1&y', 'target')
tap.is(got.body, 'the body', 'body')
tap.same(got.proto, { 1, 1 }, 'proto')
tap.is(got.headers['x-a'], '1, 2', 'headers of the same name')
tap.is(got.headers.cookie, 'a=1; b=2', 'cookies of two headers')
tap.is(got.headers.host, 'test', 'names in small letters')
tap.is(got.peer.host, '127.0.0.1', 'the peer')
tap.is(got.peer.family, 'AF_INET', 'its family')
tap.ok(got.peer.port > 1024, 'its port')

within('/', nil, function(req)
    tap.is(req:method(), 'GET', 'method()')
    tap.is(req:path(), '/', 'path()')
    tap.is(req:query(), '', 'query()')
    tap.is(req:headers(), req.headers, 'headers()')
    tap.is(req:peer().host, '127.0.0.1', 'peer()')
    tap.is(req:header('HOST'), 'test', 'header()')
    tap.is(req:header('nothing'), nil, 'no such header')
    tap.is(req.nothing, nil, 'no such field')
    tap.is(req.httpd, httpd, 'the server')
    tap.ok(not req:is_gone(), 'is_gone()')
    tap.is(req:request_line(), 'GET / HTTP/1.1', 'request_line()')
    tap.like(tostring(req), '^GET / HTTP/1.1\r\n.*host: test', 'tostring()')
end)
tap.throws(function() ('text')() end, "attempt to call", 'strings stay uncalled')
tap.throws(function() ('text')({}) end, 'string value', 'whatever they get')
tap.throws(function() local name = 'x'; name(1) end, "'name' %(a string value",
    'and the message names them')

-- fields of the handler's own
within('/', nil, function(req)
    req.user = { name = 'u' }
    tap.is(req.user.name, 'u', 'a field of its own')
    tap.is(req.httpd, httpd, 'beside the others')
    tap.is(req.method, 'GET', 'and these')
    req.method = 'MINE'
    tap.is(req.method, 'MINE', 'a field replaced')
    req.headers.extra = 'x'
    tap.is(req.headers.extra, 'x', 'a table is kept')
    tap.throws(function() req[1] = 2 end, 'have names', 'no numbers')
    tap.is(req:stash('a'), nil, 'no stash')
    tap.is(req:stash('a', 5), 5, 'stashed')
    tap.is(req:stash('a'), 5, 'and there')
    tap.is(req:stash('all'), '', 'beside that of the route')
end)

-- parameters
within('/?a=1&b=x+y%21&a=2&&c&=v&d=%zz', nil, function(req)
    tap.is(req:query_param('a'), '1', 'the first of several')
    tap.same(req:query_param().a, { '1', '2' }, 'all of them')
    tap.is(req:query_param('b'), 'x y!', 'decoded')
    tap.is(req:query_param('c'), '', 'without a value')
    tap.is(req:query_param(''), 'v', 'without a name')
    tap.is(req:query_param('d'), '%zz', 'a broken escape stays')
    tap.is(req:query_param('e'), nil, 'not there')
    tap.same(req:post_param(), {}, 'none in the body')
    tap.is(req:param('b'), 'x y!', 'param() looks into the query')
end)
within('/?a=q', {
    method = 'POST', body = 'a=p&n=1',
    headers = 'Content-Type: application/x-www-form-urlencoded;charset=UTF-8'
        .. '\r\n',
}, function(req)
    tap.is(req:post_param('a'), 'p', 'post_param()')
    tap.is(req:param('a'), 'p', 'the body comes first')
    tap.is(req:param().n, '1', 'all together')
end)
within('/', { method = 'POST', body = 'a=p',
              headers = 'Content-Type: text/plain\r\n' }, function(req)
    tap.is(req:post_param('a'), nil, 'another type has none')
end)
tap.throws(function()
    within('/', { method = 'POST', body = ('a&'):rep(1001) },
        function(req) req:post_param() end)
end, 'more than 1000', 'too many')

local json = 'Content-Type: application/json; charset=utf-8\r\n'
within('/?kind=q&b=q', { method = 'POST', headers = json,
    body = '{"kind": "json", "list": [1, 2], "none": null}' }, function(req)
    tap.is(req:post_param('kind'), 'json', 'a member of an object')
    tap.same(req:post_param('list'), { 1, 2 }, 'as it is')
    tap.is(req:post_param('list'), req:post_param().list, 'the same each time')
    tap.is(req:post_param('b'), nil, 'no such member')
    tap.is(req:param('kind') .. req:param('b') .. req:param().kind, 'jsonqjson', 'param()')
    tap.is(req:json().kind, 'json', 'json() is a value of its own')
end)
within('/', { method = 'POST', body = '{', headers = json }, function(req)
    local all, err = req:post_param()
    tap.ok(all == nil and err ~= nil, 'broken JSON')
end)
within('/', { method = 'POST', body = '7', headers = json }, function(req)
    tap.same(req:post_param(), {}, 'JSON that is no object')
end)

-- cookies
within('/', { headers = 'Cookie: a=1; b="x y"; c=%41%2B+; d==e; f\r\n' },
    function(req)
        tap.is(req:cookie('a'), '1', 'a cookie')
        tap.is(req:cookie('b'), 'x y', 'in quotes')
        tap.is(req:cookie('c'), 'A++', 'decoded, the plus stays')
        tap.is(req:cookie('c', { raw = true }), '%41%2B+', 'as it was sent')
        tap.is(req:cookie('b', { raw = true }), '"x y"', 'in its quotes')
        tap.is(req:cookie('c', {}), 'A++', 'options without that')
        tap.is(req:cookie('d'), '=e', 'with an equals sign')
        tap.is(req:cookie('f'), nil, 'without a value')
        tap.is(req:cookie('g'), nil, 'not there')
    end)
within('/', nil, function(req)
    tap.is(req:cookie('a'), nil, 'no cookies')
end)

-- the body
within('/', { method = 'POST', body = 'one two' }, function(req)
    tap.is(req:read(4), 'one ', 'a part of it read')
    tap.is(req:read_cached(), 'one two', 'read_cached() has all')
    tap.is(req:read_cached() .. req:read(), 'one twotwo', 'and leaves the rest')
end)
within('/', { method = 'POST', body = 'line one\nline two\nrest' },
    function(req)
        tap.is(req:read('\n'), 'line one\n', 'to a delimiter')
        tap.is(req:read(4), 'line', 'so many bytes')
        tap.is(req:read({ delimiter = '\n', chunk = 2 }), ' t', 'the less')
        tap.is(req:read(), 'wo\nrest', 'the rest')
        tap.is(req:read(), '', 'the end')
    end)
within('/', { method = 'POST', body = '{"a": [1, 2, null]}' }, function(req)
    tap.is(req:json().a[2], 2, 'json()')
end)
within('/', { method = 'POST', body = '{"a": ' }, function(req)
    local value, err = req:json()
    tap.is(value, nil, 'broken JSON is nil')
    tap.ok(err ~= nil, 'and an error')
end)
within('/', { method = 'POST', headers = 'Expect: 100-continue\r\n',
              body = ('x'):rep(100000) }, function(req)
    tap.is(#req.body, 100000, 'a body of some size')
end)

-- bytes that Lua must not mind
within('/%01%ff?%00', { method = 'POST', body = 'a\0b\255' }, function(req)
    tap.is(req.path, '/\1\255', 'any byte in the path')
    tap.is(req:query_param('\0'), '', 'a NUL in a name')
    tap.is(req.body, 'a\0b\255', 'a NUL in the body')
end)

-- after a wait all is still there
within('/wait?a=1', { method = 'PUT', body = 'body', headers = 'X: y\r\n' },
    function(req)
        fiber.sleep(0.01)
        collectgarbage()
        tap.is(req.path, '/wait', 'the path after a wait')
        tap.is(req:query_param('a'), '1', 'the query')
        tap.is(req:header('x'), 'y', 'the header')
        tap.is(req.body, 'body', 'the body')
    end)

-- kept for longer than it lives
local kept
within('/', nil, function(req)
    kept = req
    req.mine = 'mine'
end)
within('/other', nil, function()
    tap.throws(function() return kept.path end, 'has been answered',
        'a kept request is over')
    tap.throws(function() return kept:header('host') end,
        'has been answered', 'its methods, too')
    tap.is(kept.mine, 'mine', 'but for what was put there')
    tap.ok(kept:is_gone(), 'nobody waits')
end)

-- the peer leaves while its handler works
local gone
run = function(req)
    raw.until_true(function() return req:is_gone() end)
    tap.is(req.path, '/gone', 'the request of a peer that left is there')
    tap.is(req.peer, nil, 'but not the peer')
    gone = true
    return 'for nobody'
end
local peer = raw.connect(port)
peer:send('GET /gone HTTP/1.1\r\nHost: a\r\n\r\n')
raw.until_true(function() return httpd:stat().waiting == 1 end)
peer:reset()
raw.until_true(function() return gone end)
raw.until_true(function() return httpd:stat().waiting == 0 end)
tap.is(httpd:stat().gone, 1, 'counted')

httpd:stop(1)
tap.throws(function() return kept.path end, 'answered', 'over for good')
tap.done()
