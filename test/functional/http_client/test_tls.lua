-- https: who is trusted, and who is not.
-- test: timeout 180
local http = require('http.client')
local rig = require('tls_rig')
local tap = require('tap')

local function answer(s)
    while true do
        local head = s:read({ delimiter = '\r\n\r\n', chunk = 65536 }, 1)
        if head == nil or head == '' then
            return
        end
        local peer = (s:tls_info().peer or {}).subject or 'nobody'
        s:write(('HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s'):format(#peer, peer))
    end
end

local function refused(name, url, opts, pattern)
    local r, err = http.new():get(url, opts)
    tap.is(r, nil, name .. ': refused')
    tap.is(err and err.type, 'ClientError', name .. ': type')
    tap.like(err, pattern, name .. ': why')
end

local ca = rig.pem('ca')
local server, port = rig.serve(rig.own('server'), answer)
local url = 'https://localhost:' .. port .. '/'
refused('a CA that nobody trusts', url, nil, 'certificate')
local client = http.new()
local r = client:get(url, { ca_file = ca })
tap.is(r and r.status, 200, 'the right CA')
tap.is(client:get(url, { ca_file = ca }).status, 200, 'again')
tap.is(client:stat().sockets_added, 1, 'over the same connection')
refused('but not without it', url, nil, 'certificate')
tap.is(http.get(url, { verify_peer = false }).status, 200, 'unless nobody looks')
local paths = rig.path('authorities')
rig.shell(('mkdir %s %s; ln -s %s %s/$(openssl x509 -in %s -noout -hash).0')
    :format(paths, rig.path('nobody'), ca, paths, ca))
tap.is(http.get(url, { ca_path = paths }).status, 200, 'a folder of authorities')
refused('none of them', url, { ca_path = rig.path('nobody') }, 'certificate')
refused('no such file', url, { ca_file = '/no/such/file' }, '/no/such/file')
refused('plain bytes', 'http://localhost:' .. port, nil, '.')
server:close()

for name, pattern in pairs({ expired = 'expired', stranger = 'certificate',
                             self = 'certificate' }) do
    server, port = rig.serve(rig.own(name), answer)
    refused(name, 'https://localhost:' .. port, { ca_file = ca }, pattern)
    server:close()
end
server, port = rig.serve(rig.own('other'), answer)
refused('another host', 'https://localhost:' .. port, { ca_file = ca }, 'host name')
r = http.get('https://localhost:' .. port, { ca_file = ca, verify_host = false })
tap.is(r and r.status, 200, 'unless nobody looks')
server:close()

-- Ours.
server, port = rig.serve(rig.own('server', { ca_file = ca, verify = 'required' }), answer)
url = 'https://localhost:' .. port .. '/'
local ok = http.get(url, { ca_file = ca })
tap.is(ok, nil, 'a certificate is wanted')
r = http.get(url, { ca_file = ca, ssl_cert = rig.pem('client'),
                    ssl_key = rig.key('client') })
tap.like(r and r.body, 'ann', 'and given')
ok = http.get(url, { ca_file = ca, ssl_cert = rig.pem('clients'),
                     ssl_key = rig.key('clients') })
tap.is(ok, nil, 'not one of another CA')
server:close()

-- A stream, and a server that is no server.
server, port = rig.serve(rig.own('server'), answer)
local s = http.get('https://localhost:' .. port, { ca_file = ca, chunked = true })
tap.is(s and s:read(100), 'nobody', 'a stream')
s:close()
server:close()

-- A body that ends with the connection is whole only if the server has announced that.
require('attack_rig') -- for dup2() and open()
local ffi = require('ffi')
local OK = 'HTTP/1.1 200 OK\r\n'
local plain = require('http.server').new('127.0.0.1', 0)
plain:route({ path = '/' }, function(req) return req:redirect_to(url) end)
plain:start()
for _, case in ipairs({
    { 'GET', OK .. '\r\nhello', false, 'a body without a length' },
    { 'GET', OK .. '\r\n', false, 'nothing of one' },
    { 'GET', 'HTTP/1.0 200 OK\r\n\r\nhello', false, 'of HTTP/1.0' },
    { 'GET', OK .. 'Content-Length: 5\r\n\r\nhello', true, 'a length' },
    { 'GET', OK .. 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', true,
      'chunks' },
    { 'HEAD', OK .. 'Connection: close\r\n\r\n', true, 'HEAD' },
    { 'GET', 'HTTP/1.1 204 No\r\n\r\n', true, 'no content' },
}) do
    for _, version in ipairs({ 'TLSv1.2', 'TLSv1.3' }) do
        for _, cut in ipairs({ false, true }) do
            server, port = rig.serve(rig.own('server', { max_version = version }), function(peer)
                peer:read({ delimiter = '\r\n\r\n' }, 20)
                peer:write(case[2])
                if cut then -- its end goes out without a word of TLS
                    local nothing = ffi.C.open('/dev/null', 2)
                    ffi.C.dup2(nothing, peer:fd())
                    ffi.C.close(nothing)
                end
            end)
            url = 'https://localhost:' .. port .. '/'
            for how, at in pairs({ whole = url, ['in pieces'] = url,
                ['led there'] = 'http://127.0.0.1:' .. plain:port() .. '/' }) do
                local got, err = http.request(case[1], at, nil, { ca_file = ca, timeout = 60,
                    chunked = how == 'in pieces' })
                local stream, piece = how == 'in pieces' and got, nil
                while stream and piece ~= '' and not err do
                    piece, err = stream:read(100)
                end
                if stream then
                    stream:close()
                end
                tap.is(err == nil, case[3] or not cut, ('%s, %s, %s, %s: %s'):format(case[4], version,
                    cut and 'cut' or 'announced', how, tostring(err)))
            end
            server:close()
        end
    end
end
plain:stop(0)
rig.done()
tap.done()
