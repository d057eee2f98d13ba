-- What code of a module does to its thread stays its own: how floating point
-- rounds, exceptions of C++ that are being handled, and those that nobody handles.
local cmod = require('cmod')
local ffi = require('ffi')
local fiber = require('fiber')
local kit = require('cmod_kit')
local tap = require('tap')

ffi.cdef('int fegetround(void);')
local fegetround = ffi.load('m').fegetround

-- a library that switches off denormal numbers when it is loaded
local tiny = tonumber('1e-310')
kit.build('fast.so', [[
    #include <neap/module.h>
    #include <fenv.h>
    static fenv_t none;
    static void spoil(void)
    {
    #ifdef __SSE__
        __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
    #endif
        fesetround(FE_UPWARD);
    }
    __attribute__((constructor)) static void begin(void) { spoil(); }
    __attribute__((destructor)) static void end(void) { spoil(); }
    static int init(void) { spoil(); return 0; }
    NEAP_MODULE("fast", "1", init, spoil);
]], nil, '-lm')
local nearest = fegetround()
local fast = cmod.load('./fast')
tap.ok(tiny * 1 == tiny and fegetround() == nearest, 'loaded: floating point as before')
fast:unload()
tap.ok(tiny * 1 == tiny and fegetround() == nearest, 'unloaded: the same')

-- a fiber started by a function that rounds otherwise for a while
kit.build('rounds.so', [[
    #include <neap/module.h>
    #include <fenv.h>
    static int waits(void *arg)
    {
        return neap_fiber_sleep(0.001) + neap_fiber_sleep(0.001);
    }
    NEAP_EXPORT int start(neap_call_t *call, const char *args, const char *end)
    {
        neap_fiber_t *f;
        int up;
        fesetround(FE_UPWARD);
        if (neap_fiber_start("rounds", waits, 0, &f) != 0)
            return -1;
        up = fegetround() == FE_UPWARD;
        fesetround(FE_TONEAREST);
        if (!up)
            return NEAP_ERR("the starter rounds otherwise");
        return neap_fiber_join(f, -1, 0);
    }
]], '-frounding-math', '-lm')
local start = cmod.load('./rounds'):load('start')
local rounded = {}
local watcher = fiber.new(function()
    for _ = 1, 10 do
        rounded[#rounded + 1] = fegetround()
        fiber.sleep(0.0005)
    end
end)
watcher:set_joinable(true)
tap.ok(start(), 'a fiber of one that rounds upwards')
watcher:join()
local others = 0
for _, mode in ipairs(rounded) do
    if mode ~= nearest then others = others + 1 end
end
tap.is(others, 0, 'others round as before')

-- exceptions
kit.build('throws.so', [[
    #include <neap/module.h>
    #include <exception>
    #include <stdexcept>
    #include <string>
    #define FUNCTION(name) extern "C" NEAP_EXPORT \
        int name(neap_call_t *call, const char *args, const char *end)
    static std::string own(const char *args) { return std::string(args + 2, 1); }
    /* own(letter, seconds / 100): waits while it handles its exception */
    FUNCTION(own)
    {
        std::string name = ::own(args);
        try {
            try {
                throw std::runtime_error(name);
            } catch (std::exception &e) {
                if (neap_fiber_sleep(args[3] * 0.01) != 0)
                    return -1;
                throw;
            }
        } catch (std::exception &e) {
            if (name != e.what())
                return NEAP_ERR("%s caught %s", name.c_str(), e.what());
        }
        return std::uncaught_exception() ? NEAP_ERR("still thrown") : 0;
    }
    static int of_fiber(void *arg)
    {
        try {
            throw 5;
        } catch (...) {
            return neap_fiber_sleep(0.001);
        }
    }
    FUNCTION(starts)
    {
        neap_fiber_t *f;
        int rc;
        try {
            throw std::runtime_error("starter");
        } catch (...) {
            rc = neap_fiber_start("of_fiber", of_fiber, 0, &f);
            try {
                throw;
            } catch (std::exception &e) {
                if (std::string(e.what()) != "starter")
                    return NEAP_ERR("caught %s", e.what());
            }
        }
        return rc == 0 ? neap_fiber_join(f, -1, 0) : -1;
    }
    struct counted { int *n; ~counted() { ++*n; } };
    static int destroyed;
    static void deep(int n)
    {
        counted c = { &destroyed };
        if (n == 0)
            throw std::runtime_error("nobody's");
        deep(n - 1);
    }
    FUNCTION(leaves) { deep(9); return 0; }
    FUNCTION(leaves_later) { neap_fiber_sleep(0.001); deep(9); return 0; }
    static int body(void *arg) { deep(9); return 0; }
    static int body_later(void *arg) { return leaves_later(0, 0, 0); }
    FUNCTION(fiber_leaves)
    {
        neap_fiber_t *f;
        if (neap_fiber_start("b", args[0] == '\x90' ? body : body_later, 0, &f) != 0)
            return -1;
        return neap_fiber_join(f, -1, 0);
    }
    FUNCTION(count)
    {
        char out = (char)destroyed;
        destroyed = 0;
        return std::uncaught_exception() ? NEAP_ERR("still thrown")
                                         : neap_return_mp(call, &out, &out + 1);
    }
]], '-x c++', '-x none -lstdc++')
local m = cmod.load('./throws')
local own = m:load('own')
local fibers = {}
for i, name in ipairs({ 'a', 'b', 'c' }) do
    fibers[i] = fiber.new(function() return own(name, i % 3 + 1) end)
    fibers[i]:set_joinable(true)
end
for _, f in ipairs(fibers) do
    local _, ok, err = f:join()
    tap.ok(ok, 'each goes on with its own exception')
    if not ok then tap.diag(tostring(err)) end
end
tap.same({ m:load('starts')() }, { true }, 'so do a fiber and who starts it')

local count = m:load('count')
for _, case in ipairs({ { 'leaves' }, { 'leaves_later' }, { 'fiber_leaves' },
        { 'fiber_leaves', 1 }, { 'leaves' } }) do
    local name = case[1]
    local ok, err = m:load(name)(case[2])
    tap.ok(ok == nil and err.type == 'ClientError' and
        err.message == 'an exception of C++ has left the function',
        name .. ': an error')
    tap.same({ count() }, { true, 10 }, 'what was on the stack is destroyed')
end
for _, options in ipairs({ { offload = true }, { isolate = 'process' } }) do
    local leaves = m:load('leaves_later', options)
    for _ = 1, 2 do
        local ok, err = leaves()
        tap.ok(ok == nil and tostring(err):match('exception of C%+%+ has left'),
            'off the loop: an error')
    end
end
tap.same({ own('d', 1) }, { true }, 'and calls go on')

-- in what is run when a library is loaded and closed
local function throwing(so, text)
    kit.build(so, '#include <neap/module.h>\n' .. text, '-x c++',
        '-x none -lstdc++')
    return './' .. so:gsub('%.so$', '')
end
local ok, err = pcall(cmod.load, throwing('init.so', [[
    static int init(void) { throw 5; }
    NEAP_MODULE("init", "1", init, NULL);
]]))
tap.ok(not ok and err.type == 'ClientError' and err.message:match(
    'its init function failed: an exception of C%+%+ has left the function$'),
    'init: the library is refused')
local fini = cmod.load(throwing('fini.so', [[
    static void fini(void) { throw 5; }
    NEAP_MODULE("fini", "1", NULL, fini);
]]))
tap.ok(pcall(fini.unload, fini), 'fini: the library is closed')
ok, err = pcall(cmod.load, throwing('constructor.so', [[
    __attribute__((constructor)) static void begin(void) { throw 5; }
]]), { probe = true })
tap.ok(not ok and tostring(err):match('died of SIGABRT'),
    'a constructor: nothing goes on')
if not ok then tap.diag(tostring(err)) end
tap.ok(cmod.load('./throws'), 'and libraries can be loaded')
tap.done()
