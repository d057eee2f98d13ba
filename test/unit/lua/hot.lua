-- Code that is hot and allocates, in traces and while they are made: for failing
-- its allocations one by one. Each part gives a sum, or throws 'not enough memory'.
-- hot() runs all of it with nothing compiled yet; what is not as the first time is
-- WRONG. It gives how many parts failed.
local ffi = require('ffi')
local new_buffer = require('string.buffer').new
local parts = {}

jit.opt.start('hotloop=2', 'hotexit=1')

function parts.tables()
    local t, s = {}, 0
    for i = 1, 60 do
        t[i] = { n = i, key = i % 3 == 0 and i or nil }
        t['k' .. i] = i
    end
    for i = 1, 60 do
        s = s + t[i].n + (t[i].key or 1) + t['k' .. i]
    end
    return s
end

function parts.strings()
    local s = ''
    for i = 1, 60 do
        s = s .. i .. ('%d,'):format(i):rep(2):upper()
        if #s > 200 then
            s = s:sub(-50)
        end
    end
    return s
end

function parts.closures()
    local s = 0
    for i = 1, 60 do
        local n = i
        local function add(k)
            n = n + k
            return n
        end
        s = s + add(1) + add(2)
    end
    return s
end

-- What is not allocated in the trace is at its exit.
function parts.sunk()
    local last, s = { x = 0 }, 0
    for i = 1, 60 do
        local p = { x = last.x + i, y = { i } }
        if i % 7 == 0 then
            s = s + p.y[1]
        end
        last = p
    end
    return last.x + s
end

function parts.cdata()
    local n, box = 0LL, ffi.new('int64_t[8]')
    for i = 1, 60 do
        n = n * 3LL + i
        box[i % 8] = n
        box = i % 9 == 0 and ffi.new('int64_t[8]', box) or box
    end
    return tostring(n) .. tostring(box[3])
end

function parts.recursion()
    local function build(n)
        return n == 0 and {} or { build(n - 1), n }
    end
    local function sum(t)
        return t[1] and sum(t[1]) + t[2] or 0
    end
    local s = 0
    for _ = 1, 4 do
        s = s + sum(build(40))
    end
    return s
end

function parts.varargs()
    local function pack(...)
        return { n = select('#', ...), ... }
    end
    local s = 0
    for i = 1, 60 do
        local t = pack(i, nil, unpack({ i, i, i }))
        s = s + t.n + t[5]
    end
    return s
end

function parts.coroutines()
    local s = 0
    for i = 1, 12 do
        for v, t in coroutine.wrap(function()
            for k = 1, 5 do
                coroutine.yield(k, { i * k })
            end
        end) do
            s = s + v + t[1]
        end
    end
    return s
end

function parts.callbacks()
    local t, s = {}, 0
    for i = 1, 30 do
        t[i] = i * 17 % 31
    end
    table.sort(t, function(a, b) return a > b end)
    local text = ('a1b2'):rep(8):gsub('%d', function(d) s = s + d return d .. s end)
    return table.concat(t, ',') .. text
end

function parts.metamethods()
    local mt = {}
    mt.__add = function(a, b) return setmetatable({ n = a.n + b.n }, mt) end
    mt.__index = function(_, k) return #k end
    mt.__concat = function(a, b) return 'x' .. (type(a) == 'table' and a.n or b.n) end
    local v = setmetatable({ n = 0 }, mt)
    for i = 1, 60 do
        v = v + setmetatable({ n = i + #(v .. v) + v['k' .. i] }, mt)
    end
    return v.n
end

function parts.buffers()
    local b = new_buffer()
    for i = 1, 60 do
        b:put('v', i, ';')
    end
    return b:get()
end

function parts.removals()
    local t, s = {}, 0
    for i = 1, 60 do
        table.insert(t, 1 + i % 3 * 0, { i })
        if i % 4 == 0 then
            s = s + table.remove(t, 1)[1]
        end
    end
    for _, v in ipairs(t) do
        s = s * 3 % 10007 + v[1]
    end
    return s
end

local names, wanted = {}, {}
for name in pairs(parts) do
    names[#names + 1] = name
end
table.sort(names)

function hot()
    local failed = 0
    jit.flush()
    for i = 1, #names do
        local name = names[i]
        local ok, sum = pcall(parts[name])
        if ok then
            if wanted[name] == nil then
                wanted[name] = sum
            end
            assert(sum == wanted[name], 'WRONG: a sum')
        else
            failed = failed + 1
            assert(type(sum) == 'string' and sum:find('not enough memory', 1, true),
                'WRONG: not the lack of memory')
        end
    end
    return failed
end

assert(hot() == 0, 'WRONG: it fails by itself')
