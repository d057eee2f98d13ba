-- HTTP/1 with others' clients: wget and Node's own. What each of them does with
-- connections, bodies both ways, ranges, conditions, codings, refusals and ends.
-- test: timeout 120
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local rig = require('tls_rig')
local tap = require('tap')

local FILE = {}
for i = 1, 37500 do
    FILE[i] = ('%07d\n'):format(i)
end
FILE = table.concat(FILE)
fio.chdir(rig.dir)
local function put(name, text)
    local f = assert(io.open(name, 'w'))
    f:write(text)
    f:close()
end
local function get(name)
    local f = io.open(name)
    local text = f and f:read('*a')
    return text, f and f:close()
end
assert(#FILE == 300000)
fio.mkdir('site')
for _, name in ipairs({ 'file.bin', 'site/large.bin' }) do
    put(name, FILE)
end
put('site/index.html', '<a href="a.html">a</a> <a href="deep/b.html">b</a>')
put('site/a.html', '<a href="index.html">i</a> <img src="large.bin">')
fio.mkdir('site/deep')
put('site/deep/b.html', '<a href="../a.html">a</a>')

local servers, seen, waits, cut = {}, 0, 0, 0
local function serve(host, options)
    options.log_errors = false
    local httpd = http_server.new(host, 0, options)
    httpd:route({ path = '/' }, function() return 'hello' end)
    httpd:route({ path = '/stat' }, function()
        local stat = servers[1]:stat()
        return { body = { accepted = stat.accepted, seen = seen, waits = waits } }
    end)
    httpd:route({ path = '/echo' }, function(req) return req.body end)
    httpd:route({ path = '/pieces', stream = true }, function(req)
        local out, size = req:stream(), 0
        while true do
            local piece = req:read(65536)
            if piece == nil then
                seen = seen + 1
                return
            elseif piece == '' then
                break
            end
            size = size + #piece
            out:write(piece)
        end
        out:finish({ ['x-count'] = size })
    end)
    httpd:route({ path = '/stream' }, function(req)
        local out = req:stream()
        for _ = 1, 400 do
            out:write(('0123456789'):rep(1000))
        end
    end)
    httpd:route({ path = '/refuse', stream = true }, function() return { status = 403 } end)
    httpd:route({ path = '/endless' }, function(req)
        local out = req:stream()
        while out:write(('x'):rep(1000)) do
            fiber.sleep(0.001)
        end
        seen = seen + 1
    end)
    httpd:route({ path = '/wait' }, function(req)
        waits = waits + 1
        while not req:has_ended() do
            fiber.sleep(0.005)
        end
        seen = seen + 1
    end)
    httpd:route({ path = '/cut' }, function(req)
        cut = cut + 1
        req:stream({ headers = { ['content-length'] = 1000 } }):write('half')
        error('cut')
    end)
    httpd:route({ path = '/again' }, function(req)
        cut = cut + 1
        local out = req:stream({ headers = { ['content-length'] = #FILE } })
        if cut == 1 then
            out:write(FILE:sub(1, 1000))
            error('cut')
        end
        out:write(FILE)
    end)
    httpd:route({ path = '/text', compress = true }, function()
        return { headers = { ['content-type'] = 'text/plain' }, body = ('text '):rep(20000) }
    end)
    httpd:route({ path = '/cookies' }, function(req)
        return { headers = { ['set-cookie'] = { 'x=1', 'y=2' } },
                 body = req:cookie('b') .. ' ' .. req:header('x-two') }
    end)
    httpd:route({ path = '/form', method = 'POST' }, function(req)
        return req:post_param('name') .. ' ' .. req:header('user-agent'):match('^%a+')
    end)
    httpd:route({ path = '/away' }, function(req) return req:redirect_to('/echo') end)
    httpd:static('/site', 'site')
    httpd:static('/', '.')
    servers[#servers + 1] = httpd
    return httpd:start()
end
local plain = serve('127.0.0.1', {})
local tls = serve('127.0.0.1', { tls = { cert_file = rig.pem('server'),
    key_file = rig.key('server') } })
local path = rig.path('clients.sock')
serve('unix/:' .. path, {})

-- --- wget ---

local function wget(what, options)
    return rig.shell(('wget --no-config --no-hsts -T 30 %s http://127.0.0.1:%d%s'):format(
        options or '-qO-', plain:port(), what))
end
local _, code = rig.shell('command -v wget')
if code ~= 0 then
    tap.skip('wget', 'it is not there')
else
    tap.is(wget('/'), 'hello', 'wget: a page')
    _, code = wget('/none')
    tap.is(code, 8, 'wget: none')
    _, code = wget('/file.bin', '-q -O got.bin')
    tap.ok(code == 0 and get('got.bin') == FILE, 'wget: a file')
    put('rest.bin', FILE:sub(1, 123456))
    local out
    out, code = wget('/file.bin', '-c -O rest.bin')
    tap.like(out, '206', 'wget: the rest of one')
    tap.ok(code == 0 and get('rest.bin') == FILE, 'wget: is whole')
    tap.like(wget('/file.bin', '-c -O rest.bin'), '416', 'wget: nothing is left of it')
    tap.like(wget('/site/large.bin', '-N -P new'), ' 200 ', 'wget: what is new')
    tap.like(wget('/site/large.bin', '-N -P new'), ' 304 ', 'wget: and not')
    tap.is(wget('/stream'):gsub('0123456789', ''), '', 'wget: in chunks')
    tap.is(wget('/form', '-qO- --post-data name=value'), 'value Wget', 'wget: a form')
    tap.ok(wget('/echo', '-qO- --method PUT --body-file file.bin') == FILE, 'wget: PUT')
    tap.is(wget('/away'), '', 'wget: elsewhere')
    tap.like(wget('/file.bin', '--spider -S'), 'Content%-Length: 300000', 'wget: HEAD')
    tap.is(wget('/text', '-qO- --compression=gzip'), ('text '):rep(20000), 'wget: gzip')
    cut = 0
    tap.ok(wget('/again', '-qO- -t 3 --waitretry 0') ~= nil and cut > 1,
        'wget: tries again what was cut')
    local before = plain:stat().accepted
    out, code = wget('/site/', '-r -np -nH -P mirror')
    tap.is(code, 0, 'wget: a site: ' .. (code == 0 and '' or out))
    for _, name in ipairs({ 'index.html', 'a.html', 'deep/b.html', 'large.bin' }) do
        tap.ok(get('mirror/site/' .. name) == get('site/' .. name), 'wget: ' .. name)
    end
    tap.ok(plain:stat().accepted - before <= 2, 'wget: by a connection that is kept')
    out, code = rig.shell(('wget --no-config --no-hsts -qO- --ca-certificate=%s '
        .. 'https://127.0.0.1:%d/file.bin'):format(rig.pem('ca'), tls:port()))
    tap.ok(code == 0 and out == FILE, 'wget: HTTPS')
    _, code = rig.shell(('wget --no-config --no-hsts -qO- https://127.0.0.1:%d/')
        :format(tls:port()))
    tap.is(code, 5, 'wget: not from whom it does not know')
end

-- --- Node ---

_, code = rig.shell('command -v node')
if code ~= 0 then
    tap.skip('Node', 'it is not there')
else
    local text = rig.shell(('node %s/test/functional/http/node_client.js %d %d %s %s'):format(
        os.getenv('NEAP_SOURCE_DIR'), plain:port(), tls:port(), path, rig.pem('ca')))
    for line in text:gmatch('[^\n]+') do
        tap.ok(line:find('^fine') or line:find('^all is well') or nil, 'Node: ' .. line)
    end
    tap.like(text, 'all is well', 'Node: to its end')
end
for _, httpd in ipairs(servers) do
    tap.ok(httpd:stop(5), 'a stop leaves nothing')
    tap.is(httpd:stat().waiting, 0, 'nor a request')
end
fio.chdir('/')
rig.done()
tap.done()
