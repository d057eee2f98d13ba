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
tap.is(count, 8, 'JSON: each line of its own')
tap.done()
