-- Expressions of real requests over TLS, with a client's certificate and without, over
-- HTTP/1.1 and HTTP/2: what the connection is.
local http_server = require('http.server')
local rig = require('tls_rig')
local sample = require('neap.sample')
local tap = require('tap')

local TEXT = '%[ssl_fc] %[ssl_fc_sni] %[ssl_fc_alpn] %[ssl_fc_protocol] %[ssl_c_used] '
    .. '%[ssl_c_verify] %[ssl_c_s_dn(CN)] %[req.ver] %[fc_http_major] %HV %[dst_port] '
    .. '%[hdr(x-l,2)] %[path] %[query] %[req.body,length] %[src_is_local]'

local httpd
local fill = sample.template(TEXT, { mode = 'http' })
local condition = sample.condition(
    "ssl_fc and { ssl_fc_sni -m end host } and { src 127.0.0.0/8 } and ssl_c_sha256,length in (0, 32)"
        .. ' or not ssl_c_used', { mode = 'http' })

httpd = http_server.new('127.0.0.1', 0, {
    tls = rig.own('server', { ca_file = rig.pem('ca'), verify = 'peer' }),
    handler = function(_, req)
        local txn = { _req = req }
        return { body = fill(txn) .. ' ' .. tostring(condition(txn)) }
    end,
})
httpd:start()
local port = httpd:port()

local function curl(options)
    return (rig.shell(('curl -sS --cacert "%s" --resolve localhost:%d:127.0.0.1 '
        .. "-H 'X-L: a, b' -H 'X-L: c' --data 12345 %s 'https://localhost:%d/a%%20b?q=1'")
        :format(rig.pem('ca'), port, options, port)))
end

local client = ('--cert "%s" --key "%s"'):format(rig.pem('client'), rig.key('client'))

tap.is(curl('--http1.1'),
    ('1 localhost http/1.1 TLSv1.3 0 0  1.1 1 HTTP/1.1 %d b /a%%20b q=1 5 1 true'):format(port),
    'TLS')
tap.is(curl('--http2'),
    ('1 localhost h2 TLSv1.3 0 0  2.0 2 HTTP/2.0 %d b /a%%20b q=1 5 1 true'):format(port),
    'HTTP/2')
tap.is(curl('--http1.1 ' .. client),
    ('1 localhost http/1.1 TLSv1.3 1 0 ann 1.1 1 HTTP/1.1 %d b /a%%20b q=1 5 1 true')
        :format(port), "a client's certificate")
httpd:stop()
rig.done()
tap.done()
