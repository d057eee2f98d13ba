-- Functions in helper processes: what they may do to themselves is nil, err
-- here, and the next call works.
-- test: timeout 180, soak 1800, threads
local cmod = require('cmod')
local ffi = require('ffi')
local fiber = require('fiber')
local kit = require('cmod_kit')
local msgpack = require('msgpack')
local tap = require('tap')

ffi.cdef([[
    int kill(int pid, int signal);
    int getpid(void);
    int setenv(const char *name, const char *value, int replace);
]])

local C = ffi.C
local MB = 1024 * 1024
local sanitized = os.getenv('NEAP_SANITIZE') or ''

-- In helpers, malloc() is to give nothing when there is nothing, not to die.
if sanitized:find('address') then
    C.setenv('ASAN_OPTIONS', (os.getenv('ASAN_OPTIONS') or '') ..
        ':allocator_may_return_null=1', 1)
end
local m = cmod.load(kit.dir .. 'isolated')

local function isolated(name, options, module)
    options = options or {}
    options.isolate = 'process'
    return (module or m):load(name, options)
end

-- A process is there; a zombie is, too.
local function exists(pid)
    return C.kill(pid, 0) == 0
end

local function wait_for(what, f)
    local latest = fiber.clock() + 60
    while not f() do
        if fiber.clock() > latest then
            return tap.ok(false, what)
        end
        fiber.sleep(0.01)
    end
    return tap.ok(true, what)
end

-- Children of this process, dead ones not yet reaped included; what they are.
local function children()
    local path = ('/proc/%d/task/%d/children'):format(C.getpid(), C.getpid())
    local n, what = 0, {}
    for child in kit.read(path):gmatch('%d+') do
        local f = io.open('/proc/' .. child .. '/cmdline')
        n = n + 1
        -- It may end while it is looked at.
        what[n] = child .. ': ' .. (f and f:read('*a') or '?'):gsub('%z', ' ')
        if f then f:close() end
    end
    return n, table.concat(what, '\n')
end

-- nil, err with all its parts.
local function fails(name, want, ok, err)
    if not tap.ok(ok == nil and type(err) == 'userdata', name .. ': nil, err') then
        tap.diag(tostring(ok) .. ', ' .. tostring(err))
        return
    end
    tap.is(err.type, want.type or 'ClientError', name .. ': type')
    tap.is(err.code, want.code or 102, name .. ': code')
    tap.like(err.message, want.message, name .. ': message')
end

-- Results and errors are those of a plain call.
do
    local plain, echo = m:load('echo'), isolated('echo')
    tap.like(tostring(echo), '^isolated function: .*isolated%.echo$', 'tostring')
    tap.is(echo.symbol, 'echo', 'symbol')
    local values = {
        {}, { 1 }, { nil, nil }, { true, false, 0, -1, 2 ^ 53, 0.5, 1 / 0 },
        { 'x', ('y'):rep(40), ('z'):rep(70000), '\0\255' },
        { 9223372036854775807LL, -9223372036854775807LL,
            18446744073709551615ULL },
        { { 1, { 2, { 3 } } }, { a = { b = 'c' } }, { [1.5] = 1, [true] = 2 } },
        { msgpack.null or nil, 'end' },
    }
    for i, v in ipairs(values) do
        local a, b = { plain(unpack(v)) }, { echo(unpack(v)) }
        tap.is(#b, #a, 'echo ' .. i .. ': as many')
        tap.is_deeply(b, a, 'echo ' .. i .. ': the same')
    end
    local deep = {}
    for _ = 1, 126 do
        deep = { deep }
    end
    tap.is(isolated('echo')(deep), true, 'a deep one')
    fails('a function as argument', { type = 'IllegalParams', code = 1,
        message = 'function' }, echo(print))
    local text = 'abcdefghijklmnop'
    tap.is_deeply({ isolated('many')(text) }, { m:load('many')(text) },
        'many results')
    tap.is(select('#', isolated('signals')()), 1, 'no results: a lone true')
    for _, name in ipairs({ 'fails', 'fails_bare', 'garbage_result' }) do
        local _, a = m:load(name)()
        local ok, b = isolated(name)()
        tap.is(ok, nil, name .. ': nil')
        for _, field in ipairs({ 'type', 'code', 'message', 'errno' }) do
            tap.is(b[field], a[field], name .. ': ' .. field)
        end
        tap.is_deeply(b.trace, a.trace, name .. ': place')
    end
    local ok, text8 = isolated('large')(8)
    tap.ok(ok and #text8 == 8 * MB, 'a result of 8 MB')
    local args = ('a'):rep(8 * MB)
    local ok2, back = echo(args)
    tap.ok(ok2 and back[1] == args, 'and arguments')
end

-- Where it runs.
do
    local pid, counter = isolated('pid'), isolated('counter')
    local _, a = pid()
    local _, b = pid()
    tap.ok(a == b and a ~= C.getpid(), 'one helper for one function')
    tap.is(select(2, isolated('parent')()), C.getpid(), 'a child of ours')
    tap.is(select(2, counter()), 1, 'a new instance')
    tap.is(select(2, counter()), 2, 'that stays')
    tap.is(select(2, isolated('counter')()), 1, 'for each handle one')
    tap.is(select(2, m:load('counter')()), 1, 'and another one here')
    tap.is(select(2, isolated('descriptors')()), 2,
        'it inherits no descriptors: its socket, its library')
    local ok, err = isolated('signals')()
    tap.ok(ok, 'signals are as in a new program: ' .. tostring(err))
    tap.is(select(2, isolated('waits')()), 1, 'waits block it')
    tap.is(select(2, isolated('nap')(5)), 5, 'and sleep')
    tap.ok(exists(a), 'the helper is there')
    pid:unload()
    wait_for('and gone when its function is unloaded',
        function() return not exists(a) end)
    tap.throws(pid, 'unloaded', 'as the function')
end

-- All that goes wrong. After each the next call works.
do
    local segv = sanitized:find('address') and 'exit code 1'
        or 'died of SIGSEGV %(Segmentation fault%)'
    local cases = {
        { 'null_write', sanitized ~= '' and 'helper process' or segv },
        { 'aborts', sanitized ~= '' and 'helper process'
            or 'died of SIGABRT %(Aborted%)' },
        { 'divides', sanitized ~= '' and 'helper process'
            or 'died of SIGFPE %(Floating point exception%)' },
        { 'recurses', sanitized ~= '' and 'helper process' or segv },
        { 'kills_itself', 'died of SIGKILL' },
        { 'raises_realtime', 'died of signal 40$' },
        { 'exits', 'has ended with exit code 0$', 0 },
        { 'exits', 'has ended with exit code 7$', 7 },
        { 'closes_all', 'has closed descriptor 3' },
        { 'closes_and_stays', 'has closed descriptor 3' },
        { 'writes_all', 'what is no answer' },
        { 'lies', 'what is no answer' },
        { 'promises', 'results have 1152921504606846976 bytes, at most', 0 },
        { 'breeds_and_dies', sanitized ~= '' and 'helper process'
            or 'SIGABRT' },
    }
    for _, c in ipairs(cases) do
        local f = isolated(c[1])
        for i = 1, 2 do
            local name = ('%s, call %d'):format(c[1], i)
            local ok, err = f(c[3])
            fails(name, { message = c[2] }, ok, err)
            tap.like(tostring(err), "function '" .. c[1] .. "' of module '",
                name .. ': names the function')
        end
    end
    for _, name in ipairs({ 'loops', 'sleeps', 'stops_itself' }) do
        local f = isolated(name, { timeout = 0.1 })
        for i = 1, 2 do
            fails(name .. i, { type = 'TimedOut', code = 78,
                message = 'has not returned within 0.1 seconds' }, f())
        end
    end
    fails('half an answer', { type = 'TimedOut', code = 78,
        message = 'has not returned' }, isolated('promises',
        { timeout = 0.3 })(1))
    local f = isolated('large', { memory = 64 * MB })
    if not sanitized:find('thread') then -- which dies of it
        fails('no memory for results', { type = 'OutOfMemory', code = 2,
            message = 'memory' }, f(60))
        fails('nor for arguments', { type = 'OutOfMemory', code = 2,
            message = "bytes for the arguments of an isolated call "
                .. "%(option 'memory'%)" },
            f(('x'):rep(100 * MB)))
    end
    tap.is(#select(2, f(4)), 4 * MB, 'but for smaller ones')
end

-- The same process goes on when it can; when not, the next call starts one.
do
    local nap = isolated('nap', { timeout = 0.2 })
    fails('too long a nap', { type = 'TimedOut', code = 78,
        message = '0.2 seconds' }, nap(100))
    -- (A busy machine may take longer to begin it anew.)
    wait_for('the next call works', function() return select(2, nap(1)) == 1 end)
    local twice = isolated('answers_twice')
    local ok = twice()
    tap.ok(ok ~= false, 'an answer of its own making hurts nobody')
    local ok2 = twice()
    tap.ok(ok2 ~= false, 'nor the next one')
end

-- Memory.
if not sanitized:find('thread') then
    local ok, n = isolated('eats', { memory = 64 * MB })()
    tap.ok(ok and n > 32 and n <= 64, 'memory: ' .. tostring(n) .. ' of 64 MB')
    local dies = isolated('eats_and_dies', { memory = 64 * MB })
    local how = sanitized == '' and 'died of SIGSEGV' or 'exit code 1'
    fails('all memory', { message = how }, dies())
    fails('again', { message = how }, dies())
end

-- What is left behind dies with the helper.
do
    local daemonizes = isolated('daemonizes')
    local fine, lives = daemonizes()
    tap.is(fine and lives, 0, 'what loses its parent dies at once, always')
    daemonizes:unload()
    local f = isolated('breeds')
    local ok, child = f()
    tap.ok(ok and exists(child), 'a child is left behind')
    f:unload()
    wait_for('and killed at the end', function()
        local stat = io.open('/proc/' .. child .. '/stat')
        local state = stat and stat:read('*a'):match('%) (%a)')
        if stat then
            stat:close()
        end
        return state == nil or state == 'Z'
    end)
end

-- Many at once; a queue with an end.
do
    local nap = isolated('nap', { workers = 4 })
    local fibers, good = {}, 0
    for i = 1, 64 do
        fibers[i] = fiber.new(function()
            local ok, n = nap(i % 3)
            if ok and n == i % 3 then
                good = good + 1
            end
        end)
        fibers[i]:set_joinable(true)
    end
    for _, f in ipairs(fibers) do
        f:join()
    end
    tap.is(good, 64, '64 callers of 4 helpers')
    local pids, seen = isolated('pid', { workers = 3 }), {}
    for i = 1, 30 do
        fibers[i] = fiber.new(function() seen[select(2, pids())] = true end)
        fibers[i]:set_joinable(true)
    end
    for i = 1, 30 do
        fibers[i]:join()
    end
    local n = 0
    for _ in pairs(seen) do
        n = n + 1
    end
    tap.ok(n >= 1 and n <= 3, 'never more than there may be')
    local order, slow = {}, isolated('nap')
    for i = 1, 5 do
        fibers[i] = fiber.new(function()
            local _, n = slow(i)
            order[#order + 1] = n
        end)
        fibers[i]:set_joinable(true)
    end
    for i = 1, 5 do
        fibers[i]:join()
    end
    tap.is_deeply(order, { 1, 2, 3, 4, 5 }, 'one helper: in order')
    local refused, last = 0
    for i = 1, 1100 do
        fibers[i] = fiber.new(function()
            local ok, err = slow(0)
            if not ok then
                refused, last = refused + 1, err
            end
        end)
        fibers[i]:set_joinable(true)
    end
    for i = 1, 1100 do
        fibers[i]:join()
    end
    tap.ok(refused > 0 and refused < 100, 'the queue has an end')
    tap.like(tostring(last), "'nap': 1024 calls wait .*'workers'", 'which it says')
end

-- Cancel: while it runs, while it waits, before.
do
    local f = isolated('nap')
    local pid_of = isolated('pid')
    local results = {}
    local function caller(i, n)
        local fb = fiber.new(function()
            results[i] = { f(n) }
        end)
        fb:set_joinable(true)
        return fb
    end
    tap.is(select(2, f(0)), 0, 'warm')
    local first, second, third = caller(1, 120), caller(2, 1), caller(3, 2)
    fiber.sleep(0.05)
    second:cancel()
    second:join()
    fails('cancelled in the queue', { type = 'FiberIsCancelled', code = 0,
        message = 'cancelled' }, results[2][1], results[2][2])
    first:cancel()
    first:join()
    fails('cancelled at work', { type = 'FiberIsCancelled', code = 0,
        message = 'cancelled' }, results[1][1], results[1][2])
    third:join()
    tap.is(results[3][2], 2, 'the next in the queue gets its turn')
    local _, before = pid_of()
    local fb = fiber.new(function()
        pcall(fiber.cancel, fiber.self())
        results[4] = { pid_of() }
    end)
    fb:set_joinable(true)
    fb:join()
    tap.is(results[4][1], nil, 'cancelled before')
    tap.is(select(2, pid_of()), before, 'costs no helper')
    -- Unloaded while calls are under way: they end well.
    fb = caller(5, 10)
    local fb2 = caller(6, 1)
    fiber.sleep(0.02)
    f:unload()
    fb:join()
    fb2:join()
    tap.is(results[5][2], 10, 'unloaded: the call at work ends well')
    tap.is(results[6][2], 1, 'and the one behind it')
end

-- Killed from outside, between two calls and during one.
do
    local pid, nap = isolated('pid'), nil
    local _, n = pid()
    C.kill(n, 9)
    local ok, n2 = pid()
    tap.ok(ok == nil or n2 ~= n, 'killed a moment before a call')
    _, n = pid()
    C.kill(n, 9)
    wait_for('it is gone', function() return not exists(n) end)
    ok, n2 = pid()
    tap.ok(ok and n2 ~= n, 'killed between two calls: nobody notices')
    nap = isolated('nap')
    local err
    -- Again when that was between two calls.
    local fb = fiber.new(function()
        repeat _, err = nap(127) until type(err) ~= 'number'
    end)
    fb:set_joinable(true)
    while fb:status() ~= 'dead' do
        fiber.sleep(0.1)
        os.execute('kill -9 $(pgrep -P ' .. C.getpid() ..
            ' -f "helper nap") 2>/dev/null')
    end
    fb:join()
    tap.like(tostring(err), 'died of SIGKILL', 'killed during a call')
    tap.is(select(2, nap(1)), 1, 'the next one works')
end

-- Where a call cannot wait.
do
    local echo = isolated('echo')
    local ok, err
    kit.where_no_wait(function() ok, err = echo(1) end)
    tap.ok(ok == nil and tostring(err):find('wait'), 'in a metamethod of sort')
    local co = coroutine.wrap(function() return echo(7) end)
    local _, t = co()
    tap.is_deeply(t, { 7 }, "in the user's own coroutine")
    local options = { __serialize = function() echo:unload() return 1 end }
    tap.throws(function() echo(setmetatable({}, options)) end, 'unloaded',
        'unloaded by its own argument')
end

-- The file may be replaced: a handle runs the bytes it was loaded with.
do
    local source = [[
        #include <neap/module.h>
        NEAP_EXPORT int version(neap_call_t *c, const char *a, const char *e)
        { char v = VERSION; return neap_return_mp(c, &v, &v + 1); }
    ]]
    kit.build('v.so', source, '-DVERSION=1')
    local m1 = cmod.load('./v')
    local f1 = isolated('version', nil, m1)
    kit.build('w.so', source, '-DVERSION=2')
    kit.replace('v.so', kit.read('w.so'))
    tap.is(select(2, f1()), 1, 'replaced before its helper starts')
    local f2 = isolated('version', nil, cmod.load('./v'))
    tap.is(select(2, f2()), 2, 'the new file')
    kit.overwrite('v.so', 'no library')
    tap.is(select(2, isolated('version', nil, m1)()), 1, 'damaged since')
    m1:unload()
    os.remove('v.so')
    tap.is(select(2, f1()), 1, 'gone')
end

-- A library that cannot be loaded in a helper, though here it could.
do
    kit.build('once.so', [[
        #include <neap/module.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int init(void)
        {
            const char *how = getenv("ONCE");
            char *pid = getenv("SERVER");
            if (how == NULL || atoi(pid) == getpid()) return 0;
            if (how[0] == 'r') return NEAP_ERR("not here");
            abort();
        }
        NEAP_MODULE("once", "1", init, 0);
        NEAP_EXPORT int f(neap_call_t *c, const char *a, const char *e)
        { return 0; }
    ]])
    ffi.cdef('int unsetenv(const char *name);')
    C.setenv('SERVER', tostring(C.getpid()), 1)
    C.setenv('ONCE', 'refuse', 1)
    local once = cmod.load('./once')
    local f = isolated('f', nil, once)
    fails('refused', { code = 138, message = 'init function failed: not here' }, f())
    fails('at once', { code = 138, message = 'not here' }, f())
    C.setenv('ONCE', 'abort', 1)
    local n = 0
    for _ = 1, 20000 do
        n = n + (f() == nil and 1 or 0)
    end
    tap.is(n, 20000, 'no storm of starts: 20,000 calls fail')
    C.unsetenv('ONCE')
    wait_for('and it is tried again', function() return (f()) end)
    -- A trace of that loop may hold the function, and what it knows.
    f:unload()
end

-- Nothing is left: descriptors, processes, memory.
do
    local f = isolated('aborts')
    local null = isolated('exits')
    null(1)
    f()
    collectgarbage()
    collectgarbage()
    if not wait_for('helpers of what was collected end',
            function() return children() == 0 end) then
        tap.diag(select(2, children()))
    end
    -- Pages of this process's own memory.
    local function memory()
        collectgarbage()
        collectgarbage()
        return tonumber(kit.read('/proc/self/statm'):match('^%d+ %d+ %d+ %d+ %d+ (%d+)'))
    end
    for _ = 1, 20 do
        null(3)
    end
    local fds, procs, pages = kit.open_fds(), children(), memory()
    for _ = 1, tap.soak(1000, 100) do
        null(3)
    end
    -- (The address sanitizer keeps what is freed from being used again, and tells
    -- of leaks by itself; the thread sanitizer maps memory of its own.)
    if not sanitized:find('address') and not sanitized:find('thread') then
        tap.ok(memory() - pages < 256,
            ('no memory: %d pages, then %d'):format(pages, memory()))
    end
    wait_for('no processes', function() return children() <= procs end)
    wait_for('no descriptors', function() return kit.open_fds() <= fds end)
end

tap.done()
