-- The numbers of the admin commands with their types, and as Prometheus reads them; admin
-- commands that Lua runs.
-- test: timeout 60, soak 300
local admin = require('admin_client')
local cmod = require('cmod')
local console = require('console')
local fiber = require('fiber')
local http = require('http.server')
local json = require('json')
local kit = require('cmod_kit')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))
local c = admin.connect(path)

local httpd = http.new('127.0.0.1', 0)
httpd:route({ path = '/metrics' }, function()
    return { body = assert(console.command('show metrics')),
             headers = { ['content-type'] = 'text/plain; version=0.0.4' } }
end)
httpd:start()
local address = '127.0.0.1:' .. httpd:port()

local function get(target)
    local p = assert(raw.connect(httpd:port()))
    p:send(('GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'):format(target))
    local text = p:read()
    p:close()
    return text:match('\r\n\r\n(.*)$')
end

-- --- typed: each cell as JSON has it, in the order of the columns ---

local declared = {}
for _, d in ipairs(json.decode(c:ask('help json'))) do
    declared[d.name] = d
end
local function shown(v)
    return v == true and 'yes' or v == false and 'no' or tostring(v)
end
for _, name in ipairs({ 'show stat', 'show pools', 'show version', 'show limits',
    'show listeners', 'show env HOME' }) do
    local columns = declared[name:match('^show %w+')].columns
    local rows = c:json(name)
    rows = rows[1] and rows or { rows }
    local want = {}
    for r, row in ipairs(rows) do
        for i, column in ipairs(columns) do
            if row[column.name] ~= nil then
                want[#want + 1] = ('%d.%d.%s.%d'):format(r - 1, i - 1, column.name,
                    row.worker or 0)
            end
        end
    end
    local got, bad = {}, nil
    for line in c:ask(name .. ' typed'):gmatch('(.-)\n') do
        local key, tags, kind, value = line:match('^([^:]+):(%u%u%u%u):(%w+):(.*)$')
        got[#got + 1] = key or line
        if key == nil or (kind == 'u64' and not value:find('^%d+$'))
            or (kind == 'flt' and not tonumber(value)) then
            bad = line
        end
        local row = rows[tonumber(key:match('^%d+')) + 1]
        if kind ~= 'flt' and shown(row[key:match('^%d+%.%d+%.(.*)%.%d+$')]) ~= value then
            bad = line
        end
        assert(#tags == 4)
    end
    tap.same(got, want, name .. ' typed')
    tap.is(bad, nil, 'its values')
end
local typed = c:ask('show info typed')
tap.like(typed, '\n0%.8%.cpu_user%.0:MCPV:flt:', 'a time that grows')
tap.like(c:ask('show stat typed'), '0%.2%.accepted%.1:MCSV:u64:', 'a counter of a worker')
tap.like(c:ask('dump state typed'), "too much: 'typed'", 'lines have no types')
tap.like(c:ask('show env HOME typed'), '^0%.0%.variable%.0:SOPV:str:HOME=', 'behind arguments')

-- --- metrics ---

local before = tonumber(get('/metrics'):match('neap_http_requests_total{worker="1",server="%d+",'
    .. 'address="' .. address:gsub('%.', '%%.') .. '"} (%d+)'))
for _ = 1, 5 do
    get('/nothing')
end
local text = get('/metrics')
local seen, told, last, samples = {}, {}, nil, 0
for line in text:gmatch('(.-)\n') do
    local kind, name, rest = line:match('^# (%u+) ([%w_]+) (.+)$')
    if kind == 'HELP' then
        assert(not seen[name], name .. ' twice')
        seen[name], last = true, name
    elseif kind == 'TYPE' then
        assert(name == last and (rest == 'counter') == (name:find('_total$') ~= nil)
            and (rest == 'counter' or rest == 'gauge'), line)
    else
        local metric, labels, value = line:match('^([%w_]+)(%b{}) (%S+)$')
        if metric == nil then
            metric, value = line:match('^([%w_]+) (%S+)$')
        end
        assert(metric == last and tonumber(value), line)
        assert(not told[metric .. (labels or '')], line .. ' twice')
        told[metric .. (labels or '')] = true
        assert(labels == nil or labels:gsub('[%w_]+="[^"\n]*"', 'x'):find('^{x[,x]*}$'), line)
        samples = samples + 1
    end
end
tap.ok(samples > 60, samples .. ' samples of metrics, each behind its own')
tap.is(tonumber(text:match('neap_http_requests_total{[^}]*} (%d+)')), before + 6,
    'they count')
for _, name in ipairs({ 'neap_process_memory_bytes', 'neap_process_cpu_user_seconds_total',
    'neap_worker_fibers{worker="1"}', 'neap_pool_threads{pool="offload"}',
    'neap_activity_turns_total{worker="1"}', 'neap_lua_memory_bytes{worker="1"}' }) do
    tap.ok(text:find('\n' .. name .. ' ', 1, true), name)
end
tap.ok(not text:find('neap_http_server'), 'what tells rows apart is no metric')
local from_console = c:ask('show metrics')
tap.ok(from_console:find('neap_http_accepted_total{', 1, true), 'at a console')
c:ask('set anon on')
tap.like(c:ask('show metrics'), 'tells names within its text', 'addresses are names')
c:ask('set anon off')

-- --- of C modules: an orphan beside what has taken its place ---

local function build(value)
    kit.build('counted.so', ([[
        #include <neap/module.h>
        int value(neap_call_t *c, const char *a, const char *e)
        { const char b = %d; return neap_return_mp(c, &b, &b + 1); }
        int fails(neap_call_t *c, const char *a, const char *e)
        { return NEAP_ERR("no"); }
        NEAP_MODULE("counted", "1.%d\"\\", 0, 0);
    ]]):format(value, value))
    return cmod.load('./counted')
end
local functions = {}
for i = 1, 3 do
    local m = build(i)
    local f, fails = m:load('value'), m:load('fails')
    for _ = 1, 10 * i do
        assert(select(2, f()) == i)
    end
    fails()
    functions[i] = { f, fails }
    m:unload()
end
local listed = {}
for _, m in ipairs(cmod.list()) do
    listed[m.id] = m
end
local of = {}
local metrics = assert(console.command('show metrics', 'operator'))
for name, id, rest, value in metrics:gmatch(
    '\nneap_module_([%w_]+){id="(%d+)",path="./counted"([^\n]*)} (%d+)') do
    of[tonumber(id)] = of[tonumber(id)] or {}
    of[tonumber(id)][name] = name == 'info' and rest or tonumber(value)
end
local ids, states = {}, {}
for id, m in pairs(of) do
    local l = listed[id]
    ids[#ids + 1] = id
    tap.same({ m.refs, m.functions, m.calls_total, m.errors_total },
        { l.references, l.functions, l.calls, l.errors }, 'a module, as cmod.list() has it')
    states[#states + 1] = m.info:match('state="(%w+)"')
    tap.ok(m.info:find(('device="%d",inode="%d",size="%d"'):format(l.device, l.inode,
        l.size), 1, true), m.info)
    tap.ok(m.info:find('version="1.%d\\"\\\\"'), m.info)
    for _, f in ipairs(l.by_function) do
        tap.ok(metrics:find(('\nneap_function_calls_total{name="%s",id="%d",module="./counted"} %d\n')
            :format(f.name, id, f.calls), 1, true), 'its function ' .. f.name)
    end
end
table.sort(states)
tap.same(states, { 'cached', 'orphan', 'orphan' }, 'all three')
local rows = {}
for _, row in ipairs(c:json('show modules')) do
    rows[row.id] = row
end
for _, id in ipairs(ids) do
    local l, r = listed[id], rows[id]
    tap.same({ r.device, r.inode, r.size, r.refs, r.state, r.file },
        { l.device, l.inode, l.size, l.references, l.state, l.file }, 'in a console')
    tap.ok(math.abs(r.mtime - l.mtime) < 0.01, 'its time')
end
tap.ok(not console.command('show metrics'):find('neap_module', 1, true),
    'users are not told of them')

-- --- commands from Lua ---

tap.is(console.command('echo one'), 'one\n', 'an answer')
tap.is(console.command('echo one; echo two'), 'one\n\ntwo\n', 'two')
tap.is(console.command(''), '', 'none')
tap.is(json.decode(console.command('show info json')).workers, 1, 'JSON')
local nothing, err = console.command('kill fiber 1')
tap.is(nothing, nil, 'the level is that of a user')
tap.like(tostring(err), 'permission denied', 'if nothing is said')
nothing, err = console.command('kill fiber 999999', 'admin')
tap.like(tostring(err), 'there is no such fiber', 'or another')
nothing, err = console.command('nosuch')
tap.ok(nothing == nil and tostring(err):find('no such command'), 'a failure')
nothing, err = console.command('echo <<')
tap.ok(nothing == nil and tostring(err):find('<<'), 'no lines')
tap.is(console.command('quit'), '', 'quit')
nothing, err = console.command('echo a\nb')
tap.ok(nothing == nil or nothing == 'a\nb\n', 'a line end')
tap.ok(not pcall(console.command), 'misuse')
tap.ok(not pcall(console.command, 'help', 'root'), 'no such level')
nothing = console.command('wait 1ms')
tap.is(nothing, '', 'it may wait')

local f = fiber.create(function() console.command('wait 1h') end)
local g = fiber.create(function() console.command('show events -w', 'operator') end)
f:set_joinable(true)
g:set_joinable(true)
raw.until_true(function() return #c:json('show cli sessions') == 3 end)
f:cancel()
g:cancel()
f:join()
g:join()
tap.is(#c:json('show cli sessions'), 1, 'who is cancelled leaves')

console.register_command({ 'mine' }, function(command) command:send(('x'):rep(100) .. '\n') end,
    { level = 'user' })
local right, all = 0, {}
for i = 1, 50 do
    all[i] = fiber.create(function()
        if console.command('mine; echo ' .. i) == ('x'):rep(100) .. '\n\n' .. i .. '\n' then
            right = right + 1
        end
    end)
    all[i]:set_joinable(true)
end
for _, one in ipairs(all) do
    one:join()
end
tap.is(right, 50, 'many at once')

-- Who vanishes amidst it.
local fds = c:json('show info').descriptors
for _ = 1, tap.soak(500, 20) do
    local v = admin.connect(path)
    v.peer:send('show metrics; show stat typed\n')
    v:close()
end
raw.until_true(function()
    return #c:json('show cli sessions') == 1 and c:json('show info').descriptors <= fds
end)
tap.pass('nothing is left of it')

c:close()
httpd:stop()
server:close()
tap.done()
