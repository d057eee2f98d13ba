-- The cache as seen from Lua: handles, states, what reloads, what stays.
local cmod = require('cmod')
local json = require('json')
local kit = require('cmod_kit')
local tap = require('tap')
local yaml = require('yaml')

local function source(n)
    return ([[
        #include <neap/module.h>
        int version(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d; return neap_return_mp(c, &n, &n + 1); }
        int other(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d; return neap_return_mp(c, &n, &n + 1); }
    ]]):format(n, n + 50)
end

local build = {}
for n = 1, 10 do
    kit.build('b.so', source(n))
    build[n] = kit.read('b.so')
end
local fds = kit.open_fds()

local function version(m) return select(2, m:load('version')()) end

-- handles
kit.replace('m.so', build[1])
local a, b = cmod.load('./m'), cmod.load('./m')
tap.ok(a ~= b, 'each load gives a fresh handle')
tap.is(#cmod.list(), 1, 'of one instance')
tap.is(a.state, 'cached', 'cached')
tap.is(a.path, './m', 'path')
tap.like(a.file, '^/.*/m%.so$', 'file')
tap.is(a.nonsense, nil, 'an unknown field')
tap.is(tostring(a), 'module: ./m', 'tostring of a module')
tap.is(getmetatable(a), false, 'no metatable to be had')
tap.ok(not pcall(setmetatable, a, {}), 'nor to be set')
tap.ok(not pcall(function() a.x = 1 end), 'no field to be set')
local f = a:load('version')
tap.is(f.name, './m.version', 'f.name')
tap.is(f.symbol, 'version', 'f.symbol')
tap.is(f.module, './m', 'f.module')
tap.is(f.nonsense, nil, 'an unknown field of a function')
tap.is(tostring(f), 'function: ./m.version', 'tostring of a function')
tap.is(getmetatable(f), false, 'no metatable either')
tap.is(json.encode(f), '{"name":"./m.version"}', 'a function as json')
tap.same(json.decode(json.encode(a)), { path = './m', state = 'cached' },
    'a module as json')
tap.like(yaml.encode(a), 'path: ./m', 'a module as yaml')
tap.like(yaml.encode(a), 'state: cached', 'with its state')

-- independent handles
tap.is(a:unload(), true, 'unload')
tap.is(a.path, nil, 'no path afterwards')
tap.is(a.state, nil, 'no state')
tap.is(tostring(a), 'module: ./m (unloaded)', 'tostring of it')
tap.is(version(b), 1, 'the other one works')
tap.is(select(2, f()), 1, 'the function works')
f:unload()
tap.is(f.name, nil, 'no name afterwards')
tap.is(tostring(f), 'function: ./m.version (unloaded)', 'tostring of it')

-- chmod does not reload, touch does
kit.chmod('m.so', 448)
tap.is(#cmod.list(), 1, 'chmod: one instance')
local c = cmod.load('./m')
tap.ok(b.state == 'cached' and c.state == 'cached' and #cmod.list() == 1,
    'chmod: the same instance')
kit.set_time('m.so', 1000000000)
local d = cmod.load('./m')
tap.ok(b.state == 'orphan' and c.state == 'orphan' and d.state == 'cached',
    'touch: another instance, orphans')
tap.like(yaml.encode(b), 'state: orphan', 'the console shows it')

-- an orphan is whole, and never becomes cached again
kit.replace('m.so', build[2])
local e = cmod.load('./m')
tap.is(version(e), 2, 'the new one is new')
tap.is(version(b), 1, 'the orphan is old')
tap.is(select(2, b:load('other')()), 51, 'more functions from an orphan')
tap.is(select(2, e:load('other')()), 52, 'are not the new ones')
kit.replace('m.so', build[1])
kit.set_time('m.so', 1000000000)
local g = cmod.load('./m')
tap.ok(b.state == 'orphan' and version(g) == 1, 'the old file again is new')
-- the end of an orphan leaves the newer one cached
d:unload()
b:unload()
c:unload()
e:unload()
collectgarbage()
collectgarbage()
tap.is(g.state, 'cached', 'the end of orphans evicts nobody')
tap.is(#cmod.list(), 1, 'one instance is left')
g:unload()
tap.is(#cmod.list(), 0, 'none')

-- in place, while its function is in use
kit.replace('m.so', build[3])
local old = cmod.load('./m'):load('version')
kit.overwrite('m.so', build[4])
tap.is(select(2, old()), 3, 'overwritten in place: the function runs on')
kit.overwrite('m.so', ('\0'):rep(#build[4]))
tap.is(select(2, old()), 3, 'zeroed: it runs on')
tap.throws(function() cmod.load('./m') end, 'not an ELF', 'zeroed: refused')
tap.is(old.state, 'cached', 'a bad file takes nobody\'s place')
kit.overwrite('m.so', build[4]:sub(1, 3000))
tap.throws(function() cmod.load('./m') end, 'truncated', 'cut: refused')
tap.is(select(2, old()), 3, 'cut: it runs on')
kit.overwrite('m.so', build[5])
tap.is(version(cmod.load('./m')), 5, 'good again: loaded')
os.remove('m.so')
tap.is(select(2, old()), 3, 'removed: it runs on')
tap.throws(function() cmod.load('./m') end, 'no module', 'removed: no module')
old:unload()
old = nil
tap.is(kit.live_count(), 0, 'none is left')

-- one file, many ways
kit.replace('m.so', build[6])
kit.symlink('m.so', 'link.so')
kit.mkdir('sub')
local ways = { cmod.load('./m'), cmod.load('m'), cmod.load('./link'),
    cmod.load('sub/../m') }
tap.is(#cmod.list(), 1, 'four ways to one instance')
kit.chdir('sub')
ways[5] = cmod.load('../m')
tap.is(#cmod.list(), 1, 'found again from another directory')
tap.throws(function() cmod.load('./m') end, 'no module',
    'but not where it is not')
kit.replace('m.so', build[7])
ways[6] = cmod.load('./m')
tap.is(version(ways[6]), 7, 'the same path is another file here')
kit.chdir('..')
tap.is(version(cmod.load('./m')), 6, 'and the first one there')
ways = nil
tap.is(kit.live_count(), 0, 'none is left')

-- ten versions, everything closed before the next: each answers its own
local got = {}
for n = 1, 10 do
    kit.replace('m.so', build[n])
    local m = cmod.load('./m')
    local f = m:load('version')
    got[n] = select(2, f())
    f:unload()
    m:unload()
end
tap.same(got, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, 'ten versions')

-- ten thousand handles
local handles = {}
for i = 1, 5000 do
    local m = cmod.load('./m')
    handles[2 * i - 1], handles[2 * i] = m, m:load('version')
end
tap.is(cmod.list()[1].references, 5001, 'references of ten thousand handles')
local wrong = 0
for i = 2, 10000, 2 do
    wrong = wrong + (select(2, handles[i]()) == 10 and 0 or 1)
end
tap.is(wrong, 0, 'all of them work')
tap.is(cmod.list()[1].calls, 5000, 'calls are counted')
handles = nil
tap.is(kit.live_count(), 0, 'collecting them unloads')

-- a leak of one is seen by the same counts
_G.leak = cmod.load('./m')
tap.is(kit.live_count(), 1, 'one leaked handle shows')
_G.leak = nil
tap.is(kit.live_count(), 0, 'and goes')

a, b, c, d, e, f, g = nil, nil, nil, nil, nil, nil, nil
tap.is(kit.open_fds(), fds, 'no descriptor more')
tap.done()
