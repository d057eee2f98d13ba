-- A server with few descriptors and more peers than it can have, in plain text, over TLS
-- and HTTP/2: who comes is served, told so, or waits; nobody is lost, nothing spins, and
-- when they have gone all is as before.
-- test: timeout 120
local fiber = require('fiber')
local raw = require('raw')
local rig = require('attack_rig')
local tap = require('tap')

local h2 = rig.h2
local GET = 'GET /files/server.pem HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
local pem = assert(io.open(rig.dir .. '/server.pem')):read('*a')

-- Seconds of CPU that a process has had.
local function cpu_of(pid)
    local f = assert(io.open('/proc/' .. pid .. '/stat'))
    local text = f:read('*a')
    f:close()
    local user, system = text:match('%) %S+' .. (' %-?%d+'):rep(10) .. ' (%d+) (%d+)')
    return (tonumber(user) + tonumber(system)) / 100
end

-- The servers of the program share what is free; these must leave some for its control.
for _, limit in ipairs(tap.soak({ 40, 48, 64, 100 }, { 48 })) do
    local name = ('%d descriptors: '):format(limit)
    local server = rig.start({ prefix = 'ulimit -n ' .. limit, handshake_timeout = 2,
        header_timeout = 2, body_timeout = 2, idle_timeout = 2, max_connections = 6 })
    tap.is(server:ask(), 4, name .. 'served')
    local before = server:rest()
    -- Those who say nothing, and those who begin: some are told that it is full.
    local peers = {}
    for i = 1, 40 do
        local peer = i % 2 == 0 and rig.bare_peer(server)
            or rig.peer(server, false)
        peer:send(({ '', 'GET / HTTP', h2.START, h2.START .. h2.request(1, 'POST',
            '/echo', 4) })[i % 4 + 1])
        peers[i] = peer
    end
    local cpu, begun = cpu_of(server.ph.pid), fiber.clock()
    -- Others come meanwhile, and get a word or their file.
    local words = {}
    for i = 1, 40 do
        local peer = rig.peer(server, false)
        peer:send(GET)
        local text = rig.read(peer)
        local status = text:match('^HTTP/1.1 (%d+)') or text
        if status == '200' and text:sub(-#pem) ~= pem then
            status = 'half a file'
        end
        words[status] = (words[status] or 0) + 1
        peer:close()
        if i % 10 == 0 then
            fiber.sleep(0.1)
        end
    end
    local seen = {}
    for status, count in pairs(words) do
        seen[#seen + 1] = count .. ' ' .. status
    end
    tap.ok((words['200'] or 0) + (words['503'] or 0) == 40,
        name .. table.concat(seen, ', '))
    tap.diag(('CPU: %.2f of %.2f s'):format(cpu_of(server.ph.pid) - cpu,
        fiber.clock() - begun))
    -- Each of those has his end.
    for _, peer in ipairs(peers) do
        rig.read(peer)
        peer:close()
    end
    raw.until_true(function() return server:ask() == 4 end)
    tap.pass(name .. 'when they have gone, all are served')
    local after = server:rest()
    tap.is(after.descriptors, before.descriptors, name .. 'none is left')
    tap.is(after.fibers, before.fibers, name .. 'nor a fiber')
    tap.ok(server:stop(), name .. 'it ends')
end
rig.done()
tap.done()
os.exit(0)
