-- How values are shown: what a screen does not hold is cut, tables become rows and columns.
-- test: timeout 60, variants
local console = require('console')
local socket = require('socket')
local tap = require('tap')

-- --- cut.lua: it knows nothing of consoles ---

local cut = assert(loadfile(os.getenv('NEAP_SOURCE_DIR') .. '/src/console/cut.lua'))()

local function cut_one(v)
    local values, count, was = cut({ v }, 1)
    tap.is(count, 1, 'one value')
    return values[1], was
end

local small = { 1, { a = 2 }, 'x' }
local same, was = cut_one(small)
tap.ok(same == small and not was, 'what is small is the same, and no copy')
local list = {}
for i = 1, 500 do
    list[i] = i
end
local got
got, was = cut_one(list)
tap.same({ was, #got, got[100], got[101] }, { true, 101, 100, '... (400 more)' }, 'a list')
tap.is(#list, 500, 'whose own is as it was')
local map = {}
for i = 1, 150 do
    map['k' .. i] = i
end
got = cut_one(map)
tap.is(got['...'], '... (50 more)', 'a map')
tap.is(cut_one(('x'):rep(1000)), ('x'):rep(1000), 'a string of 1,000 bytes is whole')
tap.is(cut_one(('x'):rep(1001)), ('x'):rep(1000) .. '... (1001 bytes)', 'one more is cut')
got = cut_one('a' .. ('\195\169'):rep(600))
tap.is(got, 'a' .. ('\195\169'):rep(499) .. '... (1201 bytes)', 'not inside a character')
tap.is(#cut_one(('\128'):rep(2000)), #'... (2000 bytes)', 'where there is none it ends')
local deep = { 'bottom' }
for _ = 1, 20 do
    deep = { deep }
end
got = cut_one(deep)
local levels = 0
while type(got) == 'table' do
    got, levels = got[1], levels + 1
end
tap.same({ got, levels }, { '...', 8 }, 'levels')
local loop = { 1 }
loop[2] = loop
got, was = cut_one(loop)
tap.ok(got == loop and not was, 'a cycle by itself is not large')
loop[3] = list
got = cut_one(loop)
tap.ok(got ~= loop and got[2] == got, 'in a copy it is one again')
local large = {}
for i = 1, 60 do
    large[i] = ('x'):rep(900)
end
got, was = cut_one(large)
tap.ok(was and #got < 30 and got[#got]:find('more%)$'), 'all together')
local called = 0
got = cut_one(setmetatable({}, { __serialize = function()
    called = called + 1
    return list
end }))
tap.is(got[101], '... (400 more)', 'what it is serialized as is cut')
got = cut_one(setmetatable({}, { __serialize = function() error('no') end }))
tap.is(type(got), 'table', 'one that fails stays')
local itself = setmetatable({}, {})
getmetatable(itself).__serialize = function(v) return v end
tap.is(cut_one({ itself, list })[1] ~= nil, true, 'one that is serialized as itself')
got = cut_one(setmetatable({ list }, { __serialize = 'map' }))
tap.is(getmetatable(got).__serialize, 'map', 'how it is written stays')
got = cut_one({ [('k'):rep(2000)] = 1 })
tap.is(next(got), ('k'):rep(1000) .. '... (2000 bytes)', 'a long key')
local many, count = {}, 150
for i = 1, count do
    many[i] = i
end
got, count, was = cut(many, count)
tap.same({ got[101], count, was }, { '... (50 more)', 101, true }, 'of many results')
got, count = cut({ nil, nil, list }, 3)
tap.same({ got[1], count, #got[3] }, { nil, 3, 101 }, 'nil among them')

-- --- rows.lua, as a console shows them ---

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))
local client = assert(socket.tcp_connect('unix/', path))
client:write('\\frame END\n')
client:read('END ok\n')

local function ask(text)
    client:write(text .. '\nEND\n')
    local answer = client:read('END ')
    client:read('\n')
    return answer:sub(1, -5)
end

ask('\\set output table')
local function shows(expression, want, name)
    tap.is(ask(expression), want, name or expression)
end
shows('{{a = 1, b = "x"}, {a = 20}}', ' a  b\n--  -\n 1  x\n20\n\n', 'rows')
shows('{{1, "a"}, {20, "bc"}}', ' 1  a\n20  bc\n\n', 'of lists there is no head')
shows('{{id = 1, [1] = "one"}}', '1    id\n---  --\none   1\n\n', 'numbers come first')
shows('{a = 1, b = {2, 3}}', 'a  1\nb  {2, 3}\n\n', 'a map')
shows('{1, "two", {3}}', '1\ntwo\n{3}\n\n', 'a list of values')
shows('{}', '(empty)\n\n')
shows('nil', 'nil\n\n')
shows('1, "two"', '1\ntwo\n\n', 'several')
shows('"a\\nb\\tc\\27[31m"', 'a\nb\\tc\\x1b[31m\n\n', 'a text keeps its lines, and no more')
shows('{{a = "x\\ny\\27\\194\\155"}}', 'a\n---------\nx\\ny\\x1b?\n\n',
    'a cell is one line, and nothing that a terminal obeys')
shows('{{a = "\195\169\195\169", b = 1}, {a = "xyz", b = 2}}',
    'a    b\n---  -\n\195\169\195\169   1\nxyz  2\n\n', 'widths are of characters')
shows('{{a = true}, {a = print and {} or 1}}', 'a\n----\ntrue\n{}\n\n', 'tables in cells')
shows('setmetatable({}, {__serialize = function() return {{a = 1}} end})', 'a\n-\n1\n\n',
    'what it is serialized as')
shows('error("wrong", 0)', 'error  wrong\n\n', 'an error')
shows('setmetatable({1}, {__index = function() error("sprung") end})', '1\n\n',
    'tables are read raw')

-- --- \top ---

-- Two that overlap, the second one longer.
local fiber = require('fiber')
local other = assert(socket.tcp_connect('unix/', path))
other:write('\\set output json\n\\top 0.2\n')
tap.ok(not pcall(fiber.top), 'nothing is measured at first')
while not pcall(fiber.top) do
    fiber.sleep(0.01)
end
ask('\\set output json')
tap.unlike(ask('\\top 0.6'), 'error', 'the end of another \\top ends none')
tap.ok(not pcall(fiber.top), 'the last one ends the measuring')
fiber.top_enable()
ask('\\top 0.01')
tap.ok(pcall(fiber.top), 'unless somebody else had begun it')
fiber.top_disable()
tap.like(ask('\\top nan'), 'at most 60', 'a time that is none')
other:close()

client:close()
server:close()
tap.done()
