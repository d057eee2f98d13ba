-- Conditions of `wait`: until no request is served, until a fiber has ended; what HAProxy has
-- and is not here says what is; 100 consoles of Lua at once.
-- test: timeout 60
local admin = require('admin_client')
local console = require('console')
local fiber = require('fiber')
local http = require('http.server')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))
local c, d = admin.connect(path), admin.connect(path)

local go = fiber.cond()
local httpd = http.new('127.0.0.1', 0)
httpd:route({ path = '/slow' }, function() go:wait() return 'slow' end)
httpd:start()

tap.is(c:ask('wait 1h until idle'), '', 'nothing is served')
local p = assert(raw.connect(httpd:port()))
p:send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
raw.until_true(function() return #c:json('show requests') == 1 end)
tap.is(c:ask('wait 10ms until idle'), 'error: requests are still being served\n', 'too long')
c.peer:send('wait 1h until idle; echo over\n')
raw.until_true(function()
    return d:ask('show cli sessions'):find('%d wait')
end)
go:broadcast()
tap.same({ c:answer(), c:answer() }, { '', 'over\n' }, 'it is over')
p:close()

local f = fiber.create(function() go:wait() end)
tap.is(c:ask('wait 10ms fiber ' .. f:id()), ('error: fiber %d has not ended\n'):format(f:id()),
    'a fiber')
c.peer:send(('wait 1h fiber %d worker 1\n'):format(f:id()))
raw.until_true(function() return d:ask('show cli sessions'):find('%d wait') end)
go:broadcast()
tap.is(c:answer(), '', 'it has ended')
tap.is(c:ask('wait 1h fiber 999999'), '', 'one that is not there')
c.peer:send(('wait 1h fiber %d\n'):format(fiber.self():id()))
raw.until_true(function() return d:ask('show cli sessions'):find('%d wait') end)
c.peer:send('echo typed\n')
tap.same({ c:answer(), c:answer() }, { 'error: interrupted\n', 'typed\n' }, 'interrupted')
for line, why in pairs({
    ['wait 1 until tomorrow'] = "not understood: 'tomorrow'",
    ['wait 1 until idle fiber 3'] = 'one of them',
    ['wait 1 worker 1'] = 'a worker is for',
    ['wait 1 fiber 3 worker 9'] = 'there is no worker 9',
    ['wait 1 fiber 0'] = 'there is no such fiber',
    ['wait 2d'] = 'at most a day',
    ['show sess'] = 'what is like it: show requests',
    ['expert-mode on'] = 'the level admin',
    ['clear counters all'] = 'takes differences',
}) do
    tap.ok(c:ask(line):find(why, 1, true), line)
end

-- Who vanishes amidst it.
for _ = 1, 20 do
    local v = admin.connect(path)
    v.peer:send(('wait 1h fiber %d\n'):format(fiber.self():id()))
    v:close()
end
raw.until_true(function() return #d:json('show cli sessions') == 2 end)
tap.pass('nothing is left of it')
c:close()
d:close()

-- --- 100 consoles of Lua ---

local all, right = {}, 0
for i = 1, 100 do
    all[i] = assert(raw.connect(path))
    all[i]:read('for help\n')
    all[i]:send(i % 2 == 0 and '\\set output lua\n' or '\\set output yaml\n')
end
for i, one in ipairs(all) do
    one:read(i % 2 == 0 and 'true' or '...\n')
    one:send(('local mine = %d\nmine\ndo local x = %d\nrequire("fiber").sleep(%g)\n'
        .. 'return x, ("%d,"):rep(500) end\n'):format(i, i, i % 7 / 1000, i))
end
for i, one in ipairs(all) do
    local text = one:read((i .. ','):rep(500))
    local others = text:gsub((i .. ','):rep(500), ''):match('%d+,%d+,')
    local value = i % 2 == 0 and ('\n' .. i .. ', "' .. i .. ',') or ('- ' .. i .. '\n- ' .. i)
    local nothing = i % 2 == 0 and 'nil' or 'null'
    if not others and text:find(value, 1, true) and text:find(nothing, 1, true) then
        right = right + 1
    elseif right == i - 1 then
        tap.diag(text:sub(1, 300))
    end
    one:close()
end
tap.is(right, 100, '100 consoles have their own lines, locals, modes and answers')

httpd:stop()
server:close()
tap.done()
