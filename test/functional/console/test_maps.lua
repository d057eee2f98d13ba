-- Maps and ACLs at the console: what is in them, changes, replacements under a number that
-- several connections work on, and clients that vanish amidst it.
-- test: timeout 90
local admin = require('admin_client')
local console = require('console')
local core = require('neap.core_tools')
local fiber = require('fiber')
local maps = require('neap.map')
local raw = require('raw')
local tap = require('tap')

local Map = core.classes.Map
local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path))
local c = admin.connect(path)

local f = assert(io.open('hosts.map', 'w'))
f:write('# hosts\na.example one\nb.example two words\n')
f:close()
tap.is(c:ask('show maps json'), '[]\n', 'there are none')
local hosts = Map.new('hosts.map', Map._str)
local denied = maps.acl('virt@denied', 'ip')
local names = maps.acl('virt@denied names', 'beg', true)

-- --- what there is ---

local rows = c:json('show maps')
tap.same({ rows[1].id, rows[1].name, rows[1].kind, rows[1].keys, rows[1].version,
    rows[1].prepared }, { 1, 'hosts.map', 'map', 2, 0, 0 }, 'show maps')
tap.same({ rows[2].name, rows[2].kind, rows[3].name }, { 'virt@denied', 'acl',
    'virt@denied names' }, 'and ACLs')
tap.ok(rows[1].bytes > 20 and rows[2].bytes == 0, 'what they take')
tap.same(c:json('show map hosts.map'), { { key = 'a.example', value = 'one' },
    { key = 'b.example', value = 'two words' } }, 'show map')
tap.same(c:json('show map #1'), c:json('show map hosts.map'), 'by its number')
tap.is(c:ask('show acl virt@denied json'), '[]\n', 'show acl')
tap.same(c:json('get map hosts.map b.example'), { { method = 'str', fold = false,
    found = true, value = 'two words' } }, 'get map')
tap.like(c:ask('get map hosts.map x json'), '"found":false,"value":null', 'what is not there')
for line, why in pairs({
    ['show map'] = "missing: 'map'; usage: show map [@<version>] <map>",
    ['show map nowhere.map'] = "there is no map or ACL 'nowhere.map'; 'show maps' has",
    ['show map #9'] = "there is no map or ACL '#9'",
    ['show map #0'] = "there is no map or ACL '#0'",
    ['show map #1x'] = "there is no map or ACL '#1x'",
    ['show map virt@denied'] = "'virt@denied' is an ACL, and no map",
    ['show acl #1'] = "'#1' is a map, and no ACL",
    ['show map @x #1'] = "a version as @3 is wanted, not '@x'",
    ['show map @7 #1'] = "'hosts.map': no version 7 is prepared",
    ['add map #1'] = 'a key, or lines behind "<<": one of them',
    ['add map #1 k'] = "the key's value is wanted",
    ['add map #1 a.example x'] = "'hosts.map': the key 'a.example' is there already",
    ['set map #1 none x'] = "'hosts.map': the key 'none' is not there",
    ['set map #1 none'] = "missing: 'value'",
    ['del map #1 none'] = "'hosts.map': the key 'none' is not there",
    ['add acl #2 1.2.3'] = '1.2.3',
    ['commit map #1'] = "missing: 'version'; usage: commit map @<version> <map>",
    ['commit map @1 #1'] = 'no version 1 is prepared',
    ['abort acl @1 #2'] = 'no version 1 is prepared',
}) do
    local text = c:ask(line)
    tap.ok(text:find('error: ', 1, true) == 1 and text:find(why, 1, true), line)
end

-- --- changes ---

tap.same(c:ask_all("add map #1 c.example three  'four  five'; set map #1 a.example 1; "
    .. 'del map #1 b.example; show map #1 json', 4), { '', '', '',
    '[{"key":"a.example","value":"1"},\n{"key":"c.example","value":"three four  five"}]\n' },
    'add, set, del')
tap.same({ hosts:lookup('a.example'), hosts:lookup('b.example'), hosts:lookup('c.example') },
    { '1', nil, 'three four  five' }, 'which all see')
c:ask('add acl virt@denied 10.0.0.0/8')
c:ask("add acl 'virt@denied names' 'Bad '")
tap.ok(denied('10.1.2.3') and not denied('11.1.2.3') and names('BAD one'), 'of an ACL')
tap.same(c:json('get acl #3 BAD'), { { method = 'beg', fold = true, found = false } },
    'which get acl looks up')
tap.is(c:ask('add map #1 <<\nd.example d\n\t # none\n  e.example\te e  \n\n'), '', 'lines')
tap.is(c:ask('add acl #2 <<E\n192.0.2.0/24\n\n# x\n198.51.100.7\nE'), '', 'of an ACL')
tap.is(hosts:lookup('e.example'), 'e e', 'as in files')
tap.ok(denied('198.51.100.7') and not denied('198.51.100.8'), 'and there')
tap.like(c:ask('add map #1 <<E\nf 1\n\nd.example x\ng 2\nE'), "^error: line 3: .*'d.example' "
    .. 'is there already; 1 before it are added', 'up to one that cannot be')
tap.same({ hosts:lookup('f'), hosts:lookup('g') }, { '1', nil }, 'so it is')
tap.is(c:ask('clear acl #2'), '', 'clear acl')
tap.ok(not denied('10.1.2.3'), 'nothing is in it')
maps.get_patref('hosts.map'):set('zero\0key', 'a\0b', true)
local last = c:json('show map #1')
tap.same(last[#last], { key = 'zero\\0key', value = 'a\\0b' }, 'a zero byte')

-- --- replacements ---

local d = admin.connect(path)
tap.is(c:ask('prepare map #1'), 'New version created: 1\n', 'prepare')
c:ask('add map @1 #1 <<\nx 1\ny 2\n')
tap.is(d:ask('add map @1 hosts.map z 3'), '', 'others work on it')
d:close()
d = admin.connect(path)
tap.is(#d:json('show map @1 #1'), 3, 'it outlives their sessions')
tap.is(hosts:lookup('x'), nil, 'nobody looks up in it')
tap.ok(d:json('show maps')[1].prepared == 1 and hosts:lookup('a.example') == '1',
    'what is there, is')
tap.is(d:ask('del map @1 #1 y'), '', 'del')
tap.is(d:ask('set map @1 #1 x 5'), '', 'set')
tap.is(d:ask('commit map @1 #1'), '', 'commit')
tap.same({ hosts:lookup('x'), hosts:lookup('y'), hosts:lookup('a.example') }, { '5', nil, nil },
    'all look up in it')
tap.same({ d:json('show maps')[1].version, d:json('show maps')[1].prepared }, { 1, 0 },
    'it is the version')
tap.like(d:ask('commit map @1 #1'), 'no version 1 is prepared', 'once')

local got = {}
for i = 1, 9 do
    got[i] = c:ask('prepare map #1')
end
tap.is(got[8], 'New version created: 9\n', 'eight at once')
tap.like(got[9], '8 replacements are prepared already', 'no more')
tap.is(c:ask('abort map @9 #1'), '', 'abort')
tap.like(c:ask('show map @9 #1'), 'no version 9 is prepared', 'it has gone')
c:ask('add map @7 #1 seven 7')
c:ask('clear map @7 #1')
tap.is(c:ask('show map @7 #1 json'), '[]\n', 'clear')
tap.is(c:ask('commit map @7 #1'), '', 'a newer one')
tap.same({ c:json('show maps')[1].prepared, c:json('show maps')[1].keys }, { 1, 0 },
    'those before it are gone, not the one behind')
tap.like(c:ask('add map @5 #1 a b'), 'no version 5 is prepared', 'of which one is told')

-- What a script prepares is its own.
local ref = maps.get_patref('hosts.map')
ref:prepare()
ref:add('own', '1')
tap.like(c:ask('show map @10 #1'), 'no version 10 is prepared', "a script's is not seen")
ref:commit()
tap.is(hosts:lookup('own'), '1', 'and takes the place')
tap.like(c:ask('commit map @8 #1'), 'no version 8 is prepared', 'of older ones')

-- --- who may, who sees ---

c:ask('set anon on key')
local text = c:ask('show maps')
tap.unlike(text .. c:ask('show map #1 json'), 'hosts|own', 'anon hides names, keys and values')
c:ask('set anon off')
tap.is(d:ask('operator'), '', 'lower')
tap.is(#d:json('show map #1'), 1, 'an operator looks')
for _, line in ipairs({ 'add map #1 k v', 'set map #1 own 2', 'del map #1 own', 'clear map #1',
    'prepare map #1', 'commit map @1 #1', 'abort map @1 #1', 'add acl #2 ::1',
    'del acl #2 ::1', 'clear acl #2', 'prepare acl #2', 'commit acl @1 #2',
    'abort acl @1 #2' }) do
    tap.like(d:ask(line), 'permission denied', line)
end
tap.is(d:ask('user'), '', 'lower still')
tap.like(d:ask('show maps') .. d:ask('get map #1 own'), 'permission denied.*permission denied',
    'a user does not')
d:close()

-- --- completion ---

local framed = assert(console.listen(path .. '2', { language = 'admin', level = 'admin' }))
local function complete(line)
    local p = assert(raw.connect(path .. '2'))
    p:send('\\frame tok\n')
    p:read('tok ok admin\n')
    p:send('\\complete ' .. line .. '\ntok\n')
    local answer = p:read('tok ok admin\n')
    p:close()
    return answer
end
tap.like(complete('show map '), '^0\nhosts.map \n', 'names are completed')
tap.unlike(complete('show map '), 'denied', 'those of maps')
tap.like(complete('add acl @1 vi'), '^2\nvirt@denied \n', 'behind a version, ACLs')

-- --- many keys, and clients that vanish ---

local many = {}
for i = 1, 4000 do
    many[i] = ('key%d %s\n'):format(i, ('v'):rep(10))
end
for round = 0, 9 do
    assert(c:ask(('add map #1 <<E\n%sE'):format(table.concat(many):gsub('key', 'k' .. round)))
        == '')
end
tap.is(c:json('show maps')[1].keys, 40001, '40,000 keys')
local grows = true
local grower = fiber.create(function()
    local n = 0
    while grows do
        n = n + 1
        ref:add('late' .. n, 'x')
        ref:del(('k0%d'):format(n))
        fiber.sleep(0)
    end
end)
grower:set_joinable(true)
rows = c:json('show map #1')
grows = false
grower:join()
local seen, twice, whole = {}, 0, 0
for _, row in ipairs(rows) do
    twice = twice + (seen[row.key] and 1 or 0)
    seen[row.key] = true
    whole = whole + (row.key:find('^k[1-9]') and 1 or 0)
end
tap.same({ twice, whole }, { 0, 36000 }, 'each once, beside changes')

d = admin.connect(path, { rcvbuf = 4096 })
for _ = 1, 10 do
    d.peer:send('show map #1; ')
end
d.peer:send('\n')
raw.until_true(function() return c:ask('show cli sessions'):find('show map') end)
for i = 1, 100 do
    ref:set('behind' .. i, 'x', true)
end
tap.unlike(d:answer(), 'behind', 'none that is added behind the beginning')
for _ = 2, 9 do
    d:answer()
end
tap.like(d:answer(), '\nbehind100 ', 'but by the last')
d:close()

c:ask('prepare map #1')
local fds = c:json('show info').descriptors
for i = 1, tap.soak(500, 30) do
    local v = admin.connect(path)
    v.peer:send(i % 2 == 0 and 'show map #1\n' or 'show map #1 json; prepare map #1; clear map #1\n')
    v.peer:read('\n')
    v:close()
end
raw.until_true(function() return #c:json('show cli sessions') == 1 end)
tap.ok(c:json('show info').descriptors <= fds, 'who vanishes leaves nothing')

c:close()
framed:close()
server:close()
tap.done()
