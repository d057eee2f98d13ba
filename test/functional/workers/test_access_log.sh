#!/bin/sh
# One access log of four workers, which is rotated by SIGUSR1 again and again while all of
# them serve, and the end of the process under that load: of each request that was answered
# there is one line, whole, in one of the files.
#
# test: timeout 120, threads, soak 600
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"

rotations=6
if [ -n "${NEAP_SOAK:-}" ]; then rotations=300; fi

cat > server.lua <<'END_OF_SERVER'
local fiber = require('fiber')
local neap = require('neap')
local log = require('log')
local function serve(access_log)
    local httpd = require('http.server').new('127.0.0.1', 0, {access_log = access_log})
    httpd:route({path = '/:kind/:number'}, function(req)
        if req:stash('kind') == 'late' then
            fiber.sleep(0.001)
        end
        return ('%d'):format(neap.worker.id)
    end)
    return httpd:start()
end
-- The second has a function, so that both ways run in all workers.
local seen = 0
local servers = {serve({path = 'access.log', format = 'json', flush_interval = 0.01}),
    serve(function() seen = seen + 1 end)}
local file = io.open('ports', 'a')
file:write(servers[1]:port(), ' ', servers[2]:port(), '\n')
file:close()
neap.on_shutdown(function()
    for _, httpd in ipairs(servers) do
        httpd:stop()
        assert(httpd:stat().unlogged == 0, 'lines were lost')
    end
    log.info('%d requests, %d seen', servers[2]:stat().requests, seen)
end)
END_OF_SERVER

# Prints the number of each answer that came whole.
cat > client.lua <<'END_OF_CLIENT'
local fiber = require('fiber')
local socket = require('socket')
local ports, running, number, said, workers = {arg[1], arg[2]}, 0, 0, {}, {}
local function visit(port, kind)
    local s = socket.tcp_connect('127.0.0.1', port, {timeout = 30})
    if s == nil then
        return false
    end
    for _ = 1, 20 do
        number = number + 1
        local mine = number
        if not s:write(('GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n'):format(kind, mine)) then
            break
        end
        local head = s:read('\r\n\r\n', 60)
        if head == nil or not head:find('^HTTP/1.1 200') then
            break
        end
        local id = s:read(tonumber(head:match('Content%-Length: (%d+)')), 60)
        if port == ports[1] then
            said[#said + 1] = mine
        end
        workers[id] = true
    end
    s:close()
    return true
end
for i = 1, 12 do
    running = running + 1
    fiber.create(function()
        while visit(ports[i % 2 + 1], i % 3 == 0 and 'late' or 'soon') do end
        running = running - 1
    end)
end
fiber.create(function()
    repeat fiber.sleep(0.01) until workers['1'] and workers['2'] and workers['3'] and workers['4']
    io.open('busy', 'w'):close()
end)
while running > 0 do fiber.sleep(0.01) end
for _, mine in ipairs(said) do print(mine) end
END_OF_CLIENT

serve 4 --drain-timeout 60 server.lua
# shellcheck disable=SC2086 # two ports
"$NEAP_BIN" client.lua $ports > said &
client=$!
eventually test -e busy
n=0
while [ $n -lt $rotations ]; do
	n=$((n + 1))
	mv access.log access.log.$n
	kill -s USR1 "$server"
	eventually test -s access.log
done
end_served
wait "$client" || fail "the client"
! grep -v -e 'no new work' -e ' seen$' log || fail "something was logged"
[ "$(grep -c ' seen$' log)" = 4 ] || fail "four workers wanted: $(cat log)"
awk '/ seen$/ && $(NF - 3) != $(NF - 1) { exit 1 }' log || fail "some were not seen: $(cat log)"

cat access.log access.log.* > all
! grep -v '^{"time":.*"status":.*}$' all || fail "a line is not whole"
sed -n 's/.*"target":"\/[a-z]*\/\([0-9]*\)".*"status":200,.*"complete":true.*/\1/p' all | sort > logged
[ "$(sort -u logged | wc -l)" = "$(wc -l < logged)" ] || fail "a request is logged twice"
sort said > answered
comm -23 answered logged > lost
[ ! -s lost ] || fail "$(wc -l < lost) of $(wc -l < answered) answers are not logged"
[ "$(wc -l < answered)" -gt 100 ] || fail "too few: $(wc -l < answered)"
n=0
while [ $n -lt $rotations ]; do
	n=$((n + 1))
	[ -s access.log.$n ] || fail "access.log.$n is empty"
done
