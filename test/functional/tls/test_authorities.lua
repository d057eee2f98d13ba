-- Clients that are told whom to trust by a file, again and again: it is read once, and
-- again when it has changed; nobody else is trusted, not the system's authorities either.
-- test: timeout 180
local fio = require('fio')
local http = require('http.client')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')
local websocket = require('http.websocket')

local PADDING = ('# nothing of interest here\n'):rep(20000)

local function read_file(path)
    local f = assert(io.open(path))
    local text = f:read('*a')
    f:close()
    return text
end

local function write_file(path, text)
    local f = assert(io.open(path, 'w'))
    f:write(text)
    f:close()
end

local one, other = read_file(rig.pem('ca')), read_file(rig.pem('ca2'))
-- The same size, so that only the time tells them apart.
local size = math.max(#one, #other)
one = one .. ('\n'):rep(size - #one) .. PADDING
other = other .. ('\n'):rep(size - #other) .. PADDING
local bundle = rig.path('bundle.pem')

-- Bytes that this process has read, from files and all.
local function read_so_far()
    local f = io.open('/proc/self/io')
    local n = f and tonumber(f:read('*a'):match('rchar: (%d+)'))
    if f then
        f:close()
    end
    return n
end

local server, port = rig.serve(rig.own('server'), function(s)
    local head = s:read({ delimiter = '\r\n\r\n', chunk = 65536 }, 20)
    if head and head ~= '' then
        s:write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
    end
end)
local url = 'https://localhost:' .. port .. '/'
local wss = require('http.server').new('127.0.0.1', 0, { tls = rig.own('server') })
wss:route({ path = '/' }, function(req)
    return req:websocket(function(ws)
        ws:receive()
    end)
end)
wss:start()

local ways = {
    tcp_connect = function(options)
        local s, err = socket.tcp_connect('localhost', port, { tls = options,
            timeout = 20 })
        if s then
            s:close()
        end
        return s ~= nil, err
    end,
    tls_client = function(options)
        local s, err = socket.tcp_connect('localhost', port, {
            tls = assert(socket.tls_client(options)), timeout = 20 })
        if s then
            s:close()
        end
        return s ~= nil, err
    end,
    ['http.client'] = function(options)
        local r, err = http.get(url, options)
        return r ~= nil, err
    end,
    ['a new http.client'] = function(options)
        local r, err = http.new():get(url, options)
        return r ~= nil, err
    end,
    ['http.client with a folder'] = function(options)
        options.ca_path = options.ca_path or rig.path('nobody')
        local r, err = http.get(url, options)
        return r ~= nil, err
    end,
    websocket = function(options)
        local ws, err = websocket.connect('wss://localhost:' .. wss:port() .. '/',
            { tls = options })
        if ws then
            ws:close()
        end
        return ws ~= nil, err
    end,
}

fio.mkdir(rig.path('nobody'))
for name, way in pairs(ways) do
    write_file(bundle, one)
    tap.ok(way({ ca_file = bundle }), name .. ': good')
    if read_so_far() then
        local before, wrong = read_so_far(), 0
        for _ = 1, 10 do
            wrong = wrong + (way({ ca_file = bundle }) and 0 or 1)
        end
        tap.is(wrong, 0, name .. ': still good')
        -- Once more, perhaps: while the file is young its time proves nothing.
        tap.ok(read_so_far() - before < 2 * #one, name .. ': and read no more')
    end
    -- Written anew in place; then another file under the name, by a rename.
    write_file(bundle, other)
    local ok, err = way({ ca_file = bundle })
    tap.ok(not ok, name .. ': another authority')
    tap.like(err, 'certificate', name .. ': is told')
    write_file(bundle .. '.new', one)
    assert(os.rename(bundle .. '.new', bundle))
    tap.ok(way({ ca_file = bundle }), name .. ': good again')
    -- Something that is none; and none at all.
    write_file(bundle, 'nobody')
    ok, err = pcall(way, { ca_file = bundle })
    tap.ok(not ok or not err, name .. ': no certificates')
    os.remove(bundle)
    ok, err = pcall(way, { ca_file = bundle })
    tap.ok(not ok or not err, name .. ': no file')
    write_file(bundle, one)
    tap.ok(way({ ca_file = bundle }), name .. ': a good one again')
    -- More of them than are kept.
    local many = {}
    for i = 1, 40 do
        many[i] = rig.path('many' .. i)
        write_file(many[i], i % 2 == 0 and one or other)
    end
    local wrong = 0
    for round = 1, 2 do
        for i = 1, 40 do
            wrong = wrong + (way({ ca_file = many[i] }) == (i % 2 == 0) and 0 or 1)
        end
    end
    tap.is(wrong, 0, name .. ': each by its own file')
    -- A folder beside the file is looked at, too, and what it loses is lost.
    local folder = rig.path('folder of ' .. name)
    fio.mkdir(folder)
    local hash = rig.shell(('openssl x509 -in %s -noout -hash'):format(rig.pem('ca')))
        :match('%x+')
    local both = { ca_file = rig.pem('ca2'), ca_path = folder }
    tap.ok(not way(both), name .. ': an empty folder')
    write_file(folder .. '/' .. hash .. '.0', one)
    tap.ok(way(both), name .. ': the one in the folder')
    os.remove(folder .. '/' .. hash .. '.0')
    if not name:find('http.client', 1, true) then -- which may go on with what libcurl has found
        tap.ok(not way(both), name .. ': taken away')
    end
end

-- Whom the system trusts is not trusted beside a file: a folder in the place of the
-- system's, of a program that reads that.
local folder = rig.path('system')
fio.mkdir(folder)
local hash = rig.shell(('openssl x509 -in %s -noout -hash'):format(rig.pem('ca')))
    :match('%x+')
write_file(folder .. '/' .. hash .. '.0', one)
local program = rig.path('system.lua')
write_file(program, ([[
    local http, socket = require('http.client'), require('socket')
    local url, port, file = %q, %d, %q
    local function try(file)
        local s = socket.tcp_connect('localhost', port, {tls = {ca_file = file}})
        print(http.get(url, {ca_file = file}) ~= nil, s ~= nil)
    end
    try(nil)
    try(file)
    os.exit(0)
]]):format(url, port, rig.pem('ca2')))
tap.is(rig.shell(('env -u SSL_CERT_FILE SSL_CERT_DIR=%s %s %s'):format(folder,
    os.getenv('NEAP_BIN'), program)), 'true\ttrue\nfalse\tfalse\n',
    'a folder for the system')
tap.is(rig.shell(('env SSL_CERT_FILE=%s %s %s'):format(rig.pem('ca'),
    os.getenv('NEAP_BIN'), program)), 'true\ttrue\nfalse\tfalse\n',
    'a file for the system')

server:close()
wss:stop()
rig.done()
tap.done()
os.exit(0)
