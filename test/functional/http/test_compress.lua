-- Answers made smaller: when, how, and that they are what they were.
-- test: timeout 300
local fiber = require('fiber')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local text = ('all work and no play '):rep(200)
local run
local httpd = http_server.new('127.0.0.1', 0, { compress = { level = 6 },
    log_errors = false })
httpd:route({ path = '/' }, function(req) return run(req) end)
httpd:route({ path = '/off', compress = false }, function() return text end)
httpd:route({ path = '/types', compress = { types = { 'image/*' },
    min_size = 0, brotli = false } }, function(req) return run(req) end)
httpd:start()
local plain = http_server.new('127.0.0.1', 0)
plain:route({ path = '/' }, function() return text end)
plain:route({ path = '/on', compress = true }, function() return text end)
plain:start()

local function ask(f, accept, options)
    options = options or {}
    run = f
    return raw.request(options.port or httpd:port(), options.path or '/', {
        method = options.method,
        headers = accept and 'Accept-Encoding: ' .. accept .. '\r\n',
    })
end

-- What it says when somebody else reads it.
local function decode(r)
    local coding = r.headers['content-encoding']
    local body = r.body
    if r.headers['transfer-encoding'] == 'chunked' then
        local parts = {}
        local at = 1
        while true do
            local _, to, size = body:find('^(%x+)\r\n', at)
            size = tonumber(size, 16)
            if size == 0 then break end
            parts[#parts + 1] = body:sub(to + 1, to + size)
            at = to + size + 3
        end
        body = table.concat(parts)
    end
    if coding == nil then
        return body
    end
    local name = os.tmpname()
    local f = io.open(name, 'w')
    f:write(body)
    f:close()
    local tool = coding == 'gzip' and 'gzip -dc' or 'zstd -dcq'
    if coding == 'br' then
        return nil, os.remove(name)
    end
    local p = io.popen(('%s < %s'):format(tool, name))
    local out = p:read('*a')
    p:close()
    os.remove(name)
    return out
end

local function give() return text end

local r = ask(give, 'gzip')
tap.is(r.headers['content-encoding'], 'gzip')
tap.is(r.headers.vary, 'Accept-Encoding')
tap.is(r.headers['content-type'], 'text/plain; charset=utf-8')
tap.ok(#r.body < #text / 4)
tap.is(r.headers['content-length'], tostring(#r.body))
tap.is(decode(r), text)
r = ask(give, 'gzip, br')
tap.is(r.headers['content-encoding'], 'br')
tap.ok(#r.body < #text / 4)
-- curl reads brotli.
local p = io.popen(('curl -s --compressed -H "Accept-Encoding: br" '
    .. 'http://127.0.0.1:%d/'):format(httpd:port()))
tap.is(p:read('*a'), text, 'brotli')
p:close()
r = ask(give, 'gzip, zstd')
tap.is(r.headers['content-encoding'], 'zstd')
tap.ok(#r.body < #text / 4)
tap.is(decode(r), text, 'zstd')
tap.is(ask(give, 'zstd, br').headers['content-encoding'], 'br')
tap.is(ask(give, 'br;q=0.1, gzip;q=0.2').headers['content-encoding'], 'gzip')
for _, accept in ipairs({ 'identity', 'gzip;q=0, br;q=0', 'deflate', '',
                          'identity;q=1, gzip;q=0, br;q=0' }) do
    r = ask(give, accept)
    tap.is(r.headers['content-encoding'], nil, accept)
    tap.is(r.headers.vary, 'Accept-Encoding')
    tap.is(r.body, text)
end
r = ask(give)
tap.is(r.body, text)
r = ask(give, 'gzip', { method = 'HEAD' })
tap.is(r.headers['content-encoding'], 'gzip', 'as GET would have')
tap.is(r.headers['content-length'], nil)
tap.is(r.headers.vary, 'Accept-Encoding')

-- What stays as it is.
local large = ('x'):rep(5000)
for name, resp in pairs({
    small = { body = 'small' },
    image = { headers = { ['Content-Type'] = 'image/png' }, body = large },
    encoded = { headers = { ['content-encoding'] = 'x' }, body = large },
    transform = { headers = { ['cache-control'] = 'no-transform' },
                  body = large },
    part = { status = 206, body = large },
    none = { status = 204 },
}) do
    r = ask(function() return resp end, 'gzip')
    tap.is(r.headers['content-encoding'], resp.headers and
        resp.headers['content-encoding'], name)
    tap.is(r.headers.vary, name == 'part' and 'Accept-Encoding' or nil)
end
r = ask(function()
    return { headers = { ETag = '"a"', vary = 'cookie' }, body = large }
end, 'gzip')
tap.is(r.headers.etag, 'W/"a"')
tap.is(r.headers.vary, 'cookie, Accept-Encoding')
r = ask(function() return { body = { a = large } } end, 'gzip')
tap.is(r.headers['content-type'], 'application/json; charset=utf-8')
tap.is(decode(r), '{"a":"' .. large .. '"}')
tap.is(ask(nil, 'gzip', { path = '/off' }).headers['content-encoding'], nil)
tap.is(ask(nil, 'gzip', { path = '/nowhere' }).status, 404)
tap.is(ask(nil, 'gzip', { port = plain:port() }).headers['content-encoding'],
    nil)
tap.is(ask(nil, 'gzip', { port = plain:port(), path = '/on' })
    .headers['content-encoding'], 'gzip')
r = ask(function()
    return { headers = { ['content-type'] = 'image/png' }, body = 'tiny' }
end, 'br, gzip', { path = '/types' })
tap.is(r.headers['content-encoding'], 'gzip')
tap.is(decode(r), 'tiny')
tap.is(ask(give, 'gzip', { path = '/types' }).headers['content-encoding'], nil)

-- Much, which goes to a thread; noise, which grows.
local noise = {}
for i = 1, 300000 do
    noise[i] = string.char(math.random(0, 255))
end
noise = table.concat(noise)
for _, body in ipairs({ text:rep(500), noise }) do
    for _, coding in ipairs({ 'gzip', 'zstd' }) do
        tap.ok(decode(ask(function() return body end, coding)) == body,
            'much as ' .. coding)
    end
end

-- In pieces: each can be read when it has come.
local go
run = function()
    local n = 0
    go = false
    return { body = function()
        n = n + 1
        while n == 2 and not go do
            fiber.sleep(0.001)
        end
        return n <= 2 and 'piece ' .. n or nil
    end }
end
for _, coding in ipairs({ 'gzip', 'zstd' }) do
    local peer = raw.connect(httpd:port())
    peer:send(('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n'
        .. 'Connection: close\r\n\r\n'):format(coding))
    local first = peer:read('\r\n\r\n')
    while not first:find('\r\n\r\n%x+\r\n') do
        first = first .. peer:read('\r\n')
    end
    tap.ok(#first:match('\r\n\r\n(.*)$') > 10, 'the first piece has come')
    fiber.sleep(0.01)
    go = true
    local whole = first .. peer:read()
    peer:close()
    tap.is(decode(raw.parse(whole)), 'piece 1piece 2', coding)
end

for _, options in ipairs({ { level = 0 }, { level = 10 }, { min_size = -1 },
                           { x = 1 }, { types = 'a' }, 5 }) do
    tap.ok(not pcall(http_server.new, '127.0.0.1', 0, { compress = options }))
end
tap.done()
os.exit(0)
