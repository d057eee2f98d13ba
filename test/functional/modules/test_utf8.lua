-- The module utf8: names and answers of Tarantool's documentation.
-- test: variants
local tap = require('tap')

tap.is(require('utf8'), utf8, 'a global, too')
local utf8 = require('utf8')

-- case
for _, case in ipairs({
    { '', '', '' }, { 'aBc 1', 'ABC 1', 'abc 1' },
    { 'Тёплый', 'ТЁПЛЫЙ', 'тёплый' },
    { 'Straße', 'STRASSE', 'straße' },
    { 'ΟΔΟΣ σ', 'ΟΔΟΣ Σ', 'οδος σ' },
    { 'ﬁ', 'FI', 'ﬁ' }, { 'İ', 'İ', 'i̇' },
    { 'a\xffb\xe2\x82', 'A\xffB\xe2\x82', 'a\xffb\xe2\x82' },
    { 'a\0b', 'A\0B', 'a\0b' },
    { 12, '12', '12' },
}) do
    tap.is(utf8.upper(case[1]), case[2], 'upper: ' .. case[1])
    tap.is(utf8.lower(case[1]), case[3], 'lower: ' .. case[1])
end
-- What grows most, and texts of many pieces: cut between words, or characters.
tap.ok(utf8.upper(('\xce\x90'):rep(50000)) == ('\xce\x99\xcc\x88\xcc\x81'):rep(50000),
    'three times as long')
for _, word in ipairs({ 'слово ', 'слово', '日', 'aя', '\xff' }) do
    local text = ('x' .. word):rep(30000)
    tap.ok(utf8.lower(utf8.upper(text)) == text, 'a long text of ' .. word)
end

-- lengths
local text = 'aя日\xf0\x9f\x98\x80' -- 1 + 2 + 3 + 4 bytes
tap.is(utf8.len(text), 4, 'len')
tap.is(utf8.len(''), 0, 'of nothing')
for _, case in ipairs({ { 2, nil, 3 }, { 2, 2, 1 }, { 2, 4, 2 }, { 1, 0, 0 }, { -4, nil, 1 },
    { 11, nil, 0 }, { 1, -5, 3 }, { 4, 2, 0 } }) do
    tap.is(utf8.len(text, case[1], case[2]), case[3], ('len from %d to %s'):format(case[1],
        tostring(case[2])))
end
local function both(...)
    return select('#', ...) .. ': ' .. tostring((...)) .. ', ' .. tostring((select(2, ...)))
end
tap.is(both(utf8.len('ab\xffc')), '2: nil, 3', 'the place of what is none')
tap.is(both(utf8.len(text, 3)), '2: nil, 3', 'inside a character')
for _, case in ipairs({ { 0 }, { 12 }, { -11 }, { 1, 11 } }) do
    tap.is(both(utf8.len(text, case[1], case[2])), '2: nil, position is out of string', 'out')
end

-- one after the other
local seen = {}
for position, code in utf8.next, text do
    seen[#seen + 1] = position .. ':' .. code
end
tap.is(table.concat(seen, ' '), '2:97 4:1103 7:26085 11:128512', 'next')
tap.is(select('#', utf8.next(text, 11)), 0, 'at the end')
tap.is(select('#', utf8.next(text, 3)), 0, 'inside a character')
tap.is(utf8.next(text, -4), 11, 'from the end')
tap.is(utf8.char(97, 1103, 26085, 128512), text, 'char')
tap.is(utf8.char(0), '\0', 'of 0')
for _, bad in ipairs({ -1, 0x110000, 1e10, 'x' }) do
    tap.throws(function() utf8.char(97, bad) end, 'bad argument #2', 'char of ' .. bad)
end

-- parts
for _, case in ipairs({ { 1, nil, text }, { 2, nil, text:sub(2) }, { 2, 3, 'я日' },
    { -1, nil, text:sub(7) }, { -3, -2, 'я日' }, { 0, 1, 'a' }, { 3, 2, '' }, { 5, nil, '' },
    { -100, 100, text }, { 2, -3, 'я' }, { -2, 3, '日' }, { 1, 0, '' }, { 1, -100, '' } }) do
    tap.is(utf8.sub(text, case[1], case[2]), case[3], ('sub from %d to %s'):format(case[1],
        tostring(case[2])))
end
tap.is(utf8.sub('a\xff\xffb', 2, 3), '\xff\xff', 'what is none counts, too')

-- kinds
for name, cases in pairs({
    isalpha = { 'a', 'Я', 'ß', '日', 'ª' }, isdigit = { '0', '٣' },
    islower = { 'a', 'я', 'ß' }, isupper = { 'A', 'Я' },
}) do
    for _, char in ipairs(cases) do
        tap.is(utf8[name](char), true, name .. ': ' .. char)
        tap.is(utf8[name](select(2, utf8.next(char))), true, 'by its number')
    end
    for _, other in ipairs({ '', 'ab', '_', '\xff', ' ', -1, 0x110000, 0.5, 1e300 }) do
        tap.is(utf8[name](other), false, name .. ' not: ' .. tostring(other))
    end
end
tap.is(utf8.isdigit('²'), false, 'no decimal digit')
tap.is(utf8.islower('A'), false, 'not in lower case')

-- misuse
for _, call in ipairs({ { 'upper' }, { 'upper', 'a', 'b' }, { 'lower', {} }, { 'len' },
    { 'len', {} }, { 'len', 'a', 1, 1, 1 }, { 'next' }, { 'next', 'a', 1, 1 }, { 'sub', 'a' },
    { 'isalpha' }, { 'isupper', 'a', 'b' }, { 'char' } }) do
    tap.throws(function() utf8[call[1]](unpack(call, 2)) end, 'Usage: utf8.' .. call[1],
        table.concat({ call[1], #call - 1 }, ' with '))
end
tap.throws(function() utf8.sub('a', 'x') end, 'bad argument #2', 'no position')
tap.done()
