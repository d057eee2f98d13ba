-- The client of test_waiting.sh: `waiting_client.lua PART WORKERS`.
local fiber = require('fiber')
local raw = require('raw')

local part, workers = arg[1], tonumber(arg[2])
local preempted = not (os.getenv('NEAP_SANITIZE') or ''):find('thread')

local function check(ok, ...)
    if not ok then
        print('FAIL', part, ...)
        os.exit(1)
    end
end

local client = require('http.client').new()
local function ask(path)
    local r, err = client:get('http://x' .. path, { unix_socket = 'web.sock' })
    check(r and r.status == 200, path, r and r.status, err)
    return r.body
end
local function count(what)
    return tonumber(ask('/dict/get?' .. what))
end
local function eventually(what, f)
    for _ = 1, 6000 do
        if f() then return end
        fiber.sleep(0.01)
    end
    check(false, 'in vain', what)
end
local function go(yes)
    ask(yes and '/dict/set?go=1' or '/dict/delete?go')
end

local function in_parallel(n, f)
    local group, done = fiber.group(), 0
    for i = 1, n do
        group:spawn(function()
            f(i)
            done = done + 1
        end)
    end
    return function()
        group:wait()
        check(done == n, 'all are done', done)
    end
end

local part_of = {}

-- Many sleep in both kinds, and nobody waits for them.
function part_of.sleep()
    local n = os.getenv('NEAP_SOAK') and 2000 or 100
    local own = require('http.client').new({ max_connections = n })
    local wait = in_parallel(n, function(i)
        local way = ({ 'sp', 'ps', 'sps', 'psp' })[i % 4 + 1]
        local r = own:get('http://x/park/' .. way, { unix_socket = 'web.sock' })
        check(r and r.status == 200, way)
        check(r.body == way:gsub('.', '%01'), way, r.body)
    end)
    eventually('all are asleep', function()
        return count('s-parked') + count('p-parked') >= n
    end)
    for _ = 1, 20 do
        check(ask('/quick/s') == 's1 -', 'S goes on')
        check(ask('/quick/p') == 'p1 -', 'P goes on')
    end
    check(count('s-gone_on') + count('p-gone_on') == 0, 'all sleep')
    go(true)
    wait()
    go(false)
end

-- The client goes, in the first wait, in the second, and before both.
function part_of.leave()
    local before = count('s-gone_on') + count('p-gone_on')
    local parked = count('s-parked') + count('p-parked')
    local peers, n = {}, 0
    for _, way in ipairs({ 'sp', 'ps', 'sps', 'psp' }) do
        for i = 1, 5 do
            n = n + 1
            local peer = raw.connect('web.sock')
            peer:send(('GET /park/%s HTTP/1.1\r\nHost: x\r\n\r\n'):format(way))
            if i % 2 == 0 then peer:close() else peers[#peers + 1] = peer end
        end
    end
    eventually('they are asleep', function()
        return count('s-parked') + count('p-parked') >= parked + #peers
    end)
    for i, peer in ipairs(peers) do
        if i % 2 == 0 then peer:close() else peer:reset() end
    end
    for _ = 1, 5 do ask('/quick/s') ask('/quick/p') end
    go(true)
    eventually('nothing is left of them', function()
        return ask('/alive') == '0 0'
    end)
    go(false)
end

-- In the middle of rules that go together: they are run to their end for who has gone, too, as
-- those of a worker are.
function part_of.leave_together()
    local n = 12
    for _, kind in ipairs({ 's', 'p' }) do
        local at, after = 'together.' .. kind, count(kind .. '-after')
        local parked = count(kind .. '-parked')
        local own, peers = require('http.client').new({ max_connections = n }), {}
        local wait = in_parallel(n, function()
            local r = own:get('http://x/', { unix_socket = at })
            check(r and r.status == 200, at)
            check(r.body == ('%s1 %s1 kept %s1'):format(kind, kind, kind), at, r.body)
        end)
        for i = 1, n do
            peers[i] = raw.connect(at)
            peers[i]:send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        end
        eventually('they are asleep', function()
            return count(kind .. '-parked') >= parked + 2 * n
        end)
        for i, peer in ipairs(peers) do
            if i % 2 == 0 then peer:close() else peer:reset() end
        end
        for _ = 1, 5 do ask('/quick/s') end
        go(true)
        wait()
        eventually('nothing is left of them', function()
            return ask('/alive') == '0 0'
        end)
        eventually('those of a worker are over', function()
            return count(kind .. '-after') >= after + 2 * n
        end)
        check(count(kind .. '-after') == after + 2 * n, at, 'once each')
        go(false)
    end
end

-- As many as there are workers compute in each kind of state.
function part_of.spin()
    if not preempted then return end
    local own = require('http.client').new({ max_connections = 3 * workers })
    local wait = in_parallel(2 * workers, function(i)
        local r = own:get('http://x/spin/' .. (i % 2 == 0 and 's' or 'p'),
            { unix_socket = 'web.sock' })
        check(r and r.status == 200, 'spin')
    end)
    eventually('all of them compute', function()
        return count('s-spinning') + count('p-spinning') == 2 * workers
    end)
    for _ = 1, 10 do
        check(ask('/quick/s') == 's1 -', 'S has its turn')
        check(ask('/quick/p') == 'p1 -', 'P has its turn')
    end
    go(true)
    wait()
    go(false)
end

-- TCP: actions of both kinds, a service of one, lines.
function part_of.lines()
    in_parallel(20, function(i)
        local kind = i % 2 == 0 and 's' or 'p'
        local peer = raw.connect('lines.' .. kind)
        local head = kind == 's' and 's ss sps: ' or 'p p sps: '
        for k = 1, 5 do
            local line = ('%d of %d\n'):format(k, i)
            peer:send(line)
            local text = peer:read('\n')
            check(text == head .. line, 'a line', text)
        end
        peer:close()
    end)()
end

function part_of.tasks()
    eventually('tasks', function()
        return count('s-tasks_ended') == 1 and
            count('p-tasks_ended') == workers
    end)
    check(count('s-tasks') == 1 and count('p-tasks') == workers, 'each once')
    check(count('s-guarded') == 1 and count('p-guarded') == 1, 'guarded')
end

function part_of.events()
    for i = 1, 3 do
        ask(i % 2 == 0 and '/publish/s' or '/publish/p')
    end
    eventually('events', function()
        return count('s-events') >= 3 and count('p-events') >= 3 * workers
    end)
    fiber.sleep(0.02)
    check(count('s-events') == 3 and count('p-events') == 3 * workers,
        'each event once in each state')
end

-- A reload while requests wait in states of both kinds: they end where they began, and
-- who comes then is served by the new ones.
function part_of.reload()
    local n = 12
    local parked = count('s-parked') + count('p-parked')
    local own = require('http.client').new({ max_connections = n })
    local wait = in_parallel(n, function(i)
        local way = i % 2 == 0 and 'sps' or 'psp'
        local kind = way:sub(1, 1)
        local together = i % 3 == 0
        local r, err = own:get('http://x/park/' .. way,
            { unix_socket = together and 'together.' .. kind or 'web.sock' })
        check(r and r.status == 200, way, err)
        check(r.body == (together and ('@1 @1 kept @1'):gsub('@', kind) or
            way:gsub('.', '%01')), way, r.body)
    end)
    eventually('they wait', function()
        return count('s-parked') + count('p-parked') == parked + n
    end)
    io.open('reload', 'w'):close()
    eventually('new states serve', function()
        local fresh = require('http.client').new()
        local function body(path)
            local r = fresh:get('http://x' .. path,
                { unix_socket = 'web.sock', headers = { connection = 'close' } })
            return r and r.body
        end
        return body('/quick/s') == 's2 -' and body('/quick/p') == 'p2 -'
    end)
    -- Until it is done, workers of the generation before may accept, too.
    eventually('the reload is done', function()
        local f = io.open('server.err')
        local text = f:read('*a')
        f:close()
        return text:find('generation 2 serves', 1, true)
    end)
    client = require('http.client').new()
    check(ask('/quick/s') == 's2 -' and ask('/quick/p') == 'p2 -', 'the new ones')
    go(true)
    wait()
end

part_of[part]()
print('done')
os.exit(0)
