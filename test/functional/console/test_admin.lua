-- Admin commands over a socket: answers and their frame, JSON, chains, lines behind "<<",
-- levels, waiting, what ends what.
-- test: timeout 120
local admin = require('admin_client')
local console = require('console')
local fiber = require('fiber')
local json = require('json')
local log = require('log')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path))
local c = admin.connect(path)

-- --- every command there is ---

-- What keeps to no rule: it would end the session, or the process, or waits.
local special = { quit = true, lua = true, operator = true, user = true, wait = true,
    ['profile lua'] = true, prompt = true }
local arguments = { ['kill fiber'] = '999999', ['shut connection'] = '999999',
    ['trace request'] = 'for 10ms', ['set log level'] = 'info', ['set severity-output'] = 'none', ['set anon'] = 'off', ['set timeout cli'] = '1h' }
local all = c:json('help')
tap.ok(#all > 25, 'help json has all commands')
local framed, told, typed = {}, {}, {}
for _, command in ipairs(all) do
    local line = command.name .. ' ' .. (arguments[command.name] or '')
    if not special[command.name] and not command.name:find('^set limits')
        and not command.name:find('^reload') then
        local text = c:ask(line)
        framed[#framed + 1] = (text:find('\n\n') or text ~= '' and text:sub(-1) ~= '\n')
            and command.name or nil
        if text:find('error: missing') then
            tap.diag(line .. ': ' .. text)
        elseif #command.columns > 0 then
            local value = c:json(line)
            local failed = value.error ~= nil and arguments[command.name] ~= nil
            local rows = (next(value) == nil or failed) and {} or value[1] and value or { value }
            for _, row in ipairs(rows) do
                for _, column in ipairs(command.columns) do
                    local v = row[column.name]
                    local is = column.type == 'text' and 'string' or
                        column.type == 'flag' and 'boolean' or 'number'
                    if v == nil and not json.encode(row):find('"' .. column.name .. '":null')
                        or v ~= nil and type(v) ~= is then
                        typed[#typed + 1] = command.name .. '.' .. column.name
                    end
                end
            end
        end
    end
    if #command.help == 0 or not command.usage:find(command.name, 1, true) == 1 then
        told[#told + 1] = command.name
    end
end
tap.same(framed, {}, 'each answer is lines, and has no empty one')
tap.same(typed, {}, 'each column of JSON is what the declaration says')
tap.same(told, {}, 'each command says what it is')

local info = c:json('show info')
tap.is(info.workers, 1, 'show info: workers')
tap.ok(info.uptime > 0 and info.memory > 1000000 and info.descriptors > 3, 'and figures')
tap.like(c:ask('show info'), '\npid: %d+\n', 'and as text')

-- --- frames and chains ---

tap.same(c:ask_all('echo a; echo b ;; echo c;', 3), { 'a\n', 'b\n', 'c\n' }, 'a chain')
tap.is(c:ask('echo'), ' \n', 'an empty line of an answer has a space')
tap.is(c:ask("echo 'a;b' \\; \"c  d\""), 'a;b ; c  d\n', 'quotes and escapes')
tap.is(c:ask('nosuch'), 'error: no such command: see help\n', 'no such command')
tap.is(c:json('nosuch').error, 'no such command: see help', 'in JSON too')
tap.is(c:ask('help nosuch'), 'error: no such command: see help\n', 'nor is there help')
tap.like(c:ask('show fibbers'), '^error: no such command; do you mean:\n  show fibers', 'one that is like it')
tap.like(c:ask('show'), '^error: more words are wanted:\n.*\n  show info [^\n]*\n',
    'the beginning of a name is worth help')
tap.same(c:ask_all('echo a; nosuch; echo b', 3),
    { 'a\n', 'error: no such command: see help\n', 'b\n' }, 'one that fails ends no chain')
tap.like(c:ask("echo 'a"), "^error: a quote ' is not closed\n$", 'an open quote')
tap.same(c:ask_all("echo a; echo 'b", 2), { 'a\n', "error: a quote ' is not closed\n" },
    'and those before it run')
tap.like(c:ask(('w '):rep(65)), 'more than 64 words', 'too many words')
tap.like(c:ask('echo ' .. ('x'):rep(16384)), 'a line of more than 16 KiB', 'a long line')
tap.is(#c:ask('echo ' .. ('x'):rep(16000)), 16001, 'one that is almost')
tap.like(c:ask('echo a\0; echo b'), 'a line with a zero byte', 'a zero byte')
tap.is(c:ask('echo still'), 'still\n', 'the session goes on')
c.peer:send('\n\n  ;\r\necho x\r\n')
tap.is(c:answer(), 'x\n', 'empty lines are no commands')
tap.like(c:ask('show fibers nosuch'), "^error: too much: 'nosuch'; usage: show fibers",
    'usage')
tap.like(c:json('show fibers nosuch').error, '^too much', 'an error in JSON')
tap.like(c:json('show fibers worker 9').error, 'there is no worker 9, but 1 to 1',
    'no such worker')
c:ask('set severity-output number')
tap.like(c:ask('echo \\'), '^%[3%]: ', 'severity as a number')
c:ask('set severity-output string')
tap.like(c:ask('echo \\'), '^%[error%]: ', 'and as a word')
c:ask('set severity-output none')

local lines = {}
for i = 1, 3000 do
    lines[i] = 'echo ' .. i
end
c.peer:send(table.concat(lines, '\n') .. '\n')
local right = true
for i = 1, 3000 do
    right = c:answer() == i .. '\n' and right
end
tap.ok(right, '3,000 lines at once are answered in their order')

-- --- lines behind "<<" ---

local seen = {}
console.register_command({ 'take', 'lines' }, function(command, ...)
    seen = { words = { ... }, payload = command:payload() }
    local line = command:getline()
    while line do
        command:send('<' .. line:gsub('\n', '>') .. '\n')
        line = command:getline()
    end
    command:send('end\n')
end, { payload = true, level = 'operator' })

tap.is(c:ask('take lines a <<\none\n two;three\n'), '<one>\n< two;three>\nend\n',
    'up to an empty line')
tap.same(seen.words, { 'take', 'lines', 'a' }, 'the mark is no word')
tap.is(c:ask('take lines <<END\n\none\n END\n<<\nEND'), '<>\n<one>\n< END>\n<<<>\nend\n',
    'up to the mark')
tap.is(c:ask('take lines <<E\nE'), 'end\n', 'none')
tap.is(seen.payload, '', 'which is not the same')
tap.is(c:ask('take lines'), 'end\n', 'as without any')
tap.is(seen.payload, nil, 'of which it is told')
tap.same(c:ask_all('take lines; echo a; take lines <<\nx\n', 3),
    { 'end\n', 'a\n', '<x>\nend\n' }, 'the last command has them')
tap.like(c:ask('echo a <<\nx\n'), "^error: 'echo' takes no lines", 'one that takes none')
tap.is(c:ask('echo b'), 'b\n', 'and none are left for the next')
tap.like(c:ask('nosuch <<\nx\n'), 'no such command', 'no command takes none')
tap.is(c:ask('echo b'), 'b\n', 'nor are any left')
tap.same(c:ask_all('take lines <<; echo a', 1), { 'error: only the last command of a line '
    .. 'takes lines behind "<<"\n' }, 'one in the middle')
tap.is(c:ask("take lines '<<'"), 'end\n', 'quoted it is a word')
tap.like(c:ask('take lines <<\n' .. ('x'):rep(131071) .. '\n'), '^<x+>\nend\n$', '128 KiB')
tap.like(c:ask('take lines <<\n' .. ('x'):rep(131072) .. '\n'), 'more than 128 KiB',
    'and a byte more')
tap.is(c:ask('take lines'), 'end\n', 'it is forgotten')
tap.is(c:ask('take lines <<\n\0\1\255\n'), '<\0\1\255>\nend\n', 'any bytes')

local mark = ('m'):rep(65)
tap.like(c:ask('take lines <<' .. mark .. '\nquit\n' .. mark), 'has at most 64 bytes',
    'too long a mark is told of behind its lines')
tap.is(c:ask('echo b'), 'b\n', 'none of which was run')
mark = ('m'):rep(64)
tap.is(c:ask('take lines <<' .. mark .. '\nx\n' .. mark), '<x>\nend\n', 'one of 64 bytes')
tap.is(c:ask('take lines << a'), 'end\n', 'not at the end it is a word')

-- Where the lines end is not known: they are not taken for commands.
for name, line in pairs({ ['an open quote'] = "echo a; take lines 'x <<E",
        ['a long line'] = 'echo ' .. ('x'):rep(16384) .. ' <<',
        ['a zero byte'] = 'take \0 <<', ['many words'] = ('w '):rep(65) .. '<<END' }) do
    local lost = admin.connect(path)
    lost.peer:send(line .. '\necho never\n\n')
    local text = lost.peer:read()
    tap.like(text, 'error: [^\n]+; the session ends: what follows may be lines behind "<<"\n',
        name .. ' and "<<" end the session')
    tap.unlike(text, 'never\n', 'before what follows is run')
    lost:close()
end

local cut = admin.connect(path)
cut.peer:send('echo a\ntake lines <<\nhalf')
cut.peer:shutdown()
tap.is(cut:answer(), 'a\n', 'the end inside them: what came before')
tap.like(cut:answer(), 'error: the lines behind "<<" have no end', 'is told')
tap.is(cut:answer(), nil, 'and ends the session')
cut:close()

-- --- levels, prompts, leaving ---

local o = admin.connect(path)
tap.is(o:ask('show cli level'), 'admin\n', 'the highest level')
tap.is(o:ask('operator'), '', 'lower')
tap.is(o:ask('show cli level'), 'operator\n', 'it is')
tap.like(o:ask('kill fiber 1'), "^error: permission denied: 'kill fiber' is for the level "
    .. 'admin, this session has the level operator', 'denied')
tap.like(o:json('kill fiber 1').error, 'permission denied', 'in JSON too')
tap.like(o:ask('lua'), 'permission denied', 'no Lua')
tap.unlike(o:ask('help'), 'kill fiber', 'nor is it in the help')
tap.same(o:ask_all('user; show cli level; show fibers; operator', 4),
    { '', 'user\n', "error: permission denied: 'show fibers' is for the level operator, "
        .. 'this session has the level user\n', 'error: there is no way up\n' },
    'in the middle of a chain')
tap.like(o:ask('take lines <<\nx\n'), 'permission denied', 'commands of scripts as well')
tap.like(o:ask('show cli level'), 'user', 'there is no way back')
o.peer:send('\\set language lua\n\\fibers\n\n')
tap.like(o:answer(), '^error: no such command', 'nor by the words of the console itself')
tap.like(o:answer(), '^error: no such command', 'none of which is left')

-- Of all that are declared: who has a lower level is refused, and what changes the server
-- is for the highest alone.
local ranks = { user = 1, operator = 2, admin = 3 }
local harmless = { ['set anon'] = true, ['set severity-output'] = true,
    ['set timeout cli'] = true, trace = true, profile = true, dump = true, show = true,
    get = true, help = true, echo = true, prompt = true, quit = true, wait = true,
    operator = true, user = true, take = true }
for _, level in ipairs({ 'user', 'operator' }) do
    local low = admin.connect(path)
    low:ask(level)
    local wrong, refused = {}, 0
    for _, command in ipairs(all) do
        local name = command.name
        if ranks[command.level] > ranks[level] then
            refused = refused + 1
            for _, line in ipairs({ name, name .. ' ' .. (arguments[name] or '1 2 3') }) do
                if not low:ask(line):find('^error: permission denied') then
                    wrong[#wrong + 1] = line
                end
            end
            if low:ask('help'):find('\n  ' .. name .. '[ \n]') then
                wrong[#wrong + 1] = 'help ' .. name
            end
        elseif not harmless[name] and not harmless[name:match('^%S+')] then
            wrong[#wrong + 1] = name .. ' is not for ' .. level
        end
    end
    tap.same(wrong, {}, 'what is not for the level ' .. level)
    tap.ok(refused > (level == 'user' and 30 or 15), 'is refused')
    low:close()
end

o.peer:send('prompt p\n')
tap.is(o.peer:read('> '), '\n> ', 'prompt p')
o.peer:send('echo a\n')
tap.is(o.peer:read('> '), 'a\n\n> ', 'a prompt')
o.peer:send('echo a <<\n')
tap.is(o.peer:read('+ '), '+ ', 'another behind "<<"')
o.peer:send('\nprompt timed\n')
tap.like(o.peer:read(']> '), '%[0:00:%d%d:%d%d%]> $', 'one with the time')
o.peer:send('prompt i; echo a; quit; echo never\n')
tap.is(o.peer:read(), '\na\n\n\n', 'quit ends the line, and the session')
o:close()

local once = admin.connect(path)
tap.same(once:ask_all('prompt n; echo a\necho never', 3), { '', 'a\n' }, 'one line only')
once:close()

local half = admin.connect(path)
local began = fiber.clock()
half.peer:send('wait 200ms; echo a\necho b')
half.peer:shutdown()
tap.is(half.peer:read(), '\na\n\nb\n\n', 'all is answered behind a half-close')
tap.ok(fiber.clock() - began > 0.19, 'which ends no wait')
half:close()

-- --- the console itself ---

local listening = c:json('show cli sockets')
tap.same({ listening[1].address, listening[1].language, listening[1].level,
    listening[1].limit, #listening }, { path, 'lua', 'admin', 100, 1 }, 'show cli sockets')
local t = admin.connect(path)
tap.like(t:ask('set timeout cli 100ms'), '^error: a second to a day', 'a time-out in its range')
tap.like(t:ask('set timeout cli 2d'), '^error: a second to a day', 'at both ends')
tap.is(t:ask('set timeout cli 1s'), '', 'set timeout cli')
began = fiber.clock()
tap.is(t:answer(), nil, 'a client that is silent goes')
tap.ok(fiber.clock() - began > 0.9, 'not before')
t:close()

-- --- hashes in the place of names ---

local named = fiber.create(function() fiber.sleep(3600) end)
named:name('Miriam')
local h = admin.connect(path)
local function anon_name(client)
    for _, row in ipairs(client:json('show fibers')) do
        if row.id == named:id() then
            return row.name, row.state
        end
    end
end
tap.is(h:ask('set anon on key one'), '', 'set anon')
local name, state = anon_name(h)
tap.like(name, '^~%x%x%x%x%x%x$', 'a name is a hash')
tap.is(state, 'waiting', 'what names nobody is not')
tap.is(anon_name(h), name, 'the same each time')
tap.like(h:ask('show fibers'), ' ' .. name .. ' ', 'in tables too')
tap.unlike(h:ask('show fibers'), 'Miriam', 'where no name is left')
tap.unlike(h:ask('show cli sockets'), 'c.sock', 'nor a path')
tap.unlike(h:ask('show env'), 'TMPDIR', 'nor a variable')
for _, line in ipairs({ 'show events', 'show errors', 'dump state',
        'take lines' }) do
    tap.like(h:ask(line), '^error: .*not while anon is on', line .. ' is refused')
end
tap.like(h:json('dump state').error, 'not while anon is on', 'in JSON, too')
tap.is(anon_name(c), 'Miriam', 'other sessions have none of it')
h:ask('set anon on other')
tap.isnt(anon_name(h), name, 'another key, another hash')
h:ask('set anon on')
local random = anon_name(h)
h:ask('set anon on')
tap.isnt(anon_name(h), random, 'none: a new one each time')
h:ask('set anon on key one')
tap.is(anon_name(h), name, 'the first again')
tap.like(h:ask('set anon off x'), '^error: a key is for', 'a key that is for nothing')
h:ask('set anon off')
tap.is(anon_name(h), 'Miriam', 'set anon off')
h:close()
named:cancel()

-- --- waiting, and what ends it ---

local w = admin.connect(path)
tap.like(w:ask('wait 2d'), 'at most a day', 'a limit')
w.peer:send('wait 1h; echo a\n')
raw.until_true(function() return c:ask('show cli sessions'):find('wait') end)
w.peer:send('echo b\n')
tap.same({ w:answer(), w:answer(), w:answer() }, { '', 'a\n', 'b\n' }, 'input ends a wait')

w.peer:send('show events -w -n\n')
raw.until_true(function() return c:ask('show cli sessions'):find('show events') end)
log.info('told\nin two lines')
tap.like(w.peer:read('two lines\n'), 'told\n\tin two lines\n$', 'events are followed')
w.peer:send('\n')
tap.is(w:answer(), '', 'until something is typed')
tap.is(w:ask('echo b'), 'b\n', 'and the session goes on')
tap.like(w:ask('show events'), 'told\n\tin two lines\n', 'show events')
log.error('it went wrong')
tap.like(w:ask('show errors'), 'it went wrong\n', 'show errors')
tap.unlike(w:ask('show errors'), 'told', 'has no others')
local rows = w:json('show errors')
tap.same({ rows[#rows].level, rows[#rows].line:match('E> (.*)$') }, { 'error', 'it went wrong' },
    'show errors json')
tap.is(w:ask('set log level info'), '', 'a line of the log in between')
rows = w:json('show events')
local first, last = rows[1].number, rows[#rows].number
tap.is(last - first, #rows - 1, 'show events json: its lines are numbered')
local whole = false
for _, row in ipairs(rows) do
    whole = whole or row.line:find('told\n\tin two lines$') ~= nil
end
tap.ok(whole, 'and are whole')
w.peer:send('show events -w -n json\n')
raw.until_true(function() return c:ask('show cli sessions'):find('show events') end)
log.warn('followed')
tap.like(w.peer:read('followed"}'), '^%[{.*{"number":%d+,"level":"warn","line":"[^\n]*followed"}$',
    'events are followed as JSON')
w.peer:send('\n')
tap.is(w:answer(), ']\n', 'which ends in time')

-- More than the log keeps, before anybody can tell of it.
w.peer:send('show events -w -n\n')
raw.until_true(function() return c:ask('show cli sessions'):find('show events') end)
for i = 1, 300 do
    log.info('many %d %s', i, ('x'):rep(1500))
end
local told = w.peer:read('many 300 ')
local _, count = told:gsub('many %d+ ', '')
local lost = 0
for n in told:gmatch('(%d+) lines were lost\n') do
    lost = lost + tonumber(n)
end
tap.ok(lost > 0, 'who follows is told how many were lost')
tap.ok(count + lost >= 300 and count + lost < 310, 'of which each is counted')
w.peer:send('\n')
w:answer()
log.error('it went wrong')

w.peer:send('show events -w\n')
w.peer:read('it went wrong\n')
w:close()
raw.until_true(function() return not c:ask('show cli sessions'):find('show events') end)
tap.pass('a client that leaves ends it as well')

-- --- Lua and back ---

local l = admin.connect(path)
l.peer:send('lua; echo never\n1 + 1\n')
tap.is(l.peer:read('...\n'), '\n---\n- 2\n...\n', 'lua: the rest of the line goes')
l.peer:send('\\set language admin\n')
l.peer:read('...\n')
tap.is(l:ask('echo back'), 'back\n', 'and back')
l:close()

c:close()
server:close()
fiber.sleep(0)
local s = { console.listen(path) }
tap.ok(s[1], 'all is closed')
s[1]:close()
tap.done()
