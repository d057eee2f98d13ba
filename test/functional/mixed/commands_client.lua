-- The client of test_console.sh.
local admin = require('admin_client')
local fiber = require('fiber')
local raw = require('raw')

local preempted = not (os.getenv('NEAP_SANITIZE') or ''):find('thread')

local function is(got, want, what)
    if got ~= want then
        print('FAIL', what, 'got', got, 'want', want)
        os.exit(1)
    end
end
local function like(got, pattern, what)
    if not tostring(got):find(pattern) then
        print('FAIL', what, 'got', got, 'want', pattern)
        os.exit(1)
    end
end
local function eventually(what, f)
    for _ = 1, 6000 do
        if f() then return end
        fiber.sleep(0.01)
    end
    is(false, true, 'in vain: ' .. what)
end

local function connect(path)
    local c = admin.session(assert(raw.connect(path)))
    c.peer:send('prompt i\n')
    c:answer()
    return c
end
local c, other = connect('admin.sock'), connect('admin.sock')

local function dump(kind)
    local list = {}
    for i = 1, 3000 do list[i] = kind .. i end
    return table.concat(list, ' ') .. ' \n'
end

for _, kind in ipairs({ 's', 'p' }) do
    local id = kind == 's' and 0 or 1
    for _ = 1, 2 do -- nothing of the call before
        is(c:ask(kind .. " words a 'b c'"),
            ('%d admin: %s|words|a|b c\n'):format(id, kind), 'words')
    end
    is(c:ask(kind .. ' lines <<\nab1\n2\n'), '1 1\n2 2\n""\n', 'a payload')
    like(c:ask('help ' .. kind .. ' words'), 'says its words', 'help')

    -- The operator gets the error's text, the log has its traceback, once.
    local text = c:ask(kind .. ' fail')
    like(text, '^before\n', 'what was said before')
    like(text, 'commands.lua:%d+: boom', 'the error')
    is(text:find('traceback'), nil, 'and no more')
    like(text, kind == 's' and 'in the shared state' or 'in worker 1', 'its state')
    if preempted then
        like(c:ask(kind .. ' spin'), "execution limit of command '" .. kind
            .. " spin': .* since its last wait, the limit is 0.050 s", 'limit')
    end
end

-- Each by itself: outputs are not mixed, whatever waits meanwhile.
c.peer:send('s words 1; p words 2; s dump; p dump; s wait; p wait; p words 3\n')
is(c:answer(), '0 admin: s|words|1\n', 'one of S')
is(c:answer(), '1 admin: p|words|2\n', 'one of P')
is(c:answer(), dump('s'), 'much of S')
is(c:answer(), dump('p'), 'much of P')
eventually('it waits', function() return other:ask('p waiting') == '1 0\n' end)
local answers = other:ask_all('s dump; p dump; s words; p words', 4)
is(answers[1], dump('s'), 'beside it S')
is(answers[2], dump('p'), 'beside it P')
is(answers[3], '0 admin: s|words\n', 'and S')
is(answers[4], '1 admin: p|words\n', 'and P')
other:ask('s set go true')
is(c:answer(), 's waits\ns goes on\n', 'S goes on')
is(c:answer(), 'p waits\np goes on\n', 'P goes on')
is(c:answer(), '1 admin: p|words|3\n', 'and the next')
other:ask('p set go false')

-- A client that goes has its command cancelled, wherever that waits.
for _, kind in ipairs({ 's', 'p' }) do
    local third = connect('admin.sock')
    third.peer:send(kind .. ' wait\n')
    eventually('it waits', function()
        return c:ask('s waiting') == (kind == 's' and '1 0\n' or '0 1\n')
    end)
    third.peer:close()
    eventually('it is cancelled', function()
        return c:ask('s waiting') == '0 0\n'
    end)
end

-- Levels.
local user = connect('user.sock')
is(user:ask('s words'), '0 user: s|words\n', 'a user')
like(user:ask('s dump'), 'ermission', 'S: a user may not')
like(user:ask('p dump'), 'ermission', 'P: a user may not')

for _, each in ipairs({ c, other, user }) do each:close() end
print('done')
os.exit(0)
