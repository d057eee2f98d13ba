#!/bin/sh
# Every admin command there is, beside clients that vanish: before its answer, within it, and
# by a reset. What each holds is released once (the process counts, and tells at its end),
# no session or descriptor is left, and memory stays level. Commands that do leak are seen.
#
# test: timeout 120, soak 1800, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/workers.sh"

cat > server.lua <<'END'
local console, core, ffi, fiber, http, neap = require('console'), require('neap.core_tools'),
    require('ffi'), require('fiber'), require('http.server'), require('neap')
ffi.cdef('int dup(int fd); int close(int fd);')
console.listen('c.sock', { audit = false })
console.listen('127.0.0.1:0', { audit = false, password = 'let me in' })
for i = 1, 200 do
    fiber.create(function() fiber.name('sleeper') fiber.sleep(3600) end)
end
for _, name in ipairs({ 'virt@m', 'virt@added' }) do
    core.classes.Map.new(name, 'str')
    require('neap.map').acl(name .. '_acl', 'beg')
end
local httpd = http.new('unix/:http.sock')
httpd:route({ path = '/slow' }, function() fiber.sleep(3600) end)
httpd:start()

console.register_command({ 'of', 'scripts', 'endless' }, function(command)
    while true do
        command:send(('x'):rep(999) .. '\n')
    end
end)
console.register_command({ 'of', 'scripts', 'sleepy' }, function(command)
    command:send('begun\n')
    fiber.sleep(3600)
end)
console.register_cli({ 'of', 'scripts', 'applet' }, 'x', function() end, function(applet)
    applet:send('more\n')
end)
-- What must be found out.
local fds, memory = {}, {}
console.register_command({ 'leaky', 'descriptor' }, function(command)
    fds[#fds + 1] = ffi.C.dup(2)
    while true do
        command:send(('x'):rep(999) .. '\n')
    end
end)
console.register_command({ 'mend' }, function()
    for _, fd in ipairs(fds) do
        ffi.C.close(fd)
    end
    fds, memory = {}, {}
end)
console.register_command({ 'leaky', 'memory' }, function(command)
    memory[#memory + 1] = ffi.new('char[?]', 1048576, 1)
    while true do
        command:send(('x'):rep(999) .. '\n')
    end
end)
local f = io.open('ports', 'a')
f:write('up\n')
f:close()
END

cat > clients.lua <<'END'
local admin, fiber, raw, tap = require('admin_client'), require('fiber'), require('raw'),
    require('tap')
local SANITIZED = (os.getenv('NEAP_SANITIZE') or '') ~= ''
local TICKS = os.getenv('NEAP_SANITIZE') ~= 'thread' -- for profiles
local ROUNDS, LEVEL = tap.soak(50, 1), (SANITIZED and 64 or 4) * 1048576
local c = admin.connect('c.sock')
local port = tonumber(c:json('show cli sockets')[2].address:match(':(%d+)$'))

local slow = {}
for i = 1, 30 do
    slow[i] = assert(raw.connect('http.sock'))
    slow[i]:send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
end
local lines = {}
for i = 1, 1500 do
    lines[i] = ('key%d some value\n'):format(i)
end
lines = table.concat(lines)
for i = 1, 10 do -- more than waits for one client
    local more = lines:gsub('key', ('key-'):rep(i))
    assert(c:ask('add map virt@m <<E\n' .. more .. 'E') == '')
    assert(c:ask('add acl virt@m_acl <<E\n' .. more .. 'E') == '')
end

-- What each is asked with; a new command that wants arguments is told to be missing.
local arguments = {
    ['abort acl'] = '@1 virt@m_acl', ['abort map'] = '@1 virt@m',
    ['add acl'] = 'virt@added_acl <<E\n' .. lines .. 'E',
    ['add map'] = 'virt@added <<E\n' .. lines .. 'E',
    ['clear acl'] = '@1 virt@m_acl', ['clear map'] = '@1 virt@m',
    ['commit acl'] = '@1 virt@m_acl', ['commit map'] = '@1 virt@m',
    ['del acl'] = 'virt@m_acl none', ['del map'] = 'virt@m none', echo = 'x',
    ['get acl'] = 'virt@m_acl key7', ['get map'] = 'virt@m key7',
    ['kill fiber'] = '999999 worker 2', ['prepare acl'] = 'virt@m_acl', ['prepare map'] = 'virt@m',
    ['profile lua'] = '60s', ['set anon'] = 'on', ['set limits'] = 'task 0 0',
    ['set log level'] = 'info', ['set map'] = 'virt@m key7 a value',
    ['set severity-output'] = 'number', ['set timeout cli'] = '1h',
    ['show acl'] = 'virt@m_acl', ['show events'] = '-w', ['show map'] = 'virt@m',
    ['shut connection'] = '999999', ['trace request'] = 'for 1h', wait = '1h',
}

-- The command many times, so that it is amidst them; lines behind "<<" once.
local function line_of(command, json)
    local line = command.name .. ' ' .. (arguments[command.name] or '')
    local first = line:match('^[^\n]*')
    if first ~= line then
        return ('clear map virt@added; clear acl virt@added_acl; %s\n'):format(line)
    end
    line = line .. (json and #command.columns > 0 and ' json' or '')
    return (line .. '; '):rep(math.min(60, math.floor(15000 / #line))) .. '\n'
end

-- Look, a few times, whether it runs: those that answer at once are hardly ever seen to.
local seen = {}
local function look(name)
    for _ = 1, seen[name] == false and 1 or 20 do
        for _, s in ipairs(c:json('show cli sessions')) do
            if s.runs == name then
                seen[name] = true
                return
            end
        end
    end
    seen[name] = seen[name] or false
end

local function early(_, line)
    local p = admin.connect('c.sock').peer
    p:send(line)
    p:close()
end

local function amidst(name, line)
    local p = admin.connect('c.sock', { rcvbuf = 4096 }).peer
    p:send('echo begun; ' .. line)
    p:read('begun\n\n')
    look(name)
    p:close()
end

local function reset(name, line)
    local p = assert(raw.connect(port, { rcvbuf = 4096 }))
    p:read('\\login')
    p:send('\\login let me in\n')
    p:read('...\n')
    p:send('\\set language admin\n')
    p:read('...\n')
    p:send('echo begun; ' .. line)
    p:read('begun\n\n')
    look(name)
    p:reset()
end

local function info()
    raw.until_true(function() return #c:json('show cli sessions') == 1 end)
    return c:json('show info')
end

local function vanish(command)
    early(command.name, line_of(command, false))
    amidst(command.name, line_of(command, false))
    reset(command.name, line_of(command, true))
end

-- The commands after which there are more descriptors, and how much memory more.
local function rounds(commands, n)
    local more, before = {}, info()
    local memory, descriptors = before.memory, before.descriptors
    for _, command in ipairs(commands) do
        for _ = 1, n do
            vanish(command)
        end
        local now = info()
        -- A connection closes behind its session.
        for _ = 1, 100 do
            if now.descriptors <= descriptors then
                break
            end
            fiber.sleep(0.005)
            now = info()
        end
        if now.descriptors > descriptors then
            more[#more + 1] = command.name
            descriptors = now.descriptors
        end
    end
    return more, info().memory - memory
end

local function level(commands)
    rounds(commands, 1)
    local more, grown
    for _ = 1, 5 do -- what there was at most stays
        more, grown = rounds(commands, ROUNDS)
        if #more > 0 or grown < LEVEL then
            break
        end
    end
    return more, grown
end

local all, leaky, missing = {}, {}, {}
for _, command in ipairs(c:json('help')) do
    for _, a in ipairs(command.arguments) do
        if not a.optional and not arguments[command.name] then
            missing[command.name] = true
        end
    end
    local to = command.name:find('^leaky') and leaky or all
    to[#to + 1] = command
end
tap.ok(#all > 60 and #leaky == 2, 'all commands there are')
tap.same(missing, {}, 'what they are asked with')
local more, grown = level(all)
tap.same(more, {}, 'no descriptor is left by any')
tap.ok(grown < LEVEL, 'memory is level')
tap.diag(('%.1f MiB more'):format(grown / 1048576))
local unseen = {}
for _, name in ipairs({ 'dump state', 'of scripts applet', 'of scripts endless',
    'of scripts sleepy', 'profile lua', 'show acl', 'show connections', 'show events',
    'show fibers', 'show map', 'show metrics', 'show requests', 'show tasks',
    'trace request', 'wait' }) do
    if not seen[name] and (name ~= 'profile lua' or TICKS) then
        unseen[#unseen + 1] = name
    end
end
tap.same(unseen, {}, 'clients vanish amidst the long ones')
-- They can be had at once again.
tap.unlike(TICKS and c:ask('profile lua 10ms') or '', 'error', 'one profile at a time: the others have ended')
tap.is(c:ask('trace request for 1ms json'), '[]\n', 'nor does a trace go on')

more = rounds({ leaky[1] }, 1)
tap.same(more, { 'leaky descriptor' }, 'one that leaks descriptors is seen')
more, grown = rounds({ leaky[2] }, SANITIZED and 50 or 5)
tap.ok(grown > LEVEL, 'and one that leaks memory')
c:ask('mend')
for _, p in ipairs(slow) do
    p:close()
end
c:close()
tap.done()
END

serve 3 server.lua
"$NEAP_BIN" clients.lua > tap 2>&1 || { cat tap; fail 'the clients'; }
cat tap
grep -q '^not ok' tap && fail 'see above'
end_served
