-- Others' programs on the other side: openssl as a client and as a server, curl; client
-- certificates, protocols, names, renegotiation and new keys asked for in the middle.
-- test: timeout 120
local fiber = require('fiber')
local popen = require('popen')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local ca = rig.pem('ca')

-- openssl comes to us.
local seen
local server, port = rig.serve(rig.own('server', {
    alpn = {'b', 'a'}, verify = 'peer', ca_file = ca,
    sni = {['other.test'] = rig.own('other')},
}), function(s)
    seen = s:tls_info()
    rig.echo(s)
end)
local function s_client(options, input)
    return rig.shell(('(%s; sleep 0.3) | openssl s_client -connect 127.0.0.1:%d '
        .. '-CAfile %s -verify_return_error %s'):format(input or 'echo hello', port, ca, options))
end
for _, version in ipairs({'-tls1_2', '-tls1_3'}) do
    local out = s_client(version .. ' -servername localhost -verify_hostname localhost '
        .. '-alpn a,b -cert ' .. rig.pem('client') .. ' -key ' .. rig.key('client'))
    tap.like(out, 'Verify return code: 0', version .. ': it trusts us')
    tap.like(out, 'hello\n', version .. ': it is answered')
    tap.like(out, 'ALPN protocol: b', version .. ': a protocol')
    tap.unlike(out, 'unexpected eof', version .. ': a good end')
    tap.is(seen.peer.subject, 'CN=ann', version .. ': who it is')
    tap.like(s_client(version .. ' -servername other.test'), 'subject=CN = other.test',
        version .. ': a name')
    tap.like(s_client(version .. ' -alpn z'), 'no application protocol',
        version .. ': no protocol in common')
    seen = nil
    s_client(version .. ' -cert ' .. rig.pem('clients') .. ' -key ' .. rig.key('clients'))
    tap.is(seen, nil, version .. ': a bad certificate')
end
tap.like(s_client('-tls1_1 -cipher DEFAULT@SECLEVEL=0'), 'alert protocol version',
    'an old version')
-- "R" asks for a renegotiation, "K" for new keys of both sides.
local letter = 'echo one; sleep 0.3; echo %s; sleep 0.3; echo two'
local out = s_client('-tls1_2', letter:format('R'))
tap.like(out, 'RENEGOTIATING', 'a renegotiation')
tap.unlike(out, 'two\n', 'is refused')
out = s_client('-tls1_3', letter:format('K'))
tap.like(out, 'KEYUPDATE', 'new keys')
tap.like(out, 'two\n', 'are not')
server:close()

-- curl, over an answer by hand.
server, port = rig.serve(rig.own('server'), function(s)
    s:read('\r\n\r\n', 20)
    s:write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n')
end)
local function curl(options)
    return rig.shell(('curl -sS --max-time 20 %s https://localhost:%d/ --connect-to '
        .. '::127.0.0.1:'):format(options, port))
end
tap.is(curl('--cacert ' .. ca), 'hello\n', 'curl')
tap.like(curl(''), 'certificate', 'curl does not know the authority')
server:close()

-- We come to openssl.
local function s_server(options)
    local free = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    free:bind('127.0.0.1', 0)
    local number = free:name().port
    free:close()
    local ph = assert(popen.shell(('exec openssl s_server -accept 127.0.0.1:%d -quiet -rev '
        .. '-cert %s -key %s %s >%s 2>&1'):format(number, rig.pem('server'), rig.key('server'),
        options, rig.path('log')), 'r'))
    rig.soon(function()
        local s = socket.tcp_connect('127.0.0.1', number, 1)
        if s then s:close() end
        return s ~= nil
    end)
    return ph, number
end
local function visit(number, tls)
    local s, err = socket.tcp_connect('127.0.0.1', number, {tls = tls, timeout = 20})
    if s == nil then return nil, err end
    s:write('hello\n')
    local text, why = s:read('\n', 20)
    local info = s:tls_info()
    s:close()
    return text, info or why
end
for _, version in ipairs({'-tls1_2', '-tls1_3'}) do
    local ph, number = s_server(version .. ' -Verify 1 -verify_return_error -CAfile ' .. ca
        .. ' -alpn x')
    local context = assert(socket.tls_client(rig.own('client', {ca_file = ca, alpn = {'x'}})))
    local text, info = visit(number, context)
    tap.is(text, 'olleh\n', version .. ': an answer')
    tap.is(info.alpn, 'x', version .. ': a protocol')
    text, info = visit(number, context)
    tap.is(text, 'olleh\n', version .. ': another')
    tap.is(info.resumed, true, version .. ': resumed')
    tap.is(visit(number, {ca_file = ca}), nil, version .. ': not without a certificate')
    tap.is(visit(number, true), nil, version .. ': nor with an authority unknown')
    ph:kill()
    ph:wait()
    ph:close()
end

-- One who ends the process in the middle says no farewell.
local ph, number = s_server('')
local s = assert(socket.tcp_connect('127.0.0.1', number, {tls = {ca_file = ca}}))
s:write('hello\n')
tap.is(s:read('\n', 20), 'olleh\n', 'an answer')
fiber.create(function() ph:kill() end)
local text, err = s:read(100, 20)
tap.ok(text == nil and err.type ~= 'TimedOut', 'its end is no end: ' .. tostring(err))
s:close()
ph:wait()
ph:close()

rig.done()
tap.done()
