-- sort, gsub and load with callbacks give what LuaJIT's own give, whatever they
-- are asked: random arguments to both. Where nothing can wait LuaJIT's own serve,
-- so the same call is made once in the open and once inside an __lt of sort.
--
-- test: variants, timeout 600
local tap = require('tap')

local seed = tonumber(os.getenv('NEAP_TEST_SEED')) or os.time()
tap.diag('NEAP_TEST_SEED=' .. seed)
math.randomseed(seed)
local random = math.random

local function pack(...)
    return { n = select('#', ...), ... }
end

-- In a call that cannot be left: LuaJIT's own.
local function blocked(f, ...)
    local args, got = pack(...), nil
    local one = setmetatable({}, { __lt = function()
        assert(not coroutine.isyieldable())
        got = pack(f(unpack(args, 1, args.n)))
        return false
    end })
    table.sort({ one, one })
    return got
end

local function open(f, ...)
    assert(coroutine.isyieldable())
    return pack(f(...))
end

local function show(v, depth)
    if type(v) == 'string' then
        return ('%q'):format(v)
    elseif type(v) ~= 'table' or (depth or 0) > 2 then
        return type(v) == 'number' and ('%.17g'):format(v) or type(v)
    end
    local parts = {}
    for i = 1, math.max(v.n or 0, table.getn(v)) do
        parts[i] = show(v[i], (depth or 0) + 1)
    end
    return '{' .. table.concat(parts, ', ') .. '}'
end

-- Both ways of `case()`, which makes the call anew from the same random numbers,
-- and gives all that can be seen of it.
local function compare(what, count, case)
    local wrong, errors, done = nil, 0, 0
    local to = os.clock() + tap.soak(4, 0.5) -- with the collector at work all the time: fewer
    while done < count and os.clock() < to do
        done = done + 1
        local now = random(2 ^ 30)
        math.randomseed(now)
        local a = show(open(case))
        math.randomseed(now)
        local b = show(blocked(case))
        if a ~= b then
            wrong = wrong or ('ours %s\ntheirs %s'):format(a, b)
        end
        errors = errors + (a:find('{0', 1, true) and 1 or 0)
        math.randomseed(now + 1)
    end
    tap.ok(not wrong, ('%s: %d, %d with an error'):format(what, done, errors))
    if wrong then
        tap.diag(wrong)
    end
end

-- With the place of the call: the line below, for both.
local function call(f, ...)
    local got = pack(pcall(function(...) local a, b = f(...) return a, b end, ...))
    got[1] = got[1] and 1 or 0
    return got
end

local function pick(list)
    local v = list[random(#list)]
    if v == 'nil' then return nil end
    return v
end

-- sort

local orders = {
    function(a, b) return a.key < b.key end,
    function(a, b) return a.key > b.key end,
    function(a, b) return a.key < b.key and 0 end,
    function(a, b) return a.key <= b.key end, -- none
    function() return true end,
    function() return random(2) == 1 end,
    function() return false end,
    function(a, b)
        if random(40) == 1 then error('thrown', random(0, 2)) end
        return a.key < b.key
    end,
    function(a, b)
        if random(40) == 1 then error({ 'thrown' }) end
        return a.key < b.key
    end,
    function(a, b) return a < b end,
    rawequal, error, math.max,
}
compare('sort by a function', 4000, function()
    local t, n = {}, random(0, random(2) == 1 and 8 or 200)
    local keys = random(2) == 1 and 3 or 1000
    for i = 1, n do
        t[i] = { key = random(keys), at = i }
    end
    if random(20) == 1 and n > 0 then
        t[random(n)] = nil
    end
    local trace = {}
    local less = pick(orders)
    local f = random(3) == 1 and less or function(a, b)
        trace[#trace + 1] = (a and a.at or 0) * 1000 + (b and b.at or 0)
        return less(a, b)
    end
    local got = call(table.sort, t, f)
    local at = {}
    for i = 1, n do
        at[i] = t[i] and t[i].at or 0
    end
    return got, at, trace
end)
compare('sort by what is none', 200, function()
    local args = {}
    for i = 1, 3 do
        args[i] = pick({ 1, 'x', true, 'nil', {}, { 2, 1 }, type, { 'b', {} } })
    end
    return call(table.sort, unpack(args, 1, random(0, 3))), args
end)
compare('sort by <', 300, function()
    local t = {}
    for i = 1, random(0, 50) do
        t[i] = pick({ random(9), random(9), random(300) == 1 and {} or 1 })
    end
    return call(table.sort, t), t
end)

-- gsub

local atoms = { 'a', 'b', '.', '%a', '%d', '%s', '[ab]', '[^a]', '%.', '()', '(',
    ')', '(a)', '(.)', '(', ')', '%1', '%2', '%b()', '%f[%a]', '%f[^%a]', '%f',
    '[', ']', '%', '\0', '%z', 'x', '$', '^', '%w', '[%w_]', '[a-c]' }
local tails = { '', '', '', '', '*', '+', '-', '?' }
local function pattern()
    local parts = { random(6) == 1 and '^' or '' }
    for i = 1, random(0, 4) do
        parts[i + 1] = pick(atoms) .. pick(tails)
    end
    return table.concat(parts) .. (random(8) == 1 and '$' or '')
end
local function text()
    local parts = {}
    for i = 1, random(0, 30) do
        parts[i] = pick({ 'a', 'b', 'c', 'x', ' ', '(', ')', '1', '.', '\0', '_' })
    end
    return table.concat(parts)
end
local top_level = 2
local function answer(...)
    local r = random(12)
    if r == 1 then return nil
    elseif r == 2 then return false
    elseif r == 3 then return random(100) / 7
    elseif r == 4 and random(4) == 1 then return {}
    elseif r == 5 and random(4) == 1 then return true
    elseif r == 6 and random(4) == 1 then error('thrown', random(0, top_level))
    elseif r == 7 then return
    elseif r == 8 then return '%1', 2
    end
    return '<' .. tostring((...)) .. '>'
end
local function limit()
    return pick({ 'nil', 'nil', 0, 1, 2, 3, -1, 1.9, -0.5, '2', 1e9, 2 ^ 31, 2 ^ 32 + 1,
        0 / 0, 1e300, 'x', {} })
end
local wild = { 1, 12.5, 'x', '%1', '%0%0', '%9', '%', true, 'nil', {}, type, '' }
compare('gsub by a function', 20000, function()
    local s, trace = text(), {}
    local function f(...)
        trace[#trace + 1] = pack(...)
        return answer(...)
    end
    if random(30) == 1 then f = pick({ tostring, tonumber, rawequal, rawset }) end
    if random(2) == 1 then
        return call(string.gsub, s, pattern(), f, limit()), trace
    end
    return call(function(...) return s:gsub(...) end, pattern(), f), trace
end)
compare('gsub by a table', 3000, function()
    return call(string.gsub, text(), pattern(),
        { a = 'A', b = false, x = 1, [1] = 'one', [' '] = {} }, limit())
end)
top_level = 1 -- an index has a place of its own
compare('gsub by a table that looks up', 3000, function()
    local trace = {}
    local function look(_, key)
        trace[#trace + 1] = key
        return answer(key)
    end
    local parts = {}
    for i = 1, random(1, 4) do
        parts[i] = pick({ 'a', '(.)', '()', '%a+', '.-', '[^ab]*', '(%w)(%w)' })
    end
    return call(string.gsub, text(), table.concat(parts),
        setmetatable({ a = 'A' }, pick({ { __index = look }, { __index = { b = 2 } },
            {} })), limit()), trace
end)
compare('gsub of anything', 3000, function()
    local args = {}
    for i = 1, 4 do
        args[i] = pick(wild)
    end
    if random(2) == 1 then args[3] = answer end
    return call(string.gsub, unpack(args, 1, random(0, 5)))
end)
compare('gsub of what is too complex', 6, function()
    return call(string.gsub, ('a'):rep(random(100, 2000)), pick({ '(.-)b',
        ('a?'):rep(300), ('(a)'):rep(40), '((((a))))', '%f[', '%b', 'a\0(' }),
        function() return 'x' end)
end)
compare('gsub of much', 4, function()
    local s = ('ab \0%'):rep(random(20000))
    return call(string.gsub, s, pick({ '%a', '.', '', '%w*', 'ab', ' ' }),
        function(a) return a .. a end)
end)

-- load

local codes = { 'return 1', 'return ...', 'x = = 1', 'return "abc', 'return 1e',
    '--[[ ', 'return [[a\nb]]', 'for', 'return function() return 7 end',
    'error("here")', 'return "\\x4', 'goto x', '', '\n\n\nx x', '#!x\nreturn 2' }
compare('load of pieces', 5000, function()
    local code = pick(codes)
    if random(3) == 1 then
        code = ('local x = 1\n'):rep(random(300)) .. code
    elseif random(6) == 1 then
        code = string.dump(assert(loadstring('return 42, ...')), random(2) == 1)
    end
    -- Bytecode in full: LuaJIT reads on behind what is cut short.
    local whole = code:sub(1, 1) == '\27'
    local at, size = 1, random(1, 40)
    local function reader()
        local r = whole and 400 or random(400)
        if r == 1 then error('thrown', random(0, 2))
        elseif r == 2 then return {}
        elseif r == 3 then return true
        elseif r == 4 then return ''
        elseif r == 5 then return 12
        end
        local piece = code:sub(at, at + size - 1)
        at = at + size
        return piece ~= '' and piece or nil
    end
    local now = random(2 ^ 30)
    math.randomseed(now)
    local got = call(load, reader, pick({ 'nil', 'nil', '=name', '@file', 'text', 7 }),
        pick({ 'nil', 'nil', 'b', 't', 'bt' }), pick({ 'nil', { error = error } }))
    math.randomseed(now)
    if type(got[2]) == 'function' then
        got[2] = call(got[2], 5)
    end
    return got
end)
compare('load of anything', 500, function()
    local args = {}
    for i = 1, 4 do
        args[i] = pick({ 'return 1', 'nil', 7, {}, true, function() end, 'x x', 't' })
    end
    local got = call(load, unpack(args, 1, random(0, 5)))
    return got
end)
tap.done()
