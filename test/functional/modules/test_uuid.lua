-- The module uuid: names and answers of Tarantool's documentation.
-- test: variants
local tap = require('tap')
local json = require('json')
local msgpack = require('msgpack')
local yaml = require('yaml')

-- The type is there before the module: scripts ask for it by its name.
local uuid_t = require('ffi').typeof('struct tt_uuid')
local packed = '\xd8\x02\x8c\xfd\x4e\xf6\x08\xe9\x4b\x3e\x9a\xcb\x1a\x2b\x3c\x4d\x5e\x6f'
local decoded = msgpack.decode(packed)
local uuid = require('uuid')

local TEXT = '8cfd4ef6-08e9-4b3e-9acb-1a2b3c4d5e6f'
local function hex(bytes)
    return (bytes:gsub('.', function(c) return ('%02x'):format(c:byte()) end))
end

local id = uuid.fromstr(TEXT)
tap.is(type(id), 'cdata', 'an object')
tap.ok(require('ffi').istype(uuid_t, id), 'of the type with a name')
tap.is(tostring(id), TEXT, 'tostring')
tap.is(id:str(), TEXT, 'str')
tap.is(tostring(uuid.fromstr(TEXT:upper())), TEXT, 'from upper case')
for _, bad in ipairs({ '', 'x', TEXT:sub(2), TEXT .. '0', ' ' .. TEXT:sub(2), TEXT:gsub('-', ''),
    (TEXT:gsub('f$', 'g')), (TEXT:gsub('f$', ' ')), TEXT .. '\0', '{' .. TEXT .. '}' }) do
    tap.is(uuid.fromstr(bad), nil, 'no identifier: ' .. bad)
end

-- bytes and their orders
for order, want in pairs({ l = 'f64efd8ce9083e4b9acb1a2b3c4d5e6f',
    b = '8cfd4ef608e94b3e9acb1a2b3c4d5e6f' }) do
    for _, name in ipairs(order == 'l' and { 'l', 'h', 'host' } or { 'b', 'n', 'network' }) do
        tap.is(hex(id:bin(name)), want, 'bytes, ' .. name)
        tap.is(uuid.frombin(id:bin(name), name), id, 'and back')
        tap.is(#uuid.bin(name), 16, 'of a new one')
    end
    if order == 'l' then
        tap.is(hex(id:bin()), want, 'the default')
        tap.is(uuid.frombin(id:bin()), id, 'and back')
    end
end
tap.is(tostring(uuid.frombin(id:bin(), 'b')), 'f64efd8c-e908-3e4b-9acb-1a2b3c4d5e6f', 'another order')

-- new ones
local seen, versions = {}, 0
for i = 1, 300 do
    local new = i % 3 == 0 and uuid() or i % 3 == 1 and uuid.new() or uuid.fromstr(uuid.str())
    seen[new:str()] = true
    if new:str():match('^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$') then
        versions = versions + 1
    end
end
local count = 0
for _ in pairs(seen) do count = count + 1 end
tap.is(count, 300, 'all are different')
tap.is(versions, 300, 'and say that they are random')

-- comparing
tap.ok(id == uuid.fromstr(TEXT) and id ~= uuid.new(), 'equal or not')
tap.ok(id ~= nil and id ~= TEXT and id ~= 1, 'to nothing else')
tap.ok(uuid.NULL < id and id > uuid.NULL and id <= id and not (id < id), 'an order')
tap.ok(uuid.fromstr('00000001-ff00-0000-0000-000000000000')
    < uuid.fromstr('00000100-0000-0000-0000-000000000000'), 'that of the text')
tap.throws(function() return id < 1 end, 'compare a uuid with a number', 'not with others')
tap.ok(uuid.NULL:isnil() and not id:isnil(), 'isnil')
tap.is(tostring(uuid.NULL), '00000000-0000-0000-0000-000000000000', 'NULL')
tap.ok(uuid.is_uuid(id) and uuid.is_uuid(uuid.NULL), 'is_uuid')
for _, other in ipairs({ TEXT, 1, {}, 1LL, false }) do
    tap.is(uuid.is_uuid(other), false, 'not a ' .. type(other))
end

-- outside
tap.is(json.encode(id), '"' .. TEXT .. '"', 'json')
tap.is(json.encode({ [id] = { id } }), ('{"%s":["%s"]}'):format(TEXT, TEXT), 'inside')
tap.is(yaml.encode({ id = id }), '---\nid: ' .. TEXT .. '\n...\n', 'yaml')
tap.is(msgpack.encode(id), packed, 'msgpack')
tap.is(decoded, id, 'and back, before the module was loaded')
local back = msgpack.decode(msgpack.encode({ a = { id, uuid.NULL } }))
tap.ok(back.a[1] == id and back.a[2]:isnil() and back.a[1]:str() == TEXT, 'inside')
tap.is(msgpack.decode('\xd6\x02\1\2\3\4').type, 2, 'of another size: an extension')
local raw = require('msgpack').new()
raw.cfg({ encode_load_metatables = false })
tap.is(raw.encode(id), packed, 'without metatables')

-- misuse
tap.throws(function() uuid.fromstr() end, 'Usage: uuid.fromstr', 'no text')
tap.throws(function() uuid.frombin('x') end, 'Usage: uuid.frombin', 'too short')
tap.throws(function() uuid.frombin(1) end, 'Usage: uuid.frombin', 'no bytes')
for _, name in ipairs({ 'bin', 'str', 'isnil' }) do
    tap.throws(function() id[name](1) end, 'Usage: uuid:' .. name, name .. ' of a number')
end
for _, f in ipairs({ function() id:bin('x') end, function() uuid.bin('x') end,
    function() uuid.frombin(id:bin(), 'x') end }) do
    tap.throws(f, 'the order of bytes is', 'no such order')
end
tap.done()
