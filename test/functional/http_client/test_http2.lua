-- HTTP/2: heads of all sizes, one and many at once over a connection. libcurl 7.88 loses what
-- does not fit into its buffer at once, or waits for it.
-- test: timeout 180
local fiber = require('fiber')
local http = require('http.client')
local http_server = require('http.server')
local rig = require('tls_rig')
local socket = require('socket')
local tap = require('tap')

local SLOW = 60 -- seconds: nobody has to wait

local httpd = http_server.new('127.0.0.1', 0, { tls = rig.own('server') })
httpd:route({ path = '/:count/:size/:body' }, function(req)
    local fields = {}
    for i = 1, tonumber(req:stash('count')) do
        fields['x-' .. i] = ('a'):rep(tonumber(req:stash('size')))
    end
    return { headers = fields, body = ('b'):rep(tonumber(req:stash('body'))) }
end)
-- Pieces of no length that was told, until nobody takes them any more.
local streams = 0
httpd:route({ path = '/pieces' }, function()
    streams = streams + 1
    return { body = function() fiber.sleep(0.001); return 'piece' end }
end)
local led
httpd:route({ path = '/led' }, function(req) return req:redirect_to(led) end)
httpd:route({ path = '/trailer/:size' }, function(req)
    return { body = 'body', trailers = { x = ('a'):rep(tonumber(req:stash('size'))) } }
end)
httpd:route({ path = '/few' }, function()
    local left = 5
    return { body = function() left = left - 1; return left >= 0 and 'piece' or nil end }
end)
httpd:start()

local function get(client, opts, path, plain)
    local all = { ca_file = rig.pem('ca'), timeout = SLOW }
    for name, value in pairs(opts) do
        all[name] = value
    end
    local r, err = client:get(plain and ('http://127.0.0.1:%d%s'):format(plain, path)
        or ('https://localhost:%d%s'):format(httpd:port(), path), all)
    if r == nil or not opts.chunked then
        return r, err
    end
    local pieces = {}
    while pieces[#pieces] ~= '' do
        pieces[#pieces + 1], err = r:read()
        if err then
            r:close()
            return nil, err
        end
    end
    local whole = { proto = r.proto, headers = r.headers, body = table.concat(pieces) }
    r:close()
    return whole
end

-- What is there: "2: 17000+10".
local function sum_of(r)
    local size = 0
    for name, value in pairs(r.headers) do
        size = size + (name:find('^x%-%d') and #value or 0)
    end
    return ('%d: %d+%d'):format(r.proto[1], size, #r.body)
end

for how, opts in pairs({ whole = {}, stream = { chunked = true },
    decoded = { accept_encoding = 'gzip' },
    ['decoded stream'] = { chunked = true, accept_encoding = 'gzip' } }) do
    local client = http.new()
    get(client, opts, '/1/1/1') -- the connection
    for _, head in ipairs({ { 1, 1, 0 }, { 1, 3000, 0 }, { 17, 1000, 0 }, { 17, 1000, 10 },
        { 17, 1000, 50000 }, { 90, 1000, 0 }, { 90, 1400, 50000 }, { 1, 100000, 1 } }) do
        local path = ('/%d/%d/%d'):format(head[1], head[2], head[3])
        local want = ('2: %d+%d'):format(head[1] * head[2], head[3])
        local wrong, fibers = nil, {}
        for i = 1, 5 do
            fibers[i] = fiber.new(function()
                local r, err = get(client, opts, path)
                local got = r ~= nil and sum_of(r) or tostring(err)
                wrong = wrong or got ~= want and got
            end)
            fibers[i]:set_joinable(true)
        end
        for i = 1, 5 do
            fibers[i]:join()
        end
        tap.is(wrong or want, want, how .. ', many at once: ' .. path)
        tap.is(sum_of(assert(get(client, opts, path))), want, how .. ', alone: ' .. path)
    end

    -- What is too much is told at once, and why.
    for path, why in pairs({ ['/90/1500/1'] = 'larger than libcurl takes by HTTP/2',
        ['/1/104000/1'] = 'a line of more than 100 KB',
        ['/1/200000/1'] = 'a header of more than 64 KB' }) do
        local r, err = get(client, opts, path)
        tap.is(r, nil, how .. ', too much: ' .. path)
        tap.is(err and err.type, 'ClientError', '  type')
        tap.like(err, why, '  why')
    end
    tap.is(sum_of(assert(get(client, opts, '/1/2/3'))), '2: 2+3', how .. ': and on')
    opts.http_version = '1.1'
    tap.is(sum_of(assert(get(client, opts, '/90/1500/1'))), '1: 135000+1',
        how .. ': the way out')
end

-- One whose head is too large breaks the connection of others: none of them is given as
-- whole.
local client, wrong, fibers = http.new(), nil, {}
get(client, {}, '/1/1/1')
for i = 1, 4 do
    fibers[i] = fiber.new(function()
        local r, err = get(client, { chunked = i > 2 }, '/pieces')
        if r ~= nil then
            wrong = ('%d bytes as a whole'):format(#r.body)
        elseif err.type ~= 'ClientError' or
                not err.message:find('broke before the end', 1, true) then
            wrong = tostring(err)
        end
    end)
    fibers[i]:set_joinable(true)
end
rig.soon(function() return streams == 4 end)
local answer = get(client, {}, '/1/150000/1')
tap.is(answer, nil, 'a head that is too large')
for i = 1, 4 do
    local _, err = fibers[i]:join()
    wrong = wrong or err
end
tap.is(wrong, nil, 'its neighbours are not cut without a word')

-- That another server says farewell, and ends well, hides nothing of this.
local other = http_server.new('127.0.0.1', 0, { tls = rig.own('server') })
other:route({ path = '/' }, function()
    return { body = function() streams = -1; return fiber.sleep(0.2) end }
end)
other:start()
streams = 0
local cut = fiber.new(function() return get(client, {}, '/pieces') end)
cut:set_joinable(true)
rig.soon(function() return streams > 0 end)
local well = fiber.new(function()
    return client:get(('https://localhost:%d/'):format(other:port()), { ca_file = rig.pem('ca') })
end)
well:set_joinable(true)
rig.soon(function() return streams == -1 end)
other:stop(SLOW)
tap.is(select(2, well:join()).body, '', 'one whose server says GOAWAY ends well')
tap.is(get(client, {}, '/1/150000/1'), nil, 'while another one is broken')
local _, whole, why = cut:join()
tap.is(whole, nil, 'and its neighbour is not taken for whole')
tap.like(why, 'broke before the end', '  why')

-- Nor can a server have libcurl say what we listen for: it decodes the user in a URL,
-- and shows it.
for _, text in ipairs({ 'recveived GOAWAY, error=0', 'Connected to x (x) port 1 (#77)',
    'Re-using existing connection #77 with host x', 'Connection #77 to host x',
    'Connection cache is full' }) do
    local user = text:gsub('[^%w]', function(ch) return ('%%%02x'):format(ch:byte()) end)
    led = ('https://%s@localhost:%d/pieces'):format(user, httpd:port())
    streams = 0
    cut = fiber.new(function() return get(client, {}, '/led') end)
    cut:set_joinable(true)
    rig.soon(function() return streams > 0 end)
    get(client, {}, '/1/150000/1')
    _, whole, why = cut:join()
    tap.is(whole, nil, 'not fooled by a user ' .. text)
    tap.like(why, 'broke before the end', '  why')
end

-- A trailer that is too large, of one alone.
for _, opts in ipairs({ {}, { chunked = true } }) do
    local short = assert(get(client, opts, '/trailer/60000'))
    tap.is(short.body, 'body', 'a large trailer')
    local _, why = get(client, opts, '/trailer/150000')
    tap.like(why, 'trailer of more than 64 KB', 'one that is too large')
end

-- Nobody is suspected who has ended well: many at once, a pool that is too small, a
-- server that ends.
local small, left = http.new({ max_connections = 1 }), 40
for i = 1, 40 do
    fiber.create(function()
        local r, err = get(i % 2 == 0 and client or small,
            i % 4 < 2 and {} or { accept_encoding = 'gzip' }, '/few')
        wrong = wrong or not r and tostring(err)
        left = left - 1
    end)
end
rig.soon(function() return left == 0 end)
tap.is(wrong or left, 0, 'many that end well')

-- Without TLS. What a server says to the one request of a connection:
local h2 = require('attack_rig').h2
local SETTINGS = h2.frame(h2.SETTINGS, 0, 0, '') .. h2.frame(h2.SETTINGS, 1, 0, '')
local HEAD = SETTINGS .. h2.frame(h2.HEADERS, 4, 1, h2.fields(':status', '200'))
local PIECE, LAST = h2.frame(h2.DATA, 0, 1, 'piece'), h2.frame(h2.DATA, 1, 1, 'last')
local GOAWAY = h2.frame(h2.GOAWAY, 0, 0, ('\0'):rep(3) .. '\1' .. ('\0'):rep(4))
local NO_FRAME = h2.frame(h2.DATA, 0, 0, 'x')
for _, case in ipairs({
    { 'whole', HEAD .. PIECE .. LAST, 'piecelast' },
    { 'whole, then GOAWAY', HEAD .. PIECE .. LAST .. GOAWAY, 'piecelast' },
    { 'GOAWAY, then whole', HEAD .. GOAWAY .. PIECE .. LAST, 'piecelast' },
    { 'empty', SETTINGS .. h2.frame(h2.HEADERS, 5, 1, h2.fields(':status', '200')), '' },
    { 'cut', HEAD .. PIECE },
    { 'cut after GOAWAY', HEAD .. PIECE .. GOAWAY },
    { 'broken by what is no frame', HEAD .. PIECE .. NO_FRAME },
    { 'broken by a trailer without end', HEAD .. PIECE .. h2.frame(h2.HEADERS, 0, 1,
        h2.fields('x', ('a'):rep(16000))) .. h2.frame(h2.CONTINUATION, 0, 1,
        ('a'):rep(16384)):rep(10) },
}) do
    for how, more in pairs({ alone = 'close', ['stays'] = 'stay' }) do
        if case[3] or more == 'close' or case[2]:find(NO_FRAME, 1, true) then
            local ended = 0
            local server, address = socket.tcp_server('127.0.0.1', 0, function(s)
                s:read({ delimiter = '\r\n\r\nSM\r\n\r\n' }, SLOW)
                s:write(case[2])
                if more == 'stay' then
                    repeat local data = s:sysread(65536, SLOW) until data == nil or data == ''
                end
                ended = ended + 1
            end)
            local prior = http.new()
            for _, opts in ipairs({ {}, { chunked = true } }) do
                local r, err = get(prior, { chunked = opts.chunked,
                    http_version = '2-prior-knowledge' }, '/', address.port)
                tap.is(r and r.body, case[3], ('prior knowledge, %s, %s'):format(case[1], how))
                tap.is(err and err.type, not case[3] and 'ClientError' or nil, '  type')
            end
            tap.ok(rig.soon(function() return ended == 2 end), '  the connections end')
            server:close()
        end
    end
end

-- Who begins in plain text stays with HTTP/1.1.
local plain = http_server.new('127.0.0.1', 0)
plain:route({ path = '/' }, function(req)
    return req:redirect_to(('https://localhost:%d/40/1000/1'):format(httpd:port()))
end)
plain:start()
local r = assert(http.get(('http://localhost:%d/'):format(plain:port()),
    { ca_file = rig.pem('ca'), timeout = SLOW }))
tap.is(sum_of(r), '1: 40000+1', 'led from plain text')

plain:stop(0)
httpd:stop(0)
rig.shell('rm -r ' .. rig.dir)
tap.done()
