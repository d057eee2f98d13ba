-- What `make bench` measures of servers: sources and rows as figures.lua has
-- them.

local servers = require('servers')

local M = {}

local HELLO = { '-x', 'Hello, world!' }
local sources = {
    { name = 'hello', kind = 'load', service = 'http', body = 13, load = HELLO,
      peers = { 'nginx', 'haproxy', 'node', 'h2o' } },
    { name = 'json', kind = 'load', service = 'http', path = '/json',
      body = 41, load = { '-j' }, peers = { 'nginx', 'haproxy', 'node' } },
    { name = 'echo', kind = 'load', service = 'http', path = '/echo',
      body = 1024, load = { '-b', '1024' },
      peers = { 'nginx', 'haproxy', 'node' } },
    { name = 'pipelined', kind = 'load', service = 'http', body = 13,
      load = { '-d', '16', unpack(HELLO) },
      peers = { 'nginx', 'haproxy', 'node', 'h2o' } },
    { name = 'tls', kind = 'load', service = 'tls', no_limit = true,
      load = HELLO, peers = { 'nginx', 'haproxy', 'node', 'h2o' } },
    { name = 'handshake', kind = 'load', service = 'tls', no_limit = true,
      connections = 4, load = { '-r', unpack(HELLO) },
      peers = { 'nginx', 'haproxy', 'node', 'h2o' } },
    { name = 'http2', kind = 'load', service = 'http2', no_limit = true,
      load = { '-d', '16', unpack(HELLO) },
      peers = { 'nginx', 'haproxy', 'node', 'h2o' } },
    { name = 'websocket', kind = 'load', service = 'websocket',
      path = '/websocket', body = 64, peers = { 'node' } },
    { name = 'idle connections, 10 k', kind = 'idle', service = 'http',
      count = 10000, all = true, rounds = 3, no_limit = true,
      load = HELLO, peers = { 'nginx', 'haproxy', 'node', 'h2o' } },
    { name = 'idle connections, 100 k', kind = 'idle', service = 'http',
      count = 100000, rounds = 1, no_limit = true, load = HELLO,
      peers = { 'nginx' } },
    { name = 'stall', kind = 'stall', service = 'http', rounds = 3,
      body = 13, load = HELLO, peers = { 'nginx', 'haproxy', 'node' } },
    { name = 'app', kind = 'load', service = 'app', body = 13, load = HELLO,
      peers = { 'haproxy' } },
    { name = 'app, shared', kind = 'load', service = 'app, shared', body = 13,
      load = HELLO, peers = { 'haproxy' } },
    { name = 'app, shared, 1', kind = 'load', service = 'app, shared', body = 13,
      workers = 1, load = HELLO, peers = { 'haproxy' } },
    { name = 'app, shared, 2', kind = 'load', service = 'app, shared', body = 13,
      workers = 2, load = HELLO, peers = { 'haproxy' } },
    { name = 'app, shared, 4', kind = 'load', service = 'app, shared', body = 13,
      workers = 4, load = HELLO, peers = { 'haproxy' } },
    { name = 'reload', kind = 'reload', service = 'app', rounds = 3, body = 13,
      reload = true, load = { '-r', unpack(HELLO) },
      peers = { 'haproxy', 'nginx' } },
    { name = 'tcp echo', kind = 'load', service = 'tcp',
      peers = { 'peer', 'node' } },
}

function M.add_sources(all)
    for _, source in ipairs(sources) do
        all[#all + 1] = source
    end
end

-- Rate and CPU of a source beside each of its peers: reach by key and peer,
-- `all` for the first row of a key.
local function load_rows(add, name, source, unit, scale, reach)
    for _, key in ipairs({ 'rate', 'cpu' }) do
        for i, peer in ipairs(source.peers) do
            local wanted = {}
            for what, value in pairs(i == 1 and reach[key] or {}) do
                wanted[what] = value
            end
            wanted.times = key == 'cpu' and reach[peer] or nil
            add(name .. (key == 'cpu' and ', CPU' or ''), source, key, peer,
                key == 'cpu' and 'us' or unit, key == 'cpu' and 1e6 or scale,
                key == 'cpu' and 'less' or 'more', wanted)
        end
    end
end

function M.add_rows(rows, row)
    local by_name = {}
    for _, source in ipairs(sources) do
        by_name[source.name] = source
    end
    local function add(name, source, key, peer, ...)
        local one = row(('%s; %s'):format(name, servers.TITLES[peer]),
                        source.name, key, ...)
        one.peer = peer
        rows[#rows + 1] = one
    end
    local function load(name, source, reach)
        load_rows(add, name, by_name[source], 'k/s', 1e-3, reach or {})
    end
    local function each(name, source, key, unit, scale, better, reach)
        for i, peer in ipairs(by_name[source].peers) do
            add(name, by_name[source], key, peer, unit, scale, better,
                i == 1 and reach or nil)
        end
    end

    local most = { share = 0.90 }
    load('HTTP hello', 'hello', { rate = most, nginx = 1.3, node = 3.5 })
    load('HTTP JSON', 'json', { rate = most, nginx = 1.4, node = 3.5 })
    load('HTTP POST echo 1 KiB', 'echo',
         { rate = most, nginx = 1.6, node = 3.5 })
    load('HTTP pipelined 16', 'pipelined', { nginx = 8, node = 3.5 })
    load('HTTPS hello', 'tls')
    each('TLS handshake, CPU', 'handshake', 'cpu', 'us', 1e6, 'less')
    load('HTTP/2 hello, 16 streams', 'http2')
    load('WebSocket echo of 64 bytes', 'websocket')
    each('idle connection, RAM', 'idle connections, 10 k', 'bytes', 'bytes',
         1, 'less', { ours = 400 })
    each('idle connections, of 100 k', 'idle connections, 100 k', 'count', 'k',
         1e-3, 'more', { ours = 100000 })
    each('idle connection, RAM, of 100 k', 'idle connections, 100 k', 'bytes',
         'bytes', 1, 'less', { ours = 400 })
    each('late by a handler of 2 s, p99', 'stall', 'p99', 'ms', 1e3, 'less',
         { ours = 0.005 })
    load('application, own states', 'app')
    load('application, shared state', 'app, shared')
    for _, n in ipairs({ 1, 2, 4 }) do
        load(('shared state, %d %s'):format(n, n == 1 and 'worker' or 'workers'),
             ('app, shared, %d'):format(n))
    end
    each('late by reloads, p50', 'reload', 'p50', 'ms', 1e3, 'less')
    each('late by reloads, p99', 'reload', 'p99', 'ms', 1e3, 'less')
    load('TCP echo of 64 bytes', 'tcp echo', { rate = { share = 0.95 } })
end

return M
