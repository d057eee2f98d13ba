-- What is new and what is a part, for handlers.
-- test: timeout 60
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local run
local httpd = http_server.new('127.0.0.1', 0, { log_errors = false })
httpd:route({ path = '/' }, function(req) return run(req) end)
httpd:start()

local function ask(f, headers, method)
    run = f
    return raw.request(httpd:port(), '/', { headers = headers, method = method })
end

local function versioned(req)
    local resp, headers = req:not_modified({ etag = 'v1', last_modified = 1e9 })
    return resp or { headers = headers, body = 'new' }
end

local r = ask(versioned)
tap.is(r.status, 200)
tap.is(r.headers.etag, '"v1"')
tap.is(r.headers['last-modified'], 'Sun, 09 Sep 2001 01:46:40 GMT')
tap.is(r.body, 'new')
r = ask(versioned, 'If-None-Match: W/"v1"\r\n')
tap.is(r.status, 304)
tap.is(r.body, '')
tap.is(r.headers.etag, '"v1"')
tap.is(r.headers['content-length'], nil)
tap.is(ask(versioned, 'If-None-Match: "v2"\r\n').status, 200)
tap.is(ask(versioned, 'If-None-Match: "v1"\r\n', 'PUT').status, 412)
tap.is(ask(versioned, 'If-Match: "v2"\r\n', 'PUT').status, 412)
tap.is(ask(versioned, 'If-Match: "v1"\r\n', 'PUT').status, 200)
tap.is(ask(versioned,
    'If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n').status, 304)
tap.is(ask(versioned,
    'If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n').status, 200)
tap.is(ask(function(req)
    return req:not_modified({ last_modified = 'Sun, 09 Sep 2001 01:46:40 GMT' })
        or 'x'
end, 'If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n').status, 304)
for _, what in ipairs({ 'x', { etag = 'a"b' }, { etag = 5 }, { etag = 'a b' },
                        { last_modified = 'now' }, { last_modified = {} } }) do
    tap.is(ask(function(req) return req:not_modified(what) or 'x' end).status,
        500)
end
tap.is(ask(function(req) return req:not_modified() or 'x' end).status, 500)

local function part(req)
    return req:partial({ headers = { ETag = 'v1' }, body = '0123456789' })
end
r = ask(part)
tap.is(r.status, 200)
tap.is(r.body, '0123456789')
tap.is(r.headers.etag, '"v1"')
tap.is(r.headers['accept-ranges'], 'bytes')
r = ask(part, 'Range: bytes=2-3\r\n')
tap.is(r.status, 206)
tap.is(r.body, '23')
tap.is(r.headers['content-range'], 'bytes 2-3/10')
tap.is(r.headers['content-length'], '2')
tap.is(ask(part, 'Range: bytes=2-3\r\nIf-Range: "v1"\r\n').status, 206)
tap.is(ask(part, 'Range: bytes=2-3\r\nIf-Range: "v2"\r\n').status, 200)
r = ask(part, 'Range: bytes=10-\r\n')
tap.is(r.status, 416)
tap.is(r.headers['content-range'], 'bytes */10')
r = ask(part, 'Range: bytes=0-0,-1\r\n')
tap.is(r.status, 206)
tap.ok(r.headers['content-type']:find('^multipart/byteranges; boundary='))
tap.ok(r.body:find('Content-Range: bytes 9-9/10\r\n\r\n9\r\n', 1, true))
tap.is(ask(part, 'If-None-Match: "v1"\r\n').status, 304)
tap.is(ask(part, 'If-Match: "v2"\r\n').status, 412)
r = ask(part, 'Range: bytes=2-3\r\n', 'HEAD')
tap.is(r.headers['content-length'], '10')
tap.is(ask(function(req)
    return req:partial({ status = 404, body = 'no' })
end, 'Range: bytes=0-0\r\n').status, 404)
tap.is(ask(function(req) return req:partial({ body = {} }) end).status, 500)
tap.done()
os.exit(0)
