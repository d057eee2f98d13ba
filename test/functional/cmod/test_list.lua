-- cmod.list: what is loaded, and what it has cost.
local cmod = require('cmod')
local ffi = require('ffi')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

ffi.cdef([[
    struct list_time { long sec; long nsec; };
    int clock_gettime(int clock, struct list_time *t);
]])

-- CPU seconds of this process.
local function clock()
    local t = ffi.new('struct list_time')
    ffi.C.clock_gettime(2, t)
    return tonumber(t.sec) + tonumber(t.nsec) / 1e9
end

local source = [[
    #include <neap/module.h>
    #include <time.h>
    static double now(void)
    { struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
      return t.tv_sec + t.tv_nsec / 1e9; }
    static void burn_for(double s)
    { double end = now() + s; while (now() < end) ; }
    /* About 45 ns for each round, whatever the clock costs. */
    static void spin(int n)
    { volatile unsigned x = 1; while (n-- > 0) x = x * 7 + 1; }
    #define F(name) int name(neap_call_t *c, const char *a, const char *e)
    F(nothing) { return 0; }
    F(fails) { return NEAP_ERR("no"); }
    F(burn) { burn_for(0.01); return 0; }
    F(short_spin) { spin(500); return 0; }
    F(rarely) { static int n; if (++n % 20 == 0) burn_for(0.0005); return 0; }
    F(naps) { int i; for (i = 0; i < 10; i++) {
        burn_for(0.002); if (neap_fiber_sleep(0.002) != 0) return -1; }
        return 0; }
    F(once) { static int n; if (++n == 60000) burn_for(0.2); return 0; }
    F(first) { static int n; if (++n == 1) burn_for(0.2); return 0; }
    F(rests) { static int n; struct timespec t = { 0, 200000000 };
        if (++n == 60000) nanosleep(&t, 0);
        return 0; }
    F(between) { return 0; }
    F(hangs) { for (;;) ; return 0; }
    F(idles) { struct timespec t = { 0, 20000000 };
        nanosleep(&t, 0); return 0; }
    NEAP_MODULE("lister", "3.2.1", 0, 0);
]]
kit.build('l.so', source)
kit.build('plain.so', 'int nothing(void *c, const char *a, const char *e)'
    .. '{ return 0; }')

local function entry(file)
    for _, m in ipairs(cmod.list()) do
        if m.file:match('[^/]+$') == file and m.state == 'cached' then
            return m
        end
    end
end

local function func(name, file)
    for _, f in ipairs(entry(file or 'l.so').by_function) do
        if f.name == name then
            return f
        end
    end
end

tap.same(cmod.list(), {}, 'nothing is loaded')
local begin = os.time()
local m = cmod.load('./l')
local e = entry('l.so')
tap.is(e.path, './l', 'path')
tap.like(e.file, '^/.*/l%.so$', 'file')
tap.is(e.version, '3.2.1', 'version')
tap.is(e.size, #kit.read('l.so'), 'size')
local stat = io.popen('stat -L -c "%d %i %Y" l.so')
local dev, ino, mtime = stat:read('*n', '*n', '*n')
stat:close()
tap.is(e.device, dev, 'device')
tap.is(e.inode, ino, 'inode')
tap.is(math.floor(e.mtime), mtime, 'mtime')
tap.ok(e.since >= begin and e.since <= os.time() + 1, 'since')
tap.is(e.references, 1, 'references: the handle')
tap.is(e.never_closes, false, 'never_closes')
tap.is(e.functions, 0, 'no function is held')
tap.same(e.by_function, {}, 'and none is listed')
tap.is(e.calls, 0, 'calls')
tap.is(e.errors, 0, 'errors')
tap.is(e.cpu, 0, 'CPU seconds')
tap.is(entry('plain.so'), nil, 'what is not loaded is not listed')
local p = cmod.load('./plain')
tap.is(entry('plain.so').version, nil, 'no version without a block')
tap.is(cmod.list()[2].path, './plain', 'oldest first')
p:unload()
p = nil

-- counts, by function
local a, b, fails = m:load('nothing'), m:load('nothing'), m:load('fails')
for _ = 1, 5 do a() end
for _ = 1, 3 do b() end
for _ = 1, 4 do fails() end
e = entry('l.so')
tap.is(e.functions, 2, 'two functions are held')
tap.is(#e.by_function, 2, 'and listed')
tap.is(e.calls, 12, 'calls of all')
tap.is(e.errors, 4, 'errors of all')
tap.is(func('nothing').calls, 8, 'calls of one, by both handles')
tap.is(func('nothing').references, 2, 'its references')
tap.is(func('nothing').errors, 0, 'its errors')
tap.is(func('fails').errors, 4, "another's errors")
b:unload()
tap.is(func('nothing').calls, 8, 'a handle that went took no count along')
fails:unload()
e = entry('l.so')
tap.is(e.functions, 1, 'one is not held any more')
tap.is(e.calls, 12, 'its calls still count')
tap.is(e.errors, 4, 'and its errors')

-- CPU time: as the clock of the process saw it in the same moment
local function measured(name, calls, run)
    local f = m:load(name)
    local before = clock()
    for _ = 1, calls do
        f()
    end
    if run then run() end
    return func(name).cpu, clock() - before, f
end

-- Six calls of 10 ms, elsewhere; and what has passed meanwhile.
local function measured_away(name, options)
    local f = m:load(name, options)
    local before, begun = func(name).cpu, fiber.clock()
    for _ = 1, 6 do
        assert(f())
    end
    return func(name).cpu - before, fiber.clock() - begun
end

local cpu, all = measured('burn', 20)
tap.ok(cpu > 0.19 and cpu < all * 1.01,
    ('20 calls of 10 ms: %.3f s of %.3f s'):format(cpu, all))

-- Nearly all of it is the function's, so the process's clock is the measure.
cpu, all = measured('short_spin', 200000)
tap.ok(cpu > all * 0.4 and cpu < all * 3,
    ('many short calls: %.3f s of %.3f s'):format(cpu, all))

-- One call in twenty takes half a millisecond, the others next to nothing.
cpu, all = measured('rarely', 10000)
tap.ok(cpu > 0.22 and cpu < all * 1.1,
    ('seldom slow: %.3f s of %.3f s'):format(cpu, all))

cpu, all = measured('naps', 3)
tap.ok(cpu > 0.055 and cpu < all + 0.05, ('by slices: %.3f s'):format(cpu))

cpu, all = measured('idles', 5)
tap.ok(cpu < all + 0.05, ('sleeping takes no CPU time: %.4f s'):format(cpu))

-- One long call is told in full, be it the first or in the midst of others.
cpu, all = measured('first', 1000)
tap.ok(cpu > 0.15 and cpu < all + 0.2, ('once long, at first: %.3f s'):format(cpu))
cpu, all = measured('once', 100000)
tap.ok(cpu > 0.15 and cpu < all + 0.2, ('once long: %.3f s'):format(cpu))
cpu, all = measured('rests', 100000)
tap.ok(cpu < all + 0.05, ('once asleep: %.3f s'):format(cpu))

-- And what Lua does between the calls is not the function's.
do
    local between, took = m:load('between'), 0
    for _ = 1, 10 do
        local begun = clock()
        for _ = 1, 10000 do between() end
        took = took + clock() - begun
        local stop = clock() + 0.02
        while clock() < stop do end
    end
    cpu = func('between').cpu
    tap.ok(cpu < took + 0.1, ('Lua between: %.3f s'):format(cpu))
end

-- Off the loop, and in a helper process, also one that does not come back.
cpu, all = measured_away('burn', { offload = true })
tap.ok(cpu > 0.05 and cpu < all + 0.01, ('offloaded: %.3f s'):format(cpu))
cpu, all = measured_away('burn', { isolate = 'process' })
tap.ok(cpu > 0.05 and cpu < all + 0.01, ('isolated: %.3f s'):format(cpu))
do
    local begun = fiber.clock()
    local f = m:load('hangs', { isolate = 'process', timeout = 1 })
    tap.is(f(), nil, 'one that hangs is ended')
    -- As much as a busy machine gave it in that second.
    local latest = fiber.clock() + 60
    repeat
        fiber.sleep(0.01)
        cpu = func('hangs').cpu
    until cpu > 0 or fiber.clock() > latest
    tap.ok(cpu > 0 and cpu < fiber.clock() - begun, ('hanging: %.3f s'):format(cpu))
end

-- It outlives handles and functions, and goes with the instance.
collectgarbage()
collectgarbage()
e = entry('l.so')
tap.is(e.functions, 1, 'the functions were collected')
tap.ok(e.cpu > 0.19, 'what they took is in the sum')
a, m = nil, nil
tap.is(kit.live_count(), 0, 'no module is left')

-- an object of a thread keeps the library until the thread ends; it is told of
kit.build('object.so', [[
    #include <neap/module.h>
    struct object { int n; object() : n(1) {} ~object() { n = 0; } };
    static thread_local object mine;
    NEAP_MODULE("object", "1", NULL, NULL);
    extern "C" NEAP_EXPORT int f(neap_call_t *call, const char *, const char *)
    {
        char n = (char)mine.n++;
        return neap_return_mp(call, &n, &n + 1);
    }
]], '-x c++', '-x none -lstdc++')
local object = cmod.load('./object')
object:unload()
object = nil
tap.is(kit.live_count(), 0, 'an object that was not used keeps nothing')
object = cmod.load('./object')
object:load('f')()
object:unload()
object = nil
tap.is(kit.live_count(), 1, 'one that was used keeps its library')
e = cmod.list()[1]
tap.ok(e.state == 'unloaded' and e.never_closes and e.version == nil,
    'as unloaded, for good')
tap.done()
