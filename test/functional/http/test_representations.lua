-- Which of the representations of a thing an answer speaks of: fields, tags and
-- ranges, where Accept-Encoding has a say.
-- test: timeout 60
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local text = ('all work and no play '):rep(200)
local root = fio.tempdir()
for name, body in pairs({ ['a.txt'] = text, ['a.png'] = text, ['b.js'] = text,
                          ['b.js.gz'] = 'gzipped' }) do
    local f = assert(io.open(root .. '/' .. name, 'w'))
    f:write(body)
    f:close()
end

local httpd = http_server.new('127.0.0.1', 0, { compress = true })
httpd:static('/files', root)
httpd:static('/pre', root, { precompressed = true })
httpd:route({ path = '/tagged' }, function(req)
    local resp, headers = req:not_modified({ etag = 'v1', last_modified = 1e9 })
    return resp or { headers = headers, body = text }
end)
httpd:route({ path = '/part' }, function(req)
    return req:partial({ headers = { etag = 'v1', vary = 'cookie' },
                         body = text })
end)
httpd:route({ path = '/stream' }, function(req)
    local resp, headers = req:not_modified({ etag = 'v1' })
    local out = req:stream({ status = resp and 304 or 200, headers = headers or
        resp.headers })
    if not resp then
        out:write(text)
    end
    out:finish()
end)
httpd:route({ path = '/off', compress = false }, function(req)
    return req:not_modified({ etag = 'v1' }) or text
end)
httpd:start()

local function ask(path, headers, method)
    return raw.request(httpd:port(), path, { method = method, headers = headers })
end

local GZIP = 'Accept-Encoding: gzip\r\n'

-- A peer that has an answer asks whether it is still good: for each of the
-- representations, and of each of the ways to answer.
for _, path in ipairs({ '/tagged', '/part', '/stream', '/files/a.txt',
                        '/pre/b.js', '/pre/a.txt' }) do
    local plain, small = ask(path), ask(path, GZIP)
    local vary = path == '/part' and 'cookie, Accept-Encoding' or
        'Accept-Encoding'
    tap.is(plain.headers.vary, vary, path)
    tap.is(small.headers.vary, vary, path)
    tap.is(plain.headers['content-encoding'], nil, path)
    tap.is(small.headers['content-encoding'], 'gzip', path)
    tap.ok(plain.headers.etag ~= small.headers.etag, path .. ': tags differ')
    tap.ok(not plain.headers.etag:find('^W/'), path .. ': a strong one')
    for _, r in ipairs({ { plain, '' }, { small, GZIP } }) do
        local tag = r[1].headers.etag
        local again = ask(path, r[2] .. 'If-None-Match: ' .. tag .. '\r\n')
        tap.is(again.status, 304, path)
        tap.is(again.headers.vary, vary, path)
        tap.is(again.headers.etag, tag, path)
        tap.is(again.headers['content-encoding'], nil, path)
        tap.is(ask(path, r[2] .. 'If-None-Match: "other"\r\n').status, 200)
        -- HEAD tells what GET would.
        local head = ask(path, r[2], 'HEAD')
        tap.is(head.body, '')
        for _, name in ipairs({ 'etag', 'vary', 'content-encoding' }) do
            tap.is(head.headers[name], r[1].headers[name], path .. ' ' .. name)
        end
        tap.ok(head.headers['content-length'] == nil or
            head.headers['content-length'] == r[1].headers['content-length'],
            path .. ': the length of HEAD')
    end
end
local r = ask('/tagged', GZIP
    .. 'If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n')
tap.is(r.status, 304)
tap.is(r.headers.etag, 'W/"v1"', 'as 200 would have')
r = ask('/tagged', GZIP .. 'If-None-Match: W/"v1", "v1"\r\n')
tap.is(r.headers.etag, 'W/"v1"')
-- Siblings that were compressed before are things of their own.
local gz = ask('/pre/b.js', GZIP).headers.etag
tap.is(ask('/pre/b.js', 'If-None-Match: ' .. gz .. '\r\n').status, 200)
tap.is(ask('/pre/b.js', GZIP .. 'If-None-Match: '
    .. ask('/pre/b.js').headers.etag .. '\r\n').status, 200)

-- Where it has no say nothing is said of it.
for _, headers in ipairs({ '', GZIP }) do
    tap.is(ask('/files/a.png', headers).headers.vary, nil)
    tap.is(ask('/off', headers).headers.vary, nil)
    tap.is(ask('/off', headers .. 'If-None-Match: "v1"\r\n').headers.vary, nil)
    tap.is(ask('/off', headers .. 'If-None-Match: "v1"\r\n').headers.etag,
        '"v1"')
end
local png = ask('/files/a.png', GZIP).headers.etag
tap.ok(not png:find('^W/'), 'what is never compressed has a strong tag')
tap.is(ask('/files/a.png', GZIP .. 'If-None-Match: ' .. png .. '\r\n')
    .headers.etag, png)

-- Parts are parts of the body as it is, whatever is accepted.
for _, path in ipairs({ '/part', '/files/a.txt', '/pre/b.js' }) do
    local plain, small = ask(path), ask(path, GZIP)
    tap.is(plain.headers['accept-ranges'], 'bytes', path)
    tap.is(small.headers['accept-ranges'], nil, path)
    for _, range in ipairs({ 'bytes=4-7', 'bytes=4-7,9-12' }) do
        r = ask(path, GZIP .. 'Range: ' .. range .. '\r\n')
        tap.is(r.status, 206, path)
        tap.is(r.headers['content-encoding'], nil, path)
        tap.is(r.headers.etag, plain.headers.etag, path)
        tap.ok(r.headers.vary:find('Accept-Encoding', 1, true), path)
        tap.ok(r.body:find('work', 1, true), path)
    end
    -- Who has a part of a compressed one gets the whole, no other bytes to join.
    r = ask(path, GZIP .. 'Range: bytes=4-7\r\nIf-Range: '
        .. small.headers.etag .. '\r\n')
    tap.is(r.status, 200, path)
    r = ask(path, GZIP .. 'Range: bytes=4-7\r\nIf-Range: '
        .. plain.headers.etag .. '\r\n')
    tap.is(r.status, 206, path)
    tap.is(r.body, 'work', path)
    -- Out of range.
    r = ask(path, GZIP .. 'Range: bytes=5000-\r\n')
    tap.is(r.status, 416, path)
    tap.is(r.headers['content-range'], 'bytes */' .. #text, path)
end

httpd:stop()
fio.rmtree(root)
tap.done()
os.exit(0)
