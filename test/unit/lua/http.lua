-- What HTTP and WebSocket do, server and client in one state: for failing its allocations
-- one by one. `rig` and `SOAK` are given. What comes is whole and right, or an error is told.
local digest = require('digest')
local fiber = require('fiber')
local fio = require('fio')
local http_client = require('http.client')
local http_server = require('http.server')
local socket = require('socket')
local websocket = require('http.websocket')

local LONG = 20 -- seconds: whatever lasts so long hangs
local STRIKES = 20 -- of a kind, but for a soak
local NEVER = 1e9

local function wrong(text, ...)
    error('WRONG: ' .. text:format(...), 0)
end

local function check_same(what, got, want)
    if got ~= want then
        wrong('%s: %d bytes %q for %d', what, #tostring(got), tostring(got):sub(1, 60),
            #tostring(want))
    end
end

local folder = fio.tempdir()
local text = ('0123456789abcdef'):rep(12000)
do
    local f = assert(io.open(fio.pathjoin(folder, 'large.txt'), 'w'))
    f:write(text)
    f:close()
    f = assert(io.open(fio.pathjoin(folder, 'small.txt'), 'w'))
    f:write(text:sub(1, 2000))
    f:close()
end

local boundary = 'some-boundary'
local function part(name, more, body)
    return ('--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'):format(
        boundary, name, more, body)
end
local form = part('a', '', 'small') .. part('f', '; filename="f.txt"', text)
    .. '--' .. boundary .. '--\r\n'

local messages = {'small', text:sub(1, 5000), text}
local form_sums = ('a=%s;f=%s;'):format(digest.md5_hex('small'), digest.md5_hex(text))

local function new_server(options)
    options.log_errors = function() end
    local httpd = http_server.new('127.0.0.1', 0, options)
    httpd:route({path = '/'}, function() return 'hello' end)
    httpd:route({path = '/ws'}, function(req)
        return req:websocket({compress = req:query_param('z') ~= nil,
            max_message = 500000, heartbeat = false}, function(ws)
            for data, kind in ws:messages() do
                assert(ws:send(data, kind))
            end
        end)
    end)
    httpd:route({path = '/events'}, function(req)
        local events = req:events({heartbeat = false})
        for i = 1, 3 do
            assert(events:send({event = 'tick', id = i, data = text:sub(1, 3000)}))
        end
    end)
    httpd:route({path = '/form', method = 'POST'}, function(req)
        local parts, err = req:multipart({memory = 1000})
        if parts == nil then return {status = 500, body = tostring(err)} end
        local body = ''
        for _, p in ipairs(parts) do
            local content = p.body
            if content == nil then
                local f = assert(io.open(p.path))
                content = f:read('*a')
                f:close()
            end
            body = body .. p.name .. '=' .. digest.md5_hex(content) .. ';'
        end
        return body
    end)
    httpd:route({path = '/text', compress = true}, function()
        return {headers = {['content-type'] = 'text/plain'}, body = text}
    end)
    httpd:route({path = '/pieces', compress = true}, function(req)
        local w = req:stream({headers = {['content-type'] = 'text/plain'}})
        for i = 1, 4 do
            assert(w:write(text:sub(1, 40000)))
        end
        assert(w:finish({['x-end'] = 'yes'}))
    end)
    httpd:route({path = '/echo', method = 'POST', stream = true}, function(req)
        local w = req:stream()
        while true do
            local data = assert(req:read(50000))
            if data == '' then break end
            assert(w:write(data))
        end
        assert(w:finish())
    end)
    httpd:static('/files', folder)
    return httpd:start()
end

-- --- what is done ---

local function url_of(httpd, path)
    return ('http://127.0.0.1:%d%s'):format(httpd:port(), path)
end

local function get(httpd, path, options, want)
    options.timeout = LONG
    local r, err = http_client.new():get(url_of(httpd, path), options)
    if r == nil then error(err, 0) end
    if r.status == 500 or r.status == 503 then error('refused: not enough memory', 0) end
    if r.status ~= 200 and r.status ~= 206 then wrong('%s: status %d', path, r.status) end
    if want ~= nil then check_same(path, r.body, want) end
    return r
end

local function exchange(ws)
    for _, message in ipairs(messages) do
        assert(ws:send(message, 'binary'))
        check_same('echo', assert(ws:receive(LONG)), message)
    end
    assert(ws:ping(LONG))
end

local function talk(httpd, path, options)
    options.timeout, options.heartbeat = LONG, false
    local ws, err = websocket.connect(url_of(httpd, path):gsub('^http', 'ws'), options)
    if ws == nil then error(err, 0) end
    local ok, why = pcall(exchange, ws)
    local ran, closed, reason = pcall(ws.close, ws)
    if not ran then ws:close() end -- it has no end of its own
    if not ok then error(why, 0) end
    assert(ran, closed)
    assert(closed, reason)
end

local function upload(httpd, version)
    local io_, err = http_client.new():post(url_of(httpd, '/echo'), nil,
        {chunked = true, timeout = LONG, http_version = version})
    if io_ == nil then error(err, 0) end
    local pieces = {}
    for i = 1, 3 do
        assert(io_:write(text:sub(1, 60000)))
    end
    assert(io_:finish(LONG))
    while pieces[#pieces] ~= '' do
        pieces[#pieces + 1] = assert(io_:read(70000, LONG))
    end
    io_:close()
    if io_.status == 200 then
        check_same('upload', table.concat(pieces), text:sub(1, 60000):rep(3))
    end
end

local PRIOR = '2-prior-knowledge'
local events = ''
for i = 1, 3 do
    events = events .. ('event: tick\nid: %d\ndata: %s\n\n'):format(i, text:sub(1, 3000))
end

local scenarios = {
    {'websocket', function(httpd) talk(httpd, '/ws', {}) end},
    {'websocket, compressed', function(httpd) talk(httpd, '/ws?z', {compress = true}) end},
    {'events', function(httpd)
        local r = get(httpd, '/events', {})
        for i = 1, 3 do
            if not r.body:find('tick', 1, true) then wrong('events: %s', r.body) end
        end
    end},
    {'form', function(httpd)
        local r, err = http_client.new():post(url_of(httpd, '/form'), form, {timeout = LONG,
            headers = {['content-type'] = 'multipart/form-data; boundary=' .. boundary}})
        if r == nil then error(err, 0) end
        if r.status == 200 then
            check_same('form', r.body, form_sums)
        end
    end},
    {'files', function(httpd)
        get(httpd, '/files/small.txt', {}, text:sub(1, 2000))
        get(httpd, '/files/large.txt', {}, text)
        get(httpd, '/files/large.txt', {headers = {range = 'bytes=16-31'}},
            '0123456789abcdef')
    end},
    {'compression', function(httpd)
        for _, coding in ipairs({'gzip', 'br', 'zstd'}) do
            get(httpd, '/text', {accept_encoding = coding}, text)
        end
        get(httpd, '/pieces', {accept_encoding = 'gzip'}, text:sub(1, 40000):rep(4))
    end},
    {'HTTP/2', function(httpd)
        get(httpd, '/text', {http_version = PRIOR}, text)
        get(httpd, '/pieces', {http_version = PRIOR, accept_encoding = 'br'},
            text:sub(1, 40000):rep(4))
        get(httpd, '/files/large.txt', {http_version = PRIOR}, text)
        upload(httpd, PRIOR)
    end},
    {'client streams', function(httpd) upload(httpd, '1.1') end},
}

-- --- the failures ---

local function descriptors()
    local n = 0
    for _, name in ipairs(fio.listdir('/proc/self/fd')) do
        local what = fio.readlink('/proc/self/fd/' .. name)
        -- Those that are made once, when they are wanted, are none.
        if what and not what:find('^anon_inode') then n = n + 1 end
    end
    return n
end

-- In a fiber of its own: nil, or what it has told.
local function run(what, httpd)
    local f = fiber.new(function()
        local ok, err = pcall(what, httpd)
        return not ok and tostring(err) or nil
    end)
    f:set_joinable(true)
    local ok, err = f:join(2 * LONG)
    if not ok then
        if tostring(err.type) == 'TimedOut' then wrong('it hangs') end
        return tostring(err)
    end
    return err
end

local function still_works(httpd, name)
    local s = assert(socket.tcp_connect('127.0.0.1', httpd:port(), LONG))
    s:write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    local answer = s:read({chunk = 65536, delimiter = 'hello'}, LONG)
    if answer == nil or not answer:find('^HTTP/1.1 200') then
        wrong('%s: no answer afterwards: %s', name, tostring(answer))
    end
    s:close()
end

local function strike(httpd, name, what, kind, after)
    rig.arm(kind, after, 1)
    local ok, told = pcall(run, what, httpd)
    local asked = rig.disarm(kind)
    local where = ('%s, %s %d'):format(name, kind, after)
    told = not ok and tostring(told) or told
    if told ~= nil and (told:find('WRONG', 1, true) or told:find('attempt to', 1, true)
        or after == NEVER) then
        wrong('%s: %s', where, told)
    end
    collectgarbage() -- clients have no end of their own
    still_works(httpd, where)
    local due = fiber.clock() + LONG
    while httpd:stat().waiting > 0 do
        if fiber.clock() > due then wrong('%s: a request is left', where) end
        collectgarbage() -- what the failure has left
        fiber.sleep(0.001)
    end
    return asked
end

local function settled()
    for i = 1, 3 do
        collectgarbage()
        fiber.sleep(0.01)
    end
    return descriptors()
end

local function sweep(name, what, kind)
    local httpd = new_server({http2 = true})
    strike(httpd, name, what, kind, NEVER)
    local asked = strike(httpd, name, what, kind, NEVER)
    local step = SOAK and 1 or math.max(1, math.floor(asked / STRIKES))
    local before = settled()
    for after = 0, asked, step do
        strike(httpd, name, what, kind, after)
    end
    for i = 1, 200 do
        if settled() <= before then break end
        if i == 200 then wrong('%s, %s: descriptors are left', name, kind) end
    end
    if not httpd:stop(LONG) then wrong('%s, %s: does not stop', name, kind) end
end

local ok, err = pcall(function()
    for _, scenario in ipairs(scenarios) do
        sweep(scenario[1], scenario[2], 'malloc')
        sweep(scenario[1], scenario[2], 'lua.alloc')
    end
end)
fio.rmtree(folder)
-- Known: the fiber that removes an upload's folder may be what the failure ends, and the
-- folder stays. See doc/internals/http.md.
for _, left in ipairs(fio.glob((os.getenv('TMPDIR') or '/tmp') .. '/neap-upload-*')) do
    fio.rmtree(left)
end
if not ok then -- servers are left, which would go on
    io.stderr:write(tostring(err), '\n')
    os.exit(1)
end
finished = true
