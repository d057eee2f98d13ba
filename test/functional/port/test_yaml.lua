-- The module yaml: documents for values, values for documents.
local yaml = require('yaml')
local tap = require('tap')

local function lines(...)
    return table.concat({ ... }, '\n') .. '\n'
end

local flow = { __serialize = 'seq' }
for _, case in ipairs {
    { 1, lines('--- 1', '...') }, { nil, lines('--- null', '...') },
    { {}, lines('--- []', '...') }, { { 1 }, lines('---', '- 1', '...') },
    { { { 1, { 2, 3 } } }, lines('---', '- - 1', '  - - 2', '    - 3', '...') },
    { { a = { b = { 1, 2 } } },
      lines('---', 'a:', '  b:', '  - 1', '  - 2', '...') },
    { { { a = 1 } }, lines('---', '- a: 1', '...') },
    { { a = {} }, lines('---', 'a: []', '...') },
    { { true, yaml.NULL, 1.5, -5LL, 0 / 0, 1 / 0 },
      lines('---', '- true', '- null', '- 1.5', '- -5', '- nan', '- inf', '...') },
    { { 'null', '12', 'y', 'no', '', 'a b', 'a: b' },
      lines('---', "- 'null'", "- '12'", "- 'y'", "- 'no'", "- ''", '- a b',
          "- 'a: b'", '...') },
    { 'a\nb\n', lines('--- |', '  a', '  b', '...') },
    { '\255', lines('--- !!binary /w==', '...') },
    { setmetatable({ 1, 'a', { b = 'c' } }, flow),
      lines("--- [1, 'a', {'b': 'c'}]", '...') },
    { setmetatable({ 1 }, { __serialize = 'map' }), lines('--- {1: 1}', '...') },
    { setmetatable({ 1 }, { __serialize = 'mapping' }),
      lines('---', '1: 1', '...') },
    { setmetatable({ 1 }, { __serialize = 'sequence' }),
      lines('---', '- 1', '...') },
    { { [{ 1 }] = 2 }, lines('---', '? - 1', ': 2', '...') },
} do
    tap.is(yaml.encode(case[1]), case[2], 'encode ' .. case[2]:gsub('\n', ' '))
end

-- A table that comes again, and one that contains itself.
do
    local t = { 1 }
    tap.is(yaml.encode({ t, t, { t } }),
        lines('---', '- &0', '  - 1', '- *0', '- - *0', '...'), 'aliases')
    tap.is(yaml.encode({ {}, {} }), lines('---', '- []', '- []', '...'),
        'equal tables are not the same')
    local loop = {}
    loop.me = loop
    tap.is(yaml.encode(loop), lines('--- &0', 'me: *0', '...'), 'a loop')
    local back = yaml.decode(yaml.encode(loop))
    tap.ok(rawequal(back.me, back), 'which comes back')
    -- What __serialize gives for one object is one table, made once.
    local calls = 0
    local object = setmetatable({}, { __serialize = function()
        calls = calls + 1
        return { calls }
    end })
    tap.is(yaml.encode({ object, object }),
        lines('---', '- &0', '  - 1', '- *0', '...'), '__serialize and aliases')
    tap.is(calls, 1, '__serialize is called once')
    local keyed = {}
    tap.is(yaml.encode({ [keyed] = keyed }), lines('---', '&0 []: *0', '...'),
        'a key that is its value')
end

for text, values in pairs {
    ['1'] = { 1 }, [''] = {}, ['--- 1\n--- [2]\n...\n'] = { 1, { 2 } },
    ['a: 1\nb: [x, ~]'] = { { a = 1, b = { 'x', yaml.NULL } } },
    ['y: n'] = { { y = 'n' } }, ['yes: no'] = { { [true] = false } },
    ['- 0x10\n- 014\n- 1e3\n- .inf\n- "5"\n-'] =
        { { 16, 14, 1000, 1 / 0, '5', '' } },
    ['!!binary aGk='] = { 'hi' }, ['!!str 5'] = { '5' },
    ['18446744073709551615'] = { 18446744073709551615ULL },
    ['? [1]\n: x'] = false,
} do
    if values then
        tap.same({ yaml.decode(text) }, values, 'decode ' .. text)
    end
end
do
    local k, v = next(yaml.decode('? [1]\n: x'))
    tap.ok(type(k) == 'table' and k[1] == 1 and v == 'x', 'a table as a key')
    local t = yaml.decode('a: &x [1]\nb: *x\nc: {d: *x}')
    tap.ok(rawequal(t.a, t.b) and rawequal(t.a, t.c.d), 'aliases are one table')
    local s = yaml.decode('- &a word\n- *a')
    tap.is(s[2], 'word', 'alias of a scalar')
    tap.same({ yaml.decode('&a 1\n--- [&a 2, *a]') }, { 1, { 2, 2 } },
        'each document has its own anchors')
    tap.is(select('#', yaml.decode(('--- 1\n'):rep(3000))), 3000,
        'many documents')
end

for text, message in pairs {
    ['a: b: c'] = 'document: 1, line: 1, column: 5', ['[1'] = 'line: 2',
    ['*x'] = 'invalid reference: x', ['!!int x'] = '!!int',
    ['"\\q"'] = 'escape', ['\255'] = 'UTF%-8', [('['):rep(129)] = 'too deep',
    ['--- 1\n--- ['] = 'document: 2', ['.nan: 1'] = 'NaN cannot be a key',
    [('--- 1\n'):rep(70000)] = 'Lua stack',
} do
    tap.throws(function() yaml.decode(text) end, message,
        'refused ' .. text:sub(1, 20))
end
tap.throws(function() yaml.decode((' '):rep(64 * 2 ^ 20 + 1)) end, 'the limit is',
    'a text too long')
do
    local bomb = { 'a0: &a0 [x,x,x,x,x,x,x,x,x]' }
    for i = 1, 30 do
        bomb[i + 1] = ('a%d: &a%d [*a%d,*a%d,*a%d]'):format(i, i, i - 1, i - 1,
            i - 1)
    end
    local t = yaml.decode(table.concat(bomb, '\n', 1, 8))
    tap.ok(rawequal(t.a7[1], t.a6), 'aliases are one table in Lua')
    tap.throws(function() yaml.decode(table.concat(bomb, '\n')) end,
        'aliases up to here .* larger than the limit',
        'but not for what nobody could print')
    tap.throws(function()
        yaml.encode(setmetatable({}, { __serialize = function()
            return setmetatable({}, { __serialize = function(self)
                return self
            end })
        end }))
    end, 'never a plain value', '__serialize in circles')
end

-- Tags of documents.
do
    local text = yaml.encode({ 1 }, { tag_handle = '!push!',
        tag_prefix = 'tag:example.org,2018:push' })
    tap.is(text, lines('%TAG !push! tag:example.org,2018:push', '---', '- 1',
        '...'), 'a tag')
    tap.same({ yaml.decode(text, { tag_only = true }) },
        { '!push!', 'tag:example.org,2018:push' }, 'tag_only')
    tap.same({ yaml.decode('- 1', { tag_only = true }) }, {}, 'no tag')
    tap.same({ yaml.decode(text) }, { { 1 } }, 'the value is there as well')
    tap.throws(function() yaml.encode(1, { tag_handle = '!x!' }) end, 'together',
        'half a tag')
    tap.throws(function()
        yaml.encode(1, { tag_handle = 'x', tag_prefix = 'y' })
    end, 'tag handle', 'a wrong tag')
end
tap.throws(function() yaml.encode() end, 'usage', 'nothing to encode')
tap.throws(function() yaml.decode() end, 'usage', 'nothing to decode')
tap.throws(function() yaml.encode(require('msgpack').ext(1, 'x')) end, 'type 1',
    'extension values have no YAML')
tap.is(yaml.encode(0.1, { encode_number_precision = 17 }),
    lines('--- 0.10000000000000001', '...'), 'options of a call')
tap.done()
