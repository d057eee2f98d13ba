-- Console commands in both kinds of state: see test_console.sh.
local kind = ...
local dict = require('shared').dict('commands')

core.register_cli({ kind, 'words' }, 'says its words', function(applet, ...)
    assert(tostring(applet) == 'AppletTCP')
    assert(applet:get_priv() == nil and applet:get_var('txn.x') == nil)
    applet:set_priv(kind)
    applet:set_var('txn.x', 1)
    core.msleep(1)
    assert(applet:get_priv() == kind and applet:get_var('txn.x') == 1)
    applet:send(('%d %s: '):format(core.thread, applet:level()))
    assert(applet:send(table.concat({ ... }, '|') .. '\n') > 0)
end, { level = 'user' })

core.register_cli({ kind, 'lines' }, 'tells the lines it gets', function(applet)
    assert(applet:receive(2) == 'ab')
    local n = 0
    while true do
        local line = applet:getline()
        if line == '' then break end
        n = n + 1
        applet:send(('%d %s'):format(n, line))
    end
    applet:send(('%q\n'):format(applet:receive()))
end)

core.register_cli({ kind, 'dump' }, 'says much', function(applet)
    for i = 1, 3000 do
        applet:send(('%s%d '):format(kind, i))
        if i % 500 == 0 then core.yield() end
    end
end)

-- Until the client says so, or has gone.
core.register_cli({ kind, 'wait' }, 'waits', function(applet)
    applet:send(kind .. ' waits\n')
    dict:incr(kind .. ' waiting', 1, 0)
    local ok, err = pcall(function()
        while not dict:get('go') do core.msleep(2) end
    end)
    dict:incr(kind .. ' waiting', -1)
    if not ok then error(err, 0) end
    applet:send(kind .. ' goes on\n')
end)
core.register_cli({ kind, 'set' }, 'sets a value', function(_, _, _, name, value)
    dict:set(name, value == 'true')
end)
core.register_cli({ kind, 'waiting' }, 'how many wait', function(applet)
    applet:send(('%d %d\n'):format(dict:get('s waiting') or 0,
        dict:get('p waiting') or 0))
end)

local function inner()
    error('boom')
end
core.register_cli({ kind, 'fail' }, 'fails', function(applet)
    applet:send('before\n')
    inner()
end)
core.register_cli({ kind, 'spin' }, 'computes', function()
    while true do end
end)

local function misuse(text, ...)
    local ok, err = pcall(core.register_cli, ...)
    assert(not ok and tostring(err):find(text), tostring(err))
end
local function f() end
misuse('these are all arguments', { 'x' }, 'x', f, nil, { level = 'admin' })
misuse("there is no option 'lewel'", { 'x' }, 'x', f, { lewel = 'admin' })
misuse('one to five words', {}, 'x', f)
misuse('one to five words', { '1', '2', '3', '4', '5', '6' }, 'x', f)
misuse('a word is of letters', { 'a b' }, 'x', f)
misuse('a word is of letters', { 1 }, 'x', f)
misuse('its usage', { 'a' }, nil, f)
misuse('a function', { 'a' }, 'x', nil)
misuse('level is', { 'a' }, 'x', f, { level = 'king' })
