-- cmod.watch: told of each new build. Nothing here is measured: what must come
-- is waited for long enough for any machine.
--
-- test: timeout 120
local cmod = require('cmod')
local fiber = require('fiber')
local json = require('json')
local kit = require('cmod_kit')
local tap = require('tap')

local LONG = 20 -- seconds, for what must come
local SHORT = 0.4 -- for what must not

local build = {}
for n = 1, 6 do
    kit.build('b.so', ([[
        #include <neap/module.h>
        int version(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d; return neap_return_mp(c, &n, &n + 1); }
    ]]):format(n))
    build[n] = kit.read('b.so')
end
os.remove('b.so')

local function version(m)
    return select(2, m:load('version')())
end

-- A watch whose builds come through a channel.
local function watching(path)
    local came = fiber.channel(100)
    return cmod.watch(path, function(m)
        came:put({ m = m, version = version(m) })
    end), came
end

local function next_version(came, seconds)
    local got = came:get(seconds or LONG)
    return got and got.version
end


-- wrong usage
tap.throws(function() cmod.watch() end, 'the path: a string', 'no path')
tap.throws(function() cmod.watch('./m') end, 'a function is wanted, not no value',
    'no function')
tap.throws(function() cmod.watch('./none', print) end, "module './none'",
    'no such module')
tap.throws(function() cmod.watch('./m', print, { probe = true }) end,
    "cmod.watch: no option 'probe'", 'an option')
tap.throws(function() cmod.watch('./m', print, 5) end,
    'cmod.watch: options are a table, not number', 'options that are none')
kit.mkdir('folder.so')
tap.throws(function() cmod.watch('./folder', print) end, 'folder', 'a folder')

-- the handle
kit.replace('m.so', build[1])
local w, came = watching('./m')
tap.is(tostring(w), 'watch: ./m', 'tostring')
tap.is(json.encode(w), '{"path":"./m"}', 'as json')
tap.is(w.path, './m', 'path')
tap.like(w.file, '^/.*/m%.so$', 'file')
do
    kit.chdir('/')
    local relative = cmod.watch(w.file:sub(2, -4), print)
    tap.is(relative.file, w.file, 'of a path from the root on')
    relative:stop()
    kit.chdir((w.file:gsub('/m%.so$', '')))
end
tap.is(w.nothing, nil, 'an unknown field')
tap.throws(function() return w[1] end, "field's name", 'a key that is no name')
tap.is(getmetatable(w), false, 'no metatable')
do
    local meta = debug.getmetatable(w)
    local gc = meta.__gc
    meta.__gc = nil -- what is thrown there is nobody's
    local fake = require('string.buffer').new()
    debug.setmetatable(fake, meta)
    meta.__gc = gc
    tap.throws(function() fake:stop() end, 'looks like one', 'a false handle')
end

-- how many folders the kernel tells of
local function folders()
    local pipe = io.popen('cat /proc/$PPID/fdinfo/* 2> /dev/null')
    local n = select(2, pipe:read('*a'):gsub('inotify wd', ''))
    pipe:close()
    return n
end
tap.is(folders(), 1, 'the kernel is asked')

-- what is there is no news, and was not even loaded
tap.is(came:get(SHORT), nil, 'the build that is there is not told')
tap.is(#cmod.list(), 0, 'nor loaded')

-- ways of replacing
kit.replace('m.so', build[2])
tap.is(next_version(came), 2, 'a rename')
kit.overwrite('m.so', build[3])
tap.is(next_version(came), 3, 'written in place')
os.remove('m.so')
kit.overwrite('m.so', build[4])
tap.is(next_version(came), 4, 'removed and written anew')
kit.set_time('m.so', 1000000000)
tap.is(next_version(came), 4, 'touched')
tap.is(came:get(SHORT), nil, 'each once')
kit.chmod('m.so', 420)
tap.is(came:get(SHORT), nil, 'a change of rights is none')
local moment = os.time()
kit.overwrite('m.so', build[5])
kit.set_time('m.so', moment)
tap.is(next_version(came), 5, 'with a time of its own')
kit.overwrite('m.so', build[6])
kit.set_time('m.so', moment)
tap.is(next_version(came), 6, 'other bytes, equal time and size')

-- a module is as load() gives it
kit.replace('m.so', build[1])
local got = came:get(LONG)
tap.is(got.m.path, './m', 'the path as given')
tap.is(got.m.state, 'cached', 'the newest')
local again = cmod.load('./m')
tap.is(kit.live_count(), 1, 'load() gives the same instance')
again:unload()
got.m:unload()
got, again = nil, nil
tap.is(kit.live_count(), 0, 'nobody keeps it: it is gone')

-- half a build is waited for, and nothing is said of it
kit.overwrite('m.so', build[2]:sub(1, 6000))
tap.is(came:get(SHORT), nil, 'half a build')
kit.overwrite('m.so', build[2])
tap.is(next_version(came), 2, 'the whole')
local f = io.open('m.so', 'wb')
for i = 1, #build[3], 512 do
    f:write(build[3]:sub(i, i + 511))
    f:flush()
    fiber.sleep(0.005)
end
f:close()
tap.is(next_version(came), 3, 'written slowly')
tap.is(came:get(SHORT), nil, 'once')

-- many at once: the last one counts
for i = 1, 60 do
    kit.replace('m.so', build[i % 3 + 1])
    if i % 7 == 0 then fiber.sleep(0.001) end
end
local last, calls = nil, 0
repeat
    local v = next_version(came, last == nil and LONG or 1)
    if v ~= nil then last, calls = v, calls + 1 end
until v == nil
tap.is(last, 60 % 3 + 1, 'after a burst the last build')
tap.ok(calls < 60, 'not one call for each: ' .. calls)

-- what changed between load() and watch() is not lost
local m = cmod.load('./m')
kit.replace('m.so', build[5])
local late, late_came = watching('./m')
tap.is(next_version(late_came), 5, 'replaced after load() and before watch()')
tap.is(next_version(came), 5, 'two watch one file')
tap.is(late:stop(), true, 'stop')
tap.is(late:stop(), false, 'again')
tap.is(tostring(late), 'watch: ./m (stopped)', 'tostring says so')
tap.is(late.path, nil, 'its fields are nil')
tap.is(next(json.decode(json.encode(late))), nil, 'as json')
kit.replace('m.so', build[6])
tap.is(next_version(came), 6, 'the other goes on')
tap.is(late_came:get(SHORT), nil, 'the stopped one is not told')
m:unload()
w:stop()

-- links
kit.replace('one.so', build[1])
kit.replace('two.so', build[2])
kit.symlink('one.so', 'link.so')
w, came = watching('./link')
kit.replace('one.so', build[3])
tap.is(next_version(came), 3, 'what a link leads to is replaced')
kit.symlink('two.so', 'link.new')
kit.rename('link.new', 'link.so')
tap.is(next_version(came), 2, 'a link is turned')
kit.replace('two.so', build[4])
tap.is(next_version(came), 4, 'and what it leads to now is replaced')
w:stop()
fiber.sleep(0.01)
tap.is(folders(), 0, 'stopped, the kernel is not asked any more')

-- links of folders, in which the kernel tells nothing of the file's folder
kit.mkdir('r1')
kit.mkdir('r2')
kit.replace('r1/m.so', build[1])
kit.replace('r2/m.so', build[2])
kit.symlink('r1', 'current')
w, came = watching('./current/m')
kit.symlink('r2', 'current.new')
kit.rename('current.new', 'current')
tap.is(next_version(came), 2, 'the link to its folder is turned')
kit.replace('r2/m.so', build[3])
tap.is(next_version(came), 3, 'the new folder is followed')
w:stop()

-- the folder goes, and comes again
w, came = watching('./r1/m')
kit.rename('r1', 'r1.old')
fiber.sleep(0.05)
kit.mkdir('r1')
kit.replace('r1/m.so', build[4])
tap.is(next_version(came), 4, 'a folder made anew')
kit.replace('r1/m.so', build[5])
tap.is(next_version(came), 5, 'and followed')
assert(os.execute('rm -r r1') == 0)
fiber.sleep(1.5)
kit.mkdir('r1')
kit.replace('r1/m.so', build[6])
tap.is(next_version(came), 6, 'gone for a while')
w:stop()

-- calls do not overlap, and errors end nothing
kit.replace('m.so', build[1])
local running, most, seen = 0, 0, {}
local done, go = fiber.channel(100), fiber.channel(0)
w = cmod.watch('./m', function(new)
    running = running + 1
    most = math.max(most, running)
    seen[#seen + 1] = version(new)
    done:put('begun')
    go:get()
    running = running - 1
    done:put('ended')
    if #seen == 1 then
        error('the first one fails')
    end
end)
kit.replace('m.so', build[2])
tap.is(done:get(LONG), 'begun', 'the first call')
for n = 3, 5 do
    kit.replace('m.so', build[n])
    fiber.sleep(SHORT)
end
tap.is(done:get(0), nil, 'no other while it runs')
go:put(true)
tap.is(done:get(LONG), 'ended', 'it ends')
tap.is(done:get(LONG), 'begun', 'an error did not end the watch')
go:put(true)
tap.is(done:get(LONG), 'ended', 'the next call ends')
tap.same(seen, { 2, 5 }, 'the newest build was told, and those between were not')
tap.is(most, 1, 'one call at a time')

-- stopped by the function, and while it runs
w:stop()
local self
local ended = fiber.channel(10)
self = cmod.watch('./m', function()
    self:stop()
    fiber.sleep(0.02)
    ended:put(true)
end)
kit.replace('m.so', build[1])
tap.is(ended:get(LONG), true, 'it stops itself, and goes on to its end')
kit.replace('m.so', build[2])
tap.is(ended:get(SHORT), nil, 'then it is over')

-- a handle that is not kept
cmod.watch('./m', function(new)
    ended:put(version(new))
end)
collectgarbage()
collectgarbage()
kit.replace('m.so', build[3])
local got
repeat
    got = ended:get(LONG)
until got ~= 2 -- which may have been told late
tap.is(got, 3, 'it goes on without its handle')

tap.is(kit.live_count(), 0, 'no module is left')
tap.done()
os.exit(0)
