-- The module msgpack: bytes for values, values for bytes, wrong bytes.
local ffi = require('ffi')
local msgpack = require('msgpack')
local tap = require('tap')

local function hex(s)
    return (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end))
end

local function unhex(s)
    return (s:gsub('%s', ''):gsub('..', function(c)
        return string.char(tonumber(c, 16))
    end))
end

ffi.cdef('struct port_test_point { int x; }')

-- Encoding: value, bytes.
local encodes = {
    { nil, 'c0' }, { msgpack.NULL, 'c0' }, { ffi.new('char *'), 'c0' },
    { true, 'c3' }, { false, 'c2' }, { ffi.new('bool', true), 'c3' },
    { 0, '00' }, { -0, '00' }, { 127, '7f' }, { 128, 'cc80' }, { 255, 'ccff' },
    { 256, 'cd0100' }, { 65536, 'ce00010000' }, { 2 ^ 32, 'cf0000000100000000' },
    { -1, 'ff' }, { -32, 'e0' }, { -33, 'd0df' }, { -129, 'd1ff7f' },
    { -2 ^ 31, 'd280000000' }, { -2 ^ 31 - 1, 'd3ffffffff7fffffff' },
    { 2 ^ 53, 'cf0020000000000000' }, { -2 ^ 63, 'd38000000000000000' },
    { 2 ^ 63, 'cf8000000000000000' }, { 2 ^ 64, 'cb43f0000000000000' },
    { 1.5, 'cb3ff8000000000000' }, { 1 / 0, 'cb7ff0000000000000' },
    { -1 / 0, 'cbfff0000000000000' },
    { 1LL, '01' }, { -1LL, 'ff' }, { 18446744073709551615ULL, 'cfffffffffffffffff' },
    { -9223372036854775807LL - 1, 'd38000000000000000' },
    { ffi.new('int8_t', -5), 'fb' }, { ffi.new('uint16_t', 500), 'cd01f4' },
    { ffi.new('int', 7), '07' }, { ffi.new('float', 0.5), 'ca3f000000' },
    { ffi.new('double', 0.5), 'cb3fe0000000000000' },
    { '', 'a0' }, { 'x', 'a178' }, { ('x'):rep(31), 'bf' .. ('78'):rep(31) },
    { ('x'):rep(32), 'd920' .. ('78'):rep(32) },
    { ('x'):rep(256), 'da0100' .. ('78'):rep(256) }, { '\0\255', 'a200ff' },
    { {}, '90' }, { { 1, 2 }, '920102' }, { { a = 1 }, '81a16101' },
    { { 1, nil, 3 }, '9301c003' }, { { [2] = 1 }, '92c001' },
    { { [0] = 1 }, '810001' }, { { [1.5] = 1 }, '81cb3ff800000000000001' },
    { { [true] = 1 }, '81c301' }, { { [1] = 1, [20] = 2 }, nil },
    { { {}, { {} } }, '92909190' },
    { setmetatable({}, msgpack.map_mt), '80' },
    { setmetatable({ 1 }, msgpack.map_mt), '810101' },
    { setmetatable({ a = 1 }, msgpack.array_mt), '90' },
    { msgpack.ext(7, 'a'), 'd40761' }, { msgpack.ext(-1, ''), 'c700ff' },
}
for i, case in ipairs(encodes) do
    local bytes = hex(msgpack.encode(case[1]))
    if case[2] ~= nil then
        tap.is(bytes, case[2], ('encode case %d'):format(i))
    end
end
for n, head in pairs { [15] = '9f', [16] = 'dc0010', [65535] = 'dcffff',
                       [65536] = 'dd00010000' } do
    local t = {}
    for i = 1, n do
        t[i] = false
    end
    tap.is(hex(msgpack.encode(t)), head .. ('c2'):rep(n), n .. ' elements')
end

-- A very sparse array is a map; both of its keys are there.
do
    local t = msgpack.decode(msgpack.encode({ [1] = 'a', [20] = 'b' }))
    tap.is(getmetatable(t), msgpack.map_mt, 'a sparse array becomes a map')
    tap.same(t, { [1] = 'a', [20] = 'b' }, 'with its keys')
end

-- Decoding: bytes, value.
local decodes = {
    { 'c0', msgpack.NULL }, { 'c3', true }, { '7f', 127 }, { 'ff', -1 },
    { 'cf0020000000000000', 2 ^ 53 }, { 'd3ffe0000000000000', -2 ^ 53 },
    { 'cf0020000000000001', 9007199254740993ULL },
    { 'd3ffdfffffffffffff', -9007199254740993LL },
    { 'cfffffffffffffffff', 18446744073709551615ULL },
    { 'ca3f000000', 0.5 }, { 'cb3fe0000000000000', 0.5 },
    { 'cb7ff0000000000000', 1 / 0 }, { 'a178', 'x' }, { 'c40178', 'x' },
    { 'a0', '' }, { 'c400', '' }, { 'd9020061', '\0a' },
}
for _, case in ipairs(decodes) do
    local value, next = msgpack.decode(unhex(case[1]))
    tap.ok(value == case[2] and type(value) == type(case[2]),
        'decode ' .. case[1])
    tap.is(next, #case[1] / 2 + 1, 'offset behind ' .. case[1])
end
do
    local nan = msgpack.decode(unhex('cbffffffffffffffff'))
    tap.ok(nan ~= nan and type(nan) == 'number', 'a NaN with a payload is NaN')
    tap.same(msgpack.decode(unhex('82 a161 92 01 80 c0 02')),
        { a = { 1, {} }, [msgpack.NULL] = 2 }, 'containers, and null as a key')
    tap.same(msgpack.decode(unhex('83 01 02 c3 03 cb3ff8000000000000 04')),
        { [1] = 2, [true] = 3, [1.5] = 4 }, 'keys that are no strings')
    local t = msgpack.decode(unhex('9201c0'))
    tap.ok(#t == 2 and t[2] == nil and rawequal(t[2], msgpack.NULL),
        'null fills its place')
    local ext = msgpack.decode(unhex('c703fe616263'))
    tap.is(ext.type, -2, 'ext type')
    tap.is(ext.data, 'abc', 'ext data')
    tap.is(ext, msgpack.ext(-2, 'abc'), 'ext values are equal by content')
    tap.isnt(ext, msgpack.ext(-3, 'abc'), 'and differ by type')
    tap.is(hex(msgpack.encode({ ext })), '91c703fe616263', 'and go out again')
    tap.is(ext.nothing, nil, 'ext has no other fields')
    tap.is(getmetatable(ext), false, 'nor a metatable to touch')
end

-- Offsets.
do
    local s = msgpack.encode(1) .. msgpack.encode({ 2 }) .. msgpack.encode('x')
    local values, at, v = {}, 1
    while at <= #s do
        v, at = msgpack.decode(s, at)
        values[#values + 1] = v
    end
    tap.same(values, { 1, { 2 }, 'x' }, 'a stream of values')
    for _, offset in ipairs { 0, #s + 1, -1, 1.5, 0 / 0, 2 ^ 60 } do
        tap.throws(function() msgpack.decode(s, offset) end, 'out of bounds',
            'offset ' .. offset)
    end
    tap.throws(function() msgpack.decode(s, 'x') end, 'usage', 'offset text')
    tap.throws(function() msgpack.decode() end, 'usage', 'no argument')
    tap.throws(function() msgpack.decode(1) end, 'usage', 'a number')
    tap.throws(function() msgpack.decode('') end, 'out of bounds', 'no bytes')
    tap.throws(function() msgpack.encode() end, 'usage', 'nothing to encode')
    tap.throws(function() msgpack.ext(128, '') end, 'usage', 'ext type 128')
    tap.throws(function() msgpack.ext(1) end, 'usage', 'ext without data')
end

-- Bytes that are no msgpack.
for bytes, message in pairs {
    ['c1'] = 'no value begins', ['91'] = 'cut short',
    ['9301'] = 'more elements', ['dd ffffffff'] = 'more elements',
    ['df ffffffff'] = 'more elements', ['db ffffffff'] = 'cut short',
    ['c9 ffffffff 01'] = 'longer than', ['a2 61'] = 'cut short',
    ['81 cb7ff8000000000000 01'] = 'NaN',
    [('91'):rep(129) .. '01'] = 'deeper than 128',
    [('91'):rep(128) .. '90'] = 'deeper than 128',
} do
    tap.throws(function() msgpack.decode(unhex(bytes)) end, message,
        'refused: ' .. bytes:sub(1, 20))
    tap.throws(function() msgpack.decode_unchecked(unhex(bytes)) end, message,
        'decode_unchecked checks: ' .. bytes:sub(1, 20))
end
tap.ok(pcall(msgpack.decode, unhex(('91'):rep(128) .. '01')), '128 levels pass')

-- A count that lies does not reserve memory.
do
    collectgarbage()
    local before = collectgarbage('count')
    for _ = 1, 1000 do
        pcall(msgpack.decode, unhex('dd7fffffff00'))
    end
    tap.ok(collectgarbage('count') - before < 1000, 'hostile counts are cheap')
end
tap.done()
