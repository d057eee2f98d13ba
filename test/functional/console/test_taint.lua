-- What was done to a process stays in `show info`: commands that reach into it, Lua that is
-- typed at a console, and what went wrong in it.
-- test: timeout 60
local admin = require('admin_client')
local cmod = require('cmod')
local console = require('console')
local core = require('core')
local fiber = require('fiber')
local json = require('json')
local kit = require('cmod_kit')
local raw = require('raw')
local tap = require('tap')

local path = os.getenv('TMPDIR') .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))
local c = admin.connect(path)

local function taints()
    return c:json('show info').taints
end

tap.is(taints(), '', 'nothing was done to it')
tap.is(c:json('show info').tainted, false, 'nothing at all')
tap.like(c:ask('show metrics'), '\nneap_process_tainted 0\n', 'as a metric')
c:ask_all('show fibers; show lua; set log level info; nosuch', 4)
tap.is(taints(), '', 'who looks does nothing to it')
tap.like(c:ask('kill fiber 99999999 worker 1'), 'no such fiber', 'a fiber that is not there')
tap.like(c:ask('shut connection 99999'), 'no such connection', 'nor is a connection')
tap.is(taints(), '', 'so nothing was done')

local f = fiber.create(function() fiber.sleep(3600) end)
c:ask('kill fiber ' .. f:id())
tap.is(taints(), 'fiber_killed', 'kill fiber')
c:ask('set limits task 0 0')
tap.is(taints(), 'fiber_killed,limits_set', 'set limits')
c:ask('profile lua never')
tap.is(taints(), 'fiber_killed,limits_set', 'not what was refused')

local lua = assert(raw.connect(path))
lua:read('for help\n')
lua:send('x = 5\n')
lua:read('...\n')
lua:close()
tap.is(taints(), 'lua_run,fiber_killed,limits_set', 'Lua')

local so = os.getenv('TMPDIR') .. '/m.so'
kit.build(so, 'int f(void) { return 0; }')
local old = cmod.load((so:gsub('%.so$', '')))
kit.build(so .. '.new', 'int f(void) { return 1; }')
kit.rename(so .. '.new', so)
local new = cmod.load((so:gsub('%.so$', '')))
tap.is(taints(), 'lua_run,fiber_killed,limits_set,module_replaced', 'a C module')

tap.is(core.get_info().Tainted, taints(), 'as scripts see it')
tap.is(json.decode(c:ask('show info json')).tainted, true, 'JSON')
tap.like(c:ask('show info typed'), '%.taints%.0:%u%u%u%u:str:lua_run,', 'typed')
tap.like(c:ask('show info'), '\ntaints: lua_run,', 'text')
tap.like(c:ask('show metrics'), '\nneap_process_tainted 1\n', 'a metric')

c:close()
server:close()
old:unload()
new:unload()
os.remove(so)
tap.done()
