-- Admin commands of scripts: what they get and tell, their errors, levels, misuse, and
-- that nothing of one command is seen by the next.
-- test: timeout 120, variants
local admin = require('admin_client')
local console = require('console')
local fiber = require('fiber')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path))
local c = admin.connect(path)

-- --- what a command gets and tells ---

local kept
console.register_command({ 'app', 'words' }, function(command, ...)
    kept = command
    for i = 1, select('#', ...) do
        tap.is(command:send(('%d %s\n'):format(i, (select(i, ...)))), true, 'send')
    end
    command:send(command:level())
    command:send(42)
end, { level = 'user', help = 'says its words' })
tap.is(c:ask("app words a 'b c' ''"), '1 app\n2 words\n3 a\n4 b c\n5 \nadmin42\n', 'its words')
tap.same({ kept:level(), kept:payload(), kept:getline() }, {}, 'nothing is left behind it')
tap.throws(function() kept:send('x') end, 'the operator has gone', 'nobody listens')
tap.throws(function() kept.send({}, 'x') end, 'bad argument', 'no command')
tap.like(c:ask('help app'), '^  app words +says its words\n$', 'help')
tap.is(c:json('help app')[1].level, 'user', 'and in JSON')

console.register_command({ 'app' }, function(command) command:send('shorter\n') end)
tap.is(c:ask('app wordless'), 'shorter\n', 'the longest name counts')

console.register_command({ 'blank' }, function(command)
    command:send('\n\na\n\n')
    command:send('\n')
    command:send('')
    command:send('b\n')
end)
tap.is(c:ask('blank'), ' \n \na\n \n \nb\n', 'its empty lines end no answer')
console.register_command({ 'silent' }, function() end)
tap.is(c:ask('silent'), '', 'one that says nothing')

local SIZE = 3 * 1024 * 1024
console.register_command({ 'long' }, function(command)
    command:send(('0123456789abcde\n'):rep(SIZE / 16))
end)
local text = c:ask('long')
tap.ok(#text == SIZE and text == ('0123456789abcde\n'):rep(SIZE / 16), 'much at once')
console.register_command({ 'wide' }, function(command)
    command:send(('x'):rep(SIZE))
end)
tap.is(c:ask('wide'), ('x'):rep(SIZE) .. '\n', 'a line of all')

-- --- errors ---

local function logged(text)
    local _, n = c:ask('show errors'):gsub(text, '')
    return n
end
console.register_command({ 'fail' }, function(command, _, how)
    command:send('before\n')
    fiber.sleep(0)
    if how == 'object' then
        require('fiber').create(5)
    elseif how == 'table' then
        error({})
    elseif how == 'nil' then
        error()
    elseif how == 'long' then
        error(('x'):rep(100000))
    elseif how == 'lines' then
        error('one\n\ntwo', 0)
    end
    error('it is broken', 0)
end)
tap.is(c:ask('fail'), 'before\nerror: it is broken\n', 'an error is told')
tap.is(logged('failed: it is broken'), 1, 'and logged once')
tap.is(c:ask('fail lines'), 'before\nerror: one\n \ntwo\n', 'in its lines')
tap.like(c:ask('fail object'), '^before\nerror: .*fiber%.create', 'an error object')
tap.is(c:ask('fail table'), 'before\nerror: no text\n', 'one of no text')
tap.is(c:ask('fail nil'), 'before\nerror: no text\n', 'or none at all')
tap.like(c:ask('fail long'), '^before\nerror: [^\n]+x+\n$', 'a long one')
tap.same(c:ask_all('fail; silent; blank', 3)[2], '', 'and what follows runs')
console.register_command({ 'suicide' }, function()
    fiber.self():cancel()
    fiber.testcancel()
end)
tap.like(c:ask('suicide'), '^error: .*cancel', 'one that is cancelled')
tap.is(c:ask('silent'), '', 'is followed by others')

-- --- nothing of a command is left for the next ---

local objects = setmetatable({}, { __mode = 'k' })
console.register_command({ 'note' }, function(command)
    objects[command] = true
    command:send(tostring(command:getline()))
    command:send(tostring(command:getline()))
end, { payload = true })
tap.is(c:ask('note <<\none\ntwo\nthree\n'), 'one\ntwo\n', 'lines')
tap.is(c:ask('note <<\nfour\n'), 'four\nnil\n', 'each has its own')
tap.is(c:ask('note'), 'nilnil\n', 'or none')
tap.same(c:ask_all('show version json; note; show env NOSUCH json; wait 1ms; note', 5)[5],
    'nilnil\n', 'whatever ran before')
local o = admin.connect(path)
local half
console.register_command({ 'slow' }, function(command)
    local line = command:getline()
    half = fiber.cond()
    half:wait()
    command:send(line)
    command:send(tostring(command:getline()))
end, { payload = true })
c.peer:send('slow <<\nmine\n\n')
raw.until_true(function() return half end)
tap.is(o:ask('note <<\nyours\n'), 'yours\nnil\n', 'of two at once each has its own')
half:broadcast()
tap.is(c:answer(), 'mine\nnil\n', 'to its end')
o:close()
kept = nil
for _ = 1, 3 do
    collectgarbage()
end
tap.is(next(objects), nil, 'their objects are collected')

-- --- as HAProxy has them ---

console.register_cli({ 'hap', 'simple' }, 'says its words', function(applet, ...)
    applet:set_priv('mine')
    applet:set_var('txn.a', 5)
    local sent = applet:send(table.concat({ ... }, ' ') .. '\n')
    applet:send(('%d %s %s\n'):format(sent, applet:get_priv(), applet:get_var('txn.a')))
    applet:unset_var('txn.a')
    applet:send(tostring(applet:get_var('txn.a')))
    return 1
end)
tap.is(c:ask('hap simple a b'), 'hap simple a b\n15 mine 5\nnil\n', 'register_cli')
tap.like(c:ask('help hap'), 'hap simple %[<<%]%s+says its words\n', 'the usage is its help')
tap.is(c:json('help hap')[1].level, 'operator', 'a console of operators has it')
local calls = 0
console.register_cli({ 'hap', 'steps' }, 'in steps', function(applet, _, _, from)
    calls = 0
    applet:set_priv(tonumber(from))
    if from == 'done' then
        applet:send('at once\n')
        return true
    end
    return from == 'zero' and 0 or nil
end, function(applet, _, _, from)
    calls = calls + 1
    applet:send(calls .. ' ' .. tostring(applet:get_priv()) .. '\n')
    return calls == 3 and (from == '7' or 1) or from == 'zero' and 0
end)
tap.is(c:ask('hap steps done'), 'at once\n', 'parse has done all')
tap.is(c:ask('hap steps 7'), '1 7\n2 7\n3 7\n', 'the handler goes on until it says so')
tap.is(c:ask('hap steps zero'), '1 nil\n2 nil\n3 nil\n', 'in numbers, too')
console.register_cli({ 'hap', 'lines' }, 'reads', function(applet)
    applet:send(applet:getline() .. applet:receive(3) .. '|' .. applet:receive() ..
        applet:receive() .. applet:getline())
end, { level = 'user' })
tap.is(c:ask('hap lines <<\none\ntwo\nthree\n'), 'one\ntwo|\nthree\n', 'the payload')
tap.is(c:ask('hap lines'), '|\n', 'none is empty')
console.register_cli({ 'hap', 'fail' }, 'fails', function() return 0 end,
    function() error('in the handler', 0) end)
tap.is(c:ask('hap fail'), 'error: in the handler\n', 'an error is told')
local turned = 0
console.register_cli({ 'hap', 'endless' }, 'never ends', function() return 0 end,
    function() turned = turned + 1 end)
local e = admin.connect(path)
e.peer:send('hap endless\n')
raw.until_true(function() return turned > 10 end)
tap.is(c:ask('echo beside'), 'beside\n', 'others go on beside an endless one')
e:close()
raw.until_true(function()
    local was = turned
    fiber.sleep(0.02)
    return turned == was
end)
tap.pass('whose client ends it')
for name, arguments in pairs({ ['no usage'] = { { 'x' } }, ['no words'] = { 'x', 'y', print },
        ['no function'] = { { 'x' }, 'y' }, ['no handler'] = { { 'x' }, 'y', print, 5 },
        ['no options'] = { { 'x' }, 'y', print, print, 5 } }) do
    tap.throws(function() console.register_cli(unpack(arguments, 1, 5)) end,
        'console.register_cli%({word', name)
end

-- --- misuse ---

local function misuse(pattern, name, ...)
    local arguments, n = { ... }, select('#', ...)
    tap.throws(function() console.register_command(unpack(arguments, 1, n)) end, pattern, name)
end
local function nothing() end
misuse('console.register_command%({', 'no arguments')
misuse('console.register_command%({', 'no list', 'x', nothing)
misuse('console.register_command%({', 'no function', { 'x' }, {})
misuse('console.register_command%({', 'no options', { 'x' }, nothing, 'admin')
misuse('1 to 5 words', 'no word', {}, nothing)
misuse('1 to 5 words', 'six words', { 'a', 'b', 'c', 'd', 'e', 'f' }, nothing)
misuse('a word of a command', 'a blank', { 'a b' }, nothing)
misuse('a word of a command', 'an empty word', { '' }, nothing)
misuse('a word of a command', 'a semicolon', { 'a;b' }, nothing)
misuse('a word of a command', 'a zero byte', { 'a\0b' }, nothing)
misuse('a word of a command', 'a table', { {} }, nothing)
misuse('a word of a command', 'a long word', { ('x'):rep(300) }, nothing)
misuse('level: user, operator or admin', 'level', { 'x' }, nothing, { level = 'root' })
misuse('level: user', 'a level of no text', { 'x' }, nothing, { level = {} })
misuse("already", 'one of ours', { 'show', 'info' }, nothing)
misuse("already", 'the same again', { 'silent' }, nothing)
tap.is(c:ask('show version'):match('^name: neap\n') ~= nil, true, 'all is as it was')

local count = 0
while pcall(console.register_command, { 'many', tostring(count) }, nothing) do
    count = count + 1
end
tap.ok(count > 100 and count < 300, 'there is a limit of commands')
tap.is(c:ask('many ' .. count - 1), '', 'up to which they run')
misuse('commands already', 'beyond it', { 'onemore' }, nothing)

c:close()
server:close()
tap.done()
