-- Calls: values there and back, results, failures.
local cmod = require('cmod')
local kit = require('cmod_kit')
local msgpack = require('msgpack')
local tap = require('tap')

local PROC_C = 102

local m = cmod.load(kit.dir .. 'calls')
local function fn(name) return m:load(name) end
local echo, raw = fn('echo'), fn('raw')

local function same(a, b)
    if type(a) == 'table' and type(b) == 'table' then
        for k, v in pairs(a) do
            if not same(v, b[k]) then return false end
        end
        for k in pairs(b) do
            if a[k] == nil then return false end
        end
        return true
    end
    return a == b or (a ~= a and b ~= b)
end

-- values that come back as they went
local values = {
    0, 1, -1, 31, 32, -32, -33, 127, 128, -127, -128, -129, 255, 256, 65535,
    65536, -32768, -32769, 2^31 - 1, 2^31, -2^31, -2^31 - 1, 2^32 - 1, 2^32,
    2^53, -2^53, 0.5, -0.5, 1e100, 1/0, -1/0, 0/0,
    true, false, '', 'a', ('x'):rep(31), ('x'):rep(32), ('x'):rep(255),
    ('x'):rep(256), ('x'):rep(65535), ('x'):rep(65536), 'a\0b\255\254',
    { 1, 2, 3 }, { a = 1, b = { 1, 2, { c = 'd' } } }, { { {} } },
    { [1.5] = 1, [true] = 2, [-1] = 3 },
}
local wrong = {}
for i, v in ipairs(values) do
    local ok, back = echo(v)
    if ok ~= true or not same(back[1], v) or #back ~= 1 then
        wrong[#wrong + 1] = i .. ' ' .. tostring(v) .. ' ' .. tostring(back)
    end
    -- behind something that is not packed the short way
    ok, back = echo({}, v)
    if ok ~= true or not same(back[2], v) then
        wrong[#wrong + 1] = i .. ' second ' .. tostring(v)
    end
end
tap.same(wrong, {}, #values .. ' values come back')
for _, v in ipairs({ 9007199254740993LL, -9223372036854775807LL - 1,
        18446744073709551615ULL }) do
    local ok, back = echo(v)
    tap.ok(ok and type(back[1]) == 'cdata' and back[1] == v,
        '64 bits: ' .. tostring(v))
end

-- both ways of packing give the same bytes
wrong = {}
for _, v in ipairs(values) do
    if type(v) ~= 'table' then
        local text = msgpack.encode({ v })
        local ok, back = raw(text)
        if not ok or not same(back[1], v) then
            wrong[#wrong + 1] = tostring(v)
        end
    end
end
tap.same(wrong, {}, 'raw MessagePack as a result')

-- the shape of the arguments
local ok, back = echo()
tap.ok(ok and type(back) == 'table' and #back == 0, 'no arguments')
ok, back = raw('\147\192\1\192')
tap.ok(ok and back[2] == 1 and back[3] == nil, 'nils inside a result')
local count = {}
for _, n in ipairs({ 1, 14, 15, 16, 17, 200 }) do
    local args = {}
    for i = 1, n - 1 do args[i] = i end
    ok, back = echo(unpack(args, 1, n)) -- the last one is nil
    count[#count + 1] = ok and #msgpack.encode(back) >= n
end
tap.same(count, { true, true, true, true, true, true },
    'trailing nils are kept')

-- what cannot be told
for name, v in pairs({ ['function'] = print, thread = coroutine.create(print),
        userdata = io.stdout }) do
    local x, err = echo(1, v)
    tap.ok(x == nil and type(err) == 'userdata', name .. ' is nil, err')
    tap.like(err, name, name .. ' is named')
end
local deep = 1
for _ = 1, 128 do deep = { deep } end
tap.ok((fn('first')(deep)), '128 levels of arguments')
ok, back = fn('first')({ deep })
tap.ok(ok == nil and tostring(back):find('128'), '129 levels of arguments')
local cycle = {}
cycle[1] = cycle
ok, back = echo(cycle)
tap.ok(ok == nil and back ~= nil, 'a cycle')
ok, back = echo(setmetatable({}, { __serialize = function() error('oops') end }))
tap.ok(ok == nil and tostring(back):find('oops'), 'an error in __serialize')

-- results
tap.is(select('#', fn('nothing')()), 1, 'no results: one value')
tap.is((fn('nothing')()), true, 'which is true')
local r = { fn('three')() }
tap.ok(#r == 4 and r[1] == true and r[2] == 1 and r[3] == 'two' and r[4][3] == 3,
    'three results')
for _, n in ipairs({ 15, 60, 5000 }) do
    tap.is(select('#', fn('many')(n)), n + 1, n .. ' results')
end
ok, back = fn('many')(65000)
tap.ok(ok == nil and tostring(back):find('more than the Lua stack'),
    '65,000 results are too many')
tap.ok((fn('deep')(128)), '128 levels of a result')
ok, back = fn('deep')(129)
tap.ok(ok == nil and back.code == PROC_C, '129 levels of a result')
ok, back = fn('large')()
tap.ok(ok and #back == 2^20, 'a result of a mebibyte')

-- results that are no MessagePack
local function bad(name, f, pattern, ...)
    local x, err = f(...)
    tap.ok(x == nil, name .. ': nil')
    tap.is(err and err.type, 'ClientError', name .. ': type')
    tap.is(err and err.code, PROC_C, name .. ': code')
    tap.like(err, pattern, name .. ': message')
end
bad('an unused byte', raw, '^result 1 cannot be decoded', '\193')
bad('an array of four billion', raw, 'cannot be decoded', '\221\255\255\255\255')
bad('a map of four billion', raw, 'cannot be decoded', '\223\255\255\255\255\1')
bad('text that is not there', raw, 'cannot be decoded', '\219\255\255\255\255x')
bad('a cut number', raw, 'cannot be decoded', '\207\1\2')
bad('two values in one', fn('two_in_one'), 'holds 2 MessagePack values')
bad('two halves', fn('halves'), 'result 1 cannot be decoded')
bad('an empty result', fn('empty_result'), 'holds 0 MessagePack values')

-- failures
bad('a bare -1', fn('fail'), '^unknown error$')
bad('any other value', fn('fail_seven'), '^unknown error$')
bad('an error of its own', fn('fail_with'), '^bad luck 13$')
bad('no old error after it', fn('fail'), '^unknown error$')
local x, err = fn('fail_with')()
tap.is(err.trace[1].file, 'calls.c', 'the place: file')
tap.ok(err.trace[1].line > 50, 'the place: line')
x, err = fn('fail_twice')()
tap.ok(x == nil and err.code == 33 and err.message == 'second' and
    err.trace[1].file == 'second.c' and err.trace[1].line == 22,
    'the last error counts')
x, err = fn('fail_highest')()
tap.is(err.code, 4294967295, 'a code of 32 bits')
tap.is(err:unpack().code, 4294967295, 'and unpacked')
tap.is(select(2, fn('recover')()), true, 'success in spite of an error')
tap.is((fn('nothing')()), true, 'and nothing of it is left')

-- a NaN with a payload is a NaN, and nothing else
for _, bytes in ipairs({ '\203\255\248\0\0\0\0\0\1', '\203\255\252\0\0\0\0\0\1',
        '\203\127\240\0\0\0\0\0\1', '\202\255\192\0\1' }) do
    local ok, v = raw(bytes)
    tap.ok(ok and type(v) == 'number' and v ~= v, 'a NaN is a number')
end

-- calls inside calls: while arguments are packed
local inner = fn('echo')
ok, back = echo(setmetatable({}, { __serialize = function()
    return { select(2, inner('inside'))[1], 2 }
end }), 'outside')
tap.ok(ok and back[1][1] == 'inside' and back[2] == 'outside',
    'a call while the arguments of another are packed')
local dying = fn('echo')
tap.throws(function()
    dying(setmetatable({}, { __serialize = function()
        dying:unload()
        return 1
    end }))
end, 'is unloaded', 'unloaded while its arguments are packed')

-- a call that is over cannot be added to
local kept = fn('keep_call')
local fiber = require('fiber')
local f = fiber.new(function() return kept() end)
f:set_joinable(true)
fiber.sleep(0.005)
x, err = fn('use_kept_call')()
tap.ok(x == nil and tostring(err):find('not the call that runs'),
    'results for another call are refused')
tap.ok(f:join(), 'which ends well')

-- compiled loops
local sum = 0
for i = 1, 2000 do
    local ok, v = echo(i, 'x')
    sum = sum + (ok and v[1] or 0)
end
tap.is(sum, 2001000, 'two thousand calls in a loop')

-- out of memory in the middle of a result is an error, not a throw
fn, m, echo, raw, kept, inner, dying = nil, nil, nil, nil, nil, nil, nil
tap.is(kit.live_count(), 0, 'no module is left')
tap.done()
