-- The module tap: what it prints, and what its functions give, as Tarantool's
-- documentation says. It is behind our own of that name, which tells the results.
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local json = require('json')
local check = require('tap')

local NULL = json.NULL

package.loaded.tap = nil
check.is(require('tap'), package.loaded.tap, 'the file goes before the module')
check.ok(package.loaded.tap.throws, 'which is another')
package.path, package.loaded.tap = '', nil
local tap = require('tap')
package.loaded.tap = nil
check.is(require('tap'), tap, 'without one, the module is found')
check.is(tap.throws, nil, 'which is not the file')
local dir = fio.tempdir()
for name, text in pairs({ ['tap.lua'] = "print(... or require('tap').test)",
                          ['other.lua'] = "print(require('tap'))" }) do
    local file = assert(io.open(fio.pathjoin(dir, name), 'w'))
    file:write(text)
    file:close()
end
local function runs(script)
    local pipe = io.popen(('cd %s && unset LUA_PATH && %s %s 2>&1'):format(dir,
        os.getenv('NEAP_BIN'), script))
    local text = pipe:read('*a')
    pipe:close()
    return text
end
check.like(runs('tap.lua'), '^function', 'a script of this name has the module')
check.is(runs('other.lua'), 'tap\ntrue\n', 'another one has the file')
fio.rmtree(dir)

-- What @f prints, and what it gives or throws.
local function printed(f, ...)
    local path, old = os.tmpname(), io.output()
    io.output(path)
    local results = { pcall(f, ...) }
    io.close()
    io.output(old)
    local file = io.open(path)
    local text = file:read('*a')
    file:close()
    os.remove(path)
    return text, unpack(results, 1, table.maxn(results))
end

-- A test whose results have no places in the file.
local function quiet(strict)
    local test
    printed(function()
        test = tap.test('quiet')
    end)
    test.trace, test.strict = false, strict
    return test
end

-- The method @name of a new test gives @want and prints the lines @text.
local function gives(want, text, name, ...)
    local test = quiet(false)
    local out, ok, got = printed(test[name], test, ...)
    check.ok(ok, name .. '() does not throw')
    check.is(got, want, name .. '() gives ' .. tostring(want))
    check.is(out, text, name .. '() prints ' .. text:match('[^\n]*'))
    return test
end

local function details(...)
    return '  ---\n  ' .. table.concat({ ... }, '\n  ') .. '\n  ...\n'
end

-- Results by themselves.
gives(true, 'ok - yes\n', 'ok', true, 'yes')
gives(true, 'ok - 0\n', 'ok', 0, 0)
gives(true, 'ok - nil\n', 'ok', 'text')
gives(true, 'ok - more\n', 'ok', true, 'more', { left = 'out' })
gives(false, 'not ok - no\n', 'ok', false, 'no')
gives(false, 'not ok - no\n', 'ok', nil, 'no', {})
gives(false, 'not ok - no\n' .. details('at: 3', 'why: because'), 'ok', nil, 'no',
    { why = 'because', at = 3 })
gives(false, 'not ok - bad\n', 'fail', 'bad')
gives(nil, 'ok - later # skip\n', 'skip', 'later')
gives(nil, '1..3\n', 'plan', 3)
gives(nil, '# a 5\n', 'diag', '%s %d', 'a', 5)
local test = quiet(false)
check.like(select(3, printed(test.ok, test, false, 'x', 'text')), 'in a table',
    'details that are none')
check.ok(not select(2, printed(test.diag, test, '%d', 'x')), 'diag() of a bad format')
check.ok(not select(2, printed(test.plan, test, 'many')), 'plan() of no number')
check.is(test.total, 0, 'none of them is a result')

-- is and isnt
gives(true, 'ok - same\n', 'is', 3, 3, 'same')
gives(true, 'ok - same\n', 'is', 3ULL, 3, 'same')
gives(true, 'ok - same\n', 'is', nil, NULL, 'same')
gives(false, 'not ok - type\n' .. details('expected: 1', "got: '1'"), 'is', '1', 1,
    'type')
gives(false, 'not ok - both\n' .. details('more: x', 'expected: []', 'got: []'),
    'is', {}, {}, 'both', { more = 'x', got = 'is not kept' })
gives(true, 'ok - other\n', 'isnt', 3, 4, 'other')
gives(false, 'not ok - same\n' .. details('unexpected: 4', 'got: 4'), 'isnt', 4, 4,
    'same')

-- Types.
for name, value in pairs({ number = 1, string = '', table = {}, boolean = false,
                           ['function'] = print }) do
    gives(true, 'ok - type\n', 'is' .. name, value, 'type')
    gives(false, 'not ok - type\n' .. details('expected: ' .. name, 'got: cdata'),
        'is' .. name, NULL, 'type')
end
gives(true, 'ok - nil\n', 'isnil', nil, 'nil')
gives(false, 'not ok - false\n' .. details('expected: nil', 'got: false'), 'isnil',
    false, 'false')
gives(false, 'not ok - text\n' .. details('expected: nil', 'got: nil'), 'isnil',
    'nil', 'text')
gives(true, 'ok - fiber\n', 'isudata', fiber.self(), 'fiber', 'fiber')
gives(true, 'ok - named\n', 'isudata', io.stdout, 'file', 'named')
gives(false, 'not ok - other\n' .. details('expected: userdata<channel>',
    'got: userdata<fiber>'), 'isudata', fiber.self(), 'channel', 'other')
gives(false, 'not ok - none\n' .. details('expected: userdata<fiber>', 'got: number'),
    'isudata', 5, 'fiber', 'none')
gives(true, 'ok - 64\n', 'iscdata', 5ULL, 'uint64_t', '64')
gives(true, 'ok - 64\n', 'iscdata', 5ULL, ffi.typeof('uint64_t'), '64')
gives(false, 'not ok - signed\n' .. details('expected: ctype<uint64_t>',
    'got: ctype<int64_t>'), 'iscdata', 5LL, 'uint64_t', 'signed')
gives(false, 'not ok - none\n' .. details('expected: ctype<int>', 'got: string'),
    'iscdata', 'x', 'int', 'none')
test = quiet(false)
check.ok(not select(2, printed(test.iscdata, test, 5ULL, 'nothing_of_this_name', 'x')),
    'iscdata() of no type')

-- Patterns.
gives(true, 'ok - in\n', 'like', 'abc', 'b', 'in')
gives(true, 'ok - in\n', 'like', 123, '^%d+$', 'in')
gives(false, 'not ok - out\n' .. details('expected: z', 'got: abc'), 'like', 'abc',
    'z', 'out')
gives(true, 'ok - out\n', 'unlike', 'abc', 'z', 'out')
gives(false, 'not ok - in\n' .. details('expected: b', 'got: abc'), 'unlike', 'abc',
    'b', 'in')

-- is_deeply
gives(true, 'ok - empty\n', 'is_deeply', {}, {}, 'empty')
gives(true, 'ok - nan\n', 'is_deeply', { 0 / 0 }, { 0 / 0 }, 'nan')
gives(true, 'ok - 64\n', 'is_deeply', { 5ULL }, { 5 }, '64')
gives(true, 'ok - bool\n', 'is_deeply', ffi.new('bool', true), true, 'bool')
gives(true, 'ok - NULL\n', 'is_deeply', { a = NULL }, { b = NULL }, 'NULL')
gives(true, 'ok - meta\n', 'is_deeply', setmetatable({ 1 }, {}), { 1 }, 'meta')
gives(false, 'not ok - one\n' .. details('path: //1', 'strict: false', 'expected: 2',
    'got: 1'), 'is_deeply', { 1 }, { 2 }, 'one')
gives(false, 'not ok - deep\n' .. details('path: //a/2/c', 'strict: false',
    'expected: x', 'got: 2'), 'is_deeply', { a = { 1, { c = 2 } } },
    { a = { 1, { c = 'x' } } }, 'deep')
gives(false, 'not ok - more\n' .. details('path: //a', 'strict: false',
    'expected: key 2', 'got: nil'), 'is_deeply', { a = { 1 } }, { a = { 1, 2 } },
    'more')
gives(false, 'not ok - less\n' .. details('path: //2', 'strict: false', 'got: 5'),
    'is_deeply', { 1, 5 }, { 1 }, 'less')
gives(false, 'not ok - key\n' .. details('path: //true', 'strict: false',
    'expected: 2', 'got: 1'), 'is_deeply', { [true] = 1 }, { [true] = 2 }, 'key')
gives(false, 'not ok - kind\n' .. details('strict: false', "expected: '1'", 'got: 1'),
    'is_deeply', 1, '1', 'kind')
local a, b = { x = 1 }, { x = 1 }
a.self, b.self = a, b
gives(true, 'ok - in itself\n', 'is_deeply', a, b, 'in itself')
b.x = 2
gives(false, 'not ok - in itself\n' .. details('path: //x', 'strict: false',
    'expected: 2', 'got: 1'), 'is_deeply', a, b, 'in itself')

-- strict
test = quiet(true)
local function strictly(want, name, x, y)
    local _, ok, got = printed(test[name], test, x, y, 'strict')
    check.ok(ok and got == want, ('strict: %s(%s, %s) is %s'):format(name,
        tostring(x), tostring(y), tostring(want)))
end
strictly(false, 'is', nil, NULL)
strictly(true, 'is', NULL, NULL)
strictly(false, 'is', 1ULL, 1)
strictly(true, 'isnt', NULL, nil)
strictly(true, 'isnt', 1ULL, 1)
strictly(false, 'isnt', nil, nil)
strictly(false, 'is_deeply', nil, NULL)
strictly(false, 'is_deeply', { a = NULL }, {})
strictly(false, 'is_deeply', {}, { a = NULL })
strictly(true, 'is_deeply', { a = NULL }, { a = NULL })
strictly(false, 'is_deeply', false, nil)
strictly(true, 'is_deeply', 1ULL, 1)
check.is(printed(test.is_deeply, test, {}, { a = NULL }, 'x'), 'not ok - x\n'
    .. details('strict: true', 'expected: key a', 'got: nil'), 'what is not there')
check.is(printed(test.is_deeply, test, NULL, nil, 'x'), 'not ok - x\n'
    .. details('strict: true', 'expected: nil', 'got: cdata'), 'two types')

-- Tests inside.
test = quiet(false)
local out, ok, got = printed(test.test, test, 'inner', function(t, ...)
    t:plan(2)
    t:is(select('#', ...), 3, 'arguments')
    t:diag('here')
    t:ok(false, 'bad', { a = { 1 } })
end, 1, nil, nil)
check.is(out, [[
    # inner
    1..2
    ok - arguments
    # here
    not ok - bad
      ---
      a:
      - 1
      ...
    # inner: end
not ok - failed subtests
  ---
  planned: 2
  failed: 1
  ...
]], 'a failed test inside')
check.ok(ok and got == false, 'gives false')
out, ok, got = printed(test.test, test, 'inner', function(t) t:plan(3) t:ok(true, 'x') end)
check.is(out, [[
    # inner
    1..3
    ok - x
    # inner: end
not ok - bad plan
  ---
  planned: 3
  run: 1
  ...
]], 'a bad plan inside')
check.ok(ok and got == false, 'gives false')
test.strict = true
out, ok, got = printed(test.test, test, 'inner', function(t)
    t:plan(1)
    t:test('inmost', function(s)
        s:plan(1)
        s:isnt(nil, NULL, 'strict')
    end)
end)
check.is(out, [[
    # inner
    1..1
        # inmost
        1..1
        ok - strict
        # inmost: end
    ok - inmost
    # inner: end
ok - inner
]], 'two levels, and strictness goes inward')
check.ok(ok and got, 'gives true')
local inner = test:test('by hand')
check.is(printed(function()
    inner:plan(1)
    inner:ok(true, 'x')
    got = inner:check()
end), '    1..1\n    ok - x\nok - by hand\n', 'a test inside without a function')
check.is(got, true, 'its check() gives true')
check.throws(function() inner:check() end, 'check called twice', 'but once')
check.is(select(3, printed(test.test, test, 'throws', function() error('oops', 0) end)),
    'oops', 'what a test inside throws goes on')

-- The outermost.
check.is(printed(function()
    test = tap.test('outer')
    test.trace = false
    test:plan(2)
    test:ok(true, 'x')
    got = test:check()
end), 'TAP version 13\n1..2\nok - x\n# bad plan: planned 2 run 1\n', 'a bad plan')
check.is(got, false, 'check() gives false')
test = quiet(false)
check.is(printed(function()
    test:plan(1)
    test:fail('x')
    got = test:check()
end), '1..1\nnot ok - x\n# failed subtest: 1\n', 'a failed one')
check.is(got, false, 'check() gives false')
check.is(printed(function()
    got = tap.test('outer', function(t, x) t:plan(1) t:is(x, 5, 'x') end, 5)
end), 'TAP version 13\n# outer\n1..1\nok - x\n# outer: end\n', 'as a function')
check.is(got, true, 'gives true')

-- Places.
printed(function() test = tap.test('traced') end)
check.is(test.trace, true, 'failures tell their place')
local function fails()
    test:is(1, 2, 'traced') -- the line that is told
    return true
end
local line = debug.getinfo(fails, 'S').linedefined + 1
out = printed(fails)
check.like(out, '\n  filename: [^\n]*test_tap%.lua\n  line: ' .. line .. '\n  trace:\n',
    'the place of a failure')
check.like(out, '\n  [ -] name: ', 'and the frames around it')
check.unlike(out, '=neap/tap', 'without our own')

-- Who compares does not keep others waiting.
local long, same = {}, {}
for i = 1, 300000 do
    long[i], same[i] = { i }, { i }
end
local turns, over = 0, false
fiber.create(function()
    while not over do
        turns = turns + 1
        fiber.yield()
    end
end)
local before = turns
test = quiet(false)
check.ok(select(3, printed(test.is_deeply, test, long, same, 'long')), 'long tables')
over = true
check.ok(turns > before, 'others run meanwhile')

check.done()
