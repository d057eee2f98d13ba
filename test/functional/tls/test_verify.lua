-- TLS between two sockets of ours: who is let in and who is not, and what is said
-- about it: names, authorities, dates, clients' certificates, protocols, names of hosts
-- that one server has several certificates for; usage; lines that begin it later.
-- test: timeout 120
local errno = require('errno')
local fiber = require('fiber')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local ca = rig.pem('ca')

local function connect(port, tls, host)
    return socket.tcp_connect(host or '127.0.0.1', port, {tls = tls, timeout = 20})
end

local function echoes(s)
    s:write('hello\n')
    return s:read('\n', 20) == 'hello\n'
end

-- Usage.
for _, bad in ipairs({1, 'yes', {verfy = 'none'}, {verify = 'maybe'}, {verify = 1},
    {min_version = 'TLSv1.1'}, {ca_file = 1}, {ca_file = 'a\0b'}, {alpn = 'h2'},
    {alpn = {}}, {alpn = {''}}, {alpn = {('x'):rep(256)}}, {tickets = 1},
    {server_name = 1}, {handshake_timeout = 0}, {handshake_timeout = 'x'},
    {sni = {}}, {context = 1}, {server = 1, sni = 1}}) do
    tap.throws(function() connect(1, bad) end, 'tls', 'no options: ' .. tostring(bad))
end
tap.throws(function() socket.tls_server() end, 'Usage', 'no options')
tap.throws(function() socket.tls_client(1) end, 'Usage', 'none either')
tap.throws(function()
    connect(1, {context = socket.tls_client({}), ca_file = ca})
end, 'no other options', 'a context and more')
tap.throws(function() connect(1, socket.tls_server(rig.own('server'))) end,
    'tls_client', 'a context of a server')

-- Files that are none.
local function refused(options, pattern, name, make)
    local context, err = (make or socket.tls_server)(options)
    tap.is(context, nil, name)
    tap.like(err, pattern, name .. ' is told')
    collectgarbage()
end
refused({}, 'needs a certificate', 'no certificate')
refused({cert_file = rig.path('none')}, "cannot read the certificate file '.*none'.*[Nn]o such",
    'no file')
refused({cert_file = rig.path('server.csr')}, 'server.csr.*PEM', 'no certificate in it')
refused({cert_file = rig.pem('server')}, 'private key', 'no key in it')
refused({cert_file = rig.pem('server'), key_file = rig.key('client')},
    'not the key of the certificate', "another's key")
refused({cert_file = rig.pem('server'), key_file = rig.path('secret.key')},
    'key_password', 'no password')
refused({cert_file = rig.pem('server'), key_file = rig.path('secret.key'),
    key_password = 'wrong'}, 'key_password', 'a wrong one')
refused(rig.own('server', {verify = 'required'}), 'ca_file', 'nobody to trust')
refused(rig.own('server', {verify = 'peer', ca_file = rig.path('none')}), 'cannot read',
    'nobody there')
refused({ca_file = rig.key('ca')}, 'ca.key.*PEM', 'a key', socket.tls_client)
refused({ca_path = rig.path('none')}, 'cannot read the folder', 'no folder',
    socket.tls_client)
refused({ciphers = 'NONE-SUCH'}, 'ciphers name none', 'no ciphers', socket.tls_client)
refused({ciphersuites = 'NONE'}, 'ciphersuites name none', 'no suites',
    socket.tls_client)
refused({min_version = 'TLSv1.3', max_version = 'TLSv1.2'}, 'min_version',
    'no version', socket.tls_client)
refused({key_file = rig.key('client')}, 'cert_file', 'a key alone', socket.tls_client)
refused(rig.own('server', {sni = {['*.*.x'] = rig.own('other')}}), 'no name of a host',
    'a bad pattern')
refused(rig.own('server', {sni = {x = {cert_file = rig.path('none')}}}), 'cannot read',
    'a bad file in sni')
tap.ok(socket.tls_server({cert_file = rig.pem('server'),
    key_file = rig.path('secret.key'), key_password = 'open sesame'}),
    'an encrypted key')

-- A good one; what it is.
local server, port = rig.serve(rig.own('server', {alpn = {'echo', 'other'}}))
local s = assert(connect(port, {ca_file = ca, alpn = {'other', 'echo'}}))
tap.ok(echoes(s), 'a number that is in the certificate')
local info = s:tls_info()
tap.is(info.version, 'TLSv1.3', 'the version')
tap.like(info.cipher, '^TLS_', 'the cipher')
tap.is(info.alpn, 'echo', 'the protocol is the one that the server likes best')
tap.is(info.verified, true, 'verified')
tap.is(info.resumed, false, 'not resumed')
tap.is(info.peer.subject, 'CN=localhost', 'the subject')
tap.is(info.peer.issuer, 'CN=ca', 'the issuer')
tap.like(info.peer.fingerprint, '^' .. ('%x'):rep(64) .. '$', 'the fingerprint')
tap.like(rig.shell(('openssl x509 -in %s -noout -fingerprint -sha256')
    :format(rig.pem('server'))):gsub(':', ''):lower(), info.peer.fingerprint,
    'as openssl has it')
local left = info.peer.not_after - os.time()
tap.ok(left > 29 * 86400 and left < 31 * 86400, 'its end')
tap.is(s:starttls({ca_file = ca, server_name = 'localhost'}), nil, 'not twice')
tap.is(s:errno(), errno.EALREADY, 'says errno')
tap.is(s:sendto('127.0.0.1', 1, 'x'), nil, 'nothing goes past it')
tap.is(s:send('x', 'MSG_OOB'), nil, 'nor beside')
tap.is(s:shutdown('R'), false, 'half an end')
tap.ok(s:shutdown('W'), 'the other half')
tap.is(s:read(10, 20), '', 'then it ends')
tap.is(s:write('x'), nil, 'no more')
tap.is(s:errno(), errno.EPIPE, 'says errno')
s:close()
tap.throws(function() s:tls_info() end, 'closed', 'closed')
local plain = assert(socket.tcp_connect('127.0.0.1', port))
tap.is(plain:tls_info(), nil, 'no TLS, no info')
plain:close()

-- A folder of authorities: those whose names are hashed in it, as `openssl rehash` does.
local empty = rig.path('nobody')
local paths = rig.path('authorities')
rig.shell(('mkdir %s %s; ln -s %s %s/$(openssl x509 -in %s -noout -hash).0')
    :format(empty, paths, ca, paths, ca))
s = assert(connect(port, {ca_path = paths}))
tap.ok(echoes(s) and s:tls_info().verified, 'a folder of authorities')
s:close()
local nobody, why = connect(port, {ca_path = empty})
tap.is(nobody, nil, 'one without this one')
tap.like(why, 'certificate', 'is told')
do
    local strict, at = rig.serve(rig.own('server', {ca_path = paths, verify = 'required'}))
    local ann = {ca_path = paths, cert_file = rig.pem('client'), key_file = rig.key('client')}
    s = assert(connect(at, ann))
    tap.ok(echoes(s), 'a server has one, too')
    s:close()
    ann.cert_file, ann.key_file = rig.pem('clients'), rig.key('clients')
    s = connect(at, ann)
    tap.ok(not s or not echoes(s), 'a client by another one is refused')
    if s then
        s:close()
    end
    strict:close()
end

-- Whom a client believes.
local function denied(tls, host, pattern, code, name)
    local c, err = connect(port, tls, host)
    local number = errno()
    tap.is(c, nil, name)
    tap.like(err, pattern, name .. ' is told')
    tap.is(err.errno, code, name .. ' has its number')
    tap.is(number, code, name .. ' is in errno')
end
local function believed(tls, host, name)
    local c = connect(port, tls, host)
    tap.ok(c, name)
    c:close()
end
believed({ca_file = ca}, 'localhost', 'a name')
believed({ca_file = ca, server_name = 'localhost'}, nil, 'another name')
believed({ca_file = ca, server_name = 'localhost.'}, nil, 'with a dot')
believed({ca_file = ca, server_name = 'LOCALHOST'}, nil, 'in capitals')
believed({ca_file = ca, server_name = '::1'}, nil, 'another number')
believed({ca_file = ca, server_name = 'a.wild.test'}, nil, 'one that fits *')
denied(true, nil, 'unable to get local issuer.*ca_file', errno.EACCES, 'unknown authority')
denied({ca_file = rig.pem('ca2')}, nil, 'refused', errno.EACCES, 'another authority')
denied({ca_file = ca, server_name = 'other.test'}, nil, 'hostname mismatch.*server_name',
    errno.EACCES, 'another name')
denied({ca_file = ca, server_name = 'a.b.wild.test'}, nil, 'hostname mismatch',
    errno.EACCES, 'two parts for one *')
denied({ca_file = ca, server_name = '127.0.0.2'}, nil, 'IP address mismatch',
    errno.EACCES, 'another number')
tap.is(connect(port, {ca_file = ca, server_name = 'a b'}), nil, 'no name at all')
s = assert(connect(port, {verify = 'none'}))
tap.ok(echoes(s), 'not asked')
tap.is(s:tls_info().verified, false, 'and it says so')
tap.is(s:tls_info().sni, nil, 'a number is not asked for')
s:close()
denied({ca_file = ca, alpn = {'h2'}}, nil, 'application protocol', errno.EPROTO,
    'no protocol in common')
server:close()
for _, case in ipairs({{'expired', 'expired'}, {'self', 'self.signed'},
    {'stranger', 'local issuer'}}) do
    server, port = rig.serve(rig.own(case[1]))
    denied({ca_file = ca}, 'localhost', case[2], errno.EACCES, case[1])
    server:close()
end

-- Versions and ciphers.
server, port = rig.serve(rig.own('server', {max_version = 'TLSv1.2'}))
s = assert(connect(port, {ca_file = ca, ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384'}))
tap.is(s:tls_info().version, 'TLSv1.2', 'an older version')
tap.is(s:tls_info().cipher, 'ECDHE-ECDSA-AES256-GCM-SHA384', 'its cipher')
s:close()
denied({ca_file = ca, min_version = 'TLSv1.3'}, nil, 'protocol version', errno.EPROTO,
    'no version in common')
server:close()

-- Whom a server believes.
local seen
local function tell(c)
    seen = c:tls_info()
    rig.echo(c)
end
for _, version in ipairs({'TLSv1.2', 'TLSv1.3'}) do
    server, port = rig.serve(rig.own('server',
        {verify = 'required', ca_file = ca, max_version = version}), tell)
    s = assert(connect(port, rig.own('client', {ca_file = ca})))
    tap.ok(echoes(s), 'a client with a certificate, ' .. version)
    tap.is(seen.peer.subject, 'CN=ann', 'whose')
    tap.is(seen.verified, true, 'verified')
    s:close()
    for _, who in ipairs({'none', 'clients'}) do
        local tls = who == 'none' and {ca_file = ca} or rig.own(who, {ca_file = ca})
        seen = nil
        local err
        -- With TLS 1.3 a client is done before the server has seen it.
        s, err = connect(port, tls)
        if s ~= nil then
            err = select(2, s:read(1, 20))
        end
        tap.ok(err ~= nil and seen == nil, ('%s, %s: refused'):format(who, version))
        -- TLS 1.2 has no word for it.
        if s then s:close() end
        tap.is(err.errno, who == 'none' and version == 'TLSv1.2' and errno.EPROTO
            or errno.EACCES, 'its number: ' .. tostring(err))
    end
    server:close()
    server, port = rig.serve(rig.own('server',
        {verify = 'peer', ca_file = ca, max_version = version}), tell)
    s = assert(connect(port, {ca_file = ca}))
    tap.ok(echoes(s) and seen.peer == nil and seen.verified == false, 'none is fine')
    s:close()
    s = connect(port, rig.own('clients', {ca_file = ca}))
    tap.ok(s == nil or s:read(1, 20) == nil, 'a bad one is not')
    if s then s:close() end
    server:close()
end

-- Names.
server, port = rig.serve(rig.own('server', {sni = {
    ['other.test'] = rig.own('other', {max_version = 'TLSv1.2'}),
    ['*.self.test'] = rig.own('self'),
    ['locked.test'] = rig.own('other', {verify = 'required', ca_file = ca}),
}}), tell)
local function certificate_for(name)
    local c = assert(connect(port, {verify = 'none', server_name = name}))
    echoes(c)
    local result = c:tls_info()
    c:close()
    return result.peer.subject .. ' ' .. result.peer.issuer, result
end
tap.is(certificate_for('localhost'), 'CN=localhost CN=ca', 'the usual')
tap.is(seen.sni, 'localhost', 'the server knows the name')
tap.is(certificate_for('other.test'), 'CN=other.test CN=ca', 'a name of its own')
tap.is(select(2, certificate_for('Other.Test')).version, 'TLSv1.2', 'and its version')
tap.is(certificate_for('a.self.test'), 'CN=localhost CN=localhost', 'a pattern')
tap.is(certificate_for('a.b.self.test'), 'CN=localhost CN=ca', 'one part only')
tap.is(certificate_for('self.test'), 'CN=localhost CN=ca', 'and one at least')
tap.is(certificate_for(nil), 'CN=localhost CN=ca', 'no name')
seen = nil
s = connect(port, {verify = 'none', server_name = 'locked.test'})
tap.ok(s == nil or s:read(1, 20) == nil, 'a name that wants a certificate')
tap.is(seen, nil, 'nobody came through')
if s then s:close() end
s = assert(connect(port, rig.own('client', {verify = 'none', server_name = 'locked.test'})))
tap.ok(echoes(s) and seen.peer.subject == 'CN=ann', 'with one')
s:close()
server:close()

-- Later, after a line; and what came with the line.
server, port = rig.serve(nil, function(c)
    local line = c:read('\n')
    if line == 'STARTTLS\n' then
        c:write('go\n')
    end
    local ok, err = c:starttls(rig.own('server', {server = true}), 20)
    if not ok then
        c:write('no')
        seen = err
        return
    end
    rig.echo(c)
end)
s = assert(socket.tcp_connect('127.0.0.1', port))
s:write('STARTTLS\n')
tap.is(s:read('\n'), 'go\n', 'a word in plain text')
tap.is(s:starttls({ca_file = ca}), nil, 'whose certificate?')
tap.is(s:errno(), errno.EINVAL, 'it did not begin')
tap.ok(s:starttls({ca_file = ca, server_name = 'localhost'}, 20), 'starttls')
tap.ok(echoes(s), 'it goes on')
s:close()
s = assert(socket.tcp_connect('127.0.0.1', port))
seen = nil
s:write('STARTTLS\nDELETE everything\n')
tap.ok(rig.soon(function() return seen ~= nil end), 'what was slipped in is no command')
tap.is(seen.errno, errno.EPROTO, 'but a bad handshake')
s:close()
-- A header in front of the hello, as a proxy sends it.
s = assert(socket.tcp_connect('127.0.0.1', port))
s:setsockopt('tcp', 'TCP_CORK', true)
s:write('PROXY\n')
fiber.create(function()
    fiber.sleep(0.01)
    s:setsockopt('tcp', 'TCP_CORK', false)
end)
tap.ok(s:starttls({ca_file = ca, server_name = 'localhost'}, 20) and echoes(s),
    'a hello behind a line')
s:close()
server:close()

-- accept().
local listener = socket('AF_INET', 'SOCK_STREAM', 'tcp')
listener:bind('127.0.0.1', 0)
listener:listen()
port = listener:name().port
for _, good in ipairs({true, false}) do
    fiber.create(function()
        local c = connect(port, good and {ca_file = ca} or true)
        if c then c:write('hi') c:close() end
    end)
    listener:readable(20)
    local c, from = listener:accept({tls = rig.own('server')})
    if good then
        assert(c, from)
        tap.is(c:read(2, 20), 'hi', 'accept with TLS')
        tap.is(c:read(2, 20), '', 'its end is announced')
        c:close()
    else
        tap.is(c, nil, 'accept of one who leaves')
        tap.like(from, 'unknown CA', 'and says why')
    end
end
listener:close()
tap.is(connect(1, {ca_file = rig.path('none')}), nil, 'no context, no connection')

rig.done()
tap.done()
