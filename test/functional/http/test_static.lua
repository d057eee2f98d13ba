-- Files: what is sent, what never is, conditions and ranges.
-- test: timeout 120, variants
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local root = fio.tempdir()
local function put(path, text)
    fio.mktree(fio.dirname(root .. '/' .. path))
    local f = assert(io.open(root .. '/' .. path, 'w'))
    f:write(text)
    f:close()
end

local big = {}
for i = 1, 40000 do
    big[i] = ('line %d\n'):format(i)
end
big = table.concat(big)

put('files/a.txt', 'the text\n')
put('files/index.html', '<p>index</p>')
put('files/sub/index.html', '<p>sub</p>')
put('files/sub/b c.css', 'p {}')
put('files/empty', '')
put('files/big.bin', big)
put('files/.secret', 'hidden')
put('files/.git/config', 'hidden')
put('files/a.js', 'plain();')
put('files/a.js.gz', 'gzipped')
put('files/a.js.br', 'brotlied')
put('files/noindex/x', 'x')
put('outside.txt', 'outside')
put('filesystem/x', 'a neighbour')
fio.symlink('a.txt', root .. '/files/inside')
fio.symlink('../outside.txt', root .. '/files/outside')
fio.symlink(root .. '/files/a.txt', root .. '/files/absolute')
fio.symlink('..', root .. '/files/up')
os.execute(('mkfifo %s/files/fifo'):format(root))

local errors = {}
local httpd = http_server.new('127.0.0.1', 0, {
    log_errors = function(fmt, ...) errors[#errors + 1] = fmt:format(...) end,
})
httpd:static('/files', root .. '/files')
httpd:static('/all', root .. '/files', { symlinks = 'anywhere', hidden = true,
    index = false, cache_control = 60, types = { txt = 'text/x-own' } })
httpd:static('/never', root .. '/files', { symlinks = 'never',
    precompressed = true, cache_control = 'no-cache' })
httpd:static('/gone', root .. '/no such folder')
httpd:route({ path = '/files/route' }, function() return 'a route' end)
httpd:start()
local port = httpd:port()

local function get(path, headers, method)
    return raw.request(port, path, { headers = headers, method = method })
end

-- a file
do
    local r = get('/files/a.txt')
    tap.is(r.status, 200)
    tap.is(r.body, 'the text\n')
    tap.is(r.headers['content-type'], 'text/plain; charset=utf-8')
    tap.is(r.headers['content-length'], '9')
    tap.is(r.headers['accept-ranges'], 'bytes')
    tap.is(r.headers['cache-control'], nil)
    tap.ok(r.headers.etag:find('^"%x+%.%x+%-%x+"$'), r.headers.etag)
    tap.ok(r.headers['last-modified']:find('^%a%a%a, %d%d %a%a%a %d%d%d%d '
        .. '%d%d:%d%d:%d%d GMT$'), 'date')
    tap.is(get('/files/empty').status, 200)
    tap.is(get('/files/empty').body, '')
    tap.is(get('/files/empty').headers['content-type'],
        'application/octet-stream')
    tap.is(get('/files/sub/b%20c.css').headers['content-type'],
        'text/css; charset=utf-8')
    tap.is(get('/files/%61.txt').body, 'the text\n')
    tap.is(get('/%66iles/a.txt').body, 'the text\n')
    tap.is(get('/files/a.txt?x=1').body, 'the text\n')
    tap.is(get('/files/big.bin').body, big)
    tap.is(get('/files/route').body, 'a route')
    tap.is(get('/all/a.txt').headers['content-type'], 'text/x-own')
    tap.is(get('/all/a.txt').headers['cache-control'], 'max-age=60')
end

-- HEAD, and methods
do
    for _, path in ipairs({ '/files/a.txt', '/files/big.bin' }) do
        local whole, r = get(path), get(path, nil, 'HEAD')
        tap.is(r.status, 200)
        tap.is(r.body, '')
        for _, name in ipairs({ 'content-length', 'etag', 'content-type' }) do
            tap.is(r.headers[name], whole.headers[name], name)
        end
    end
    local r = get('/files/a.txt', nil, 'POST')
    tap.is(r.status, 405)
    tap.is(r.headers.allow, 'GET, HEAD')
end

-- folders
do
    tap.is(get('/files/').body, '<p>index</p>')
    tap.is(get('/files').status, 301)
    tap.is(get('/files').headers.location, '/files/')
    local r = get('/files/sub?a=b')
    tap.is(r.status, 301)
    tap.is(r.headers.location, '/files/sub/?a=b')
    tap.is(get('/files/sub/').body, '<p>sub</p>')
    tap.is(get('/files/noindex/').status, 404)
    tap.is(get('/all/sub/').status, 404)
    tap.is(get('/all/sub').status, 301)
    tap.is(get('/files/a.txt/').status, 404)
    tap.is(get('/files/index.html/').status, 404)
end

-- Each must be "not found" and send nothing of what lies outside.
-- ways out
do
    local paths = {
        '/files/../outside.txt', '/files/%2e%2e/outside.txt',
        '/files/.%2e/outside.txt', '/files/%2E./outside.txt',
        '/files/sub/../../outside.txt', '/files/..%2foutside.txt',
        '/files/..%2Foutside.txt', '/files/sub%2f..%2f..%2foutside.txt',
        '/files/sub%2fb%20c.css', '/files/%252e%252e/outside.txt',
        '/files/..%5coutside.txt', '/files/..\\outside.txt',
        '/files//outside.txt', '/files//a.txt', '/files/sub//b%20c.css',
        '/files/./a.txt', '/files/%2e/a.txt', '/files/..', '/files/../',
        '/files/%2e%2e', '/files/...', '/files/a.txt%00.css', '/files/%00',
        '/files/a.txt%', '/files/a.txt%2', '/files/%zz',
        '/files/outside', '/files/up/outside.txt', '/files/absolute',
        '/files/up/files/a.txt', '/files/.secret', '/files/.git/config',
        '/filesystem/x', '/files/../filesystem/x', '/files/fifo',
        '/files//etc/passwd', '/files/%2fetc/passwd', '/files/%2Fetc%2Fpasswd',
        '/files/etc/passwd', '/files/~root', '/files/a.txt/..',
        '/files/a.txt/../a.txt', '/files/..;/outside.txt',
        '/files/%c0%ae%c0%ae/outside.txt', '/files/' .. ('a'):rep(300),
        '/files/' .. ('a/'):rep(3000) .. 'b', '/gone/a.txt',
        '/never/inside', '/never/outside', '/never/up/outside.txt',
        '/all/../outside.txt', '/all/..%2foutside.txt', '/all//a.txt',
    }
    for _, path in ipairs(paths) do
        local r = get(path)
        -- What is no escape, or a NUL, is refused before there is a path.
        tap.is(r.status, path:find('%%00') and 400 or path:find('%%$') and 400
            or path:find('%%2$') and 400 or path:find('%%zz') and 400 or 404,
            path:sub(1, 60))
        tap.ok(not r.text:find('outside', 1, true) and
            not r.text:find('root:', 1, true), 'nothing of it')
    end
    local r = raw.request(port, 'http://a/files/../outside.txt')
    tap.is(r.status, 404)
    tap.is(get('/files/inside').body, 'the text\n')
    tap.is(get('/all/outside').body, 'outside')
    tap.is(get('/all/.secret').body, 'hidden')
end

-- conditions
do
    local r = get('/files/a.txt')
    local etag, date = r.headers.etag, r.headers['last-modified']
    local old = 'Sun, 06 Nov 1994 08:49:37 GMT'
    local rows = {
        { 'If-None-Match: ' .. etag, 304 },
        { 'If-None-Match: W/' .. etag, 304 },
        { 'If-None-Match: "x", ' .. etag .. ', "y"', 304 },
        { 'If-None-Match: "x"\r\nIf-None-Match: ' .. etag, 304 },
        { 'If-None-Match: *', 304 },
        { 'If-None-Match: "x"', 200 },
        { 'If-None-Match: ' .. etag:sub(2, -2), 200 },
        { 'If-None-Match: "x"\r\nIf-Modified-Since: ' .. date, 200 },
        { 'If-Modified-Since: ' .. date, 304 },
        { 'If-Modified-Since: ' .. old, 200 },
        { 'If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT', 200 },
        { 'If-Modified-Since: Sun Nov  6 08:49:37 1994', 200 },
        { 'If-Modified-Since: tomorrow', 200 },
        { 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT', 304 },
        { 'If-Unmodified-Since: ' .. old, 412 },
        { 'If-Unmodified-Since: ' .. date, 200 },
        { 'If-Match: ' .. etag, 200 },
        { 'If-Match: W/' .. etag, 412 },
        { 'If-Match: *', 200 },
        { 'If-Match: "x"', 412 },
        { 'If-Match: ' .. etag .. '\r\nIf-Unmodified-Since: ' .. old, 200 },
        { 'If-Match: "x"\r\nIf-None-Match: ' .. etag, 412 },
    }
    for _, row in ipairs(rows) do
        for _, path in ipairs({ 'a.txt', 'a.txt' }) do
            local answer = get('/files/' .. path, row[1] .. '\r\n')
            tap.is(answer.status, row[2], row[1])
            tap.is(answer.body, row[2] == 200 and 'the text\n' or '')
            tap.is(answer.headers.etag, etag)
        end
    end
    r = get('/files/big.bin')
    r = get('/files/big.bin', ('If-None-Match: %s\r\n'):format(r.headers.etag))
    tap.is(r.status, 304)
    tap.is(r.headers['content-length'], nil)
    tap.is(r.body, '')
end

-- ranges
do
    for path, body in pairs({ ['a.txt'] = 'the text\n', ['big.bin'] = big }) do
        local size = #body
        local function range(value, more)
            return get('/files/' .. path, ('Range: %s\r\n%s'):format(value,
                more or ''))
        end
        local function one(value, from, to)
            local r = range(value)
            tap.is(r.status, 206, value)
            tap.is(r.body, body:sub(from + 1, to + 1))
            tap.is(r.headers['content-range'],
                ('bytes %d-%d/%d'):format(from, to, size))
            tap.is(r.headers['content-length'], tostring(to - from + 1))
        end
        one('bytes=0-0', 0, 0)
        one('bytes=2-5', 2, 5)
        one('BYTES=2-5', 2, 5)
        one('bytes= 2-5 , ', 2, 5)
        one('bytes=3-', 3, size - 1)
        one('bytes=-4', size - 4, size - 1)
        one('bytes=-99999999999999999999', 0, size - 1)
        one('bytes=5-99999999999999999999', 5, size - 1)
        one('bytes=0-', 0, size - 1)
        one(('bytes=%d-'):format(size - 1), size - 1, size - 1)
        one(('bytes=1-2,%d-'):format(size), 1, 2)
        for _, value in ipairs({ ('bytes=%d-'):format(size), 'bytes=-0',
                                 'bytes=99999999999999999999-' }) do
            local r = range(value)
            tap.is(r.status, 416, value)
            tap.is(r.headers['content-range'], 'bytes */' .. size)
            tap.is(r.body, '')
        end
        for _, value in ipairs({ 'bytes', 'bytes=', 'bytes=-', 'bytes=5-2',
                'bytes=a-b', 'lines=1-2', 'bytes=1-2;', 'bytes=1-2x',
                'bytes=+1-2', 'bytes=1--2', 'bytes=0-,0-', 'bytes=0-,-1',
                'bytes=' .. ('0-0,'):rep(33) }) do
            local r = range(value)
            tap.is(r.status, 200, value)
            tap.ok(r.body == body, 'all of it')
        end
        tap.is(range('bytes=0-0', 'Range: bytes=1-1\r\n').status, 200)
        local etag = range('bytes=0-0').headers.etag
        local date = range('bytes=0-0').headers['last-modified']
        tap.is(range('bytes=0-0', 'If-Range: ' .. etag .. '\r\n').status, 206)
        tap.is(range('bytes=0-0', 'If-Range: W/' .. etag .. '\r\n').status, 200)
        tap.is(range('bytes=0-0', 'If-Range: "x"\r\n').status, 200)
        tap.is(range('bytes=0-0', 'If-Range: ' .. date .. '\r\n').status, 206)
        tap.is(range('bytes=0-0',
            'If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n').status, 200)
        local r = get('/files/' .. path, 'Range: bytes=0-0\r\n', 'HEAD')
        tap.is(r.status, 200)
        tap.is(r.headers['content-length'], tostring(size))

        r = range(('bytes=0-1, -2,3-4'))
        tap.is(r.status, 206)
        local boundary = r.headers['content-type']:match(
            '^multipart/byteranges; boundary=(%x+)$')
        tap.ok(boundary, r.headers['content-type'])
        local kind = get('/files/' .. path).headers['content-type']
        local wanted = {}
        for _, part in ipairs({ { 0, 1 }, { size - 2, size - 1 }, { 3, 4 } }) do
            wanted[#wanted + 1] = ('\r\n--%s\r\nContent-Type: %s\r\n'
                .. 'Content-Range: bytes %d-%d/%d\r\n\r\n%s'):format(boundary,
                kind, part[1], part[2], size, body:sub(part[1] + 1, part[2] + 1))
        end
        tap.is(r.body, table.concat(wanted) .. '\r\n--' .. boundary .. '--\r\n')
        tap.is(r.headers['content-length'], tostring(#r.body))
    end
    tap.is(get('/files/empty', 'Range: bytes=0-0\r\n').status, 416)
    tap.is(get('/files/empty', 'Range: bytes=-1\r\n').status, 416)
end

-- siblings that are compressed
do
    local function coding(accept)
        local r = get('/never/a.js', accept and
            ('Accept-Encoding: %s\r\n'):format(accept) or nil)
        tap.is(r.status, 200, accept)
        tap.is(r.headers.vary, 'Accept-Encoding')
        tap.is(r.headers['content-type'], 'text/javascript; charset=utf-8')
        tap.is(r.body, ({ br = 'brotlied', gzip = 'gzipped' })[
            r.headers['content-encoding']] or 'plain();')
        return r.headers['content-encoding'], r.headers.etag
    end
    tap.is(coding(nil), nil)
    tap.is(coding('gzip'), 'gzip')
    tap.is(coding('gzip, deflate, br'), 'br')
    tap.is(coding('gzip;q=1, br;q=0.5'), 'gzip')
    tap.is(coding('br;q=0, gzip;q=0'), nil)
    tap.is(coding('*'), 'br')
    tap.is(coding('zstd'), nil)
    tap.is(coding('GZIP;Q=0.001'), 'gzip')
    tap.is(coding('identity;q=0.5, gzip;q=0.1'), nil)
    tap.is(coding('brx, xgzip'), nil)
    tap.ok(select(2, coding('gzip')) ~= select(2, coding('br')), 'tags differ')
    local r = get('/never/a.js', 'Accept-Encoding: br\r\nRange: bytes=0-4\r\n')
    tap.is(r.status, 206)
    tap.is(r.body, 'plain', 'a part is one of the file itself')
    tap.is(get('/never/a.txt', 'Accept-Encoding: br\r\n').body, 'the text\n')
    tap.is(get('/files/a.js', 'Accept-Encoding: br\r\n').body, 'plain();')
end

-- pipelined, kept alive
do
    local peer = raw.connect(port)
    local n = 50
    for i = 1, n do
        peer:send(('GET /files/%s HTTP/1.1\r\nHost: a\r\n\r\n'):format(
            i % 2 == 0 and 'big.bin' or 'a.txt'))
    end
    local text = peer:read('HTTP/1.1 200', n)
    local rest = peer:read('line 40000\n')
    text = text .. rest
    tap.is(select(2, text:gsub('line 40000\n', '')), n / 2)
    tap.is(select(2, text:gsub('the text\n', '')), n / 2)
    peer:close()
end

-- wrong use
do
    for _, case in ipairs({
        { 'files', root }, { '/a:b', root }, { '/a*b', root }, { '/a//b', root },
        { '/x', '' }, { '/x', 5 }, { '/x', root, 5 }, { '/x', root, { a = 1 } },
        { '/x', root, { index = '../x' } }, { '/x', root, { index = '..' } },
        { '/x', root, { symlinks = 'yes' } }, { '/x', root, { hidden = 1 } },
    }) do
        tap.ok(not pcall(httpd.static, httpd, case[1], case[2], case[3]),
            tostring(case[1]))
    end
    tap.ok(not pcall(httpd.static, httpd, '/files', root), 'it exists')
end

-- nothing went wrong unseen
do
    tap.is(#errors, 0, errors[1])
    httpd:stop()
    fio.rmtree(root)
end

tap.done()
os.exit(0)
