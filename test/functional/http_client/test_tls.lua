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
rig.done()
tap.done()
