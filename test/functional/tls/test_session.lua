-- Sessions of TLS are resumed, by clients of ours and by openssl's, with both versions,
-- over tickets and without; but not past a certificate that is asked for, nor by another
-- name. Certificates change while it serves: open connections go on, none fails.
-- test: timeout 180, soak 1800
local fiber = require('fiber')
local fio = require('fio')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local ca = rig.pem('ca')

-- One connection; whether it was resumed, and its certificate.
local function visit(port, context, name)
    local s = assert(socket.tcp_connect('127.0.0.1', port,
        {tls = {context = context, server_name = name}, timeout = 20}))
    s:write('hello\n')
    assert(s:read('\n', 20) == 'hello\n')
    local info = s:tls_info()
    s:close()
    return info.resumed, info.peer.subject
end

-- What openssl is to say, until it has kept its session in @file, or will not any more.
local function until_kept(file)
    return ('(echo hello; n=0; until [ -s %s ] || [ $n = 500 ]; do sleep 0.02; n=$((n + 1)); '
        .. 'done) | '):format(file)
end

for _, version in ipairs({'TLSv1.2', 'TLSv1.3'}) do
    for _, tickets in ipairs({true, false}) do
        local how = ('%s, tickets %s'):format(version, tostring(tickets))
        local server, port = rig.serve(rig.own('server',
            {max_version = version, tickets = tickets}))
        local context = assert(socket.tls_client({ca_file = ca}))
        tap.is(visit(port, context), false, how .. ': the first is new')
        tap.is(visit(port, context), true, how .. ': the second is not')
        tap.is(visit(port, context), true, how .. ': nor the third')
        tap.is(visit(port, context, 'localhost'), false, how .. ': another name is')
        tap.is(visit(port, assert(socket.tls_client({ca_file = ca}))), false,
            how .. ': another context is')
        local off = assert(socket.tls_client({ca_file = ca, session_cache = false}))
        visit(port, off)
        tap.is(visit(port, off), false, how .. ': nothing is kept')
        -- openssl's own.
        local file = rig.path('session')
        local flag = version == 'TLSv1.2' and '-tls1_2' or '-tls1_3'
        local command = ('openssl s_client -connect 127.0.0.1:%d -CAfile %s '
            .. '-verify_return_error %s '):format(port, ca, flag)
        local out = rig.shell(until_kept(file) .. command .. ' -sess_out ' .. file)
        tap.like(out, 'New, ', how .. ': openssl begins')
        out = rig.shell('(echo hello; sleep 0.2) | ' .. command .. ' -sess_in ' .. file)
        tap.like(out, 'Reused, ', how .. ': openssl resumes')
        os.remove(file)
        server:close()
    end
    local server, port = rig.serve(rig.own('server',
        {max_version = version, tickets = false, session_cache = false}))
    local context = assert(socket.tls_client({ca_file = ca}))
    visit(port, context)
    tap.is(visit(port, context), false, version .. ': a server that keeps nothing')
    server:close()
end

-- A session of an open name is no key to a locked one.
for _, version in ipairs({'TLSv1.2', 'TLSv1.3'}) do
    local seen
    local server, port = rig.serve(rig.own('server', {max_version = version, sni = {
        ['locked.test'] = rig.own('server', {verify = 'required', ca_file = ca}),
    }}), function(s)
        seen = s:tls_info()
        rig.echo(s)
    end)
    local file = rig.path('session')
    local flag = version == 'TLSv1.2' and '-tls1_2' or '-tls1_3'
    local command = 'openssl s_client -connect 127.0.0.1:' .. port .. ' ' .. flag .. ' '
    rig.shell(until_kept(file) .. command .. ' -servername open.test -sess_out ' .. file)
    tap.ok(fio.path.exists(file), version .. ': a session')
    seen = nil
    rig.shell('(echo hello; sleep 0.3) | ' .. command .. ' -servername open.test -sess_in '
        .. file)
    rig.soon(function() return seen end)
    tap.is(seen.resumed, true, version .. ': it is good')
    seen = nil
    rig.shell('(echo hello; sleep 0.3) | ' .. command .. ' -servername locked.test -sess_in '
        .. file)
    tap.is(seen, nil, version .. ': but not behind the other name')
    server:close()
    os.remove(file)
end

-- New certificates under way.
local function install(name)
    -- As tools do it: a new file in its place.
    for _, kind in ipairs({'pem', 'key'}) do
        assert(fio.copyfile(rig.path(name .. '.' .. kind), rig.path('new')))
        assert(fio.rename(rig.path('new'), rig.path('live.' .. kind)))
    end
end
install('server')
local context = assert(socket.tls_server(rig.own('live')))
local server, port = rig.serve({context = context})
local open = assert(socket.tcp_connect('127.0.0.1', port,
    {tls = {ca_file = ca, server_name = 'localhost'}}))
local before = open:tls_info().peer.subject
local client = assert(socket.tls_client({ca_file = ca}))
tap.is(select(2, visit(port, client)), 'CN=localhost', 'the old certificate')
install('other')
tap.is(context:reload(), true, 'reload')
tap.is(select(2, visit(port, client, 'other.test')), 'CN=other.test', 'the new one')
tap.is(socket.tcp_connect('127.0.0.1', port, {tls = {context = client}}), nil,
    'and it alone: no session of the old one gets in')
open:write('still here\n')
tap.is(open:read('\n', 20), 'still here\n', 'who was in goes on')
tap.is(open:tls_info().peer.subject, before, 'as he came')
open:close()
-- A broken file.
for _, break_it in ipairs({
    function() os.remove(rig.key('live')) end,
    function() io.open(rig.pem('live'), 'w'):close() end,
    function() assert(fio.copyfile(rig.key('server'), rig.key('live'))) end,
}) do
    install('other')
    break_it()
    local ok, err = context:reload()
    tap.is(ok, nil, 'a broken file')
    tap.like(err, 'live%.', 'is named: ' .. tostring(err))
    tap.is(select(2, visit(port, client, 'other.test')), 'CN=other.test',
        'the old one serves')
end
server:close()

-- Names are part of it: all or nothing.
install('server')
context = assert(socket.tls_server(rig.own('server', {sni = {['live.test'] = rig.own('live')}})))
server, port = rig.serve(context)
local any = assert(socket.tls_client({verify = 'none'}))
tap.is(select(2, visit(port, any, 'live.test')), 'CN=localhost', 'a name before')
install('client')
os.remove(rig.key('live'))
tap.is(context:reload(), nil, 'broken below')
tap.is(select(2, visit(port, any, 'live.test')), 'CN=localhost', 'nothing has changed')
install('client')
tap.is(context:reload(), true, 'mended')
tap.is(select(2, visit(port, any, 'live.test')), 'CN=ann', 'it has')
server:close()

-- Under load.
install('server')
context = assert(socket.tls_server(rig.own('live')))
server, port = rig.serve(context)
local rounds, visits, failed, running = tap.soak(2000, 100), 0, nil, 4
for i = 1, running do
    fiber.create(function()
        local mine = i % 2 == 0 and assert(socket.tls_client({verify = 'none'})) or nil
        while rounds > 0 and not failed do
            local ok, err = pcall(visit, port, mine
                or assert(socket.tls_client({verify = 'none'})))
            if not ok then failed = err end
            visits = visits + 1
        end
        running = running - 1
    end)
end
while rounds > 0 do
    install(rounds % 2 == 0 and 'other' or 'server')
    if rounds % 10 == 0 then
        os.remove(rig.key('live'))
    end
    local ok = context:reload()
    if ok ~= (rounds % 10 ~= 0 or nil) then failed = 'a reload' end
    rounds = rounds - 1
    fiber.sleep(0.002)
end
tap.ok(rig.soon(function() return running == 0 end), 'they end')
tap.is(failed, nil, 'no connection has failed')
tap.ok(visits >= 4, 'there were some')
tap.diag(visits .. ' connections')
server:close()

rig.done()
tap.done()
