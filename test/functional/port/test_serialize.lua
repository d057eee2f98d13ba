-- One walk for msgpack, json and yaml: the same rules, errors and limits; and
-- the fast way gives what the walk gives.
-- test: timeout 120
local ffi = require('ffi')
local json = require('json')
local msgpack = require('msgpack')
local tap = require('tap')
local yaml = require('yaml')

local codecs = { json = json, msgpack = msgpack, yaml = yaml }

local function nested(depth, leaf)
    local t = leaf
    for _ = 1, depth do
        t = { t }
    end
    return t
end

-- What has no form is an error that names type and path.
ffi.cdef('struct port_test_thing { int x; };')
local others = {
    ['function'] = print, thread = coroutine.create(print),
    userdata = io.stdout,
    ["cdata of type 'struct port_test_thing'"] =
        ffi.new('struct port_test_thing'),
}
for name, m in pairs(codecs) do
    for kind, value in pairs(others) do
        local ok, err = pcall(m.encode, value)
        tap.ok(not ok, name .. ' refuses a ' .. kind)
        tap.is(tostring(err), 'cannot encode a ' .. kind, 'by name')
        tap.is(err.type, 'IllegalParams', 'as wrong usage')
        ok, err = pcall(m.encode, { a = { 1, { ['b c'] = value } } })
        tap.is(tostring(err), 'cannot encode a ' .. kind
            .. [[, at 'a[2]["b c"]']], 'with its path')
    end
end
do
    local long = nested(60, { [('k'):rep(100)] = print })
    local _, err = pcall(json.encode, long)
    tap.like(err, "at '%.%.%.%[1%]", 'a long path keeps its end')
    tap.like(err, "%.kkkk+'$", 'ends at the value')
end

-- Depth: 128 levels pass, one more does not.
for name, m in pairs(codecs) do
    for _, leaf in ipairs { 1, {} } do
        local own = type(leaf) == 'table' and 1 or 0
        tap.ok(pcall(m.encode, nested(128 - own, leaf)), name .. ': 128 levels')
        tap.throws(function() m.encode(nested(129 - own, leaf)) end,
            'deeper than 128', name .. ': 129 levels')
    end
    local text = m.encode(nested(128, 1))
    tap.is(m.encode(m.decode(text)), m.encode(m.decode(m.encode(m.decode(text)))),
        name .. ': and come back')
    local shallow = m.new()
    shallow.cfg { encode_max_depth = 2 }
    tap.ok(pcall(shallow.encode, { { 1 } }), name .. ': 2 levels')
    tap.throws(function() shallow.encode({ { {} } }) end, 'deeper than 2',
        name .. ': 3 levels of 2')
    shallow.cfg { encode_deep_as_nil = true }
    tap.same(shallow.decode(shallow.encode({ { {}, 5 } })),
        { { msgpack.NULL, 5 } }, name .. ': deep as null')
end

-- Circles. (In YAML they have a form.)
for _, m in ipairs { json, msgpack } do
    local a = {}
    a.b = { c = { a } }
    tap.throws(function() m.encode({ x = a }) end,
        "contains itself, at 'x%.b%.c%[1%]'", 'a circle, and the way round')
    a = {}
    a[1] = a
    local deep = m.new()
    deep.cfg { encode_deep_as_nil = true }
    tap.throws(function() deep.encode(a) end, 'contains itself',
        'a circle is no depth')
end

-- __serialize.
for name, m in pairs(codecs) do
    local function same(value, plain, what)
        tap.is(m.encode(value), m.encode(plain), name .. ': ' .. what)
    end
    local function with(serialize, t)
        return setmetatable(t or {}, { __serialize = serialize })
    end
    same(with(function() return 5 end), 5, 'a function')
    same(with(function() return nil end), nil, 'a function that gives nil')
    same(with(function(t) return { t.x } end, { x = 1 }), { 1 }, 'gets the table')
    same({ a = with(function() return with(function() return 'x' end) end) },
        { a = 'x' }, 'one after the other')
    same(with('array', { 1, 2 }), { 1, 2 }, 'array')
    same(with('sequence', { 1, 2, a = 3 }), { 1, 2 }, 'a sequence by demand')
    same(with('map', { 1 }), with('map', { 1 }), 'map')
    tap.throws(function() m.encode({ with(function() return print end) }) end,
        "cannot encode a function, at '%[1%]'", name .. ': gives a function')
    tap.throws(function() m.encode(with('list')) end, '__serialize',
        name .. ': a wrong word')
    tap.throws(function() m.encode(with(5)) end, '__serialize',
        name .. ': a number')
    tap.throws(function() m.encode(with(function() error('broken', 0) end)) end,
        '^broken$', name .. ': its errors come through')
    tap.throws(function() m.encode(with(function(t) return t end)) end,
        'never a plain value', name .. ': itself')
    tap.throws(function()
        m.encode(with(function() coroutine.yield() end))
    end, 'yield', name .. ': must not wait')
    -- After an error, and inside one another, all is as before.
    same(with(function() return m.encode({ 1, { 2 } }) end), m.encode({ 1, { 2 } }),
        'encodes inside')
    same({ with(function()
        pcall(m.encode, print)
        return m.decode(m.encode('x'))
    end), 2 }, { 'x', 2 }, 'fails and decodes inside')
    local off = m.new()
    off.cfg { encode_load_metatables = false }
    tap.is(off.encode(with(function() return 1 end, { 7 })), m.encode({ 7 }),
        name .. ': not minded')
    -- A function that changes the table that is being encoded.
    local changing = {}
    changing.a = with(function()
        for i = 1, 100 do
            changing['n' .. i] = i
        end
        return 1
    end)
    changing.b = 1
    local ok, err = pcall(m.encode, changing)
    tap.ok(ok or tostring(err):find('changed') or tostring(err):find('next'),
        name .. ': a table changed meanwhile')
end
do
    local called
    local meta = ffi.metatype('struct port_test_thing', {
        __index = { __serialize = function(self)
            called = self.x
            return { x = self.x }
        end },
    })
    tap.is(json.encode({ meta(7) }), '[{"x":7}]', '__serialize of a cdata')
    tap.is(called, 7, 'gets the cdata')
    local _, err = pcall(json.encode, print)
    tap.is(json.encode({ err }), '["cannot encode a function"]',
        'an error object is its message')
    tap.is(yaml.encode({ e = err }), '---\ne: cannot encode a function\n...\n',
        'in yaml too')
end

-- Other types by options.
for name, m in pairs(codecs) do
    local odd = m.new()
    odd.cfg { encode_invalid_as_nil = true }
    tap.is(odd.encode({ print, 1 }), m.encode({ m.NULL, 1 }), name .. ': as nil')
    odd.cfg { encode_use_tostring = true }
    tap.is(odd.encode({ print }), m.encode({ tostring(print) }),
        name .. ': as tostring')
end

-- Arrays with holes.
for name, m in pairs(codecs) do
    local function kind(t, codec)
        return getmetatable(m.decode((codec or m).encode(t))).__serialize
    end
    tap.is(kind({ [10] = 1 }), 'seq', name .. ': up to 10 an array')
    tap.is(kind({ [11] = 1 }), 'map', name .. ': past it a map')
    tap.is(kind({ 1, 2, 3, 4, 5, 6, [12] = 1, [14] = 1 }), 'seq',
        name .. ': half of it there')
    tap.is(kind({ [0] = 1, 2 }), 'map', name .. ': 0 is no index')
    tap.is(kind({ 1, a = 2 }), 'map', name .. ': mixed keys')
    if m ~= json then
        tap.is(kind({ [1.5] = 2 }), 'map', name .. ': fractions')
        tap.is(kind({ [2 ^ 40] = 2 }), 'map', name .. ': far away')
    end
    local strict = m.new()
    strict.cfg { encode_sparse_convert = false }
    tap.throws(function() strict.encode({ a = { [11] = 1 } }) end,
        "excessively sparse array.*at 'a'", name .. ': refused')
    strict.cfg { encode_sparse_ratio = 0 }
    tap.is(kind({ [100] = 1 }, strict), 'seq', name .. ': no limit')
    tap.throws(function() strict.encode({ [2 ^ 31] = 1 }) end, 'sparse',
        name .. ': but of sanity')
    tap.throws(function()
        m.encode(setmetatable({ [2 ^ 30] = 1 }, m.array_mt))
    end, 'sparse', name .. ': also by demand')
end

-- The fast way and the walk: an object whose __serialize gives the value takes
-- the walk for all of it.
local seed = tonumber(os.getenv('NEAP_TEST_SEED') or 42)
math.randomseed(seed)
local rnd = math.random
local hints = { 'seq', 'map', 'array', 'sequence', 'mapping' }
local function value(depth)
    local k = rnd(depth > 5 and 14 or 22)
    if k == 1 then return rnd(-300, 300)
    elseif k == 2 then return rnd(-2 ^ 31, 2 ^ 31 - 1) * rnd(2 ^ 20)
    elseif k == 3 then return (rnd() - 0.5) * 10 ^ rnd(-20, 30)
    elseif k == 4 then return rnd() < 0.5
    elseif k == 5 then return msgpack.NULL
    elseif k == 6 then return ('\0é"\255'):rep(rnd(0, 40))
    elseif k == 7 then return 2 ^ rnd(0, 70)
    elseif k == 8 then return -(2 ^ rnd(0, 70))
    elseif k == 9 then return ({ 0 / 0, 1 / 0, -1 / 0, -0, 0.5 })[rnd(5)]
    elseif k == 10 then return 2LL ^ rnd(0, 62) - rnd(3)
    elseif k == 11 then return 18446744073709551615ULL - rnd(9)
    elseif k == 12 then return ffi.new('int16_t', rnd(-9, 9))
    elseif k == 13 then return ffi.new('float', rnd())
    elseif k == 14 then return 'key' .. rnd(20)
    end
    local t = {}
    if k <= 17 then
        for i = 1, rnd(0, 20) do t[i] = value(depth + 1) end
    elseif k <= 19 then
        for _ = 1, rnd(0, 8) do t['k' .. rnd(30)] = value(depth + 1) end
    elseif k == 20 then
        for _ = 1, rnd(0, 8) do
            local i = rnd(-2, rnd() < 0.5 and 12 or 60)
            t[i] = value(depth + 1)
        end
    elseif k == 21 then
        for i = rnd(30), 1, -1 do t[i] = value(depth + 1) end
        for i = 1, rnd(5) do t[rnd(30)] = nil end
    else
        for i = 1, rnd(5) do t[i] = value(depth + 1) end
        t['x' .. rnd(3)] = value(depth + 1)
        if rnd(4) == 1 then t[1] = nil end
    end
    if rnd(5) == 1 then
        setmetatable(t, { __serialize = hints[rnd(#hints)] })
    elseif rnd(10) == 1 then
        setmetatable(t, { __index = {} })
    end
    return t
end
local function equal(a, b)
    if type(a) ~= 'table' or type(b) ~= 'table' then
        return a == b or (a ~= a and b ~= b)
    end
    for k, v in pairs(a) do
        if not equal(v, b[k]) then
            return false
        end
    end
    for k in pairs(b) do
        if type(a[k]) == 'nil' then
            return false
        end
    end
    return getmetatable(a) == getmetatable(b)
end
local precise = yaml.new()
precise.cfg { encode_number_precision = 17 }
local different = 0
for i = 1, tap.soak(100000, 1000) do
    local v = value(0)
    local slow = setmetatable({}, { __serialize = function() return v end })
    for _, m in ipairs { msgpack, json } do
        local ok1, r1 = pcall(m.encode, v)
        local ok2, r2 = pcall(m.encode, slow)
        if ok1 ~= ok2 or tostring(r1) ~= tostring(r2) then
            different = different + 1
            tap.diag(('value %d of seed %d:\n%s\n%s'):format(i, seed,
                tostring(r1), tostring(r2)))
        end
    end
    -- What was decoded comes back from any of them as it was.
    local back = msgpack.decode(msgpack.encode(v))
    for name, m in pairs { msgpack = msgpack, yaml = precise } do
        if not equal(m.decode(m.encode(back)), back) then
            different = different + 1
            tap.diag(('value %d of seed %d: %s'):format(i, seed, name))
        end
    end
end
tap.is(different, 0, 'the fast way and the walk agree')

-- A type is no value of its kind: its __serialize is for those.
local point = require('ffi').metatype('struct { int x; }', {
    __index = { __serialize = function(p) return { p.x } end },
})
for name, m in pairs { msgpack = msgpack, json = json, yaml = precise } do
    tap.is(m.decode(m.encode(point(7)))[1], 7, name .. ': a value')
    tap.throws(function() m.encode({ point }) end, 'cannot encode a cdata', name .. ': its type')
end
tap.done()
