-- What scripts written for Tarantool find in Lua's own tables: its answers.
local fiber = require('fiber')
local tap = require('tap')

local function refused(text, f, ...)
    local ok, err = pcall(f, ...)
    tap.ok(not ok and err:find(text, 1, true), text)
end

-- split
tap.same((''):split('z'), { '' }, 'nothing is one part')
tap.same(('a'):split('a'), { '', '' }, 'nothing before and behind')
tap.same(('a**b*'):split('**'), { 'a', 'b*' }, 'a plain text')
tap.same((' 1  2 '):split(' '), { '', '1', '', '2', '' }, 'each space')
tap.same((' 1 \t\n 2 '):split(), { '1', '2' }, 'spaces')
tap.same((' '):split(), {}, 'nothing but spaces')
tap.same(('a:b:c:d'):split(':', 2), { 'a', 'b', 'c:d' }, 'the rest')
tap.same(('a:b'):split(':', 0), { 'a:b' }, 'all is the rest')
tap.same(('  a b  c '):split(nil, 1), { 'a', 'b  c ' }, 'the rest behind spaces')
tap.same(('a\0b'):split('\0'), { 'a', 'b' }, 'a NUL')
refused("bad argument #1 to 'string.split' (string expected, got number)", string.split, 1)
refused('#2 to \'string.split\' (string expected, got number)', string.split, 'a', 1)
refused('(non-empty string expected, got empty string)', string.split, 'a', '')
refused('#3 to \'string.split\' (positive integer expected', string.split, 'a', 'b', -1)

-- ljust, rjust, center
for _, case in ipairs({
    { 'ljust', 'help  ', 6 }, { 'rjust', '  help', 6 }, { 'center', ' help ', 6 },
    { 'ljust', 'help', 3 }, { 'rjust', 'help', 0 }, { 'center', 'help', 4 },
    { 'ljust', 'help.', 5, '.' }, { 'rjust', '.help', 5, '.' },
    { 'center', 'help.', 5, '.' }, { 'center', '.help..', 7, '.' },
}) do
    tap.is(string[case[1]]('help', case[3], case[4]), case[2],
        case[1] .. ' to ' .. case[3])
end
refused('#1 to \'string.ljust\' (string expected', string.ljust, 5, 5)
refused('#2 to \'string.rjust\' (positive integer expected', string.rjust, 'a', -1)
refused('#2 to \'string.center\' (positive integer expected', string.center, 'a', 1.5)
refused('#3 to \'string.center\' (char expected, got string)', string.center, 'a', 5, 'xx')
refused('#3 to \'string.ljust\' (char expected, got string)', string.ljust, 'a', 5, '')
refused('test_extensions.lua:', function() return (('a'):ljust('x')) end)

-- startswith, endswith
for _, case in ipairs({
    { true, 'startswith', '' }, { true, 'startswith', '12' },
    { false, 'startswith', '2' }, { false, 'startswith', '123456' },
    { true, 'startswith', '234', 2 }, { true, 'startswith', '123', -5, -3 },
    { false, 'startswith', '123', 1, 2 }, { true, 'startswith', '45', 4, 100 },
    { false, 'startswith', '1', 0 }, { false, 'startswith', '1', -9 },
    { true, 'startswith', '', 9 }, { true, 'startswith', '', 3, 1 },
    { true, 'endswith', '' }, { true, 'endswith', '45' }, { false, 'endswith', '4' },
    { true, 'endswith', '345', 3, 5 }, { true, 'endswith', '345', -3, -1 },
    { false, 'endswith', '345', 4, 5 }, { false, 'endswith', '345', 1, 4 },
    { true, 'endswith', '1', -100, 1 }, { true, 'endswith', '12345', 0, 100 },
    { true, 'endswith', '', 9 },
}) do
    tap.is(string[case[2]]('12345', case[3], case[4], case[5]), case[1],
        ('%s %s %s %s'):format(case[2], case[3], tostring(case[4]), tostring(case[5])))
end
refused('#2 to \'string.startswith\' (string expected, got table)', string.startswith,
    'a', {})
refused('#3 to \'string.endswith\' (integer expected', string.endswith, 'a', 'a', 'x')

-- hex
local all = {}
for i = 0, 255 do
    all[#all + 1] = string.char(i)
end
all = table.concat(all)
tap.is(('hi\0\255'):hex(), '686900ff', 'hex')
tap.is(all:hex():fromhex(), all, 'and back')
tap.is(all:hex():upper():fromhex(), all, 'of the other case')
tap.is(('aAbBfF'):fromhex(), '\170\187\255', 'of both')
tap.is((''):hex() .. (''):fromhex(), '', 'nothing')
tap.is(select('#', ('ab'):hex()) + select('#', ('ab'):fromhex()), 2, 'one value')
refused('(even amount of chars expected, got odd amount)', string.fromhex, 'abc')
refused('(hex string expected, got non hex chars)', string.fromhex, 'xx')
refused('#1 to \'string.hex\' (string expected, got number)', string.hex, 12)

-- strip
tap.is(('  a b \n'):strip(), 'a b', 'strip')
tap.is(('  a b \n'):lstrip(), 'a b \n', 'lstrip')
tap.is(('  a b \n'):rstrip(), '  a b', 'rstrip')
tap.is((' \t\v'):strip() .. (' '):lstrip() .. (' '):rstrip(), '', 'all of it')
tap.is((''):strip(), '', 'nothing')
tap.is(('%a%'):strip('%'), 'a', 'what is none of a pattern')
tap.is(('\0#a#\0'):strip('#\0'), 'a', 'several, a NUL')
tap.is((' a '):strip(''), ' a ', 'no characters')
tap.is(select('#', (' a '):strip()), 1, 'one value')
refused('#1 to \'string.strip\' (string expected, got number)', string.strip, 12)
refused('#2 to \'string.rstrip\' (string expected, got number)', string.rstrip, 'a', 12)

-- copy
local t = { { 1 }, key = { 2 } }
local copy = table.deepcopy(t)
tap.same(copy, t, 'deepcopy')
tap.ok(copy ~= t and copy[1] ~= t[1] and copy.key ~= t.key, 'is another')
copy = table.copy(t, true)
tap.ok(copy ~= t and copy[1] == t[1], 'a shallow copy')
tap.ok(table.copy(t)[1] ~= t[1] and table.copy(t, 1)[1] ~= t[1], 'a copy is deep')
t[2], t[3], t.me = t[1], { t }, t
copy = table.deepcopy(t)
tap.ok(copy.me == copy and copy[3][1] == copy and copy[1] == copy[2], 'of itself')
local meta = { __copy = function(self, ...)
    return { copied = self, more = select('#', ...) }
end }
t = setmetatable({}, meta)
for _, f in ipairs({ table.deepcopy, table.copy, function(x)
    return table.copy(x, true)
end }) do
    tap.same(f(t), { copied = t, more = 0 }, '__copy')
end
tap.is(table.deepcopy({ t })[1].copied, t, '__copy inside')
tap.is(table.copy({ t }, true)[1], t, 'not in a shallow one')
meta = { x = 1 }
tap.is(getmetatable(table.deepcopy({ setmetatable({}, meta) })[1]), meta, 'metatables')
tap.is(getmetatable(table.copy(setmetatable({}, meta), true)), meta, 'and shallow')
tap.is(table.copy(5), 5, 'no table')
tap.is(table.deepcopy('x'), 'x', 'nor this')

-- tonumber64
for _, case in ipairs({
    { '123', 123 }, { ' -12 ', -12 }, { '+5', 5 }, { '0x1F', 31 }, { '0b11', 3 },
    { '-0x1', -1 }, { '123ULL', 123 }, { '123ll', 123 },
    { '9007199254740991', 9007199254740991 },
    { '9007199254740993', 9007199254740993ULL },
    { '18446744073709551615', 18446744073709551615ULL },
    { '-9223372036854775808', -9223372036854775807LL - 1 },
    { '0xffffffffffffffff', 18446744073709551615ULL },
    { 'ff', 255, 16 }, { '0x1F', 31, 16 }, { '-ff', -255, 16 }, { 'zz', 1295, 36 },
    { '101', 5, 2 }, { 1.5, 1.5 }, { 5LL, 5LL }, { 5ULL, 5ULL },
}) do
    local n = tonumber64(case[1], case[3])
    tap.ok(n == case[2] and type(n) == type(case[2]),
        ('tonumber64(%s, %s)'):format(tostring(case[1]), tostring(case[3])))
end
for _, value in ipairs({ 'abc', '', '-', '0x', '1.5', '1e3', '12 3', '12\0', 'inf',
                         '18446744073709551616', '-9223372036854775809', true, {} }) do
    tap.is(tonumber64(value), nil, 'none: ' .. tostring(value))
end
tap.is(tonumber64(nil), nil, 'none: nil')
tap.is(tonumber64('12', 2), nil, 'none of that base')
refused('base out of range', tonumber64, '1', 37)
refused('base out of range', tonumber64, '1', 1)
refused('string expected', tonumber64, 12, 16)
refused('value expected', tonumber64)

-- dostring
local function gives(want, ...)
    tap.same({ ... }, want, 'dostring')
end
gives({ 1, 2 }, dostring('return ...', 1, 2))
gives({}, dostring('local x = 1'))
refused('oops', dostring, "error('oops')")
refused('near', dostring, 'x x')
dostring("require('fiber').sleep(0)")

-- Where one is.
local here = debug.sourcefile()
tap.like(here, 'test_extensions%.lua$', 'sourcefile')
tap.is(debug.sourcedir(), here:match('(.*)/'), 'sourcedir')
tap.is(debug.__file__, here, '__file__')
tap.is(debug.__dir__, here:match('(.*)/'), '__dir__')
tap.is(debug.nothing, nil, 'nothing else')
local function above(f)
    local path = f(3)
    return path
end
tap.is(above(debug.sourcefile), here, 'the file of a caller')
gives({ 'nil', '.' }, dostring([[
    local path, folder = debug.sourcefile(), debug.sourcedir()
    return tostring(path), folder]]))
tap.is(debug.sourcefile(1000), nil, 'past the last')
tap.is(debug.sourcedir(1000), '.', 'its folder')

-- The environment.
local name = 'TEST_EXTENSIONS'
tap.is(os.environ().PATH, os.getenv('PATH'), 'environ')
os.setenv(name, 'one=1')
tap.is(os.getenv(name), 'one=1', 'setenv')
tap.is(os.environ()[name], 'one=1', 'is in environ')
local pipe = io.popen('echo "$' .. name .. '"')
tap.is(pipe:read('*l'), 'one=1', 'and of children')
pipe:close()
os.setenv(name, '')
tap.is(os.getenv(name), '', 'an empty one')
os.setenv(name)
tap.is(os.getenv(name), nil, 'removed')
tap.is(os.environ()[name], nil, 'removed from environ')
os.setenv(name, nil)
for i = 1, 500 do
    os.setenv(name .. i, tostring(i))
end
local environ, same = os.environ(), 0
for i = 1, 500 do
    same = same + (environ[name .. i] == tostring(i)
        and os.getenv(name .. i) == tostring(i) and 1 or 0)
    os.setenv(name .. i, nil)
end
tap.is(same, 500, 'many')
tap.is(os.environ()[name .. 7], nil, 'which go again')
tap.is(os.environ().PATH, os.getenv('PATH'), 'others stay')
for _, wrong in ipairs({ { 1, 'x' }, { '', 'x' }, { 'a=b', 'x' }, { 'a\0b', 'x' },
                         { 'a', 'b\0' }, { 'a', 5 }, {} }) do
    tap.ok(not pcall(os.setenv, wrong[1], wrong[2]), 'no name or value that can be')
end
local ok, err = pcall(os.setenv, name, ('x'):rep(17 * 1024 * 1024))
tap.ok(not ok and tostring(err):find('no room'), 'too long')

-- Long ones do not keep others waiting.
local turns, over = 0, false
fiber.create(function()
    while not over do
        turns = turns + 1
        fiber.yield()
    end
end)
local before, long = turns, ('a,'):rep(200000)
tap.is(#long:split(','), 200001, 'a long text')
local many = {}
for i = 1, 100000 do
    many[i] = { i }
end
tap.is(#table.deepcopy(many), 100000, 'a large table')
over = true
tap.ok(turns > before, 'others run meanwhile')

tap.done()
