-- The servers of the network figures: ours, the limit and the peers, by what
-- they serve; how each is started, and when it is ready.

local bare = bare
local machine = require('machine')
local process = require('process')

local HERE, WORK = process.HERE, process.WORK
local PEERS = HERE .. 'peers'
local CERT, KEY, BOTH = WORK .. '/cert.pem', WORK .. '/key.pem',
                        WORK .. '/both.pem'
local SIGTERM = 15
local SPARE_FILES = 100 -- descriptors a server needs besides its connections

local M = {}

M.TITLES = { peer = 'Tarantool', node = 'Node', nginx = 'nginx + Lua',
             haproxy = 'HAProxy', h2o = 'h2o' }

-- How many connections the descriptors let a server have.
local files = tonumber(machine.read('/proc/self/limits')
    :match('Max open files%s+(%d+)')) or 1024
M.connections = files - SPARE_FILES

-- The peers that are unpacked and not installed.
local root = process.once(function()
    local dir = process.BINARY .. '/bench-peers'
    process.anywhere()
    process.output_of(PEERS .. '/fetch.sh', dir)
    return dir .. '/root'
end)

-- A file of theirs, or the machine's own.
local function file(path)
    local own = root() .. path
    local there = io.open(own)
    if there then
        there:close()
    end
    return there and own or path
end

local certificate = process.once(function()
    process.output_of('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:P-256', '-nodes', '-keyout', KEY,
                      '-out', CERT, '-days', '30', '-subj', '/CN=localhost')
    local both = assert(io.open(BOTH, 'w'))
    both:write(machine.read(CERT), machine.read(KEY))
    both:close()
    return true
end)

-- A configuration with everything filled in; returns its path.
local function configuration(name, port, mode, source)
    certificate()
    local values = {
        THREADS = source.workers or 1, MASTER = source.reload and 'on' or 'off',
        PORT = port, MODE = mode, WORK = WORK, HERE = PEERS, CERT = CERT,
        KEY = KEY,
        -- More than there will be: nginx shuts idle ones when it runs short.
        CONNECTIONS = '120000',
        MODULES = file('/usr/lib/nginx/modules'),
        LUA = file('/usr/share/lua/5.1'),
        -- Who is root is asked to say so, nobody else may.
        USER = machine.user() == 'root' and 'user: root' or '',
    }
    local text = machine.read(PEERS .. '/' .. name):gsub('@(%u+)@', values)
    local path = ('%s/%s.%s'):format(WORK, port, name)
    local out = assert(io.open(path, 'w'))
    out:write(text)
    out:close()
    return path
end

local function unpacked(program, ...)
    return { 'env', 'LD_LIBRARY_PATH=' .. root() .. '/usr/lib/' ..
             machine.triplet(), file(program), ... }
end

-- By side: the command that serves `service` at that port.
local commands = {}

-- Where scripts of an application are loaded, by who loads them.
local load_words = {
    app = { ours = 'load_per_thread', haproxy = 'lua-load-per-thread' },
    ['app, shared'] = { ours = 'load', haproxy = 'lua-load' },
}

function commands.ours(service, port, source)
    local load = load_words[service]
    if load then
        return { process.NEAP, configuration('neap.yaml', port, load.ours, source) }
    elseif service == 'tcp' then
        return { process.NEAP, HERE .. 'tcp_echo.lua', port }
    end
    local tls = service == 'tls' and certificate()
    return { process.NEAP, HERE .. 'http.lua', port, service,
             tls and CERT or nil, tls and KEY or nil }
end

function commands.limit(service, port, source)
    if service == 'tcp' then
        return { process.FIXED, port, 'echo' }
    end
    return { process.FIXED, port, tostring(source.body),
             service == 'websocket' and service or nil }
end

function commands.peer(_, port)
    return { process.PEER, HERE .. 'tcp_echo.lua', port }
end

function commands.node(service, port)
    if service == 'tcp' then
        return { 'node', HERE .. 'tcp_echo.js', port }
    end
    local tls = service == 'tls' and certificate()
    return { 'env', 'NODE_PATH=/usr/share/nodejs', 'node',
             PEERS .. '/node.js', port, service,
             tls and CERT or nil, tls and KEY or nil }
end

function commands.nginx(service, port, source)
    local mode = { http = '', http2 = 'http2', tls = 'ssl', app = '' }
    return unpacked('/usr/sbin/nginx', '-e', 'stderr', '-c',
                    configuration('nginx.conf', port, mode[service], source))
end

function commands.haproxy(service, port, source)
    local load = load_words[service]
    if load then
        local path = configuration('haproxy_app.cfg', port, load.haproxy, source)
        -- With a master that reloads, -sf and the sockets are its business.
        return unpacked('/usr/sbin/haproxy', source.reload and '-W' or '-db', '-f',
                        path)
    end
    local mode = { http = '', http2 = 'proto h2', tls = 'ssl crt ' .. BOTH }
    return unpacked('/usr/sbin/haproxy', '-f',
                    configuration('haproxy.cfg', port, mode[service], source))
end

function commands.h2o(service, port, source)
    local mode = { http = '', http2 = '',
        tls = ('ssl: { certificate-file: %s, key-file: %s, ' ..
               'ocsp-update-interval: 0 }'):format(CERT, KEY) }
    return unpacked('/usr/bin/h2o', '-c',
                    configuration('h2o.conf', port, mode[service], source))
end

-- What the load client is told besides, by service.
M.LOAD = { http = {}, http2 = { '-2' }, tls = { '-s' },
           websocket = { '-m', '64' }, tcp = { '-e', '64' }, app = {},
           ['app, shared'] = {} }

-- What has a server read everything again.
M.RELOAD = { ours = 'HUP', nginx = 'HUP', haproxy = 'USR2' }

-- A server of that source by that side, when it answers: its pid, port, log.
function M.start(source, side)
    local port = machine.free_port()
    local command = commands[side](source.service, tostring(port), source)
    local server = { port = port, log = process.new_log(),
                     ours = side == 'ours' }
    if source.workers then -- as many cores as there are
        process.anywhere()
        server.pid = bare.start(server.log, unpack(command))
    else
        server.pid = bare.start(server.log, process.on(1, unpack(command)))
    end
    local probe = { process.LOAD, '-n', '1', '-c', '1',
                    unpack(M.LOAD[source.service]) }
    probe[#probe + 1] = tostring(port)
    probe[#probe + 1] = source.service == 'websocket' and source.path or '/'
    for _ = 1, 100 do
        if pcall(process.output_of, unpack(probe)) then
            return server
        end
        bare.sleep(0.05)
    end
    local said = process.last_line(machine.read(server.log))
    bare.stop(server.pid, SIGTERM, 1)
    error('the server does not answer: ' .. said, 0)
end

-- An error if ours did not end as it should.
function M.stop(server)
    local code = bare.stop(server.pid, SIGTERM, 10)
    if code ~= 0 and server.ours then
        error(('the server ended with %d after SIGTERM: %s'):format(
            code, process.last_line(machine.read(server.log))), 0)
    end
end

-- Those that run on until the end of the run: service, side and body -> server.
local kept = {}

function M.kept(source, side)
    local name = ('%s %s %s %s'):format(side, source.service,
                                        side == 'limit' and source.body or '',
                                        source.workers or '')
    kept[name] = kept[name] or M.start(source, side)
    return kept[name]
end

-- Why not all ended as they should; nil: they did.
function M.stop_all()
    local failed
    for _, server in pairs(kept) do
        local ok, err = pcall(M.stop, server)
        failed = failed or not ok and err or nil
    end
    kept = {}
    return failed
end

-- What the peers say of themselves, of those that are there.
function M.versions()
    local list = {}
    local function add(pattern, title, ...)
        local ok, text = pcall(process.output_of, ...)
        local version = ok and text:match(pattern)
        list[#list + 1] = version and title .. ' ' .. version or nil
    end
    if pcall(root) then
        add('nginx/(%S+)', 'nginx', unpack(unpacked('/usr/sbin/nginx', '-v')))
        add('version (%S+)', 'HAProxy',
            unpack(unpacked('/usr/sbin/haproxy', '-v')))
        add('version (%S+)', 'h2o', unpack(unpacked('/usr/bin/h2o', '-v')))
    end
    add('v(%S+)', 'Node', 'node', '--version')
    add('(%S+)', 'ws', 'env', 'NODE_PATH=/usr/share/nodejs', 'node', '-p',
        'require("ws/package.json").version')
    return #list > 0 and table.concat(list, ', ') or 'none'
end

return M
