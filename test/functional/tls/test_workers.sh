#!/bin/sh
# TLS in several workers at once: one port, a session of one goes on with any other,
# certificates are loaded again in all of them meanwhile, and nobody is refused.
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"

"$NEAP_SOURCE_DIR/test/lib/certs.sh" certs

cat > server.lua <<'END'
local fiber = require('fiber')
local neap = require('neap')
local socket = require('socket')
local context = assert(socket.tls_server({
    cert_file = 'certs/server.pem', key_file = 'certs/server.key',
    sni = {['other.test'] = {cert_file = 'certs/other.pem', key_file = 'certs/other.key'}},
}))
local s, addr = assert(socket.tcp_server('127.0.0.1', 0, {
    tls = context,
    handler = function(c)
        c:write(('%d %s\n'):format(neap.worker.id, tostring(c:tls_info().resumed)))
        c:read(1, 10)
    end,
}))
local file = io.open('ports', 'a')
file:write(addr.port, '\n')
file:close()
fiber.create(function()
    while pcall(s.fd, s) do -- until it is closed
        assert(context:reload())
        fiber.sleep(0.01)
    end
end)
END
cat > client.lua <<'END'
local socket = require('socket')
local context = assert(socket.tls_client({ca_file = 'certs/ca.pem'}))
local whole = {}
for i = 1, 2000 do
    local name = i % 2 == 0 and 'localhost' or 'other.test'
    local s = assert(socket.tcp_connect('127.0.0.1', tonumber(arg[1]),
        {timeout = 20, tls = {context = context, server_name = name}}))
    local id, resumed = assert(s:read('\n', 20)):match('(%d+) (%a+)')
    s:close()
    if i <= 2 then
        assert(resumed == 'false', 'the first are new')
    else
        assert(resumed == 'true', 'not resumed by ' .. id)
    end
    whole[id] = true
    if i > 60 and whole['1'] and whole['2'] and whole['3'] then break end
end
for id in pairs(whole) do print(id) end
END

serve 3 server.lua
run neap client.lua "$ports"
code_is 0
[ "$(printf '%s' "$out" | grep -c '^[123]')" = 3 ] || fail "three workers wanted: $out"
end_served
! grep -v 'no new work' log || fail "something was logged"
