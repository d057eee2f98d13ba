#!/bin/sh
# HTTP/2 and WebSockets in four workers at one port, whose servers stop and start again
# in the middle of it, and the end of the process under load: no request that was let in
# fails, every WebSocket is told why it ends.
#
# test: timeout 120, soak 900, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

rounds=3
if [ -n "${NEAP_SOAK:-}" ]; then rounds=60; fi
"$NEAP_SOURCE_DIR/test/lib/certs.sh" certs

cat > server.lua <<'END_OF_SERVER'
local fiber = require('fiber')
local http_server = require('http.server')
local neap = require('neap')

local function serve(port)
    local httpd = http_server.new('127.0.0.1', port, {
        tls = {cert_file = 'certs/server.pem', key_file = 'certs/server.key'},
    })
    httpd:route({path = '/'}, function()
        fiber.sleep(math.random() * 0.002)
        return ('worker %d.'):format(neap.worker.id)
    end)
    httpd:route({path = '/echo', stream = true}, function(req)
        return {body = function()
            local piece = req:read(10000)
            return piece ~= '' and piece or nil
        end}
    end)
    httpd:route({path = '/ws'}, function(req)
        return req:websocket(function(ws)
            ws:send(tostring(neap.worker.id))
            for text in ws:messages() do
                ws:send(text)
            end
        end)
    end)
    return httpd:start()
end

local function line(name, text)
    local file = io.open(name, 'a')
    file:write(text, '\n')
    file:close()
end

local httpd = serve(0)
local port = httpd:port()
line('ports', port)
fiber.create(function()
    for _ = 1, tonumber(arg[1]) do
        fiber.sleep(0.1 * neap.worker.id)
        -- Nothing is cut.
        assert(httpd:stop(60), 'cut')
        -- While none of the four listens, anybody's connection may have the port.
        local ok, err
        for _ = 1, 3000 do
            ok, err = pcall(serve, port)
            if ok then break end
            fiber.sleep(0.01)
        end
        httpd = assert(ok and err, err)
    end
    line('restarted', neap.worker.id)
end)
END_OF_SERVER

cat > client.lua <<'END_OF_CLIENT'
local errno = require('errno')
local fiber = require('fiber')
local http = require('http.client')
local socket = require('socket')
local websocket = require('http.websocket')
local port, workers, failed, running = arg[1], {}, 0, 0
local served, messages, ended = 0, 0, {}
local slow = (os.getenv('NEAP_SANITIZE') or '') ~= ''

local function fail(...)
    failed = failed + 1
    print('failed:', ...)
end

-- Until the servers have all been started again and a little longer, or they are gone.
local over = false
local function spawn(f)
    running = running + 1
    fiber.create(function()
        local ok, err = pcall(f)
        if not ok then fail(err) end
        running = running - 1
    end)
end

local client = http.new()
local body = ('0123456789'):rep(3000)
local function ask(i)
    local opts = {http_version = '2', ca_file = 'certs/ca.pem', timeout = 60}
    local base, r, err = 'https://localhost:' .. port, nil, nil
    if i % 4 == 0 then
        r, err = client:post(base .. '/echo', body, opts)
        if r and r.body ~= body then fail('another body', #r.body) end
    else
        r, err = client:get(base .. '/', opts)
        local id = r and r.body:match('^worker (%d)%.$')
        if id then workers[id] = true end
    end
    if r == nil or r.status ~= 200 then
        -- All four have just stopped, or the process has: nobody let it in. A peer
        -- slowed down by a sanitizer may miss the second in which it is told to ask
        -- nothing more.
        local late = slow and tostring(err):find('Broken pipe', 1, true)
        if r or err.errno ~= errno.ECONNREFUSED and not late then
            fail(r and r.status or err)
        end
        fiber.sleep(0.01)
        return not over
    end
    if r.proto[1] ~= 2 then fail('version', r.proto[1]) end
    served = served + 1
    return true
end
for _ = 1, 8 do
    spawn(function()
        local i = 0
        repeat
            i = i + 1
            if i % 50 == 0 then -- others, of other workers
                client = http.new()
            end
        until not ask(i)
    end)
end

local tls = assert(socket.tls_client({ca_file = 'certs/ca.pem'}))
local function talk()
    local ws = websocket.connect('wss://localhost:' .. port .. '/ws', {tls = {context = tls},
        timeout = 60})
    if ws == nil then
        fiber.sleep(0.01)
        return not over
    end
    local id = ws:receive(60)
    if id ~= nil then
        workers[id] = true
        for i = 1, 20 do
            if not ws:send('message ' .. i) then break end
            local text = ws:receive(60)
            if text == nil then break end
            if text ~= 'message ' .. i then fail('another message', text) end
            messages = messages + 1
        end
    end
    ws:close()
    local code = ws.close_code or 'none'
    ended[code] = (ended[code] or 0) + 1
    return true
end
for _ = 1, 8 do
    spawn(function() while talk() do end end)
end

fiber.create(function()
    while true do
        local file = io.open('restarted')
        local count = 0
        for _ in file and file:lines() or function() end do count = count + 1 end
        if file then file:close() end
        if count == 4 then break end
        fiber.sleep(0.05)
    end
    fiber.sleep(0.2)
    over = true
    print('over')
    io.stdout:flush()
end)
repeat fiber.sleep(0.01) until running == 0 and over
print('served', served)
print('messages', messages)
for code, count in pairs(ended) do print('ended', code, count) end
for id in pairs(workers) do print('worker ' .. id) end
print('failures', failed)
os.exit(failed == 0 and 0 or 1)
END_OF_CLIENT

"$NEAP_BIN" --workers 4 --drain-timeout 60 server.lua "$rounds" 2> log &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
has_four() { [ "$(wc -l 2> /dev/null < ports)" = 4 ]; }
eventually has_four
[ "$(sort -u ports | wc -l)" = 1 ] || fail "one port wanted: $(cat ports)"
: > said
"$NEAP_BIN" client.lua "$(head -n 1 ports)" > said &
client=$!
until grep -q -e over -e failures said; do sleep 0.05; done
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
[ "$code" = 0 ] || fail "ended with $code: $(cat log)"
code=0
wait "$client" || code=$?
out=$(cat said)
[ "$code" = 0 ] || fail "the client: $out"
[ "$(printf '%s\n' "$out" | grep -c '^worker [1234]$')" = 4 ] || fail "four workers wanted"
! grep '^ended.1006' said || fail "one was not told why"
grep -q '^ended.1001' said || fail "none was told that it is the end"
! grep -v 'no new work' log || fail "something was logged"
