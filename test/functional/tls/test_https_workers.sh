#!/bin/sh
# HTTPS by several workers at one port: certificates are loaded again in all of them
# while clients come, sessions go on with any worker, no request fails, and the end
# of the process loses none.
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"

"$NEAP_SOURCE_DIR/test/lib/certs.sh" certs
cp certs/server.pem live.pem
cp certs/server.key live.key

cat > server.lua <<'END_OF_SERVER'
local fiber = require('fiber')
local neap = require('neap')
local httpd = require('http.server').new('127.0.0.1', 0, {
    tls = {cert_file = 'live.pem', key_file = 'live.key'},
})
local reloads = 0
httpd:route({path = '/'}, function(req)
    return ('%d %s %d'):format(neap.worker.id, tostring(req:tls_info().resumed), reloads)
end)
httpd:start()
local file = io.open('ports', 'a')
file:write(httpd:port(), '\n')
file:close()
fiber.create(function()
    while httpd:port() do
        assert(httpd:reload_tls())
        reloads = reloads + 1
        fiber.sleep(0.01)
    end
end)
END_OF_SERVER
cat > client.lua <<'END_OF_CLIENT'
local fiber = require('fiber')
local socket = require('socket')
local context = assert(socket.tls_client({ca_file = 'certs/ca.pem'}))
local whole, resumed, failed, running = {}, 0, 0, 8
local function visit(i)
    local s = assert(socket.tcp_connect('127.0.0.1', tonumber(arg[1]),
        {timeout = 20, tls = {context = context, server_name = 'localhost'}}))
    for n = 1, i % 3 + 1 do
        assert(s:write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
        local head = assert(s:read('\r\n\r\n', 20))
        local size = assert(head:match('^HTTP/1.1 200.-Content%-Length: (%d+)'), head)
        local id, again, reloads = s:read(tonumber(size), 20):match('(%d+) (%a+) (%d+)')
        if tonumber(reloads) > 3 then whole[id] = true end
        resumed = resumed + (again == 'true' and 1 or 0)
    end
    s:close()
end
for _ = 1, 8 do
    fiber.create(function()
        for i = 1, 1000 do
            local ok, why = pcall(visit, i)
            if not ok then
                failed = failed + 1
                print(why)
            end
            if i > 20 and whole['1'] and whole['2'] and whole['3'] then break end
        end
        running = running - 1
    end)
end
while running > 0 do fiber.sleep(0.01) end
assert(failed == 0, failed .. ' failed')
assert(resumed > 20, 'sessions do not go on: ' .. resumed)
for id in pairs(whole) do print(id) end
END_OF_CLIENT

serve 3 server.lua
run neap client.lua "$ports"
code_is 0
[ "$(printf '%s' "$out" | grep -c '^[123]$')" = 3 ] || fail "three workers wanted: $out"
end_served
! grep -v 'no new work' log || fail "something was logged"
