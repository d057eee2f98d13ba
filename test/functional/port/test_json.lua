-- The module json: text for values, values for text.
local ffi = require('ffi')
local json = require('json')
local tap = require('tap')

for _, case in ipairs {
    { nil, 'null' }, { json.NULL, 'null' }, { true, 'true' }, { 1, '1' },
    { -0, '0' }, { 1.5, '1.5' }, { 1e15, '1000000000000000' },
    { 2 ^ 63, '9223372036854775808' }, { 1e100, '1e+100' },
    { 1 / 3, '0.33333333333333' }, { 0 / 0, 'nan' }, { -1 / 0, '-inf' },
    { 18446744073709551615ULL, '18446744073709551615' }, { -5LL, '-5' },
    { ffi.new('float', 0.5), '0.5' }, { 'a/b', '"a/b"' },
    { 'é"\\\n\0\127', '"é\\"\\\\\\n\\u0000\\u007f"' }, { '\255', '"\239\191\189"' },
    { {}, '[]' }, { { 1, { 2 } }, '[1,[2]]' }, { { a = {} }, '{"a":[]}' },
    { { 1, nil, 3 }, '[1,null,3]' }, { { [10] = 1 }, nil },
    { { [1] = 'a', [20] = 'b' }, nil }, { setmetatable({}, json.map_mt), '{}' },
    { setmetatable({ 5 }, json.map_mt), '{"1":5}' },
    { { [-1] = 1 }, '{"-1":1}' }, { { [5LL] = 1 }, '{"5":1}' },
} do
    local text = json.encode(case[1])
    if case[2] ~= nil then
        tap.is(text, case[2], 'encode ' .. case[2])
    end
end
tap.is(json.encode({ [10] = 1 }), '[' .. ('null,'):rep(9) .. '1]',
    'holes up to index 10')

for text, value in pairs {
    ['1'] = 1, [' [1, 2] '] = { 1, 2 }, ['{"a":{"b":null}}'] =
        { a = { b = json.NULL } }, ['"\\u20ac\\ud83d\\ude00"'] = '€😀',
    ['9007199254740993'] = 9007199254740993LL, ['-0'] = 0,
    ['18446744073709551615'] = 18446744073709551615ULL, ['1e3'] = 1000,
    ['{"a":1,"a":2}'] = { a = 2 }, ['inf'] = 1 / 0, ['-Infinity'] = -1 / 0,
    ['[]'] = {}, ['{"":[]}'] = { [''] = {} },
} do
    tap.same({ json.decode(text) }, { value }, 'decode ' .. text)
end
tap.is(json.decode(12), 12, 'a number is its text')
tap.ok(json.decode('nan') ~= json.decode('nan'), 'nan')

for text, place in pairs {
    [''] = 'line 1 at character 1', ['[1,'] = 'character 4',
    ['[1,\n x]'] = 'line 2 at character 2', ['{"a":}'] = 'character 6',
    ['[1] x'] = 'expected the end on line 1 at character 5',
    ['"\255"'] = 'UTF%-8', ['"\\ud800"'] = 'surrogate',
    ['"a\nb"'] = 'control character', [('['):rep(129)] = 'too deep',
    ['01'] = 'begin with 0',
} do
    tap.throws(function() json.decode(text) end, place, 'refused ' .. text)
end
tap.ok(pcall(json.decode, ('['):rep(128) .. (']'):rep(128)), '128 levels')

-- What it was, it is again: an empty map is no array.
for _, text in ipairs { '{}', '[]', '{"a":[]}', '[{},[{}]]' } do
    tap.is(json.encode(json.decode(text)), text, 'round trip of ' .. text)
end

for name, case in pairs {
    ['a boolean'] = { [true] = 1 }, ['a fraction'] = { [1.5] = 1 },
    ['an array'] = { [{}] = 1 }, ['null'] = { [json.NULL] = 1 },
} do
    tap.throws(function() json.encode(case) end,
        'map key must be a string or an integer, not ' .. name, 'key: ' .. name)
end
tap.throws(function() json.encode(require('msgpack').ext(3, 'x')) end,
    'type 3', 'extension values have no JSON')
tap.throws(function() json.encode() end, 'usage', 'nothing to encode')
tap.throws(function() json.decode() end, 'usage', 'nothing to decode')
tap.throws(function() json.decode({}) end, 'usage', 'a table to decode')

-- Options, of a call and of an instance.
tap.is(json.encode(1 / 3, { encode_number_precision = 3 }), '0.333', 'precision')
tap.is(json.encode(0.1, { encode_number_precision = 17 }), '0.10000000000000001',
    'full precision')
tap.throws(function() json.encode('\255', { encode_invalid_utf8 = 'error' }) end,
    'offset 0', 'invalid UTF-8 refused')
tap.is(json.encode('\255', { encode_invalid_utf8 = 'pass' }), '"\255"',
    'invalid UTF-8 passed')
tap.throws(function() json.encode({ 0 / 0 }, { encode_invalid_numbers = false }) end,
    "NaN or infinite, at '%[1%]'", 'NaN refused')
tap.is(json.encode({ 1 / 0 }, { encode_invalid_numbers = false,
    encode_invalid_as_nil = true }), '[null]', 'NaN as null')
tap.throws(function() json.decode('nan', { decode_invalid_numbers = false }) end,
    'NaN', 'nan refused')
tap.throws(function() json.decode('[[1]]', { decode_max_depth = 1 }) end,
    'too deep', 'depth of a call')
tap.is(getmetatable(json.decode('{}', { decode_save_metatables = false })), nil,
    'no metatables')
for name, value in pairs {
    encode_max_depth = 129, decode_max_depth = 0, encode_number_precision = 18,
    encode_invalid_numbers = 1, encode_invalid_utf8 = 'maybe',
    encode_sparse_ratio = 'x', encode_sparse_safe = -1,
} do
    tap.throws(function() json.encode(1, { [name] = value }) end, name,
        'wrong option ' .. name)
    tap.throws(function() json.cfg { [name] = value } end, name,
        'wrong setting ' .. name)
end
do
    local other = json.new()
    other.cfg { encode_number_precision = 2, decode_save_metatables = false }
    tap.is(other.encode(1 / 3), '0.33', 'an instance has its own options')
    tap.is(other.cfg.encode_number_precision, 2, 'and shows them')
    tap.is(json.encode(1 / 3), '0.33333333333333', 'the module keeps its own')
    tap.is(json.cfg.encode_number_precision, 14, 'and shows them')
    tap.ok(rawequal(other.NULL, json.NULL) and rawequal(json.null, json.NULL),
        'there is one null')
    tap.ok(json.NULL == nil, 'null equals nil')
    tap.throws(function() json.cfg() end, 'usage', 'cfg without options')
end
tap.done()
