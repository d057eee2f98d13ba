-- load() with a probe: what would kill the server kills a helper process.
-- test: timeout 120
local cmod = require('cmod')
local ffi = require('ffi')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

ffi.cdef([[
    int getpid(void);
    int setenv(const char *name, const char *value, int overwrite);
]])

local sanitized = (os.getenv('NEAP_SANITIZE') or '') ~= ''
ffi.C.setenv('SERVER', tostring(ffi.C.getpid()), 1)

-- A library whose constructor and functions leave marks in files.
local function build(name, body)
    kit.build(name .. '.so', [[
        #include <neap/module.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int in_server(void)
        { return atoi(getenv("SERVER")) == getpid(); }
        static void mark(const char *what)
        {
            FILE *f = fopen("marks", "a");
            fprintf(f, "%s %s\n", what, in_server() ? "server" : "helper");
            fclose(f);
        }
        NEAP_EXPORT int f(neap_call_t *c, const char *a, const char *e)
        { (void)mark; return neap_return_mp(c, "\1", "\1" + 1); }
    ]] .. body)
end

local function marks()
    local f = io.open('marks')
    if f == nil then
        return ''
    end
    local text = f:read('*a')
    f:close()
    os.remove('marks')
    return text
end

-- load() throws a ClientError that says so, and the server has seen nothing.
local function refused(name, message, options)
    options = options or {}
    options.probe = true
    local live = kit.live_count()
    marks()
    local ok, err = pcall(cmod.load, './' .. name, options)
    if not tap.ok(not ok and type(err) == 'userdata', name .. ': thrown') then
        tap.diag(tostring(err))
        return
    end
    tap.is(err.type, 'ClientError', name .. ': type')
    tap.is(err.code, 138, name .. ': code')
    tap.like(err.message, "^cannot load './" .. name .. "': the probe failed: ",
        name .. ': what')
    tap.like(err.message, message, name .. ': why')
    tap.is(kit.live_count(), live, name .. ': nothing is loaded')
    tap.ok(not marks():find('server'), name .. ': nothing ran here')
end

build('good', [[
    static int init(void) { mark("init"); return 0; }
    static void fini(void) { mark("fini"); }
    NEAP_MODULE("good", "1", init, fini);
]])
do
    local m = cmod.load('./good', { probe = true })
    tap.is(marks(), 'init helper\nfini helper\ninit server\n',
        'a good one: the helper is at its end before the server begins')
    tap.is(select(2, m:load('f')()), 1, 'it works')
    tap.is(m.path, './good', 'path')
    local again = cmod.load('./good', { probe = true })
    tap.is(again.file, m.file, 'loaded again')
    tap.is(marks(), '', 'what is loaded is not probed again')
    tap.is(m.state, 'cached', 'one instance')
    build('good', '')
    local newer = cmod.load('./good', { probe = true })
    tap.is(m.state, 'orphan', 'a new build is')
    tap.is(newer.state, 'cached', 'and takes its place')
end

local abort = sanitized and 'helper process' or 'died of SIGABRT %(Aborted%)'
local segv = sanitized and 'helper process'
    or 'died of SIGSEGV %(Segmentation fault%)'
build('dies', '__attribute__((constructor)) static void x(void) { abort(); }')
refused('dies', abort)
build('crashes', [[
    static int *volatile p;
    static int init(void) { return *p; }
    NEAP_MODULE("crashes", "1", init, 0);
]])
refused('crashes', segv)
build('leaves', '__attribute__((constructor)) static void x(void) { _exit(3); }')
refused('leaves', 'ended with exit code 3')
build('leaves0', '__attribute__((constructor)) static void x(void) { _exit(0); }')
refused('leaves0', 'ended with exit code 0')
build('hangs', '__attribute__((constructor)) static void x(void) { for (;;) pause(); }')
refused('hangs', 'has not loaded the library within 0.2 seconds',
    { timeout = 0.2 })
build('dies_late', [[
    static void fini(void) { abort(); }
    NEAP_MODULE("dies_late", "1", 0, fini);
]])
refused('dies_late', abort)
build('hangs_late', [[
    static void fini(void) { for (;;) pause(); }
    NEAP_MODULE("hangs_late", "1", 0, fini);
]])
refused('hangs_late', 'has not closed the library within 2 seconds')
build('says_no', [[
    static int init(void) { return NEAP_ERR("no, thanks"); }
    NEAP_MODULE("says_no", "1", init, 0);
]])
refused('says_no', 'its init function failed: no, thanks')
build('lacks', [[
    int nowhere_to_be_found(void);
    NEAP_EXPORT int g(neap_call_t *c, const char *a, const char *e)
    { return nowhere_to_be_found(); }
]])
refused('lacks', 'undefined symbol: nowhere_to_be_found')
build('babbles', [[
    __attribute__((constructor)) static void x(void)
    {
        static const char noise[64] = "hello";
        if (write(3, noise, sizeof noise) < 0) _exit(9);
    }
]])
refused('babbles', 'what is no answer')
if not sanitized then
    build('swells', [[
        __attribute__((constructor)) static void x(void)
        {
            volatile char *p;
            while ((p = malloc(1 << 20)) != 0) *p = 1;
            abort();
        }
    ]])
    refused('swells', 'died of SIGABRT', { memory = 64 * 1024 * 1024 })
end

-- As load() without it.
tap.throws(function() cmod.load('./nope', { probe = true }) end,
    "no module './nope'", 'no such module')
kit.overwrite('bad.so', 'no library')
tap.throws(function() cmod.load('./bad', { probe = true }) end,
    'not a sound shared library', 'no library')
tap.throws(function() cmod.load('./good', { probe = 1 }) end,
    "option 'probe': true or false is wanted, not 1", 'a wrong value')
tap.throws(function() cmod.load('./good', { timeout = 1 }) end,
    'go with probe = true only', 'a timeout for nothing')
tap.throws(function() cmod.load('./good', { isolate = 'process' }) end,
    "no option 'isolate'", 'an option of functions')
tap.ok(cmod.load('./good', {}), 'no options')
tap.ok(cmod.load('./good', { probe = false }), 'no probe')
do
    local ok, err
    kit.where_no_wait(function()
        ok, err = pcall(cmod.load, './good', { probe = true })
    end)
    tap.ok(not ok and tostring(err):find('wait'), 'where it cannot wait')
end

-- Cancelled, and two at once.
do
    local seen
    local fb = fiber.new(function()
        local ok, err = pcall(cmod.load, './hangs', { probe = true })
        seen = not ok and err
    end)
    fb:set_joinable(true)
    fiber.sleep(0.05)
    fb:cancel()
    fb:join()
    tap.is(seen and seen.type, 'FiberIsCancelled', 'cancelled')
    build('twice', '')
    local loaded, fibers = {}, {}
    for i = 1, 4 do
        fibers[i] = fiber.new(function()
            loaded[i] = cmod.load('./twice', { probe = true })
        end)
        fibers[i]:set_joinable(true)
    end
    for i = 1, 4 do
        fibers[i]:join()
    end
    local n = 0
    for _, r in ipairs(cmod.list()) do
        n = n + (r.path == './twice' and 1 or 0)
    end
    tap.is(#loaded, 4, 'four at once')
    tap.is(n, 1, 'load one instance')
end

tap.done()
