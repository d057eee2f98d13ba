-- Programs that mean ill: each would take all memory, or never end. Names tell
-- what; `swallow` ones catch their errors, and only a limit of CPU time ends them.
local H = {}

function H.string_doubling()
    local s = 'x'
    while true do s = s .. s end
end

function H.string_growing()
    local s = 'x'
    local more = ('y'):rep(1000)
    while true do s = s .. more end
end

function H.strings_kept()
    local t = {}
    for i = 1, math.huge do t[i] = 'string number ' .. i end
end

function H.string_rep()
    return ('x'):rep(2e9)
end

function H.string_rep_steps()
    local t = {}
    for i = 1, math.huge do t[i] = ('abc'):rep(1000 * i) end
end

function H.string_format()
    local t = {}
    for i = 1, math.huge do t[i] = ('%99d %s'):format(i, t[i - 1] or '') end
end

function H.string_reverse()
    local t, s = {}, ('x'):rep(10000)
    for i = 1, math.huge do t[i] = (s .. i):reverse():upper() end
end

function H.table_concat()
    local t = {}
    for i = 1, 1e4 do t[i] = 'abcdefgh' end
    while true do t[1] = table.concat(t) end
end

function H.array()
    local t = {}
    for i = 1, math.huge do t[i] = i end
end

function H.hash()
    local t = {}
    for i = 1, math.huge do t[i + 0.5] = i end
end

function H.sparse()
    local t, k = {}, 1
    while true do
        t[k] = k
        k = (k * 16807) % 2147483647
    end
end

function H.tables_in_tables()
    local t = {}
    while true do t = { t, {}, {} } end
end

function H.constructor()
    local t = {}
    for i = 1, math.huge do t[i] = { i, i + 1, name = i } end
end

function H.closures()
    local t = {}
    for i = 1, math.huge do t[i] = function() return i end end
end

function H.upvalue_chain()
    local f = print
    while true do
        local g = f
        f = function() return g() end
    end
end

function H.coroutines()
    local t = {}
    for i = 1, math.huge do t[i] = coroutine.create(function() end) end
end

function H.coroutines_deep()
    local t = {}
    local function down(n)
        if n == 0 then coroutine.yield() end
        return 1 + down(n - 1)
    end
    for i = 1, math.huge do
        t[i] = coroutine.wrap(down)
        t[i](100)
    end
end

function H.coroutines_in_each_other()
    local function f()
        return coroutine.wrap(f)()
    end
    f()
end

function H.recursion()
    local function f(n)
        local a, b = { n }, { n }
        return 1 + f(n + 1) + #a + #b
    end
    f(1)
end

function H.varargs()
    local function f(...)
        return f(1, 2, 3, 4, 5, 6, 7, 8, ...)
    end
    f()
end

function H.unpacking()
    local t = {}
    for i = 1, math.huge do
        t[i] = { unpack(t, 1, math.min(i - 1, 200)) }
    end
end

function H.metatables()
    local t = {}
    for i = 1, math.huge do t[i] = setmetatable({}, { __index = t }) end
end

function H.concat_metamethod()
    local meta = {}
    function meta.__concat(a, b) return setmetatable({ a, b }, meta) end
    local x = setmetatable({}, meta)
    while true do x = x .. 'a' .. 'b' .. 'c' end
end

function H.index_recursion()
    local meta = {}
    function meta.__index(t, k) return t[k .. 'x'] end
    return setmetatable({}, meta).a
end

function H.tostring_grows()
    local kept = {}
    local o = setmetatable({}, { __tostring = function()
        kept[#kept + 1] = ('x'):rep(1000) .. #kept
        return kept[#kept]
    end })
    while true do tostring(o) end
end

function H.error_objects()
    local t = {}
    while true do
        t[#t + 1] = select(2, pcall(error, {}))
        t[#t + 1] = debug.traceback('x' .. #t)
    end
end

function H.error_handler_allocates()
    local t = {}
    xpcall(function()
        while true do t[#t + 1] = { #t } end
    end, function(e)
        local s = {}
        for i = 1, 1e7 do s[i] = { e } end
        return s
    end)
    return H.array()
end

function H.xpcall_in_xpcall()
    local t = {}
    local function f()
        t[#t + 1] = { #t }
        return xpcall(f, function(e)
            t[#t + 1] = tostring(e) .. #t
            return f()
        end)
    end
    while true do f() end
end

function H.error_in_error_handler()
    local t, n = {}, 0
    while true do
        xpcall(error, function()
            n = n + 1
            t[n] = ('x'):rep(100) .. n
            error({})
        end)
    end
end

function H.finalizers()
    local ffi = require('ffi')
    local t = {}
    for i = 1, math.huge do
        t[i % 100] = ffi.gc(ffi.new('char[16]'), function()
            local x = {}
            for k = 1, 100 do x[k] = { k } end
        end)
        t[100 + i] = {}
    end
end

function H.finalizers_that_fail()
    local ffi = require('ffi')
    local t = {}
    for i = 1, math.huge do
        if i <= 20 then
            ffi.gc(ffi.new('char[16]'), function()
                local s = 'x'
                while true do s = s .. s end
            end)
        end
        t[i] = {}
    end
end

function H.cdata()
    local ffi = require('ffi')
    local t = {}
    for i = 1, math.huge do t[i] = ffi.new('double[16]') end
end

function H.cdata_large()
    local ffi = require('ffi')
    local t = {}
    for i = 1, math.huge do t[i] = ffi.new('char[?]', 65536 * i) end
end

function H.string_buffer()
    local b = require('string.buffer').new()
    while true do b:put('abcdefghijklmnop') end
end

function H.string_buffer_doubling()
    local b = require('string.buffer').new():put('x')
    while true do b:put(b:tostring()) end
end

function H.string_buffer_encode()
    local buffer = require('string.buffer')
    local t = {}
    while true do
        t[#t + 1] = buffer.encode(t)
    end
end

function H.gsub_grows()
    return ('a'):rep(1e5):gsub('a', function() return ('zzzz'):rep(100) end)
end

function H.gsub_table()
    local t = setmetatable({}, { __index = function(t, k)
        t[#t + 1] = k:rep(100) .. #t
        return t[#t]
    end })
    return ('abc'):rep(1e6):gsub('%w+', t) .. ('abc'):rep(1e5):gsub('%w', t)
end

function H.pattern_captures()
    local t = {}
    while true do
        t[#t + 1] = { ('abcdefgh'):rep(10):match(('(.)'):rep(31)) }
    end
end

function H.load_chunks()
    local t = {}
    for i = 1, math.huge do
        t[i] = load('local a = ' .. i .. ' return function() return a + ' .. i .. ' end')
    end
end

function H.load_large()
    return load('return {' .. ('{1, "x", f()},'):rep(3e5) .. '}')
end

function H.load_endless()
    local n = 0
    return load(function()
        n = n + 1
        return n == 1 and 'return {' or 'a' .. n .. ' = ' .. n .. ','
    end)
end

function H.load_nested()
    return load('return ' .. ('{'):rep(1e6))
end

function H.weak_tables()
    local t = {}
    for i = 1, math.huge do
        t[i] = setmetatable({ {} }, { __mode = i % 2 == 0 and 'k' or 'v' })
    end
end

function H.sort_grows()
    local kept, t = {}, {}
    for i = 1, 1000 do t[i] = i end
    while true do
        table.sort(t, function(a, b)
            kept[#kept + 1] = { a, b }
            return a < b
        end)
    end
end

function H.fibers()
    local fiber = require('fiber')
    local t = {}
    for i = 1, math.huge do
        t[i] = fiber.new(function() fiber.sleep(1000) end)
        t[i]:cancel()
    end
end

function H.json()
    local json = require('json')
    local t = {}
    while true do t[#t + 1] = json.encode(t) end
end

function H.msgpack()
    local msgpack = require('msgpack')
    local t = {}
    while true do t[#t + 1] = msgpack.decode(msgpack.encode(t)) end
end

function H.registered_names()
    while true do
        require('hostile')['x' .. math.random(1e9)] = nil
        local t = setmetatable({}, { __index = table })
        for i = 1, 1e9 do t:insert('name ' .. i) end
    end
end

function H.yields_while_it_grows()
    local fiber = require('fiber')
    local t = {}
    for i = 1, math.huge do
        t[i] = ('x'):rep(1000) .. i
        if i % 10 == 0 then fiber.yield() end
    end
end

-- From here on errors are caught.

function H.swallow_growth()
    local t = {}
    while true do
        pcall(function() while true do t[#t + 1] = { #t } end end)
    end
end

function H.swallow_and_drop()
    while true do
        pcall(function()
            local t = {}
            while true do t[#t + 1] = { #t } end
        end)
    end
end

function H.swallow_strings()
    while true do
        pcall(H.string_doubling)
    end
end

function H.swallow_in_coroutine()
    while true do
        coroutine.resume(coroutine.create(H.array))
    end
end

function H.swallow_nested()
    local function f()
        local t = {}
        while true do pcall(f) t[#t + 1] = {} end
    end
    f()
end

function H.swallow_in_handler()
    while true do
        xpcall(H.closures, H.closures)
    end
end

function H.swallow_pattern()
    while true do
        pcall(string.find, ('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))
    end
end

return H
