-- Makes a program of Lua from a seed: `generate(seed)` gives its text, which is the
-- same each time. It is a function of how many `rounds` it takes, of `wait` and of
-- `flush` (called at random; they may give way to others and throw compiled code
-- away), and returns a check sum of what it met on its way, in that order.
--
-- Every statement is made with what it may cost: a loop divides that among its
-- rounds, a call is made only of a function that costs less. So all programs end.
-- Every expression is an integer below 65521. What is not the same in each run
-- (the order of pairs(), an address) is kept out of the sum.

local G = {}
G.__index = G

-- Its own generator of random numbers: math.random() is the state's.
function G:random(low, high)
    self.state = self.state * 16807 % 2147483647
    return low + math.floor(self.state / 2147483647 * (high - low + 1))
end

function G:pick(list)
    return list[self:random(1, #list)]
end

function G:line(text, ...)
    self.out[#self.out + 1] = ('    '):rep(self.depth) .. text:format(...)
end

function G:fresh(prefix)
    self.names = self.names + 1
    return prefix .. self.names
end

-- Some number of the last that are in scope: older ones would be too many upvalues.
function G:name()
    local scope = self.scope
    return #scope == 0 and 'h' or scope[self:random(math.max(1, #scope - 8), #scope)]
end

function G:expr()
    local kind = self:random(1, 12)
    if kind <= 4 then
        return self:name()
    elseif kind == 5 then
        return tostring(self:random(0, 65520))
    end
    local a, b = self:name(), self:name()
    local form = self:pick({
        '(%s + %s) %% 65521', '(%s - %s) %% 65521', '(%s * %s) %% 65521',
        'bxor(%s, %s) %% 65521', 'floor(%s / (%s + 1))', 'max(%s, %s)',
        '(%s < %s and 3 or 5)', '#(%s .. ":" .. %s)', 'tonumber(%s .. "") + 0 * %s',
        '(sub(%s .. "", 1, 2) + %s) %% 65521',
    })
    return form:format(a, b)
end

function G:condition()
    local form = self:pick({ '%s < %s', '%s ~= %s', '%s %% 3 == %s %% 3', 'not (%s <= %s)' })
    return form:format(self:name(), self:name())
end

-- The lines of a block that may cost `work`, one deeper; names end with it.
function G:block(work, body)
    local mark, calls = #self.scope, #self.functions
    self.depth = self.depth + 1
    if body then
        body()
    else
        self:statements(work)
    end
    self.depth = self.depth - 1
    for i = #self.scope, mark + 1, -1 do
        self.scope[i] = nil
    end
    for i = #self.functions, calls + 1, -1 do
        self.functions[i] = nil
    end
end

-- A function's body, which ends by `return NUMBER`.
function G:body(params, work)
    self:block(work, function()
        for _, name in ipairs(params) do
            self.scope[#self.scope + 1] = name
        end
        self.level = self.level + 1
        self:statements(work)
        self.level = self.level - 1
        self:line('return %s', self:expr())
    end)
end

-- Rounds of a loop, and the work of each.
function G:rounds(work)
    local n = self:random(2, math.max(2, math.min(400, math.floor(work / 3))))
    return n, work / n
end

local S = {} -- the kinds of statement, each a function of what it may cost

function S:assign()
    self:line('%s = %s', self:pick({ 'h', self:name() }), self:expr())
end

function S:mix()
    self:line('mix(%s)', self:expr())
end

function S:new_local()
    local name = self:fresh('v')
    self:line('local %s = %s', name, self:expr())
    self.scope[#self.scope + 1] = name
end

function S:swap()
    self:line('%s, %s = %s, %s', 'h', self:name(), self:expr(), self:expr())
end

function S:branch(work)
    self:line('if %s then', self:condition())
    self:block(work)
    self:line('else')
    self:block(work)
    self:line('end')
end

function S:wait()
    if self:random(1, 4) == 1 then
        self:line('%s()', self:pick({ 'wait', 'flush', 'collect' }))
    end
end

function S:numeric_for(work)
    local n, each = self:rounds(work)
    local i = self:fresh('i')
    local down = self:random(1, 3) == 1
    self:line(down and 'for %s = %d, 1, -1 do' or 'for %s = 1, %d do', i, n)
    self:block(each, function()
        -- Not in scope: what is assigned to it would be lost, so it is copied.
        local v = self:fresh('v')
        self:line('local %s = %s', v, i)
        self.scope[#self.scope + 1] = v
        self:statements(each)
    end)
    self:line('end')
end

function S:while_loop(work)
    local n, each = self:rounds(work)
    local i = self:fresh('i')
    self:line('local %s = 0', i)
    self:line('while %s < %d do', i, n)
    self:block(each, function()
        self:line('%s = %s + 1', i, i)
        self:line('if h == %d then break end', self:random(0, 65520))
        self:statements(each)
    end)
    self:line('end')
end

function S:repeat_loop(work)
    local n, each = self:rounds(work)
    local i = self:fresh('i')
    self:line('local %s = 0', i)
    self:line('repeat')
    self:block(each, function()
        self:line('local last = %s + 1', i)
        self:line('%s = last', i)
        self:statements(each)
        -- An upvalue of each round is closed at its end.
        if self:random(1, 3) == 1 then
            self:line('mix((function() return last end)())')
        end
    end)
    self:line('until %s >= %d', i, n)
end

function S:goto_loop(work)
    local n, each = self:rounds(work)
    local i, label = self:fresh('i'), self:fresh('again')
    self:line('local %s = 0', i)
    self:line('::%s::', label)
    self:line('do')
    self:block(each, function()
        self:line('%s = %s + 1', i, i)
        self:statements(each)
    end)
    self:line('end')
    self:line('if %s < %d then goto %s end', i, n, label)
end

function S:ipairs_loop(work)
    local n, each = self:rounds(math.min(work, 150))
    local t, v = self:fresh('t'), self:fresh('v')
    self:line('local %s = { %s, %s }', t, self:expr(), self:expr())
    self:line('for k = 3, %d do %s[k] = (%s[k - 1] * 7 + k) %% 65521 end', n, t, t)
    self:line('for _, %s in %s(%s) do', v, self:pick({ 'ipairs', 'pairs' }), t)
    self:block(each, function()
        self.scope[#self.scope + 1] = v
        self:statements(each)
    end)
    self:line('end')
end

-- The order of its keys is not the same in each run: it is a sum.
function S:pairs_loop(work)
    local n = self:rounds(work / 2)
    local t, sum = self:fresh('t'), self:fresh('v')
    self:line('local %s, %s = {}, 0', t, sum)
    self.scope[#self.scope + 1] = sum
    self:line('for k = 1, %d do', n)
    self:line("    %s['k' .. (k * %d) %% 97] = (k + %s) %% 1009", t,
        self:random(1, 96), self:name())
    self:line('end')
    self:line('for k, v in pairs(%s) do', t)
    self:line('    %s = (%s + v * #k) %% 65521', sum, sum)
    self:line('    if v %% 5 == 0 then %s[k] = nil end', t)
    self:line('end')
    self:line('mix(%s)', sum)
end

-- A function that others may call, with an upvalue that outlives its round.
function S:new_function(work)
    local name, a, up = self:fresh('f'), self:fresh('v'), self:fresh('v')
    self:line('local %s = %s', up, self:expr())
    self.scope[#self.scope + 1] = up
    self:line('local function %s(%s)', name, a)
    self:body({ a }, work / 2)
    self:line('end')
    if self:random(1, 8) == 1 then
        self:line('jit.off(%s)', name)
    end
    table.insert(self.functions, { name = name, work = work / 2 })
    self:line('mix(%s(%s))', name, self:expr())
end

function S:call(work)
    for _ = 1, 4 do
        local f = #self.functions > 0 and self:pick(self.functions)
        if f and f.work <= work then
            self:line(self:pick({
                'mix(%s(%s))', 'h = %s(%s) %% 65521', 'mix((select(2, pcall(%s, %s))))',
                'mix(select("#", %s(%s)))', 'mix(({ %s(%s), 2 })[1])',
                'mix((function(...) return %s(...) end)(%s))', -- a tail call
            }), f.name, self:expr())
            return
        end
    end
    self:line('mix(%s)', self:expr())
end

function S:closures(work)
    local n, each = self:rounds(math.min(work, 60))
    local t, a = self:fresh('t'), self:fresh('v')
    self:line('local %s = {}', t)
    self:line('for k = 1, %d do', n)
    self:line('    local kept = (k + %s) %% 65521', self:name())
    self:line('    %s[k] = function(%s) kept = (kept + %s) %% 65521', t, a, a)
    self.depth = self.depth + 1
    self:body({ a, 'kept' }, each / 2)
    self.depth = self.depth - 1
    self:line('    end')
    self:line('end')
    self:line('for k = #%s, 1, -1 do mix(%s[k](k)) mix(%s[k](%s)) end', t, t, t, self:expr())
end

function S:protected(work)
    local ok, e = self:fresh('ok'), self:fresh('v')
    local call = self:pick({ 'pcall', 'pcall', 'xpcall' })
    -- Whether an error inside a handler calls a handler depends, in LuaJIT, on
    -- whether a recording was given up meanwhile.
    self:line('local %s, %s = %s(function()', ok, e,
        self.handles and 'pcall' or call)
    local handled = self.out[#self.out]:find('xpcall')
    self:block(work, function()
        self.level = self.level + 1
        self:statements(work * 0.6)
        self:line('if %s then error(%s) end', self:condition(), self:pick({
            '{ code = ' .. self:expr() .. ' }', self:expr() .. ', 0', '"text", 0', 'nil' }))
        self:statements(work * 0.2)
        self.level = self.level - 1
        self:line('return %s', self:expr())
    end)
    if handled then
        self:line('end, function(e)')
        self:block(work * 0.2, function()
            self.level = self.level + 1
            self.handles = true
            self:statements(work * 0.2)
            self.handles = false
            self.level = self.level - 1
            self:line('return e')
        end)
    end
    self:line('end)')
    self:line('%s = value(%s) + (%s and 1 or 2)', e, e, ok)
    self:line('mix(%s)', e)
    self.scope[#self.scope + 1] = e
end

-- Values go in and out, in number and order; it ends, fails or is left behind.
function S:coroutine(work)
    local n, each = self:rounds(math.min(work, 90))
    local co, a = self:fresh('co'), self:fresh('v')
    self:line('local %s = coroutine.create(function(%s)', co, a)
    self:block(each, function()
        self.scope[#self.scope + 1] = a
        self.level = self.level + 1
        self:line('for k = 1, %d do', self:random(1, n))
        self:block(each, function()
            self:statements(each * 0.8)
            self:line('%s = value(coroutine.yield(%s))', a, self:pick({
                '', 'nil', 'nil, ' .. a, self:expr(), self:expr() .. ', nil, k' }))
        end)
        self:line('end')
        if self:random(1, 4) == 1 then
            self:line('error(%s, 0)', self:expr())
        end
        self.level = self.level - 1
        self:line('return %s, "end"', self:expr())
    end)
    self:line('end)')
    self:line('for k = 1, %d do mix(count(coroutine.resume(%s, k, nil))) end', n, co)
    self:line('mix(#coroutine.status(%s))', co)
end

function S:wrapped(work)
    local n, each = self:rounds(math.min(work, 60))
    local v = self:fresh('v')
    self:line('for %s, gap, k in coroutine.wrap(function()', v)
    self:block(each, function()
        self.level = self.level + 1
        self:line('for k = 1, %d do', n)
        self:block(each, function()
            self:statements(each / 2)
            self:line('coroutine.yield(%s, nil, k)', self:expr())
        end)
        self:line('end')
        self.level = self.level - 1
    end)
    self:line('end) do')
    self:block(each, function()
        self.scope[#self.scope + 1] = v
        self:line('mix(gap == nil and k or 65520)')
        self:statements(each / 2)
    end)
    self:line('end')
end

function S:metamethods(work)
    local event, use, params = unpack(self:pick({
        { '__index', '%s[%s]', 't, a' }, { '__call', '%s(%s)', 't, a' },
        { '__add', '%s + %s', 't, a' }, { '__unm', '-%s + 0 * %s', 't, a' },
        { '__concat', '%s .. %s', 't, a' }, { '__mod', '%s %% %s', 't, a' },
        { '__lt', '(%s < meta(%s)) and 1 or 0', 't, b' },
        { '__le', '(%s <= meta(%s)) and 1 or 0', 't, b' },
        { '__eq', '(%s == meta(%s)) and 1 or 0', 't, b' },
        { '__newindex', 'store(%s, %s)', 't, k, a' },
    }))
    local n, each = self:rounds(math.min(work, 200))
    local t, a = self:fresh('t'), self:fresh('v')
    self:line('local %s = setmetatable({}, {})', t)
    self:line('local function meta(v) return setmetatable({ v }, getmetatable(%s)) end', t)
    self:line('local function store(t, k) t[k] = k return rawget(t, "kept") or 0 end')
    self:line('getmetatable(%s).%s = function(%s)', t, event, params)
    self:block(each, function()
        self:line('local %s = %s', a, params:find('a') and 'type(a) == "number" and a or 1'
            or 'rawget(b, 1)')
        self.scope[#self.scope + 1] = a
        self.level = self.level + 1
        self:statements(each)
        self.level = self.level - 1
        if event == '__newindex' then
            self:line('rawset(t, "kept", %s)', self:expr())
        else
            self:line('return %s', self:expr())
        end
    end)
    self:line('end')
    self:line('if false then meta(1) store({}, 1) end')
    self:line('for k = 1, %d do mix(%s) end', n, use:format(t, '(k % 50 + 1)'))
end

function S:sort(work)
    local n = math.floor(math.min(work / 8, 60)) + 2
    local t = self:fresh('t')
    self:line('local %s = {}', t)
    self:line('for k = 1, %d do %s[k] = (k * %d + %s) %% 1009 end', n, t,
        self:random(1, 1008), self:name())
    self:line('table.sort(%s%s', t, self:pick({ ')', ', function(a, b) return a > b end)',
        ', function(a, b) mix(a) return a < b end)' }))
    self:line('for k = 1, #%s do mix(%s[k]) end', t, t)
end

function S:sort_with_callback(work)
    local n = math.floor(math.min(work / 8, 20)) + 2
    local t, a, b = self:fresh('t'), self:fresh('v'), self:fresh('v')
    self:line('local %s = {}', t)
    self:line('for k = 1, %d do %s[k] = (k * %d) %% 1009 end', n, t, self:random(1, 1008))
    self:line('table.sort(%s, function(%s, %s)', t, a, b)
    self:line('    local less = %s < %s', a, b)
    self:body({ a, b }, work / n / 5)
    -- In place of the number that a body returns.
    self.out[#self.out] = ('    '):rep(self.depth + 1) .. 'return less'
    self:line('end)')
    self:line('mix(%s[1])', t)
end

function S:tables(work)
    local n = self:rounds(work / 3)
    local t = self:fresh('t')
    self:line('local %s = {}', t)
    self:line('for k = 1, %d do', n)
    self:line(self:pick({ '    table.insert(%s, k)', '    table.insert(%s, 1, k)',
        '    %s[#%s + 1] = k' }), t, t)
    self:line('    if k %% %d == 0 then mix(table.remove(%s%s)) end', self:random(2, 9), t,
        self:pick({ '', ', 1' }))
    self:line('end')
    self:line('mix(#table.concat(%s, ","))', t)
    self:line('mix(select("#", unpack(%s, 1, math.min(#%s, 50))))', t, t)
end

function S:gsub(work)
    local n = math.floor(math.min(work / 4, 80)) + 1
    local s, a = self:fresh('s'), self:fresh('v')
    self:line('local %s, n = ("ab1"):rep(%d):gsub("[a%%d]", function(c)', s, n)
    self:line('    local %s = c == "a" and 1 or c + 0', a)
    self:body({ a }, work / n / 4)
    self:line('end)')
    self:line('mix(#%s + n)', s)
end

function S:strings(work)
    local n = self:rounds(work / 3)
    local s = self:fresh('s')
    self:line('local %s = ""', s)
    self:line('for k = 1, %d do', n)
    self:line('    %s = %s .. %s', s, s, self:pick({ '("%d,"):format(k * 3)', 'k',
        '("x"):rep(k % 4)', 'tostring(k):reverse()', '("%5.1f|%s"):format(k, "v")' }))
    self:line('    if #%s > 300 then mix(%s:byte(-1)) %s = %s:sub(-9) end', s, s, s, s)
    self:line('end')
    self:line('for w in %s:gmatch("%%d+") do mix(#w) end', s)
    self:line('mix(#%s:upper() + (%s:find("3", 1, true) or 0))', s, s)
end

function S:varargs(work)
    local n, each = self:rounds(math.min(work, 120))
    local f, a = self:fresh('f'), self:fresh('v')
    self:line('local function %s(%s, ...)', f, a)
    self:block(each, function()
        self.scope[#self.scope + 1] = a
        self.level = self.level + 1
        self:statements(each / 2)
        self.level = self.level - 1
        self:line('if %s %% 7 > 4 then return select(-1, %s, ...) end', a, a)
        self:line('return %s, ...', self:expr())
    end)
    self:line('end')
    self:line('for k = 1, %d do mix(count(%s(k, %s, nil, %s(k + 1)))) end', n, f,
        self:expr(), f)
end

function S:recursion(work)
    local deep = math.floor(math.min(work / 6, 90)) + 1
    local f, a = self:fresh('f'), self:fresh('v')
    self:line('local function %s(n, %s)', f, a)
    self:line('    if n <= 0 then return %s end', a)
    self:block(0, function()
        self.scope[#self.scope + 1] = a
        self.level = self.level + 1
        self:statements(work / deep / 2)
        self.level = self.level - 1
        self:line(self:pick({ 'return %s(n - 1, (%s + n) %% 65521)',
            'return (%s(n - 1, %s) + n) %% 65521' }), f, a)
    end)
    self:line('end')
    self:line('mix(%s(%d, %s))', f, deep, self:expr())
end

function S:chunk(work)
    self:line('mix(assert(load(("local s = 0 for i = 1, %d do s = (s + i * %%d) %%%% 1009 end '
        .. 'return s"):format(%s)))())', math.floor(work / 2) + 1, self:expr())
end

function S:cdata(work)
    local n = self:rounds(work / 2)
    local c = self:fresh('c')
    self:line('local %s = new_cdata()', c)
    self:line('for k = 1, %d do', n)
    self:line('    %s.n = %s.n * 3LL + k + %s', c, c, self:name())
    self:line('    %s.b[k %% 16] = k + %s.b[(k + 5) %% 16]', c, c)
    self:line('end')
    self:line('mix(tonumber(%s.n %% 65521LL) %% 65521) mix(%s.b[3])', c, c)
end

-- What may stand anywhere, and what is worth its work only.
local small, large = { 'assign', 'mix', 'new_local', 'swap', 'call', 'wait' }, {}
for kind in pairs(S) do
    large[#large + 1] = kind
end
table.sort(large)

function G:statements(work)
    for _ = 1, self:random(1, 3) do
        local kind = work > 12 and self.level < 7 and self.depth < 14 and self:pick(large)
            or self:pick(small)
        -- In a block of its own, now and then: locals end, upvalues are closed.
        if kind ~= 'new_function' and kind ~= 'new_local' and work > 12 then
            self:line('do')
            self:block(work / 3, function()
                S[kind](self, work / 3)
            end)
            self:line('end')
        else
            S[kind](self, work / 3)
        end
    end
end

local HEAD = [[
local rounds, wait, flush = ...
local ffi, bxor, floor, max, sub = require('ffi'), bit.bxor, math.floor, math.max, string.sub
local h, sum = %d, 0
local function mix(x)
    h = (h * 31 + x) %% 65521
    sum = (sum * 33 + h) %% 4294967291
    return h
end
local function value(x)
    return type(x) == 'number' and x or type(x) == 'table' and x.code
        or type(x) == 'string' and #x or 0
end
local function count(...)
    local n = select('#', ...)
    for i = 1, select('#', ...) do
        n = (n * 5 + value((select(i, ...)))) %% 65521
    end
    return n
end
local new_cdata = ffi.typeof('struct { int64_t n; uint8_t b[16]; }')
local function collect() collectgarbage('step') end
]]

local WORK = 3000 -- steps that one of its parts may cost

return function(seed)
    local g = setmetatable({
        state = seed * 7919 % 2147483646 + 1, out = {}, depth = 0, level = 0,
        names = 0, scope = {}, functions = {},
    }, G)
    for _ = 1, 5 do
        g:random(1, 2) -- seeds that are neighbours begin alike
    end
    g:line(HEAD, g:random(1, 65520))
    g:line('for _ = 1, rounds do')
    for _ = 1, 6 do
        g:line('do')
        g:block(WORK, function()
            g:statements(WORK)
        end)
        g:line('end')
    end
    g:line('end')
    g:line('return sum')
    return table.concat(g.out, '\n')
end
