-- Routes: what is found for which method and path.
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local httpd = http_server.new('127.0.0.1', 0)

local function says(text)
    return function(req)
        local stash, parts = req:stash(), { text }
        local names = {}
        for name in pairs(stash) do
            names[#names + 1] = name
        end
        table.sort(names)
        for _, name in ipairs(names) do
            parts[#parts + 1] = name .. '=' .. stash[name]
        end
        return table.concat(parts, ' ')
    end
end

httpd:route({ path = '/' }, says('root'))
httpd:route({ path = '/plain' }, says('plain'))
httpd:route({ path = '/slash/' }, says('slash'))
httpd:route({ path = '/get', method = 'GET' }, says('get'))
httpd:route({ path = '/two', method = { 'post', 'PUT' } }, says('two'))
httpd:route({ path = '/split', method = 'GET' }, says('split-get'))
httpd:route({ path = '/split', method = 'DELETE' }, says('split-delete'))
httpd:route({ path = '/café/100%' }, says('decoded'))
httpd:route({ path = '/u/:id', name = 'user' }, says('user'))
httpd:route({ path = '/u/me' }, says('me'))
httpd:route({ path = '/u/:id/post/:post', method = 'GET', name = 'post' },
    says('post'))
httpd:route({ path = '/u/*rest' }, says('rest'))
httpd:route({ path = '/files/*path', name = 'file' }, says('file'))
httpd:route({ path = '/a.b-c/:x' }, says('literal'))
httpd:route({ path = 'nolead' }, says('nolead'))
httpd:start()
local port = httpd:port()

local rows = {
    { 'GET', '/', 200, 'root' },
    { 'GET', '/?a=b', 200, 'root' },
    { 'GET', '/plain', 200, 'plain' },
    { 'GET', '/plain/', 200, 'plain' },
    { 'POST', '/plain', 200, 'plain' },
    { 'GET', '/slash', 200, 'slash' },
    { 'GET', '/slash/', 200, 'slash' },
    { 'GET', '/%70lain', 200, 'plain' },
    { 'GET', '/nolead', 200, 'nolead' },
    { 'GET', '/Plain', 404 },
    { 'GET', '//plain', 404 },
    { 'GET', '/plain//', 404 },
    { 'GET', '/plain%2F', 404 },
    { 'GET', '/get', 200, 'get' },
    { 'HEAD', '/get', 200, '' },
    { 'POST', '/get', 405, nil, 'GET, HEAD' },
    { 'POST', '/two', 200, 'two' },
    { 'PUT', '/two', 200, 'two' },
    { 'GET', '/two', 405, nil, 'POST, PUT' },
    { 'HEAD', '/two', 405, nil, 'POST, PUT' },
    { 'GET', '/split', 200, 'split-get' },
    { 'DELETE', '/split', 200, 'split-delete' },
    { 'PATCH', '/split', 405, nil, 'DELETE, GET, HEAD' },
    { 'GET', '/caf%C3%A9/100%25', 200, 'decoded' },
    { 'GET', '/u/7', 200, 'user id=7' },
    { 'GET', '/u/7/', 200, 'user id=7' },
    { 'GET', '/u/a%2Fb%25%20c', 200, 'user id=a/b% c' },
    { 'GET', '/u/%252F', 200, 'user id=%2F' },
    { 'GET', '/u/me', 200, 'me' },
    { 'GET', '/u/7/post/x', 200, 'post id=7 post=x' },
    { 'PUT', '/u/7/post/x', 200, 'rest rest=7/post/x' },
    { 'GET', '/u/7/8', 200, 'rest rest=7/8' },
    { 'GET', '/u/', 200, 'rest rest=' },
    { 'GET', '/files/', 200, 'file path=' },
    { 'GET', '/files/a/b.c', 200, 'file path=a/b.c' },
    { 'GET', '/files/../x', 200, 'file path=../x' },
    { 'GET', '/a.b-c/1', 200, 'literal x=1' },
    { 'GET', '/axb-c/1', 404 },
    { 'GET', '/nowhere', 404 },
    { 'OPTIONS', '*', 404 },
}

for _, row in ipairs(rows) do
    local method, target, status, body, allow = unpack(row, 1, 5)
    local answer = raw.request(port, target, { method = method })
    tap.ok(answer.status == status and (body == nil or answer.body == body) and
        answer.headers.allow == allow,
        ('%s %s: %d'):format(method, target, status))
    if answer.status ~= status or body and answer.body ~= body then
        tap.diag(answer.text)
    end
end

tap.is(httpd:url_for('user', { id = 'a/b c' }), '/u/a%2Fb%20c', 'url_for')
tap.is(httpd:url_for('file', { path = 'a/b c' }, { q = 'x&y', a = 1 }),
    '/files/a/b%20c?a=1&q=x%26y', 'url_for with a rest and a query')
tap.is(httpd:url_for('file', { path = 'a' }, 'raw=1'), '/files/a?raw=1',
    'url_for with a query as it is')
tap.throws(function() httpd:url_for('user') end, "placeholder 'id'",
    'a value is missing')
tap.throws(function() httpd:url_for('nobody') end, "no route 'nobody'",
    'no such route')
tap.is(httpd:match('GET', '/u/5').stash.id, '5', 'match')
tap.is(httpd:match('GET', '/none'), nil, 'no match')

-- wrong usage
local function route(what, handler)
    return function()
        httpd:route(what, handler or says(''))
    end
end

tap.throws(route({ path = '/plain' }), 'exists', 'a route twice')
tap.throws(route({ path = '/get', method = 'get' }), 'GET /get exists',
    'a method of a route twice')
tap.throws(route({ path = '/n', name = 'user' }), "named 'user' exists",
    'a name twice')
tap.throws(route({ path = '/:a/:a' }), "'a' stands twice",
    'a placeholder twice')
tap.throws(route({ path = '/*a/*b' }), 'only one', 'two stashes')
tap.throws(route({}), 'a path is wanted', 'no path')
tap.throws(route({ path = '/x', streem = true }), "no 'streem' of a route",
    'a field that is none')
tap.throws(route({ path = '/x', method = 1 }), 'method is a string',
    'no method')
tap.throws(route({ path = '/x' }, 'controller#action'),
    'handler is a function', 'no handler')

-- a route added while it runs
httpd:route({ path = '/late' }, says('late'))
tap.is(raw.request(port, '/late').body, 'late', 'a late route')

-- routes taken away: of a path of its own, beside another method, with placeholders
httpd:route({ path = '/gone', name = 'gone' }, says('gone'))
httpd:route({ path = '/both', method = 'GET' }, says('get'))
httpd:route({ path = '/both', method = { 'HEAD', 'PUT' }, name = 'put' }, says('put'))
httpd:route({ path = '/w/:x', name = 'w' }, says('w'))
tap.is(raw.request(port, '/gone').body .. raw.request(port, '/w/1').body, 'gonew x=1',
    'routes with names')
tap.is(httpd:delete('gone'):delete('put'):delete('w'):delete('none'), httpd, 'delete()')
tap.is(raw.request(port, '/gone').status .. raw.request(port, '/gone/').status, '404404',
    'one that is not there any more')
tap.is(raw.request(port, '/w/1').status, 404, 'nor with a placeholder')
tap.is(raw.request(port, '/both').body, 'get', 'the other of the path is')
tap.is(raw.request(port, '/both', { method = 'HEAD' }).status, 200, 'its HEAD too')
tap.is(raw.request(port, '/both', { method = 'PUT' }).headers.allow, 'GET, HEAD',
    'alone')
tap.throws(function() httpd:url_for('gone') end, 'no route', 'its name is free')
httpd:route({ path = '/gone', name = 'gone' }, says('again'))
tap.is(raw.request(port, '/gone').body, 'again', 'and its path')

-- A request knows its route: handlers of several tell them apart by it.
local function of_route(req)
    return table.concat({ req.endpoint.method, req.endpoint.path,
        tostring(req.endpoint.name), req:url_for('current', { id = 'x' }) }, ' ')
end
httpd:route({ method = 'GET', path = '/measured', name = 'plain' }, of_route)
httpd:route({ method = 'POST', path = '/measured/:id' }, of_route)
tap.is(raw.request(port, '/measured').body, 'GET /measured plain /measured', 'endpoint')
tap.is(raw.request(port, '/measured/7', { method = 'POST' }).body,
    'POST /measured/:id nil /measured/x', 'with a placeholder')

-- what is logged of one route
local logged = {}
local function note(format, ...)
    logged[#logged + 1] = format:format(...)
end
local function fail()
    error('on purpose')
end
httpd:route({ path = '/told', log_errors = note }, fail)
httpd:route({ path = '/told/:x', log_errors = note, log_requests = note }, fail)
httpd:route({ path = '/silent', log_errors = false }, fail)
for _, path in ipairs({ '/told', '/told/1', '/silent' }) do
    tap.is(raw.request(port, path).status, 500, path .. ': an error')
end
tap.is(#logged, 2, 'two of which are told to a function')
tap.like(logged[1], '^GET /told HTTP/1.1: .*on purpose.*stack traceback', 'with its place')
tap.throws(route({ path = '/x', log_errors = 3 }), 'log_errors is true, false or a function',
    'what is none')

-- hooks
local seen = {}
httpd:hook('before_dispatch', function(server, req)
    seen[#seen + 1] = req.method .. ' ' .. req.path
    seen.server = server
end)
httpd:hook('after_dispatch', function(req, resp)
    resp.headers = { ['x-for'] = req.path }
end)
local answer = raw.request(port, '/plain')
tap.is(seen[1], 'GET /plain', 'before_dispatch')
tap.is(seen.server, httpd, 'gets the server')
tap.is(answer.headers['x-for'], '/plain', 'after_dispatch')
httpd:hook('before_dispatch', nil)
httpd:hook('after_dispatch', nil)
raw.request(port, '/plain')
tap.is(#seen, 1, 'taken away')
tap.throws(function() httpd:hook('other', print) end, 'no hook',
    'an unknown hook')

httpd:stop(1)

-- a handler for everything
local all = http_server.new('127.0.0.1', 0, {
    handler = function(server, req)
        return { status = 202, body = req.path .. tostring(server == req.httpd) }
    end,
})
all:start()
answer = raw.request(all:port(), '/any/path', { method = 'PURGE' })
tap.is(answer.status, 202, 'a handler for all')
tap.is(answer.body, '/any/pathtrue', 'with the server')
all:stop(1)

tap.done()
