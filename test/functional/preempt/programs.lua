-- Programs that compute a check sum and never wait: whatever makes them give
-- way in the middle must not be seen in it. Each is a function of a scale.
local P = {}

local function spin(n)
    local t = 0
    for i = 1, n do
        t = (t + i) % 101
    end
    return t
end

function P.numeric_loop(n)
    local s = 0
    for i = 1, n * 2e6 do
        s = (s + i * 3) % 1000003
    end
    return s
end

function P.while_loop(n)
    local i, s = 0, 0
    while i < n * 1e6 do
        i = i + 1
        s = (s * 31 + i) % 65521
    end
    return s
end

function P.goto_loop(n)
    local i, s = 0, 0
    ::top::
    i = i + 1
    s = (s + i * i) % 65521
    if i < n * 1e6 then
        goto top
    end
    return s
end

function P.protected_calls(n)
    local s = 0
    for k = 1, 40 do
        local ok, r = pcall(function()
            local t = 0
            for i = 1, n * 2e4 do
                t = (t + i) % 1009
            end
            if k % 2 == 0 then
                error(t, 0)
            end
            return t
        end)
        s = (s * 7 + (ok and r or r + 1)) % 65521
    end
    return s
end

function P.error_handlers(n)
    local s = 0
    for _ = 1, 20 do
        local _, r = xpcall(function()
            error(spin(n * 2e4), 0)
        end, function(e)
            return e + spin(n * 2e4)
        end)
        s = (s * 7 + r) % 65521
    end
    return s
end

function P.metamethods(n)
    local mt = {}
    local steps = n * 3e3
    mt.__index = function(_, k) return spin(steps) + k end
    mt.__newindex = function(t, k, v)
        rawset(t, 'sum', ((rawget(t, 'sum') or 0) + spin(steps) + k + v) % 65521)
    end
    mt.__add = function() return spin(steps) end
    mt.__unm = function() return spin(steps + 1) end
    mt.__lt = function() return spin(steps) > 50 end
    mt.__le = function() return spin(steps) < 50 end
    mt.__eq = function() return spin(steps) % 2 == 0 end
    mt.__call = function(_, x) return spin(steps) + x end
    mt.__concat = function(_, b) return 'c' .. spin(steps) .. type(b) end
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    local s = 0
    for k = 1, 12 do
        s = s + a[k] + (a + b) + -a + a(k) + #(a .. b)
        s = s + (a < b and 1 or 2) + (a <= b and 3 or 5) + (a == b and 7 or 11)
        a[k * 1000] = k
        rawset(a, k * 1000, nil)
        s = s % 65521
    end
    return s + rawget(a, 'sum')
end

function P.sort_with_comparator(n)
    local t, x = {}, 42
    for i = 1, n * 1000 do
        x = (x * 16807) % 2147483647
        t[i] = x
    end
    table.sort(t, function(a, b)
        return a + spin(20) * 0 < b
    end)
    local s = 0
    for i = 1, #t do
        s = (s * 31 + t[i]) % 65521
    end
    return s
end

function P.gsub_with_callback(n)
    local s, c = ('abc'):rep(200), 0
    for _ = 1, n * 3 do
        s = s:gsub('[ab]', function(x)
            c = (c + spin(50)) % 65521
            return x == 'a' and 'b' or 'a'
        end)
    end
    return c .. s:sub(1, 5)
end

function P.strings(n)
    local h = 0
    for i = 1, n * 1e4 do
        local s = ('k%d'):format(i) .. i
        h = (h * 33 + #s + s:byte(#s)) % 65521
    end
    return h
end

function P.tables(n)
    local t = {}
    for i = 1, n * 1e4 do
        local k = 'k' .. i % 500
        t[k] = (t[k] or 0) + i
    end
    local s = 0
    for _ = 1, 20 do
        for _, v in pairs(t) do
            s = (s + v) % 65521
        end
    end
    for i = 1, n * 1e4 do
        t[i] = i
    end
    for i, v in ipairs(t) do
        s = (s * 3 + v - i + 1) % 65521
    end
    return s
end

function P.varargs(n)
    local function f(...)
        return select('#', ...), ...
    end
    local s = 0
    for i = 1, n * 5e3 do
        local a = { f(i, i + 1, f(i)) }
        s = (s + #a + a[2] + a[#a]) % 65521
    end
    return s
end

function P.closures(n)
    local s = 0
    local function make(i)
        local c = i
        return function()
            c = c + 1
            return c
        end
    end
    for i = 1, n * 2e4 do
        local f = make(i)
        f()
        s = (s + f()) % 65521
    end
    return s
end

function P.recursion(n)
    local function fib(i)
        return i < 2 and i or fib(i - 1) + fib(i - 2)
    end
    local s = 0
    for _ = 1, n do
        s = s + fib(22)
    end
    return s
end

function P.generator(n)
    local function gen(last)
        return coroutine.wrap(function()
            for i = 1, last do
                coroutine.yield(i + spin(200), nil, i)
            end
        end)
    end
    local s = 0
    for v, gap, i in gen(n * 500) do
        s = (s * 3 + v + i + (gap == nil and 1 or 2)) % 65521
    end
    return s
end

-- Coroutines that yield nothing at all look most like one that gave way.
function P.empty_yields(n)
    local s = 0
    local co = coroutine.create(function()
        while true do
            s = (s * 5 + spin(300)) % 65521
            coroutine.yield()
        end
    end)
    for i = 1, n * 300 do
        assert(select('#', coroutine.resume(co)) == 1)
        s = s + i
    end
    return s
end

function P.nested_coroutines(n)
    local function level(d)
        if d == 0 then
            return spin(n * 5e5)
        end
        local co = coroutine.create(function(x)
            local y = coroutine.yield(x + 1)
            return level(d - 1) + y
        end)
        local _, a = coroutine.resume(co, d)
        local ok, b = coroutine.resume(co, a)
        assert(ok, b)
        assert(coroutine.status(co) == 'dead')
        return b
    end
    return level(8)
end

-- A coroutine inside a callback that cannot be put aside.
function P.coroutine_in_sort(n)
    local t = {}
    for i = 1, 50 do
        t[i] = (i * 37) % 53
    end
    local calls = 0
    table.sort(t, function(a, b)
        calls = calls + coroutine.wrap(function()
            return spin(n * 2e3) >= 0 and 1 or 0
        end)()
        return a < b
    end)
    return calls .. table.concat(t, ',')
end

function P.ffi_and_bits(n)
    local ffi = require('ffi')
    local a = ffi.new('uint32_t[1024]')
    for i = 1, n * 5e5 do
        local j = bit.band(i, 1023)
        a[j] = bit.bxor(a[j], i) * 3
    end
    local s = 0
    for i = 0, 1023 do
        s = (s * 31 + a[i]) % 65521
    end
    return s
end

function P.loaded_chunks(n)
    local s = 0
    for i = 1, n * 20 do
        local f = assert(load('local s = 0 for i = 1, 3000 do s = (s + i * ' ..
            i .. ') % 1009 end return s'))
        s = (s * 31 + f()) % 65521
    end
    return s
end

-- The script's own hook is there again after each interruption.
function P.own_hook(n)
    local lines = 0
    local function count()
        lines = lines + 1
    end
    local s = 0
    for _ = 1, n * 10 do
        debug.sethook(count, 'l')
        local a = 1
        a = a + 1
        s = s + a
        debug.sethook()
        spin(1000)
    end
    return s .. '/' .. (lines >= n * 30 and 'seen' or 'lost')
end

return P
