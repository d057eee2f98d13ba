-- Maps and ACLs: files, kinds of look-up, changes, replacements.
local tap = require('tap')
local core = require('neap.core_tools')
local map = require('neap.map')
local Map, pairs = core.classes.Map, core.classes.pairs

local function write(name, text)
    local f = assert(io.open(name, 'w'))
    f:write(text)
    f:close()
    return name
end

-- --- files ---

local file = write('a.map', '# a comment\nkey value\n\n  \t other\t two words  \r\n'
    .. '\t# another\nkey second\nempty\nlast 1')
local m = Map.new(file, Map._str)
tap.is(tostring(m), 'Map', 'its class')
tap.is(m:lookup('key'), 'value', 'str: the first of two')
tap.is(m:lookup('other'), 'two words', 'str: blanks')
tap.is(m:lookup('empty'), '', 'str: no value')
tap.is(m:lookup('last'), '1', 'str: a line without an end')
tap.is(m:lookup('#'), nil, 'str: a comment')
tap.is(m:lookup('ke'), nil, 'str: not all of it')
tap.is(m:slookup('none'), '', 'slookup: nothing')
tap.is(m:slookup('key'), 'value', 'slookup')
tap.is(m:lookup(12), nil, 'a number is a text')
tap.throws(function() m:lookup() end, "bad argument #1 to 'lookup'", 'lookup of nothing')
tap.throws(function() m.lookup({}, 'x') end, 'Map expected', 'another object')
tap.throws(function() Map.new() end, "bad argument #1 to 'new'", 'no file')
tap.throws(function() Map.new('nowhere.map') end, "cannot open the map or ACL 'nowhere.map'",
    'a file that is not there')
tap.throws(function() Map.new(file, 'x') end, "bad argument #2 to 'new'", 'no such method')
tap.throws(function() Map.new('.') end, "'%.'", 'a folder')
tap.is(Map.new('opt@nowhere.map'):lookup('x'), nil, 'a file that may be there')
write('a.map', 'key changed\n')
tap.is(Map.new(file):lookup('key'), 'value', 'a file is read once')
tap.throws(function() map.acl(file, 'str') end, 'is a map already', 'a map as an ACL')

-- --- methods ---

local n = 0
local function look(method, text)
    n = n + 1
    return Map.new(write(('m%d.map'):format(n), text), method)
end

m = look(Map._beg, 'a 1\nabc 2\nab 3\n/img/ 4\n')
tap.same({ m:lookup('abcd'), m:lookup('abx'), m:lookup('ax'), m:lookup('abc'),
    m:lookup('/img/x') }, { '2', '3', '1', '2', '4' }, 'beg: the longest')
tap.is(m:lookup('b'), nil, 'beg: none')
tap.is(m:lookup(''), nil, 'beg: an empty text')

m = look(Map._end, '.com 1\nexample.com 2\n.org 3\n')
tap.is(m:lookup('www.example.com'), '1', 'end: the first in the file')
tap.is(m:lookup('x.org'), '3', 'end')
tap.is(m:lookup('org'), nil, 'end: none')

m = look(Map._sub, 'bot 1\nGoogle 2\n')
tap.is(m:lookup('Googlebot'), '1', 'sub: the first in the file')
tap.is(m:lookup('xGoogle'), '2', 'sub')
tap.is(m:lookup('google'), nil, 'sub: none')

m = look(Map._dir, '/img/ 1\na/b 2\n')
tap.is(m:lookup('/x/img/y'), '1', 'dir')
tap.is(m:lookup('img'), '1', 'dir: all of it')
tap.is(m:lookup('/a/b?x'), '2', 'dir: two parts')
tap.is(m:lookup('/imgs/img2'), nil, 'dir: no whole part')

m = look(Map._dom, 'example 1\nx.y 2\n')
tap.is(m:lookup('www.example.com'), '1', 'dom')
tap.is(m:lookup('a.x.y:80'), '2', 'dom: a port')
tap.is(m:lookup('my-example.com'), nil, 'dom: no whole part')

m = look(Map._reg, '^/a[0-9]+$ 1\n^/a 2\n')
tap.same({ m:lookup('/a12'), m:lookup('/ab') }, { '1', '2' }, 'reg: in order')
tap.is(m:lookup('b'), nil, 'reg: none')
tap.throws(function() look(Map._reg, 'ok 1\n( 2\n') end, 'm%d+%.map:2: regular expression',
    'reg: a line that is wrong')

m = look(Map._ip, '10.0.0.0/8 ten\n10.1.0.0/16 one\n10.1.2.3 host\n::/0 six\n'
    .. 'fd00::/8 local\n192.168.0.0/255.255.0.0 mask\n')
local networks = ('m%d.map'):format(n)
for address, want in pairs({ ['10.9.9.9'] = 'ten', ['10.1.9.9'] = 'one',
    ['10.1.2.3'] = 'host', ['2001:db8::1'] = 'six', ['fd12::1'] = 'local',
    ['192.168.77.1'] = 'mask', ['::ffff:10.1.0.1'] = 'one' }) do
    tap.is(m:lookup(address), want, 'ip: ' .. address)
end
tap.is(m:lookup('11.0.0.1'), nil, 'ip: none')
tap.is(m:lookup('10.0.0.0/8'), nil, 'ip: a network is no address')
tap.is(m:lookup('x'), nil, 'ip: no address')
tap.throws(function() look(Map._ip, '# x\n\n10.0.0.0/33 1\n') end,
    "m%d+%.map:3: '10.0.0.0/33' is no IP address", 'ip: a line that is wrong')

m = look(Map._int, '5 five\n10:20 teens\n:0 low\n100: high\n-7 never\n30-40 more\n')
for number, want in pairs({ [5] = 'five', [10] = 'teens', [20] = 'teens', [0] = 'low',
    [-7] = 'low', [100] = 'high', [1e15] = 'high', ['15'] = 'teens',
    [30] = 'more', [40] = 'more' }) do
    tap.is(m:lookup(number), want, 'int: ' .. number)
end
tap.is(m:lookup(6), nil, 'int: none')
tap.is(m:lookup('5x'), nil, 'int: no number')
tap.is(m:lookup(5.5), nil, 'int: a fraction')
for _, bad in ipairs({ 'x', '1:2:3', ':', '20:10', '99999999999999999999', '1-', '20-10',
                       '1--2', '+1' }) do
    tap.throws(function() look(Map._int, bad .. ' 1\n') end, 'is no whole number',
        'int: not ' .. bad)
end
m = look(Map._len, '3 three\n4:9 some\n')
tap.same({ m:lookup('abc'), m:lookup('abcdef') }, { 'three', 'some' }, 'len')

-- --- what expressions use ---

file = write('c.map', '^/user/(\\w+)/(.*)$ \\2-of-\\1\n')
tap.is(map.converter('regm', file)('/user/ann/x'), 'x-of-ann', 'regm')
tap.is(map.converter('reg', file)('/user/ann/x'), '\\2-of-\\1', 'reg: as it is')
file = write('k.map', '/img 1\n.org 2\nmid 3\n^/api/v[0-9]+$ 4\nend.png 5\n')
for kind, found in pairs({
    str = { '/img', '/img' }, beg = { '/img/x', '/img' }, sub = { 'amidst', 'mid' },
    dir = { '/a/mid/b', 'mid' }, dom = { 'a.org', '.org' }, reg = { '/api/v2', '^/api/v[0-9]+$' },
    ['end'] = { 'the.end.png', 'end.png' },
}) do
    local f = map.converter(kind .. '_key', file, 'none')
    tap.same({ f(found[1]), f('nowhere') }, { found[2], 'none' }, kind .. '_key')
end
file = write('l.map', '100:200 x\n7 y\n')
tap.is(map.converter('int_key', file)(150), '100:200', 'int_key')
file = write('m.map', '10.1.0.0/16 x\n2001:db8::/32 y\n')
tap.same({ map.converter('ip_key', file)('10.1.2.3'), map.converter('ip_key', file)('2001:db8::1') },
    { '10.1.0.0/16', '2001:db8::/32' }, 'ip_key')
file = write('d.map', 'a 12\nb -3\n')
local f = map.converter('str_int', file, '7')
tap.same({ f('a'), f('b'), f('c') }, { 12, -3, 7 }, 'str_int, with a default')
tap.is(map.converter('str', file)('c'), nil, 'no default: no value')
tap.is(map.converter('str', file)(nil), nil, 'no value: no value')
tap.is(map.converter('str', file, 'x')(nil), 'x', 'no value: the default')
tap.is(map.converter('str_ip', write('e.map', 'a 10.0.0.1\n'))('a'), '10.0.0.1', 'str_ip')
tap.throws(function() map.converter('str_int', write('f.map', 'a 1\nb x\n')) end,
    "map 'f.map': the value of 'b' is no whole number: x", 'a value that is wrong')
tap.throws(function() map.converter('strx', file) end, 'there is no map_strx', 'no such')
tap.throws(function() map.converter('str_bool', file) end, 'there is no', 'no such type')
tap.throws(function() map.converter('str_int', file, 'x') end, 'not of the type',
    'a default of another type')
local acl = map.acl(write('g.acl', '# them\nBad Bot\nworse  \n'), 'sub', true)
tap.same({ acl('a bad bot'), acl('WORSE'), acl('bot'), acl(nil), acl(5) },
    { true, true, false, false, false }, 'an ACL, whatever the case')
tap.is(map.acl('g.acl', 'sub')('a bad bot'), false, 'the same with regard to case')
acl = map.acl(write('h.acl', 'AbC\nabd\n'), 'str', true)
tap.same({ acl('abc'), acl('ABD'), acl('abe') }, { true, true, false }, 'str, any case')
acl = map.acl('h.acl', 'beg', true)
tap.same({ acl('ABCx'), acl('abX') }, { true, false }, 'beg, any case')
acl = map.acl('h.acl', 'end', true)
tap.same({ acl('xaBc'), acl('xa') }, { true, false }, 'end, any case')
tap.throws(function() Map.new('g.acl') end, 'is an ACL already', 'an ACL as a map')

-- --- changes ---

local ref = core.get_patref('d.map')
m = Map.new('d.map', Map._beg)
tap.is(tostring(ref), 'Patref', 'its class')
tap.is(ref:get_name(), 'd.map', 'get_name')
tap.is(ref:is_map(), true, 'is_map')
tap.is(core.get_patref('g.acl'):is_map(), false, 'is_map: an ACL')
tap.same({ ref.a, ref['b'], ref.zz }, { '12', '-3' }, 'ref[key]')
tap.is(core.get_patref('g.acl').worse, true, 'ref[key] of an ACL')
tap.throws(function() core.get_patref('x') end, "there is no map or ACL 'x'", 'unknown')
tap.is(ref:add('c', '5'), true, 'add')
tap.is(m:lookup('cc'), '5', 'and it is there, for all')
tap.is(f('c'), 5, 'whatever they look up by')
local ok, err = ref:add('c', '6')
tap.is(ok, nil, 'add: it is there')
tap.is(err, "'d.map': the key 'c' is there already", 'which is said')
tap.is(ref:set('c', '6'), true, 'set')
tap.is(m:lookup('c'), '6', 'and it is')
ok, err = ref:set('zz', '1')
tap.is(ok, nil, 'set: it is not there')
tap.like(err, 'is not there', 'which is said')
tap.is(ref:set('zz', '1', true), true, 'set: forced')
tap.is(m:lookup('zzz'), '1', 'and it is there')
tap.is(ref:del('zz'), true, 'del')
tap.is(m:lookup('zz'), nil, 'and it is gone')
tap.is((ref:del('zz')), nil, 'del: it is not there')
tap.is(ref:size(), 3, 'size')
local keys = {}
for key, value in pairs(ref) do keys[#keys + 1] = key .. '=' .. value end
tap.same(keys, { 'a=12', 'b=-3', 'c=6' }, 'pairs: in order')
local ip = core.get_patref(networks)
ok, err = ip:add('nonsense', '1')
tap.is(ok, nil, 'add: no such pattern')
tap.is(err, "'nonsense' is no IP address or network", 'which is said')
tap.throws(function() ref:add('x') end, "bad argument #2 to 'add'", 'add: no value')
tap.throws(function() ref.x = 1 end, 'use ref:set', 'no assignment')
tap.throws(function() core.get_patref('g.acl'):add('x', 'y') end, 'have no values',
    'an ACL has no values')
tap.is((core.get_patref('g.acl'):set('worse')), nil, 'set of an ACL')
ok, err = ref:add(('x'):rep(9000), '1')
tap.ok(ok == nil and err:find('at most 8192', 1, true), 'a key that is too long')

-- Taken out while somebody walks.
keys = {}
for key in pairs(ref) do
    keys[#keys + 1] = key
    ref:del(key)
end
tap.is(#keys, 3, 'pairs: while keys go')
tap.is(ref:size(), 0, 'they are gone')
for i = 1, 250 do ref:add('k' .. i, tostring(i)) end
keys = 0
for key in pairs(ref) do
    keys = keys + 1
    if keys == 50 then
        ref:purge()
        ref:add('new', '1')
    end
end
tap.is(keys, 250, 'pairs: what was there when it began, though it is replaced')
tap.is(ref:size(), 1, 'purge')
tap.is(m:lookup('k1'), nil, 'purge: for all')

-- --- replacements ---

tap.is(ref:prepare(), true, 'prepare')
tap.is(ref.new, nil, 'it begins empty')
ref:add('p', '1')
tap.is(ref:add_bulk({ q = '2', r = '3' }), true, 'add_bulk')
tap.is(m:lookup('p'), nil, 'nobody sees it')
tap.is(core.get_patref('d.map').new, '1', 'but what was there')
tap.is(ref:commit(), true, 'commit')
tap.same({ m:lookup('p'), m:lookup('q'), m:lookup('new') }, { '1', '2' }, 'all at once')
tap.is((ref:commit()), nil, 'commit: nothing is prepared')
ref:prepare()
ref:add('s', '4')
ref:giveup()
tap.is(ref.s, nil, 'giveup')
tap.is(ref.p, '1', 'giveup: as before')
local older, newer = core.get_patref('d.map'), core.get_patref('d.map')
older:prepare()
newer:prepare()
older:add('o', '1')
newer:add('n', '1')
tap.is(newer:commit(), true, 'two: the newer')
ok, err = older:add('x', '1')
tap.ok(ok == nil and err:find('is gone'), 'two: the older takes nothing')
ok, err = older:commit()
tap.is(ok, nil, 'two: the older is gone')
tap.like(err, 'a newer one was committed', 'which is said')
tap.is(older.n, '1', 'two: what there is')
local many = {}
for i = 1, 8 do
    many[i] = core.get_patref('d.map')
    many[i]:prepare()
end
ok, err = core.get_patref('d.map'):prepare()
tap.ok(ok == nil and err:find('8 replacements are prepared'), 'so many at once')
many = nil
collectgarbage()
collectgarbage()
tap.is(core.get_patref('d.map'):prepare(), true, 'those that are collected are given up')
collectgarbage()
Map.new('virt@x', Map._ip)
local virt = core.get_patref('virt@x')
virt:add('10.0.0.1', 'one')
tap.is(Map.new('virt@x', Map._ip):lookup('10.0.0.1'), 'one', 'a map without a file')
tap.is((virt:reload()), true, 'reload of it')
local bulk = {}
for i = 1, 3000 do bulk['key' .. i] = tostring(i) end
tap.is(ref:add_bulk(bulk), true, 'add_bulk: many')
tap.is(m:lookup('key2999'), '2999', 'and they are there')
tap.throws(function() ref:add_bulk('x') end, 'table expected', 'add_bulk: a text')
local list = core.get_patref('g.acl')
tap.is(list:add_bulk({ 'one', 'two' }), true, 'add_bulk: an ACL')
tap.is(list.two, true, 'and they are there')

-- What does not fit a method that came later.
write('i.map', 'x 1\ny 2\n')
Map.new('i.map')
tap.throws(function() Map.new('i.map', Map._int) end, "i.map:1: 'x' is no whole number",
    'a method that the keys do not fit')
tap.is(Map.new('i.map'):lookup('y'), '2', 'the others work')
local other = core.get_patref('i.map')
tap.is(other:add('z', '3'), true, 'and it can be changed')
other:purge()
tap.is(Map.new('i.map', Map._int):lookup(1), nil, 'when they are gone it is fine')
tap.is(other:reload(), nil, 'reload: what does not fit')
tap.is(other:size(), 0, 'and nothing has changed')
write('i.map', '1:5 few\n')
tap.is(other:reload(), true, 'reload')
tap.is(Map.new('i.map', Map._int):lookup(3), 'few', 'reload: there is what the file has')

-- The old ways.
core.set_map('d.map', 'old', '1')
tap.is(ref.old, '1', 'set_map: new')
core.set_map('d.map', 'old', '2')
tap.is(ref.old, '2', 'set_map: changed')
core.del_map('d.map', 'old')
core.del_map('d.map', 'old')
tap.is(ref.old, nil, 'del_map')
core.add_acl('g.acl', 'again')
core.add_acl('g.acl', 'again')
tap.is(list.again, true, 'add_acl')
core.del_acl('g.acl', 'again')
tap.is(list.again, nil, 'del_acl')
for _, name in ipairs({ 'add_acl', 'del_acl', 'set_map', 'del_map' }) do
    tap.throws(function() core[name]('none', 'x', 'y') end, "there is no map or ACL 'none'",
        name .. ': unknown')
end

-- All files again.
write('i.map', '1:5 more\n')
os.remove('g.acl')
local boxes, errors = map.read_all()
tap.isnt(Map.new('i.map', Map._int):lookup(3), 'more', 'read_all: nobody sees it yet')
tap.same(map.install_all(boxes), {}, 'install_all')
tap.is(Map.new('i.map', Map._int):lookup(3), 'more', 'install_all: it is there')
local told
for _, text in ipairs(errors) do told = told or text:find("'g.acl'", 1, true) end
tap.ok(told, 'read_all: what is gone is told')
tap.is(map.acl('g.acl', 'sub')('worse'), true, 'and stays as it was')
-- pairs() as ever.
local plain = 0
for _ in pairs({ 1, 2, x = 3 }) do plain = plain + 1 end
tap.is(plain, 3, 'pairs of a table')
tap.throws(function() pairs(nil) end, "bad argument #1 to 'pairs'", 'pairs of nothing')

tap.done()
