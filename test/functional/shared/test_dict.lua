-- Dictionaries of the module shared, as a script sees them.
--
-- test: variants
local tap = require('tap')
local fiber = require('fiber')
local ffi = require('ffi')
local shared = require('shared')

local d = assert(shared.dict('d', { size = 1048576 }))

-- one for each name
tap.like(tostring(d), 'shared dictionary: d', 'tostring')
d:set('from', 'the other handle')
tap.is(shared.dict('d'):get('from'), 'the other handle', 'the same by name')
tap.is(shared.dict('other'):get('from'), nil, 'another name is another one')
tap.ok(shared.dict('d', { size = 1048576 }), 'the same size')
local none, err = shared.dict('d', { size = 65536 })
tap.ok(none == nil and err.type == 'ClientError', 'another size is refused')
tap.like(err, "'d'.*1048576.*65536", 'and both are named')
for what, args in pairs({
    ['no name'] = {}, ['a number'] = { 1 }, ['an empty name'] = { '' },
    ['a zero byte'] = { 'a\0b' }, ['a long name'] = { ('x'):rep(256) },
    ['no table'] = { 'd', 1 }, ['no such option'] = { 'd', { sise = 1 } },
    ['a small size'] = { 'd', { size = 16383 } },
    ['half a byte'] = { 'd', { size = 20000.5 } },
    ['NaN'] = { 'd', { size = 0 / 0 } },
    ['a size as text'] = { 'd', { size = '20000' } },
}) do
    tap.throws(function() shared.dict(args[1], args[2]) end, 'shared.dict',
        what)
end

-- values
local function same(v, name)
    tap.is(d:set('k', v), true, 'set ' .. name)
    local got = d:get('k')
    tap.ok(type(got) == type(v) and got == v, 'get ' .. name)
end
for name, v in pairs({
    zero = 0, fraction = 0.1, huge = math.huge, large = 2 ^ 53 + 2,
    yes = true, no = false, empty = '', text = 'text', zeros = 'a\0b\0',
    long = ('x'):rep(100000), bytes = '\255\254',
}) do
    same(v, name)
end
for name, v in pairs({ small = 5LL, min = -0x7fffffffffffffffLL - 1,
    unsigned = 5ULL, max = 0xffffffffffffffffULL }) do
    same(v, name)
    tap.is(tostring(ffi.typeof(d:get('k'))), tostring(ffi.typeof(v)),
        'its type')
end
d:set('k', 0 / 0)
tap.ok(d:get('k') ~= d:get('k'), 'NaN')
d:set('k', ffi.new('int8_t[1]', -3)[0])
tap.is(d:get('k'), -3, 'a small C integer')
local t = { 1, 'two', { three = 3, [4] = false }, 2 ^ 60 }
d:set('t', t)
t[1] = 'changed'
local copy = d:get('t')
tap.is(copy[1], 1, 'a table is copied in')
tap.ok(copy[3].three == 3 and copy[3][4] == false and copy[2] == 'two',
    'with what is inside')
copy[1] = 'changed'
tap.is(d:get('t')[1], 1, 'and copied out')
for _, bad in ipairs({ print, d, coroutine.create(print),
    { { print } }, ffi.new('int[2]') }) do
    local ok, why = d:set('t', bad)
    tap.ok(ok == nil and why.type == 'IllegalParams', 'refused: '
        .. tostring(why))
end
tap.is(d:get('t')[1], 1, 'and the old value stays')
local deep = {}
for _ = 1, 200 do deep = { deep } end
tap.is(d:set('t', deep), nil, 'nested too deep')
tap.throws(function() d:set('k', nil) end, 'delete', 'nil is no value')
tap.throws(function() d:set('k') end, 'delete', 'nor is none')
for _, bad in ipairs({ 1, true, {} }) do
    tap.throws(function() d:get(bad) end, 'a key is a string', 'bad key')
    tap.throws(function() d:set(bad, 1) end, 'a key is a string', 'bad key')
end
local most = ('k'):rep(65535)
tap.is(d:set(most, 1), true, 'the longest key')
tap.throws(function() d:set(most .. 'k', 1) end, '65535', 'one too long')
tap.is(d:delete(most), true, 'goes again')
for _, bad in ipairs({ -1, 0 / 0, 'x', {} }) do
    tap.throws(function() d:set('k', 1, bad) end, 'time to live', 'bad ttl')
end
tap.throws(function() d.get({}, 'k') end, 'shared dictionary', 'no dictionary')

-- conditions
d:flush()
tap.is(d:count(), 0, 'flushed')
tap.is(d:replace('a', 1), false, 'nothing to replace')
tap.is(d:add('a', 1), true, 'added')
tap.is(d:add('a', 2), false, 'not twice')
tap.is(d:get('a'), 1, 'the first stays')
tap.is(d:replace('a', 3), true, 'replaced')
tap.is(d:cas('a', 1, 4), false, 'another value')
tap.is(d:cas('a', 3LL, 4), true, 'numbers by value')
tap.is(d:cas('a', 4, { 5 }), true, 'a table for it')
tap.throws(function() d:cas('a', { 5 }, 6) end, 'version', 'no tables')
tap.throws(function() d:cas('a', nil, nil) end, 'both are nil', 'no nils')
tap.is(d:cas('a', nil, 7), false, 'something is there')
tap.is(d:cas('b', nil, 7), true, 'nothing was there')
tap.is(d:cas('b', 8, nil), false, 'another one is not taken out')
tap.is(d:cas('b', 7, nil), true, 'this one is')
tap.is(d:get('b'), nil, 'and gone')
tap.is(d:delete('a'), true, 'delete')
tap.is(d:delete('a'), false, 'delete what is not there')

-- incr
tap.is(d:incr('n', 5, 10), 15, 'init and n')
tap.is(d:incr('n', -0.5), 14.5, 'n')
d:set('n', 5LL)
tap.is(type(d:incr('n', 1)), 'cdata', 'keeps the type')
local sum
sum, err = d:incr('n', 0.5)
tap.ok(sum == nil and err.type == 'ClientError', 'a fraction does not fit')
sum, err = d:incr('n', 0x7fffffffffffffffLL)
tap.ok(sum == nil, 'nor does too much')
tap.is(d:get('n'), 6LL, 'nothing has changed')
sum, err = d:incr('none', 1)
tap.like(err, 'no such key', 'no init')
d:set('s', '1')
sum, err = d:incr('s', 1)
tap.like(err, 'no number', 'a string')
tap.throws(function() d:incr('n', 'x') end, 'n is a number', 'by a string')
tap.throws(function() d:incr('n') end, 'n is a number', 'by nothing')
tap.throws(function() d:incr('n', 1, {}) end, 'init is', 'init a table')

-- times
tap.is(d:ttl('none'), nil, 'ttl of nothing')
tap.is(d:ttl('n'), 0, 'for ever')
d:set('e', 1, 1000)
tap.ok(d:ttl('e') > 990 and d:ttl('e') <= 1000, 'ttl')
d:incr('e', 1, 0, 5)
tap.ok(d:ttl('e') > 990, 'incr keeps it')
tap.is(d:expire('e', 2000), true, 'expire')
tap.ok(d:ttl('e') > 1990, 'has changed it')
tap.is(d:expire('none', 1), false, 'expire nothing')
d:expire('e', 0.005)
d:set('f', 1, 0.005)
fiber.sleep(0.02)
tap.is(d:get('e'), nil, 'gone')
tap.is(d:add('f', 2), true, 'free for another')
tap.is(d:ttl('f'), 0, 'for ever')
for i = 1, 10 do d:set('x' .. i, i, 0.001) end
fiber.sleep(0.01)
tap.is(d:flush_expired(4), 4, 'flush some')
tap.ok(d:flush_expired() <= 6, 'flush the rest')
tap.is(d:flush_expired(), 0, 'nothing left')

-- keys, figures
d:flush()
for i = 1, 2000 do d:set('key' .. i, i) end
tap.is(d:count(), 2000, 'count')
tap.is(#d:keys(), 1024, 'keys: the default limit')
tap.is(#d:keys(7), 7, 'keys: a limit')
local seen, n = {}, 0
for _, key in ipairs(d:keys(1048576)) do
    n = n + (seen[key] and 0 or 1)
    seen[key] = true
end
tap.ok(n == 2000 and seen.key1 and seen.key2000, 'each once')
for _, bad in ipairs({ 0, -1, 0.5, 'x', 2 ^ 40 }) do
    tap.throws(function() d:keys(bad) end, 'keys', 'bad limit')
end
d:get('key1')
d:get('none')
local stat = d:stat()
tap.ok(stat.hits > 0 and stat.misses > 0 and stat.stores > 2000
    and stat.expired >= 10 and stat.evictions == 0, 'stat')
tap.ok(stat.size == d:size() and stat.free == d:free(), 'sizes')

-- want of room
local s = assert(shared.dict('small', { size = 65536 }))
local free = s:free()
local ok
ok, err = s:set('k', ('x'):rep(65536))
tap.ok(ok == nil and err.type == 'ClientError', 'larger than all')
do
    local small = shared.dict('entries', { size = 16384 })
    local room = small:free()
    for key, value in pairs({ [('k'):rep(20000)] = 1, k = ('v'):rep(16000) }) do
        local _, why = small:set(key, value)
        local takes, has = tostring(why):match('takes (%d+) bytes.* (%d+)$')
        tap.ok(tonumber(takes) >= #key + 8 and tonumber(takes) > room
            and tonumber(has) == room, 'the message compares: ' .. tostring(why))
    end
    tap.like(select(2, small:incr(('k'):rep(20000), 1, 1)), 'takes 20',
        'also of incr()')
end
tap.like(err, "'small'.*65536", 'and says so')
local large = {}
for i = 1, 10000 do large[i] = 'text' .. i end
ok, err = s:set('k', large)
tap.ok(ok == nil, 'a table larger than all: ' .. tostring(err))
tap.is(s:free(), free, 'nothing was stored')
s:set('kept', 1)
for i = 1, 5000 do
    s:set('k' .. i, ('v'):rep(50))
    s:get('kept')
end
tap.is(s:get('kept'), 1, 'what is used stays')
tap.ok(s:stat().evictions > 4000 and s:get('k5000') and not s:get('k1'),
    'what is old went')
s:flush()
tap.is(s:free(), free, 'all is free')

-- a value is got while finalizers get others
local wrong = 0
for i = 1, 300 do
    ffi.gc(ffi.new('char[1]'), function() d:get('fin') d:get('t') end)
    d:set('fin', ('f'):rep(3000))
    d:set('g', ('g'):rep(5000 + i))
    d:set('t', { ('t'):rep(2000), i })
    if d:get('g') ~= ('g'):rep(5000 + i) or d:get('t')[2] ~= i then
        wrong = wrong + 1
    end
end
tap.is(wrong, 0, 'finalizers do not disturb')

tap.done()
