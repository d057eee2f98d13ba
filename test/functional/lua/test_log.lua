-- The module `log`, seen in the file it writes.
-- test: timeout 60
local tap = require('tap')

local script = [[
local log = require('log')
log.info('%d users', 3)
log.warn('100%')
log.error('%d', 'no number')
log.info({a = 1})
log.info('two\nlines')
log.info('forged\r\27[31m')
log.debug('not shown')
log.level('debug')
log.debug('shown')
log.info(nil)
print(log.level(), log.level(2), pcall(log.level, 'loud'))
log.warn('dropped')
log.cfg({ level = 'info', nonblock = true })
print(log.cfg.level, log.cfg.nothing, log.cfg(), log.pid())
local mine = log.new('mine')
mine.info('%d users', 4)
mine.error({ b = 2 })
mine.debug('not shown')
for _, wrong in ipairs({ { log = 'x' }, { format = 'json' }, { levle = 5 }, { level = 'loud' }, 1 }) do
    local ok, err = pcall(log.cfg, wrong)
    print(ok, err.type, err)
end
print(pcall(log.new))
]]
local file = assert(io.open('script.lua', 'w'))
file:write(script)
file:close()

local function run(options)
    os.remove('log.txt')
    local command = ("'%s' --log-file log.txt %s script.lua"):format(
        os.getenv('NEAP_BIN'), options)
    local pipe = io.popen(command)
    local out = pipe:read('*a')
    pipe:close()
    local log = assert(io.open('log.txt'))
    local text = log:read('*a')
    log:close()
    return text, out
end

local text, out = run('')
for _, want in ipairs({
    'I> 3 users\n', 'W> 100%%\n', 'E> %%d no number\n', 'I> {"a":1}\n',
    'I> two\n\tlines\n', 'I> forged\\x0d\\x1b%[31m\n', 'D> shown\n', 'I> nil\n',
}) do
    tap.like(text, want, 'logged: ' .. want)
end
tap.ok(not text:find('not shown'), 'what is below the level is not')
tap.ok(not text:find('dropped'), 'the level is set from Lua')
tap.like(text, 'I> mine: 4 users\n', 'a logger with a name')
tap.like(text, 'E> mine: {"b":2}\n', 'and its other levels')
tap.like(out, '\n5\tnil\tnil\t0\n', 'cfg')
for _, want in ipairs({ "'log' is set when the server starts, by %-%-log%-file",
    "'format' is set when the server starts", "no option 'levle'", "no level 'loud'",
    'a table is wanted' }) do
    tap.like(out, '\nfalse\tIllegalParams\t[^\n]*' .. want, 'cfg refuses: ' .. want)
end
tap.like(out, 'a name is wanted', 'a logger without a name')
tap.like(out, '^7\t2\tfalse\t.*no level \'loud\'', 'levels')

local json = require('json')
local count = 0
for line in run('--log-format json'):gmatch('[^\n]+') do
    local entry = json.decode(line)
    count = count + 1
    if count == 1 then
        tap.is(entry.message, '3 users', 'JSON: message')
        tap.is(entry.level, 'info', 'JSON: level')
        tap.is(entry.file .. ':' .. entry.line, 'script.lua:2', 'JSON: place')
    elseif entry.message:find('two') then
        tap.is(entry.message, 'two\nlines', 'JSON: two lines')
    end
end
tap.is(count, 10, 'JSON: each line of its own')
tap.done()
